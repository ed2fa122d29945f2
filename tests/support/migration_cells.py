"""Upgrades of a catalogue with facts in it, while one thing goes wrong: one whole schema is left, with every row.

    old ──upgrade──► state of revision 2, 3, … newest      each known in advance: tables, columns, indexes, every row

After the fault the database is in one of these states, the newest if the upgrade said that it was done; and the next
start leads to the newest. The old database has the rows that a depot of today makes, as far as the first schema had
places for them.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import random
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, event, inspect, text
from sqlalchemy.engine import make_url

from entrepot.catalog import migrations
from entrepot.catalog.database import Catalog
from entrepot.depot import copies, entries, trash
from entrepot.model.errors import EntrepotError
from entrepot.store.memory import MemoryStore
from entrepot.testing.faulty import Crash
from tests.support.catalogs import CHEAP_PASSWORDS, Clock, new_catalog_url
from tests.support.cell_world import FILES, SMALL, Ground, file_size_limit
from tests.support.house import House
from tests.support.postgres import PostgresServer

__all__ = ["MIGRATION_FAULTS", "MigrationCells"]

_DRAW: Final = ScriptDirectory._upgrade_revs
_FIRST: Final = "0001"
#: Of SQLite's log: its head, and that of each page in it.
_HEAD, _FRAME = 32, 24
_PAGE: Final = 4096


@dataclass(frozen=True)
class State:
    """What is there, and what it calls itself.

    Args:
        tables: Of each table its name, columns, indexes and a digest of all its rows.
    """

    revision: str | None
    tables: frozenset[tuple[str, tuple[str, ...], tuple[str, ...], str]]


@dataclass
class Steps:
    """Statements and commits of one upgrade, and what happens before the n-th of them."""

    at: int = 0
    happen: Callable[[], None] = lambda: None
    made: list[str] = field(default_factory=list)
    log_size: int = 0

    def watch(self, engine: Engine, log: Path | None) -> None:
        def before_statement(_conn: Any, _cursor: Any, statement: str, *_: object) -> None:
            if not statement.lstrip().upper().startswith(("SELECT", "PRAGMA", "SHOW", "WITH")):
                self.step("statement", log)

        event.listen(engine, "before_cursor_execute", before_statement)
        event.listen(engine, "commit", lambda _conn: self.step("commit", log))

    def step(self, name: str, log: Path | None) -> None:
        self.made.append(name)
        if log is not None and log.exists():
            self.log_size = max(self.log_size, log.stat().st_size)
        if len(self.made) == self.at:
            self.happen()


@dataclass(frozen=True)
class Fault:
    """
    Args:
        strike: Does the upgrade and the fault; what it said.
        kind: Which database.
    """

    strike: Callable[[MigrationCells, Place, random.Random], str]
    kind: str = "sqlite"


@dataclass(frozen=True)
class Place:
    """An old database, and how upgrading one like it goes when nothing goes wrong."""

    url: str
    states: tuple[State, ...]
    steps: tuple[str, ...]
    log_size: int

    @property
    def log(self) -> Path | None:
        return None if "://" in self.url else Path(f"{self.url}-wal")


def upgrade(url: str, steps: Steps | None = None, to: str = "head") -> str:
    """Upgrade, and say how that ended."""
    chosen = _DRAW if to == "head" else lambda self, _to, at: _DRAW(self, to, at)
    catalog = Catalog.open(url, clock=Clock())
    try:
        if steps is not None:
            steps.watch(catalog._backend.writer, None if "://" in url else Path(f"{url}-wal"))
        # The product knows only the way to the newest revision.
        ScriptDirectory._upgrade_revs = chosen  # type: ignore[method-assign]
        catalog.upgrade()
    except Crash:
        return "died"
    except EntrepotError as error:
        return type(error).__name__
    finally:
        ScriptDirectory._upgrade_revs = _DRAW  # type: ignore[method-assign]
        catalog.close()
    return "done"


def look(url: str) -> State:
    """The schema and all rows."""
    catalog = Catalog.open(url, clock=Clock())
    with catalog.read() as conn:
        seen = inspect(conn)
        indexes = {name: found for (_, name), found in seen.get_multi_indexes().items()}
        tables = []
        for (_, name), columns in seen.get_multi_columns().items():
            if name in ("alembic_version", "sqlite_sequence"):
                continue
            rows = sorted(repr(tuple(row)) for row in conn.execute(text(f'SELECT * FROM "{name}"')))
            digest = hashlib.sha256("\n".join(rows).encode()).hexdigest()
            named = tuple(sorted(str(index["name"]) for index in indexes.get(name, ())))
            tables.append((name, tuple(column["name"] for column in columns), named, digest))
        found = State(migrations.current(conn), frozenset(tables))
    catalog.close()
    return found


class MigrationCells:
    """Runs cells of the row `migrate`."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._numbers = itertools.count(1)
        self._known: dict[str, Place] = {}

    def server(self, kind: str) -> PostgresServer:
        """That of a kind of database."""
        return self._ground.small() if kind == SMALL else self._ground.server()

    def can_strike(self, fault: str) -> bool:
        """An upgrade reads no clock and touches no stored byte."""
        return fault in MIGRATION_FAULTS

    def run(self, fault: str, chance: random.Random) -> str:
        """One cell; what the upgrade said."""
        found = MIGRATION_FAULTS[fault]
        known = self.known(found.kind)
        with self._old(found.kind) as url:
            said = found.strike(self, Place(url, known.states, known.steps, known.log_size), chance)
            left = look(url)
            assert left in known.states, f"half of an upgrade after {fault}: {_difference(left, known.states)}"
            assert said != "done" or left == known.states[-1], f"{fault}: it said that it was done, and it was not"
            assert upgrade(url) == "done"
            assert look(url) == known.states[-1], f"{fault}: the next start did not lead to the newest schema"
        return said

    def known(self, kind: str) -> Place:
        """The states on the way, and the steps of an upgrade that nobody disturbs."""
        if kind not in self._known:
            order = [one.revision for one in ScriptDirectory.from_config(migrations.config()).walk_revisions()][::-1]
            with self._old(kind) as url:
                states = [look(url)]
                for revision in order[order.index(_FIRST) + 1 :]:
                    assert upgrade(url, to=revision) == "done"
                    states.append(look(url))
                    assert states[-1].revision == revision
            steps = Steps()
            with self._old(kind) as url:
                began = self._ground.small().log_position() if kind == SMALL else 0
                assert upgrade(url, steps) == "done"
                if kind == SMALL:
                    steps.log_size = self._ground.small().log_position() - began
                assert look(url) == states[-1]
            assert steps.made.count("commit") >= len(states) - 1, steps.made
            self._known[kind] = Place("", tuple(states), tuple(steps.made), steps.log_size)
        return self._known[kind]

    @contextlib.contextmanager
    def _old(self, kind: str) -> Iterator[str]:
        """A database of the first schema with rows in it."""
        if kind == "sqlite":
            folder = self._ground.folder / f"old{next(self._numbers)}"
            folder.mkdir()
            made = self._ground.folder / "old.db"
            if not made.exists():
                self._fill_sqlite(folder, made)
            shutil.copy(made, folder / "catalog.db")
            yield str(folder / "catalog.db")
            shutil.rmtree(folder)
            return
        server = self.server(kind)
        with server.lent_new("migration cells", partial(self._fill_postgres, kind)) as name:
            yield server.url(name)

    def _fill_sqlite(self, folder: Path, made: Path) -> None:
        with self._newest("sqlite", folder) as newest:
            assert upgrade(str(folder / "first.db"), to=_FIRST) == "done"
            with closing(sqlite3.connect(folder / "first.db")) as db:
                db.execute("ATTACH ? AS newest", (newest,))
                for table, columns in _tables(db, "main").items():
                    both = ", ".join(f'"{one}"' for one in columns if one in _tables(db, "newest").get(table, ()))
                    assert both, f"{table} has nothing of the first schema any more"
                    db.execute(f'INSERT INTO main."{table}" ({both}) SELECT {both} FROM newest."{table}"')
                db.commit()
        shutil.move(folder / "first.db", made)

    def _fill_postgres(self, kind: str, url: str) -> None:
        assert upgrade(url, to=_FIRST) == "done"
        with (
            self._newest(kind, self._ground.folder) as newest,
            psycopg.connect(_plain(newest), autocommit=True) as source,
            psycopg.connect(_plain(url), options="-c session_replication_role=replica") as target,
        ):
            there = _postgres_tables(source)
            for table, columns in _postgres_tables(target).items():
                both = ", ".join(f'"{one}"' for one in columns if one in there.get(table, ()))
                assert both, f"{table} has nothing of the first schema any more"
                with (
                    source.cursor().copy(f'COPY "{table}" ({both}) TO STDOUT'.encode()) as out,
                    target.cursor().copy(f'COPY "{table}" ({both}) FROM STDIN'.encode()) as into,
                ):
                    for block in out:
                        into.write(block)

    @contextlib.contextmanager
    def _newest(self, kind: str, folder: Path) -> Iterator[str]:
        """A catalogue of today with something in it."""
        clock, store = Clock(), MemoryStore()
        with new_catalog_url(kind, folder, lambda: self.server(kind), started=True) as url:
            catalog = Catalog.open(url, clock=clock)
            house = House(catalog, store, store.staging, clock, policy=CHEAP_PASSWORDS)
            who = house.user("ann")
            made = house.version(who, name="birds")
            house.put(who, made, FILES)
            entries.commit(house.depot, who, made.n, [entries.Remove("birds/0.txt")])
            copies.copy(house.depot, who, made.n, name="more birds")
            trash.trash(house.depot, who, made.n)
            house.put_batch(who, house.version(who, name="packed"), {f"p{n}": b"packed %d" % n for n in range(5)})
            catalog.close()
            yield str(url)


