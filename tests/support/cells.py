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

A row of the table below is an operation, a column a fault of `cell_faults`. Upgrades of the schema are a row too, done
by `migration_cells`. Kills of real processes and clients are in `lanes`, `killed_packs`, `killed_migrations` and their
neighbours; what happens to requests is in `wire_cells`.
"""

from __future__ import annotations

import contextlib
import io
import random
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from entrepot.catalog import queue
from entrepot.catalog.entries import sweep_strands
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
from entrepot.depot.entries import Add
from entrepot.depot.putting import NewFile
from entrepot.depot.uploads import NewUpload
from entrepot.model.errors import Corrupt, EntrepotError
from entrepot.model.values import Kind
from entrepot.store.memory import MemoryStore
from entrepot.testing.faulty import Crash
from tests.support.cell_faults import COLUMNS, Column
from tests.support.cell_world import FILES, NEW, Ground, Sight, World, ground, world_of
from tests.support.migration_cells import MigrationCells
from tests.support.records import lines, sent, work

__all__ = ["COLUMNS", "OPERATIONS", "ROWS", "Cells", "ground"]

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
        takes: Steps without which it did not do what it is called after: what is prepared must give it work.
    """

    prepare: Prepare
    act: Act
    later: int = 0
    promises: bool = True
    takes: frozenset[str] = frozenset({"catalog.write"})


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


def _purge(world: World, *versions: int) -> None:
    """Purged, and a month ago: no upload holds what was in it."""
    for n in versions:
        trash.trash(world.house.depot, world.who, n)
        trash.purge(world.house.depot, world.who, n)
    world.clock.move(days=30)
    uploads.sweep(world.house.depot)
    sweep_strands(world.catalog)


def _trees(world: World, name: str) -> int:
    """A version whose files are each an object of their own, and nobody else's."""
    made = world.house.version(world.who, name=name)
    world.house.put(world.who, made, {f"{name}/{n}": f"tree {n} of {name} ".encode() * 90 for n in range(3)})
    return made.n


def _garbage(world: World) -> None:
    """Some that was condemned and has waited out its grace, in objects and in most of a pack; and some that is new."""
    _purge(world, _packed(world), _trees(world, "oaks"))
    collection.collect(world.house.depot)
    _purge(world, _trees(world, "elms"))


class _Enough(Exception):
    """A run of the collection has come far enough."""


def _sparse(world: World) -> None:
    """What was in most of a pack has ended, and its room was not won back yet."""
    _garbage(world)

    def stop(_done: int) -> None:
        raise _Enough

    with contextlib.suppress(_Enough):
        collection.collect(world.house.depot, stop)


def _broken(world: World) -> None:
    """One file is damaged, and that is known; a second store has its bytes."""
    _trees(world, "oaks")
    whole, bodies = MemoryStore(), {}
    for key in set(world.store.keys()) - world.others:
        with world.store.open(key) as reader:
            bodies[key] = reader.read_at(0, reader.size)
        whole.put(key, [bodies[key]])
    # The same file each time; keys are drawn by chance.
    key = min(bodies, key=bodies.__getitem__)
    wrong = bytes(len(bodies[key]))
    world.store.delete(key)
    world.store.put(key, [wrong])
    world.second = whole
    assert checking.verify(world.house.depot).damaged
    world.clock.move(minutes=1)


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
    "GC": Operation(_garbage, _collect, takes=frozenset({"catalog.write", "store.delete", "store.put"})),
    "compaction": Operation(
        _sparse,
        lambda w, _: compaction.compact(w.house.depot),
        takes=frozenset({"catalog.write", "store.read_at", "store.put"}),
    ),
    "verify": Operation(
        _packed, lambda w, _: checking.verify(w.house.depot), takes=frozenset({"catalog.write", "store.read_at"})
    ),
    "verify, repairing": Operation(
        _broken,
        lambda w, _: checking.verify(w.house.depot, repair_from=w.second),
        # What was marked in this instant is due in the next.
        later=1,
        takes=frozenset({"catalog.write", "stage.write", "stage.place"}),
    ),
    "job take-over": Operation(_waiting, _take_over, later=60, promises=False),
    "zip download": Operation(_birds, _zip, takes=frozenset({"store.open", "store.read_at"})),
}
MIGRATE: Final = "migrate"
ROWS: Final = (*OPERATIONS, MIGRATE)
#: Of the log of SQLite: what the smallest change takes.
PAGE: Final = 4096 + 24

