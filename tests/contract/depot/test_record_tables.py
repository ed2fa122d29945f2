"""Tables that become records: by being sent as records, or from the files of another version."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from entrepot.depot import conversions, entries, ingests, record_checks, records, relationships, slots, versions
from entrepot.depot.slots import NewSlot
from entrepot.depot.versions import NewVersion
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid, NotFound, TooLarge, Unsupported
from entrepot.model.values import Kind, Numbering, State, Version
from entrepot.records import arrow, tables
from entrepot.server import tabling
from tests.support.house import House
from tests.support.records import checked, lines, work
from tests.support.tables import equip

RECORDS = NewVersion("Rows", kind=Kind.RECORDS, numbering=Numbering.NEXT)


@pytest.fixture
def house(house: House, tmp_path: Path) -> House:
    equip(house, tmp_path / "tabling")
    house.depot.checkers = {Kind.RECORDS.value: record_checks.checker(house.depot)}
    return house


def sent(house: House, who: Actor, files: dict[str, bytes], declared: object = None) -> Version:
    """What became of records made of these files."""
    new = NewVersion("Rows", kind=Kind.RECORDS, numbering=Numbering.NEXT, declared=declared)
    version, made = slots.create(house.depot, who, None, new, [NewSlot(name) for name in files])
    for slot, data in zip(made, files.values(), strict=True):
        filling = slots.fill(house.depot, who, slot.uid)
        filling.write(data)
        filling.finish()
    ingests.start(house.depot, who, version.n)
    work(house)
    return versions.get(house.depot, who, version.n).version


def items(house: House, who: Actor, version: Version) -> list[Any]:
    with records.open_items(house.depot, who, version.n) as found:
        return [json.loads(line.text) for line in found]


def parquet(rows: Sequence[object], form: arrow.Format = "parquet") -> bytes:
    text = [json.dumps(row).encode() for row in rows]
    return b"".join(arrow.to_file(text, arrow.schema_of(text), form))


def test_rows_of_a_csv_are_items_under_the_names_of_its_columns(house: House) -> None:
    ann = house.user("ann")
    data = '\ufeffid,code,price,ok,box,note\r\n1,007,1.5,true,"[1,2]","a,\n""b"""\r\n-2,7,1.10,false,,\r\n'.encode()
    made = sent(house, ann, {"rows.csv": data})
    assert (made.state, made.item_count, (made.report or {})["bad_lines"]) == (State.READY, 2, 0)
    assert items(house, ann, made) == [
        {"id": 1, "code": "007", "price": "1.5", "ok": True, "box": [1, 2], "note": 'a,\n"b"'},
        {"id": -2, "code": "7", "price": "1.10", "ok": False},
    ]
    page = entries.list_entries(house.depot, ann, made.n)[2]
    assert [(one.path, one.media_type) for one in page.rows] == [("rows.ndjson", "application/x-ndjson")]


def test_other_tables_are_read_too_and_stand_in_the_order_of_the_files(house: House) -> None:
    ann = house.user("ann")
    rows = [{"id": i, "t": f"x{i}"} for i in range(3000)]
    tsv = b"id\tt\n" + b"".join(b"%d\tx%d\n" % (i, i) for i in range(3000))
    files = {"rows.tsv": tsv, "rows.parquet": parquet(rows), "rows.arrow": parquet(rows, "arrow")}
    for name, data in files.items():
        made = sent(house, ann, {"a.ndjson": b'{"first":1}\n', name: data})
        assert items(house, ann, made) == [{"first": 1}, *rows]
        # Its index was made with it.
        assert records.get(house.depot, ann, made.n, 3000).rows[0].text == b'{"id": 2999, "t": "x2999"}'


def test_bad_rows_are_all_told_by_their_number_and_nothing_is_published(house: House) -> None:
    ann = house.user("ann")
    schema = {"schema": {"properties": {"id": {"type": "integer"}}}}
    made = sent(house, ann, {"rows.csv": b"id,t\n1,a\nx,b\n3,c,d\n4,e\n"}, declared=schema)
    report = made.report or {}
    assert (made.state, made.revision, report["bad_lines"], report["items"]) == (State.FAILED, 0, 4, 0)
    assert [(bad["line"], bad["reason"]) for bad in report["errors"]] == [
        (1, "schema"),
        (2, "schema"),
        (3, "row"),
        (4, "schema"),
    ]
    assert report["errors"][2]["detail"] == "Row 3 has 3 cells, the header 2."
    assert report["message"].startswith("Row 1 does not fit the schema")


