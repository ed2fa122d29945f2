"""Columns of tables: their types, how they are written down, and what a version may declare about its files.

    {"columns": [{"name": "age", "type": "Int", "nullable": true, "list": false}, …], "delimiter": ";", …}

`declared` of a version of kind `table` is such a mapping, or a Frictionless Table Schema (`{"fields": […]}`). What is
left out is found out from the files. Plain values; both wings read and write them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from entrepot.model.errors import Invalid

__all__ = ["Column", "ColumnType", "TableRules", "evolved", "from_frictionless", "rules_of", "to_frictionless"]

MOST_COLUMNS: Final = 10_000
_NAME_LENGTH: Final = 1_000


class ColumnType(StrEnum):
    """What the values of a column are. `ObjectLink` is text that names a thing elsewhere."""

    STRING = "String"
    INT = "Int"
    FLOAT = "Float"
    JSON = "JSON"
    DATETIME = "DateTime"
    DATE = "Date"
    BOOLEAN = "Boolean"
    OBJECT_LINK = "ObjectLink"


@dataclass(frozen=True, slots=True)
class Column:
    """
    Args:
        name: None where only types are declared: the file's own header names it.
        nullable: Whether a row may have no value.
        list: Whether a value is a list of the type.
        target: What an `ObjectLink` leads to, as its sender says it.
    """

    name: str | None
    type: ColumnType
    nullable: bool = True
    list: bool = False
    target: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "name": self.name,
            "type": self.type.value,
            "nullable": self.nullable,
            "list": self.list,
        }
        return said | ({} if self.target is None else {"target": dict(self.target)})

    def widens_to(self, wider: Column) -> bool:
        """Whether every value of this column is, unchanged, one of `wider`."""
        if self.list != wider.list or (self.nullable and not wider.nullable):
            return False
        return self.type is wider.type or (self.type, wider.type) == (ColumnType.INT, ColumnType.FLOAT)


@dataclass(frozen=True, slots=True)
class TableRules:
    """How the files of a table are to be read.

    Args:
        columns: None lets them be found out.
        delimiter, encoding, quote: Of CSV; None lets them be found out (the quote is `"`).
        header: Whether the first row names the columns.
        null_values: Unquoted cells that mean: no value. An empty one always does.
        sheet: Of a workbook; None is the first.
        quarantine: Publish the good rows and keep the bad ones aside, instead of refusing all.
        aliases: What a column is called in files from before it was renamed: the present name of each old one.
        optional: Columns that came later; files from before lack them.
        found: The columns were found out, not declared; files that come later may lack values where the first did not.
    """

    columns: tuple[Column, ...] | None = None
    delimiter: str | None = None
    encoding: str | None = None
    quote: str = '"'
    header: bool = True
    null_values: tuple[str, ...] = ()
    sheet: str | None = None
    quarantine: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    found: bool = False

    def as_json(self) -> dict[str, Any]:
        said: dict[str, Any] = {"columns": None if self.columns is None else [c.as_json() for c in self.columns]}
        for name, usual in _USUAL.items():
            value = getattr(self, name)
            if value != usual:
                said[name] = list(value) if isinstance(value, tuple) else dict(value) if name == "aliases" else value
        return said

    def with_columns(self, columns: Sequence[Column]) -> TableRules:
        return replace(self, columns=tuple(columns))


_USUAL: Final[Mapping[str, Any]] = {
    "delimiter": None,
    "encoding": None,
    "quote": '"',
    "header": True,
    "null_values": (),
    "sheet": None,
    "quarantine": False,
    "aliases": {},
    "optional": (),
    "found": False,
}


def rules_of(declared: object) -> TableRules:
    """What a version declares of its table; nothing is declared by None.

    Raises:
        Invalid: It is no such thing; the message names the column.
    """
    if declared is None:
        return TableRules()
    if isinstance(declared, list):
        declared = {"columns": declared}
    if not isinstance(declared, Mapping):
        raise Invalid("What is declared of a table is a list of columns, or an object with `columns`.")
    if "fields" in declared:
        return TableRules(columns=_distinct(from_frictionless(declared)), null_values=_missing(declared))
    unknown = set(declared) - set(_USUAL) - {"columns", "form"}
    if unknown:
        raise Invalid(f"A table does not know {sorted(map(str, unknown))[0]!r}. It knows columns, {', '.join(_USUAL)}.")
    columns = declared.get("columns")
    if columns is not None and not isinstance(columns, list):
        raise Invalid("`columns` is a list with one object for each column.")
    values: dict[str, Any] = {name: declared[name] for name in _USUAL if declared.get(name) is not None}
    for name in ("header", "quarantine", "found"):
        if not isinstance(values.get(name, False), bool):
            raise Invalid(f"`{name}` is true or false.")
    for name in ("delimiter", "quote"):
        if name in values and not (
            isinstance(values[name], str) and len(values[name]) == 1 and ord(values[name]) < 128
        ):
            raise Invalid(f"`{name}` is one ASCII character.")
    for name in ("encoding", "sheet"):
        if not isinstance(values.get(name, ""), str):
            raise Invalid(f"`{name}` is a text.")
    for name, most in (("null_values", 100), ("optional", MOST_COLUMNS)):
        if name in values:
            values[name] = _texts(values[name], name, most)
    aliases = values.get("aliases", {})
    if not isinstance(aliases, Mapping) or not all(isinstance(one, str) for one in aliases.values()):
        raise Invalid("`aliases` is an object of texts.")
    if columns:
        values["columns"] = _distinct([_column(i, one) for i, one in enumerate(columns)])
    return TableRules(**values)


def _texts(value: object, name: str, most: int = 100) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value) or len(value) > most:
        raise Invalid(f"`{name}` is a list of at most {most} texts.")
    return tuple(value)


def _column(i: int, said: object) -> Column:
    if not isinstance(said, Mapping):
        raise Invalid(f"Column {i + 1} is no object with a type.")
    name, kind = said.get("name"), said.get("type", ColumnType.STRING.value)
    if name is not None and not (isinstance(name, str) and 0 < len(name) <= _NAME_LENGTH):
        raise Invalid(f"The name of column {i + 1} is no text of 1 to {_NAME_LENGTH} characters.")
    try:
        found = ColumnType(kind)
    except ValueError:
        raise Invalid(
            f"Column {name or i + 1!r} is {str(kind)[:60]!r}. Types are {', '.join(ColumnType)}.",
            errors=[{"column": name or i + 1, "detail": "unknown type"}],
        ) from None
    target = said.get("target")
    if target is not None and not isinstance(target, Mapping):
        raise Invalid(f"The target of column {name or i + 1!r} is no object.")
    for flag in ("nullable", "list"):
        if not isinstance(said.get(flag, False), bool):
            raise Invalid(f"`{flag}` of column {name or i + 1!r} is true or false.")
    return Column(name, found, said.get("nullable", True), said.get("list", False), target)


def _distinct(columns: Sequence[Column]) -> tuple[Column, ...]:
    if len(columns) > MOST_COLUMNS:
        raise Invalid(f"A table has at most {MOST_COLUMNS} columns, not {len(columns)}.")
    named = [one.name for one in columns if one.name is not None]
    if len(set(named)) != len(named):
        twice = next(name for name in named if named.count(name) > 1)
        raise Invalid(f"Two columns are called {twice!r}.")
    if named and len(named) != len(columns):
        raise Invalid("Name every column, or none: then they are taken in their order.")
    return tuple(columns)


# --- evolution --------------------------------------------------------------------------------------------------------


def evolved(rules: TableRules, changes: Sequence[Column], renamed: Mapping[str, str]) -> TableRules:
    """The rules of a table after columns were added, widened and renamed.

    Wider is a Float where there was an Int, a String where there was anything else, and a column that may lack values
    where none was missing. Files that are there already are read again by the new rules.

    Args:
        changes: New columns, and columns as they are to be, by name.
        renamed: The new name of each old one.

    Raises:
        Invalid: It would lose values, or name a column that is not there; `errors` tells each.
    """
    columns = {str(one.name): one for one in rules.columns or ()}
    faults: list[str] = []
    for old, new in renamed.items():
        if old not in columns:
            faults.append(f"there is no column {old!r} to rename")
        elif new in columns or not new or len(new) > _NAME_LENGTH:
            faults.append(f"{old!r} cannot be called {new[:60]!r}: the name is taken, empty or too long")
        else:
            columns = {new if name == old else name: one for name, one in columns.items()}
            columns[new] = replace(columns[new], name=new)
    optional = [renamed.get(name, name) for name in rules.optional]
    for one in changes:
        before = columns.get(str(one.name))
        if one.name is None:
            faults.append("a changed column has a name")
        elif before is None and not one.nullable:
            faults.append(f"{one.name!r} must be nullable, because the rows that are there have no value for it")
        elif before is None:
            optional.append(one.name)
            columns[one.name] = one
        elif not (before.widens_to(one) or _as_text(before, one)):
            faults.append(f"{one.name!r} cannot become {_said(one)}: it is {_said(before)}, and values could be lost")
        else:
            columns[one.name] = one
    if faults:
        raise Invalid(
            f"The columns cannot change so: {faults[0]}. Columns can be added, renamed and widened; anything else is a "
            "new version.",
            errors=[{"detail": fault} for fault in faults],
        )
    aliases = {old: renamed.get(new, new) for old, new in rules.aliases.items()} | dict(renamed)
    return replace(
        rules.with_columns(_distinct(list(columns.values()))), aliases=aliases, optional=tuple(dict.fromkeys(optional))
    )


def _as_text(before: Column, after: Column) -> bool:
    loses_nulls = before.nullable and not after.nullable
    return after.type is ColumnType.STRING and not before.list and not after.list and not loses_nulls


def _said(column: Column) -> str:
    return f"{column.type.value}{' list' if column.list else ''}{'' if column.nullable else ' without nulls'}"


# --- Frictionless Table Schema ----------------------------------------------------------------------------------------

_TO_FRICTIONLESS: Final[Mapping[ColumnType, str]] = {
    ColumnType.STRING: "string",
    ColumnType.INT: "integer",
    ColumnType.FLOAT: "number",
    ColumnType.JSON: "object",
    ColumnType.DATETIME: "datetime",
    ColumnType.DATE: "date",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.OBJECT_LINK: "string",
}
_FROM_FRICTIONLESS: Final[Mapping[str, ColumnType]] = {
    "string": ColumnType.STRING,
    "integer": ColumnType.INT,
    "year": ColumnType.INT,
    "number": ColumnType.FLOAT,
    "object": ColumnType.JSON,
    "array": ColumnType.JSON,
    "geojson": ColumnType.JSON,
    "datetime": ColumnType.DATETIME,
    "date": ColumnType.DATE,
    "boolean": ColumnType.BOOLEAN,
    "any": ColumnType.STRING,
    "time": ColumnType.STRING,
    "duration": ColumnType.STRING,
    "yearmonth": ColumnType.STRING,
    "geopoint": ColumnType.STRING,
    "list": ColumnType.STRING,
}
#: Where a column's own type and list are kept, which a Table Schema has no words for.
_OWN: Final = "entrepot:type"


def to_frictionless(columns: Sequence[Column]) -> dict[str, Any]:
    """The columns as a Frictionless Table Schema; `from_frictionless` gives the same columns back."""
    fields: list[dict[str, Any]] = []
    for one in columns:
        said: dict[str, Any] = {"name": one.name, "type": "array" if one.list else _TO_FRICTIONLESS[one.type]}
        if not one.nullable:
            said["constraints"] = {"required": True}
        if one.list or one.type is ColumnType.OBJECT_LINK:
            said[_OWN] = one.as_json()
        fields.append(said)
    return {"fields": fields, "missingValues": [""]}


def from_frictionless(schema: Mapping[str, Any]) -> list[Column]:
    """The columns of a Frictionless Table Schema.

    Raises:
        Invalid: It is none, or a field has a type that is not known.
    """
    fields = schema.get("fields")
    if not isinstance(fields, list) or not fields:
        raise Invalid("A Table Schema has a list `fields`.")
    found = []
    for i, one in enumerate(fields):
        if not isinstance(one, Mapping) or not isinstance(one.get("name"), str):
            raise Invalid(f"Field {i + 1} of the Table Schema has no name.")
        if isinstance(one.get(_OWN), Mapping):
            found.append(_column(i, one[_OWN]))
            continue
        kind = _FROM_FRICTIONLESS.get(str(one.get("type", "string")))
        if kind is None:
            raise Invalid(f"Field {one['name']!r} of the Table Schema has the unknown type {str(one['type'])[:60]!r}.")
        constraints = one.get("constraints")
        required = isinstance(constraints, Mapping) and constraints.get("required") is True
        found.append(Column(one["name"], kind, nullable=not required))
    return found


def _missing(schema: Mapping[str, Any]) -> tuple[str, ...]:
    said = schema.get("missingValues")
    return tuple(one for one in _texts(said, "missingValues") if one) if isinstance(said, list) else ()
