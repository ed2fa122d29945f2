"""What may go wrong × what may be done: each cell does one operation while one thing goes wrong, and looks what is
left.

    world = prepared(operation)      a whole depot with something in it
    before, after                    what everybody can see of it, without and with the operation done
    act, while the fault strikes     at a step that a seed chose, of all those that the operation takes

Then, whatever the operation said of itself:

- what can be seen is `before` or `after`, never between; `after`, if it said that it was done
- every byte that a fact names is there and right: all of them are read
- done again by whoever heard nothing of it, it is `after`
- months later nothing is left that nobody needs, and what is needed is

A row of the table below is an operation, a column a fault. Kills of real processes and clients are in `lanes`,
`killed_packs`, `killed_migrations` and their neighbours.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from entrepot.catalog import entries as entry_rows
from entrepot.catalog import queue
from entrepot.catalog.database import Catalog
from entrepot.catalog.entries import sweep_strands
from entrepot.catalog.schema import dataset, version
from entrepot.depot import (
    checking,
    collection,
    compaction,
    copies,
    entries,
    exports,
    putting,
    record_checks,
    trash,
    uploads,
)
from entrepot.depot.contents import open_content
from entrepot.depot.entries import Add
from entrepot.depot.putting import NewFile
from entrepot.depot.uploads import NewUpload
from entrepot.model.access import Actor
from entrepot.model.errors import Corrupt, DiskFull, EntrepotError, Unavailable
from entrepot.model.values import Kind
from entrepot.store.base import ObjectStore, Staging
from entrepot.store.filesystem import FilesystemStore
from entrepot.store.memory import MemoryStore
from entrepot.store.s3 import S3Store
from entrepot.store.s3_staging import S3Staging
from entrepot.testing.faulty import Crash, Fault, Faults, FaultyStaging, FaultyStore, crash, fails
from entrepot.testing.faulty_catalog import faulty_catalog
from tests.support.catalogs import CHEAP_PASSWORDS, Clock, new_catalog_url
from tests.support.house import House
from tests.support.postgres import PostgresServer
from tests.support.proxies import LosingProxy, losing_proxy
from tests.support.records import lines, sent, work
from tests.support.s3 import S3Server, s3_server

FILES: Final = {f"birds/{n}.txt": f"bird number {n} ".encode() * (40 + n) for n in range(6)}
NEW: Final = b"what is new " * 300

Sight = tuple[Any, ...]
"""Everything that can be seen: of each version its name, number and state, and of each revision every path with its
bytes' digest."""


class Interrupted(Faults):
    """Faults that do not fail but happen: the clock jumps, the database goes away and comes back."""

    def __init__(self) -> None:
        super().__init__()
        self.happens: dict[int, Callable[[], None]] = {}

    def run(self, name: str, action: Callable[[], Any], torn: Callable[[], object] | None = None) -> Any:
        if (happen := self.happens.pop(len(self.steps) + 1, None)) is not None:
            happen()
        return super().run(name, action, torn)


