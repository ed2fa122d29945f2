"""Text with separators (RFC 4180 and its relatives) as batches of text cells; every bad row is found and numbered.

    blocks of UTF-8 ──► whole rows ──structure good──► Arrow parses them all at once
                                   └──not so────────► row by row, by the grammar below

    row    = field *(delimiter field) newline            newline: LF or CRLF; CR alone in old files
    field  = '"' *(any character, a quote twice) '"'     nothing between the last quote and the delimiter
           | *(any character but delimiter and newline)  not beginning with a quote

A row must have as many fields as the header: none is padded, none cut. An unquoted empty field is no value, a quoted
one the empty text. A blank line is bad, unless nothing but blank lines follows; in a table of one column it is a row
without a value.

Whether a block is well formed is seen from where its quotes, delimiters and newlines are, without looking at anything
between: a fraction of what parsing costs. Only well-formed rows reach the parser. A block without a quote needs not
even that: there every newline ends a row, and the parser itself sees rows of another width.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from entrepot.model.errors import Invalid
from entrepot.tabular.faults import excerpt

__all__ = ["BadRow", "Dialect", "Rows", "TextBatch", "sniff"]

DELIMITERS: Final = (",", "\t", ";", "|")
#: Rows are parsed in blocks of about this many bytes.
_WHOLE: Final = 8 << 20
#: So many bytes are read row by row before the fast way is tried again.
_BY_HAND: Final = 256 << 10
#: The longest row.
MOST_ROW: Final = 32 << 20

_LF, _CR = 10, 13
#: Files whose rows end with CR are read with both exchanged, and their texts changed back.
_SWAP: Final = bytes.maketrans(b"\r\n", b"\n\r")
_SWAP_BACK: Final = str.maketrans("\r\n", "\n\r")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the file separates its fields.

    Args:
        delimiter, quote: One ASCII character each.
        old_newlines: Rows end with CR alone.
        rivals: Other delimiters by which the first rows have just as many fields.
    """

    delimiter: str
    quote: str = '"'
    old_newlines: bool = False
    rivals: str = ""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that does not fit the grammar or the header. Numbered from 1, the header not counted."""

    row: int
    rule: str
    detail: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class TextBatch:
    """Some good rows.

    Args:
        columns: One array of texts for each column, null where there is no value.
        rows: The number of each row in the file.
        bad: Rows that were left out.
        read: Bytes of text that this batch was made of.
    """

    columns: list[pa.Array]
    rows: np.ndarray
    bad: list[BadRow]
    read: int


def sniff(sample: bytes, *, name: str = "", delimiter: str | None = None, quote: str = '"') -> Dialect:
    """The dialect of a file from its beginning: the delimiter by which the first rows have equally many fields."""
    text = sample.decode("utf-8", "ignore")
    old = "\n" not in text and "\r" in text
    if delimiter is not None:
        return Dialect(delimiter, quote, old)
    if old:
        text = text.replace("\r", "\n")
    if len(sample) >= 1 << 16:
        text = text[: text.rfind("\n") + 1] or text
    best: tuple[float, int, str] | None = None
    rivals: dict[str, int] = {}
    order = (
        ("\t", *DELIMITERS) if name.lower().split(".gz")[0].split(".zst")[0].endswith((".tsv", ".tab")) else DELIMITERS
    )
    for one in order:
        counts = _counts(text, one, quote)
        if not counts or counts[0] < 2:
            continue
        alike = sum(count == counts[0] for count in counts) / len(counts)
        if alike == 1 and len(counts) > 1:
            rivals[one] = counts[0]
        found = (alike, counts[0], one)
        # The first of those that fit all rows equally well, in the order of how common they are.
        if best is None or (alike, counts[0] if alike == 1 else 0) > (best[0], best[1] if best[0] == 1 else 0):
            best = found
    if best is None or best[0] < 0.5:
        return Dialect(order[0], quote, old)
    equal = [one for one, count in rivals.items() if one != best[2] and best[0] == 1 and count == best[1]]
    return Dialect(best[2], quote, old, "".join(equal))


def _counts(text: str, delimiter: str, quote: str) -> list[int]:
    """Fields of the first rows."""
    counts: list[int] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote):
            if row:
                counts.append(len(row))
            if len(counts) == 200:
                break
    except csv.Error:
        pass
    return counts


class Rows:
    """The rows of one file, in order.

    Args:
        blocks: UTF-8; may be cut anywhere.
        header: Whether the first row names the columns. Otherwise the first row says how many there are.
        null_values: Unquoted texts that mean no value, besides the empty one.

    Raises:
        Invalid: The file is empty, or its header cannot be read.
    """

    def __init__(
        self,
        blocks: Iterator[bytes],
        dialect: Dialect,
        *,
        header: bool = True,
        null_values: Sequence[str] = (),
        width: int | None = None,
    ) -> None:
        self._blocks = blocks
        self._dialect = dialect
        self._delimiter = ord(dialect.delimiter)
        self._quote = ord(dialect.quote)
        self._nulls = ["", *null_values]
        self._buffer = b""
        self._ended = False
        #: Rows behind us, good and bad.
        self.row = 0
        self._blanks: list[int] = []
        quote, delimiter = re.escape(dialect.quote), re.escape(dialect.delimiter)
        # Possessive: a quote that is never closed is found out once, not in every way to cut what follows it.
        self._quoted = re.compile(f"{quote}((?:[^{quote}]++|{quote}{quote})*+){quote}".encode())
        self._unquoted = re.compile(f"[^{delimiter}\n]*".encode())
        first = self._first_row()
        self.names: list[str] = [] if not header else [_text(one) or "" for one in first.fields]
        if dialect.old_newlines:
            self.names = [name.translate(_SWAP_BACK) for name in self.names]
        self.width = width or len(first.fields)
        if header:
            self._buffer = self._buffer[first.end :]

    def _fill(self, wanted: int) -> None:
        """Have at least so many bytes at hand, if there are."""
        if len(self._buffer) >= wanted or self._ended:
            return
        pieces, size = [self._buffer], len(self._buffer)
        while size < wanted:
            block = next(self._blocks, None)
            if block is None:
                self._ended = True
                break
            if self._dialect.old_newlines:
                block = block.translate(_SWAP)
            pieces.append(block)
            size += len(block)
        self._buffer = b"".join(pieces)

    def _first_row(self) -> _Parsed:
        wanted = 1 << 16
        while True:
            self._fill(wanted)
            found = self._parse_row(self._buffer, 0, final=self._ended)
            if isinstance(found, _Parsed):
                if found.fields == [None] and self._ended and found.end >= len(self._buffer):
                    raise Invalid("The file is empty: it has not even a row of column names.")
                return found
            if isinstance(found, str):
                raise Invalid(f"The first row cannot be read: it {found}.")
            if self._ended or wanted > MOST_ROW:
                raise Invalid("The file is empty, or its first row does not end.")
            wanted *= 4

    def batches(self) -> Iterator[TextBatch]:
        """All rows behind the header."""
        wanted = _WHOLE
        while True:
            self._fill(wanted)
            if not self._buffer:
                break
            used, batch = self._take()
            if used == 0:
                # One row is larger than what is at hand.
                wanted *= 2
                if self._ended:
                    break
                continue
            self._buffer = self._buffer[used:]
            wanted = _WHOLE
            yield replace(batch, columns=[*map(_swapped, batch.columns)]) if self._dialect.old_newlines else batch

    # --- all at once --------------------------------------------------------------------------------------------------

    def _take(self) -> tuple[int, TextBatch]:
        data = self._buffer
        if self._ended and not data.endswith(b"\n"):
            data += b"\n"
        if data.startswith(codecs.BOM_UTF8):
            # The parser takes it for a mark of the encoding, and leaves it out.
            return self._by_hand()
        used = data.rfind(b"\n") + 1
        if not used:
            return (0, _NOTHING) if not self._ended and len(data) < MOST_ROW else self._by_hand()
        returns = data.count(b"\r", 0, used)
        alone = returns > 0 and returns != data.count(b"\r\n", 0, used)
        if not alone and data.find(self._dialect.quote.encode(), 0, used) < 0:
            plain = self._plain(data, used)
            if plain is not None:
                return min(used, len(self._buffer)), plain
        seen = np.frombuffer(data, np.uint8)
        found = self._structure(seen, alone=alone)
        if found is None:
            return self._by_hand()
        ends, delimiters = found
        if not len(ends):
            return (0, _NOTHING) if not self._ended and len(data) < MOST_ROW else self._by_hand()
        used = int(ends[-1]) + 1
        starts = np.concatenate(([0], ends[:-1] + 1))
        good = self._right_width(starts, ends, delimiters)
        if self.width > 1:
            lengths = ends - starts
            blank = (lengths == 0) | ((lengths == 1) & (seen[starts] == _CR))
            if blank.any():
                good &= ~blank
            else:
                blank = None
        else:
            blank = None
        numbers = np.arange(self.row + 1, self.row + 1 + len(ends), dtype=np.int64)
        bad: list[BadRow] = []
        if good.all():
            bad += self._blanks_were_bad()
            kept, text = numbers, pa.py_buffer(data).slice(0, used)
        else:
            bad += self._tell_bad(data, starts, ends, good, blank, delimiters, numbers)
            kept = numbers[good]
            text = pa.py_buffer(_without(data, starts, ends, good))
        self.row += len(ends)
        return min(used, len(self._buffer)), TextBatch(self._parse(text), kept, bad, used)

    def _plain(self, data: bytes, used: int) -> TextBatch | None:
        """The rows of a block that has no quote; None if one of them is blank or has another number of fields."""
        try:
            columns = self._parse(pa.py_buffer(data).slice(0, used))
        except pa.ArrowInvalid:
            return None
        # The parser fills a blank line up; where each row has a value somewhere, there is none.
        if self.width > 1 and all(one.null_count for one in columns) and _has_blank(data, used):
            return None
        bad = self._blanks_were_bad()
        count = len(columns[0])
        numbers = np.arange(self.row + 1, self.row + 1 + count, dtype=np.int64)
        self.row += count
        return TextBatch(columns, numbers, bad, used)

    def _structure(self, seen: np.ndarray, *, alone: bool) -> tuple[np.ndarray, np.ndarray] | None:
        """Where rows end and where fields do, outside of quotes; None if the quotes do not fit the grammar.

        Args:
            alone: There are returns without a newline behind them.
        """
        marks = seen == _LF
        marks |= seen == self._delimiter
        marks |= seen == self._quote
        places = np.flatnonzero(marks)
        kinds = seen[places]
        quoting = kinds == self._quote
        outside = np.cumsum(quoting) & 1 == 0
        outside &= ~quoting
        ending = outside & (kinds == _LF)
        last = np.flatnonzero(ending)[-1:]
        if not len(last):
            return places[:0], places[:0]
        # What stands behind the last whole row is looked at next time.
        stop = int(last[0]) + 1
        places, outside, quoting, ending = places[:stop], outside[:stop], quoting[:stop], ending[:stop]
        quotes = places[quoting]
        if len(quotes) and not self._well_quoted(seen, quotes):
            return None
        if alone:
            returns = np.flatnonzero(seen[: places[-1]] == _CR)
            returns = returns[(np.searchsorted(quotes, returns) & 1) == 0]
            if len(returns) and (seen[returns + 1] != _LF).any():
                return None
        return places[ending], places[outside & ~ending]

    def _well_quoted(self, seen: np.ndarray, quotes: np.ndarray) -> bool:
        if len(quotes) % 2:
            return False
        opening, closing = quotes[0::2], quotes[1::2]
        before = seen[opening - 1]
        starts = (opening == 0) | (before == _LF) | (before == self._delimiter)
        after = seen[closing + 1]
        stops = (
            (after == _LF)
            | (after == self._delimiter)
            | ((after == _CR) & (seen[np.minimum(closing + 2, len(seen) - 1)] == _LF))
        )
        # A quote twice closes and opens: both sides of it are next to each other.
        twice = closing[:-1] + 1 == opening[1:]
        starts[1:] |= twice
        stops[:-1] |= twice
        return bool(starts.all() and stops.all())

    def _right_width(self, starts: np.ndarray, ends: np.ndarray, delimiters: np.ndarray) -> np.ndarray:
        each = self.width - 1
        if each == 0:
            if not len(delimiters):
                return np.ones(len(ends), bool)
        elif len(delimiters) == len(ends) * each:
            table = delimiters.reshape(len(ends), each)
            if (table[:, -1] < ends).all() and (table[:, 0] >= starts).all():
                return np.ones(len(ends), bool)
        right: np.ndarray = np.diff(np.searchsorted(delimiters, np.concatenate((starts[:1], ends)))) == each
        return right

    def _tell_bad(
        self,
        data: bytes,
        starts: np.ndarray,
        ends: np.ndarray,
        good: np.ndarray,
        blank: np.ndarray | None,
        delimiters: np.ndarray,
        numbers: np.ndarray,
    ) -> list[BadRow]:
        bad: list[BadRow] = []
        counts = np.diff(np.searchsorted(delimiters, np.concatenate((starts[:1], ends)))) + 1
        last_filled = int(np.flatnonzero(~blank)[-1]) if blank is not None and not blank.all() else -1
        if blank is None or not blank.all():
            bad += self._blanks_were_bad()
        for i in np.flatnonzero(~good):
            number = int(numbers[i])
            if blank is not None and blank[i]:
                if i < last_filled:
                    bad.append(_blank(number))
                else:
                    self._blanks.append(number)
                continue
            line = data[int(starts[i]) : min(int(ends[i]), int(starts[i]) + 400)]
            bad.append(self._ragged(number, int(counts[i]), line))
        return bad

    def _ragged(self, number: int, count: int, line: bytes) -> BadRow:
        detail = f"Row {number} has {count} fields, {self.width} are expected."
        return BadRow(number, "fields", detail, excerpt(line))

    def _blanks_were_bad(self) -> list[BadRow]:
        found = [_blank(number) for number in self._blanks]
        self._blanks.clear()
        return found

    def _parse(self, text: pa.Buffer) -> list[pa.Array]:
        names = [str(i) for i in range(self.width)]
        if not text.size:
            return [pa.nulls(0, pa.string()) for _ in names]
        found = pa.csv.read_csv(
            pa.BufferReader(text),
            read_options=pa.csv.ReadOptions(column_names=names, block_size=text.size + 1),
            parse_options=pa.csv.ParseOptions(
                delimiter=self._dialect.delimiter,
                quote_char=self._dialect.quote,
                double_quote=True,
                escape_char=False,
                newlines_in_values=True,
                ignore_empty_lines=False,
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=self._nulls,
                check_utf8=False,
            ),
        )
        return [_whole(column) for column in found.columns]

    # --- by hand ------------------------------------------------------------------------------------------------------

    def _by_hand(self) -> tuple[int, TextBatch]:
        data, at = self._buffer, 0
        columns: list[list[str | None]] = [[] for _ in range(self.width)]
        numbers: list[int] = []
        bad: list[BadRow] = []
        while at < len(data) and at < _BY_HAND:
            found = self._parse_row(data, at, final=self._ended)
            if found is None and len(data) - at < MOST_ROW:
                # The row is not at hand as a whole; what was read so far goes out first.
                if at == 0:
                    return 0, _NOTHING
                break
            self.row += 1
            if not isinstance(found, _Parsed):
                end = data.find(b"\n", at)
                end = len(data) if end < 0 else end + 1
                why = found or f"is longer than {MOST_ROW >> 20} MiB"
                bad += self._blanks_were_bad()
                bad.append(
                    BadRow(self.row, "quotes", f"Row {self.row} {why}.", excerpt(data[at : at + 400].split(b"\n")[0]))
                )
                at = end
                continue
            if self.width > 1 and found.fields == [None]:
                self._blanks.append(self.row)
            elif len(found.fields) != self.width:
                bad += self._blanks_were_bad()
                bad.append(
                    self._ragged(self.row, len(found.fields), data[at : min(found.end, at + 400)].rstrip(b"\r\n"))
                )
            else:
                bad += self._blanks_were_bad()
                numbers.append(self.row)
                for column, field in zip(columns, found.fields, strict=True):
                    column.append(_text(field))
            at = found.end
        nulls = set(self._nulls)
        arrays = [
            pa.array([None if one is None else str(one) for one in column], pa.string())
            for column in (
                [None if one in nulls and not isinstance(one, _Quoted) else one for one in c] for c in columns
            )
        ]
        return at, TextBatch(arrays, np.array(numbers, np.int64), bad, at)

    def _parse_row(self, data: bytes, at: int, *, final: bool) -> _Parsed | str | None:
        """The row that begins at `at`: its fields, or what is wrong with it, or None if more bytes are needed."""
        fields: list[bytes | None] = []
        quote, delimiter = self._quote, self._delimiter
        while True:
            if at < len(data) and data[at] == quote:
                match = self._quoted.match(data, at)
                if match is None:
                    return "has a quote that is opened and not closed" if final else None
                end = match.end()
                if not final and end + 1 >= len(data):
                    return None
                once = bytes([quote])
                fields.append(_QuotedBytes(match[1].replace(once + once, once)))
            else:
                match = self._unquoted.match(data, at)
                assert match is not None
                end = match.end()
                if end >= len(data) and not final:
                    return None
                field = match[0]
                if field.endswith(b"\r") and (end >= len(data) or data[end] == _LF):
                    field = field[:-1]
                fields.append(field or None)
            if end >= len(data):
                return _Parsed(fields, end)
            if data[end] == delimiter:
                at = end + 1
                continue
            if data[end] == _LF:
                return _Parsed(fields, end + 1)
            if data[end] == _CR and end + 1 < len(data) and data[end + 1] == _LF:
                return _Parsed(fields, end + 2)
            if data[end] == _CR and end + 1 == len(data) and final:
                return _Parsed(fields, end + 1)
            return "has text behind a closing quote, or a quote that is not closed"


@dataclass(frozen=True, slots=True)
class _Parsed:
    fields: list[bytes | None]
    end: int


class _QuotedBytes(bytes):
    """A field that stood in quotes: empty it is a text."""


class _Quoted(str):
    """The same, decoded."""


def _text(field: bytes | None) -> str | None:
    if field is None:
        return None
    return _Quoted(field.decode()) if isinstance(field, _QuotedBytes) else field.decode()


def _has_blank(data: bytes, used: int) -> bool:
    return data.startswith((b"\n", b"\r\n")) or data.find(b"\n\n", 0, used) >= 0 or data.find(b"\n\r\n", 0, used) >= 0


def _swapped(texts: pa.Array) -> pa.Array:
    if not pc.any(pc.match_substring_regex(texts, "[\r\n]")).as_py():
        return texts
    return pa.array([None if one is None else one.translate(_SWAP_BACK) for one in texts.to_pylist()], pa.string())


def _blank(number: int) -> BadRow:
    return BadRow(number, "blank", f"Row {number} is blank.", "")


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _without(data: bytes, starts: np.ndarray, ends: np.ndarray, good: np.ndarray) -> bytes:
    """The good rows only, joined."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], good.view(np.int8), [0]))))
    return b"".join(data[int(starts[a]) : int(ends[b - 1]) + 1] for a, b in zip(edges[0::2], edges[1::2], strict=True))


_NOTHING: Final = TextBatch([], np.array([], np.int64), [], 0)
