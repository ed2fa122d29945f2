"""Messages about tables: columns, rows, statistics, differences, queries.

Rows are lists with one value for each column, in the columns' order. Times and dates are ISO 8601 texts, values of JSON
columns are JSON, and floats that JSON has no word for are `"NaN"`, `"Infinity"` and `"-Infinity"`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from entrepot.wire.messages.base import Answer, Request


class TableColumn(Answer):
    """One column."""

    name: str
    type: str = Field(description="String, Int, Float, JSON, DateTime, Date, Boolean or ObjectLink.")
    nullable: bool
    list: bool
    target: dict[str, Any] | None = None


class TableSchema(Answer):
    """The columns of one revision."""

    version: str
    revision: int
    rows: int
    columns: list[TableColumn]
    table_schema: dict[str, Any] = Field(description="The same as a Frictionless Table Schema.")


class TableRow(Answer):
    """One row."""

    n: int = Field(description="Its number in the revision, from 0.")
    values: list[Any]


class TableRows(Answer):
    """Rows of one revision."""

    columns: list[TableColumn]
    total: int = Field(description="Rows of the revision, whether they fit a condition or not.")
    rows: list[TableRow]
    next: int | None = Field(default=None, description="The number to go on from; null at the end.")


class ColumnStatistics(TableColumn):
    """What stands in one column."""

    nulls: int
    distinct: int = Field(description="Different values, about.")
    min: Any = None
    max: Any = None
    mean: float | None = None
    standard_deviation: float | None = None
    longest: int | None = Field(default=None, description="Characters of the longest text.")
    histogram: list[dict[str, Any]] = Field(description="Bars of equal width: `from`, `to`, `rows`.")
    frequent: list[dict[str, Any]] = Field(description="The most frequent values: `value`, `rows`.")


class TableStatistics(Answer):
    """What stands in the columns of one revision."""

    version: str
    revision: int
    rows: int
    columns: list[ColumnStatistics]


class ChangedRow(Answer):
    """A row on which two revisions differ."""

    change: Literal["added", "removed", "changed"]
    key: dict[str, Any] | None = Field(description="Null where whole rows are compared.")
    cells: dict[str, dict[str, Any]] = Field(description="By column: `before`, `after`.")


class TableDiff(Answer):
    """What differs between two revisions; counts are exact, of the rows the first ones are told."""

    columns_added: list[str]
    columns_removed: list[str]
    columns_changed: list[dict[str, Any]]
    added: int
    removed: int
    changed: int
    changed_cells: dict[str, int] = Field(description="By column, in rows that changed.")
    rows: list[ChangedRow]


class TableQuery(Request):
    """One SELECT over tables that the caller may read."""

    sql: str = Field(max_length=100_000)
    tables: dict[str, str] = Field(
        default_factory=dict,
        max_length=20,
        description="By the name that the query calls it: a table's id or reference, such as `lab/penguins@3.17`.",
    )
    limit: int | None = Field(default=None, ge=1, description="Rows of the answer at most.")


class TableQueried(Answer):
    """The rows that a query found."""

    columns: list[str]
    rows: list[list[Any]]
    more: bool = Field(description="There are more rows than were given.")


class BadRow(Answer):
    """A row, or one cell of it, that was refused."""

    part: str = Field(description="The file.")
    row: int = Field(description="From 1; the header does not count.")
    column: str | None = Field(description="Null when the row as a whole is bad.")
    rule: str
    detail: str
    excerpt: str


class TableRejects(Answer):
    """What the newest check said of the rows."""

    version: str
    message: str
    rows: int = Field(description="Good ones.")
    rejected_rows: int = Field(description="All of them; of these the first are told.")
    by_rule: dict[str, int]
    notes: list[str] = Field(description="What could have been read in another way.")
    errors: list[BadRow]


class TableFile(Request):
    """A file that is to become a part of a table."""

    file_name: str
    upload: str = Field(description="`up_…`, finished and the caller's own.")


class ChangedColumn(Request):
    """A column as it is to be; a name that is not there makes a new one."""

    name: str
    type: str = "String"
    nullable: bool = True
    list: bool = False
    target: dict[str, Any] | None = None


class TableChange(Request):
    """More rows, other rows, other columns of a table that is there."""

    files: list[TableFile] = Field(default=[], max_length=1000, description="In the order of their rows.")
    replace: bool = Field(default=False, description="What is there goes; otherwise it stays before what comes.")
    columns: list[ChangedColumn] = Field(default=[], description="New columns, and wider ones.")
    renamed: dict[str, str] = Field(default={}, description="The new name of each old one.")
    expected: int | None = Field(default=None, ge=0, description="The revision that the caller saw.")
