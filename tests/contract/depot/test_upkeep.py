"""What falls due by the clock, which is moved here: expiry, retention, slots that nobody filled, old rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from entrepot.catalog import events as event_rows
from entrepot.catalog import queue
from entrepot.catalog import uploads as upload_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.schema import ingest, job, upload
from entrepot.depot import background, ingests, projects, slots, tasks, trash, upkeep, uploads, versions
from entrepot.depot.ingests import Part, Verdict
from entrepot.depot.projects import ProjectChanges
from entrepot.depot.slots import NewSlot, Slot
from entrepot.depot.uploads import NewUpload
from entrepot.depot.versions import NewVersion, VersionChanges
from entrepot.jobs.housekeeping import Housekeeper
from entrepot.jobs.runner import Runner
from entrepot.model.access import Actor
from entrepot.model.errors import Gone, NotFound
from entrepot.model.values import Event, Kind, Stage, State, Version
from tests.support.house import House


def lines_are_numbers(version: Version, parts: Sequence[Part], progress: Callable[[int, int], None]) -> Verdict:
    good = all(part.reader.read_at(0, part.size).strip().isdigit() for part in parts)
    return Verdict(good, {"message": "not a number"})


@pytest.fixture
def house(house: House) -> House:
    house.depot.checkers = {Kind.TABLE.value: lines_are_numbers}
    return house


def find(house: House, version: Version) -> Version:
    return versions.get(house.depot, house.admin, version.n).version


def gone(house: House, version: Version) -> bool:
    try:
        find(house, version)
    except NotFound:
        return True
    return False


def events(house: House, version: Version, verb: str) -> list[Event]:
    with house.depot.catalog.read() as conn:
        return event_rows.page(conn, before=None, limit=100, version=version.n, verbs=(verb,))


# Expiry


def test_a_version_is_announced_once_and_expires_at_its_time(house: House) -> None:
    ann = house.user("ann")
    version = house.version(ann, expires_at=house.clock.at + timedelta(days=30))
    other = house.version(ann)
    house.clock.move(days=22)
    assert (upkeep.announce(house.depot), upkeep.expire(house.depot)) == (0, 0)
    house.clock.move(days=1)
    assert (upkeep.announce(house.depot), upkeep.expire(house.depot)) == (1, 0)
    (event,) = events(house, version, "version.expiring")
    assert event.detail == {"expires_at": "2026-02-01T03:04:05+00:00"}
    assert (event.actor, event.door) == (None, "worker")
    house.clock.move(days=6, hours=23)
    assert (upkeep.announce(house.depot), upkeep.expire(house.depot)) == (0, 0), "told once"
    house.clock.move(hours=1)
    assert upkeep.expire(house.depot) == 1
    trashed = find(house, version).trash
    assert trashed is not None
    assert (trashed.reason, trashed.by, trashed.at) == ("expired", None, house.clock.at)
    assert upkeep.expire(house.depot) == 0
    assert find(house, other).trash is None


def test_an_expiry_that_was_moved_away_is_announced_again_when_it_comes_near(house: House) -> None:
    ann = house.user("ann")
    version = house.version(ann, expires_at=house.clock.at + timedelta(days=1))
    assert upkeep.announce(house.depot) == 1, "it is near from the start"
    versions.update(house.depot, ann, version.n, VersionChanges(expires_at=house.clock.at + timedelta(days=30)))
    house.clock.move(days=2)
    assert (upkeep.announce(house.depot), upkeep.expire(house.depot)) == (0, 0)
    house.clock.move(days=22)
    assert upkeep.announce(house.depot) == 1
    assert len(events(house, version, "version.expiring")) == 2


def test_reinstating_an_expired_version_clears_its_end(house: House) -> None:
    ann = house.user("ann")
    version = house.version(ann, expires_at=house.clock.at + timedelta(days=1))
    house.clock.move(days=1)
    upkeep.expire(house.depot)
    assert trash.reinstate(house.depot, ann, version.n).expires_at is None
    assert upkeep.expire(house.depot) == 0


def test_expiry_goes_on_where_its_limit_stopped_it(house: House) -> None:
    ann = house.user("ann")
    for _ in range(5):
        house.version(ann, expires_at=house.clock.at + timedelta(days=1))
    house.clock.move(days=1)
    assert [upkeep.expire(house.depot, limit=2) for _ in range(4)] == [2, 2, 1, 0]


# Trash


def test_by_default_nothing_leaves_the_trash_by_itself(house: House) -> None:
    ann = house.user("ann")
    version = house.version(ann)
    trash.trash(house.depot, ann, version.n)
    house.clock.move(days=10_000)
    assert upkeep.purge_trash(house.depot) == 0
    assert not gone(house, version)


def test_a_retention_of_the_server_empties_the_trash_after_it(house: House) -> None:
    house.depot.policy = replace(house.depot.policy, trash_retention=timedelta(days=30))
    ann = house.user("ann")
    deleted, active = house.version(ann), house.version(ann)
    house.put(ann, deleted, {"a": b"1"})
    trash.trash(house.depot, ann, deleted.n)
    house.clock.move(days=29)
    assert upkeep.purge_trash(house.depot) == 0
    house.clock.move(days=1)
    assert upkeep.purge_trash(house.depot) == 1
    assert gone(house, deleted)
    assert not gone(house, active)
    (event,) = events(house, deleted, "version.purged")
    assert event.door == "worker"


def test_a_projects_own_retention_wins(house: House) -> None:
    house.depot.policy = replace(house.depot.policy, trash_retention=timedelta(days=30))
    ann = house.user("ann")
    long, short = house.project(ann, "long"), house.project(ann, "short")
    projects.update(house.depot, ann, long.n, ProjectChanges(retention_s=90 * 86400))
    projects.update(house.depot, ann, short.n, ProjectChanges(retention_s=86400))
    kept, quick, usual = house.version(ann, long), house.version(ann, short), house.version(ann)
    for version in (kept, quick, usual):
        trash.trash(house.depot, ann, version.n)
    house.clock.move(days=1)
    assert upkeep.purge_trash(house.depot) == 1
    assert gone(house, quick)
    house.clock.move(days=29)
    assert upkeep.purge_trash(house.depot) == 1
    assert gone(house, usual)
    assert not gone(house, kept)


# Slots


def table(house: House, who: Actor, *files: str) -> tuple[Version, list[Slot]]:
    new = NewVersion(name="Numbers", kind=Kind.TABLE, numbering=versions.Numbering.NEXT)
    return slots.create(house.depot, who, None, new, [NewSlot(file) for file in files])


def put(house: House, who: Actor, slot: Slot, data: bytes) -> None:
    filling = slots.fill(house.depot, who, slot.uid)
    filling.write(data)
    filling.finish()


def work(house: House) -> None:
    runner = Runner(house.depot.catalog, background.kinds(house.depot), queue=ingests.QUEUE, worker="test")
    while runner.step():
        pass


def sweep(house: House) -> tuple[int, int]:
    return upkeep.tend_slots(house.depot), uploads.sweep(house.depot)


def test_a_version_that_got_no_byte_fails_with_its_last_address_and_goes_a_day_later(house: House) -> None:
    ann = house.user("ann")
    version, _ = table(house, ann, "a.csv", "b.csv")
    house.clock.move(hours=11)
    slots.renew(house.depot, ann, version.n)
    house.clock.move(hours=11)
    assert sweep(house) == (0, 0), "its newest address still works"
    house.clock.move(hours=1)
    assert sweep(house) == (1, 0)
    failed = find(house, version)
    assert (failed.state, failed.stage, failed.number) == (State.FAILED, Stage.TRANSFER, None)
    assert failed.report == {"message": "No file came before its address ended.", "missing": ["a.csv", "b.csv"]}
    assert len(events(house, version, "version.failed")) == 1
    house.clock.move(hours=23)
    assert sweep(house) == (0, 0)
    house.clock.move(hours=1)
    assert sweep(house) == (1, 2)
    assert gone(house, version)
    with house.depot.catalog.read() as conn:
        assert conn.execute(select(func.count()).select_from(upload)).scalar_one() == 0
        assert conn.execute(select(func.count()).select_from(ingest)).scalar_one() == 0


def test_files_that_came_wait_seven_days_for_somebody_to_start(house: House) -> None:
    ann = house.user("ann")
    version, (a, b) = table(house, ann, "a.csv", "b.csv")
    put(house, ann, a, b"1")
    house.clock.move(hours=10)
    put(house, ann, b, b"2")
    house.clock.move(days=6, hours=23)
    assert sweep(house)[0] == 0
    ingests.start(house.depot, ann, version.n)
    work(house)
    assert find(house, version).state is State.READY

    late, (a, b) = table(house, ann, "a.csv", "b.csv")
    put(house, ann, a, b"1")
    house.clock.move(hours=10)
    put(house, ann, b, b"2")
    house.clock.move(days=7)
    assert upkeep.tend_slots(house.depot) >= 1
    assert (find(house, late).state, find(house, late).stage) == (State.FAILED, Stage.TRANSFER)


def test_a_cut_transfer_counts_as_bytes_that_came(house: House) -> None:
    ann = house.user("ann")
    version, (slot,) = table(house, ann, "a.csv")
    filling = slots.fill(house.depot, ann, slot.uid)
    filling.write(b"1")
    filling.close()
    house.clock.move(days=6)
    upkeep.tend_slots(house.depot)
    assert find(house, version).state is State.RECEIVING
    house.clock.move(days=1)
    assert upkeep.tend_slots(house.depot) == 1


def test_the_slots_of_a_ready_version_go_when_their_addresses_end(house: House) -> None:
    ann = house.user("ann")
    version, (slot,) = table(house, ann, "a.csv")
    put(house, ann, slot, b"1")
    ingests.start(house.depot, ann, version.n)
    work(house)
    assert sweep(house) == (0, 0)
    house.clock.move(hours=12)
    assert upkeep.tend_slots(house.depot) == 1
    assert upkeep.tend_slots(house.depot) == 0
    uploads.sweep(house.depot)
    assert slots.list_slots(house.depot, ann, version.n)[1] == []
    assert house.tree(ann, version.n) == {"a.csv": b"1"}


def test_refused_files_are_kept_seven_days_for_whoever_wants_to_look(house: House) -> None:
    ann = house.user("ann")
    version, (slot,) = table(house, ann, "a.csv")
    put(house, ann, slot, b"x")
    ingests.start(house.depot, ann, version.n)
    work(house)
    house.clock.move(days=6)
    sweep(house)
    assert len(slots.list_slots(house.depot, ann, version.n)[1]) == 1
    house.clock.move(days=1)
    sweep(house)
    assert slots.list_slots(house.depot, ann, version.n)[1] == []
    house.clock.move(days=400)
    assert sweep(house) == (0, 0)
    assert find(house, version).state is State.FAILED, "the record stays until somebody deletes it"


def test_slots_of_a_version_in_the_trash_are_left_alone(house: House) -> None:
    ann = house.user("ann")
    version, _ = table(house, ann, "a.csv")
    trash.trash(house.depot, ann, version.n)
    house.clock.move(days=30)
    assert sweep(house) == (0, 0)
    assert not gone(house, version)


def test_one_version_that_cannot_be_dealt_with_does_not_keep_the_others_waiting(house: House) -> None:
    ann = house.user("ann")
    bad, good = house.version(ann), house.version(ann)
    seen: list[int] = []

    def act(_: Connection, version: Version) -> bool:
        if version.n == bad.n:
            raise Gone("of a sudden")
        seen.append(version.n)
        return True

    assert upkeep._each(house.depot, "test", [bad.n, good.n, 10_000], act) == 1
    assert seen == [good.n]


# Uploads


def test_an_upload_goes_seven_days_after_its_last_byte_with_everything_it_left(house: House) -> None:
    ann = house.user("ann")
    cut = uploads.begin(house.depot, ann, NewUpload(length=10))
    house.clock.move(days=6)
    with uploads.receive(house.depot, ann, cut.uid, 0) as receiver:
        receiver.write(b"12345")
    whole = house.upload(ann, b"whole")
    house.clock.move(days=6)
    assert uploads.sweep(house.depot) == 0
    house.clock.move(days=1)
    assert uploads.sweep(house.depot) == 2
    assert uploads.sweep(house.depot) == 0
    assert list(house.depot.staging.keys()) == []
    for row in (cut, whole):
        with pytest.raises(NotFound):
            uploads.get(house.depot, ann, row.uid)


def test_what_was_placed_and_never_named_goes_with_its_upload(house: House) -> None:
    """The process died between placing the bytes and naming them; nobody came back."""
    ann = house.user("ann")
    row = uploads.begin(house.depot, ann, NewUpload(length=3))
    stage = house.depot.staging.create(row.key)
    stage.write(b"123")
    stage.place()
    house.clock.move(days=7)
    assert uploads.sweep(house.depot) == 1
    assert list(house.depot.store.keys()) == []


def test_an_upload_that_was_given_more_time_meanwhile_is_left_alone(house: House) -> None:
    """Its sender comes back between the sweep's look and its turn."""
    ann = house.user("ann")
    row = uploads.begin(house.depot, ann, NewUpload(length=10))
    with uploads.receive(house.depot, ann, row.uid, 0) as receiver:
        house.clock.move(days=7)
        with house.depot.catalog.read() as conn:
            (seen,) = upload_rows.expired(conn, house.clock.at, 10)
        receiver.write(b"12345")
    assert uploads._remove(house.depot, seen) is False
    assert uploads.get(house.depot, ann, row.uid).received == 5


