"""Items as Arrow or Parquet, where pyarrow is installed: for workers, never for the process that answers. (Such files
that come from outside are read by a process of limited means, which knows nothing of this module.)

A column is a key of the item's outside. It gets the type that all its values have: booleans, integers, floats, texts,
lists and objects of these. Where they have no type in common, or one that would change a value (an integer that a float
cannot hold), the column is text: texts as they are, all else as JSON, as in CSV. A missing key and null are both null.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Literal

from entrepot.model.errors import Invalid, TooLarge, Unsupported
from entrepot.records.reference import parse
from entrepot.records.tables import MOST_COLUMNS, cell

Format = Literal["arrow", "parquet"]

#: Items of one batch, and bytes of their lines.
_ROWS: Final = 8192
_BYTES: Final = 8 << 20
#: Above it, not every integer has a float of its own.
_EXACT: Final = 2**53


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise Unsupported("Arrow and Parquet need pyarrow, which is not installed here. Use CSV or NDJSON.") from error
    return pyarrow


# Out


def schema_of(lines: Iterable[bytes]) -> Any:
    """The type of every column, found by looking at all items once.

    Raises:
        Invalid: The items have no keys at all.
        TooLarge: They have more than `MOST_COLUMNS`.
        Unsupported: pyarrow is not installed.
    """
    pa = _pyarrow()
    types: dict[str, Any] = {}
    large: set[str] = set()
    for items in _batches(lines):
        for name in dict.fromkeys(key for item in items for key in item):
            values = [item.get(name) for item in items]
            found = _type_of(pa, values)
            types[name] = _common(pa, types[name], found) if name in types else found
            if name not in large and any(type(one) is int and abs(one) > _EXACT for one in values):
                large.add(name)
        if len(types) > MOST_COLUMNS:
            raise TooLarge(f"These items have more than {MOST_COLUMNS} different keys; they do not make a table.")
    if not types:
        raise Invalid("These items have no keys, so there are no columns to write.")
    text = pa.string()
    return pa.schema(
        [
            (name, text if found is None or (name in large and pa.types.is_floating(found)) else found)
            for name, found in types.items()
        ]
    )


def _type_of(pa: Any, values: list[Any]) -> Any:
    """What these values have in common; None is nothing but their texts."""
    try:
        found = pa.infer_type(values)
        # Whether every value fits, too: not every integer among floats does.
        pa.array(values, type=found)
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        return None
    return found if _can_be_stored(pa, found) else None


def _can_be_stored(pa: Any, found: Any) -> bool:
    if pa.types.is_struct(found):
        # Parquet knows no objects without keys.
        return found.num_fields > 0 and all(_can_be_stored(pa, field.type) for field in found)
    return not pa.types.is_list(found) or _can_be_stored(pa, found.value_type)


def _common(pa: Any, one: Any, other: Any, *, outside: bool = True) -> Any:
    """A type for the values of both, or None."""
    if one is None or other is None:
        return None
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if outside and {one, other} == {pa.int64(), pa.float64()}:
        return pa.float64()
    if pa.types.is_list(one) and pa.types.is_list(other):
        inner = _common(pa, one.value_type, other.value_type, outside=False)
        return None if inner is None else pa.list_(inner)
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        fields = {field.name: field.type for field in one}
        for field in other:
            known = fields.get(field.name, pa.null())
            fields[field.name] = _common(pa, known, field.type, outside=False)
        return None if None in fields.values() else pa.struct(list(fields.items()))
    return None


def to_file(lines: Iterable[bytes], schema: Any, form: Format) -> Iterator[bytes]:
    """The bytes of a file with these items, of which only one batch is in memory at a time.

    Args:
        schema: From `schema_of` of the same lines.
    """
    pa = _pyarrow()
    sink = _Sink()
    # A stream of pyarrow's own around ours would close it with the writer, before its last bytes are taken.
    open_writer: Callable[..., Any] = pa.parquet.ParquetWriter if form == "parquet" else pa.ipc.new_file
    options = {"compression": "zstd"} if form == "parquet" else {}
    with open_writer(sink, schema, **options) as writer:
        for items in _batches(lines):
            columns = [_column(pa, [item.get(field.name) for item in items], field.type) for field in schema]
            batch = pa.RecordBatch.from_arrays(columns, schema=schema)
            writer.write_batch(batch)
            yield sink.taken()
    yield sink.taken()


def _column(pa: Any, values: list[Any], wanted: Any) -> Any:
    if pa.types.is_string(wanted):
        values = [None if value is None else cell(value) for value in values]
    return pa.array(values, type=wanted)


class _Sink(io.RawIOBase):
    """A file that is written and never read: what came since the last look is given out."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def write(self, block: Any) -> int:
        self._parts.append(bytes(block))
        self._at += len(self._parts[-1])
        return len(self._parts[-1])

    def tell(self) -> int:
        return self._at

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _batches(lines: Iterable[bytes]) -> Iterator[list[dict[str, Any]]]:
    waiting: list[dict[str, Any]] = []
    size = 0
    for line in lines:
        waiting.append(parse(line))
        size += len(line)
        if len(waiting) == _ROWS or size > _BYTES:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting
