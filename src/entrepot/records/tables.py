"""Items as a table and back: CSV by the standard library, Arrow where pyarrow is installed.

A column is a key of the item's outside; what is nested stands in its cell as JSON. Coming back, a cell is the text that
it is unless JSON types are asked for, so that `007` and `1e5` stay what they were. An empty cell is no key.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from entrepot.model.errors import Invalid, TooLarge, Unsupported
from entrepot.records.reference import parse

MOST_COLUMNS: Final = 2000
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
        writer.writerow([_cell(item.get(name)) for name in names])
        if text.tell() >= _BLOCK:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def from_csv(text: Iterable[str], *, typed: bool = False) -> Iterator[bytes]:
    """NDJSON lines, newline included, of a CSV with a header.

    Args:
        text: Lines or larger pieces that end at line ends.
        typed: A cell that is a JSON number, true, false, null, list or object becomes that.

    Raises:
        Invalid: There is no header, a column has no name or the name of another, or a row is longer than the header.
    """
    rows = csv.reader(text, strict=True)
    try:
        names = next(rows, None)
        if not names or "" in names or len(set(names)) != len(names):
            raise Invalid("The first line of the CSV must name every column, each by a name of its own.")
        for n, row in enumerate(rows, 2):
            if len(row) > len(names):
                raise Invalid(f"Row {n} of the CSV has {len(row)} cells, the header {len(names)}.")
            item = {name: _typed(cell) if typed else cell for name, cell in zip(names, row, strict=False) if cell}
            yield json.dumps(item, ensure_ascii=False).encode() + b"\n"
    except csv.Error as error:
        raise Invalid(f"The CSV cannot be read: {error}.") from error


def _typed(cell: str) -> Any:
    if cell[0] in '{["' or cell in ("true", "false", "null") or cell[0] in "-0123456789":
        try:
            value = json.loads(cell, parse_constant=lambda _: cell)
        except ValueError:
            return cell
        # What would be written differently afterwards stays a text.
        return value if isinstance(value, (dict, list, bool)) or value is None or json.dumps(value) == cell else cell
    return cell


def to_arrow(lines: Iterable[bytes], rows: int = 65536) -> Iterator[Any]:
    """Arrow record batches of at most `rows` items each; every batch has the schema that its own items need.

    Raises:
        Unsupported: pyarrow is not installed.
        Invalid: A key has values of different types, which Arrow does not hold in one column.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise Unsupported("Arrow needs pyarrow, which is not installed here. Take CSV or NDJSON.") from error
    waiting: list[dict[str, Any]] = []

    def batch() -> Any:
        try:
            return pyarrow.RecordBatch.from_pylist(waiting)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError) as error:
            raise Invalid(f"These items do not fit into columns of one type each: {error}") from error

    for line in lines:
        waiting.append(parse(line))
        if len(waiting) == rows:
            yield batch()
            waiting = []
    if waiting:
        yield batch()
