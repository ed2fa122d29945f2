"""The checks of CSV and TSV: as many values in each record as in the first, and every quote closed.

Lines are judged some hundreds at a time: what stands outside of quotes is cut out of all of them together, and marks
are counted in what is left. Only where that does not come out even is each record taken by itself, which says what is
wrong and where. Both ways agree on what a record is: quotes come in pairs, and whatever stands between two belongs to
one value.
"""

from __future__ import annotations

import re
from itertools import repeat
from typing import Final

from entrepot.datatypes.reading import Check, said

__all__ = ["COLUMNS", "csv", "tsv"]

#: Columns that are named in the facts.
COLUMNS: Final = 1000
#: Lines that are judged together.
_TOGETHER: Final = 512
#: So many when something is wrong with one of those.
_FEW: Final = 32
#: Bytes of one record. One that goes on over more has lost its quote somewhere.
_MOST: Final = 4 << 20

_COMMA, _SEMICOLON, _TAB = b",", b";", b"\t"
#: A value of TSV that begins with a quote and has no other one to close it.
_OPEN_CELL: Final = re.compile(rb'(?:^|[\t\n])"[^"\t\n]*(?:"[^"\t\n]*"[^"\t\n]*)*(?=[\t\n]|\Z)')


def csv(check: Check) -> None:
    """RFC 4180 with commas or semicolons, told apart by the first line."""
    _check(check, None)


def tsv(check: Check) -> None:
    _check(check, _TAB)


def _check(check: Check, mark: bytes | None) -> None:
    table = _Table(check, mark)
    for lines in check.line_groups():
        if not table.take(lines):
            break
    table.end()


class _Table:
    """What was read so far."""

    def __init__(self, check: Check, mark: bytes | None) -> None:
        self._check = check
        self._mark = mark or b""
        self._columns = self._records = self._number = 0
        #: The line of the first empty record that no other followed yet.
        self._ended = 0
        self._names: list[str] = []
        #: Lines of a record whose quotes are not closed yet, where it began, and what they have.
        self._held: list[bytes] = []
        self._start = self._held_size = self._held_quotes = 0

    def take(self, lines: list[bytes], together: int = _TOGETHER) -> bool:
        """Judge the next lines; False when there is no use in more of them."""
        at = 0
        while at < len(lines):
            if self._held:
                # A record that began among the lines before: its end first.
                if not self._line(lines[at]):
                    return False
                at += 1
                continue
            some = lines[at : at + together]
            at += len(some)
            rest = some[self._all_even(some) :]
            if rest and len(rest) == together > _FEW:
                if not self.take(rest, _FEW):
                    return False
            elif not all(map(self._line, rest)):
                return False
        return True

    def _all_even(self, lines: list[bytes]) -> int:
        """Count these lines if nothing is wrong with any of them; how many that are, from the first one on."""
        if not lines or not self._records or self._ended:
            return 0
        text, taken = b"\n".join(lines), len(lines)
        if b'"' not in text:
            records = lines
        elif self._mark == _TAB:
            # Tabs need no quotes, and a lone one is as good as any other character: it only opens a cell at its start.
            if _OPEN_CELL.search(text):
                return 0
            records = lines
        else:
            if len(text) > _MOST:
                return 0
            outside = text.split(b'"')
            if len(outside) % 2 == 0:
                # The last record goes on: it begins behind the last end of a line that is outside.
                taken = _before_open(outside, text)
                if not taken:
                    return 0
                outside = text[: taken - 1].split(b'"')
                taken = text.count(b"\n", 0, taken)
            records = b"x".join(outside[0::2]).split(b"\n")
        if set(map(bytes.count, records, repeat(self._mark))) != {self._columns - 1}:
            return 0
        if self._columns == 1 and not all(map(bytes.strip, records)):
            return 0
        self._records += len(records)
        self._number += taken
        return taken

    def _line(self, line: bytes) -> bool:
        self._number += 1
        if not self._mark:
            self._mark = _SEMICOLON if line.count(_SEMICOLON) > line.count(_COMMA) else _COMMA
        if not self._held and not self._opens(line):
            self._record(self._number, line.split(self._mark))
            return True
        self._start = self._start or self._number
        self._held.append(line)
        self._held_size += len(line)
        self._held_quotes += line.count(b'"')
        if self._held_size > _MOST:
            return False
        if self._held_quotes % 2 == 0:
            start, cells = self._start, _split(b"\n".join(self._held), self._mark)
            self._held, self._start, self._held_size, self._held_quotes = [], 0, 0, 0
            self._record(start, cells)
        return True

    def _opens(self, line: bytes) -> bool:
        """Whether quotes count in this line."""
        if b'"' not in line:
            return False
        return self._mark != _TAB or _OPEN_CELL.search(line) is not None

    def _record(self, number: int, cells: list[bytes]) -> None:
        check = self._check
        if len(cells) == 1 and not cells[0].strip():
            self._ended = self._ended or number
            return
        if self._ended:
            check.wrong("empty_line", f"Line {self._ended} is empty between two records.", line=self._ended)
            self._ended = 0
        self._records += 1
        if self._records == 1:
            self._columns = len(cells)
            self._names = names = [
                cell.decode("utf-8-sig" if i == 0 else "utf-8", "replace").strip('"')[:200]
                for i, cell in enumerate(cells[:COLUMNS])
            ]
            doubles = sorted({name for name in names if name and names.count(name) > 1})
            if doubles:
                check.wrong("column_twice", f"The first line names {said(doubles[0])} more than once.", line=1)
        elif len(cells) != self._columns:
            check.wrong(
                "ragged_row",
                f"Line {number} has {len(cells)} values; the first line has {self._columns}.",
                line=number,
                record=self._records,
            )

    def end(self) -> None:
        check = self._check
        if self._held:
            start = self._start
            check.wrong(
                "open_quote", f"The quote that opens in the record on line {start} is never closed.", line=start
            )
        if not self._records:
            check.wrong("empty", "There is no line in this file.", line=1)
        rows = max(self._records - 1, 0)
        check.facts |= {"rows": rows, "columns": self._columns, "column_names": self._names}


def _before_open(outside: list[bytes], text: bytes) -> int:
    """Bytes before the record whose quote stays open, the end of its line included; 0 if nothing is before it.

    Args:
        outside: The text, taken apart at its quotes: pieces with even numbers stand outside, the last one inside.
    """
    behind = len(text)
    for at in range(len(outside) - 1, -1, -1):
        start = behind - len(outside[at])
        if at % 2 == 0 and (newline := text.rfind(b"\n", start, behind)) >= 0:
            return newline + 1
        behind = start - 1
    return 0


def _split(record: bytes, mark: bytes) -> list[bytes]:
    cells: list[bytes] = []
    open_cell: list[bytes] = []
    quotes = 0
    for piece in record.split(mark):
        open_cell.append(piece)
        quotes += piece.count(b'"')
        if quotes % 2 == 0:
            cells.append(piece if len(open_cell) == 1 else mark.join(open_cell))
            open_cell = []
    return [*cells, mark.join(open_cell)] if open_cell else cells
