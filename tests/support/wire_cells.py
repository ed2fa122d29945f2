"""What may happen on the way × what is asked for: one request of an operation is harmed, and both ends are looked at.

    world = a project of its own at a real server, with a second way to it that nothing harms
    before, after                    what everybody can see, without and with the operation done
    act, while one request is hit    at a request that chance chose, of all those that the operation makes

Then, whatever the operation said of itself:

- what can be seen is `before` or `after`, never between; `after`, if it said that it was done (exit code 0)
- every byte that can be seen is read, and right; what was written here is right or has no name of its own
- an upload is at least as far as its sender was told
- done again by whoever heard nothing of it, it is `after`, once

Operations are the command line's own where there is such a command, with its exit code, and the SDK's elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import random
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final, Literal

import httpx2
from sqlalchemy import update

from entrepot.catalog.database import Catalog
from entrepot.catalog.schema import token as token_rows
from entrepot.cli import main
from entrepot.client.client import Client
from entrepot.client.journal import Journal
from entrepot.client.transfer import BytesSource, Sender
from entrepot.model import ids
from entrepot.model.errors import EntrepotError
from entrepot.model.ids import Noun
from entrepot.wire.messages.entries import Add, Remove, Rename
from tests.support.cell_world import file_size_limit
from tests.support.message_proxy import HARMS, Harm, MessageProxy, Plan, message_proxy
from tests.support.s3 import s3_server
from tests.support.server import ADMIN_PASSWORD, running_server, wait_until

__all__ = ["WIRE_COLUMNS", "WIRE_OPERATIONS", "Ground", "WireCells", "bucket_ground", "ground", "means_something"]

API: Final = "/api/v1"
#: A tus upload in these tests has several requests.
CHUNK: Final = 64 << 10
_numbers = count(1)

Sight = tuple[Any, ...]
"""Of each version its name, number and whether it is in the trash, and of each revision every path with the label of
its bytes; and what lies in the folder here, if the operation is one that fetches."""


@dataclass
class Ground:
    """A server, and the ways to it.

    Args:
        data: Its folder, for what only an operator can do.
        token: Of an administrator.
        bucket: The harmed way to its bucket, if it has one that clients can reach.
    """

    url: str
    data: Path
    token: str
    folder: Path
    plan: Plan
    way: MessageProxy
    bucket: MessageProxy | None = None

    def expire(self, token: str) -> None:
        """The time of a token is over."""
        past = datetime.now(UTC) - timedelta(seconds=1)
        done = update(token_rows).where(token_rows.c.uid == ids.decode(Noun.TOKEN, token)).values(expires_at=past)
        place, run = self.data / "catalog.sqlite", self.data / "run"
        with contextlib.closing(Catalog.open(place, clock=lambda: datetime.now(UTC), gate_dir=run)) as catalog:
            changed = catalog.write(lambda conn: conn.execute(done).rowcount)
        assert changed == 1


class Failed(Exception):
    """The operation said so."""


@dataclass
class World:
    """A project, what is in it, and whoever works with it."""

    ground: Ground
    folder: Path
    chance: random.Random
    desk: Client
    project: str = ""
    token: str = ""
    token_id: str = ""
    #: Whether signed addresses of the product are good for a second only.
    brief: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    #: The signed address that is in use.
    address: str = ""

    def __post_init__(self) -> None:
        made = self.desk.projects.create(f"Cell {os.getpid()} {next(_numbers)}")
        self.project = made.slug
        self.renew()

    def renew(self) -> None:
        """A new token for whoever works here."""
        made = self.desk.tokens.create(scope="admin", expires_in_s=3600)
        self.token, self.token_id = made.token, made.id

    def bytes(self, label: str, size: int = 3000) -> bytes:
        """Bytes that nobody else has; the same ones for a label."""
        if label not in self.bodies:
            self.bodies[label] = self.chance.randbytes(size)
            self.labels["sha256:" + hashlib.sha256(self.bodies[label]).hexdigest()] = label
        return self.bodies[label]

    def tree(self, files: Mapping[str, int], folder: str = "tree") -> Path:
        """A folder here with these files, by size; made once."""
        for path, size in files.items():
            place = self.folder / folder / path
            if place.exists():
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(self.bytes(path, size))
        return self.folder / folder

    def version(self, name: str, files: Mapping[str, int]) -> str:
        """A version in the project with these files; its id."""
        made = self.desk.versions.create(name, project=self.project)
        adds = [
            Add(op="add", path=path, upload=self.desk.data.upload_bytes(self.bytes(f"{name}/{path}", size), path))
            for path, size in files.items()
        ]
        self.desk.versions.commit(made, adds)
        return made.id

    @contextlib.contextmanager
    def client(self, *, direct: bool = False) -> Iterator[Client]:
        """The SDK by the way that may be harmed."""
        with Client(self.ground.way.url, self.token, direct=direct) as opened:
            yield opened

    def command(self, *arguments: str | Path) -> None:
        """The command line, by the way that may be harmed.

        Raises:
            Failed: Its exit code was not 0.
        """
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        around = {"ENTREPOT_URL": self.ground.way.url, "ENTREPOT_TOKEN": self.token}
        before = {name: os.environ.get(name) for name in around}
        os.environ.update(around)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main.run([str(argument) for argument in arguments])
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        assert not {"Traceback", "unforeseen"} & set(re.findall(r"\w+", err.getvalue())), err.getvalue()
        if code:
            assert err.getvalue().strip(), f"{arguments[0]} failed with {code} and said nothing"
            raise Failed(f"exit code {code}: {err.getvalue().strip()[-200:]}")

    # --- looking ------------------------------------------------------------------------------------------------------

    def look(self, local: bool) -> Sight:
        """What can be seen, by the way that nothing harms; every byte of it is read."""
        seen, read = [], set()
        for row in self._rows("/versions", project=self.project, trashed="include"):
            if not row["revision"]:
                # What a push made and did not fill yet is no fact that a reader sees.
                continue
            trees = []
            for number in range(row["revision"] + 1):
                entries = self._rows(f"/versions/{row['id']}/entries", revision=number)
                for one in entries:
                    label = self.labels.get(one["sha256"])
                    assert label is not None, f"{one['path']} has bytes that nobody sent"
                    if label not in read:
                        read.add(label)
                        asked = {"revision": number}
                        found = self.desk.transport.send(
                            "GET", f"/versions/{row['id']}/files/{one['path']}", params=asked
                        )
                        assert found.content == self.bodies[label], f"{one['path']} has other bytes"
                trees.append(tuple(sorted((one["path"], self.labels[one["sha256"]]) for one in entries)))
            seen.append((row["name"], row["number"], row["trash"] is not None, tuple(trees)))
        return (tuple(sorted(seen, key=repr)), self._local() if local else ())

    def _rows(self, path: str, **asked: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while True:
            page = self.desk.transport.send("GET", path, params={"limit": 100, **asked}).json()
            rows += page["rows"]
            if not page["next"]:
                return rows
            asked["cursor"] = page["next"]

    def _local(self) -> tuple[tuple[str, str], ...]:
        """Files that have their own names, and whose bytes they are; an archive is its members."""
        found = []
        for place in sorted((self.folder / "down").rglob("*")):
            if not place.is_file() or place.name.endswith(".part") or place.name.startswith(".entrepot"):
                continue
            name = place.relative_to(self.folder / "down").as_posix()
            if name.endswith(".zip"):
                with zipfile.ZipFile(place) as archive:
                    assert archive.testzip() is None
                    members = {f"{name}/{member}": archive.read(member) for member in archive.namelist()}
            else:
                members = {name: place.read_bytes()}
            for path, body in members.items():
                label = self.labels.get("sha256:" + hashlib.sha256(body).hexdigest())
                assert label is not None, f"{path} was written here with wrong bytes"
                found.append((path, label))
        return tuple(found)

    def check_acknowledged(self) -> None:
        """No upload is behind what its sender was told."""
        for path, offset in list(self.ground.plan.acknowledged.items()):
            answer = self.desk.transport.send("HEAD", path, headers={"Tus-Resumable": "1.0.0"})
            assert int(answer.headers["upload-offset"]) >= offset, f"{path} lost bytes that were acknowledged"


# Operations


@dataclass(frozen=True)
class Operation:
    """
    Args:
        act: What somebody does who has heard nothing of an earlier attempt.
        fetches: Whether what it leaves is here.
        direct: Whether bytes go past the server.
        signed: Whether it uses addresses that end by themselves.
        notes: Whether it writes down here how far it is.
    """

    prepare: Callable[[World], Any]
    act: Callable[[World, Any], object]
    fetches: bool = False
    direct: bool = False
    signed: bool = False
    notes: bool = False


_THREE: Final = {"one": 300 << 10, "two/of": 290 << 10, "three": 10}
_SMALL: Final = {f"d{n % 3}/s{n}": 200 + n for n in range(30)}


def _birds(world: World) -> str:
    """A version with two revisions."""
    n = world.version("birds", {"a": 2000, "b/c": 70_000, "d": 10})
    world.desk.versions.commit(n, [Remove(op="remove", path="a")])
    return n


def _before_push(world: World) -> None:
    """Something is at the server, and something else here."""
    world.desk.data.push(world.tree({"three": 50, "four": 60}, "first"), f"{world.project}/pushed")
    world.tree(_THREE)


def _push(world: World, files: Mapping[str, int], *flags: str) -> None:
    world.command("push", world.tree(files), f"{world.project}/pushed", *flags)


def _source(world: World) -> BytesSource:
    body = world.bytes("long", 5 * CHUNK + 100)
    return BytesSource("long", body, hashlib.sha256(body).digest())


def _add(world: World, client: Client, n: str, upload: str) -> None:
    client.versions.commit(n, [Add(op="add", path="long", upload=upload)])


def _tus(world: World, n: str) -> None:
    with world.client() as client, Journal() as journal:
        sender = Sender(client.transport, journal, project=world.project, chunk=CHUNK, patience_s=5)
        _add(world, client, n, sender.send(_source(world)))


def _nearly(world: World) -> str:
    """All but the last bytes of an upload are there, and the journal knows."""
    n, source = _birds(world), _source(world)
    with Journal() as journal:
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(source.size), "Content-Length": "0"}
        made = world.desk.transport.send("POST", "/uploads", headers=headers)
        upload = made.headers["location"].rpartition("/")[2]
        sent = {
            "Tus-Resumable": "1.0.0",
            "Upload-Offset": "0",
            "Content-Type": "application/offset+octet-stream",
        }
        world.desk.transport.send("PATCH", f"/uploads/{upload}", content=source.content[: 5 * CHUNK], headers=sent)
        journal.note(world.ground.way.url, source.sha256, upload, finished=False)
    return n


def _put(world: World, n: str) -> None:
    """One that comes twice stands in the history once."""
    with world.client() as client:
        address = f"/versions/{n}/files/new"
        client.transport.send("PUT", address, content=world.bytes("new", 100_000))


def _write(world: World, n: str) -> None:
    with world.client() as client:
        client.data.write(n, world.bytes("new", 100_000), "new")


def _sent(world: World) -> tuple[str, str]:
    return _birds(world), world.desk.data.upload_bytes(world.bytes("new"), "new")


def _commit(world: World, thing: tuple[str, str]) -> None:
    changes = [
        Add(op="add", path="new", upload=thing[1]),
        Rename(op="rename", source="d", target="e"),
        Remove(op="remove", path="b/c"),
    ]
    with world.client() as client:
        client.versions.commit(thing[0], changes)


def _two(world: World) -> tuple[str, str]:
    return _birds(world), world.version("others", {"a": 900, "b/c": 800})


def _trashed(world: World) -> str:
    n = _birds(world)
    world.desk.versions.trash(n)
    return n


def _pull(world: World, thing: str) -> None:
    world.command("pull", thing, world.folder / "down")


def _archive(world: World, thing: str) -> None:
    (world.folder / "down").mkdir(exist_ok=True)
    world.command("archive", thing, world.folder / "down" / "all.zip")


def _stored(world: World, files: Mapping[str, int]) -> str:
    return world.version("stored", files)


def _batched(world: World) -> str:
    world.desk.data.push(world.tree(_SMALL), f"{world.project}/stored")
    return f"{world.project}/stored"


def _linked(world: World) -> str:
    return world.version("linked", {"one": 400_000})


def _by_link(world: World, n: str, archive: Literal["zip"] | None = None) -> None:
    """As somebody does who was given an address, in two parts."""
    path = None if archive else "one"
    link = world.desk.versions.link(n, path, archive=archive, expires_in_s=1 if world.brief else 3600).url
    world.address = link
    body = bytearray()
    with httpx2.Client(timeout=30) as client:
        for part in ("bytes=0-199999", "bytes=200000-"):
            answer = client.get(link.replace(world.ground.url, world.ground.way.url), headers={"Range": part})
            if answer.status_code != 206 or not answer.headers["content-range"].startswith(part.replace("=", " ")):
                raise Failed(f"{answer.status_code}")
            body += answer.content
    (world.folder / "down").mkdir(exist_ok=True)
    (world.folder / "down" / ("all.zip" if archive else "one")).write_bytes(body)


_LARGE: Final = {"large": 9 << 20}

WIRE_OPERATIONS: Final[Mapping[str, Operation]] = {
    "push": Operation(lambda w: w.tree(_THREE), lambda w, _: _push(w, _THREE), notes=True),
    "push again": Operation(
        _before_push,
        lambda w, _: _push(w, _THREE),
        notes=True,
    ),
    "tus upload": Operation(_birds, _tus, notes=True),
    "one-shot PUT": Operation(_birds, _put),
    "PUT and commit": Operation(_birds, _write),
    "finish": Operation(_nearly, _tus, notes=True),
    "commit": Operation(_sent, _commit),
    "copy": Operation(_birds, lambda w, _: w.command("cp", f"{w.project}/birds", f"{w.project}/copied")),
    "merge": Operation(_two, lambda w, _: w.command("merge", f"{w.project}/birds", f"{w.project}/others", "--delete")),
    "restore": Operation(_birds, lambda w, _: w.command("restore", f"{w.project}/birds@1.1")),
    "trash": Operation(_birds, lambda w, n: w.command("trash", n)),
    "reinstate": Operation(_trashed, lambda w, n: w.command("reinstate", n)),
    "purge": Operation(_trashed, lambda w, n: w.command("purge", n, "--yes")),
    "batch up": Operation(lambda w: w.tree(_SMALL), lambda w, _: _push(w, _SMALL), notes=True),
    "batch down": Operation(_batched, _pull, fetches=True),
    "pull": Operation(lambda w: _stored(w, _THREE) and f"{w.project}/stored", _pull, fetches=True),
    "zip download": Operation(lambda w: _stored(w, _THREE) and f"{w.project}/stored", _archive, fetches=True),
    "signed link": Operation(_linked, _by_link, fetches=True, signed=True),
    "zip by link": Operation(_linked, lambda w, n: _by_link(w, n, "zip"), fetches=True, signed=True),
    "direct up": Operation(
        lambda w: w.tree(_LARGE), lambda w, _: _push(w, _LARGE, "--direct"), direct=True, signed=True, notes=True
    ),
    "direct down": Operation(
        lambda w: _stored(w, _LARGE) and f"{w.project}/stored",
        lambda w, thing: w.command("pull", thing, w.folder / "down", "--direct"),
        fetches=True,
        direct=True,
        signed=True,
    ),
}

WIRE_COLUMNS: Final = (*HARMS, "token expires", "address expires", "disk full here")

#: As a bucket answers to an address whose time is over.
_OVER: Final = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: 80\r\n\r\n"
    + b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>".ljust(80)
)


def means_something(name: str, fault: str) -> bool:
    """Whether there is something to strike in an operation."""
    operation = WIRE_OPERATIONS[name]
    if fault == "disk full here":
        # Writing down what a link gives is the test's own.
        return operation.notes or (operation.fetches and (operation.direct or not operation.signed))
    return operation.signed or fault != "address expires"


# A cell


class WireCells:
    """Runs cells at one server, and remembers what each operation asks for when nothing goes wrong."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._known: dict[str, tuple[list[str], Sight, Sight]] = {}

    def can_strike(self, name: str, fault: str) -> bool:
        """Whether there is something to strike."""
        if WIRE_OPERATIONS[name].direct and self._ground.bucket is None:
            return False
        return means_something(name, fault)

    @contextlib.contextmanager
    def _world(self, chance: random.Random) -> Iterator[World]:
        folder = self._ground.folder / f"cell{next(_numbers)}"
        folder.mkdir()
        with Client(self._ground.url, self._ground.token) as desk:
            yield World(self._ground, folder, chance, desk)
        self._ground.plan.begin()

    def known(self, name: str) -> tuple[list[str], Sight, Sight]:
        """The requests of an operation, and what can be seen before and after it."""
        if name not in self._known:
            operation = WIRE_OPERATIONS[name]
            with self._world(random.Random(f"{os.getpid()} {name} known")) as world:
                thing = operation.prepare(world)
                before = world.look(operation.fetches)
                self._ground.plan.begin()
                operation.act(world, thing)
                lines = list(self._ground.plan.lines)
                self._known[name] = lines, before, world.look(operation.fetches)
        return self._known[name]

    def run(self, name: str, fault: str, chance: random.Random) -> str | None:
        """One cell; what the operation said, or None if the fault cannot strike it."""
        if not self.can_strike(name, fault):
            return None
        operation, plan = WIRE_OPERATIONS[name], self._ground.plan
        lines, before, after = self.known(name)
        with self._world(random.Random(f"{os.getpid()} {next(_numbers)} {chance.random()}")) as world:
            thing = operation.prepare(world)
            assert world.look(operation.fetches) == before
            plan.begin()
            with contextlib.ExitStack() as during:
                if fault == "disk full here":
                    # Of any size up to all that comes, small ones as often as large ones.
                    room = sum(map(len, world.bodies.values())) ** chance.random()
                    during.enter_context(file_size_limit(int(room)))
                else:
                    plan.at(*self._harm(world, operation, fault, lines, chance))
                said = self._act(world, operation, thing)
            plan.release()
            struck = ", ".join(plan.struck) or "nothing"
            world.check_acknowledged()
            world.brief = False
            seen = world.look(operation.fetches)
            told = f"{name}, {fault} ({struck}): it said {said!r}"
            if operation.fetches:
                # A pull may have brought some of its files; each that has its name is right, as `look` has seen.
                assert seen[0] == before[0], f"{told}, and reading changed something"
                assert set(seen[1]) <= set(after[1]), f"{told}, and left {seen[1]}"
            else:
                assert seen in (before, after), f"{told}, and was done by halves: {seen}"
            assert seen == after or said != "done", f"{told}, and it was not: {seen}"
            if seen != after or operation.fetches:
                world.renew()
                plan.begin()
                operation.act(world, thing)
                again = world.look(operation.fetches)
                assert again == after, f"{told}; done again it is something else: {again}"
            return said

    def _harm(
        self, world: World, operation: Operation, fault: str, lines: list[str], chance: random.Random
    ) -> tuple[int, Harm]:
        at = chance.randrange(len(lines)) + 1
        if fault == "token expires":
            return at, Harm(first=partial(self._ground.expire, world.token_id))
        if fault != "address expires":
            return at, Harm(fault, where=chance.random())
        if operation.direct:
            at = chance.choice([n for n, line in enumerate(lines, 1) if "X-Amz-" in line])
            return at, Harm(instead=_OVER)
        world.brief = True

        def over() -> None:
            wait_until(lambda: httpx2.get(world.address).status_code == 403, "the address is over")

        return at, Harm(first=over)

    def _act(self, world: World, operation: Operation, thing: Any) -> str:
        try:
            operation.act(world, thing)
        except Failed as failed:
            return str(failed)[:11]
        except (EntrepotError, httpx2.HTTPError, OSError) as error:
            return type(error).__name__
        return "done"