def _tables(db: sqlite3.Connection, schema: str) -> dict[str, list[str]]:
    names = db.execute(f"SELECT name FROM {schema}.sqlite_master WHERE type = 'table'").fetchall()
    return {
        name: [row[1] for row in db.execute(f'PRAGMA {schema}.table_info("{name}")')]
        for (name,) in names
        if name not in ("alembic_version", "sqlite_sequence")
    }


def _postgres_tables(connection: psycopg.Connection[Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    asked = (
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
        "AND table_name <> 'alembic_version' AND is_generated = 'NEVER' ORDER BY ordinal_position"
    )
    for table, column in connection.execute(asked).fetchall():
        found.setdefault(table, []).append(column)
    return found


def _plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


def _difference(left: State, states: tuple[State, ...]) -> str:
    near = next((one for one in states if one.revision == left.revision), None)
    return f"no revision {left.revision}" if near is None else str(sorted(left.tables ^ near.tables))[:1000]


# Faults


def _step(place: Place, chance: random.Random, *, only: str | None = None, after: str | None = None) -> int:
    """The number of a step, drawn by chance.

    Args:
        only: Of this name.
        after: The one that follows one of this name.
    """
    names = place.steps
    return chance.choice(
        [
            n
            for n, name in enumerate(names, 1)
            if (only is None or name == only) and (after is None or (n > 1 and names[n - 2] == after))
        ]
    )


def _dies(_cells: MigrationCells, place: Place, chance: random.Random) -> str:
    def die() -> None:
        raise Crash

    return upgrade(place.url, Steps(_step(place, chance), die))


def _torn(_cells: MigrationCells, place: Place, chance: random.Random) -> str:
    """The power goes while a commit is on its way to the disk: of its pages some are there, and one is half there."""
    assert place.log is not None
    aside = [Path(f"{place.url}.aside"), Path(f"{place.log}.aside")]

    def leave() -> None:
        # As the disk is now. What closes the database after this happens to another copy of it.
        assert place.log is not None
        shutil.copy(place.url, aside[0])
        shutil.copy(place.log, aside[1])
        raise Crash

    said = upgrade(place.url, Steps(_step(place, chance, after="commit"), leave))
    begins, ends = _last_commit(aside[1].read_bytes())
    whole = aside[1].read_bytes()
    cut = chance.randrange(begins, ends)
    rest = chance.choice([b"", bytes(ends - cut), chance.randbytes(ends - cut)])
    for name in ("-wal", "-shm"):
        Path(f"{place.url}{name}").unlink(missing_ok=True)
    shutil.move(aside[0], place.url)
    place.log.write_bytes(whole[:cut] + rest)
    aside[1].unlink()
    return said


def _last_commit(log: bytes) -> tuple[int, int]:
    """Where the pages of the last commit in a log of SQLite begin and end."""
    page = struct.unpack(">I", log[8:12])[0]
    salt = log[16:24]
    ends = [_HEAD]
    for at in range(_HEAD, len(log) - page - _FRAME + 1, page + _FRAME):
        # Frames with another salt are of an earlier round.
        if log[at + 8 : at + 16] == salt and log[at + 4 : at + 8] != bytes(4):
            ends.append(at + page + _FRAME)
    return ends[-2], ends[-1]


def _full(_cells: MigrationCells, place: Place, chance: random.Random) -> str:
    """The log has room for some of its pages, and perhaps for a part of one."""
    frames = chance.randrange(1, (place.log_size - _HEAD) // (_PAGE + _FRAME))
    torn = chance.choice([0, chance.randrange(1, _PAGE)])
    # SQLite's map of the log needs its 32 KiB before a page is written.
    with file_size_limit(max(_HEAD + frames * (_PAGE + _FRAME), 32 << 10) + torn):
        return upgrade(place.url)


def _full_postgres(cells: MigrationCells, place: Place, chance: random.Random) -> str:
    """The log has room for some of what an upgrade writes; or tables and indexes have for a few pages."""
    small = cells._ground.small()
    log = chance.randrange(place.log_size)
    with small.full(log=log) if chance.random() < 0.5 else small.full(tables=log // 4):
        return upgrade(place.url)


def _cut(**where: str) -> Callable[[MigrationCells, Place, random.Random], str]:
    """The connection ends, as by a firewall or an operator."""

    def strike(cells: MigrationCells, place: Place, chance: random.Random) -> str:
        name = make_url(place.url).database

        def cut() -> None:
            cells._ground.server().execute(
                f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
            )

        return upgrade(place.url, Steps(_step(place, chance, **where), cut))

    return strike


def _restarts(cells: MigrationCells, place: Place, chance: random.Random) -> str:
    def restart() -> None:
        with cells._ground.server().away():
            pass

    return upgrade(place.url, Steps(_step(place, chance), restart))


#: In the words of the depot's table.
MIGRATION_FAULTS: Final[Mapping[str, Fault]] = {
    "process killed": Fault(_dies),
    "torn write": Fault(_torn),
    "database's disk full": Fault(_full),
    "PostgreSQL's disk full": Fault(_full_postgres, SMALL),
    "database lost before": Fault(_cut(only="commit"), "postgresql"),
    "database lost after": Fault(_cut(after="commit"), "postgresql"),
    "PostgreSQL restarted": Fault(_restarts, "postgresql"),
}
