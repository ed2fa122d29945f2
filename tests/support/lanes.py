"""Clients that work at a server while it is killed, and what they know must be true of it afterwards.

Whatever a lane asks for has a *before* and an *after*, both known in advance. Acknowledged: it must be the after, for
ever. No answer: it must be one of the two as a whole, and the lane goes on from that one. Refused: nothing here may be.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2

API = "/api/v1"
TUS = {"Tus-Resumable": "1.0.0"}
BLOCK = 32 << 10
#: A server that loses its supervisor takes some seconds to go.
PATIENCE_S = 60.0


class Broken(Exception):
    """The answer did not come: nobody knows whether it was done."""


class Ended(Protocol):
    """Whether the server is gone; `threading.Event` is one."""

    def is_set(self) -> bool: ...
    def wait(self, timeout_s: float) -> bool: ...


class Burning(Protocol):
    """What a lane tells of its steps, and asks of the server."""

    burnt: Ended

    def tick(self, *, asked: bool = False) -> None: ...
    def took(self, seconds: float) -> None: ...


@dataclass
class Unlit:
    """Burns by itself: the server dies at a step of its own."""

    burnt: Ended

    def tick(self, *, asked: bool = False) -> None: ...

    def took(self, seconds: float) -> None: ...


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
        self.asked = 0
        self.tag = f"{seed:x}-{number}"
        self._serial = 0
        self.contents: dict[str, bytes] = {}
        self._http: httpx2.Client | None = None
        self._fuse: Burning | None = None

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
        self.asked += 1
        since = time.monotonic()
        try:
            answer = http.request(
                method, f"{API}{path}", content=blocks(), headers={"Content-Length": str(len(body)), **fields}
            )
        except httpx2.HTTPError as error:
            if not fuse.burnt.wait(PATIENCE_S):
                raise AssertionError(f"{method} {path} broke although nobody was killed: {error!r}") from error
            raise Broken from error
        if answer.status_code in (500, 503) and fuse.burnt.wait(PATIENCE_S):
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
        if self.contents and self.chance.random() < 0.15:
            return self.chance.choice(list(self.contents.values()))
        return self.chance.randbytes(self.chance.choice((0, 1, self.chance.randrange(2, most))))

    def path(self) -> str:
        self._serial += 1
        return f"d{self._serial % 4}/f{self._serial}.bin"

    def _keep(self, content: bytes) -> str:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self.contents[digest] = content
        return digest

    # --- operations -------------------------------------------------------------------------------------------------

    def work(self, http: httpx2.Client, fuse: Burning) -> None:
        """Operation after operation until the server is gone."""
        self._http, self._fuse = http, fuse
        try:
            while not fuse.burnt.is_set():
                self._one()
        except Broken:
            pass

    def attempt(self, operation: str, http: httpx2.Client, fuse: Burning) -> bool:
        """One operation by its name; False when the world does not allow it now and nothing was asked.

        Raises:
            Broken: No answer came.
        """
        self._http, self._fuse = http, fuse
        before, chosen = self.asked, OPERATIONS[operation]
        if chosen.on is None:
            chosen.work(self)
        else:
            there = [one for one, told in self.world.items() if told.trashed is (chosen.on == "trashed")]
            if there:
                chosen.work(self, self.chance.choice(there))
        return self.asked > before

    def prepare(self, operation: str, http: httpx2.Client, fuse: Burning) -> None:
        """Do something after which the operation may be allowed."""
        self._http, self._fuse = http, fuse
        before = self.asked
        active = [one for one, told in self.world.items() if not told.trashed]
        if operation == "finish" and active:
            self._tus(active[0])
        elif operation in ("reinstate", "purge"):
            self._trash(self.chance.choice(active)) if len(active) > 2 else self._create()
        if self.asked == before:
            self._one()

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
            gone = self.chance.choice(trashed)
            works.append((3, lambda _: self.chance.choice((self._reinstate, self._purge))(gone)))
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
            metadata = {"Upload-Metadata": "sha256 " + base64_of(hashlib.sha256(content).hexdigest())}
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
            fields["Upload-Checksum"] = "sha256 " + base64_of(hashlib.sha256(body).digest())
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
        # What has a name of its own comes first, so that no number takes it.
        leaving = self.world[source].head
        head = {**leaving, **into.head}
        for path, digest in sorted(leaving.items(), key=lambda item: item[0].encode()):
            if head[path] != digest:
                stem, _, suffix = path.rpartition(".")
                k = 1
                while f"{stem}-{k:04d}.{suffix}" in head:
                    k += 1
                head[f"{stem}-{k:04d}.{suffix}"] = digest
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

    def _reinstate(self, version: str) -> None:
        after = copy.deepcopy(self.world)
        after[version].trashed = False
        self._change("reinstate", after, "POST", f"/versions/{version}/reinstate", {})

    def _purge(self, version: str) -> None:
        after = copy.deepcopy(self.world)
        del after[version]
        self._change("purge", after, "POST", f"/versions/{version}/purge", {})

    def _finish(self) -> None:
        """Send all that is left of an upload."""
        upload = next((one for one in self.uploads if not one.whole), None)
        if upload is not None:
            self.send_chunk(upload, len(upload.content), checked=self.chance.random() < 0.3)


@dataclass(frozen=True)
class Operation:
    work: Callable[..., None]
    #: The kind of version it is done to, `active` or `trashed`; None is none.
    on: str | None = "active"


OPERATIONS = {
    "create": Operation(Lane._create, None),
    "finish": Operation(Lane._finish, None),
    "put": Operation(Lane._put),
    "commit": Operation(Lane._commit),
    "copy": Operation(Lane._copy),
    "merge": Operation(Lane._merge),
    "restore": Operation(Lane._restore),
    "trash": Operation(Lane._trash),
    "reinstate": Operation(Lane._reinstate, "trashed"),
    "purge": Operation(Lane._purge, "trashed"),
}


def base64_of(value: str | bytes) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()