def test_what_is_no_table_is_refused_with_the_reason(house: House) -> None:
    ann = house.user("ann")
    for name, data, said in (
        ("a.csv", b"", "must name every column"),
        ("a.csv", b"a,a\n1,2\n", "must name every column"),
        ("a.csv", b"a,b\n\xff,2\n", "not UTF-8"),
        ("a.csv", b'a,b\n"1,2\n', "cannot be read"),
        ("a.parquet", b"PAR1 no", "cannot be read as Parquet"),
        ("a.arrow", b"ARROW1 no", "cannot be read as Arrow"),
        ("a.arrow", b"", "cannot be read as Arrow"),
    ):
        made = sent(house, ann, {name: data})
        assert (made.state, said in (made.report or {})["message"]) == (State.FAILED, True), made.report


def test_a_table_without_rows_makes_records_without_items(house: House) -> None:
    ann = house.user("ann")
    made = sent(house, ann, {"a.csv": b"a,b\n"})
    assert (made.state, made.item_count, items(house, ann, made)) == (State.READY, 0, [])


def test_values_that_are_no_json_are_bad_lines_and_others_keep_what_they_say(house: House) -> None:
    import datetime
    import decimal
    import io

    import pyarrow
    import pyarrow.parquet

    ann = house.user("ann")

    def file(**columns: Any) -> bytes:
        out = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table(columns), out)
        return out.getvalue()

    made = sent(house, ann, {"a.parquet": file(x=[1.5, float("nan")])})
    assert [(bad["line"], bad["reason"]) for bad in (made.report or {})["errors"]] == [(2, "not_a_number")]
    at = datetime.datetime(2027, 1, 31, 12, tzinfo=datetime.UTC)
    good = file(at=[at], day=[at.date()], sum=[decimal.Decimal("1.10")], raw=[b"\xff"], none=[None], n=[2**62])
    assert items(house, ann, sent(house, ann, {"a.parquet": good})) == [
        {"at": "2027-01-31T12:00:00+00:00", "day": "2027-01-31", "sum": "1.10", "raw": "/w==", "n": 2**62}
    ]


def test_a_file_that_unpacks_to_more_than_there_is_ends_its_reader_and_not_the_worker(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    import pyarrow
    import pyarrow.parquet

    # A quarter of what it has in earnest: the test should not need the rest either.
    monkeypatch.setattr(tabling, "_BASE", 1 << 30)
    monkeypatch.setattr(tabling, "_WORK_MEMORY", 128 << 20)
    small = tabling.Processes(house.depot.store, tmp_path / "small", house.depot.limits)
    house.depot.workshop = small
    ann = house.user("ann")
    # One text of 4 MiB, written once and named by 600 rows: some kilobytes that become 2.4 GB.
    text = pyarrow.DictionaryArray.from_arrays([0] * 600, ["x" * (4 << 20)])
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"a": text}), out, compression="zstd")
    assert len(out.getvalue()) < 1 << 20
    try:
        made = sent(house, ann, {"bomb.parquet": out.getvalue()})
        assert (made.state, made.report or {}) == (State.FAILED, made.report)
        assert "memory" in (made.report or {})["message"]
    finally:
        small.close()
    equip(house, tmp_path / "tabling")
    assert sent(house, ann, {"rows.parquet": parquet([{"a": 1}])}).state is State.READY


def test_two_files_that_would_have_one_name_are_refused(house: House) -> None:
    ann = house.user("ann")
    made = sent(house, ann, {"a.csv": b"a\n1\n", "a.ndjson": b"{}\n"})
    assert (made.state, "would be called a.ndjson" in (made.report or {})["message"]) == (State.FAILED, True)


def test_text_columns_keep_every_cell_and_json_ones_come_back_as_values() -> None:
    text = ["a,b,c,d\n", '1,1,x,"{""k"":[1]}"\n', ",01,,\n"]
    sheet = tables.sheet_of(text)
    assert sheet.typed == {"a", "d"}
    assert [json.loads(line) for line in tables.from_csv(text, sheet)] == [
        {"a": 1, "b": "1", "c": "x", "d": {"k": [1]}},
        {"b": "01"},
    ]
    assert tables.sheet_of(text, typed=False).typed == set()


