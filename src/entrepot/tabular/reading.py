"""Rows of a table from its canonical files: pages, conditions, exports.

Rows are numbered from 0 through all files. A page reads the row groups that it lies in, and no others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, BinaryIO, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet as pq

from entrepot.model.columns import Column, ColumnType, rules_of
from entrepot.model.errors import Invalid
from entrepot.tabular.canonical import batches_of, columns_in
from entrepot.tabular.faults import BadCell
from entrepot.tabular.values import arrow_type, parse, schema_of

__all__ = ["ROW", "Table", "condition", "export", "page", "plain"]

#: In sorted copies: the number of the row in the table.
ROW: Final = "__entrepot_row"
#: Row groups that one search looks through before it answers with what it found.
_SEARCHED: Final = 16
#: Bytes of a page; it ends early where rows are large.
_PAGE_BYTES: Final = 8 << 20
_BATCH: Final = 16_384


class Table:
    """The canonical files of one revision, in order, open for reading."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.files = [pq.ParquetFile(path, memory_map=False, page_checksum_verification=True) for path in paths]
        told = [columns_in(file) for file in self.files]
        found = rules_of({"columns": told[0]["columns"]}).columns or ()
        self.columns: list[Column] = list(found)
        self.sorted = ROW in self.files[0].schema_arrow.names
        self.groups: list[tuple[int, pq.ParquetFile, int, int]] = []
        at = 0
        for file in self.files:
            for group in range(file.metadata.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                self.groups.append((at, file, group, rows))
                at += rows
        self.rows = at

    def chosen(self, names: Sequence[str] | None) -> list[Column]:
        """The columns of these names, in their order.

        Raises:
            Invalid: There is no such column.
        """
        if names is None:
            return self.columns
        known = {str(one.name): one for one in self.columns}
        for name in names:
            if name not in known:
                raise Invalid(f"There is no column {name!r}. There are {', '.join(map(repr, list(known)[:20]))}.")
        return [known[name] for name in dict.fromkeys(names)]

    def close(self) -> None:
        for file in self.files:
            file.close()


def page(
    table: Table, *, first: int, limit: int, columns: Sequence[str] | None = None, where: str | None = None
) -> bytes:
    """Rows from number `first` on, as JSON: `{"columns", "total", "rows": [{"n", "values"}], "next"}`.

    With a condition a page may have few rows, or none, and still a `next`.
    """
    chosen = table.chosen(columns)
    names = [str(one.name) for one in chosen]
    wanted = condition(table, where) if where is not None else None
    needed = [*names, *([ROW] if table.sorted else [])]
    out: list[bytes] = []
    size, searched, at = 0, 0, max(first, 0)
    for start, file, group, rows in table.groups:
        if start + rows <= at:
            continue
        if len(out) >= limit or size > _PAGE_BYTES or searched >= _SEARCHED:
            break
        inside = at - start
        if wanted is None:
            found = file.read_row_group(group, columns=needed).slice(inside, limit - len(out))
            places: Any = range(at, at + found.num_rows)
        else:
            if wanted.rules_out(file, group):
                at = start + rows
                continue
            searched += 1
            # Most groups hold nothing that fits: what else stands in them is then not read at all.
            judged = file.read_row_group(group, columns=wanted.names).slice(inside)
            kept = pc.indices_nonzero(wanted(judged))[: limit - len(out)]
            if not len(kept):
                at = start + rows
                continue
            places = [at + i for i in kept.to_pylist()]
            found = file.read_row_group(group, columns=needed).slice(inside).take(kept)
        numbers = found[ROW].to_pylist() if table.sorted else places
        at = start + rows
        for place, number, line in zip(places, numbers, _lines(found, chosen), strict=True):
            if size > _PAGE_BYTES:
                at = place
                break
            out.append(b'{"n":%d,"values":%b}' % (number, line))
            size += len(line)
            if len(out) == limit:
                at = place + 1
                break
    following = at if at < table.rows else None
    return b'{"columns":%b,"total":%d,"rows":[%b],"next":%b}' % (
        msgspec.json.encode([one.as_json() for one in chosen]),
        table.rows,
        b",".join(out),
        b"null" if following is None else str(following).encode(),
    )


def _lines(found: pa.Table, columns: Sequence[Column]) -> Iterator[bytes]:
    """Each row as a JSON list."""
    cells = [plain(found[str(one.name)], one) for one in columns]
    encode = msgspec.json.Encoder().encode
    if not cells:
        return (b"[]" for _ in range(found.num_rows))
    return (encode(row) for row in zip(*cells, strict=True))


def plain(array: pa.ChunkedArray, column: Column) -> list[Any]:
    """Values as JSON has them, for msgspec. What JSON has no word for is a text: `"NaN"`, times in ISO 8601."""
    values: list[Any] = array.to_pylist()
    if column.list:
        return [None if one is None else [_one(value, column.type) for value in one] for one in values]
    if column.type in (ColumnType.INT, ColumnType.BOOLEAN, ColumnType.STRING, ColumnType.OBJECT_LINK):
        return values
    return [None if one is None else _one(one, column.type) for one in values]


def _one(value: Any, kind: ColumnType) -> Any:
    if kind is ColumnType.JSON:
        # A newline is never inside of a text there, and would end a line of NDJSON.
        return msgspec.Raw(value.replace("\n", " ").replace("\r", " ").encode())
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value).replace("nan", "NaN").replace("inf", "Infinity")
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date):
        return value.isoformat()
    return value


