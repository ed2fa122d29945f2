"""Clients that work at a server while it is killed, and what must be true of it afterwards.

    Campaign ─┬─ Lane, Lane, Lane    each a client with a project of its own, one operation at a time
              ├─ Fuse                burns with every block sent and every answer; then it kills
              └─ examine             looks into the data folder itself

Whatever a lane asks for has a *before* and an *after*, both known in advance. Acknowledged: it must be the after, for
ever. No answer: it must be one of the two as a whole, and the lane goes on from that one. Refused: nothing here may be.

Where a kill hits depends on how threads take turns, so a seed gives the same plan and not the same instants.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import hashlib
import json
import math
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.support.server import (
    ADMIN_PASSWORD,
    CHEAP,
    Server,
    command,
    descendants,
    environ,
    is_alive,
    running_server,
    wait_until,
)

API = "/api/v1"
TUS = {"Tus-Resumable": "1.0.0"}
BLOCK = 32 << 10
#: What a first start makes in all, as `_steps` counts: a kill falls somewhere before.
STEPS = 420


class Broken(Exception):
    """The answer did not come: nobody knows whether it was done."""


class Fuse:
    """Kills at the n-th event of any client. Some kills wait a part of what such a request usually takes, so that they
    hit the server while it works on it and not only while it reads."""

    def __init__(self, chance: random.Random, ticks: int, kill: Callable[[], None]) -> None:
        self._chance = chance
        self._left = ticks
        self._kill = kill
        self._lock = threading.Lock()
        self._usual_s = 0.05
        self.burnt = threading.Event()

    def tick(self, *, asked: bool = False) -> None:
        """Something happened; `asked` says that the server has a whole request now and works on it."""
        with self._lock:
            self._left -= 1
            if self._left != 0:
                return
            part = self._chance.random() * 1.2 if asked else 0.0
        self.burnt.wait(part * self._usual_s)
        self._kill()
        self.burnt.set()

    def took(self, seconds: float) -> None:
        with self._lock:
            self._usual_s += (seconds - self._usual_s) / 4


@dataclass
class Told:
    """What a lane knows of one version."""

    name: str
    revisions: list[dict[str, str]]
    trashed: bool = False

    @property
    def head(self) -> dict[str, str]:
        return self.revisions[-1]

    def canonical(self) -> tuple[Any, ...]:
        return self.name, self.trashed, tuple(tuple(sorted(one.items())) for one in self.revisions)


World = dict[str, Told]
#: Stands for the id of a version whose making was not answered.
UNNAMED = "?"


@dataclass
class Upload:
    """A restartable upload: `told` bytes were acknowledged, `sent` were at most under way."""

    content: bytes
    id: str = ""
    told: int = 0
    sent: int = 0

    @property
    def whole(self) -> bool:
        return self.told == len(self.content)


@dataclass
class Doubt:
    """An operation without an answer, and the request to repeat under its key, if there is one."""

    what: str
    after: World
    repeat: Callable[[httpx2.Client], httpx2.Response] | None = None


class Lane:
    """One client with a project of its own, and what it was told."""

    def __init__(self, number: int, seed: int) -> None:
        self.number = number
        self.chance = random.Random(seed)
        self.project = ""
        self.world: World = {}
        self.uploads: list[Upload] = []
        self.doubt: Doubt | None = None
        self.counts: Counter[str] = Counter()
        self.tag = f"{seed:x}-{number}"
        self._serial = 0
        self._contents: dict[str, bytes] = {}
        self._http: httpx2.Client | None = None
        self._fuse: Fuse | None = None

    # --- asking -----------------------------------------------------------------------------------------------------

    def _ask(self, method: str, path: str, body: bytes, sent: Upload | None = None, **fields: str) -> httpx2.Response:
        """One request, its body in blocks.

        Raises:
            Broken: No answer came.
        """
        http, fuse = self._http, self._fuse
        assert http is not None
        assert fuse is not None

        def blocks() -> Iterator[bytes]:
            for start in range(0, len(body), BLOCK):
                block = body[start : start + BLOCK]
                if sent is not None:
                    sent.sent = max(sent.sent, sent.told + start + len(block))
                yield block
                fuse.tick()
            fuse.tick(asked=True)

        fuse.tick()
        since = time.monotonic()
        try:
            answer = http.request(
                method, f"{API}{path}", content=blocks(), headers={"Content-Length": str(len(body)), **fields}
            )
        except httpx2.HTTPError as error:
            if not fuse.burnt.wait(30):
                raise AssertionError(f"{method} {path} broke although nobody was killed: {error!r}") from error
            raise Broken from error
        if answer.status_code in (500, 503) and fuse.burnt.wait(5):
            # A process that is about to die may still tell of it.
            raise Broken
        fuse.took(time.monotonic() - since)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        fuse.tick()
        return answer

    def _change(self, what: str, after: World, method: str, path: str, body: Any) -> httpx2.Response:
        """An operation that makes `after` of the world, wholly or not at all."""
        data: bytes = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields: dict[str, str] = {}
        keyed = not isinstance(body, bytes)
        if keyed:
            key = str(uuid.UUID(int=self.chance.getrandbits(128)))
            fields = {"Content-Type": "application/json", "Idempotency-Key": key}
        again = keyed and self.chance.random() < 0.5
        self.doubt = Doubt(
            what,
            after,
            (lambda http: http.request(method, f"{API}{path}", content=data, headers=fields)) if again else None,
        )
        answer = self._ask(method, path, data, **fields)
        self.doubt = None
        self.counts[what] += 1
        if UNNAMED in after:
            after[answer.json()["id"]] = after.pop(UNNAMED)
        self.world = after
        return answer

    def fresh(self, most: int = 200_000) -> bytes:
        """Content that nobody has; now and then some that this lane sent before."""
        if self._contents and self.chance.random() < 0.15:
            return self.chance.choice(list(self._contents.values()))
        return self.chance.randbytes(self.chance.choice((0, 1, self.chance.randrange(2, most))))

    def path(self) -> str:
        self._serial += 1
        return f"d{self._serial % 4}/f{self._serial}.bin"

    def _keep(self, content: bytes) -> str:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self._contents[digest] = content
        return digest

    # --- operations -------------------------------------------------------------------------------------------------

    def work(self, http: httpx2.Client, fuse: Fuse) -> None:
        """Operation after operation until the server is gone."""
        self._http, self._fuse = http, fuse
        try:
            while not fuse.burnt.is_set():
                self._one()
        except Broken:
            pass

    def _one(self) -> None:
        active = [one for one, told in self.world.items() if not told.trashed]
        trashed = [one for one, told in self.world.items() if told.trashed]
        if len(active) < 2:
            self._create()
            return
        works: list[tuple[int, Callable[[str], None]]] = [
            (4, self._tus),
            (3, self._put),
            (5, self._commit),
            (2, self._copy),
            (3, self._merge),
            (2, self._restore),
            (1, self._trash),
        ]
        if trashed:
            works.append((3, lambda _: self._untrash(self.chance.choice(trashed))))
        [(_, chosen)] = self.chance.choices(works, [weight for weight, _ in works])
        chosen(self.chance.choice(active))

    def _create(self) -> None:
        self._serial += 1
        name = f"Line {self.tag} {self._serial}"
        after = {**self.world, UNNAMED: Told(name, [{}])}
        self._change("create", after, "POST", "/versions", {"name": name, "project": self.project})

    def _after(self, version: str, head: dict[str, str]) -> World:
        after = copy.deepcopy(self.world)
        after[version].revisions.append(head)
        return after

    def _put(self, version: str) -> None:
        content, told = self.fresh(), self.world[version]
        path = self.chance.choice(list(told.head)) if told.head and self.chance.random() < 0.3 else self.path()
        digest = self._keep(content)
        if told.head.get(path) == digest:
            return
        after = self._after(version, {**told.head, path: digest})
        self._change("put", after, "PUT", f"/versions/{version}/files/{path}", content)

    def _tus(self, _version: str) -> None:
        """Begin an upload, or send the next chunk of one; the last chunk finishes it."""
        open_ones = [one for one in self.uploads if not one.whole]
        if not open_ones:
            content = self.chance.randbytes(self.chance.randrange(1, 1_500_000))
            metadata = {"Upload-Metadata": "sha256 " + _base64(hashlib.sha256(content).hexdigest())}
            length = str(len(content))
            answer = self._ask("POST", "/uploads", b"", **TUS, **{"Upload-Length": length}, **metadata)
            self.uploads.append(Upload(content, answer.headers["location"].rpartition("/")[2]))
            self.counts["upload begun"] += 1
            return
        upload = open_ones[0]
        self.send_chunk(upload, self.chance.randrange(1, 700_000), checked=self.chance.random() < 0.3)

    def send_chunk(self, upload: Upload, size: int, *, checked: bool) -> None:
        body = upload.content[upload.told : upload.told + size]
        fields = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(upload.told), **TUS}
        if checked and body:
            fields["Upload-Checksum"] = "sha256 " + _base64(hashlib.sha256(body).digest())
        answer = self._ask("PATCH", f"/uploads/{upload.id}", body, sent=upload, **fields)
        upload.told = upload.sent = int(answer.headers["upload-offset"])
        self.counts["finish" if upload.whole else "chunk"] += 1

    def _commit(self, version: str) -> None:
        """Several changes at once: what goes, what gets another name, what comes."""
        told = self.world[version]
        head, changes = dict(told.head), []
        there = self.chance.sample(sorted(head), min(len(head), 2))
        if there and self.chance.random() < 0.5:
            gone = there.pop()
            del head[gone]
            changes.append({"op": "remove", "path": gone})
        if there and self.chance.random() < 0.5:
            old, new = there.pop(), self.path()
            head[new] = head.pop(old)
            changes.append({"op": "rename", "source": old, "target": new})
        for upload in [one for one in self.uploads if one.whole][:3]:
            path = self.path()
            head[path] = self._keep(upload.content)
            changes.append({"op": "add", "path": path, "upload": upload.id})
        known = sorted({digest for one in self.world.values() for digest in one.head.values()})
        for digest in self.chance.sample(known, min(len(known), 3)):
            path = self.path()
            head[path] = digest
            changes.append({"op": "add", "path": path, "sha256": digest})
        if head == told.head:
            return
        body: dict[str, Any] = {"changes": changes}
        if self.chance.random() < 0.5:
            body["expected"] = len(told.revisions) - 1
        self._change("commit", self._after(version, head), "POST", f"/versions/{version}/commits", body)
        self.uploads = [one for one in self.uploads if not one.whole]

    def _copy(self, version: str) -> None:
        told = self.world[version]
        if len(told.revisions) < 2 or len(self.world) > 9:
            return
        after = {**self.world, UNNAMED: Told(told.name, [{}, dict(told.head)])}
        self._change("copy", after, "POST", f"/versions/{version}/copy", {})

    def _merge(self, version: str) -> None:
        into = self.world[version]
        found = [
            one
            for one, told in self.world.items()
            if one != version and not told.trashed and not told.head.keys() <= into.head.keys()
        ]
        if not found:
            return
        source, how = self.chance.choice(found), self.chance.choice(("keep", "delete", "hard"))
        head = dict(into.head)
        for path, digest in self.world[source].head.items():
            if head.get(path, digest) != digest:
                stem, _, suffix = path.rpartition(".")
                k = 1
                while f"{stem}-{k:04d}.{suffix}" in head:
                    k += 1
                path = f"{stem}-{k:04d}.{suffix}"
            head[path] = digest
        after = self._after(version, head)
        if how == "delete":
            after[source].trashed = True
        elif how == "hard":
            del after[source]
        body = {"source": source, "delete": how == "delete", "hard": how == "hard"}
        self._change(f"merge {how}", after, "POST", f"/versions/{version}/merge", body)

    def _restore(self, version: str) -> None:
        told = self.world[version]
        others = [n for n, one in enumerate(told.revisions) if one != told.head]
        if others:
            number = self.chance.choice(others)
            after = self._after(version, dict(told.revisions[number]))
            self._change("restore", after, "POST", f"/versions/{version}/restore", {"revision": number})

    def _trash(self, version: str) -> None:
        after = copy.deepcopy(self.world)
        after[version].trashed = True
        self._change("trash", after, "POST", f"/versions/{version}/trash", {})

    def _untrash(self, version: str) -> None:
        after = copy.deepcopy(self.world)
        if self.chance.random() < 0.5:
            after[version].trashed = False
            self._change("reinstate", after, "POST", f"/versions/{version}/reinstate", {})
        else:
            del after[version]
            self._change("purge", after, "POST", f"/versions/{version}/purge", {})

    # --- after the kill ---------------------------------------------------------------------------------------------

    def check(self, http: httpx2.Client) -> None:
        """Compare everything with what was acknowledged; of what was not answered, learn whether it happened."""
        doubt, self.doubt = self.doubt, None
        done_now = False
        if doubt is not None and doubt.repeat is not None:
            again = doubt.repeat(http)
            # The key may still be held by the process that died; what was purged cannot be shown. Never twice.
            code = again.json()["code"] if again.status_code == 409 else ""
            held, told = code == "in_progress", code == "carried_out"
            assert again.is_success or held or told, f"{doubt.what} again: {again.status_code} {again.text}"
            done_now = again.is_success or told
            self.counts["repeated: " + ("held" if held else "told" if told else "answered")] += 1
        seen = self._observe(http)
        canonical = {one: told.canonical() for one, told in seen.items()}
        known = {one: told.canonical() for one, told in self.world.items()}
        if doubt is None:
            assert canonical == known, f"acknowledged facts changed: {_difference(known, canonical)}"
        else:
            after = {one: told.canonical() for one, told in doubt.after.items()}
            strangers = [one for one in seen if one not in after]
            if UNNAMED in after and len(strangers) == 1:
                after[strangers[0]] = after.pop(UNNAMED)
            assert canonical == after or (canonical == known and not done_now), (
                f"half of a {doubt.what}: {_difference(after, canonical)}"
            )
            self.counts[f"unanswered: {'done' if canonical == after else 'not done'}"] += 1
        self.world = seen
        self._read(http)
        self._check_uploads(http)

    def _observe(self, http: httpx2.Client) -> World:
        found: World = {}
        for row in _pages(http, "/versions", project=self.project, trashed="include"):
            revisions = []
            for number in range(row["revision"] + 1):
                rows = _pages(http, f"/versions/{row['id']}/entries", revision=number)
                revisions.append({one["path"]: one["sha256"] for one in rows})
            found[row["id"]] = Told(row["name"], revisions, row["trash"] is not None)
        return found

    def _read(self, http: httpx2.Client) -> None:
        """Read every content once, through the newest revision that shows it."""
        read: set[str] = set()
        for version, told in self.world.items():
            for number in range(len(told.revisions) - 1, -1, -1):
                for path, digest in told.revisions[number].items():
                    if digest in read:
                        continue
                    read.add(digest)
                    answer = http.get(f"{API}/versions/{version}/files/{path}", params={"revision": number})
                    assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
                    assert answer.content == self._contents[digest], f"{path} at {number} has other bytes"
        self.counts["contents read back"] += len(read)

    def _check_uploads(self, http: httpx2.Client) -> None:
        for upload in self.uploads:
            answer = http.head(f"{API}/uploads/{upload.id}", headers=TUS)
            assert answer.status_code == 200, f"upload {upload.id} is lost: {answer.status_code}"
            offset = int(answer.headers["upload-offset"])
            assert upload.told <= offset <= max(upload.sent, upload.told), (upload.told, offset, upload.sent)
            # All bytes may be here and not yet be named: sending nothing at the end finishes it.
            named = http.get(f"{API}/uploads/{upload.id}").json()["state"] == "finished"
            assert named or not upload.whole, f"upload {upload.id} was acknowledged as whole"
            if offset == len(upload.content) and not named:
                fields = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset), **TUS}
                answer = http.request("PATCH", f"{API}/uploads/{upload.id}", content=b"", headers=fields)
                assert answer.status_code == 204, answer.text
                self.counts["named after the kill"] += 1
            upload.told = upload.sent = offset
            self.counts["uploads continued"] += 1


def _base64(value: str | bytes) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


def _pages(http: httpx2.Client, path: str, **asked: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    while True:
        answer = http.get(f"{API}{path}", params={"limit": 100, **asked})
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        page = answer.json()
        rows += page["rows"]
        if not page["next"]:
            return rows
        asked["cursor"] = page["next"]


def _difference(wanted: dict[str, Any], found: dict[str, Any]) -> str:
    names = [one for one in {**wanted, **found} if wanted.get(one) != found.get(one)]
    return "; ".join(f"{one}: wanted {wanted.get(one)}, found {found.get(one)}"[:2000] for one in names)


# --- the folder -------------------------------------------------------------------------------------------------------


#: What may never be: each finds nothing, or the catalogue says two things at once or names what is not there.
_NEVER = {
    "two datasets of one name": "SELECT project, name FROM dataset GROUP BY 1, 2 HAVING count(*) > 1",
    "two datasets of one slug": "SELECT project, slug FROM dataset GROUP BY 1, 2 HAVING count(*) > 1",
    "two active versions of one number": (
        "SELECT dataset, number FROM version WHERE trashed_at IS NULL AND number IS NOT NULL"
        " GROUP BY 1, 2 HAVING count(*) > 1"
    ),
    "a dataset without a version": "SELECT id FROM dataset WHERE id NOT IN (SELECT dataset FROM version)",
    "two live contents of one digest": "SELECT sha256 FROM content WHERE state < 2 GROUP BY 1 HAVING count(*) > 1",
    "a version whose newest revision is missing": (
        "SELECT v.id FROM version v LEFT JOIN revision r ON r.version = v.id AND r.num = v.rev WHERE r.num IS NULL"
    ),
    "a version with a gap in its revisions": (
        "SELECT v.id FROM version v JOIN revision r ON r.version = v.id"
        " GROUP BY v.id, v.rev HAVING count(*) <> v.rev + 1"
    ),
    "a revision that counts other entries than it has": """
        SELECT r.version, r.num FROM revision r WHERE r.strand IS NOT NULL AND r.n_entries <> (
          (SELECT count(*) FROM live l WHERE l.strand = r.strand AND l.vfrom <= r.seq)
          + (SELECT count(*) FROM past p WHERE p.strand = r.strand AND p.vfrom <= r.seq AND r.seq < p.vto))
    """,
    "a finished upload without content": "SELECT id FROM upload WHERE state = 'finished' AND content IS NULL",
    "an extent outside its object": (
        "SELECT e.content FROM extent e JOIN object o ON o.id = e.object WHERE e.off + e.len > o.size"
    ),
}


@dataclass
class Examined:
    contents: int = 0
    bytes: int = 0


def examine(data: Path, *, dead: bool) -> Examined:
    """Look into a data folder: no damage, no contradiction, no fact without its bytes.

    Args:
        dead: Nobody has it open, so that the files are looked at exactly as the kill left them.
    """
    found = Examined()
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(_snapshot(data, Path(folder), dead)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        for what, query in _NEVER.items():
            rows = db.execute(query).fetchall()
            assert rows == [], f"{what}: {rows}"
        for content, sha256, size in db.execute("SELECT id, sha256, size FROM content WHERE state < 2").fetchall():
            digest, length = hashlib.sha256(), 0
            for key, whole, offset, part in db.execute(
                "SELECT o.key, o.size, e.off, e.len FROM extent e JOIN object o ON o.id = e.object"
                " WHERE e.content = ? ORDER BY e.n",
                (content,),
            ).fetchall():
                place = data / "objects" / key[:2] / key
                assert place.is_file(), f"content {content} is a fact without bytes"
                assert place.stat().st_size == whole
                with place.open("rb") as stored:
                    stored.seek(offset)
                    digest.update(stored.read(part))
                length += part
            assert (length, digest.digest()) == (size, sha256), f"content {content} has other bytes"
            found.contents += 1
            found.bytes += size
    return found


def _snapshot(data: Path, folder: Path, dead: bool) -> sqlite3.Connection:
    """The catalogue apart from the server's own files: opening those would repair them before the server does."""
    target = folder / "catalog.sqlite"
    if dead:
        for name in ("catalog.sqlite", "catalog.sqlite-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(data / name, folder / name)
        return sqlite3.connect(target)
    into = sqlite3.connect(target)
    with contextlib.closing(sqlite3.connect(data / "catalog.sqlite", timeout=60)) as live:
        live.backup(into)
    return into


# --- the campaign -----------------------------------------------------------------------------------------------------


@dataclass
class Report:
    """What was done and found; every number is counted, none is computed."""

    kills: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    examined: Examined = field(default_factory=Examined)

    def add(self, other: Report) -> None:
        self.kills += other.kills
        self.operations += other.operations
        self.examined.contents += other.examined.contents
        self.examined.bytes += other.examined.bytes


def kill_tree(server: Server) -> None:
    """kill -9 of a server and of everything it started."""
    pids = [server.pid, *server.children()]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    server.process.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in pids), "killed processes are gone")