def test_columns_that_have_no_type_in_common_are_text() -> None:
    rows = [{"a": 1, "b": 2**60, "c": [1], "d": {"x": 1}}, {"a": "x", "b": 0.5, "c": [], "d": {"y": "z"}, "e": {}}]
    text = [json.dumps(row).encode() for row in rows]
    found = {field.name: str(field.type) for field in arrow.schema_of(text)}
    assert found == {
        "a": "string",
        "b": "string",
        "c": "list<item: int64>",
        "d": "struct<x: int64, y: string>",
        "e": "string",
    }


# From files of other versions


def test_records_are_made_of_a_file_of_another_version_and_say_so(house: House) -> None:
    ann = house.user("ann")
    source = house.version(ann, name="Tables")
    house.put(ann, source, {"2027/a.csv": b"id\n1\n2\n", "b.csv": b"id\n3\n"})
    made, task = conversions.convert(house.depot, ann, source.n, RECORDS, path="2027/a.csv")
    assert (made.project, made.state, task.kind) == (source.project, State.PROCESSING, "ingest")
    work(house)
    done = versions.get(house.depot, ann, made.n).version
    assert (done.state, items(house, ann, done)) == (State.READY, [{"id": 1}, {"id": 2}])
    (edge,) = relationships.list_relationships(house.depot, ann, made.n, direction="up").rows
    assert edge.source is not None
    assert edge.target is not None
    assert (edge.verb, edge.source.revision) == ("derived_from", 1)
    assert (edge.target.uid, edge.target.revision) == (source.uid, 1)
    both, _ = conversions.convert(house.depot, ann, source.n, RECORDS)
    work(house)
    assert [one["id"] for one in items(house, ann, both)] == [1, 2, 3]


def test_lines_of_another_version_are_taken_as_they_are(house: House) -> None:
    ann = house.user("ann")
    old = checked(house, ann, lines([{"a": 1}]))
    made, _ = conversions.convert(house.depot, ann, old.n, RECORDS)
    work(house)
    assert items(house, ann, versions.get(house.depot, ann, made.n).version) == [{"a": 1}]


def test_what_cannot_be_converted_is_refused_before_anything_is_made(house: House) -> None:
    from dataclasses import replace

    ann = house.user("ann")
    source = house.version(ann, name="Tables")
    with pytest.raises(NotFound, match="holds no files"):
        conversions.convert(house.depot, ann, source.n, RECORDS)
    house.put(ann, source, {"x/a.csv": b"id\n1\n", "y/a.csv": b"id\n3\n"})
    with pytest.raises(Invalid, match="have the same name"):
        conversions.convert(house.depot, ann, source.n, RECORDS)
    with pytest.raises(NotFound):
        conversions.convert(house.depot, ann, source.n, RECORDS, path="z.csv")
    with pytest.raises(Invalid, match="Files need no conversion"):
        conversions.convert(house.depot, ann, source.n, NewVersion("Copy"))
    with pytest.raises(Unsupported, match="no checker for kind table"):
        conversions.convert(house.depot, ann, source.n, NewVersion("T", kind=Kind.TABLE), path="x/a.csv")
    house.depot.limits = replace(house.depot.limits, slots_per_version=1)
    with pytest.raises(TooLarge):
        conversions.convert(house.depot, ann, source.n, RECORDS)


def test_a_check_that_ends_after_its_source_was_purged_says_nothing_of_it(house: House) -> None:
    from entrepot.depot import trash

    ann = house.user("ann")
    source = house.version(ann, name="Tables")
    house.put(ann, source, {"a.csv": b"id\n1\n"})
    made, _ = conversions.convert(house.depot, ann, source.n, RECORDS)
    trash.trash(house.depot, ann, source.n)
    trash.purge(house.depot, ann, source.n)
    work(house)
    assert items(house, ann, versions.get(house.depot, ann, made.n).version) == [{"id": 1}]
    assert relationships.list_relationships(house.depot, ann, made.n, direction="up").rows == ()
