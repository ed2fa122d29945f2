"""Kills a server between the last byte of an upload and its name, and lets its sender ask how far it is.

    python -m tests.support.killed_endings FOLDER CLIENT POINT …

CLIENT is `tuspy` or `push`, a POINT the system call before which the server dies while it places the bytes. A sender
that reads its own length has nothing more to send: the upload must then be one that a commit takes. The last line is a
JSON object of what was counted.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from tusclient import client as tus
from tusclient.exceptions import TusCommunicationError
from tusclient.storage.filestorage import FileStorage

from tests.support.client_kills import at_server, write
from tests.support.killed_transfers import Transfers
from tests.support.lanes import API


def by_tuspy(transfers: Transfers, body: bytes, point: str) -> None:
    """The public client goes on from what it wrote down, and whoever has the upload's address commits it."""
    server, source = transfers.server, transfers.folder / f"{point}.bin"
    source.write_bytes(body)
    storage = FileStorage(str(transfers.folder / "urls"))
    client = tus.TusClient(f"{server.url}{API}/uploads", headers={"Authorization": f"Bearer {server.token}"})

    def sender() -> tus.Uploader:
        return client.uploader(str(source), chunk_size=400_000, store_url=True, url_storage=storage)

    server.steps.arm(1, point)
    try:
        sender().upload()
    except TusCommunicationError:
        assert server.process is not None
        assert server.process.wait()
        transfers.kills[f"before {point}"] += 1
    server.steps.arm(0)
    server.start()
    resumed = sender()
    assert resumed.offset == len(body), f"killed before {point} it lost what it had acknowledged"
    resumed.upload()
    with server.client() as http:
        made = http.post(f"{API}/versions", json={"name": f"Before {point}"}).json()["id"]
        change = {"op": "add", "path": "a.bin", "upload": resumed.url.rpartition("/")[2]}
        answer = http.post(f"{API}/versions/{made}/commits", json={"changes": [change]})
        assert answer.is_success, f"killed before {point}: {answer.text}"
        assert http.get(f"{API}/versions/{made}/files/a.bin").content == body


def by_push(transfers: Transfers, body: bytes, point: str) -> None:
    """Our own client goes on by itself."""
    transfers.target = f"kills/{point}"
    tree = {"large.bin": body}
    write(transfers.folder / "tree", tree)
    assert transfers.run("push", "server", 1, point)
    with transfers.client() as client:
        assert at_server(client, transfers.target) == [{}, tree]


def main(folder: str, client: str, *points: str) -> None:
    transfers, chance = Transfers(Path(folder), 1), random.Random(client)
    for point in points:
        if client == "tuspy":
            by_tuspy(transfers, chance.randbytes(1_000_000), point)
        else:
            # Beyond what is sent in one piece.
            by_push(transfers, chance.randbytes(9 << 20), point)
    transfers.server.close()
    print(json.dumps({"kills": transfers.kills}))


if __name__ == "__main__":
    main(*sys.argv[1:])
