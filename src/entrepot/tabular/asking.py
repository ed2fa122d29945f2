"""Questions that DuckDB answers: statistics, differences, sorted copies, and SQL of people we do not know.

Tables are handed to DuckDB as Arrow datasets: it is told of no file, so all access to files and to the network can be
switched off before it hears the first word of anybody's SQL. What it may use besides is bounded by the limits of the
process that this runs in, not by its own settings, which bound only a part of what it does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, BinaryIO, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.ipc

from entrepot.model.columns import Column, ColumnType
from entrepot.model.errors import Corrupt, Invalid, TooLarge, Unsupported
from entrepot.tabular.canonical import CanonicalWriter, batches_of
from entrepot.tabular.faults import DAMAGED, is_damage
from entrepot.tabular.reading import ROW, Table, iso
from entrepot.tabular.values import schema_of

__all__ = ["difference", "query", "sorted_copy", "statistics"]

#: Bars of a histogram, frequent values that are told, and columns of one question.
_BARS, _FREQUENT, _COLUMNS = 20, 10, 500
#: Cells that a difference tells of, and rows of a sorted copy that are taken at a time.
_CELLS: Final = 200_000
_SORTED: Final = 16_384
#: Characters of one value of an answer for people.
_TOLD: Final = 200

_LOCKED: Final[Mapping[str, str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_unsigned_extensions": "false",
    "python_enable_replacements": "false",
    "python_scan_all_frames": "false",
    "max_expression_depth": "250",
    # Of which queries may ask; by themselves they name the home of whom this process belongs to.
    "secret_directory": "/nowhere",
    "extension_directory": "/nowhere",
    "threads": "2",
}


def _connect(memory: int, spill: str = "") -> duckdb.DuckDBPyConnection:
    settings: dict[str, Any] = {**_LOCKED, "memory_limit": f"{memory >> 20}MiB", "temp_directory": spill}
    return duckdb.connect(":memory:", config=settings)


def _lock(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _register(
    connection: duckdb.DuckDBPyConnection, table: str, paths: Sequence[str], columns: Sequence[Column]
) -> dict[str, str]:
    """Let queries call the files a table; answers what they call each column.

    To SQL `id` and `ID` are one name, so the second of such columns is called `ID_2`.
    """
    scan = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    form = ds.ParquetFileFormat(default_fragment_scan_options=scan)
    found = ds.dataset(list(paths), format=form, schema=schema_of(columns))
    named: dict[str, str] = {}
    taken = {_folded(str(one.name)) for one in columns}
    seen: set[str] = set()
    for one in columns:
        name, n = str(one.name), 1
        while _folded(name) in seen or (n > 1 and _folded(name) in taken):
            n += 1
            name = f"{one.name}_{n}"
        seen.add(_folded(name))
        named[str(one.name)] = name
    if all(name == given for name, given in named.items()):
        connection.register(table, found)
    else:
        connection.register(table, found.scanner(columns={given: ds.field(name) for name, given in named.items()}))
    return named


def _folded(name: str) -> str:
    """As SQL compares names: letters of ASCII in one case."""
    return name.encode().lower().decode()


def _place(i: int) -> str:
    return f"c{i}"


def _quoted(name: object) -> str:
    text = str(name).replace('"', '""')
    return f'"{text}"'


# --- statistics -------------------------------------------------------------------------------------------------------


def statistics(
    table: Table, paths: Sequence[str], columns: Sequence[str] | None, *, memory: int, spill: str = ""
) -> dict[str, Any]:
    """Of each column: nulls, different values, least, greatest, mean, a histogram, the most frequent values."""
    chosen = table.chosen(columns)
    if len(chosen) > _COLUMNS:
        raise TooLarge(f"Statistics are told of at most {_COLUMNS} columns at a time; this table has {len(chosen)}.")
    connection = _connect(memory, spill)
    named = _register(connection, "t", paths, table.columns)
    _lock(connection)
    return {
        "rows": table.rows,
        "columns": [_about(connection, one, _quoted(named[str(one.name)]), table.rows) for one in chosen],
    }


def _about(connection: duckdb.DuckDBPyConnection, column: Column, name: str, rows: int) -> dict[str, Any]:
    ordered = not column.list and column.type not in (ColumnType.JSON,)
    numeric = not column.list and column.type in (ColumnType.INT, ColumnType.FLOAT)
    dated = not column.list and column.type in (ColumnType.DATE, ColumnType.DATETIME)
    # What is no number has no place in an order.
    finite = f"CASE WHEN isfinite({name}) THEN {name} END" if column.type is ColumnType.FLOAT else name
    asked = [
        f"count({name})",
        f"approx_count_distinct({name})",
        f"min({finite})" if ordered else "NULL",
        f"max({finite})" if ordered else "NULL",
        f"avg({finite})" if numeric else "NULL",
        f"stddev_samp({finite})" if numeric else "NULL",
        f"max(length({name}))" if not column.list and column.type is ColumnType.STRING else "NULL",
    ]
    try:
        (found,) = _rows(connection, f"SELECT {_as_places(asked)} FROM t")
    except duckdb.OutOfRangeException:
        asked[4:6] = ["NULL", "NULL"]
        (found,) = _rows(connection, f"SELECT {_as_places(asked)} FROM t")
    count, distinct, least, greatest, mean, deviation, longest = found.values()
    said: dict[str, Any] = {
        **column.as_json(),
        "nulls": rows - count,
        "distinct": min(int(distinct), count),
        "min": _told(least),
        "max": _told(greatest),
        "mean": _finite(mean),
        "standard_deviation": _finite(deviation),
        "longest": longest,
        "histogram": [],
        "frequent": [],
    }
    if (numeric or dated) and count and least != greatest:
        said["histogram"] = _histogram(connection, finite, column)
    if ordered and not (numeric and distinct > 1000):
        often = f"SELECT {name} AS v, count(*) AS n FROM t WHERE {name} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
        said["frequent"] = [
            {"value": _told(one["v"]), "rows": one["n"]} for one in _rows(connection, f"{often} LIMIT {_FREQUENT}")
        ]
    return said


def _histogram(connection: duckdb.DuckDBPyConnection, value: str, column: Column) -> list[dict[str, Any]]:
    if column.type is ColumnType.DATE:
        value = f"epoch({value}::TIMESTAMP)"
    elif column.type is ColumnType.DATETIME:
        value = f"epoch({value})"
    # In small, so that what lies between the greatest floats is one, too.
    query = f"""
        WITH v AS (SELECT {value}::DOUBLE / 32 AS x FROM t WHERE {value} IS NOT NULL),
            e AS (SELECT min(x) AS lo, max(x) AS hi FROM v)
        SELECT least(floor((x - lo) / ((hi - lo) / {_BARS})), {_BARS - 1})::INT AS bar,
            count(*) AS n, any_value(lo) * 32 AS lo, any_value(hi) * 32 AS hi
        FROM v, e GROUP BY 1 ORDER BY 1"""
    found = _rows(connection, query)
    counts = {one["bar"]: one["n"] for one in found}
    low, high = found[0]["lo"], found[0]["hi"]
    edges = [low * (1 - i / _BARS) + high * (i / _BARS) for i in range(_BARS)] + [high]
    dated = column.type in (ColumnType.DATE, ColumnType.DATETIME)
    return [
        {
            "from": _moment(edges[i]) if dated else edges[i],
            "to": _moment(edges[i + 1]) if dated else edges[i + 1],
            "rows": counts.get(i, 0),
        }
        for i in range(_BARS)
    ]


def _as_places(asked: Sequence[str]) -> str:
    return ", ".join(f"{one} AS {_place(i)}" for i, one in enumerate(asked))


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    """As Arrow: fetching times as Python values asks for a package of time zones."""
    rows: list[dict[str, Any]] = connection.sql(query).to_arrow_table().to_pylist()
    return rows


def _finite(number: float | None) -> float | None:
    """Sums of the greatest floats are none."""
    return number if number is None or math.isfinite(number) else None


def _moment(seconds: float) -> str:
    return iso(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))


def _told(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _TOLD else value[: _TOLD - 1] + "…"
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    return [_told(one) for one in value] if isinstance(value, list) else value


# --- differences ------------------------------------------------------------------------------------------------------


def difference(
    old: tuple[Table, Sequence[str]],
    new: tuple[Table, Sequence[str]],
    by: Sequence[str],
    *,
    limit: int,
    memory: int,
    spill: str,
) -> dict[str, Any]:
    """What differs between two tables: exact counts, and the first differences.

    Args:
        by: Columns that tell rows apart; none compares rows as they are, each as often as it is there.

    Raises:
        Invalid: A key is no column of both, is null somewhere, or two rows share it.
    """
    connection = _connect(memory, spill)
    sql = {side: _register(connection, side, paths, table.columns) for side, (table, paths) in (("o", old), ("n", new))}
    names = ([str(one.name) for one in old[0].columns], [str(one.name) for one in new[0].columns])
    types = ({str(c.name): c for c in old[0].columns}, {str(c.name): c for c in new[0].columns})
    said: dict[str, Any] = {
        "columns_added": [name for name in names[1] if name not in types[0]],
        "columns_removed": [name for name in names[0] if name not in types[1]],
        "columns_changed": [
            {"name": name, "before": types[0][name].type.value, "after": types[1][name].type.value}
            for name in names[1]
            if name in types[0]
            and (types[0][name].type, types[0][name].list) != (types[1][name].type, types[1][name].list)
        ],
    }
    common = [name for name in names[1] if name in types[0]]
    # Of columns whose type changed the texts are compared, unless all are numbers.
    numbers = {(ColumnType.INT.value, False), (ColumnType.FLOAT.value, False)}
    as_text = {
        one["name"]
        for one in said["columns_changed"]
        if not {(side[one["name"]].type.value, side[one["name"]].list) for side in types} <= numbers
    }
    limit = min(limit, max(1, _CELLS // max(1, len(common))))

    def cell(side: str, name: str) -> str:
        return f"{side}.{_quoted(sql[side][name])}{'::VARCHAR' if name in as_text else ''}"

    if not by:
        return said | _by_content(connection, common, cell, limit)
    for name in by:
        if name not in common:
            raise Invalid(f"The key {name!r} is not a column of both. Both have {', '.join(map(repr, common[:20]))}.")
    return said | _by_key(connection, list(by), common, cell, limit)


_Cell = Callable[[str, str], str]
"""How SQL writes a column of one side."""


def _by_key(
    connection: duckdb.DuckDBPyConnection, by: list[str], common: list[str], cell: _Cell, limit: int
) -> dict[str, Any]:
    for side, told in (("o", "before"), ("n", "after")):
        keys = [cell(side, name) for name in by]
        null = " OR ".join(f"{one} IS NULL" for one in keys)
        if _rows(connection, f"SELECT 1 FROM {side} WHERE {null} LIMIT 1"):
            raise Invalid(f"The key {', '.join(by)} is null in a row {told}; it does not name each row.")
        grouped = ", ".join(keys)
        twice = _rows(
            connection, f"SELECT {_as_places(keys)} FROM {side} GROUP BY {grouped} HAVING count(*) > 1 LIMIT 1"
        )
        if twice:
            first = {name: _told(value) for name, value in zip(by, twice[0].values(), strict=True)}
            raise Invalid(f"Several rows {told} have the key {first}; it does not name each row.")
    rest = [name for name in common if name not in by]
    joined = " AND ".join(f"{cell('o', name)} = {cell('n', name)}" for name in by)
    differs = [f"{cell('o', name)} IS DISTINCT FROM {cell('n', name)}" for name in rest]
    shown = ", ".join(
        [f"coalesce({cell('n', name)}, {cell('o', name)}) AS k{i}" for i, name in enumerate(by)]
        + [f"{cell('o', name)} AS o{i}, {cell('n', name)} AS n{i}" for i, name in enumerate(rest)]
    )
    # No column is called as rows are.
    there = _quoted(ROW)
    connection.execute(
        f"""CREATE TEMP TABLE d AS
        SELECT CASE WHEN o.{there} IS NULL THEN 'added' WHEN n.{there} IS NULL THEN 'removed' ELSE 'changed' END
            AS what, {shown}
        FROM (SELECT *, 1 AS {there} FROM o) AS o FULL OUTER JOIN (SELECT *, 1 AS {there} FROM n) AS n ON {joined}
        WHERE o.{there} IS NULL OR n.{there} IS NULL{"".join(f" OR {one}" for one in differs)}"""
    )
    said = _counts(connection, "SELECT what, count(*) AS n FROM d GROUP BY 1")
    ordered = ", ".join(f"k{i}" for i in range(len(by)))
    cells: dict[str, int] = {}
    if rest:
        sums = ", ".join(f"count(*) FILTER (WHERE o{i} IS DISTINCT FROM n{i}) AS c{i}" for i in range(len(rest)))
        (found,) = _rows(connection, f"SELECT {sums} FROM d WHERE what = 'changed'")
        cells = {name: count for name, count in zip(rest, found.values(), strict=True) if count}
    rows = []
    for one in connection.sql(f"SELECT * FROM d ORDER BY {ordered} LIMIT {int(limit)}").to_arrow_table().to_pylist():
        said_of = {
            "change": one["what"],
            "key": {name: _told(one[f"k{i}"]) for i, name in enumerate(by)},
            "cells": {},
        }
        for i, name in enumerate(rest):
            before, after = _told(one[f"o{i}"]), _told(one[f"n{i}"])
            if one["what"] == "changed" and (one[f"o{i}"] == one[f"n{i}"] or before == after == "nan"):
                continue
            said_of["cells"][name] = {"before": before, "after": after}
        rows.append(said_of)
    return said | {"changed_cells": cells, "rows": rows}


def _by_content(connection: duckdb.DuckDBPyConnection, common: list[str], cell: _Cell, limit: int) -> dict[str, Any]:
    texts = {side: _as_places([cell(side, name) for name in common]) for side in "on"}
    if not common:
        return {"added": 0, "removed": 0, "changed": 0, "changed_cells": {}, "rows": []}
    connection.execute(
        f"""CREATE TEMP TABLE d AS
        SELECT 'removed' AS what, * FROM (SELECT {texts["o"]} FROM o EXCEPT ALL SELECT {texts["n"]} FROM n)
        UNION ALL SELECT 'added' AS what, * FROM (SELECT {texts["n"]} FROM n EXCEPT ALL SELECT {texts["o"]} FROM o)"""
    )
    said = _counts(connection, "SELECT what, count(*) AS n FROM d GROUP BY 1")
    rows = [
        {
            "change": one["what"],
            "key": None,
            "cells": {
                name: {"before": _told(one[f"c{i}"])} if one["what"] == "removed" else {"after": _told(one[f"c{i}"])}
                for i, name in enumerate(common)
            },
        }
        for one in connection.sql(f"SELECT * FROM d ORDER BY ALL LIMIT {int(limit)}").to_arrow_table().to_pylist()
    ]
    return said | {"changed_cells": {}, "rows": rows}


def _counts(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any]:
    found = {one["what"]: one["n"] for one in _rows(connection, query)}
    return {what: int(found.get(what, 0)) for what in ("added", "removed", "changed")}


# --- sorting ----------------------------------------------------------------------------------------------------------


def sorted_copy(table: Table, column: str, *, descending: bool, sink: BinaryIO, memory: int, spill: str) -> None:
    """The table in another order, as a canonical file with the number of each row in `ROW`. Nulls come last."""
    (by,) = table.chosen([column])
    if by.list or by.type is ColumnType.JSON:
        raise Invalid(f"Column {column!r} is {by.type.value}{' list' if by.list else ''}; it has no order.")
    connection = _connect(memory, spill)
    columns = schema_of(table.columns)

    def numbered() -> Iterator[pa.RecordBatch]:
        at = 0
        for file in table.files:
            for batch in batches_of(file):
                numbers = pa.array(np.arange(at, at + batch.num_rows, dtype=np.int64))
                at += batch.num_rows
                yield pa.RecordBatch.from_arrays([*batch.columns, numbers], schema=wide)

    # By their places: names that differ in case only are one to DuckDB.
    wide = pa.schema([pa.field(_place(i), field.type) for i, field in enumerate(columns)] + [pa.field(ROW, pa.int64())])
    connection.register("t", pa.RecordBatchReader.from_batches(wide, numbered()))
    place = _place(table.columns.index(by))
    reader = connection.sql(
        f"SELECT * FROM t ORDER BY {place} {'DESC' if descending else 'ASC'} NULLS LAST, {_quoted(ROW)}"
    ).to_arrow_reader(_SORTED)
    writer = CanonicalWriter(sink, [*table.columns, Column(ROW, ColumnType.INT)])
    try:
        for batch in reader:
            writer.write(batch.cast(wide).columns)
    except BaseException:
        writer.abandon()
        raise
    writer.close(table.columns, {"sorted": column})


# --- SQL --------------------------------------------------------------------------------------------------------------


def query(
    tables: Mapping[str, Sequence[str]],
    sql: str,
    *,
    sink: BinaryIO,
    limit: int,
    memory: int,
    arrow: bool = True,
    size: int = 64 << 20,
) -> dict[str, Any]:
    """Answer one SELECT over the tables as an Arrow stream; says how many rows that were, and whether there are more.

    Args:
        tables: By the name that the query calls them: the canonical files.
        size: Bytes of values of the answer: who asks holds it as a whole. Rows beyond it are more rows.

    Raises:
        Invalid: It is no single SELECT, or DuckDB does not understand it.
        TooLarge: It needs more memory than there is.
        Unsupported: It wants to read files, or to change something.
        Corrupt: What is stored of a table is not what was written.
    """
    connection = _connect(memory)
    opened = []
    for name, paths in tables.items():
        table = Table(paths)
        opened.append(table)
        _register(connection, name, paths, table.columns)
    _lock(connection)
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type is not duckdb.StatementType.SELECT:
            raise Unsupported("Send exactly one SELECT; other statements are not taken.")
        found = connection.sql(statements[0].query)
        if found is None:
            raise Unsupported("Send exactly one SELECT; other statements are not taken.")
        reader = found.to_arrow_reader(8192)
        told = _Told(limit, size, reader)
        if arrow:
            with pa.ipc.new_stream(sink, reader.schema) as stream:
                for batch in told:
                    stream.write_batch(batch)
        else:
            found_rows = [
                [_in_json(cell) for cell in row] for batch in told for row in zip(*_cells(batch), strict=True)
            ]
            body = {"columns": reader.schema.names, "rows": found_rows, "more": told.more}
            sink.write(json.dumps(body, ensure_ascii=False, allow_nan=False).encode())
    except duckdb.PermissionException as error:
        raise Unsupported(f"A query reads tables only, no files: {_first_line(error)}") from error
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        raise TooLarge("The query needs more memory than it may have. Ask for fewer columns or rows.") from error
    except (duckdb.Error, pa.ArrowException, RuntimeError, ValueError, OverflowError) as error:
        if is_damage(error):
            raise Corrupt(DAMAGED) from error
        raise Invalid(f"The query cannot be answered: {_first_line(error)}") from error
    return {"rows": told.rows, "more": told.more}


class _Told:
    """The first rows of an answer, and whether there are more."""

    def __init__(self, limit: int, size: int, reader: pa.RecordBatchReader) -> None:
        self._limit = limit
        self._left = size
        self._reader = reader
        self.rows = 0
        self.more = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._reader:
            fitting = min(batch.num_rows, self._limit - self.rows)
            while fitting and batch.slice(0, fitting).nbytes > self._left:
                fitting //= 2
            if fitting < batch.num_rows:
                batch = batch.slice(0, fitting)
                self.more = True
                if not (fitting or self.rows):
                    raise TooLarge("A row of the answer is larger than answers may be. Ask for less of it.")
            self._left -= batch.nbytes
            self.rows += batch.num_rows
            yield batch
            if self.more:
                return


def _cells(batch: pa.RecordBatch) -> list[list[Any]]:
    return [column.to_pylist() for column in batch.columns]


def _in_json(value: Any) -> Any:
    """A value of whatever type DuckDB has, as JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): _in_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_in_json(one) for one in value]
    if isinstance(value, Decimal) and value == value.to_integral_value():
        # Sums of whole numbers.
        return int(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value).replace("nan", "NaN").replace("inf", "Infinity")
    if isinstance(value, datetime) and value.tzinfo is not None:
        return iso(value.astimezone(UTC))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n\n")[0][:500]