# A cell


@dataclass(frozen=True)
class Known:
    """What an operation takes and makes when nothing goes wrong.

    Args:
        before, after: What can be seen.
        kept: The contents that are there months later.
        written: Bytes by which the log of the database grew.
    """

    steps: tuple[str, ...]
    before: Sight
    after: Sight
    kept: tuple[str, ...]
    written: int


class Cells:
    """Runs cells, and remembers what each operation takes and makes when nothing goes wrong."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._known: dict[tuple[str, str, bool], Known] = {}
        self._number = 0
        self._migrations = MigrationCells(ground)

    def world(self, column: Column) -> contextlib.AbstractContextManager[World]:
        """A new place for a cell of the column."""
        self._number += 1
        return world_of(column.catalog, column.bucket, self._ground, self._number)

    def known(self, name: str, column: Column) -> Known:
        """What it does when nothing goes wrong; it must be what it is called after."""
        key = (name, column.catalog, column.bucket)
        if key not in self._known:
            operation = OPERATIONS[name]
            with self.world(column) as world:
                thing = operation.prepare(world)
                before, size = world.look(), world.log_size()
                with world.breaking():
                    operation.act(world, thing)
                # An idle writer cuts the log of SQLite; then one page is as good as any.
                written = max(world.log_size() - size, PAGE if world.small is None else 1)
                steps, after = tuple(world.faults.steps), world.look()
                assert operation.takes <= set(steps), f"{name} did not do its work: {steps}"
                world.grow_old()
                self._known[key] = Known(steps, before, after, world.kept(), written)
        return self._known[key]

    def can_strike(self, name: str, fault: str) -> bool:
        """Whether the operation takes a step that the fault is of."""
        if name == MIGRATE:
            return self._migrations.can_strike(fault)
        # The same steps everywhere, but for those of a bucket; the quickest place answers.
        return COLUMNS[fault].can_strike(self.known(name, COLUMNS["process killed"]).steps)

    def strikes(self) -> dict[str, frozenset[str]]:
        """By fault the operations that it can strike."""
        return {fault: frozenset(name for name in ROWS if self.can_strike(name, fault)) for fault in COLUMNS}

    def run(self, name: str, fault: str, chance: random.Random) -> str | None:
        """One cell; what the operation said, or None if the fault cannot strike it."""
        if not self.can_strike(name, fault):
            return None
        if name == MIGRATE:
            return self._migrations.run(fault, chance)
        operation, column = OPERATIONS[name], COLUMNS[fault]
        known = self.known(name, column)
        before, after, at = known.before, known.after, 0
        if column.writes:
            at = chance.randrange(known.written)
        elif column.steps is None or column.steps:
            able = [n for n, step in enumerate(known.steps, 1) if column.steps is None or step in column.steps]
            at = chance.choice(able)
        with self.world(column) as world:
            thing = operation.prepare(world)
            assert world.look() == before
            damaged = fault == "corrupted object"
            kept = dict(world.memory._objects) if damaged and world.memory is not None else {}
            said = self._act(world, operation, thing, lambda: column.strike(world, at, chance))
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
            if fault == "clock a year back":
                world.clock.move(days=365)
            world.grow_old()
            last = world.look()
            assert last == after, "what was done did not last"
            assert checking.verify(world.house.depot).damaged == ()
            assert list(world.staging.keys()) == [], "an upload that nobody goes on with is left"
            assert world.kept() == known.kept, "other contents are kept than those that somebody needs"
            return said

    def _act(self, world: World, operation: Operation, thing: Any, strike: Callable[[], None]) -> str:
        try:
            with world.breaking():
                strike()
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
