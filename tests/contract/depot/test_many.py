"""Many versions to the trash and back at once: the same as one by one, in a few statements, and all or none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from entrepot.catalog.connection import Connection
from entrepot.catalog.schema import delivery, event, ingest, job, upload, version
from entrepot.catalog.work import UPKEEP, JobKind
from entrepot.depot import background, ingests, projects, search, slots, trash, upkeep, versions, webhooks
from entrepot.depot.ingests import Verdict
from entrepot.depot.slots import NewSlot
from entrepot.depot.versions import NewVersion
from entrepot.depot.webhooks import NewWebhook
from entrepot.jobs.runner import Runner
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid, NameTaken, Trashed
from entrepot.model.values import Kind, Numbering, Project, Version
from tests.support.house import House
from tests.support.receivers import Receiver


def waiting(house: House, ann: Actor, home: Project, name: str, *, begun: bool) -> Version:
    """A table whose file is to come, or is there and waits for its check."""
    made, (slot,) = slots.create(
        house.depot, ann, home.n, NewVersion(name=name, kind=Kind.TABLE), [NewSlot(None, suffix=".csv")]
    )
    if begun:
        filling = slots.fill(house.depot, ann, slot.uid)
        filling.write(b"a\n1\n")
        filling.finish()
        ingests.start(house.depot, ann, made.n)
    return made


def all_sorts(house: House, ann: Actor, name: str) -> list[int]:
    """Versions in every state that the way out and back treats in its own way, in a project with a webhook."""
    home = house.project(ann, name)
    hook = NewWebhook("all", "https://receiver.example.org/hook", ("version.*", "task.*"))
    webhooks.create(house.depot, ann, home.n, hook)
    plain, twin = (house.version(ann, home, "Penguins", numbering=Numbering.NEXT) for _ in range(2))
    house.put(ann, plain, {"a.txt": b"1"})
    named = house.version(ann, home, "Auks", alias="best")
    empty = waiting(house, ann, home, "empty", begun=False)
    checked = waiting(house, ann, home, "checked", begun=True)
    expired = house.version(ann, home, "old", expires_at=house.clock.at + timedelta(seconds=1))
    house.clock.move(seconds=1)
    upkeep.expire(house.depot)
    before = house.version(ann, home, "before")
    trash.trash(house.depot, ann, before.n, reason="archived: long ago")
    house.clock.move(seconds=1)
    return [one.n for one in (plain, twin, named, empty, checked, expired, before)]


def told(house: House, numbers: list[int]) -> list[Any]:
    """Everything that is written of these versions, but for what names them, by the place in the list."""
    places = {n: i for i, n in enumerate(numbers)}

    def work(conn: Connection) -> list[Any]:
        record = select(
            version.c.id,
            version.c.state,
            version.c.stage,
            version.c.report,
            version.c.number,
            version.c.alias,
            version.c.expires_at,
            version.c.updated_at,
            version.c.trashed_at,
            version.c.trashed_by,
            version.c.trash_reason,
        ).where(version.c.id.in_(numbers))
        events = select(
            event.c.version, event.c.verb, event.c.actor, event.c.at, event.c.before, event.c.after, event.c.detail
        ).where(event.c.version.in_(numbers), ~event.c.verb.like("task.%"))
        tasks = select(event.c.version, event.c.verb, event.c.detail).where(
            event.c.version.in_(numbers), event.c.verb.like("task.%")
        )
        sent = (
            select(event.c.version, delivery.c.verb, delivery.c.state)
            .join_from(delivery, event, delivery.c.event == event.c.id)
            .where(event.c.version.in_(numbers))
        )
        others = [
            select(one.c.version, one.c.state).where(one.c.version.in_(numbers)).order_by(one.c.version, one.c.id)
            for one in (upload, ingest, job)
        ]
        queries = [record, events.order_by(event.c.id), tasks.order_by(event.c.id), sent.order_by(event.c.id), *others]
        rows = [[(places[row[0]], *row[1:]) for row in conn.execute(query)] for query in queries]
        return [sorted(one, key=lambda row: row[0]) for one in rows]

    with house.depot.catalog.read() as conn:
        return work(conn)


def found(house: House, ann: Actor, words: str) -> set[int]:
    return {one.found.version.n for one in search.search(house.depot, ann, words, limit=100).rows}


def test_many_at_once_are_what_one_by_one_are(house: House) -> None:
    ann, house.depot.courier = house.user("ann"), Receiver()
    house.depot.checkers = {Kind.TABLE.value: lambda _version, _parts, _progress: Verdict(True, {})}
    one_by_one = all_sorts(house, ann, "One by one")
    house.clock.move(seconds=-2)
    at_once = all_sorts(house, ann, "At once")
    for n in one_by_one:
        trash.trash(house.depot, ann, n, reason="archived: Other")
    after = trash.trash_many(house.depot, ann, [*at_once, at_once[0]], reason="archived: Other")
    assert [one.n for one in after] == [*at_once, at_once[0]]
    assert [one.trash.reason for one in after if one.trash] == ["archived: Other"] * 6 + [
        "archived: long ago",
        "archived: Other",
    ]
    assert told(house, at_once) == told(house, one_by_one)
    assert found(house, ann, "penguins") == set()
    # Meanwhile others took a number and an alias.
    for home in (one_by_one, at_once):
        other = house.of(ann, home[0])
        versions.create(
            house.depot, ann, other.project, NewVersion(name="Penguins", alias="best", numbering=Numbering.NEXT)
        )
    house.clock.move(hours=1)
    for n in one_by_one:
        trash.reinstate(house.depot, ann, n, numbering=Numbering.NEXT)
    back = trash.reinstate_many(house.depot, ann, at_once)
    assert [(one.number, one.alias) for one in back[:4]] == [(2, None), (3, None), (1, None), (None, None)]
    assert told(house, at_once) == told(house, one_by_one)
    assert found(house, ann, "penguins") >= {*at_once[:2], *one_by_one[:2]}


def test_of_several_that_come_back_the_first_keeps_what_two_had(house: House) -> None:
    ann = house.user("ann")
    home = house.project(ann, "Birds")
    made = []
    for _ in range(3):
        one = house.version(ann, home, "Penguins", alias="best", numbering=Numbering.NEXT)
        made.append(trash.trash(house.depot, ann, one.n).n)
    assert [house.of(ann, n).number for n in made] == [1, 1, 1]
    with pytest.raises(NameTaken, match="already has an active version 1"):
        trash.reinstate_many(house.depot, ann, made, numbering=Numbering.KEEP)
    back = trash.reinstate_many(house.depot, ann, made)
    assert [(one.number, one.alias) for one in back] == [(1, "best"), (2, None), (3, None)]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (Numbering.ONLY, "already a dataset"),
        (Numbering.FIRST, "already has a version 1"),
        (Numbering.KEEP, "version 2"),
    ],
)
def test_a_rule_that_refuses_one_leaves_all_in_the_trash(house: House, rule: Numbering, says: str) -> None:
    ann = house.user("ann")
    home = house.project(ann, "Birds")
    first, second = (house.version(ann, home, "Penguins", numbering=Numbering.NEXT) for _ in range(2))
    lone = house.version(ann, home, "Auks")
    trash.trash_many(house.depot, ann, [second.n, lone.n], reason="x")
    house.version(ann, home, "Penguins", numbering=Numbering.NEXT)
    with pytest.raises(NameTaken, match=says):
        trash.reinstate_many(house.depot, ann, [lone.n, second.n], numbering=rule)
    assert house.of(ann, lone.n).trash is not None
    assert house.of(ann, first.n).number == 1


def test_none_comes_back_from_a_project_in_the_trash(house: House) -> None:
    ann = house.user("ann")
    home = house.project(ann, "Birds")
    free, inside = house.version(ann), house.version(ann, home)
    trash.trash_many(house.depot, ann, [free.n, inside.n], reason="x")
    projects.trash(house.depot, ann, home.n)
    with pytest.raises(Trashed, match="reinstate it first"):
        trash.reinstate_many(house.depot, ann, [free.n, inside.n])
    assert house.of(ann, free.n).trash is not None


def test_all_that_cannot_be_used_are_named_once_for_each_time(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    mine, theirs = house.version(ann), house.version(bob)
    with pytest.raises(Invalid) as refused:
        trash.trash_many(house.depot, ann, [mine.n, theirs.uid, 0, mine.uid, 10**20], reason="x")
    assert [one["id"] for one in refused.value.errors] == [
        f"version ver_{theirs.uid.hex}",
        "version 0",
        "version of that number",
    ]
    assert house.of(ann, mine.n).trash is None


def test_what_was_read_out_of_many_versions_is_found_again_after_a_job(house: House) -> None:
    ann = house.user("ann")
    made = [house.version(ann, name=f"Bird {i}") for i in range(22)]
    for one in made:
        house.put(ann, one, {"a.txt": b"1"})
    numbers = [one.n for one in made]
    trash.trash_many(house.depot, ann, numbers, reason="x")
    trash.reinstate_many(house.depot, ann, numbers)
    assert found(house, ann, "bird") == set(numbers[:20])
    kinds: dict[str, JobKind] = background.kinds(house.depot)
    runner = Runner(house.depot.catalog, kinds, queue=UPKEEP, worker="test")
    # One that was deleted meanwhile stays so.
    trash.trash(house.depot, ann, numbers[-1])
    while runner.step():
        pass
    assert found(house, ann, "bird") == set(numbers[:-1])


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_more_versions_are_not_more_questions(house: House) -> None:
    ann = house.user("ann")
    home = house.project(ann, "Birds")
    asked: list[str] = []

    def listen(conn: Connection, hear: Callable[[str], None] | None) -> None:
        conn.connection.dbapi_connection.set_trace_callback(hear)  # type: ignore[union-attr]

    def questions(act: Callable[[], object]) -> int:
        asked.clear()
        house.depot.catalog.write(lambda conn: listen(conn, asked.append))
        act()
        house.depot.catalog.write(lambda conn: listen(conn, None))
        # The index of words asks itself about every document.
        return sum(one.startswith("SELECT") and "search_" not in one for one in asked)

    counts = []
    for many in (3, 30):
        numbers = [house.version(ann, home).n for _ in range(many)]
        counts.append(
            (
                questions(lambda keys=numbers: trash.trash_many(house.depot, ann, keys, reason="x")),  # type: ignore[misc]
                questions(lambda keys=numbers: trash.reinstate_many(house.depot, ann, keys)),  # type: ignore[misc]
            )
        )
    assert counts[0] == counts[1]
