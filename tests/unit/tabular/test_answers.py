"""Statistics, differences, orders and exports of tables whose columns have names and values that get in the way."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from entrepot.model.columns import Column, ColumnType
from entrepot.tabular.asking import difference, query, sorted_copy, statistics
from entrepot.tabular.canonical import CanonicalWriter
from entrepot.tabular.reading import Table, export, page

MEMORY = 256 << 20
#: Names that queries of ours have used, that SQL takes for one, or that need care.
COLUMNS = [
    Column("a", ColumnType.INT),
    Column("A", ColumnType.INT),
    Column("A_2", ColumnType.INT),
    Column("p", ColumnType.FLOAT),
    Column("lo", ColumnType.FLOAT),
    Column("hi", ColumnType.INT),
    Column("a.b", ColumnType.STRING),
    Column('q"x', ColumnType.JSON),
    Column("select", ColumnType.DATE),
]


class House:
    """Tables that are files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def made(self, name: str, columns: list[Column], *arrays: Any) -> tuple[Table, list[str]]:
        place = self.folder / name
        with place.open("wb") as file:
            writer = CanonicalWriter(file, columns)
            writer.write([*map(pa.array, arrays)])
            writer.close(columns)
        return Table([str(place)]), [str(place)]

    def differs(self, old: Any, new: Any, *by: str) -> dict[str, Any]:
        return difference(old, new, by, limit=10, memory=MEMORY, spill=str(self.folder))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def nasty(house: House, name: str = "x", p: float = 0.3) -> tuple[Table, list[str]]:
    days = pa.array([0, 1, 2], pa.date32())
    rest = [["x", "y", "z"], ['{"a":\n1}', "[]", None], days]
    return house.made(
        name, COLUMNS, [1, 2, 3], [30, 20, 10], [7, 7, 8], [0.1, 0.2, p], [1e308, -1e308, 1e-7], [4, 5, 9], *rest
    )


def test_statistics_are_those_of_the_column_that_is_named(house: House) -> None:
    table, paths = nasty(house)
    said = {one["name"]: one for one in statistics(table, paths, None, memory=MEMORY)["columns"]}
    bounds = {name: (one["min"], one["max"]) for name, one in said.items()}
    assert (bounds["a"], bounds["A"], bounds["A_2"]) == ((1, 3), (10, 30), (7, 8))
    assert (bounds["lo"], bounds["hi"], bounds["a.b"]) == ((-1e308, 1e308), (4, 9), ("x", "z"))
    for one in said.values():
        assert sum(bar["rows"] for bar in one["histogram"]) in (0, 3)
    # All of it can be said in JSON.
    json.dumps(said, allow_nan=False)


def test_differences_are_told_of_the_column_that_is_named(house: House) -> None:
    said = house.differs(nasty(house), nasty(house, "y", 1.3), "A")
    assert (said["added"], said["removed"], said["changed_cells"]) == (0, 0, {"p": 1})
    assert said["rows"] == [
        {"change": "changed", "key": {"A": 10}, "cells": {"p": {"before": 0.3, "after": 1.3}}},
    ]
    assert house.differs(nasty(house), nasty(house, "y", 1.3))["added"] == 1


@pytest.mark.parametrize(
    ("kind", "values", "before"),
    [(ColumnType.FLOAT, [5.0, 6.5], 6), (ColumnType.STRING, ["5", "6.5"], "6")],
)
def test_a_value_of_a_wider_type_is_the_same_value(house: House, kind: ColumnType, values: Any, before: Any) -> None:
    key = Column("k", ColumnType.INT)
    old = house.made("old", [key, Column("v", ColumnType.INT)], [1, 2], [5, 6])
    new = house.made("new", [key, Column("v", kind)], [1, 2], values)
    said = house.differs(old, new, "k")
    assert said["columns_changed"] == [{"name": "v", "before": "Int", "after": kind.value}]
    assert (said["changed"], [row["cells"] for row in said["rows"]]) == (
        1,
        [{"v": {"before": before, "after": values[1]}}],
    )


def test_names_that_sql_takes_for_one_are_numbered_in_queries(house: House) -> None:
    _, paths = nasty(house)
    out = io.BytesIO()
    sql = 'SELECT a, "A_3", "A_2" FROM t ORDER BY "A_3"'
    query({"t": paths}, sql, sink=out, limit=10, memory=MEMORY, arrow=False)
    assert json.loads(out.getvalue())["rows"] == [[3, 10, 8], [2, 20, 7], [1, 30, 7]]


def test_another_order_is_that_of_the_column_that_is_named(house: House) -> None:
    table, _ = nasty(house)
    with (house.folder / "sorted").open("wb") as file:
        sorted_copy(table, "A", descending=False, sink=file, memory=MEMORY, spill=str(house.folder))
    found = json.loads(page(Table([str(house.folder / "sorted")]), first=1, limit=5))
    assert [(row["n"], row["values"][:3]) for row in found["rows"]] == [(1, [2, 20, 7]), (0, [1, 30, 7])]
    assert [one["name"] for one in found["columns"]] == [one.name for one in COLUMNS]


def test_a_sorted_copy_of_large_rows_has_small_groups(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = [Column("n", ColumnType.INT), Column("s", ColumnType.STRING)]
    table, _ = house.made("large", columns, list(range(400)), ["x" * 10_000] * 400)
    monkeypatch.setattr("entrepot.tabular.canonical.GROUP_BYTES", 1 << 19)
    with (house.folder / "sorted").open("wb") as file:
        sorted_copy(table, "n", descending=True, sink=file, memory=MEMORY, spill=str(house.folder))
    groups = pq.ParquetFile(house.folder / "sorted").metadata
    assert max(groups.row_group(i).num_rows for i in range(groups.num_row_groups)) < 60


def test_exports_can_be_read_back_line_by_line_and_number_by_number(house: House) -> None:
    table, _ = nasty(house)
    out = io.BytesIO()
    export(table, out, "ndjson", ['q"x', "lo"])
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {'q"x': {"a": 1}, "lo": 1e308},
        {'q"x': [], "lo": -1e308},
        {"lo": 1e-7},
    ]
    out = io.BytesIO()
    export(table, out, "csv", ["lo", "a.b", "a"])
    lines = out.getvalue().decode().splitlines()
    assert (lines[0], lines[3]) == ('"lo","a.b","a"', '"0.0000001","z",3')
    assert lines[1].startswith('"10000000')
    assert float(lines[1].split('"')[1]) == 1e308