@dataclass
class World:
    """A depot whose store and catalogue can be broken and mended again."""

    house: House
    who: Actor
    clock: Clock
    faults: Interrupted
    catalog: Catalog
    broken: Catalog
    store: ObjectStore
    staging: Staging
    memory: MemoryStore | None
    proxy: LosingProxy | None
    server: Callable[[], PostgresServer]

    @contextlib.contextmanager
    def breaking(self) -> Iterator[None]:
        """Inside, every step goes through the faults."""
        depot = self.house.depot
        depot.store, depot.staging = FaultyStore(self.store, self.faults), FaultyStaging(self.staging, self.faults)
        depot.catalog = self.broken
        try:
            yield
        finally:
            depot.store, depot.staging, depot.catalog = self.store, self.staging, self.catalog
            depot.spares.clear()
            self.faults.heal()
            self.faults.happens.clear()
            if self.memory is not None and self.faults.dead:
                self.memory.crash()

    def reconnect(self) -> None:
        """Find out about every connection that is not what it was: each is found by whoever uses it next."""
        for _ in range(4):
            for snapshot in (True, False):
                with contextlib.suppress(Unavailable), self.catalog.read(snapshot=snapshot) as conn:
                    conn.execute(select(1))
            with contextlib.suppress(Unavailable):
                self.catalog.write(lambda conn: conn.execute(select(1)))

    def look(self) -> Sight:
        """What can be seen; every byte of it is read.

        Raises:
            Corrupt: Bytes are known or found to be damaged.
        """
        seen = []
        query = (
            select(version.c.id, dataset.c.name, version.c.number, version.c.state, version.c.rev, version.c.trashed_at)
            .join_from(version, dataset)
            .order_by(dataset.c.name, version.c.id)
        )
        with self.catalog.read() as conn:
            rows = conn.execute(query).all()
            listed = [
                (row, revision, entry_rows.page(conn, row.id, revision, limit=1000))
                for row in rows
                for revision in range(row.rev + 1)
            ]
        read: dict[int, str] = {}
        trees: dict[int, list[Any]] = {}
        for row, _, found in listed:
            for entry in found:
                if entry.content not in read:
                    with open_content(self.house.depot, entry.content) as reader:
                        read[entry.content] = hashlib.sha256(reader.read_at(0, reader.size)).hexdigest()
                assert read[entry.content] == entry.sha256.hex(), f"{entry.path} has other bytes"
            trees.setdefault(row.id, []).append(tuple((entry.path, read[entry.content]) for entry in found))
        for row in rows:
            seen.append((row.name, row.number, row.state, row.trashed_at is not None, tuple(trees[row.id])))
        return tuple(seen)

    def grow_old(self) -> None:
        """Months pass, and everything that looks after the house does so."""
        for _ in range(4):
            self.clock.move(days=30)
            uploads.sweep(self.house.depot)
            sweep_strands(self.catalog)
            collection.collect(self.house.depot)


# Operations

Prepare = Callable[[World], Any]
Act = Callable[[World, Any], object]


@dataclass(frozen=True)
class Operation:
    """
    Args:
        act: As a client does it that has heard nothing of an earlier attempt.
        later: What passes before it is done again, in minutes: whoever died holds a lease until it is over.
        promises: Whether its return says that it was done. A worker's says that it looked.
    """

    prepare: Prepare
    act: Act
    later: int = 0
    promises: bool = True


def _birds(world: World) -> int:
    """A version with files of its own and, in later revisions, one less and one changed."""
    made = world.house.version(world.who, name="birds")
    world.house.put(world.who, made, FILES)
    entries.commit(world.house.depot, world.who, made.n, [entries.Remove("birds/0.txt")])
    world.house.put(world.who, made, {"birds/1.txt": b"changed " * 50})
    return made.n


def _packed(world: World) -> int:
    """A version whose files lie in one pack, of which a copy needs two."""
    made = world.house.version(world.who, name="packed")
    world.house.put_batch(world.who, made, FILES)
    kept = world.house.version(world.who, name="kept")
    adds = [Add(path, source=(made.n, None, path)) for path in ("birds/2.txt", "birds/5.txt")]
    entries.commit(world.house.depot, world.who, kept.n, adds)
    return made.n


def _purged(world: World) -> None:
    made = _packed(world)
    other = _birds(world)
    for n in (made, other):
        trash.trash(world.house.depot, world.who, n)
        trash.purge(world.house.depot, world.who, n)
    world.clock.move(days=30)
    uploads.sweep(world.house.depot)
    sweep_strands(world.catalog)


def _sparse(world: World) -> None:
    _purged(world)
    collection.collect(world.house.depot)
    world.clock.move(days=3)


def _put(world: World, n: int) -> None:
    sink = putting.put_file(world.house.depot, world.who, n, NewFile(path="new", length=len(NEW)))
    try:
        sink.write(NEW)
        sink.finish()
    except Exception:
        sink.close()
        raise


def _tus(world: World, n: int) -> None:
    depot, who = world.house.depot, world.who
    row = uploads.begin(depot, who, NewUpload(length=len(NEW), sha256=world.house.sha256(NEW)))
    half = len(NEW) // 2
    with uploads.receive(depot, who, row.uid, 0) as receiver:
        receiver.write(NEW[:half])
    with uploads.receive(depot, who, row.uid, half) as receiver:
        receiver.write(NEW[half:])
    uploads.finish(depot, who, row.uid)
    entries.commit(depot, who, n, [Add("new", upload=row.uid)])


def _staged(world: World) -> tuple[int, Any]:
    n = _birds(world)
    row = uploads.begin(world.house.depot, world.who, NewUpload(length=len(NEW)))
    with uploads.receive(world.house.depot, world.who, row.uid, 0) as receiver:
        receiver.write(NEW)
    return n, row.uid


