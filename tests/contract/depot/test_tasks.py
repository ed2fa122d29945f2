"""Tasks: who may stop one, what a stopped one leaves, and that its end is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from entrepot.catalog import events as event_rows
from entrepot.depot import background, ingests, slots, tasks, trash, versions
from entrepot.depot.ingests import Part, Verdict
from entrepot.depot.slots import NewSlot
from entrepot.depot.versions import NewVersion
from entrepot.jobs.runner import Runner
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import TooLarge, WrongState
from entrepot.model.ids import Noun
from entrepot.model.values import Event, Kind, Role, Stage, State, Task, TaskState, Version
from tests.support.house import House


def accept(version: Version, parts: Sequence[Part], progress: Callable[[int, int], None]) -> Verdict:
    return Verdict(True, {}, item_count=1)


@pytest.fixture
def house(house: House) -> House:
    house.depot.checkers = {Kind.TABLE.value: accept}
    return house


def started(house: House, who: Actor, project: int | None = None) -> tuple[Version, Task]:
    """A version whose only file came, and the task of its ingest, which nobody runs yet."""
    new = NewVersion(name="Numbers", kind=Kind.TABLE, numbering=versions.Numbering.NEXT)
    version, (slot,) = slots.create(house.depot, who, project, new, [NewSlot("a.csv")])
    filling = slots.fill(house.depot, who, slot.uid)
    filling.write(b"1\n")
    filling.finish()
    return version, ingests.start(house.depot, who, version.n)


def work(house: House, kinds: Mapping[str, Any] | None = None) -> None:
    runner = Runner(
        house.depot.catalog,
        kinds or background.kinds(house.depot),
        queue=ingests.QUEUE,
        worker="test",
        look_every_s=0.01,
    )
    while runner.step():
        pass


def state(house: House, version: Version) -> Version:
    return versions.get(house.depot, house.admin, version.n).version


def told(house: House, version: Version, verb: str) -> list[Event]:
    with house.depot.catalog.read() as conn:
        return event_rows.page(conn, before=None, limit=100, version=version.n, verbs=(verb,))


def test_a_waiting_task_is_cancelled_at_once_and_its_version_failed(house: House) -> None:
    ann = house.user("ann")
    version, task = started(house, ann)
    ended = tasks.cancel(house.depot, ann, task.uid)
    assert (ended.state, ended.ended_at) == (TaskState.CANCELLED, house.clock.at)
    failed = state(house, version)
    assert (failed.state, failed.stage, failed.number) == (State.FAILED, Stage.CONTENT, None)
    assert tasks.cancel(house.depot, ann, task.uid).state is TaskState.CANCELLED
    work(house)
    assert state(house, version).state is State.FAILED


def test_a_running_task_is_cancelled_at_its_next_step(house: House) -> None:
    ann = house.user("ann")
    version, task = started(house, ann)

    def endless(_: Version, parts: Sequence[Part], progress: Callable[[int, int], None]) -> Verdict:
        assert tasks.cancel(house.depot, ann, task.uid).cancel_requested
        while True:
            progress(1, 2)

    house.depot.checkers = {Kind.TABLE.value: endless}
    work(house)
    assert tasks.get(house.depot, ann, task.uid).state is TaskState.CANCELLED
    assert state(house, version).state is State.FAILED


def test_what_has_ended_cannot_be_cancelled(house: House) -> None:
    ann = house.user("ann")
    _, task = started(house, ann)
    work(house)
    with pytest.raises(WrongState, match="ended already: done"):
        tasks.cancel(house.depot, ann, task.uid)


def test_every_end_is_told_once_with_who_started_it(house: House) -> None:
    ann = house.user("ann")
    done, task = started(house, ann)
    work(house)
    stopped, other = started(house, ann)
    tasks.cancel(house.depot, ann, other.uid)
    tasks.cancel(house.depot, ann, other.uid)
    for version, of, how in ((done, task, "done"), (stopped, other, "cancelled")):
        (event,) = told(house, version, "task.ended")
        assert (event.actor, event.door, event.subject) == (ann.user, "native", ids.encode(Noun.TASK, of.uid))
        assert event.detail == {"kind": "ingest", "state": how}
        assert event.dataset == version.dataset


def test_deleting_a_version_stops_its_ingest_and_bringing_it_back_shows_it_failed(house: House) -> None:
    ann = house.user("ann")
    version, task = started(house, ann)
    trash.trash(house.depot, ann, version.n)
    assert tasks.get(house.depot, ann, task.uid).state is TaskState.CANCELLED
    back = trash.reinstate(house.depot, ann, version.n)
    assert (back.state, back.number) == (State.FAILED, None)
    assert len(told(house, version, "task.ended")) == 1


def test_a_version_that_is_deleted_while_its_ingest_runs_publishes_nothing(house: House) -> None:
    ann = house.user("ann")
    version, task = started(house, ann)

    def meanwhile(_: Version, parts: Sequence[Part], progress: Callable[[int, int], None]) -> Verdict:
        trash.trash(house.depot, ann, version.n)
        return Verdict(True, {})

    house.depot.checkers = {Kind.TABLE.value: meanwhile}
    work(house)
    assert tasks.get(house.depot, ann, task.uid).state in (TaskState.FAILED, TaskState.CANCELLED)
    back = trash.reinstate(house.depot, ann, version.n)
    assert (back.state, back.revision) == (State.FAILED, 0)


def test_a_version_that_is_purged_while_its_ingest_runs_is_gone(house: House) -> None:
    ann = house.user("ann")
    version, task = started(house, ann)

    def meanwhile(_: Version, parts: Sequence[Part], progress: Callable[[int, int], None]) -> Verdict:
        trash.purge(house.depot, ann, version.n)
        return Verdict(True, {})

    house.depot.checkers = {Kind.TABLE.value: meanwhile}
    work(house)
    assert tasks.get(house.depot, ann, task.uid).state in (TaskState.FAILED, TaskState.CANCELLED)


def test_whoever_may_not_write_may_not_cancel(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    team = house.team("lab", ann=Role.WRITE, bob=Role.READ)
    project = house.project(ann, "P", team=team)
    _, task = started(house, ann, project.n)
    assert tasks.get(house.depot, bob, task.uid).uid == task.uid
    with pytest.raises(Exception, match="may not cancel"):
        tasks.cancel(house.depot, bob, task.uid)


def test_a_person_may_have_so_many_unfinished_tasks(house: House) -> None:
    ann = house.user("ann")
    house.depot.limits = house.depot.limits.__class__(tasks_per_user=1)
    started(house, ann)
    with pytest.raises(TooLarge, match="1 unfinished tasks"):
        started(house, ann)
    work(house)
    started(house, ann)