def test_a_slot_that_is_full_outlives_its_address(house: House) -> None:
    ann = house.user("ann")
    version, (slot,) = table(house, ann, "a.csv")
    put(house, ann, slot, b"1")
    house.clock.move(days=2)
    sweep(house)
    ingests.start(house.depot, ann, version.n)
    work(house)
    assert house.tree(ann, version.n) == {"a.csv": b"1"}


# Tasks, and the whole table of periodic work


def test_tasks_are_shown_for_thirty_days_and_hidden_jobs_kept_for_two(house: House) -> None:
    ann = house.user("ann")
    version, (slot,) = table(house, ann, "a.csv")
    put(house, ann, slot, b"1")
    task = ingests.start(house.depot, ann, version.n)
    work(house)
    catalog, now = house.depot.catalog, house.clock.at
    catalog.write(
        lambda conn: queue.enqueue_once(
            conn, uid=house.depot.new_uid(), queue=ingests.QUEUE, kind="upkeep.tasks", dedupe="x@1", now=now
        )
    )
    work(house)
    house.clock.move(days=2)
    assert upkeep.forget_tasks(house.depot) == 0
    house.clock.move(seconds=1)
    assert upkeep.forget_tasks(house.depot) == 1
    house.clock.move(days=28)
    assert tasks.get(house.depot, ann, task.uid).uid == task.uid
    assert upkeep.forget_tasks(house.depot) == 1
    with pytest.raises(NotFound):
        tasks.get(house.depot, ann, task.uid)