def _finish(world: World, thing: tuple[int, Any]) -> None:
    uploads.finish(world.house.depot, world.who, thing[1])
    entries.commit(world.house.depot, world.who, thing[0], [Add("new", upload=thing[1])])


def _finished(world: World) -> tuple[int, Any]:
    n, uid = _staged(world)
    uploads.finish(world.house.depot, world.who, uid)
    return n, uid


def _commit(world: World, thing: tuple[int, Any]) -> None:
    changes = [Add("new", upload=thing[1]), entries.Remove("birds/3.txt"), entries.Rename("birds/4.txt", "four")]
    entries.commit(world.house.depot, world.who, thing[0], changes)


def _batch(world: World, n: int) -> None:
    more = {f"more/{i}": f"more of {i}".encode() * 20 for i in range(9)}
    world.house.put_batch(world.who, world.house.of(world.who, n), more)


def _two(world: World) -> tuple[int, int]:
    n = _birds(world)
    other = world.house.version(world.who, name="others")
    world.house.put(world.who, other, {"birds/1.txt": b"another one", "owl": b"hoo"})
    return n, other.n


def _merge(world: World, thing: tuple[int, int]) -> None:
    copies.merge(world.house.depot, world.who, thing[0], thing[1], delete=True, hard=True)


def _in_trash(world: World) -> int:
    n = _birds(world)
    trash.trash(world.house.depot, world.who, n)
    return n


def _collect(world: World, _thing: object) -> None:
    uploads.sweep(world.house.depot)
    sweep_strands(world.house.depot.catalog)
    collection.collect(world.house.depot)


def _waiting(world: World) -> None:
    world.house.depot.checkers = {Kind.RECORDS.value: record_checks.checker(world.house.depot)}
    sent(world.house, world.who, lines([{"bird": i} for i in range(50)]))


def _take_over(world: World, _thing: object) -> None:
    """As a worker does that finds out that the one before it is gone."""
    world.house.depot.catalog.write(lambda conn: queue.take_back_from(conn, ["test"]))
    work(world.house)


def _zip(world: World, n: int) -> None:
    """A whole archive, or an error: never one with wrong bytes in it."""
    made = exports.export(world.house.depot, world.who, n)
    body = b"".join(made.read())
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        told = {path: archive.read(path) for path in archive.namelist()}
    assert told == {**{p: b for p, b in FILES.items() if p != "birds/0.txt"}, "birds/1.txt": b"changed " * 50}


OPERATIONS: Final[Mapping[str, Operation]] = {
    "tus upload": Operation(_birds, _tus),
    "one-shot PUT": Operation(_birds, _put),
    "batch": Operation(_birds, _batch),
    "finish": Operation(_staged, _finish),
    "commit": Operation(_finished, _commit),
    "copy": Operation(_birds, lambda w, n: copies.copy(w.house.depot, w.who, n, name="copied")),
    "merge": Operation(_two, _merge),
    "restore": Operation(_birds, lambda w, n: entries.restore(w.house.depot, w.who, n, 1)),
    "trash": Operation(_birds, lambda w, n: trash.trash(w.house.depot, w.who, n)),
    "purge": Operation(_in_trash, lambda w, n: trash.purge(w.house.depot, w.who, n)),
    "GC": Operation(_purged, _collect),
    "compaction": Operation(_sparse, lambda w, _: compaction.compact(w.house.depot)),
    "verify": Operation(_packed, lambda w, _: checking.verify(w.house.depot)),
    "job take-over": Operation(_waiting, _take_over, later=60, promises=False),
    "zip download": Operation(_birds, _zip),
}

# Faults

#: Steps at which bytes or facts are written.
_BYTES: Final = frozenset({"staging.create", "stage.write", "stage.sync", "stage.place", "stage.seal", "store.put"})
_TORN: Final = frozenset({"stage.write", "store.put", "catalog.write"})


@dataclass(frozen=True)
class Column:
    """
    Args:
        steps: The names of the steps that it can strike at; None is all, and an empty set strikes before the first.
        strike: Arms the fault for step `n`.
        catalog: Which database.
        bucket: Whether the bytes are in a bucket, behind a proxy.
    """

    strike: Callable[[World, int, random.Random], None]
    steps: frozenset[str] | None = None
    catalog: str = "sqlite"
    bucket: bool = False