def iso(value: datetime) -> str:
    """A UTC time with as many digits as it needs."""
    return value.replace(tzinfo=None).isoformat() + "Z"


# --- conditions -------------------------------------------------------------------------------------------------------

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<op>==|!=|<=|>=|<|>|~)|(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<quoted>`[^`]*`)|(?P<word>[^\s=!<>~"'`]+))"""
)


class condition:
    """`age >= 18 and name == "Ann" and note is null`: all of them. A column of another name is written in backticks.

    What is null fits no comparison.

    Raises:
        Invalid: It cannot be read; it says from where on.
    """

    def __init__(self, table: Table, text: str) -> None:
        self._known = {str(one.name): one for one in table.columns}
        self._tests: list[tuple[str, str, Any]] = []
        tokens = self._tokens(text)
        while True:
            self._tests.append(self._test(tokens, text))
            if not tokens:
                break
            if self._word(tokens, text).lower() != "and":
                raise Invalid(f"Conditions are joined by `and`; this is not one: {text[:200]!r}.")
        self.names = list(dict.fromkeys(name for name, _, _ in self._tests))
        self._leaves: dict[int, Mapping[str, int]] = {}

    @staticmethod
    def _tokens(text: str) -> list[tuple[str, str]]:
        found, at = [], 0
        text = text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise Invalid(f"The condition cannot be read from {text[at : at + 40]!r} on.")
            found.append((str(match.lastgroup), match[str(match.lastgroup)]))
            at = match.end()
        if not found:
            raise Invalid("The condition is empty.")
        return found

    def _word(self, tokens: list[tuple[str, str]], text: str) -> str:
        if not tokens:
            raise Invalid(f"The condition ends too early: {text[:200]!r}.")
        return tokens.pop(0)[1]

    def _test(self, tokens: list[tuple[str, str]], text: str) -> tuple[str, str, Any]:
        name = self._word(tokens, text).strip("`")
        column = self._known.get(name)
        if column is None:
            raise Invalid(f"There is no column {name!r}. Names with spaces are written in backticks.")
        op = self._word(tokens, text)
        if op.lower() == "is":
            negative = bool(tokens) and tokens[0][1].lower() == "not"
            if negative:
                tokens.pop(0)
            if self._word(tokens, text).lower() != "null":
                raise Invalid("After `is` comes `null` or `not null`.")
            return name, "some" if negative else "none", None
        if op not in ("==", "!=", "<", ">", "<=", ">=", "~"):
            raise Invalid(f"{op!r} compares nothing. There are == != < <= > >= ~ and `is null`.")
        if not tokens:
            raise Invalid(f"The condition ends too early: {text[:200]!r}.")
        kind, said = tokens.pop(0)
        value = re.sub(r"\\(.)", r"\1", said[1:-1]) if kind == "text" else said
        if op == "~":
            return name, op, value
        if column.list:
            raise Invalid(f"Column {name!r} holds lists; they can be asked for `is null` only.")
        try:
            return name, op, parse(column, value)
        except BadCell as fault:
            raise Invalid(f"Column {name!r} is {column.type.value}: {value!r} {fault.why}.") from None

    def rules_out(self, file: pq.ParquetFile, group: int) -> bool:
        """Whether the bounds that the file keeps of a group tell that none of its rows fits."""
        about = file.metadata.row_group(group)
        leaves = self._leaves.get(id(file))
        if leaves is None:
            leaves = {about.column(i).path_in_schema: i for i in range(about.num_columns)}
            self._leaves[id(file)] = leaves
        for name, op, value in self._tests:
            column = self._known[name]
            if op not in _BEYOND or column.list or column.type not in _BOUNDED or name not in leaves:
                continue
            bounds = about.column(leaves[name]).statistics
            # What is no number has no place among the bounds; a comparison with it is not judged here.
            if bounds is not None and bounds.has_min_max and value == value and _BEYOND[op](bounds, value):
                return True
        return False

    def __call__(self, found: pa.Table) -> pa.ChunkedArray:
        mask: Any = None
        for name, op, value in self._tests:
            one = self._mask(found[name], op, value)
            mask = one if mask is None else pc.and_(mask, one)
        return pc.fill_null(mask, False)

    def _mask(self, array: pa.ChunkedArray, op: str, value: Any) -> Any:
        if op in ("none", "some"):
            return array.is_null() if op == "none" else array.is_valid()
        if op == "~":
            text = array if pa.types.is_string(array.type) else pc.cast(array, pa.string())
            return pc.match_substring(text, value)
        return _COMPARES[op](array, pa.scalar(value, array.type))


_COMPARES: Final[Mapping[str, Any]] = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


#: Types whose bounds compare as their values do.
_BOUNDED: Final = frozenset({ColumnType.INT, ColumnType.FLOAT, ColumnType.DATE})
#: Whether all of a group lies beyond what a comparison wants.
_BEYOND: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": lambda bounds, value: bool(value < bounds.min or value > bounds.max),
    "<": lambda bounds, value: bool(bounds.min >= value),
    "<=": lambda bounds, value: bool(bounds.min > value),
    ">": lambda bounds, value: bool(bounds.max <= value),
    ">=": lambda bounds, value: bool(bounds.max < value),
}


# --- exports ----------------------------------------------------------------------------------------------------------


def export(table: Table, sink: BinaryIO, format: str, columns: Sequence[str] | None = None) -> None:
    """All rows in another form: `csv`, `ndjson`, `arrow` (a stream) or `parquet`.

    CSV: a text that is empty stands in quotes, no value is nothing; lists and JSON are JSON.
    """
    chosen = table.chosen(columns)
    names = [str(one.name) for one in chosen]
    schema = schema_of(chosen)
    if format == "arrow":
        with pa.ipc.new_stream(sink, schema) as stream:
            for batch in _batches(table, names):
                stream.write_batch(batch.cast(schema))
    elif format == "parquet":
        with pq.ParquetWriter(sink, schema, compression="zstd", use_content_defined_chunking=True) as writer:
            for _, file, group, _ in table.groups:
                writer.write_table(file.read_row_group(group, columns=names).cast(schema))
    elif format == "ndjson":
        encode = msgspec.json.Encoder().encode
        for batch in _batches(table, names):
            whole = pa.Table.from_batches([batch])
            cells = [plain(whole.column(i), one) for i, one in enumerate(chosen)]
            sink.write(
                b"".join(
                    encode({name: value for name, value in zip(names, row, strict=True) if value is not None}) + b"\n"
                    for row in zip(*cells, strict=True)
                )
            )
    else:
        texts = pa.schema([pa.field(name, _in_csv(one)) for name, one in zip(names, chosen, strict=True)])
        options = pa.csv.WriteOptions(include_header=True, quoting_style="needed")
        with pa.csv.CSVWriter(sink, texts, write_options=options) as csv_writer:
            for batch in _batches(table, names):
                arrays = [_csv(batch.column(i), one) for i, one in enumerate(chosen)]
                csv_writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=texts))


def _batches(table: Table, names: list[str]) -> Iterator[pa.RecordBatch]:
    for file in table.files:
        yield from batches_of(file, names, rows=_BATCH)


def _in_csv(column: Column) -> pa.DataType:
    """What the writer writes as it should be; floats it would round off to no `.0`, and times it gives no `Z`."""
    plain = column.type in (ColumnType.INT, ColumnType.BOOLEAN, ColumnType.DATE) and not column.list
    return arrow_type(column) if plain else pa.string()


def _csv(array: pa.Array, column: Column) -> pa.Array:
    if array.type == _in_csv(column):
        return array
    if column.list:
        values = plain(pa.chunked_array([array]), column)
        return pa.array([None if one is None else msgspec.json.encode(one).decode() for one in values], pa.string())
    if column.type is ColumnType.FLOAT:
        return pa.array([None if one is None else _digits(one) for one in array.to_pylist()], pa.string())
    return pa.array([None if one is None else iso(one) for one in array.to_pylist()], pa.string())


def _digits(value: float) -> str:
    """A float as it is read back: `1e-06` would be a text."""
    text = repr(value)
    return format(Decimal(text), "f") if "e" in text else text
