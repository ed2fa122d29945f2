"""Files whose values have types already: Parquet, Arrow (file and stream) and workbooks.

A type that a table has no word for becomes text that says exactly what the value was, and the report says so: decimals,
whole numbers beyond 64 bits, times without a zone, times finer than microseconds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet as pq

from entrepot.model.columns import Column, ColumnType
from entrepot.model.errors import Invalid
from entrepot.tabular.canonical import batches_of
from entrepot.tabular.values import arrow_type, in_calendar

__all__ = ["TypedFile", "open_arrow", "open_parquet", "open_workbook"]

#: Rows of a batch, and bytes of their values.
_ROWS: Final = 65_536
_BYTES: Final = 32 << 20
_DATED: Final = (ColumnType.DATE, ColumnType.DATETIME)


@dataclass(frozen=True, slots=True)
class TypedFile:
    """
    Args:
        columns: As the file has them; whether a value may be missing is not known yet.
        notes: What became text, by column.
        batches: Arrays of the columns' types.
    """

    columns: list[Column]
    notes: dict[str, str]
    batches: Callable[[], Iterator[list[pa.Array]]]


def open_parquet(name: str, file: BinaryIO) -> TypedFile:
    try:
        found = pq.ParquetFile(file)
        schema = found.schema_arrow
    except (pa.ArrowInvalid, OSError) as error:
        raise Invalid(f"{name} is no readable Parquet file: {str(error)[:200]}") from error
    return _arrow(name, schema, lambda: batches_of(found, rows=_ROWS))


def open_arrow(name: str, file: BinaryIO) -> TypedFile:
    head = file.read(6)
    file.seek(0)
    try:
        if head == b"ARROW1":
            whole = pa.ipc.open_file(file)
            return _arrow(name, whole.schema, lambda: (whole.get_batch(i) for i in range(whole.num_record_batches)))
        stream = pa.ipc.open_stream(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise Invalid(f"{name} is no readable Arrow file: {str(error)[:200]}") from error
    return _arrow(name, stream.schema, lambda: iter(stream))


def _arrow(name: str, schema: pa.Schema, batches: Callable[[], Iterator[pa.RecordBatch]]) -> TypedFile:
    columns, notes = [], {}
    turns: list[Callable[[pa.Array], pa.Array]] = []
    for field in schema:
        column, turn, note = _column(name, field)
        columns.append(column)
        turns.append(turn)
        if note:
            notes[field.name] = note

    def read() -> Iterator[list[pa.Array]]:
        try:
            for batch in batches():
                rows = max(1, min(_ROWS, batch.num_rows * _BYTES // max(batch.nbytes, 1)))
                for at in range(0, max(batch.num_rows, 1), rows):
                    piece = batch.slice(at, rows)
                    arrays = [turn(array) for turn, array in zip(turns, piece.columns, strict=True)]
                    for column, array in zip(columns, arrays, strict=True):
                        if column.type in _DATED and not in_calendar(array.flatten() if column.list else array):
                            raise Invalid(
                                f"Column {column.name!r} of {name} has a {column.type.value} outside of the years 1 to "
                                "9999. Mend it, or send it as text."
                            )
                    yield arrays
        except (pa.ArrowInvalid, OSError, EOFError) as error:
            raise Invalid(f"{name} is damaged: {str(error)[:200]}") from error

    return TypedFile(columns, notes, read)


_Turn = Callable[[pa.Array], pa.Array]


def _column(file: str, field: pa.Field) -> tuple[Column, _Turn, str]:
    kind = field.type
    if pa.types.is_dictionary(kind):
        inner, turn, note = _column(file, pa.field(field.name, kind.value_type))
        return inner, lambda array: turn(array.dictionary_decode()), note
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        simple = _simple(kind.value_type)
        if simple is not None:
            column = Column(field.name, simple, list=True)
            return column, lambda array: _cast(array, arrow_type(column)), ""
        _no_bytes(file, field.name, kind)
        return Column(field.name, ColumnType.JSON), _as_json, ""
    if pa.types.is_nested(kind):
        _no_bytes(file, field.name, kind)
        return Column(field.name, ColumnType.JSON), _as_json, ""
    simple = _simple(kind)
    if simple is not None:
        column = Column(field.name, simple)
        return column, lambda array: _cast(array, arrow_type(column)), ""
    _no_bytes(file, field.name, kind)
    return Column(field.name, ColumnType.STRING), _as_text, f"{kind} has no type of its own here; its values are text"


def _no_bytes(file: str, name: str, kind: pa.DataType) -> None:
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        raise Invalid(f"Column {name!r} of {file} holds bytes ({kind}); a table holds no bytes. Leave it out.")
    if pa.types.is_nested(kind):
        for i in range(kind.num_fields):
            _no_bytes(file, name, kind.field(i).type)


def _simple(kind: pa.DataType) -> ColumnType | None:
    if pa.types.is_boolean(kind):
        return ColumnType.BOOLEAN
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return ColumnType.INT
    if pa.types.is_floating(kind):
        return ColumnType.FLOAT
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view() or pa.types.is_null(kind):
        return ColumnType.STRING
    if pa.types.is_date32(kind):
        return ColumnType.DATE
    if pa.types.is_timestamp(kind) and kind.tz is not None and kind.unit != "ns":
        return ColumnType.DATETIME
    return None


def _cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    return array if array.type == kind else pc.cast(array, kind)


def _as_text(array: pa.Array) -> pa.Array:
    try:
        return pc.cast(array, pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return pa.array([None if one is None else str(one) for one in array.to_pylist()], pa.string())


def _as_json(array: pa.Array) -> pa.Array:
    return pa.array([None if one is None else _json(one) for one in array.to_pylist()], pa.string())


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=_said, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, default=_said)


def _said(value: Any) -> str:
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _finite(value: Any) -> Any:
    """What JSON has no number for is a text, as everywhere else."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value).replace("nan", "NaN").replace("inf", "Infinity")
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


