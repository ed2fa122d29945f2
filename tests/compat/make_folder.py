"""Make a data folder as this program writes it, and say what is in it.

    python tests/compat/make_folder.py NAME

`tests/compat/folders/NAME.tar.gz` is the folder that a server left when it was ended, `NAME.json` what people could see
in it before. Run it with the program of a release (its `src` first on PYTHONPATH); from then on `test_folders.py` opens
the folder with every later program. It asks over HTTP and uses nothing of ours but the server itself, so that one
script does for all of them. What a release cannot do yet (records, webhooks) is left out of its folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

RECORD = (
    *("name", "number", "revision", "description", "tags", "custom", "licence", "visibility", "kind", "state", "slug"),
    *("creator", "created_at", "frozen_at"),
)
HERE = Path(__file__).resolve().parent / "folders"
PASSWORD = "a password of a test"
CHEAP = ("policy.password_time_cost=1", "policy.password_memory_kib=64", "policy.password_lanes=1")


class Somebody:
    def __init__(self, url: str, token: str = "") -> None:
        self.url, self.token = url, token

    def ask(self, method: str, path: str, body: Any = None, **fields: str) -> Any:
        """The answer's JSON, or its bytes where it is none."""
        if self.token:
            fields["Authorization"] = f"Bearer {self.token}"
        if body is not None and not isinstance(body, bytes):
            body, fields["Content-Type"] = json.dumps(body).encode(), "application/json"
        request = urllib.request.Request(f"{self.url}/api/v1{path}", body, fields, method=method)
        try:
            answer = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as refused:
            refused.msg = f"{method} {path}: {refused.read()[:500]!r}"
            raise
        with answer:
            raw = answer.read()
            kind = answer.headers.get("Content-Type", "")
            return json.loads(raw) if "json" in kind else raw

    def get(self, path: str) -> Any:
        return self.ask("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        return self.ask("POST", path, {} if body is None else body)

    def file(self, version: str, path: str, body: bytes) -> None:
        self.ask("PUT", f"/versions/{version}/files/{quote(path)}", body)

    def commit(self, version: str, *changes: dict[str, Any], message: str = "") -> None:
        self.post(f"/versions/{version}/commits", {"changes": list(changes), "message": message})


def furnish(url: str) -> dict[str, Any]:
    """People, rights, versions with a history, trash, edges, and an upload that is not finished."""
    admin = Somebody(url, Somebody(url).post("/login", {"username": "admin", "password": PASSWORD})["token"])
    admin.post("/users", {"name": "ann", "password": PASSWORD, "email": "ann@example.org", "first_name": "Ann"})
    admin.post("/users", {"name": "ben", "password": PASSWORD})
    admin.post("/teams", {"name": "lab"})
    admin.ask("PUT", "/teams/lab/members/ann", {"role": "write"})
    admin.ask("PUT", "/teams/lab/members/ben", {"role": "read"})
    project = admin.post("/projects", {"name": "Birds of the south", "team": "lab", "slug": "birds"})["id"]
    made = {name: admin.post("/tokens", {"user": name, "name": "script", "scope": "write"}) for name in ("ann", "ben")}
    ann = Somebody(url, made["ann"]["token"])

    first = ann.post(
        "/versions",
        {
            "project": project,
            "name": "Pingüine 2024",
            "description": "Counted from the ship.",
            "tags": ["field", "2024"],
            "custom": {"ship": {"name": "Polarstern", "legs": [1, 2.5, None, True]}},
        },
    )["id"]
    ann.file(first, "counts/north.csv", b"island,count\nTorgersen,52\n")
    ann.file(first, "counts/south.csv", b"island,count\nDream,124\n")
    ann.file(first, "photos/ä b%c.bin", bytes(range(256)) * 300)
    ann.file(first, "empty", b"")
    ann.commit(first, {"op": "rename", "source": "counts", "target": "numbers", "recursive": True}, message="clearer")
    ann.commit(
        first,
        {"op": "describe", "path": "empty", "metadata": "nothing was seen"},
        {"op": "remove", "path": "numbers/south.csv"},
    )
    ann.file(first, "numbers/north.csv", b"island,count\nTorgersen,53\n")
    second = ann.post(f"/versions/{first}/copy")["id"]
    ann.file(second, "numbers/east.csv", b"island,count\nBiscoe,168\n")
    ann.post(f"/versions/{first}/freeze")
    third = ann.post(f"/versions/{second}/copy")["id"]
    ann.commit(third, {"op": "remove", "path": "numbers", "recursive": True})
    ann.post(f"/versions/{third}/trash", {"reason": "a mistake"})
    ann.post(f"/versions/{second}/restore", {"revision": 1})
    other = ann.post(
        "/versions", {"project": project, "name": "summary", "visibility": "public", "licence": "CC-BY-4.0"}
    )["id"]
    ann.file(other, "summary.txt", b"345 birds")
    ann.post("/relationships", {"source": other, "target": second, "verb": "derived from"})
    packed = _packed(ann, project)
    table = _table(ann, project)
    own = ann.post("/versions", {"name": "notes"})["id"]
    ann.file(own, "note.txt", b"mine")
    upload = _begun(ann)
    records = _records(ann, project)

    # Not for the worker of today: it only is to be there tomorrow.
    hook = {"name": "listener", "endpoint": "https://listener.example.org/", "enabled": False}
    hooked = _unless_unknown(lambda: admin.post("/projects/birds/webhooks", hook), "webhooks")

    versions = [first, second, third, other, own, *(one for one in (records, packed, table) if one)]
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "password": PASSWORD,
        "tokens": {name: one["token"] for name, one in made.items()},
        "upload": {"id": upload, "offset": 7, "rest": " of it"},
        "trashed": third,
        "hidden_from_ben": own,
        "records": records,
        "packed": packed,
        "table": table,
        "webhook": hooked and {"id": hooked["id"], "name": hook["name"], "endpoint": hook["endpoint"]},
        "versions": {version: _seen(ann, version) for version in versions},
        "graph": sorted(edge["verb"] for edge in ann.get(f"/relationships?version={other}")["rows"]),
    }