def test_every_periodic_kind_is_known_and_runs(house: House) -> None:
    """All of them once, as the worker runs them: none fails, and none is left out."""
    kinds = background.kinds(house.depot)
    keeper = Housekeeper(house.depot.catalog, new_uid=house.depot.new_uid, periodic=background.PERIODIC)
    assert keeper.schedule() == len(background.PERIODIC)
    assert {one.queue for one in background.PERIODIC} <= set(background.QUEUES)
    for name in background.QUEUES:
        runner = Runner(house.depot.catalog, kinds, queue=name, worker="test")
        while runner.step():
            pass
    with house.depot.catalog.read() as conn:
        ended = conn.execute(select(job.c.kind, job.c.state, job.c.error)).all()
    assert [row for row in ended if row.state != "done"] == []
    assert {row.kind for row in ended} == {one.kind for one in background.PERIODIC}


def test_a_version_expires_within_a_minute(house: House) -> None:
    """By the table of periodic work: how often it looks, and with nothing slow before it in its queue."""
    (expire,) = [one for one in background.PERIODIC if one.kind == "upkeep.expire"]
    assert expire.every <= timedelta(seconds=30)
    slow = {"collect.entries", "collect.bytes"}
    assert slow.isdisjoint({one.kind for one in background.PERIODIC if one.queue == expire.queue})
