"""What operators look at across everything, on every kind of catalogue; and that it is told to nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from entrepot.catalog.connection import Connection
from entrepot.catalog.queue import enqueue
from entrepot.catalog.schema import job
from entrepot.depot import administration, collection, projects, trash, users
from entrepot.depot.projects import ProjectChanges
from entrepot.model.access import Actor
from entrepot.model.errors import Hidden, NotFound
from entrepot.model.values import TaskState
from tests.support.house import House


def work(house: House, kind: str, *, queue: str = "ingest", shown: bool = True, **ended: Any) -> UUID:
    """A job that nothing runs, ended as wished."""
    uid, now = uuid4(), house.depot.now()

    def make(conn: Connection) -> None:
        enqueue(conn, uid=uid, queue=queue, kind=kind, payload={}, now=now, shown=shown)
        if ended:
            conn.execute(update(job).where(job.c.uid == uid).values(ended_at=now, started_at=now, **ended))

    house.depot.catalog.write(make)
    return uid


def test_the_overview_counts_what_there_is_and_names_what_failed(house: House) -> None:
    ann = house.user("ann")
    gone = house.user("gone")
    users.deactivate(house.depot, house.admin, "gone")
    one = house.version(ann)
    house.put(ann, one, {"a": b"12345", "b": b"123"})
    trash.trash(house.depot, ann, house.version(ann).n)
    work(house, "waits")
    house.clock.move(seconds=90)
    failed = [work(house, f"failed {i}", state="failed", error={"detail": str(i)}) for i in range(7)]
    work(house, "scrub.bytes", queue="system", shown=False, state="done", result={"bytes": 5})
    found = administration.overview(house.depot, house.admin)
    assert (found.counts.users, found.counts.active_users, found.counts.versions) == (3, 2, 1)
    assert found.counts.projects == 3
    assert gone.user is not None
    assert (found.totals.contents, found.totals.n_bytes, found.totals.damaged) == (2, 8, 0)
    assert found.totals.unread == 2
    assert found.waiting.total_seconds() == 90
    assert {(one.queue, one.state): one.jobs for one in found.depths}["ingest", TaskState.FAILED] == 7
    assert len(found.failures) == 5
    assert {one.uid for one in found.failures} <= set(failed)
    assert found.scrub is not None
    assert found.scrub.result == {"bytes": 5}
    assert found.collection is None


def test_jobs_are_listed_newest_first_and_page_after_page(house: House) -> None:
    made = [work(house, f"kind {i}", shown=i % 2 == 0) for i in range(5)]
    work(house, "elsewhere", queue="system", state="done")
    seen: list[UUID] = []
    cursor = None
    while True:
        page = administration.list_jobs(house.depot, house.admin, queue="ingest", cursor=cursor, limit=2)
        seen += [one.uid for one in page.rows]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == made[::-1]
    shown = administration.list_jobs(house.depot, house.admin, queue="ingest", hidden=False)
    assert [one.uid for one in shown.rows] == made[::-2]
    done = administration.list_jobs(house.depot, house.admin, state=TaskState.DONE)
    assert [one.kind for one in done.rows] == ["elsewhere"]
    one = administration.get_job(house.depot, house.admin, made[0])
    assert (one.kind, one.state, one.is_task, one.error) == ("kind 0", TaskState.READY, True, None)
    with pytest.raises(NotFound):
        administration.get_job(house.depot, house.admin, uuid4())


def test_room_is_counted_by_project_the_greatest_first(house: House) -> None:
    ann = house.user("ann")
    sizes = {"small": 3, "large": 900, "middle": 40}
    for name, size in sizes.items():
        home = house.project(ann, name)
        house.put(ann, house.version(ann, home), {"kept": b"k" * size})
        dropped = house.version(ann, home)
        house.put(ann, dropped, {"dropped": b"d" * size})
        trash.trash(house.depot, ann, dropped.n)
    projects.update(house.depot, house.admin, "large", ProjectChanges(allocation=5000))
    projects.trash(house.depot, ann, "small")
    rows: list[administration.Room] = []
    cursor = None
    while True:
        page = administration.list_rooms(house.depot, house.admin, cursor=cursor, limit=1)
        rows += page.rows
        cursor = page.cursor
        if cursor is None:
            break
    assert [one.slug for one in rows[:3]] == ["large", "middle", "small"]
    assert {one.slug for one in rows[3:]} == {"admin", "ann"}, "empty ones come last, each once"
    large, _, small = rows[:3]
    assert (large.n_bytes, large.trash_bytes, large.files, large.versions) == (1800, 900, 2, 2)
    assert (large.allocation, large.owner, large.is_personal, large.is_trashed) == (5000, "~ann", True, False)
    assert (small.is_trashed, small.n_bytes, small.trash_bytes) == (True, 6, 6)
    for one in rows:
        assert all(type(n) is int for n in (one.n_bytes, one.trash_bytes, one.files, one.versions))


def test_looking_at_what_collection_would_free_is_the_operators(house: House) -> None:
    found = collection.gc(house.depot, house.admin, dry_run=True, looks=1)
    assert (found.condemned, found.freed_bytes, found.is_whole) == (0, 0, True)


VIEWS: dict[str, Callable[[House, Actor], object]] = {
    "enter": lambda h, a: administration.enter(h.depot, a),
    "overview": lambda h, a: administration.overview(h.depot, a),
    "queues": lambda h, a: administration.queues(a),
    "list_jobs": lambda h, a: administration.list_jobs(h.depot, a),
    "get_job": lambda h, a: administration.get_job(h.depot, a, uuid4()),
    "list_rooms": lambda h, a: administration.list_rooms(h.depot, a),
}


def test_nobody_else_is_told_that_there_is_such_a_view(house: House) -> None:
    ann = house.user("ann")
    for look in VIEWS.values():
        with pytest.raises(Hidden):
            look(house, ann)
