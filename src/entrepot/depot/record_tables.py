"""Tables that become records: rows of CSV, TSV, Parquet and Arrow files, turned into lines on their way into the check.

    file of a table ──► rows ──► lines ──► checked as any others ──► an object of its own, and its index
                          └──► rows that make no line are bad lines, with their number

Text is read here. Parquet and Arrow are formats that a file can lie in to whoever reads it: a process of limited means
does, which answers with lines.

The lines are what is published; the table was transport, or is the file of another version that the records name as
what they were made of. Line n of the records is row n of the table, the header not counted.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from entrepot.catalog import contents as content_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.contents import Extent
from entrepot.depot import tabling
from entrepot.depot.contents import ContentReader
from entrepot.depot.context import Depot
from entrepot.depot.ingests import Part
from entrepot.depot.tabling import Effort
from entrepot.model.digests import Digests
from entrepot.model.errors import Invalid
from entrepot.records import tables
from entrepot.records.check import Check, Checked, Rule
from entrepot.records.faults import Fault, Reason

__all__ = ["Converted", "convert", "is_table", "lines_name"]

_DELIMITERS: Final = {".csv": ",", ".tsv": "\t"}
_FORMS: Final = {".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow"}
_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Converted:
    """Lines whose bytes are durable and that nothing names yet."""

    number: int
    key: str
    digests: Digests

    def reader(self, depot: Depot) -> ContentReader:
        """Its bytes, before the catalogue knows them as a content."""
        size = self.digests.size
        extents = [Extent(depot.store.name, self.key, 0, size)] if size else []
        return ContentReader(depot, 0, size, extents, self.digests.crc32c)

    def name(self, conn: Connection, depot: Depot) -> int:
        """Make it a content; answers its number."""
        members = {0: self.digests}
        found = content_rows.insert_packed(conn, self.number, self.digests.size, members, at=depot.now())
        return found[self.digests.sha256]


class _Refused(Exception):
    """Rows are bad, so there are no lines to keep."""


def is_table(file_name: str) -> bool:
    """Whether a file of that name is taken for a table and not for lines."""
    return _suffix(file_name) in _DELIMITERS or _suffix(file_name) in _FORMS


def lines_name(file_name: str) -> str:
    """What the lines are called that are made of a table."""
    return str(PurePosixPath(file_name).with_suffix(".ndjson")) if is_table(file_name) else file_name


def _suffix(file_name: str) -> str:
    return PurePosixPath(file_name).suffix.lower()


def convert(
    depot: Depot, part: Part, rule: Rule | None, progress: Callable[[int], None]
) -> tuple[Checked, Converted | None]:
    """Turn the rows of a table into lines and check them; None where any is bad.

    Args:
        progress: Told how many of the file's bytes were dealt with.

    Raises:
        Invalid: The file is no such table, or its columns make no keys.
        TooLarge: It has too many columns.
        Unsupported: This process has nobody who reads it.
    """
    check = Check(rule=rule, max_line=depot.limits.record_line)
    checked: list[Checked] = []

    def lines() -> Iterator[bytes]:
        waiting = bytearray()
        for row in _rows(depot, part, progress):
            if isinstance(row, str):
                check.feed(waiting)
                waiting.clear()
                check.refuse(Fault(Reason.ROW, row))
                continue
            waiting += row
            if len(waiting) >= _BLOCK:
                check.feed(waiting)
                if not check.bad:
                    yield bytes(waiting)
                waiting.clear()
        check.feed(waiting)
        checked.append(check.finish())
        if check.bad:
            raise _Refused
        yield bytes(waiting)

    key = depot.new_key()
    # A row before the first byte: what is never named is swept away by it.
    number = depot.catalog.write(
        lambda conn: content_rows.reserve_object(conn, store=depot.store.name, key=key, kind="pack", at=depot.now())
    )
    try:
        digests = depot.store.put(key, lines())
    except _Refused:
        return checked[0], None
    return checked[0], Converted(number, key, digests)


def _rows(depot: Depot, part: Part, progress: Callable[[int], None]) -> Iterator[bytes | str]:
    """Lines of the rows, one or many at a time, or a clause about why a row makes none."""
    form = _FORMS.get(_suffix(part.name))
    if form is not None:
        return _read_apart(depot, part, form, progress)
    delimiter = _DELIMITERS[_suffix(part.name)]
    source = _Watched(part.reader, progress)
    sheet = tables.sheet_of(_text(source), delimiter=delimiter)
    source.again()
    return tables.from_csv(_text(source), sheet, delimiter=delimiter)


def _read_apart(depot: Depot, part: Part, form: str, progress: Callable[[int], None]) -> Iterator[bytes]:
    with ExitStack() as stack:
        (lent,) = tabling.lend(depot, [part.content], stack)
        source = {"name": part.name, **lent}
        request = {"do": "items", "source": source, "format": form, "most": tables.MOST_COLUMNS}
        with tabling.ask(depot, request, Effort.WORK) as frames:
            yield from tabling.data_of(frames, progress=progress)


def _text(source: _Watched, most: int = 8 << 20) -> Iterator[str]:
    """The lines of a text file in UTF-8, with their ends; a byte order mark is left out."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    rest, at = "", 0
    try:
        while at < source.size:
            block = source.read_at(at, min(_BLOCK, source.size - at))
            at += len(block)
            *lines, rest = (rest + decoder.decode(block, at == source.size)).split("\n")
            for line in lines:
                yield line + "\n"
            if len(rest) > most:
                raise Invalid(f"The table has a line of more than {most} characters near byte {at}.")
    except UnicodeDecodeError as error:
        raise Invalid(f"The table is not UTF-8 near byte {at}: {error.reason}. Save it as UTF-8.") from error
    if rest:
        yield rest


class _Watched:
    """A reader that tells how far it is; what is read twice is half the way each time."""

    def __init__(self, reader: ContentReader, progress: Callable[[int], None]) -> None:
        self._reader = reader
        self._progress = progress
        self.size = reader.size
        self._before = 0
        self._read = 0

    def again(self) -> None:
        """The next reading begins."""
        self._before, self._read = self.size, 0

    def read_at(self, offset: int, length: int) -> bytes:
        block = self._reader.read_at(offset, length)
        self._read += len(block)
        self._progress(min(self.size, (self._before + self._read) // 2))
        return block
