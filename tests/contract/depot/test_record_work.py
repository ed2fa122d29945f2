"""Questions about whole records: small ones at once, large ones as tasks whose answers are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from entrepot.depot import record_checks, record_work, records, tasks, trash, versions
from entrepot.depot.record_work import Kept
from entrepot.depot.versions import VersionChanges
from entrepot.model.access import ANONYMOUS, Actor
from entrepot.model.errors import Invalid, KindMismatch, NotFound, TooLarge, Unauthenticated
from entrepot.model.values import Kind, Scope, Task, TaskState, Visibility
from entrepot.records import arrow
from entrepot.tabular import items
from entrepot.tabular.bytesin import Source, Span
from tests.support.house import House
from tests.support.records import checked, lines, sent, work

ROWS = [{"id": i, "label": {"name": "cat" if i % 3 else "dog"}, "t": "x" * (i % 7)} for i in range(300)]


@pytest.fixture
def house(house: House) -> House:
    house.depot.checkers = {Kind.RECORDS.value: record_checks.checker(house.depot)}
    return house


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes a task begins here with a kilobyte."""
    monkeypatch.setattr(record_work, "AT_ONCE", 1000)


def ended(house: House, task: object) -> Task:
    assert isinstance(task, Task)
    work(house)
    return tasks.get(house.depot, Actor(user=task.starter, scope=Scope.READ), task.uid)


def test_small_questions_are_answered_at_once(house: House) -> None:
    ann = house.user("ann")
    before, after = checked(house, ann, lines(ROWS)), checked(house, ann, lines(ROWS[1:]))
    found = record_work.diff(house.depot, ann, after.n, "id", base_version=before.n)
    assert found == {
        "added": 0,
        "removed": 1,
        "changed": 0,
        "rows": [{"change": "removed", "key": 0, "before": 0, "after": None}],
    }
    told = record_work.statistics(house.depot, ann, after.n)
    assert not isinstance(told, Task)
    assert (told["looked_at"], told["total"]) == (299, 299)


@pytest.mark.usefixtures("large")
def test_large_ones_are_tasks_whose_answer_is_the_same_and_is_kept(house: House) -> None:
    ann = house.user("ann")
    before, after = checked(house, ann, lines(ROWS)), checked(house, ann, lines(ROWS[1:]))

    def asked() -> object:
        return record_work.diff(house.depot, ann, after.n, "id", base_version=before.n)

    task = asked()
    again = asked()
    assert isinstance(task, Task)
    assert isinstance(again, Task)
    assert (task.kind, task.state, task.version, again.n) == ("records", TaskState.READY, after.n, task.n)
    done = ended(house, task)
    straight = records.diff(house.depot, ann, after.n, "id", base_version=before.n)
    assert (done.state, done.result) == (TaskState.DONE, record_work.told(straight))
    assert asked() == done.result

    counted = ended(house, record_work.statistics(house.depot, ann, after.n))
    assert counted.result == record_work.told_statistics(records.statistics(house.depot, ann, after.n))
    assert record_work.statistics(house.depot, ann, after.n) == counted.result
    assert isinstance(record_work.statistics(house.depot, ann, after.n, most=200), Task)
    few = record_work.statistics(house.depot, ann, after.n, most=3)
    assert not isinstance(few, Task)
    assert few["looked_at"] == 3


@pytest.mark.usefixtures("large")
def test_what_cannot_be_compared_is_a_task_that_failed(house: House) -> None:
    ann = house.user("ann")
    before, after = checked(house, ann, lines(ROWS)), checked(house, ann, lines(ROWS))
    done = ended(house, record_work.diff(house.depot, ann, after.n, "t", base_version=before.n))
    assert (done.state, (done.error or {})["code"]) == (TaskState.FAILED, "invalid")
    assert "have the same key" in (done.error or {})["detail"]
    with pytest.raises(Invalid, match="cannot be read"):
        record_work.diff(house.depot, ann, after.n, "a b", base_version=before.n)