@contextlib.contextmanager
def ground(url: str, data: Path, token: str, folder: Path, bucket: MessageProxy | None = None) -> Iterator[Ground]:
    """The ways to a server that is there."""
    plan = Plan() if bucket is None else bucket.plan
    with message_proxy(url, plan) as way:
        yield Ground(url, data, token, folder, plan, way, bucket)


@contextlib.contextmanager
def bucket_ground(folder: Path) -> Iterator[Ground]:
    """A server of its own, whose bytes are in a bucket that clients reach by a way that may be harmed."""
    plan = Plan()
    with s3_server("nanio", folder / "nanio") as bucket, message_proxy(bucket.endpoint, plan) as past:
        where = bucket.address()
        settings = {
            "ENTREPOT_ADMIN_PASSWORD": ADMIN_PASSWORD,
            "ENTREPOT_STORE": where.url,
            "ENTREPOT_S3_ENDPOINT": bucket.endpoint,
            "ENTREPOT_S3_PUBLIC_ENDPOINT": past.url,
            "ENTREPOT_S3_KEY_ID": str(where.key_id),
            "ENTREPOT_S3_SECRET": str(where.secret),
        }
        with (
            running_server(folder / "data", around=settings) as server,
            ground(server.url, server.data, server.token(), folder, past) as made,
        ):
            yield made
