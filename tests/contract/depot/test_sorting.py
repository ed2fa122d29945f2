"""Lists in the order of time: what they show, whichever way it is found, and that a page costs about a page."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, text

from entrepot.catalog import sorting
from entrepot.catalog.connection import Connection
from entrepot.catalog.schema import collection, version
from entrepot.catalog.sorting import Effort, Order, Sorted
from entrepot.catalog.versions import Filter, Sight
from entrepot.depot import lookup, projects, trash, versions
from entrepot.depot.versions import VersionChanges
from entrepot.model.access import Actor
from entrepot.model.values import Visibility
from tests.support.house import House

#: Nothing is looked for along an index; everything is; it is given up in the middle.
SORTED, WALKED, GIVEN_UP = Effort(ahead=0), Effort(little=0), Effort(ahead=5, little=0)
ORDERS: tuple[Order, ...] = ("created", "-modified")


def pages(house: House, sight: Sight, wanted: Sorted, effort: Effort, limit: int = 4) -> list[tuple[Any, int]]:
    """All pages, one after the other: time and number of each row."""
    seen: list[tuple[Any, int]] = []
    with house.depot.catalog.read() as conn:
        while True:
            after = seen[-1] if seen else None
            found = sorting.page(conn, sight, wanted, after=after, limit=limit, effort=effort)
            seen += [(key, one.version.n) for key, one in found]
            if len(found) < limit:
                return seen


@pytest.fixture
def people(house: House) -> dict[str, Actor]:
    """Versions of two owners at different and equal times, of every visibility, some in the trash or hidden."""
    ann, bob = house.user("ann"), house.user("bob")
    home = house.project(ann, "Birds")
    below = projects.create_collection(house.depot, ann, home.uid, "raw")
    kinds = itertools.cycle(Visibility)
    for i in range(14):
        owner, project = (bob, None) if i % 3 == 0 else (ann, home)
        where = {"collection": below.uid} if project and i % 4 == 0 else {}
        hidden = {"properties": {"door.hidden": True}} if i % 7 == 0 else {}
        house.version(owner, project, f"bird {i}", visibility=next(kinds), **where, **hidden)
        if i % 2:
            house.clock.move(seconds=1)
    house.clock.move(hours=1)
    mine = [one.version.n for one in versions.list_versions(house.depot, ann, Filter(project=home.n)).rows]
    for n in mine[::3]:
        versions.update(house.depot, ann, n, VersionChanges(description="changed"))
    trash.trash_many(house.depot, ann, mine[1::4], reason="archived: Other")
    return {"ann": ann, "admin": house.admin, "stranger": house.user("eve")}


def questions(house: House) -> Iterator[Sorted]:
    early = house.clock.at - timedelta(minutes=30)
    with house.depot.catalog.read() as conn:
        (folder,) = conn.execute(select(collection.c.id).where(collection.c.path == "raw")).scalars()
    for order in ORDERS:
        yield Sorted("door.hidden", order=order)
        yield Sorted("nothing", order=order, trashed=None)
        yield Sorted("door.hidden", order=order, includes="bird 1")
        yield Sorted("door.hidden", order=order, modified=[(">", early)], created=[("<=", early)])
        yield Sorted("nothing", order=order, collection=folder)
        yield Sorted("nothing", order=order, trashed=True, reasons=["archived: Other"])


def test_what_is_found_along_an_index_is_what_sorting_finds(house: House, people: dict[str, Actor]) -> None:
    total = 0
    for actor in people.values():
        sight = lookup.sight(actor)
        for wanted in questions(house):
            expected = pages(house, sight, wanted, SORTED)
            assert pages(house, sight, wanted, WALKED) == expected, wanted
            assert pages(house, sight, wanted, GIVEN_UP) == expected, wanted
            assert expected == sorted(expected, reverse=wanted.order.startswith("-"))
            total += len(expected)
    assert total > 60


def _multiply(conn: Connection, last: int, times: range) -> None:
    """The versions up to a number again and again, each a little older."""
    names = ", ".join(f'"{one.name}"' for one in version.c if one.name not in _OWN)
    uid = "randomblob(16)" if conn.dialect.name == "sqlite" else "gen_random_uuid()"
    conn.execute(
        text(
            "WITH RECURSIVE ago(n) AS (SELECT CAST(:first AS integer) UNION ALL SELECT n + 1 FROM ago WHERE n < :last) "
            f"INSERT INTO version (uid, created_at, updated_at, {names}) "
            f"SELECT {uid}, created_at - n, updated_at - n, {names} FROM version, ago WHERE id <= :known"
        ),
        {"first": times.start, "last": times.stop - 1, "known": last},
    )


#: What copies do not share.
_OWN = {"id", "uid", "number", "alias", "created_at", "updated_at"}


@dataclass
class Crowd:
    """More versions than are sorted at once."""

    house: House
    ann: Actor

    def __post_init__(self) -> None:
        owners = (self.ann, self.house.admin)
        made = [self.house.version(owner, visibility=one) for one in Visibility for owner in owners for _ in "1234"]
        self.last = made[-1].n
        self.grow(range(1, 51))

    def grow(self, times: range) -> None:
        self.house.depot.catalog.write(lambda conn: _multiply(conn, self.last, times), bulk=True)
        if self.house.depot.catalog.dialect == "postgresql":
            # What it does by itself after a while.
            self.house.depot.catalog.write(lambda conn: conn.execute(text("ANALYZE version, project, membership")))

    def cost(
        self, measure: Callable[[Connection, Callable[[], None]], int], effort: Effort = sorting.EFFORT
    ) -> list[int]:
        """Of the first page of those who see all and of those who see some, in two orders."""
        found = []
        for sight in (lookup.sight(self.ann), lookup.sight(self.house.admin)):
            for order in ORDERS:
                with self.house.depot.catalog.read() as conn:
                    wanted = Sorted("door.hidden", order=order)
                    found.append(measure(conn, partial(self._ask, conn, sight, wanted, effort)))
        return found

    def _ask(self, conn: Connection, sight: Sight, wanted: Sorted, effort: Effort) -> None:
        assert len(sorting.page(conn, sight, wanted, after=None, limit=50, effort=effort)) == 50


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_a_page_takes_as_many_steps_in_a_catalogue_of_five_times_as_many(house: House) -> None:
    def steps(conn: Connection, ask: Callable[[], None]) -> int:
        counted = itertools.count()
        driver: Any = conn.connection.dbapi_connection
        driver.set_progress_handler(lambda: next(counted) < 0, 10)
        ask()
        driver.set_progress_handler(None, 0)
        return next(counted)

    crowd = Crowd(house, house.user("ann"))
    before = crowd.cost(steps)
    crowd.grow(range(51, 251))
    after = crowd.cost(steps)
    assert all(now < 1.2 * was for was, now in zip(before, after, strict=True)), (before, after)


@pytest.mark.parametrize("catalog_url", ["postgresql"], indirect=True)
def test_a_page_reads_hardly_more_versions_than_it_shows(house: House) -> None:
    read = text("SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relname = :name")

    def rows(conn: Connection, ask: Callable[[], None]) -> int:
        # A table as small as that of a test is read from end to end for anything, which costs as little.
        conn.execute(text("SET LOCAL enable_seqscan = off"))
        before = int(conn.execute(read, {"name": "version"}).scalar_one())
        ask()
        return int(conn.execute(read, {"name": "version"}).scalar_one()) - before

    counted = Crowd(house, house.user("ann")).cost(rows, WALKED)
    assert max(counted) <= 600, "two looks ahead, of 1,224 that there are"
    assert min(counted) <= 150


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_the_walk_goes_along_the_index(house: House) -> None:
    sight, wanted = lookup.sight(house.admin), Sorted("door.hidden")
    said: list[str] = []
    with house.depot.catalog.read() as conn:
        driver: Any = conn.connection.dbapi_connection
        driver.set_trace_callback(said.append)
        sorting.page(conn, sight, wanted, after=(house.clock.at, 7), limit=50)
        driver.set_trace_callback(None)
        (walk,) = (one for one in said if "walked" in one)
        steps = [row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {walk}")]
    entered = "SEARCH version USING INDEX ix_version_updated_at (updated_at<?)"
    assert entered in steps
    assert [one for one in steps if one.startswith("SCAN")] == ["SCAN walked"]