def open_workbook(name: str, file: BinaryIO, sheet: str | None, *, header: bool) -> TypedFile:
    """The cells of one sheet. Numbers are numbers, texts stay texts, days are dates, whatever their format shows.

    Raises:
        Invalid: It cannot be read, or has no such sheet, or the sheet is empty.
    """
    import python_calamine as calamine

    try:
        book = calamine.CalamineWorkbook.from_filelike(file)
        if sheet is not None and sheet not in book.sheet_names:
            raise Invalid(f"{name} has no sheet {sheet[:60]!r}. It has {', '.join(book.sheet_names[:20])}.")
        found = book.get_sheet_by_index(0) if sheet is None else book.get_sheet_by_name(sheet)
        rows = found.to_python(skip_empty_area=False)
    except Invalid:
        raise
    except Exception as error:
        # Its errors are of many classes, some of them plain ones.
        raise Invalid(f"{name} is no readable workbook: {str(error)[:200]}") from error
    while rows and all(cell == "" for cell in rows[-1]):
        rows.pop()
    if not rows:
        raise Invalid(f"{name} is empty: its sheet has no cells.")
    width = max(len(row) for row in rows)
    names = [_written(cell) or "" for cell in rows.pop(0)] if header else [""] * width
    names += [""] * (width - len(names))
    columns, notes, arrays = [], {}, []
    for i, title in enumerate(names):
        cells = [None if i >= len(row) or row[i] == "" else row[i] for row in rows]
        kind, values, note = _sheet_column(cells)
        columns.append(Column(title, kind))
        arrays.append(pa.array(values, arrow_type(columns[-1])))
        if note:
            notes[title] = note
    return TypedFile(columns, notes, lambda: iter([arrays]))


def _sheet_column(cells: list[Any]) -> tuple[ColumnType, list[Any], str]:
    kinds = {_cell_kind(cell) for cell in cells if cell is not None}
    if kinds == {"number"}:
        if all(one is None or (float(one).is_integer() and abs(one) <= 2**53) for one in cells):
            return ColumnType.INT, [None if one is None else int(one) for one in cells], ""
        return ColumnType.FLOAT, [None if one is None else float(one) for one in cells], ""
    if kinds == {"truth"}:
        return ColumnType.BOOLEAN, cells, ""
    if kinds == {"date"}:
        return ColumnType.DATE, cells, ""
    texts = [None if one is None else _written(one) for one in cells]
    note = f"its cells are of several kinds ({', '.join(sorted(kinds))})" if len(kinds) > 1 else ""
    if kinds == {"time"}:
        note = "its times have no zone"
    return ColumnType.STRING, texts, note


def _cell_kind(cell: Any) -> str:
    if isinstance(cell, bool):
        return "truth"
    if isinstance(cell, int | float):
        return "number"
    if isinstance(cell, datetime):
        return "time"
    if isinstance(cell, date):
        return "date"
    return "time" if isinstance(cell, time | timedelta) else "text"


def _written(cell: Any) -> str:
    """A cell as text: numbers without a fraction as whole ones, times as ISO 8601."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) <= 2**53:
        return str(int(cell))
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    return str(cell)