def _at(fault: Callable[[random.Random], Fault]) -> Callable[[World, int, random.Random], None]:
    return lambda world, n, chance: world.faults.at(n, fault(chance))


def _jump(days: int) -> Callable[[World, int, random.Random], None]:
    def strike(world: World, n: int, _chance: random.Random) -> None:
        def happen() -> None:
            world.clock.move(days=days)

        world.faults.happens[n] = happen

    return strike


def _restart(world: World, n: int, _chance: random.Random) -> None:
    def happen() -> None:
        with world.server().away():
            pass

    world.faults.happens[n] = happen


def _flip(world: World, _n: int, chance: random.Random) -> None:
    """One bit of one object, as a disk does it: nobody is told."""
    assert world.memory is not None
    keys = sorted(world.memory.keys())
    if keys:
        key = chance.choice(keys)
        found = bytearray(world.memory._objects[key])
        if found:
            found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
            world.memory._objects[key] = bytes(found)


def _ask(verb: str, how: Callable[[LosingProxy, bytes, random.Random], None]) -> Callable[..., None]:
    def strike(world: World, _n: int, chance: random.Random) -> None:
        assert world.proxy is not None
        how(world.proxy, verb.encode() or chance.choice([b"PUT /", b"GET /", b"HEAD /", b"DELETE /"]), chance)

    return strike


_GONE: Final = Unavailable("The database went away. Try again later.")
_FULL: Final = DiskFull("No room. Free some space, then try again.")

COLUMNS: Final[Mapping[str, Column]] = {
    "process killed": Column(_at(lambda chance: crash(chance.choice(["before", "after"])))),
    "torn write": Column(_at(lambda _: crash("torn")), _TORN),
    "disk full": Column(_at(lambda _: fails(_FULL)), _BYTES),
    "disk full, torn": Column(_at(lambda _: fails(_FULL, "torn")), frozenset({"stage.write", "store.put"})),
    "corrupted object": Column(_flip, frozenset()),
    "database lost before": Column(_at(lambda _: fails(_GONE)), frozenset({"catalog.write"})),
    "database lost after": Column(_at(lambda _: fails(_GONE, "after")), frozenset({"catalog.write"})),
    "PostgreSQL restarted": Column(_restart, None, "postgresql"),
    "clock a year on": Column(_jump(365), None),
    "clock a year back": Column(_jump(-365), None),
    "S3 answers 500": Column(_ask("", lambda p, verb, _: p.refuse(verb, 500, 2)), frozenset(), bucket=True),
    "S3 answers 503": Column(_ask("", lambda p, verb, _: p.refuse(verb, 503, 2)), frozenset(), bucket=True),
    "S3 answer lost": Column(_ask("", lambda p, verb, _: p.lose(verb)), frozenset(), bucket=True),
    "S3 slow": Column(_ask("", lambda p, verb, _: p.slow(verb, 1.5, 2)), frozenset(), bucket=True),
}


# A cell


@dataclass
class Ground:
    """What cells are made on: where, and with which servers."""

    folder: Path
    server: Callable[[], PostgresServer]
    bucket: Callable[[], tuple[S3Store, LosingProxy]]


@contextlib.contextmanager
def world_of(column: Column, ground: Ground, number: int) -> Iterator[World]:
    folder = ground.folder / f"cell{number}"
    folder.mkdir()
    clock, faults = Clock(), Interrupted()
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(new_catalog_url(column.catalog, folder, ground.server, started=True))
        catalog = Catalog.open(url, clock=clock)
        stack.callback(catalog.close)
        broken = faulty_catalog(url, clock=clock, faults=faults)
        stack.callback(broken.close)
        memory, proxy = None, None
        store: ObjectStore
        staging: Staging
        if column.bucket:
            store, proxy = ground.bucket()
            local = FilesystemStore(folder)
            stack.callback(local.close)
            staging = S3Staging(store, local.staging)
        else:
            memory = MemoryStore()
            store, staging = memory, memory.staging
        house = House(catalog, store, staging, clock, policy=CHEAP_PASSWORDS)
        who = house.user("ann")
        yield World(house, who, clock, faults, catalog, broken, store, staging, memory, proxy, ground.server)


