"""How much of a table a condition reads: groups that may hold what is asked for, and no more columns than needed."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from entrepot.model.columns import Column, ColumnType
from entrepot.tabular import canonical, reading
from entrepot.tabular.reading import Table

COLUMNS = [
    Column("id", ColumnType.INT),
    Column("x", ColumnType.FLOAT),
    Column("day", ColumnType.DATE),
    Column("name", ColumnType.STRING),
]
GROUPS, ROWS = 40, 100


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """Forty groups of a hundred rows; `x` has a row without a number in each."""
    monkeypatch.setattr(canonical, "GROUP", ROWS)
    path = tmp_path / "t.parquet"
    ids = range(GROUPS * ROWS)
    with path.open("wb") as sink:
        writer = canonical.CanonicalWriter(sink, COLUMNS)
        writer.write(
            [
                pa.array(ids),
                pa.array([float("nan") if n % ROWS == 7 else n / 2 for n in ids]),
                pa.array([date(2000, 1, 1) + timedelta(days=n) for n in ids], pa.date32()),
                pa.array([f"name {n % 10}" for n in ids]),
            ]
        )
        writer.close(COLUMNS)
    return Table([str(path)])


class Counted:
    """A file that notes what is read of it."""

    def __init__(self, file: pq.ParquetFile, reads: list[tuple[int, int]]) -> None:
        self._file = file
        self._reads = reads

    def read_row_group(self, group: int, columns: list[str]) -> pa.Table:
        self._reads.append((group, len(columns)))
        return self._file.read_row_group(group, columns=columns)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def ask(table: Table, where: str | None, first: int = 0, limit: int = 10) -> tuple[list[int], int | None, list[Any]]:
    """Numbers of the rows that are found, where to go on, and what was read."""
    reads: list[tuple[int, int]] = []
    counted = {id(file): Counted(file, reads) for file in table.files}
    table.groups = [(at, counted.get(id(file), file), group, rows) for at, file, group, rows in table.groups]  # type: ignore[misc]
    found = json.loads(reading.page(table, first=first, limit=limit, where=where))
    return [row["n"] for row in found["rows"]], found["next"], reads


@pytest.mark.parametrize(
    ("where", "first", "groups"),
    [
        ("id == 3210", 3210, [32]),
        ("id > 3990", 3991, [39]),
        ("id <= 3 and id >= 2", 2, [0]),
        ("x == 1000.5", 2001, [20]),
        ("day == 2000-01-31", 30, [0]),
        ('x >= 1995 and name == "name 1"', 3991, [39]),
    ],
)
def test_only_groups_that_may_hold_it_are_read(table: Table, where: str, first: int, groups: list[int]) -> None:
    found, _, reads = ask(table, where)
    assert found[0] == first
    assert sorted({group for group, _ in reads}) == groups


def test_where_nothing_fits_only_the_columns_of_the_condition_are_read(table: Table) -> None:
    found, following, reads = ask(table, 'name == "nobody"')
    assert found == []
    assert reads == [(group, 1) for group in range(16)], "and only so many of them at a time"
    assert following == 16 * ROWS
    assert ask(table, 'name == "nobody"', first=GROUPS * ROWS - 1)[1] is None


def test_what_bounds_rule_out_is_passed_over_in_one_page(table: Table) -> None:
    found, following, reads = ask(table, "id == 100000")
    assert (found, following, reads) == ([], None, [])


def test_bounds_never_hide_a_row(table: Table) -> None:
    for where in ("x == NaN", "x != NaN", "id != 5", "name ~ 9", "x > 1998.9", "day >= 2010-12-13", "id is null"):
        every, at = [], 0
        while at is not None:
            some, at, _ = ask(table, where, first=at, limit=5000)
            every += some
        judge = reading.condition(table, where)
        whole = table.files[0].read()
        assert every == [n for n, fits in enumerate(judge(whole).to_pylist()) if fits], where
