"""NDJSON as batches of cells: a column is a key of the outer object, a cell the very text of its value.

Numbers keep their text until their type reads them, and what is nested stays as it was sent. A key that is missing and
one that is null are both no value. Keys may come later in the file: then the table has a column more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from entrepot.model.columns import MOST_COLUMNS, Column, ColumnType
from entrepot.model.errors import TooLarge
from entrepot.tabular.csvtext import BadRow
from entrepot.tabular.faults import BadCell, excerpt
from entrepot.tabular.guessing import Guess
from entrepot.tabular.values import FLOAT_WHOLE, arrow_type, fast, parse

__all__ = ["JsonBatch", "JsonGuess", "JsonRows", "declared_cells"]

#: Bytes of lines that make a batch.
_BATCH: Final = 4 << 20
MOST_LINE: Final = 32 << 20

Raw = bytes | None


class JsonBatch:
    """Some good lines: by key the texts of their values, as many as there are rows."""

    def __init__(self, columns: dict[str, list[Raw]], rows: np.ndarray, bad: list[BadRow], read: int) -> None:
        self.columns = columns
        self.rows = rows
        self.bad = bad
        self.read = read


class JsonRows:
    """The lines of one file. A blank line is bad, unless only blank lines follow."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.row = 0
        self._decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        self._blanks: list[int] = []

    def batches(self) -> Iterator[JsonBatch]:
        tail = b""
        for block in self._joined():
            data = tail + block
            cut = data.rfind(b"\n") + 1
            if not cut:
                if len(data) > MOST_LINE:
                    raise TooLarge(f"Line {self.row + 1} is longer than {MOST_LINE >> 20} MiB.")
                tail = data
                continue
            tail = data[cut:]
            yield self._batch(data[:cut])
        if tail:
            yield self._batch(tail)

    def _joined(self) -> Iterator[bytes]:
        waiting: list[bytes] = []
        size = 0
        for block in self._blocks:
            waiting.append(block)
            size += len(block)
            if size >= _BATCH:
                yield b"".join(waiting)
                waiting, size = [], 0
        if waiting:
            yield b"".join(waiting)

    def _batch(self, data: bytes) -> JsonBatch:
        columns: dict[str, list[Raw]] = {}
        numbers: list[int] = []
        bad: list[BadRow] = []
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        for line in lines:
            self.row += 1
            if not line.strip():
                self._blanks.append(self.row)
                continue
            if self._blanks:
                bad += [BadRow(n, "blank", f"Row {n} is blank.", "") for n in self._blanks]
                self._blanks.clear()
            try:
                item = self._decode(line)
                if not _certainly_distinct(item, line):
                    json.loads(line, object_pairs_hook=_distinct)
            except (msgspec.DecodeError, ValueError, RecursionError) as error:
                bad.append(
                    BadRow(self.row, "json", f"Row {self.row} is no JSON object ({str(error)[:120]}).", excerpt(line))
                )
                continue
            count = len(numbers)
            for name, raw in item.items():
                cells = columns.get(name)
                if cells is None:
                    if len(columns) >= MOST_COLUMNS:
                        raise TooLarge(f"These lines have more than {MOST_COLUMNS} different keys; they make no table.")
                    cells = columns[name] = [None] * count
                value = bytes(raw).strip()
                cells.append(None if value == b"null" else value)
            numbers.append(self.row)
            count += 1
            for cells in columns.values():
                if len(cells) < count:
                    cells.append(None)
        return JsonBatch(columns, np.array(numbers, np.int64), bad, len(data))


def _certainly_distinct(item: dict[str, msgspec.Raw], line: bytes) -> bool:
    """Whether keys, values and the least punctuation account for the whole line: then no key is there twice."""
    size = 2 + sum(len(name.encode()) + 2 + len(raw) for name, raw in item.items())
    between = max(len(item) - 1, 0)
    size += len(item) + between
    length = len(line.strip())
    return length in (size, size + len(item) + between)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _kind(raw: bytes) -> str:
    first = raw[:1]
    return {b'"': "text", b"t": "truth", b"f": "truth", b"{": "nested", b"[": "nested"}.get(first, "number")


