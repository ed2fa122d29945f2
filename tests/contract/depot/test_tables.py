"""Tables from the files that came to rows, other orders, differences and queries, on both databases."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from entrepot.catalog import derived
from entrepot.catalog.work import JobKind, Work
from entrepot.depot import ingests, slots, table_changes, table_looks, table_summaries, tables, versions
from entrepot.depot.slots import NewSlot
from entrepot.depot.table_checks import FORM
from entrepot.depot.versions import NewVersion
from entrepot.jobs.runner import Runner
from entrepot.model.access import ANONYMOUS, Actor
from entrepot.model.columns import Column, ColumnType
from entrepot.model.errors import (
    InProgress,
    Invalid,
    KindMismatch,
    NotFound,
    PathTaken,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from entrepot.model.values import Kind, Numbering, Stage, State, Version
from tests.support import tables as support
from tests.support.house import House
from tests.support.tables import checked


@pytest.fixture
def house(house: House, tmp_path: Path) -> House:
    support.equip(house, tmp_path)
    return house


@pytest.fixture
def ann(house: House) -> Actor:
    return house.user("ann")


def rows(house: House, who: Actor, version: Version, **asked: Any) -> list[list[Any]]:
    body = tables.rows(house.depot, who, version.n, **asked).body
    return [row["values"] for row in json.loads(body)["rows"]]


def test_files_form_one_table_in_their_order_and_stay_what_they_were(house: House, ann: Actor) -> None:
    files = {"a.csv": b"id,name\n007,x\n008,\n", "b.csv.gz": b"", "c.csv": b'id,name\n009,""\n'}
    import gzip

    files["b.csv.gz"] = gzip.compress(b"id,name\n1e5,y\n")
    ready = checked(house, ann, files)
    assert (ready.state, ready.number, ready.item_count) == (State.READY, 1, 4), ready.report
    assert house.tree(ann, ready.n) == files
    assert rows(house, ann, ready) == [["007", "x"], ["008", None], ["1e5", "y"], ["009", ""]]
    found = tables.schema(house.depot, ann, ready.n)
    assert (found.rows, found.columns) == (
        4,
        (Column("id", ColumnType.STRING, nullable=False), Column("name", ColumnType.STRING, nullable=True)),
    )
    assert "leading zeros" in ready.report["notes"][0]


def test_bad_rows_publish_nothing_and_all_are_told(house: House, ann: Actor) -> None:
    data = b"n\n" + b"".join(b"%d\n" % i if i % 3 else b"x%d\n" % i for i in range(900))
    declared = {"columns": [{"name": "n", "type": "Int", "nullable": False}]}
    failed = checked(house, ann, {"a.csv": data}, declared=declared)
    assert (failed.state, failed.stage, failed.revision) == (State.FAILED, Stage.CONTENT, 0)
    report = failed.report
    assert report["message"] == (
        "Column 'n' is Int, row 1: 'x0' is no whole number. 300 of 900 rows are bad; the first are in the report."
    )
    assert (report["rejected_rows"], len(report["errors"]), report["by_rule"]) == (300, 100, {"type": 300})
    told = [json.loads(line) for line in b"".join(tables.rejects(house.depot, ann, failed.n).blocks).splitlines()]
    assert [one["row"] for one in told] == list(range(1, 901, 3))
    with pytest.raises(NotFound, match="no rows yet"):
        tables.rows(house.depot, ann, failed.n)


def test_bad_rows_are_put_aside_on_request(house: House, ann: Actor) -> None:
    data = b"a,b\n1,2\n3\n4,5\nx,6\n"
    declared = {"columns": [{"type": "Int"}, {"type": "Int"}], "quarantine": True}
    ready = checked(house, ann, {"a.csv": data}, declared=declared)
    assert (ready.state, ready.item_count, ready.report["rejected_rows"]) == (State.READY, 2, 2)
    assert rows(house, ann, ready) == [[1, 2], [4, 5]]
    assert [one["rule"] for one in ready.report["errors"]] == ["fields", "type"]


def test_pages_conditions_and_projections(house: House, ann: Actor) -> None:
    data = b"n,v\n" + b"".join(b"%d,%d\n" % (i, i % 7) for i in range(1000))
    ready = checked(house, ann, {"a.csv": data})
    assert rows(house, ann, ready, first=998, limit=10) == [[998, 4], [999, 5]]
    assert rows(house, ann, ready, columns=["v"], first=3, limit=2) == [[3], [4]]
    assert rows(house, ann, ready, where="v == 3 and n > 980") == [[983, 3], [990, 3], [997, 3]]
    page = json.loads(tables.rows(house.depot, ann, ready.n, where="v == 3", limit=2, columns=["n"]).body)
    assert ([row["n"] for row in page["rows"]], page["next"], page["total"]) == ([3, 10], 11, 1000)
    for wrong in ("w == 3", "n ==", "n == x", "n > 3 or v > 3"):
        with pytest.raises(Invalid):
            tables.rows(house.depot, ann, ready.n, where=wrong)


def test_another_order_is_made_by_a_task_and_then_read_as_fast(house: House, ann: Actor) -> None:
    ready = checked(house, ann, {"a.csv": b"n,s\n3,c\n1,\n2,b\n", "b.csv": b"n,s\n0,a\n"})
    for _ in range(2):
        with pytest.raises(InProgress) as making:
            tables.rows(house.depot, ann, ready.n, sort="s")
    assert making.value.details["task"]
    support.work(house)
    assert rows(house, ann, ready, sort="s") == [[0, "a"], [2, "b"], [3, "c"], [1, None]]
    page = json.loads(tables.rows(house.depot, ann, ready.n, sort="s", first=1, limit=1).body)
    assert page["rows"] == [{"n": 2, "values": [2, "b"]}]
    with pytest.raises(Invalid, match="no column"):
        tables.rows(house.depot, ann, ready.n, sort="zz")


def test_columns_of_a_large_table_are_counted_by_a_task_once(house: House, ann: Actor) -> None:
    ready = checked(house, ann, {"a.csv": b"n,s\n3,c\n1,\n2,b\n"})
    schema = tables.schema(house.depot, ann, ready.n)

    def summary(columns: list[str], at_once: int = 5) -> Mapping[str, Any]:
        return table_summaries.summary(house.depot, ann, ready.n, schema, columns=columns, at_once=at_once)

    assert summary(["n"])["columns"][0]["max"] == 3, "three cells are counted at once"
    waiting = []
    for _ in range(2):
        with pytest.raises(InProgress) as counting:
            summary(["n", "s"])
        waiting.append(counting.value.details["task"])
    assert waiting[0] == waiting[1], "who comes second waits for the same task"
    support.work(house)
    assert summary(["n", "s"]) == summary(["n", "s"], at_once=1000)
    source = tables.pin_revision(house.depot, ann, ready.n, None).sources[0]
    with house.depot.catalog.read() as conn:
        assert len(derived.kinds(conn, [source], "summary-")[source]) == 1, "it goes when the file goes"


def test_what_failed_a_moment_ago_is_not_begun_at_every_look(house: House, ann: Actor) -> None:
    ready = checked(house, ann, {"a.csv": b"n\n3\n1\n"})
    with pytest.raises(InProgress):
        tables.rows(house.depot, ann, ready.n, sort="n")

    def broken(_work: Work) -> None:
        raise TooLarge("This needs more memory than there is.")

    runner = Runner(house.depot.catalog, {tables.SORT_JOB: JobKind(broken)}, queue=tables.SORT_QUEUE, worker="test")
    assert runner.step()
    with pytest.raises(Unavailable, match="after 10 minutes"):
        tables.rows(house.depot, ann, ready.n, sort="n")
    house.clock.move(minutes=11)
    with pytest.raises(InProgress):
        tables.rows(house.depot, ann, ready.n, sort="n")


def test_a_table_can_be_made_of_uploads_that_are_there(house: House, ann: Actor) -> None:
    new = NewVersion(name="Given", kind=Kind.TABLE, numbering=Numbering.NEXT)
    given = [NewSlot(f"{n}.csv", upload=house.upload(ann, b"n\n%d\n" % n).uid) for n in (1, 2)]
    version, made = slots.create(house.depot, ann, None, new, given)
    assert ([one.full for one in made], version.state) == ([True, True], State.RECEIVING)
    ingests.start(house.depot, ann, version.n)
    support.work(house)
    assert rows(house, ann, version) == [[1], [2]]
    for who, wrong in ((house.user("bob"), given[0].upload), (ann, house.depot.new_uid())):
        with pytest.raises(Invalid, match="not yours"):
            slots.create(house.depot, who, None, new, [NewSlot("a.csv", upload=wrong)])


def test_the_beginning_of_a_file_tells_what_it_would_be(house: House, ann: Actor) -> None:
    def look(body: bytes, name: str = "a.csv", whole: bool = True, **rules: Any) -> Any:
        return table_looks.look(house.depot, ann, name, body, whole=whole, rules=rules)

    found = look(b"k,word,at\n1,one,2024-01-01\nx,2,3,4\n2,,2024-01-02\n")
    assert [(one["name"], one["type"], one["nullable"]) for one in found["columns"]] == [
        ("k", "Int", False),
        ("word", "String", True),
        ("at", "Date", False),
    ]
    assert found["rows"] == [[1, "one", "2024-01-01"], [2, None, "2024-01-02"]]
    assert (found["good"], found["bad"], found["errors"][0]["row"]) == (2, 1, 2)
    assert look(b"k\n1\nNA\n", null_values=["NA"])["columns"][0]["type"] == "Int"
    cut = look(b'k,t\n1,a\n2,"two\nlines', whole=False)
    assert (cut["good"], cut["bad"], cut["errors"]) == (1, 0, []), "a row that was cut is nobody's fault"
    assert look(b'{"k": [1, {"a": null}]}\n', "a.ndjson")["rows"] == [[[1, {"a": None}]]]
    assert look(b"PAR1 and so on", whole=False) is None
    assert look(b"no end of a line", whole=False) is None
    with pytest.raises(Invalid):
        look(b"")
    with pytest.raises(Unauthenticated):
        table_looks.look(house.depot, ANONYMOUS, "a.csv", b"k\n1\n", whole=True)
    with pytest.raises(TooLarge):
        look(b"x" * (table_looks.LOOKED_AT + 1))


def test_exports_give_back_every_value(house: House, ann: Actor) -> None:
    data = b'n,s,f\n1,"a ""quoted"", one",0.5\n2,"",\n3,,2.5\n'
    ready = checked(house, ann, {"a.csv": data})

    def out(format: Any) -> bytes:
        return b"".join(tables.export(house.depot, ann, ready.n, format=format).blocks)

    again = checked(house, ann, {"a.csv": out("csv")}, name="Again")
    expected = [[1, 'a "quoted", one', 0.5], [2, "", None], [3, None, 2.5]]
    assert rows(house, ann, again) == rows(house, ann, ready) == expected
    for format in ("parquet", "arrow"):
        again = checked(house, ann, {"a": out(format)}, name=format)
        assert (rows(house, ann, again), again.data_type) == (rows(house, ann, ready), format)
    assert out("ndjson").splitlines()[1] == b'{"n":2,"s":""}'


def test_statistics_tell_bounds_nulls_and_a_histogram(house: House, ann: Actor) -> None:
    data = b"n,d,s\n" + b"".join(b"%d,2024-01-%02d,%s\n" % (i, 1 + i % 28, b"x" if i % 2 else b"") for i in range(100))
    ready = checked(house, ann, {"a.csv": data})
    _, said = tables.statistics(house.depot, ann, ready.n)
    n, d, s = said["columns"]
    assert (n["min"], n["max"], n["mean"], n["nulls"]) == (0, 99, 49.5, 0)
    assert sum(bar["rows"] for bar in n["histogram"]) == 100
    assert (d["min"], d["max"], d["histogram"][0]["from"]) == ("2024-01-01", "2024-01-28", "2024-01-01T00:00:00Z")
    assert (s["nulls"], s["frequent"]) == (50, [{"value": "x", "rows": 50}])


def test_differences_by_key_and_by_content(house: House, ann: Actor) -> None:
    old = checked(house, ann, {"a.csv": b"id,v,w\n1,a,x\n2,b,x\n3,c,x\n"})
    new = checked(house, ann, {"a.csv": b"id,v,w\n2,b,y\n3,c,x\n4,d,x\n"})
    by_key = tables.diff(house.depot, ann, new.n, by=["id"], base_version=old.n)
    assert (by_key["added"], by_key["removed"], by_key["changed"], by_key["changed_cells"]) == (1, 1, 1, {"w": 1})
    assert [one for one in by_key["rows"] if one["change"] == "changed"] == [
        {"change": "changed", "key": {"id": 2}, "cells": {"w": {"before": "x", "after": "y"}}}
    ]
    by_content = tables.diff(house.depot, ann, new.n, base_version=old.n)
    assert (by_content["added"], by_content["removed"], by_content["changed"]) == (2, 2, 0)
    with pytest.raises(Invalid, match="does not name each row"):
        tables.diff(house.depot, ann, new.n, by=["w"], base_version=old.n)


def test_a_query_joins_tables_and_refuses_everything_else(house: House, ann: Actor) -> None:
    a = checked(house, ann, {"a.csv": b"id,v\n1,10\n2,20\n"}, name="A")
    b = checked(house, ann, {"b.csv": b"id,w\n2,x\n"}, name="B")
    named: Any = {"a": (a.n, None), "b": (b.n, None)}
    found = tables.query(house.depot, ann, "SELECT a.id, v, w FROM a JOIN b USING (id)", named)
    assert pa.ipc.open_stream(io.BytesIO(found.body)).read_all().to_pylist() == [{"id": 2, "v": 20, "w": "x"}]
    assert tables.query(house.depot, ann, "SELECT * FROM a", named, limit=1).more
    with pytest.raises(Invalid, match="c"):
        tables.query(house.depot, ann, "SELECT * FROM c", named)
    with pytest.raises(TooLarge):
        tables.query(house.depot, ann, "SELECT length(repeat('x', 3000000000))", named)
    with pytest.raises(Unsupported):
        tables.query(house.depot, ann, "SELECT 1; SELECT 2", named)


def test_a_canonical_form_that_is_lost_is_made_again(house: House, ann: Actor) -> None:
    ready = checked(house, ann, {"a.csv": b"id\n1\n"})
    before = rows(house, ann, ready)
    with house.depot.catalog.read() as conn:
        ((source, forms),) = derived.kinds(conn, list(range(1, 100)), FORM).items()
    for kind in forms:
        house.depot.catalog.write(lambda conn, kind=kind: derived.drop(conn, source, kind))
    assert rows(house, ann, ready) == before


def test_what_is_no_table_has_no_rows(house: House, ann: Actor) -> None:
    with pytest.raises(KindMismatch):
        tables.rows(house.depot, ann, house.version(ann).n)


def changed(house: House, who: Actor, version: Version, files: dict[str, bytes], **how: Any) -> Version:
    sent = [(name, house.upload(who, data).uid) for name, data in files.items()]
    table_changes.change(house.depot, who, version.n, sent, **how)
    support.work(house)
    return versions.get(house.depot, who, version.n).version


def test_rows_are_appended_and_replaced_as_revisions_that_stay(house: House, ann: Actor) -> None:
    first = checked(house, ann, {"a.csv": b"id,v\n1,x\n"})
    second = changed(house, ann, first, {"b.csv": b"id,v\n2,\n"})
    assert (second.state, second.revision, second.item_count) == (State.READY, 2, 2), second.report
    assert rows(house, ann, second) == [[1, "x"], [2, None]]
    assert rows(house, ann, second, revision=1) == [[1, "x"]]
    assert tables.schema(house.depot, ann, second.n).columns[1].nullable
    with pytest.raises(PathTaken):
        changed(house, ann, second, {"b.csv": b"id,v\n3,y\n"})
    refused = changed(house, ann, second, {"c.csv": b"id,v\nx,y\n"})
    assert (refused.state, refused.revision) == (State.READY, 2)
    assert refused.report is not None
    assert "'x' is no whole number" in refused.report["message"]
    third = changed(house, ann, refused, {"z.csv": b"id,v\n9,z\n"}, replace=True)
    assert (rows(house, ann, third), sorted(house.tree(ann, third.n))) == ([[9, "z"]], ["z.csv"])
    assert rows(house, ann, third, revision=2) == [[1, "x"], [2, None]]
    diff = tables.diff(house.depot, ann, third.n, by=["id"])
    assert (diff["added"], diff["removed"]) == (1, 2)


def test_columns_are_added_widened_and_renamed_and_nothing_else(house: House, ann: Actor) -> None:
    first = checked(house, ann, {"a.csv": b"id,n\n1,10\n"})
    more = [Column("n", ColumnType.FLOAT), Column("unit", ColumnType.STRING)]
    second = changed(house, ann, first, {"b.csv": b"id,n,unit\n2,0.5,mV\n"}, columns=more)
    assert second.revision == 2, second.report
    assert rows(house, ann, second) == [[1, 10.0, None], [2, 0.5, "mV"]]
    third = changed(house, ann, second, {}, renamed={"n": "signal"})
    found = tables.schema(house.depot, ann, third.n)
    assert [(one.name, one.type.value) for one in found.columns] == [
        ("id", "Int"),
        ("signal", "Float"),
        ("unit", "String"),
    ]
    assert rows(house, ann, third, columns=["signal"]) == [[10.0], [0.5]]
    assert [one.name for one in tables.schema(house.depot, ann, third.n, revision=1).columns] == ["id", "n"]
    assert rows(house, ann, third, revision=1) == [[1, 10]]
    for columns, renamed, why in [
        ([Column("signal", ColumnType.INT)], {}, "cannot become Int"),
        ([Column("new", ColumnType.INT, nullable=False)], {}, "must be nullable"),
        ([], {"gone": "x"}, "no column 'gone'"),
        ([], {"id": "unit"}, "taken"),
    ]:
        with pytest.raises(Invalid, match=why):
            changed(house, ann, third, {}, columns=columns, renamed=renamed)