class Cells:
    """Runs cells, and remembers what each operation takes and makes when nothing goes wrong."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._known: dict[tuple[str, str, bool], tuple[list[str], Sight, Sight]] = {}
        self._number = 0

    def _world(self, column: Column) -> contextlib.AbstractContextManager[World]:
        self._number += 1
        return world_of(column, self._ground, self._number)

    def known(self, name: str, column: Column) -> tuple[list[str], Sight, Sight]:
        """The steps of an operation, and what can be seen before and after it."""
        key = (name, column.catalog, column.bucket)
        if key not in self._known:
            operation = OPERATIONS[name]
            with self._world(column) as world:
                thing = operation.prepare(world)
                before = world.look()
                with world.breaking():
                    operation.act(world, thing)
                self._known[key] = list(world.faults.steps), before, world.look()
        return self._known[key]

    def can_strike(self, name: str, fault: str) -> bool:
        """Whether the operation takes a step that the fault is of."""
        steps = COLUMNS[fault].steps
        if not steps and steps is not None:
            return True
        taken = self.known(name, COLUMNS[fault])[0]
        return bool(taken) if steps is None else not steps.isdisjoint(taken)

    def run(self, name: str, fault: str, chance: random.Random) -> str | None:
        """One cell; what the operation said, or None if the fault cannot strike it."""
        if not self.can_strike(name, fault):
            return None
        operation, column = OPERATIONS[name], COLUMNS[fault]
        steps, before, after = self.known(name, column)
        at = 0
        if column.steps is None or column.steps:
            at = chance.choice([n for n, step in enumerate(steps, 1) if column.steps is None or step in column.steps])
        with self._world(column) as world:
            thing = operation.prepare(world)
            assert world.look() == before
            damaged = fault == "corrupted object"
            kept = dict(world.memory._objects) if damaged and world.memory is not None else {}
            column.strike(world, at, chance)
            said = self._act(world, operation, thing)
            world.reconnect()
            if damaged:
                self._damaged(world, kept)
            seen = world.look()
            if damaged and any(state == "failed" for _, _, state, *_ in seen):
                # What came was not what is there to be checked: said to whoever sent it, and never published.
                return "refused as damaged"
            assert seen in (before, after), f"{name} was done by halves: {seen}"
            assert seen == after or said != "done" or not operation.promises, (
                f"{name} said that it was done, and it was not"
            )
            if seen != after or before == after:
                for _ in range(3 if operation.later else 1):
                    # A worker that died is found out, its job given back, and taken by the next.
                    world.clock.move(minutes=operation.later)
                    operation.act(world, thing)
                again = world.look()
                assert again == after, f"{name} done again is something else: {again}"
            world.grow_old()
            last = world.look()
            assert last == after, "what was done did not last"
            assert checking.verify(world.house.depot).damaged == ()
            assert list(world.staging.keys()) == [], "an upload that nobody goes on with is left"
            return said

    def _act(self, world: World, operation: Operation, thing: Any) -> str:
        try:
            with world.breaking():
                operation.act(world, thing)
        except Crash:
            return "died"
        except EntrepotError as error:
            return type(error).__name__
        return "died" if world.faults.dead else "done"

    def _damaged(self, world: World, kept: dict[str, bytes]) -> None:
        """The bit is found, and never served: then the disk gives back what was there."""
        assert world.memory is not None
        flipped = [key for key, body in kept.items() if world.memory._objects.get(key, body) != body]
        world.clock.move(minutes=1)
        checked = checking.verify(world.house.depot)
        try:
            world.look()
        except Corrupt:
            assert checked.damaged, "damage that is refused was not named"
        for key in flipped:
            world.memory._objects[key] = kept[key]
        world.clock.move(minutes=1)
        checking.verify(world.house.depot)


@contextlib.contextmanager
def ground(folder: Path, postgres: Callable[[], PostgresServer]) -> Iterator[Ground]:
    """Where cells are made. The S3 server is started for the first that wants one, and ended with the block."""
    with contextlib.ExitStack() as stack:
        started: list[tuple[S3Server, LosingProxy]] = []

        def bucket() -> tuple[S3Store, LosingProxy]:
            if not started:
                server = stack.enter_context(s3_server("moto", folder / "s3" / "data"))
                started.append((server, stack.enter_context(losing_proxy(server.endpoint))))
            server, proxy = started[0]
            proxy.lose(b"nothing any more", 0)
            # A request that takes longer than this is tried again; the slow column makes some of them so.
            address = replace(
                server.address(), endpoint=proxy.url, timeout=timedelta(seconds=5), patience=timedelta(seconds=60)
            )
            return S3Store(address), proxy

        yield Ground(folder, postgres, bucket)
