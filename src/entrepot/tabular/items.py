"""Rows of Parquet and Arrow files as lines of JSON, for those who keep records and not columns.

Null is no key; times and dates are ISO 8601, decimals texts, bytes base64. NaN and infinities are written as they are:
they are no JSON, and whoever checks the lines says so.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, BinaryIO, Final, cast

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from entrepot.model.errors import Invalid, TooLarge
from entrepot.tabular.bytesin import Source

__all__ = ["lines"]

#: Rows that become objects at a time.
_ROWS: Final = 1024


def lines(source: Source, form: str, *, most: int, progress: Callable[[int], None]) -> Iterator[bytes]:
    """A line for each row, newline included.

    Args:
        form: `parquet` or `arrow` (file or stream).
        most: Columns that it may have.
        progress: Told where in the file the reader is, in bytes.

    Raises:
        Invalid: It is no such file, or two columns have one name.
        TooLarge: It has too many columns.
    """
    try:
        with source.open() as opened:
            file = cast(BinaryIO, opened)
            names, batches = _parquet(file) if form == "parquet" else _arrow(file)
            if len(set(names)) != len(names):
                raise Invalid("Two columns of the table have the same name; an object has each key once.")
            if len(names) > most:
                raise TooLarge(f"The table has {len(names)} columns; at most {most} can be turned into keys.")
            for batch in batches:
                for at in range(0, batch.num_rows, _ROWS):
                    for row in batch.slice(at, _ROWS).to_pylist():
                        yield _line(row)
                    progress(file.tell())
    except (pa.ArrowException, OSError, ValueError) as error:
        first = (str(error).splitlines() or [""])[0][:200]
        raise Invalid(f"The file cannot be read as {form.capitalize()}: {first}") from error


def _parquet(file: BinaryIO) -> tuple[list[str], Iterable[pa.RecordBatch]]:
    found = pq.ParquetFile(file)
    return found.schema_arrow.names, found.iter_batches(batch_size=_ROWS)


def _arrow(file: BinaryIO) -> tuple[list[str], Iterable[pa.RecordBatch]]:
    head = file.read(6)
    file.seek(0)
    if head == b"ARROW1":
        whole = pa.ipc.open_file(file)
        return whole.schema.names, (whole.get_batch(i) for i in range(whole.num_record_batches))
    stream = pa.ipc.open_stream(file)
    return stream.schema.names, stream


def _line(row: dict[str, Any]) -> bytes:
    item = {name: value for name, value in row.items() if value is not None}
    return json.dumps(item, ensure_ascii=False, default=_plain).encode("utf-8", "surrogatepass") + b"\n"


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