@pytest.mark.usefixtures("large")
def test_a_comparison_with_another_project_is_only_for_who_asked(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    public = VersionChanges(visibility=Visibility.PUBLIC)
    before, after = checked(house, bob, lines(ROWS)), checked(house, ann, lines(ROWS))
    versions.update(house.depot, ann, after.n, public)
    mine = record_work.diff(house.depot, bob, after.n, "id", base_version=before.n)
    assert isinstance(mine, Task)
    assert mine.project is None
    assert (ended(house, mine).result or {})["changed"] == 0
    with pytest.raises(NotFound):
        tasks.get(house.depot, ann, mine.uid)


@pytest.mark.usefixtures("large")
def test_a_task_needs_an_owner_who_has_not_too_many(house: House) -> None:
    ann = house.user("ann")
    made = checked(house, ann, lines(ROWS))
    versions.update(house.depot, ann, made.n, VersionChanges(visibility=Visibility.PUBLIC))
    with pytest.raises(Unauthenticated):
        record_work.statistics(house.depot, ANONYMOUS, made.n)
    small = record_work.statistics(house.depot, ANONYMOUS, made.n, most=2)
    assert not isinstance(small, Task)
    house.depot.limits = replace(house.depot.limits, tasks_per_user=0)
    with pytest.raises(TooLarge, match="unfinished tasks"):
        record_work.statistics(house.depot, ann, made.n)


@pytest.mark.usefixtures("large")
def test_a_version_that_goes_takes_its_questions_along(house: House) -> None:
    ann = house.user("ann")
    made = checked(house, ann, lines(ROWS))
    task = record_work.statistics(house.depot, ann, made.n)
    trash.trash(house.depot, ann, made.n)
    assert ended(house, task).state is TaskState.CANCELLED


# Tables


def kept(house: House, who: Actor, n: int, form: record_work.Format) -> bytes:
    found = record_work.export(house.depot, who, n, form)
    if isinstance(found, Task):
        done = ended(house, found)
        assert done.state is TaskState.DONE, done.error
        found = record_work.export(house.depot, who, n, form)
    assert isinstance(found, Kept)
    with found.reader as reader:
        data = reader.read_at(0, found.size)
    assert (found.file_name, len(data)) == (f"batch.{form}", found.size)
    return data


def test_a_small_csv_is_made_at_once(house: House) -> None:
    ann = house.user("ann")
    n = checked(house, ann, lines([{"a": "007", "b": [1]}, {"a": 'x,"\n', "c": True}])).n
    assert record_work.export(house.depot, ann, n, "csv") == b'a,b,c\r\n007,[1],\r\n"x,""\n",,true\r\n'


@pytest.mark.usefixtures("large")
def test_a_table_is_made_once_of_all_files_of_a_revision(house: House, tmp_path: Path) -> None:
    ann = house.user("ann")
    n = checked(house, ann, lines(ROWS[:100]), lines(ROWS[100:])).n
    data = kept(house, ann, n, "csv")
    assert data.splitlines()[:2] == [b"id,label,t", b'0,"{""name"": ""dog""}",']
    assert data.count(b"\r\n") == 301
    forms: tuple[arrow.Format, ...] = ("arrow", "parquet")
    for form in forms:
        data = kept(house, ann, n, form)
        assert kept(house, ann, n, form) == data
        path = tmp_path / form
        path.write_bytes(data)
        source = Source(form, len(data), (Span(str(path), 0, len(data)),))
        assert [json.loads(line) for line in items.lines(source, form, most=10, progress=int)] == ROWS


def test_items_without_keys_make_no_table(house: House) -> None:
    ann = house.user("ann")
    n = checked(house, ann, b"{}\n{}\n").n
    done = ended(house, record_work.export(house.depot, ann, n, "parquet"))
    assert (done.state, "no keys" in (done.error or {})["detail"]) == (TaskState.FAILED, True)
    assert isinstance(record_work.export(house.depot, ann, n, "parquet"), Task)


def test_only_records_with_items_make_tables(house: House) -> None:
    ann = house.user("ann")
    with pytest.raises(KindMismatch):
        record_work.export(house.depot, ann, house.version(ann).n, "csv")
    with pytest.raises(NotFound, match="no items yet"):
        record_work.export(house.depot, ann, sent(house, ann, b"{}\n").n, "csv")
    with pytest.raises(Invalid, match="There is no form"):
        record_work.export(house.depot, ann, checked(house, ann, b"{}\n").n, "xlsx")  # type: ignore[arg-type]
