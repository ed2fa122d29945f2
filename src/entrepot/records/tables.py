"""Items as CSV and back. Other forms of tables are in `arrow`.

A column is a key of the item's outside; what is nested stands in its cell as JSON. An empty cell is no key. Coming
back, a column becomes numbers, true and false, lists or objects only if every cell of it would be written again as it
is: `007`, `1.10` and `1e5` stay texts, and so do all others of their column.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from entrepot.model.errors import Invalid, TooLarge
from entrepot.records.reference import parse

MOST_COLUMNS: Final = 2000
#: Characters of a cell that comes in.
_LONGEST_CELL: Final = 4 << 20
#: Characters written before they are given out.
_BLOCK: Final = 1 << 18


def columns(lines: Iterable[bytes]) -> list[str]:
    """Every key of the outside, in the order in which they first come.

    Raises:
        TooLarge: There are more than `MOST_COLUMNS`.
    """
    found: dict[str, None] = {}
    for line in lines:
        item = parse(line)
        if not item.keys() <= found.keys():
            found |= dict.fromkeys(item)
            if len(found) > MOST_COLUMNS:
                raise TooLarge(f"These items have more than {MOST_COLUMNS} different keys; they do not make a table.")
    return list(found)


def to_csv(lines: Iterable[bytes], names: list[str]) -> Iterator[bytes]:
    """CSV (RFC 4180) with a header; a missing key and null are both an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    for line in lines:
        item = parse(line)
        writer.writerow([cell(item.get(name)) for name in names])
        if text.tell() >= _BLOCK:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def cell(value: object) -> str:
    """A value as the text of a cell."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is known of a CSV before its rows are taken.

    Args:
        names: Of the columns, in their order.
        typed: Of those whose cells are JSON, and not texts.
    """

    names: tuple[str, ...]
    typed: frozenset[str]


def sheet_of(text: Iterable[str], *, delimiter: str = ",", typed: bool = True) -> Sheet:
    """Read a CSV once, for its header and for what its columns hold.

    Args:
        text: Lines or larger pieces that end at line ends.
        typed: False leaves every cell a text.

    Raises:
        Invalid: There is no header, or a column has no name or the name of another.
        TooLarge: There are more than `MOST_COLUMNS`.
    """
    rows = _reader(text, delimiter)
    names = next(rows, None)
    if not names or "" in names or len(set(names)) != len(names):
        raise Invalid("The first row of the table must name every column, each by a name of its own.")
    if len(names) > MOST_COLUMNS:
        raise TooLarge(f"The table has {len(names)} columns; at most {MOST_COLUMNS} can be turned into keys.")
    candidates = set(range(len(names))) if typed else set()
    filled: set[int] = set()
    for row in rows:
        for i in [i for i in candidates if i < len(row) and row[i]]:
            filled.add(i)
            if not _is_json(row[i]):
                candidates.discard(i)
        if not candidates:
            break
    return Sheet(tuple(names), frozenset(names[i] for i in candidates & filled))


def from_csv(text: Iterable[str], sheet: Sheet, *, delimiter: str = ",") -> Iterator[bytes | str]:
    """For each row its NDJSON line, newline included, or a clause about why it makes none.

    Args:
        text: The same CSV from its beginning.
    """
    rows = _reader(text, delimiter)
    next(rows, None)
    for row in rows:
        if len(row) > len(sheet.names):
            yield f"has {len(row)} cells, the header {len(sheet.names)}."
            continue
        item = {
            name: json.loads(text) if name in sheet.typed else text
            for name, text in zip(sheet.names, row, strict=False)
            if text
        }
        yield json.dumps(item, ensure_ascii=False).encode() + b"\n"


def _reader(text: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    # Of the whole process, and by default less than a line of records may have.
    csv.field_size_limit(_LONGEST_CELL)
    rows = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        yield from rows
    except csv.Error as error:
        raise Invalid(f"The table cannot be read from line {rows.line_num} on: {error}.") from error


def _is_json(text: str) -> bool:
    """Whether a cell is a number, true, false, a list or an object, and would be written as it stands."""
    if text in ("true", "false"):
        return True
    if text[0] not in "-0123456789[{":
        return False
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, (dict, list)) or json.dumps(value) == text
