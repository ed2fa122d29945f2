"""Ingests of records: every line is judged, all of them are published or none, and the index comes with them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from entrepot.catalog import derived
from entrepot.catalog.entries import sweep_strands
from entrepot.catalog.work import Cancelled
from entrepot.depot import collection, entries, record_checks, tasks, trash, upkeep, uploads, versions
from entrepot.depot.contents import open_content
from entrepot.depot.ingests import Part
from entrepot.depot.record_checks import LINES
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid
from entrepot.model.values import Kind, Stage, State, TaskState, Version
from tests.support.house import House
from tests.support.records import lines, sent, work


@pytest.fixture
def house(house: House) -> House:
    house.depot.checkers = {Kind.RECORDS.value: record_checks.checker(house.depot)}
    return house


def after(house: House, who: Actor, version: Version) -> Version:
    work(house)
    return versions.get(house.depot, who, version.n).version


def test_good_lines_are_published_and_counted(house: House) -> None:
    ann = house.user("ann")
    first, second = lines([{"i": i} for i in range(100)]), lines([{"j": 1}])
    ready = after(house, ann, sent(house, ann, first, second))
    assert (ready.state, ready.number, ready.revision, ready.item_count) == (State.READY, 1, 1, 101)
    assert ready.data_type == "ndjson"
    assert house.tree(ann, ready.n) == {"part0.ndjson": first, "part1.ndjson": second}
    listed = list(entries.iterate(house.depot, ann, ready.n)[2])
    assert {entry.media_type for entry in listed} == {"application/x-ndjson"}
    with house.depot.catalog.read() as conn:
        assert len(derived.find(conn, [entry.content for entry in listed], LINES)) == 2


def test_bad_lines_publish_nothing_and_are_named(house: House) -> None:
    ann = house.user("ann")
    version = sent(house, ann, lines([{"i": 1}]), b'{"a":1}\n{"a":1,"a":2}\nnull\n')
    failed = after(house, ann, version)
    assert (failed.state, failed.stage, failed.number, failed.revision) == (State.FAILED, Stage.CONTENT, None, 0)
    report = failed.report
    assert report is not None
    assert report["message"] == (
        'Line 2 of part1.ndjson has the key "a" twice in one object. '
        "2 of 4 lines are bad; the first 2 are in the report."
    )
    assert [(bad["part"], bad["line"], bad["offset"], bad["reason"]) for bad in report["errors"]] == [
        ("part1.ndjson", 2, 8, "duplicate_key"),
        ("part1.ndjson", 3, 22, "not_an_object"),
    ]
    task = tasks.list_tasks(house.depot, ann, version=version.n).rows[0]
    assert (task.state, task.error and task.error["detail"]) == (TaskState.FAILED, report["message"])


def test_a_declared_schema_is_enforced_and_a_wrong_one_refused_at_once(house: House) -> None:
    ann = house.user("ann")
    version = sent(
        house, ann, lines([{"kind": "Image", "url": "https://a/b"}, {"kind": "Film"}]), declared={"lines": "image"}
    )
    report = after(house, ann, version).report
    assert report is not None
    assert (report["bad_lines"], report["errors"][0]["line"], report["errors"][0]["reason"]) == (1, 2, "schema")
    with pytest.raises(Invalid, match="no kind of line"):
        sent(house, ann, b"", declared={"lines": "film"})


def test_whatever_stands_in_a_bad_line_its_report_can_be_kept(house: House) -> None:
    """One of the databases takes no NUL, and neither takes half of a surrogate pair."""
    ann = house.user("ann")
    schema = {"schema": {"additionalProperties": {"type": "string"}}}
    data = b'{"\\u0000\\u001b[2J":1}\n{"\\u0000":"a","\\u0000":"b"}\n{"\\ud800":1,"\\ud800":2}\n\x00\x1b[2J\n\xff\n'
    report = after(house, ann, sent(house, ann, data, declared=schema)).report
    assert report is not None
    assert [bad["reason"] for bad in report["errors"]] == [
        "schema",
        "duplicate_key",
        "duplicate_key",
        "not_json",
        "not_utf8",
    ]
    assert all((bad["detail"] + bad["excerpt"]).isprintable() for bad in report["errors"])


def test_the_same_bytes_again_use_the_index_that_is_there(house: House) -> None:
    ann = house.user("ann")
    data = lines([{"i": 1}])
    contents = set()
    for name in ("One", "Two"):
        ready = after(house, ann, sent(house, ann, data, name=name))
        (entry,) = entries.iterate(house.depot, ann, ready.n)[2]
        with house.depot.catalog.read() as conn:
            contents |= set(derived.find(conn, [entry.content], LINES).items())
    assert len(contents) == 1


def test_an_index_goes_with_its_content(house: House) -> None:
    ann = house.user("ann")
    ready = after(house, ann, sent(house, ann, lines([{"i": i} for i in range(1000)])))
    (entry,) = entries.iterate(house.depot, ann, ready.n)[2]
    grace = house.depot.policy.collection_grace + timedelta(hours=1)
    house.clock.move(days=2)
    upkeep.tend_slots(house.depot)
    for _ in range(3):
        house.clock.move(seconds=grace.total_seconds())
        collection.collect(house.depot, lambda _: None)
    with house.depot.catalog.read() as conn:
        assert derived.find(conn, [entry.content], LINES)
    trash.trash(house.depot, ann, ready.n)
    trash.purge(house.depot, house.admin, ready.n)
    sweep_strands(house.depot.catalog)
    house.clock.move(days=8)
    uploads.sweep(house.depot)
    for _ in range(5):
        house.clock.move(seconds=grace.total_seconds())
        collection.collect(house.depot, lambda _: None)
    with house.depot.catalog.read() as conn:
        assert not derived.find(conn, [entry.content], LINES)
    assert list(house.depot.store.keys()) == []


def test_an_index_that_is_missing_is_made_again(house: House) -> None:
    ann = house.user("ann")
    ready = after(house, ann, sent(house, ann, lines([{"i": 1}])))
    (entry,) = entries.iterate(house.depot, ann, ready.n)[2]
    with house.depot.catalog.read() as conn:
        before = derived.find(conn, [entry.content], LINES)
    house.depot.catalog.write(lambda conn: derived.drop(conn, entry.content, LINES))
    assert record_checks.build_index(house.depot, entry.content) == before[entry.content]


def test_a_check_that_is_stopped_in_the_middle_leaves_no_object(house: House) -> None:
    ann = house.user("ann")
    house.depot.checkers = {}
    data = b'{"a":1}\n' * 400_000
    upload = house.upload(ann, data)
    assert upload.content is not None
    version = house.version(ann, kind=Kind.RECORDS)
    before = set(house.depot.store.keys())

    def stopped(done: int, total: int) -> None:
        assert total == len(data)
        if done > total // 2:
            raise Cancelled

    with open_content(house.depot, upload.content) as reader, pytest.raises(Cancelled):
        record_checks.checker(house.depot)(version, [Part("a", upload.content, reader.size, reader)], stopped)
    assert set(house.depot.store.keys()) == before


def test_an_index_whose_making_was_cut_is_swept_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes are durable, and then nobody names them."""
    ann = house.user("ann")
    version = sent(house, ann, lines([{"i": 1}]))

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(record_checks, "_report", dies)
        with pytest.raises(KeyboardInterrupt):
            work(house)
    assert len(list(house.depot.store.keys())) == 2
    assert versions.get(house.depot, ann, version.n).version.revision == 0
    house.clock.move(days=3)
    collection.collect(house.depot, lambda _: None)
    assert len(list(house.depot.store.keys())) == 1
