"""Reading records: any item at once, pages, conditions, samples, statistics, differences, tables."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from entrepot.catalog import derived
from entrepot.depot import entries, record_checks, records, tasks, trash
from entrepot.depot.record_checks import LINES
from entrepot.model.errors import Corrupt, InProgress, Invalid, KindMismatch, NotFound, TooLarge
from entrepot.model.values import Kind, TaskState
from tests.support.house import House
from tests.support.records import checked, lines, sent, work

ROWS = [
    {"id": i, "label": {"name": "cat" if i % 3 else "dog"}, "boxes": [i, i + 0.5], "t": "x" * (i % 7)}
    for i in range(300)
]


@pytest.fixture
def house(house: House) -> House:
    house.depot.checkers = {Kind.RECORDS.value: record_checks.checker(house.depot)}
    return house


def ids(page: records.LinePage) -> list[int]:
    return [json.loads(row.text)["id"] for row in page.rows]


def test_items_are_numbered_through_all_files(house: House) -> None:
    ann = house.user("ann")
    n = checked(house, ann, lines(ROWS[:100]), b"", lines(ROWS[100:])).n
    for at in (0, 63, 64, 99, 100, 101, 299):
        page = records.get(house.depot, ann, n, at)
        assert (ids(page), page.rows[0].n, page.total) == ([at], at, 300)
    page = records.list_items(house.depot, ann, n, first=95, limit=10)
    assert (ids(page), page.next) == (list(range(95, 105)), 105)
    assert records.list_items(house.depot, ann, n, first=295, limit=10).next is None
    assert records.list_items(house.depot, ann, n, first=300).rows == ()
    for beyond in (300, -1, 10**30):
        with pytest.raises(NotFound, match="300 items, numbered from 0"):
            records.get(house.depot, ann, n, beyond)
    with records.open_items(house.depot, ann, n) as items:
        assert [(line.n, json.loads(line.text)["id"]) for line in items] == [(i, i) for i in range(300)]


def test_items_are_the_bytes_that_came(house: House) -> None:
    ann = house.user("ann")
    n = checked(house, ann, b'{"a": 1e5,\t"b":12345678901234567890123}\r\n{"a":"\\u00fc"}').n
    page = records.list_items(house.depot, ann, n)
    assert [row.text for row in page.rows] == [b'{"a": 1e5,\t"b":12345678901234567890123}\r', b'{"a":"\\u00fc"}']


def test_a_page_of_large_items_is_cut(house: House) -> None:
    ann = house.user("ann")
    n = checked(house, ann, lines([{"t": "x" * (3 << 20)}] * 4)).n
    page = records.list_items(house.depot, ann, n)
    assert (len(page.rows), page.next, page.total) == (2, 2, 4)


def test_conditions_find_items_from_a_place_on(house: House) -> None:
    ann = house.user("ann")
    n = checked(house, ann, lines(ROWS)).n
    where = 'label.name == "dog" and boxes[*] > 290'
    page = records.filter_items(house.depot, ann, n, where, limit=2)
    assert (ids(page), page.next) == ([291, 294], 295)
    page = records.filter_items(house.depot, ann, n, where, first=page.next or 0, limit=9)
    assert (ids(page), page.next) == ([297], None)
    with pytest.raises(Invalid, match="cannot be read from character"):
        records.filter_items(house.depot, ann, n, "label ==")


def test_a_question_answers_after_a_bounded_part(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = house.user("ann")
    n = checked(house, ann, lines(ROWS)).n
    monkeypatch.setattr(records, "_SCAN_BYTES", 1000)
    page = records.filter_items(house.depot, ann, n, "id == 299")
    asked = 1
    while page.next is not None and not page.rows:
        page = records.filter_items(house.depot, ann, n, "id == 299", first=page.next)
        asked += 1
    assert (ids(page), asked > 5) == ([299], True)


def test_a_sample_can_be_drawn_again(house: House) -> None:
    ann = house.user("ann")
    n = checked(house, ann, lines(ROWS)).n
    one, same, other = (ids(records.sample(house.depot, ann, n, count=20, seed=seed)) for seed in (1, 1, 2))
    assert one == same == sorted(set(one))
    assert one != other
    assert len(ids(records.sample(house.depot, ann, n, count=1000))) == 300


def test_statistics_tell_keys_types_and_reach(house: House) -> None:
    ann = house.user("ann")
    n = checked(house, ann, lines(ROWS)).n
    found = records.statistics(house.depot, ann, n)
    keys = {row["path"]: row for row in found.keys}
    assert (found.looked_at, found.total, found.more_keys) == (300, 300, False)
    assert list(keys) == ["id", "label", "label.name", "boxes", "boxes[*]", "t"]
    assert (keys["id"]["types"], keys["id"]["min"], keys["id"]["max"]) == ({"integer": 300}, 0, 299)
    assert keys["boxes[*]"]["types"] == {"integer": 300, "number": 300}
    assert (keys["label.name"]["examples"], keys["t"]["longest"]) == (["dog", "cat"], 6)
    assert records.statistics(house.depot, ann, n, most=10).looked_at == 10


def test_two_versions_are_compared_by_a_key(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = house.user("ann")
    before = checked(house, ann, lines(ROWS))
    changed = [{**row, "t": "new"} if row["id"] == 7 else dict(reversed(row.items())) for row in ROWS[:-1]]
    after = checked(house, ann, lines([*reversed(changed), {"id": "299"}]))
    for share in (records.compare.SHARE, 50):
        monkeypatch.setattr(records.compare, "SHARE", share)
        found = records.diff(house.depot, ann, after.n, "id", base_version=before.n)
        assert (found.added, found.removed, found.changed) == (1, 1, 1)
        rows = {row.what: (row.key, row.before, row.after) for row in found.rows}
        assert rows == {"added": ("299", None, 299), "removed": (299, 299, None), "changed": (7, 7, 291)}
    with pytest.raises(Invalid, match="have the same key"):
        records.diff(house.depot, ann, after.n, "t", base_version=before.n)
    with pytest.raises(Invalid, match="one revision only"):
        records.diff(house.depot, ann, after.n, "id")
    monkeypatch.setattr(records, "_COMPARED", 10)
    with pytest.raises(TooLarge):
        records.diff(house.depot, ann, after.n, "id", base_version=before.n)


def test_only_records_that_are_ready_have_items(house: House) -> None:
    ann = house.user("ann")
    with pytest.raises(KindMismatch, match="holds files, not records"):
        records.list_items(house.depot, ann, house.version(ann).n)
    with pytest.raises(NotFound, match="no items yet"):
        records.list_items(house.depot, ann, sent(house, ann, b"{}\n").n)


def test_a_trashed_version_can_be_read(house: House) -> None:
    ann = house.user("ann")
    version = checked(house, ann, lines(ROWS[:2]))
    trash.trash(house.depot, ann, version.n)
    assert records.list_items(house.depot, ann, version.n).total == 2


def test_a_lost_index_of_a_large_file_is_made_by_one_task(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = house.user("ann")
    n = checked(house, ann, lines(ROWS)).n
    (entry,) = entries.iterate(house.depot, ann, n)[2]
    house.depot.catalog.write(lambda conn: derived.drop(conn, entry.content, LINES))
    monkeypatch.setattr(records, "AT_ONCE", 100)
    told = set()
    for _ in range(2):
        with pytest.raises(InProgress) as refused:
            records.get(house.depot, ann, n, 200)
        told.add(refused.value.details["task"])
    (task,) = told
    work(house)
    done = tasks.get(house.depot, ann, UUID(task))
    assert (done.state, done.result) == (TaskState.DONE, {"items": len(ROWS)})
    assert ids(records.get(house.depot, ann, n, 200)) == [200]


def test_a_lost_index_is_made_again_and_a_wrong_one_is_noticed(house: House) -> None:
    ann = house.user("ann")
    one = checked(house, ann, lines(ROWS), name="One").n
    other = checked(house, ann, b"\n".join(json.dumps({"n": i}).encode() for i in range(300)), name="Other").n
    places = {}
    for n in (one, other):
        (entry,) = entries.iterate(house.depot, ann, n)[2]
        with house.depot.catalog.read() as conn:
            places[entry.content] = derived.find(conn, [entry.content], LINES)[entry.content]
    (source, _), (_, wrong) = places.items()
    house.depot.catalog.write(lambda conn: derived.drop(conn, source, LINES))
    assert ids(records.get(house.depot, ann, one, 200)) == [200]
    house.depot.catalog.write(lambda conn: derived.name(conn, source, LINES, wrong, at=house.depot.now()))
    with pytest.raises(Corrupt, match="not that of this file"):
        records.get(house.depot, ann, one, 200)