class JsonGuess:
    """As `Guess`, for values that have a type of their own already: a text is never taken for a number."""

    def __init__(self, settled: ColumnType | None = None) -> None:
        self.type = settled
        self._settled = settled is not None
        self.nulls = 0
        self.values = 0
        self._kinds: set[str] = set()
        self._longest_int = 0
        self._texts = Guess((ColumnType.DATE, ColumnType.DATETIME), settled)

    def see(self, raws: Sequence[Raw]) -> pa.Array | None:
        """The next values, as an array of `type`; None when that has just changed."""
        some = [raw for raw in raws if raw is not None]
        self.nulls += len(raws) - len(some)
        self.values += len(some)
        if not some:
            return pa.nulls(len(raws), arrow_type(Column(None, self.type or ColumnType.STRING)))
        before = self.type
        self._kinds |= {_kind(raw) for raw in some}
        found: pa.Array | None = None
        if len(self._kinds) == 1 and before is not ColumnType.JSON:
            found = self._of_one_kind(next(iter(self._kinds)), raws)
        if found is None:
            self.type = ColumnType.JSON
            found = _as_text(raws)
        return found if before in (None, self.type) else None

    def _of_one_kind(self, kind: str, raws: Sequence[Raw]) -> pa.Array | None:
        if kind == "text":
            texts = pa.array([None if raw is None else msgspec.json.decode(raw) for raw in raws], pa.string())
            if self.type is ColumnType.STRING:
                return texts
            found = self._texts.see(texts)
            self.type = self._texts.type
            return texts if found is None else found
        if kind == "truth":
            self.type = ColumnType.BOOLEAN
            return fast(ColumnType.BOOLEAN, _as_text(raws))
        if kind == "number":
            return self._numbers(raws)
        return None

    def _numbers(self, raws: Sequence[Raw]) -> pa.Array | None:
        texts = _as_text(raws)
        if self.type in (None, ColumnType.INT):
            whole = fast(ColumnType.INT, texts)
            if whole is not None:
                self.type = ColumnType.INT
                self._longest_int = max(self._longest_int, *(abs(one) for one in whole.drop_null().to_pylist()))
                return whole
        values: list[float | None] = []
        for raw in raws:
            if raw is None:
                values.append(None)
                continue
            value = float(raw)
            if not math.isfinite(value) or Decimal(raw.decode()) != Decimal(repr(value)):
                return None
            if abs(value) > FLOAT_WHOLE and raw.lstrip(b"-").isdigit():
                # The next whole number would be the same float.
                return None
            values.append(value)
        if self._longest_int > FLOAT_WHOLE:
            return None
        self.type = ColumnType.FLOAT
        return pa.array(values, pa.float64())

    @property
    def note(self) -> str | None:
        if self.type is ColumnType.JSON and len(self._kinds) > 1:
            return f"its values are of several kinds ({', '.join(sorted(self._kinds))})"
        return None

    def column(self, name: str) -> Column:
        return Column(name, self.type or ColumnType.STRING, nullable=self.nulls > 0 or not self.values)


def _as_text(raws: Sequence[Raw]) -> pa.StringArray:
    return pa.array([None if raw is None else raw.decode() for raw in raws], pa.string())


_WANTS: Final = {
    ColumnType.STRING: "text",
    ColumnType.OBJECT_LINK: "text",
    ColumnType.DATE: "text",
    ColumnType.DATETIME: "text",
    ColumnType.INT: "number",
    ColumnType.FLOAT: "number",
    ColumnType.BOOLEAN: "truth",
}


def declared_cells(column: Column, raws: Sequence[Raw], bad: Callable[[int, str, BadCell], None]) -> pa.Array:
    """The values of a declared column; `bad` is told of each that is none."""
    wanted = "nested" if column.list else _WANTS.get(column.type)
    values: list[Any] = []
    for i, raw in enumerate(raws):
        if raw is None:
            values.append(None)
            continue
        try:
            if wanted is not None and _kind(raw) != wanted:
                raise BadCell("type", f"is no JSON {wanted}")
            text = msgspec.json.decode(raw) if wanted == "text" else raw.decode()
            values.append(text if column.type is ColumnType.JSON and not column.list else parse(column, text))
        except BadCell as fault:
            bad(i, raw.decode(), fault)
            values.append(None)
    return pa.array(values, arrow_type(column))
