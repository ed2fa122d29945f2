"""The first sheet of a workbook (.xlsx), row by row, in bounded memory whatever the file says about itself.

After ECMA-376, parts 1 and 2: a zip archive of XML parts that name each other. Only what a table needs is read: texts,
numbers, truth values and dates. Cells are never laid out as the grid that their places claim, so a cell in the last
column of the last row costs no more than one in the first. Bytes are counted as they come out of the archive, and a
document type, by which XML grows without bounds, is refused.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final
from xml.parsers import expat

from entrepot.model.errors import Invalid

__all__ = ["MAX_COLUMNS", "MAX_ROWS", "rows"]

MAX_ROWS: Final = 50_000
MAX_COLUMNS: Final = 500

#: Bytes that are unpacked, of all parts together; parts of the archive; characters of one cell, as its makers have it.
_MAX_UNPACKED: Final = 64 << 20
_MAX_PARTS: Final = 1000
_MAX_CELL: Final = 32_767
_BLOCK: Final = 64 << 10

_PLACE: Final = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
#: Numbers of formats that everybody knows and that show a date or a time.
_DATES: Final = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
#: Of a format: texts in it, colours, and what is escaped, none of which show a value.
_SHOWN_AS_IS: Final = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.')

Attributes = Mapping[str, str]
Open = Callable[[str, Attributes], None]
Close = Callable[[str, str], None]


def rows(content: bytes) -> Iterator[list[str]]:
    """The rows of the first sheet from the first on, without the empty cells at their ends.

    Raises:
        Invalid: It is no workbook, is damaged, or larger than is looked at.
    """
    try:
        # Each entry of the directory has this mark, so there are no more entries than marks.
        if content.count(b"PK\x01\x02") > _MAX_PARTS:
            raise Invalid(f"The workbook has more than {_MAX_PARTS} parts. Save its first sheet alone.")
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            yield from _Workbook(packed).rows()
    except (zipfile.BadZipFile, zlib.error, expat.ExpatError, EOFError, OSError, KeyError, ValueError) as wrong:
        raise Invalid("The workbook cannot be read: it is damaged, or no .xlsx file.") from wrong
    except RuntimeError as wrong:
        # Also what zipfile raises for a compression that it does not know: its error is one of these.
        raise Invalid("The workbook is encrypted, or packed in a way that is not read here. Save it anew.") from wrong


class _Workbook:
    def __init__(self, packed: zipfile.ZipFile) -> None:
        self._packed = packed
        self._names = {one.filename.lower(): one for one in packed.infolist()}
        self._left = _MAX_UNPACKED
        self._texts: list[str] = []
        #: By the number of a style: whether it shows a number as a date.
        self._dated: list[bool] = []
        self._first_day = datetime(1899, 12, 30)  # noqa: DTZ001 - the times of a sheet have no zone

    def rows(self) -> Iterator[list[str]]:
        main = next((target for kind, target in self._related("").values() if kind == "officeDocument"), None)
        if main is None:
            raise KeyError("officeDocument")
        related = self._related(main)
        first = self._first_sheet(main)
        for kind, target in related.values():
            if kind == "sharedStrings":
                self._read_texts(target)
            elif kind == "styles":
                self._read_styles(target)
        yield from self._sheet(related[first][1])

    # Parts

    def _blocks(self, part: str) -> Iterator[bytes]:
        found = self._names[part.lower()]
        if found.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise RuntimeError("packed in a way that is not read here")
        with self._packed.open(found) as stream:
            while block := stream.read(_BLOCK):
                self._left -= len(block)
                if self._left < 0:
                    raise Invalid(f"The workbook has more than {_MAX_UNPACKED} bytes unpacked. Send it in parts.")
                yield block

    def _parsed(self, part: str, opened: Open, closed: Close) -> Iterator[None]:
        """Walk through a part; stops after each block, so that what came out of it can be handed on.

        Args:
            opened: Gets the name of an element and its attributes, both without their namespaces.
            closed: Gets the name and the text directly before the end of the element, which is cut.
        """
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        text: list[str] = []
        length = 0

        def start(name: str, attributes: dict[str, str]) -> None:
            nonlocal length
            text.clear()
            length = 0
            opened(_local(name), {_local(key): value for key, value in attributes.items()})

        def end(name: str) -> None:
            nonlocal length
            closed(_local(name), "".join(text)[:_MAX_CELL])
            text.clear()
            length = 0

        def more(data: str) -> None:
            nonlocal length
            if length < _MAX_CELL:
                text.append(data)
                length += len(data)

        def refuse(*_: object) -> None:
            raise Invalid("The workbook has a document type in it, which none needs. Save it anew.")

        parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = more, refuse
        for block in self._blocks(part):
            parser.Parse(block, False)
            yield
        parser.Parse(b"", True)
        yield

    def _walk(self, part: str, opened: Open, closed: Close = lambda _name, _text: None) -> None:
        for _ in self._parsed(part, opened, closed):
            pass

    def _related(self, part: str) -> dict[str, tuple[str, str]]:
        """(kind, part) by the id under which a part names others."""
        folder, name = posixpath.split(part)
        found: dict[str, tuple[str, str]] = {}

        def opened(element: str, attributes: Attributes) -> None:
            if element == "Relationship" and attributes.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", ""))).lstrip("/")
                found[attributes.get("Id", "")] = attributes.get("Type", "").rpartition("/")[2], target

        self._walk(posixpath.join(folder, "_rels", f"{name}.rels"), opened)
        return found

    def _first_sheet(self, part: str) -> str:
        sheets: list[str] = []

        def opened(element: str, attributes: Attributes) -> None:
            if element == "sheet" and not sheets:
                sheets.append(attributes["id"])
            elif element == "workbookPr" and attributes.get("date1904") in ("1", "true"):
                self._first_day = datetime(1904, 1, 1)  # noqa: DTZ001 - as above

        self._walk(part, opened)
        return sheets[0] if sheets else ""

    def _read_texts(self, part: str) -> None:
        pieces: list[str] = []
        aside = 0

        def opened(element: str, _: Attributes) -> None:
            nonlocal aside
            aside += element == "rPh"
            if element == "si":
                pieces.clear()

        def closed(element: str, text: str) -> None:
            nonlocal aside
            aside -= element == "rPh"
            if element == "t" and not aside and len(pieces) < _MAX_CELL:
                pieces.append(text)
            elif element == "si":
                self._texts.append("".join(pieces)[:_MAX_CELL])

        self._walk(part, opened, closed)

    def _read_styles(self, part: str) -> None:
        own: dict[str, bool] = {}
        inside = ""

        def opened(element: str, attributes: Attributes) -> None:
            nonlocal inside
            if element in ("cellXfs", "cellStyleXfs"):
                inside = element
            elif element == "numFmt":
                shown = _SHOWN_AS_IS.sub("", attributes.get("formatCode", "")[:255].lower())
                own[attributes.get("numFmtId", "")] = any(one in shown for one in "ymdhs")
            elif element == "xf" and inside == "cellXfs":
                number = attributes.get("numFmtId", "0")
                self._dated.append(own.get(number, number.isdecimal() and int(number[:9]) in _DATES))

        self._walk(part, opened)

    # Cells

    def _sheet(self, part: str) -> Iterator[list[str]]:
        ready: list[list[str]] = []
        cells: dict[int, str] = {}
        row = column = 0
        kind = style = value = ""

        def opened(element: str, attributes: Attributes) -> None:
            nonlocal row, column, kind, style, value
            if element == "row":
                told = attributes.get("r", "")
                at = int(told) if told.isdecimal() and len(told) < 10 else row + 1
                if at > MAX_ROWS:
                    raise Invalid(f"The sheet has more than {MAX_ROWS} rows. Send it in parts.")
                ready.extend([] for _ in range(at - row - 1))
                row, column = max(at, row), -1
                cells.clear()
            elif element == "c":
                place = _PLACE.fullmatch(attributes.get("r", ""))
                column = column + 1 if place is None else _column(place[1])
                kind, style, value = attributes.get("t", "n"), attributes.get("s", "0"), ""

        def closed(element: str, text: str) -> None:
            nonlocal value
            if element in ("v", "t"):
                value = (value + text)[:_MAX_CELL]
            elif element == "c" and value and 0 <= column < MAX_COLUMNS:
                cells[column] = self._shown(kind, style, value)
            elif element == "row":
                ready.append([cells.get(at, "") for at in range(max(cells, default=-1) + 1)])

        for _ in self._parsed(part, opened, closed):
            yield from ready
            ready.clear()

    def _shown(self, kind: str, style: str, value: str) -> str:
        if kind == "s":
            number = int(value) if value.isdecimal() and len(value) < 10 else -1
            return self._texts[number] if 0 <= number < len(self._texts) else ""
        if kind == "b":
            return str(value == "1")
        if kind != "n":
            return value
        try:
            found = float(value)
            number = int(style) if style.isdecimal() and len(style) < 10 else -1
            if 0 <= number < len(self._dated) and self._dated[number]:
                moment = self._first_day + timedelta(seconds=round(found * 86_400))
                return str(moment if found % 1 else moment.date())
        except (ValueError, OverflowError):
            return value
        return str(int(found)) if found.is_integer() else str(found)


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1
