"""Many rows in one statement, on both databases: `executemany` on SQLite, arrays and `unnest` on PostgreSQL.

Measured for 10 000 rows: a loop of single statements takes ten times as long on PostgreSQL, and a multi-row VALUES
list has to be compiled anew for every number of rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Double,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    TextClause,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import JSON

from entrepot.catalog.schema.types import Instant, Uid
from entrepot.catalog.statements import sent, sent_many

__all__ = ["CHUNK", "chunks", "insert_ignore", "insert_rows", "int_list", "integers", "path_list", "paths"]

#: Rows of one statement on SQLite. Measured for contents and their places: they take two thirds of the time of one by
#: one. The statement is always the same, so it is compiled once. Few enough that what a failing statement would put
#: back, where foreign keys are looked at, stays in memory for rows that lie side by side.
_TOGETHER = 200
#: Rows of one statement: bounds the memory of the driver and of PostgreSQL for one message.
CHUNK = 10_000

T = TypeVar("T")


def chunks(rows: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def insert_ignore(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert rows, passing over those that a unique rule of the table refuses; the number that went in.

    Values are those of the columns' Python types, all rows name the same columns.
    """
    if not rows:
        return 0
    if conn.dialect.name == "sqlite":
        done = conn.execute(sqlite.insert(table).on_conflict_do_nothing(), list(rows))
    else:
        done = conn.execute(postgresql.insert(table).on_conflict_do_nothing(), list(rows))
    return max(done.rowcount, 0)


def insert_rows(
    conn: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Sequence[Any]], conflict: str = ""
) -> None:
    """Insert rows given as tuples in the order of `columns`.

    Args:
        rows: Values as the database keeps them (times in microseconds, digests as bytes), not as Python types:
            no conversion is made.
        conflict: What follows `ON CONFLICT`, if anything.
    """
    if not rows:
        return
    if conn.dialect.name == "sqlite":
        whole = len(rows) - len(rows) % _TOGETHER
        for start in range(0, whole, _TOGETHER):
            part = rows[start : start + _TOGETHER]
            sent(conn, _sqlite_insert(table, columns, conflict, _TOGETHER), list(chain.from_iterable(part)))
        sent_many(conn, _sqlite_insert(table, columns, conflict), rows[whole:])
        return
    sql = _postgres_insert(table, columns, conflict)
    for part in chunks(rows):
        conn.exec_driver_sql(sql, tuple(list(column) for column in zip(*part, strict=True)))


@cache
def _sqlite_insert(table: Table, columns: tuple[str, ...], conflict: str, rows: int = 1) -> str:
    # A row that is refused ends the transaction, so those before it in the statement need not be taken out again: to
    # be ready for that SQLite would copy every page that it changes into a file first (seen: four writes a row).
    marks = ", ".join(["(" + ", ".join("?" for _ in columns) + ")"] * rows)
    return f'INSERT OR FAIL INTO "{table.name}" ({_names(columns)}) VALUES {marks}{_conflict(conflict)}'  # noqa: S608


@cache
def _postgres_insert(table: Table, columns: tuple[str, ...], conflict: str) -> str:
    arrays = ", ".join(f"%s::{_array_type(table, column)}[]" for column in columns)
    return (
        f'INSERT INTO "{table.name}" ({_names(columns)}) '  # noqa: S608
        f"SELECT * FROM unnest({arrays}){_conflict(conflict)}"
    )


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _conflict(conflict: str) -> str:
    return f" ON CONFLICT {conflict}" if conflict else ""


def _array_type(table: Table, column: str) -> str:
    kind = table.c[column].type
    if isinstance(kind, Uid):
        return "uuid"
    if isinstance(kind, Boolean):
        return "boolean"
    if isinstance(kind, LargeBinary):
        return "bytea"
    if isinstance(kind, JSON):
        return "jsonb"
    if isinstance(kind, SmallInteger):
        return "smallint"
    if isinstance(kind, BigInteger | Instant):
        return "bigint"
    if isinstance(kind, Integer):
        return "integer"
    if isinstance(kind, Double):
        return "double precision"
    if isinstance(kind, Text):
        return "text"
    raise TypeError(f"no array type for {table.name}.{column}")


def path_list(dialect: str, name: str = "paths") -> str:
    """SQL for a one-column table `value` of the texts bound to `name` by `paths`; join it, or select from it."""
    if dialect == "sqlite":
        return f"json_each(:{name})"
    return f"unnest(CAST(:{name} AS text[])) AS listed(value)"


def int_list(dialect: str, name: str = "ids") -> str:
    """As `path_list`, of the integers bound by `integers`."""
    if dialect == "sqlite":
        return f"json_each(:{name})"
    return f"unnest(CAST(:{name} AS bigint[])) AS listed(value)"


def paths(dialect: str, values: Sequence[str]) -> Any:
    """The bound value for `path_list`."""
    return json.dumps(list(values)) if dialect == "sqlite" else list(values)


def integers(dialect: str, values: Sequence[int]) -> Any:
    """The bound value for `int_list`."""
    return json.dumps(list(values)) if dialect == "sqlite" else list(values)


@cache
def both(sqlite_sql: str, postgres_sql: str) -> dict[str, TextClause]:
    """One prepared text for each database, compiled once."""
    return {"sqlite": text(sqlite_sql), "postgresql": text(postgres_sql)}