def _unless_unknown(work: Callable[[], Any], what: str) -> Any:
    """None where the program has no such thing."""
    try:
        return work()
    except urllib.error.HTTPError as refused:
        if refused.code not in (404, 405):
            raise
        print(f"without {what}: {refused.code}")
        return None


def _packed(who: Somebody, project: str) -> str | None:
    """A version whose files lie in one object, some of whose bytes nobody needs any more."""
    files = {f"small/{number}.txt": f"file number {number}".encode() for number in range(20)}
    body = b""
    for path, content in files.items():
        digest, name = hashlib.sha256(content).digest(), path.encode()
        head = struct.pack("<4sHQ32s", b"EnF1", len(name), len(content), digest) + name
        body += head + struct.pack("<I", zlib.crc32(head)) + content
    kind = {"Content-Type": "application/vnd.entrepot.frames"}
    sent = _unless_unknown(lambda: who.ask("PUT", f"/packs?project={project}", body, **kind), "packs")
    if sent is None:
        return None
    version = str(who.post("/versions", {"project": project, "name": "pack"})["id"])
    upload = sent["upload"]["id"]
    who.commit(
        version,
        *(
            {"op": "add", "path": one["name"], "upload": upload, "sha256": one["sha256"]}
            for one in sent["files"]
            if not one["name"].endswith("7.txt")
        ),
    )
    return version


def _table(who: Somebody, project: str) -> str | None:
    """A version of kind `table`, checked and converted."""
    return _ingested(who, project, "table", "weights", "weights.csv", b"bird,grams\n001,3750\n002,\n003,3250.5\n")


def _begun(who: Somebody) -> str:
    """The first 7 of 13 bytes of an upload, by tus."""
    fields = {"Tus-Resumable": "1.0.0", "Upload-Length": "13", "Content-Type": "application/offset+octet-stream"}
    fields["Authorization"] = f"Bearer {who.token}"
    request = urllib.request.Request(f"{who.url}/api/v1/uploads", b"the sum", fields, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.headers["Upload-Offset"] == "7"
        return str(answer.headers["Location"]).rpartition("/")[2]


def _records(who: Somebody, project: str) -> str | None:
    """A version of kind `records`, where the program has them."""
    return _ingested(who, project, "records", "sightings", "all.ndjson", b'{"n": 1}\n{"n": 2}\n')


def _ingested(who: Somebody, project: str, kind: str, name: str, file: str, content: bytes) -> str | None:
    """A version whose content was checked, where the program can."""
    wanted = {"project": project, "name": name, "kind": kind, "slots": [{"file_name": file}]}
    try:
        made = who.post("/versions", wanted)
        target = made["slots"][0]
        slot = urllib.request.Request(target["url"], content, target["headers"], method="PUT")
        urllib.request.urlopen(slot, timeout=60).read()
        task = who.post(f"/versions/{made['id']}/ingest")["id"]
    except urllib.error.HTTPError as refused:
        print(f"without {kind}: {refused.code} {refused.read()[:200]!r}")
        return None
    while (state := who.get(f"/tasks/{task}?wait=10")["state"]) not in ("done", "failed", "cancelled"):
        pass
    if state != "done":
        print(f"without {kind}: the check is {state}")
        return None
    return str(made["id"])


def _seen(who: Somebody, version: str) -> dict[str, Any]:
    """A version as its reader sees it: the record, and each revision's files by SHA-256."""
    record = who.get(f"/versions/{version}")
    revisions = {}
    for revision in who.get(f"/versions/{version}/revisions?limit=1000")["rows"]:
        number = revision["number"]
        entries = who.get(f"/versions/{version}/entries?revision={number}&limit=1000")["rows"]
        revisions[str(number)] = {
            "message": revision["message"],
            "author": revision["author"],
            "files": {
                entry["path"]: [_digest(who, version, number, entry["path"]), entry["metadata"]] for entry in entries
            },
        }
    return {"record": {name: record[name] for name in RECORD}, "revisions": revisions}


def _digest(who: Somebody, version: str, revision: int, path: str) -> str:
    # Bytes also when the file's type is JSON.
    request = urllib.request.Request(f"{who.url}/api/v1/versions/{version}/files/{quote(path)}?revision={revision}")
    request.add_header("Authorization", f"Bearer {who.token}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return hashlib.sha256(answer.read()).hexdigest()


def _ready(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    url = next(found[1] for line in server.stdout if (found := re.search(r" at (http://\S+)$", line.strip())))
    while True:
        try:
            urllib.request.urlopen(f"{url}/readyz", timeout=10).read()
            return url
        except OSError:
            time.sleep(0.1)


def main(name: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        settings = [word for one in CHEAP for word in ("--set", one)]
        command = [sys.executable, "-m", "entrepot.server", "serve", "--data", str(data), "--port", "0", *settings]
        environ = {**os.environ, "ENTREPOT_ADMIN_PASSWORD": PASSWORD}
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ)
        try:
            seen = furnish(_ready(server))
        finally:
            server.terminate()
            server.communicate(timeout=60)
        HERE.mkdir(exist_ok=True)
        with tarfile.open(HERE / f"{name}.tar.gz", "w:gz") as packed:
            packed.add(data, "data", filter=lambda one: None if one.name.startswith("data/run/") else one)
        (HERE / f"{name}.json").write_text(json.dumps(seen, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
