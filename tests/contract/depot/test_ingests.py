"""Slots and ingests: content that is checked before it becomes a revision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pytest

from entrepot.catalog.work import JobKind
from entrepot.depot import entries, ingests, objects, slots, tasks, trash, versions
from entrepot.depot.ingests import Part, Verdict
from entrepot.depot.slots import NewSlot, Slot
from entrepot.depot.versions import NewVersion
from entrepot.jobs.runner import Runner
from entrepot.model.access import Actor
from entrepot.model.errors import (
    BadSignature,
    DigestMismatch,
    Invalid,
    LengthMismatch,
    NotFound,
    PreconditionFailed,
    Trashed,
    WrongState,
)
from entrepot.model.values import Kind, Stage, State, TaskState, Version
from tests.support.house import House


def numbers_only(version: Version, parts: Sequence[Part], progress: Callable[[int, int], None]) -> Verdict:
    """A checker whose rule is easy to break: every line is a number."""
    bad, good = [], 0
    for part in parts:
        for i, line in enumerate(part.reader.read_at(0, part.size).splitlines(), 1):
            progress(i, part.size)
            if line.isdigit():
                good += 1
            else:
                bad.append({"part": part.name, "line": i, "excerpt": line.decode()})
    return Verdict(not bad, {"message": f"{len(bad)} bad lines", "errors": bad}, item_count=good, data_type="csv")


@pytest.fixture
def house(house: House) -> House:
    house.depot.checkers = {Kind.TABLE.value: numbers_only}
    return house


def work(house: House) -> int:
    """Run every waiting job; answers how many."""
    kinds = {
        ingests.JOB: JobKind(partial(ingests.run, house.depot), partial(ingests.abandoned, house.depot)),
    }
    runner = Runner(house.depot.catalog, kinds, queue="ingest", worker="test")
    done = 0
    while runner.step():
        done += 1
    return done


def table(house: House, who: Actor, *files: str, name: str = "Numbers", **more: bool) -> tuple[Version, list[Slot]]:
    new = NewVersion(name=name, kind=Kind.TABLE, numbering=versions.Numbering.NEXT)
    return slots.create(house.depot, who, None, new, [NewSlot(file, **more) for file in files])


def put(house: House, who: Actor, slot: Slot, data: bytes) -> Slot:
    filling = slots.fill(house.depot, who, slot.uid)
    filling.write(data)
    return filling.finish()


def state(house: House, who: Actor, version: Version) -> Version:
    return versions.get(house.depot, who, version.n).version


def test_the_whole_way_from_slots_to_a_ready_version(house: House) -> None:
    ann = house.user("ann")
    version, (a, b) = table(house, ann, "a.csv", "b.csv")
    assert (version.state, version.number) == (State.EMPTY, None)
    put(house, ann, b, b"3\n")
    assert state(house, ann, version).state is State.RECEIVING
    put(house, ann, a, b"1\n2\n")
    task = ingests.start(house.depot, ann, version.n)
    assert state(house, ann, version).state is State.PROCESSING
    assert work(house) == 1
    ready = state(house, ann, version)
    assert (ready.state, ready.number, ready.revision, ready.item_count) == (State.READY, 1, 1, 3)
    assert tasks.get(house.depot, ann, task.uid).state is TaskState.DONE
    by_position = entries.iterate(house.depot, ann, version.n, by_position=True)[2]
    assert [entry.path for entry in by_position] == ["a.csv", "b.csv"]


def test_bad_content_publishes_nothing_and_takes_no_number(house: House) -> None:
    ann = house.user("ann")
    bad, (slot,) = table(house, ann, "a.csv")
    put(house, ann, slot, b"1\nx\ny\n")
    task = ingests.start(house.depot, ann, bad.n)
    work(house)
    failed = state(house, ann, bad)
    assert (failed.state, failed.stage, failed.number, failed.revision) == (State.FAILED, Stage.CONTENT, None, 0)
    assert failed.report is not None
    assert [fault["line"] for fault in failed.report["errors"]] == [2, 3]
    ended = tasks.get(house.depot, ann, task.uid)
    assert ended.state is TaskState.FAILED
    assert ended.error is not None
    good, (slot,) = table(house, ann, "a.csv")
    put(house, ann, slot, b"1\n")
    ingests.start(house.depot, ann, good.n)
    work(house)
    assert state(house, ann, good).number == 1


def test_starting_early_names_what_is_missing(house: House) -> None:
    ann = house.user("ann")
    version, (a, _) = table(house, ann, "a.csv", "b.csv")
    put(house, ann, a, b"1\n")
    with pytest.raises(Invalid, match=r"1 of 2 files are missing: b\.csv"):
        ingests.start(house.depot, ann, version.n)


def test_starting_again_answers_the_same_task_also_when_it_ended(house: House) -> None:
    ann = house.user("ann")
    version, (slot,) = table(house, ann, "a.csv")
    put(house, ann, slot, b"1\n")
    first = ingests.start(house.depot, ann, version.n)
    assert ingests.start(house.depot, ann, version.n).uid == first.uid
    work(house)
    assert ingests.start(house.depot, ann, version.n).uid == first.uid


def test_a_second_put_replaces_the_first_until_the_start(house: House) -> None:
    ann = house.user("ann")
    version, (slot,) = table(house, ann, "a.csv")
    put(house, ann, slot, b"x\n")
    put(house, ann, slot, b"1\n")
    ingests.start(house.depot, ann, version.n)
    with pytest.raises(WrongState):
        put(house, ann, slot, b"2\n")
    work(house)
    assert house.tree(ann, version.n) == {"a.csv": b"1\n"}


def test_a_write_once_slot_takes_one_put_and_may_start_by_itself(house: House) -> None:
    ann = house.user("ann")
    version, (slot,) = table(house, ann, "a.csv", once=True, starts=True)
    put(house, ann, slot, b"1\n")
    assert state(house, ann, version).state is State.PROCESSING
    with pytest.raises((PreconditionFailed, WrongState)):
        put(house, ann, slot, b"1\n")
    assert work(house) == 1


def test_a_cut_put_leaves_the_slot_empty(house: House) -> None:
    ann = house.user("ann")
    version, (slot,) = table(house, ann, "a.csv")
    filling = slots.fill(house.depot, ann, slot.uid)
    filling.write(b"1\n")
    filling.close()
    with pytest.raises(Invalid, match="missing"):
        ingests.start(house.depot, ann, version.n)
    assert list(house.depot.staging.keys()) == []


def test_an_announced_length_and_checksum_are_held_to(house: House) -> None:
    ann = house.user("ann")
    new = NewVersion(name="n", kind=Kind.TABLE)
    _, (slot,) = slots.create(house.depot, ann, None, new, [NewSlot("a.csv", length=2, crc32c=7)])
    with pytest.raises(LengthMismatch):
        put(house, ann, slot, b"1")
    with pytest.raises(DigestMismatch):
        put(house, ann, slot, b"1\n")


def test_slot_names_are_judged_together_and_nothing_is_made(house: House) -> None:
    ann = house.user("ann")
    with pytest.raises(Invalid) as refused:
        table(house, ann, "a.csv", "a/b.csv", "a.csv", "..")
    assert [fault["index"] for fault in refused.value.errors] == [1, 2, 3]
    with pytest.raises(NotFound):
        versions.resolve(house.depot, ann, versions.Reference("ann", "numbers"))


def test_trashing_a_version_closes_its_slots_and_stops_its_ingest(house: House) -> None:
    ann = house.user("ann")
    version, (slot,) = table(house, ann, "a.csv")
    put(house, ann, slot, b"1\n")
    task = ingests.start(house.depot, ann, version.n)
    trash.trash(house.depot, ann, version.n)
    assert tasks.get(house.depot, ann, task.uid).state is TaskState.CANCELLED
    assert work(house) == 0
    other, (slot,) = table(house, ann, "a.csv")
    trash.trash(house.depot, ann, other.n)
    with pytest.raises(Trashed):
        put(house, ann, slot, b"1\n")


def test_a_signed_put_fills_its_slot_and_reads_nothing(house: House) -> None:
    ann = house.user("ann")
    version, (slot,) = table(house, ann, "a.csv")
    link = objects.sign_slot(house.depot, ann, slot)
    assert link.method == "PUT"
    filling = objects.fill_link(house.depot, link.path)
    filling.write(b"1\n")
    assert filling.finish().full
    with pytest.raises(BadSignature):
        objects.open_link(house.depot, link.path)
    ingests.start(house.depot, ann, version.n)


def test_a_checker_that_crashes_fails_the_version_in_the_end(house: House) -> None:
    def crash(*_: object) -> Verdict:
        raise RuntimeError("boom")

    house.depot.checkers = {Kind.TABLE.value: crash}
    ann = house.user("ann")
    version, (slot,) = table(house, ann, "a.csv")
    put(house, ann, slot, b"1\n")
    ingests.start(house.depot, ann, version.n)
    for _ in range(10):
        work(house)
        house.clock.move(minutes=10)
    assert state(house, ann, version).state is State.FAILED
