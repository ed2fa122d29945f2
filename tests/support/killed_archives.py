"""Kills a server, or its client, in the middle of the download of an archive: nobody takes a part for the whole.

    python -m tests.support.killed_archives FOLDER SEED POINTS

*Bytes*: somebody reads the answer off the wire. It must end as broken, with a beginning of the archive and nothing
else, and go on from there at the next server. *Command*: `entrepot archive`. If it says that it is done the archive is
whole; if not there is no file of that name, unless it was killed when that was whole. The last line is a JSON object of
what was counted.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import sys
import zipfile
from collections import Counter
from pathlib import Path

import httpx2

from entrepot.cli import main as cli
from entrepot.client.client import Client
from tests.support.examine import examine
from tests.support.forked import Forked, ForkedServer, Steps
from tests.support.lanes import API


class Archives:
    def __init__(self, folder: Path, seed: int) -> None:
        chance = random.Random(seed)
        self.tree = {"large.bin": chance.randbytes(5 << 20), "d/second.bin": chance.randbytes(2 << 20)}
        self.tree |= {f"d/{n}.txt": f"number {n} ".encode() * 400 for n in range(8)}
        self.server = ForkedServer(folder / "data")
        self.server.start()
        self.client_steps = Steps()
        self.into = folder / "all.zip"
        self.chance = chance
        self.kills: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        with Client(self.server.url, self.server.token) as client:
            client.projects.create("Archives", slug="archives")
            for path, body in self.tree.items():
                place = folder / "tree" / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(body)
            client.data.push(folder / "tree", "archives/birds")
            version = client.versions.get("archives/birds").id
        self.path = f"{API}/versions/{version}/archive?format=zip"

    def steps(self) -> tuple[int, int]:
        """Steps of the server for an archive that is read off the wire, and of the command that fetches one."""
        self.server.steps.arm(0)
        assert self.read(b"")[1]
        of_server = self.server.steps.made
        assert self.command(None, 0) == 0
        return of_server, self.client_steps.made

    def read(self, before: bytes) -> tuple[bytes, bool]:
        """What is there after these bytes, and whether the answer ended as it said it would."""
        body = bytearray(before)
        asked = {"Range": f"bytes={len(before)}-"} if before else {}
        with self.server.client() as http:
            try:
                with http.stream("GET", self.path, headers=asked) as answer:
                    assert answer.status_code == (206 if before else 200), answer.status_code
                    for block in answer.iter_raw():
                        body += block
            except httpx2.HTTPError:
                return bytes(body), False
        return bytes(body), True

    def bytes_of_a_dying_server(self, at: int, whole: bytes) -> None:
        self.server.steps.arm(at)
        body, ended = self.read(b"")
        process = self.server.process
        assert process is not None
        if not ended:
            assert process.wait()
        self.server.steps.arm(0)
        assert whole.startswith(body), f"a server that died at {at} sent other bytes"
        assert ended == (body == whole), f"{len(body)} of {len(whole)} bytes, and it looked like the end"
        if not process.is_set():
            # It was through before.
            process.kill()
        self.kills["server, bytes"] += 1
        self.ended["whole" if ended else "broken"] += 1
        examine(self.server.data, dead=True)
        self.server.start()
        if 0 < len(body) < len(whole):
            body, ended = self.read(body)
            self.ended["continued"] += 1
        elif not body:
            body, ended = self.read(b"")
        assert ended
        assert body == whole

    def command(self, victim: str | None, at: int) -> int | None:
        """Run `entrepot archive` while somebody dies at the n-th step; its exit code, None if it was itself."""
        self.into.unlink(missing_ok=True)
        self.client_steps.arm(at if victim == "client" else 0)
        self.server.steps.arm(at if victim == "server" else 0)

        def work() -> None:
            self.client_steps.watch()
            os.environ.update(ENTREPOT_URL=self.server.url, ENTREPOT_TOKEN=self.server.token)
            out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                os._exit(cli.run(["archive", "archives/birds", str(self.into)]))

        client, server = Forked(work), self.server.process
        assert server is not None
        client.wait_or(server)
        if server.is_set():
            self.kills["server, command"] += 1
            self.server.steps.arm(0)
            self.server.start()
        assert client.wait(), "a client does not end"
        self.server.steps.arm(0)
        killed = client.status == -signal.SIGKILL
        self.kills["client"] += killed
        if client.status == 0 or (killed and self.into.exists()):
            # Whoever was killed after the file got its name could not say that it was done.
            with zipfile.ZipFile(self.into) as archive:
                assert {path: archive.read(path) for path in archive.namelist()} == self.tree
        else:
            assert not self.into.exists(), f"exit code {client.status}, and a file of that name is there"
        return None if killed else client.status


def main(folder: str, seed: str, points: str) -> None:
    archives = Archives(Path(folder), int(seed))
    of_server, of_client = archives.steps()
    whole, _ = archives.read(b"")
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert {path: archive.read(path) for path in archive.namelist()} == archives.tree

    def chosen(total: int) -> list[int]:
        many = total if points == "all" else int(points)
        return [archives.chance.randint(n * total // many + 1, (n + 1) * total // many) for n in range(many)]

    for at in chosen(of_server):
        archives.bytes_of_a_dying_server(at, whole)
    for victim, total in (("server", of_server), ("client", of_client)):
        for at in chosen(total):
            archives.ended[f"{victim} killed: exit code {archives.command(victim, at)}"] += 1
    assert archives.command(None, 0) == 0
    archives.server.close()
    examine(archives.server.data, dead=True)
    print(json.dumps({"kills": archives.kills, "ended": archives.ended, "steps": [of_server, of_client]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
