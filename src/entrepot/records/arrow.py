"""Items as Arrow or Parquet and back, where pyarrow is installed: for workers, never for the process that answers.

A column is a key of the item's outside. It gets the type that all its values have: booleans, integers, floats, texts,
lists and objects of these. Where they have no type in common, or one that would change a value (an integer that a float
cannot hold), the column is text: texts as they are, all else as JSON, as in CSV. A missing key and null are both null.

Coming back, null is no key; times and dates are ISO 8601, decimals texts, bytes base64.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, Protocol

from entrepot.model.errors import Invalid, TooLarge, Unsupported
from entrepot.records.reference import parse
from entrepot.records.tables import MOST_COLUMNS, cell

Format = Literal["arrow", "parquet"]

#: Items of one batch, and bytes of their lines.
_ROWS: Final = 8192
_BYTES: Final = 8 << 20
#: Above it, not every integer has a float of its own.
_EXACT: Final = 2**53


class Bytes(Protocol):
    """Bytes of a known size, to be read anywhere."""

    size: int

    def read_at(self, offset: int, length: int) -> bytes: ...


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


# In


def from_file(source: Bytes, form: Format) -> Iterator[bytes]:
    """NDJSON lines, newline included, of the rows of a file.

    NaN and infinities are written as they are: they are no JSON, and whoever checks the lines says so.

    Raises:
        Invalid: It is no such file, or two columns have one name.
        Unsupported: pyarrow is not installed.
    """
    pa = _pyarrow()
    file = _Readable(source)
    try:
        names: list[str]
        batches: Iterable[Any]
        if form == "parquet":
            opened = pa.parquet.ParquetFile(file)
            names, batches = opened.schema_arrow.names, opened.iter_batches(batch_size=1024)
        else:
            in_file = source.read_at(0, 6) == b"ARROW1"
            reader = pa.ipc.open_file(file) if in_file else pa.ipc.open_stream(file)
            names = reader.schema.names
            batches = (reader.get_batch(i) for i in range(reader.num_record_batches)) if in_file else reader
        if len(set(names)) != len(names):
            raise Invalid("Two columns of the table have the same name; an object has each key once.")
        if len(names) > MOST_COLUMNS:
            raise TooLarge(f"The table has {len(names)} columns; at most {MOST_COLUMNS} can be turned into keys.")
        for batch in batches:
            for at in range(0, batch.num_rows, 1024):
                for row in batch.slice(at, 1024).to_pylist():
                    item = {name: value for name, value in row.items() if value is not None}
                    yield json.dumps(item, ensure_ascii=False, default=_plain).encode("utf-8", "surrogatepass") + b"\n"
    except (pa.ArrowException, OSError, ValueError) as error:
        first = (str(error).splitlines() or [""])[0][:200]
        raise Invalid(f"The file cannot be read as {form.capitalize()}: {first}") from error


def _plain(value: object) -> Any:
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    return str(value)


class _Readable(io.RawIOBase):
    """What pyarrow takes for a file, over bytes that are read at offsets."""

    def __init__(self, source: Bytes) -> None:
        super().__init__()
        self._source = source
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = (0, self._at, self._source.size)[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._source.size - self._at)
        wanted = left if size is None or size < 0 else min(size, left)
        block = self._source.read_at(self._at, wanted) if wanted else b""
        self._at += len(block)
        return block
