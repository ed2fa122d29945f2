"""Consignments: files announced at once, that come one by one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from entrepot.catalog.work import JobKind
from entrepot.depot import consignments, entries, projects, splits, tasks, trash, uploads, versions
from entrepot.depot.consigned import MOST_FILES
from entrepot.depot.consignments import Coming, Consignment, NewConsigned
from entrepot.depot.projects import ProjectChanges
from entrepot.jobs.runner import Runner
from entrepot.model.access import Actor
from entrepot.model.errors import (
    DigestMismatch,
    Forbidden,
    Frozen,
    Gone,
    Invalid,
    LengthMismatch,
    NotFound,
    PreconditionFailed,
    QuotaExceeded,
    TooLarge,
    Trashed,
    WrongState,
)
from entrepot.model.values import Kind, Role, Scope
from tests.support.house import House


def begin(house: House, who: Actor, *paths: str, length: int = 3, **more: Any) -> Consignment:
    project = more.pop("project", None) or house.project(who).n
    return consignments.begin(
        house.depot, who, project, "Pictures", [NewConsigned(one, length, **more) for one in paths]
    )


def put(house: House, who: Actor, uid: Any, data: bytes) -> consignments.Consigned:
    arrival = consignments.fill(house.depot, who, uid)
    try:
        arrival.write(data)
        return arrival.finish()
    except BaseException:
        arrival.close()
        raise


def test_each_file_is_there_as_soon_as_it_is_whole(house: House) -> None:
    ann = house.user("ann")
    made = begin(house, ann, "x/a", "x/b")
    assert [one.state for one in made.files] == [Coming.WAITING] * 2
    put(house, ann, made.files[1].uid, b"bbb")
    assert house.tree(ann, made.version) == {"x/b": b"bbb"}
    put(house, ann, made.files[0].uid, b"aaa")
    assert house.tree(ann, made.version) == {"x/a": b"aaa", "x/b": b"bbb"}
    found = consignments.get(house.depot, ann, made.uid)
    assert [one.state for one in found.files] == [Coming.ARRIVED] * 2
    assert entries.get(house.depot, ann, made.version, "x/a")[2].added_by == "ann"


def test_the_newest_version_of_the_name_is_taken(house: House) -> None:
    ann = house.user("ann")
    project = house.project(ann)
    first = begin(house, ann, "a", project=project.n)
    assert begin(house, ann, "b", project=project.n).version == first.version
    versions.freeze(house.depot, ann, first.version)
    with pytest.raises(Frozen):
        begin(house, ann, "c", project=project.n)
    trash.trash(house.depot, ann, first.version)
    assert begin(house, ann, "c", project=project.n).version != first.version


def test_a_table_of_the_name_is_left_alone(house: House) -> None:
    ann = house.user("ann")
    project = house.project(ann)
    table = house.version(ann, project, "Pictures", kind=Kind.TABLE)
    assert begin(house, ann, "a", project=project.n).version != table.n


@pytest.mark.parametrize(
    ("data", "error"), [(b"ab", LengthMismatch), (b"abcd", LengthMismatch), (b"abd", DigestMismatch)]
)
def test_a_wrong_put_leaves_its_reason_and_the_place_open(house: House, data: bytes, error: type[Exception]) -> None:
    ann = house.user("ann")
    right = house.upload(ann, b"abc")
    assert right.content is not None
    crc = entries_crc(house, ann)
    made = begin(house, ann, "a", crc32c=crc)
    with pytest.raises(error):
        put(house, ann, made.files[0].uid, data)
    (shown,) = consignments.get(house.depot, ann, made.uid).files
    assert shown.state is Coming.REFUSED
    assert shown.error
    put(house, ann, made.files[0].uid, b"abc")
    (shown,) = consignments.get(house.depot, ann, made.uid).files
    assert (shown.state, shown.error) == (Coming.ARRIVED, None)


def entries_crc(house: House, who: Actor) -> int:
    """The CRC-32C of `abc`, as the catalogue computed it."""
    version = house.version(who)
    house.put(who, version, {"abc": b"abc"})
    return entries.get(house.depot, who, version.n, "abc")[2].crc32c


def test_a_repeat_is_a_success_and_others_come_too_late(house: House) -> None:
    ann = house.user("ann")
    made = begin(house, ann, "a")
    put(house, ann, made.files[0].uid, b"aaa")
    put(house, ann, made.files[0].uid, b"aaa")
    with pytest.raises(PreconditionFailed):
        put(house, ann, made.files[0].uid, b"bbb")
    assert house.tree(ann, made.version) == {"a": b"aaa"}
    assert versions.get(house.depot, ann, made.version).version.revision == 1


def test_a_cut_put_leaves_nothing(house: House) -> None:
    ann = house.user("ann")
    made = begin(house, ann, "a")
    arrival = consignments.fill(house.depot, ann, made.files[0].uid)
    arrival.write(b"a")
    arrival.close()
    assert consignments.get(house.depot, ann, made.uid).files[0].state is Coming.WAITING
    put(house, ann, made.files[0].uid, b"aaa")


def test_what_was_cancelled_takes_nothing_more(house: House) -> None:
    ann = house.user("ann")
    made = begin(house, ann, "a", "b")
    put(house, ann, made.files[0].uid, b"aaa")
    assert consignments.cancel(house.depot, ann, made.uid).cancelled
    assert consignments.cancel(house.depot, ann, made.uid).count(Coming.CANCELLED) == 1
    with pytest.raises(Gone):
        put(house, ann, made.files[1].uid, b"bbb")
    with pytest.raises(WrongState):
        splits.begin(house.depot, ann, made.uid, "b", 3)
    done = begin(house, ann, "a")
    put(house, ann, done.files[0].uid, b"aaa")
    with pytest.raises(WrongState):
        consignments.cancel(house.depot, ann, done.uid)


def test_a_version_that_takes_no_more_takes_no_file(house: House) -> None:
    ann = house.user("ann")
    made = begin(house, ann, "a", "b")
    arrival = consignments.fill(house.depot, ann, made.files[0].uid)
    arrival.write(b"aaa")
    trash.trash(house.depot, ann, made.version)
    with pytest.raises(Trashed):
        arrival.finish()
    arrival.close()
    with pytest.raises(Trashed):
        consignments.fill(house.depot, ann, made.files[1].uid)


def test_pieces_become_one_file(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "PIECE", 4)
    ann = house.user("ann")
    made = begin(house, ann, "x/film", length=10)
    split = splits.begin(house.depot, ann, made.uid, "film", 10)
    assert [one.length for one in split.pieces] == [3, 3, 4]
    for piece, data in zip(split.pieces, (b"012", b"345", b"6789"), strict=True):
        with pytest.raises(Invalid, match="missing"):
            splits.join(house.depot, ann, split.uid)
        put(house, ann, piece.uid, data)
    for _ in range(2):
        done, task = splits.join(house.depot, ann, split.uid)
        assert (done.file.state, task) == (Coming.ARRIVED, None)
    assert house.tree(ann, made.version) == {"x/film": b"0123456789"}
    with pytest.raises(Gone):
        put(house, ann, split.pieces[0].uid, b"012")


def test_a_large_file_is_joined_by_the_worker_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "PIECE", 4)
    monkeypatch.setattr(splits, "AT_ONCE", 9)
    ann = house.user("ann")
    split = splits.begin(house.depot, ann, begin(house, ann, "film", length=10).uid, "film", 10)
    for piece, data in zip(split.pieces, (b"012", b"345", b"6789"), strict=True):
        put(house, ann, piece.uid, data)
    found, task = splits.join(house.depot, ann, split.uid)
    assert task is not None
    assert (found.file.state, task.kind) == (Coming.WAITING, "join")
    again = splits.join(house.depot, ann, split.uid)[1]
    assert again is not None
    assert again.n == task.n
    kinds = {splits.JOB: JobKind(partial(splits.run, house.depot))}
    Runner(house.depot.catalog, kinds, queue=splits.QUEUE, worker="test").step()
    assert tasks.get(house.depot, ann, task.uid).result == {"path": "film", "size": 10}
    assert task.version is not None
    assert house.tree(ann, task.version) == {"film": b"0123456789"}
    done, more = splits.join(house.depot, ann, split.uid)
    assert (done.file.state, more) == (Coming.ARRIVED, None)


def test_what_is_announced_is_judged_as_a_whole(house: House) -> None:
    ann = house.user("ann")
    with pytest.raises(Invalid) as refused:
        begin(house, ann, "a", "../b", "a", "c")
    assert [one["index"] for one in refused.value.errors] == [1, 2]
    with pytest.raises(TooLarge):
        begin(house, ann, *(f"{i}" for i in range(MOST_FILES + 1)))
    with pytest.raises(LengthMismatch):
        splits.begin(house.depot, ann, begin(house, ann, "a").uid, "a", 4)
    with pytest.raises(NotFound):
        splits.begin(house.depot, ann, begin(house, ann, "a").uid, "b", 3)


def test_the_allocation_is_asked_before_a_byte_is_sent(house: House) -> None:
    ann = house.user("ann")
    project = house.project(ann)
    projects.update(house.depot, house.admin, project.n, ProjectChanges(allocation=5))
    with pytest.raises(QuotaExceeded):
        begin(house, ann, "a", "b", project=project.n)
    assert begin(house, ann, "a", project=project.n)


def test_a_consignment_is_its_owners_alone(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    team = house.team(ann=Role.WRITE, bob=Role.WRITE)
    project = house.project(ann, team=team)
    made = begin(house, ann, "a", project=project.n)
    split = splits.begin(house.depot, ann, made.uid, "a", 3)
    asks: list[Callable[[Actor], Any]] = [
        lambda who: consignments.get(house.depot, who, made.uid),
        lambda who: consignments.cancel(house.depot, who, made.uid),
        lambda who: consignments.fill(house.depot, who, made.files[0].uid),
        lambda who: splits.begin(house.depot, who, made.uid, "a", 3),
        lambda who: splits.get(house.depot, who, split.uid),
        lambda who: splits.join(house.depot, who, split.uid),
        lambda who: splits.abort(house.depot, who, split.uid),
    ]
    elsewhere = house.log_in("ann", projects=(project.n + 1000,))
    for ask in asks:
        for who in (bob, house.admin, elsewhere):
            with pytest.raises(NotFound):
                ask(who)
    reading = house.log_in("ann", scope=Scope.READ)
    for ask in (asks[1], asks[2], asks[3], asks[6]):
        with pytest.raises(Forbidden):
            ask(reading)
    # Not by the way of other uploads either.
    for uid in (made.uid, made.files[0].uid, split.uid, split.pieces[0].uid):
        with pytest.raises(NotFound):
            uploads.get(house.depot, ann, uid)
    assert uploads.list_uploads(house.depot, ann).rows == ()


def test_its_time_ends(house: House) -> None:
    ann = house.user("ann")
    made = begin(house, ann, "a", "b")
    put(house, ann, made.files[0].uid, b"aaa")
    house.clock.move(days=8)
    with pytest.raises(NotFound):
        consignments.get(house.depot, ann, made.uid)
    uploads.sweep(house.depot)
    assert house.tree(ann, made.version) == {"a": b"aaa"}
    assert list(house.depot.staging.keys()) == []