def kill_answering(server: Server) -> None:
    """kill -9 of the processes that answer; their parent starts others."""
    for pid in server.children():
        with contextlib.suppress(ProcessLookupError, OSError):
            if b"spawn_main" in (Path("/proc") / str(pid) / "cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)


class Campaign:
    """A data folder with clients at work, killed again and again.

    Args:
        data: The folder of the server; it need not exist.
    """

    def __init__(self, data: Path, seed: int, *, lanes: int = 3) -> None:
        self.data = data
        self.chance = random.Random(seed)
        self.lanes = [Lane(number, seed * 100 + number) for number in range(lanes)]
        self.report = Report()
        self._token = ""

    def kill_a_start(self) -> None:
        """Kill the very first start somewhere between its first file and the last step of its migrations."""
        steps = self.chance.randrange(1, STEPS)
        self.data.mkdir(exist_ok=True)
        said = self.data / "first-start.log"
        given = [word for one in CHEAP for word in ("--set", one)]
        with said.open("wb") as out:
            process = subprocess.Popen(
                command("serve", "--data", str(self.data), "--port", "0", *given),
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environ(),
            )
        pause = threading.Event()
        while process.poll() is None and _steps(self.data) < steps and b" at http" not in said.read_bytes():
            pause.wait(0.001)
        # The parent first: it would end by itself, with an error, if it saw its child die.
        for pid in [process.pid, *descendants(process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, said.read_text()
        self.report.kills["first start"] += 1
        if (self.data / "catalog.sqlite").exists():
            with (
                tempfile.TemporaryDirectory() as folder,
                contextlib.closing(_snapshot(self.data, Path(folder), dead=True)) as db,
            ):
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    def run(self, rounds: list[str], *, until: float = math.inf) -> Report:
        """Serve and kill, `tree` or `answering` for each round, and check after each; ends with a server that lives.

        Args:
            until: By the monotonic clock: from then on no further round begins.
        """
        waiting = list(rounds)
        while True:
            if time.monotonic() > until:
                waiting.clear()
            with running_server(self.data) as server:
                self._check(server)
                while waiting and waiting[0] == "answering":
                    waiting.pop(0)
                    self._round(server, kill_answering)
                    self.report.kills["answering process"] += 1
                    wait_until(lambda url=server.url: _answers(url), "another process answers")
                    self._examine(dead=False)
                    self._check(server)
                if not waiting:
                    self._collect()
                    return self.report
                waiting.pop(0)
                self._round(server, kill_tree)
                self.report.kills["whole server"] += 1
            self._examine(dead=True)

    def _examine(self, *, dead: bool) -> None:
        found = examine(self.data, dead=dead)
        self.report.examined.contents += found.contents
        self.report.examined.bytes += found.bytes

    def _collect(self) -> None:
        for lane in self.lanes:
            self.report.operations += lane.counts

    def _client(self, server: Server) -> httpx2.Client:
        if not self._token:
            with server.client() as http:
                answer = http.post(f"{API}/login", json={"username": "admin", "password": ADMIN_PASSWORD})
                assert answer.is_success, answer.text
                self._token = answer.json()["token"]
        return server.client(self._token)

    def _check(self, server: Server) -> None:
        with self._client(server) as http:
            for lane in self.lanes:
                if not lane.project:
                    made = http.post(f"{API}/projects", json={"name": f"Lane {lane.tag}"})
                    assert made.status_code == 201, made.text
                    lane.project = made.json()["id"]
                lane.check(http)

    def _round(self, server: Server, kill: Callable[[Server], None]) -> None:
        """All lanes at work until the fuse has burnt down."""
        fuse = Fuse(self.chance, self.chance.randrange(30, 400), lambda: kill(server))
        wrong: list[BaseException] = []

        def work(lane: Lane) -> None:
            try:
                with self._client(server) as http:
                    lane.work(http, fuse)
            except BaseException as error:
                wrong.append(error)

        threads = [threading.Thread(target=work, args=(lane,)) for lane in self.lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if wrong:
            raise wrong[0]


def _steps(data: Path) -> int:
    """How far a first start is: what it has made so far, and pages written."""
    steps = 0
    for name in ("serve.lock", "secret.key", "catalog.sqlite", "staging"):
        steps += (data / name).exists()
    with contextlib.suppress(OSError):
        steps += (data / "catalog.sqlite-wal").stat().st_size // 4096
    with contextlib.suppress(OSError):
        steps += sum(1 for _ in (data / "objects").iterdir())
    return steps


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", timeout=10).status_code == 200
    except httpx2.HTTPError:
        return False
