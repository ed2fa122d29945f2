"""What goes wrong in a cell of the depot's table: each column is one fault, armed for a step that chance chose."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from entrepot.model.errors import DiskFull, Unavailable
from entrepot.testing.faulty import Fault, crash, fails
from tests.support.cell_world import SMALL, World, file_size_limit
from tests.support.proxies import LosingProxy

__all__ = ["COLUMNS", "Column"]

#: Steps at which bytes or facts are written.
_BYTES: Final = frozenset({"staging.create", "stage.write", "stage.sync", "stage.place", "stage.seal", "store.put"})
_OBJECTS: Final = _BYTES | {"store.open", "store.read_at", "store.delete", "store.stat"}
_TORN: Final = frozenset({"stage.write", "store.put", "catalog.write"})


@dataclass(frozen=True)
class Column:
    """
    Args:
        steps: The names of the steps that it can strike at; None is all, and an empty set strikes before the first.
        strike: Arms the fault for step `n`.
        catalog: Which database.
        bucket: Whether the bytes are in a bucket, behind a proxy.
        touches: Steps of which the operation must take one for the fault to mean anything; `steps` if there are none.
        writes: Whether it strikes a part of what the operation writes to the database, which `strike` gets as `n`.
    """

    strike: Callable[[World, int, random.Random], None]
    steps: frozenset[str] | None = None
    catalog: str = "sqlite"
    bucket: bool = False
    touches: frozenset[str] = frozenset()
    writes: bool = False

    def can_strike(self, taken: Collection[str]) -> bool:
        """Whether it can strike an operation that takes these steps."""
        named = self.touches or self.steps
        return bool(taken) if named is None else not named.isdisjoint(taken)


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


def _no_room(world: World, n: int, _chance: random.Random) -> None:
    """The log of the database can grow by so many bytes more, and the system refuses the rest of a write."""
    world.undo.enter_context(file_size_limit(world.log_size() + n))


def _no_room_for_log_or_tables(world: World, n: int, chance: random.Random) -> None:
    """The log of PostgreSQL can grow by so many bytes more; or tables and indexes by so many pages, often by none."""
    assert world.small is not None
    # Most changes find room in the pages that tables have.
    log = chance.random() < 0.75
    full = world.small.full(log=n) if log else world.small.full(tables=8192 * chance.choice([0, 0, 0, 1]))
    world.undo.enter_context(full)


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
    "database's disk full": Column(_no_room, frozenset({"catalog.write"}), writes=True),
    "PostgreSQL's disk full": Column(_no_room_for_log_or_tables, frozenset({"catalog.write"}), SMALL, writes=True),
    "corrupted object": Column(_flip, frozenset(), touches=_OBJECTS),
    "database lost before": Column(_at(lambda _: fails(_GONE)), frozenset({"catalog.write"})),
    "database lost after": Column(_at(lambda _: fails(_GONE, "after")), frozenset({"catalog.write"})),
    "PostgreSQL restarted": Column(_restart, None, "postgresql"),
    "clock a year on": Column(_jump(365), None),
    "clock a year back": Column(_jump(-365), None),
    "S3 answers 500": Column(
        _ask("", lambda p, verb, _: p.refuse(verb, 500, 2)), frozenset(), bucket=True, touches=_OBJECTS
    ),
    "S3 answers 503": Column(
        _ask("", lambda p, verb, _: p.refuse(verb, 503, 2)), frozenset(), bucket=True, touches=_OBJECTS
    ),
    "S3 answer lost": Column(_ask("", lambda p, verb, _: p.lose(verb)), frozenset(), bucket=True, touches=_OBJECTS),
    "S3 slow": Column(_ask("", lambda p, verb, _: p.slow(verb, 1.5, 2)), frozenset(), bucket=True, touches=_OBJECTS),
}
