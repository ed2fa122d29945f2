"""Data folders that earlier programs wrote open, and nothing in them has changed.

Each folder of `folders/` was made once by `make_folder.py` with the program of its time, and is never made again.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from entrepot.depot import checking
from entrepot.depot.context import Depot
from entrepot.server import config as server_config
from entrepot.server.compose import open_depot
from entrepot.server.house import assemble
from tests.support.site import CHEAP, Client

FOLDERS = Path(__file__).parent / "folders"
SUM = b"the sum of it"
NAMES = sorted(place.name.removesuffix(".json") for place in FOLDERS.glob("*.json"))


class Kept:
    """A folder of an earlier program under the server of this one, a day after it was left."""

    def __init__(self, name: str, data: Path, stack: ExitStack) -> None:
        self.seen: dict[str, Any] = json.loads((FOLDERS / f"{name}.json").read_text(encoding="utf-8"))
        with tarfile.open(FOLDERS / f"{name}.tar.gz") as packed:
            packed.extractall(data.parent, filter="data")
        now = datetime.fromisoformat(self.seen["made_at"]) + timedelta(days=1)
        config = server_config.load(CHEAP, data=data)
        self.depot: Depot = stack.enter_context(open_depot(config, clock=lambda: now, upgrade=True))
        executor = ThreadPoolExecutor(config.threads)
        stack.callback(executor.shutdown)
        app = assemble(config, self.depot, executor).app
        self.http = stack.enter_context(TestClient(app, base_url="http://localhost"))
        self.ann, self.ben = (Client(self.http, self.seen["tokens"][one]) for one in ("ann", "ben"))

    def admin_token(self) -> str:
        answer = self.http.post("/api/v1/login", json={"username": "admin", "password": self.seen["password"]})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])


@pytest.fixture(params=NAMES)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    with ExitStack() as stack:
        yield Kept(request.param, tmp_path / "data", stack)


def test_everything_in_it_is_as_it_was(kept: Kept) -> None:
    for version, seen in kept.seen["versions"].items():
        record = kept.ann.read(f"/versions/{version}")
        assert {name: record[name] for name in seen["record"]} == seen["record"]
        revisions = kept.ann.read(f"/versions/{version}/revisions", limit=1000)["rows"]
        assert {str(row["number"]): (row["message"], row["author"]) for row in revisions} == {
            number: (one["message"], one["author"]) for number, one in seen["revisions"].items()
        }
        for number, revision in seen["revisions"].items():
            rows = kept.ann.read(f"/versions/{version}/entries", revision=number, limit=1000)["rows"]
            found = {}
            for row in rows:
                got = kept.ann.get(f"/versions/{version}/files/{quote(row['path'])}?revision={number}")
                assert got.status_code == 200, got.text
                found[row["path"]] = [hashlib.sha256(got.content).hexdigest(), row["metadata"]]
                assert row["sha256"] == f"sha256:{found[row['path']][0]}"
            assert found == revision["files"]
    assert checking.verify(kept.depot).damaged == ()


def test_rights_tokens_and_passwords_of_it_hold(kept: Kept) -> None:
    first = next(iter(kept.seen["versions"]))
    answer = kept.http.post("/api/v1/login", json={"username": "ann", "password": kept.seen["password"]})
    assert answer.status_code == 201, answer.text
    assert kept.ben.get(f"/versions/{first}").status_code == 200
    assert kept.ben.put(f"/versions/{first}/files/x", content=b"x").status_code == 403
    assert kept.ben.get(f"/versions/{kept.seen['hidden_from_ben']}").status_code == 404
    assert Client(kept.http, None).get(f"/versions/{first}").status_code in (401, 404)


def test_work_goes_on_in_it(kept: Kept) -> None:
    upload = kept.seen["upload"]
    tus = {"Tus-Resumable": "1.0.0"}
    offset = int(kept.ann.request("HEAD", f"/uploads/{upload['id']}", headers=tus).headers["upload-offset"])
    # Nothing of it was synced: where the machine was started since, as after a power cut, it begins anew.
    assert offset in (0, upload["offset"])
    fields = {**tus, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    answer = kept.ann.request("PATCH", f"/uploads/{upload['id']}", content=SUM[offset:], headers=fields)
    assert answer.status_code == 204, answer.text
    own = kept.seen["hidden_from_ben"]
    kept.ann.made(f"/versions/{own}/commits", changes=[{"op": "add", "path": "sum.txt", "upload": upload["id"]}])
    assert kept.ann.get(f"/versions/{own}/files/sum.txt").content == SUM
    assert kept.ann.post(f"/versions/{kept.seen['trashed']}/reinstate", json={}).status_code == 200
    hits = kept.ann.read("/search", q="polarstern ship counted")["rows"]
    assert kept.seen["versions"].keys() & {row["version"]["id"] for row in hits}
    if kept.seen["records"]:
        items = kept.ann.read(f"/versions/{kept.seen['records']}/items")
        assert [row["item"] for row in items["rows"]] == [{"n": 1}, {"n": 2}]
    if hook := kept.seen.get("webhook"):
        admin = Client(kept.http, kept.admin_token())
        (row,) = admin.read("/projects/birds/webhooks")["rows"]
        assert {name: row[name] for name in hook} == hook
        # Its secret is sealed with the key that lies in the folder.
        assert admin.put(f"/webhooks/{hook['id']}/secret", json={}).status_code == 200
    if table := kept.seen.get("table"):
        columns = kept.ann.read(f"/versions/{table}/table")["columns"]
        assert [(one["name"], one["type"]) for one in columns] == [("bird", "String"), ("grams", "Float")]
    if packed := kept.seen.get("packed"):
        # Files of a pack go one by one, and what is left of it is whole.
        removed = [{"op": "remove", "path": f"small/{number}.txt"} for number in range(10) if number != 7]
        kept.ann.made(f"/versions/{packed}/commits", changes=removed)
        assert kept.ann.get(f"/versions/{packed}/files/small/11.txt").content == b"file number 11"
