"""Sheets of annotation: one row a sample, as CSV, TSV or a workbook. What is wrong with one, and empty ones to fill in.

Wrong is what leaves a row without a meaning; everything else that looks like a slip is a warning, which the client may
send the sheet again over.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from xml.sax.saxutils import escape

from entrepot.dialects.flow import vocabulary, workbook
from entrepot.dialects.flow.vocabulary import ATTRIBUTES, SampleType
from entrepot.model.errors import Invalid, NotFound

__all__ = ["MAX_SIZE", "Findings", "checked", "template"]

#: Of a sheet as it comes.
MAX_SIZE: Final = 16 << 20
#: Findings that one answer names.
_MAX_FINDINGS: Final = 500

_BASE: Final = ("name", "sample_type", "organism", "project", "reads1", "reads2", "barcode")
_ALIASES: Final = {"sample_name": "name", "sample": "name", "type": "sample_type", "barcode_1": "barcode"}
_ANNOTATED: Final = "__annotation"


@dataclass(slots=True)
class Findings:
    """What there is to say of a sheet; each with row, column and message."""

    validation: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    rows: int = 0

    def wrong(self, row: int | None, column: str | None, message: str) -> None:
        if len(self.validation) < _MAX_FINDINGS:
            self.validation.append({"row": row, "column": column, "message": message})

    def odd(self, row: int | None, column: str | None, message: str) -> None:
        if len(self.warnings) < _MAX_FINDINGS:
            self.warnings.append({"row": row, "column": column, "message": message})


def checked(filename: str, content: bytes) -> Findings:
    """Everything that is to be said of a sheet. Rows are counted as people see them: the header is row 1."""
    found = Findings()
    try:
        rows = _rows(filename, content)
        header = next(rows, None)
        if header is None:
            found.wrong(None, None, "The sheet is empty. Its first row names the columns.")
            return found
        columns = [_column(one) for one in header[: workbook.MAX_COLUMNS]]
        _check_header(found, columns)
        if not found.validation:
            _check_rows(found, columns, rows)
    except Invalid as unread:
        found.wrong(None, None, unread.message)
    return found


def _column(text: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", text.strip().lower().replace(_ANNOTATED, "\0")).strip("_")
    return _ALIASES.get(plain, plain) + (_ANNOTATED if _ANNOTATED in text else "")


def _check_header(found: Findings, columns: Sequence[str]) -> None:
    if "name" not in columns:
        found.wrong(1, "name", "There is no column `name`. Download a template, or name the column so.")
    known = {*_BASE, *(one.identifier for one in ATTRIBUTES)}
    for column, group in itertools.groupby(sorted(one for one in columns if one)):
        if len(list(group)) > 1:
            found.wrong(1, column, f"There are two columns {column!r}. Leave one out.")
        elif column.removesuffix(_ANNOTATED) not in known:
            found.odd(1, column, f"Nothing is known of a column {column!r}; its values are kept with the sheet only.")


def _check_rows(found: Findings, columns: Sequence[str], rows: Iterable[list[str]]) -> None:
    seen: dict[str, int] = {}
    for number, cells in enumerate(rows, 2):
        values = {name: cell.strip() for name, cell in zip(columns, cells, strict=False) if name and cell.strip()}
        if not values:
            continue
        found.rows += 1
        name = values.get("name")
        if name is None:
            found.wrong(number, "name", "The sample has no name.")
        elif name in seen:
            found.wrong(number, "name", f"{name[:100]!r} is the name of row {seen[name]} already.")
        else:
            seen[name] = number
            if " " in name:
                found.odd(number, "name", f"The name {name[:100]!r} has spaces.")
        kind = _type_of(found, number, values)
        for column, texts in vocabulary.checked(kind, values).items():
            found.wrong(number, column, " ".join(texts))
        organism = values.get("organism")
        if organism is not None and vocabulary.organism(organism) is None:
            found.odd(number, "organism", f"The organism {organism[:60]!r} is not one of the list.")
    if not found.rows and not found.validation:
        found.wrong(None, None, "The sheet has no samples: every row below the first is empty.")


def _type_of(found: Findings, number: int, values: dict[str, str]) -> SampleType:
    try:
        return vocabulary.find_type(values.get("sample_type", "generic"))
    except NotFound as unknown:
        found.wrong(number, "sample_type", unknown.message)
        return vocabulary.TYPES[0]


# Reading


def _rows(filename: str, content: bytes) -> Iterator[list[str]]:
    """
    Raises:
        Invalid: It is no sheet that can be read, or a larger one than is looked at.
    """
    lower = filename.lower()
    if lower.endswith(".xlsx"):
        found = workbook.rows(content)
    elif lower.endswith((".csv", ".tsv", ".txt")):
        found = _of_text(content, "," if lower.endswith(".csv") else "\t")
    else:
        raise Invalid(f"{filename[:100]!r} is no sheet that is read here. Send .xlsx, .csv or .tsv.")
    for number, row in enumerate(found):
        if number > workbook.MAX_ROWS:
            raise Invalid(f"The sheet has more than {workbook.MAX_ROWS} rows. Send it in parts.")
        yield row


def _of_text(content: bytes, delimiter: str) -> Iterator[list[str]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise Invalid(f"The sheet is not UTF-8: byte {wrong.start}. Save it as CSV in UTF-8.") from wrong
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except csv.Error as wrong:
        raise Invalid(f"The sheet cannot be read as text in columns: {wrong}.") from wrong


# Templates


def template(sample_type: SampleType) -> bytes:
    """An empty workbook with a column for everything that a sample of this type may have."""
    columns = [*_BASE]
    columns += [one.identifier for one in ATTRIBUTES if not one.types or sample_type.identifier in one.types]
    cells = "".join(
        f'<c r="{_letters(i)}1" t="inlineStr"><is><t>{escape(one)}</t></is></c>' for i, one in enumerate(columns)
    )
    parts = {
        "[Content_Types].xml": _types(),
        "_rels/.rels": _relations("officeDocument", "xl/workbook.xml"),
        "xl/workbook.xml": (
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}/relationships"><sheets>'
            f'<sheet name="Samples" sheetId="1" r:id="rId1"/></sheets></workbook>'
        ),
        "xl/_rels/workbook.xml.rels": _relations("worksheet", "worksheets/sheet1.xml"),
        "xl/worksheets/sheet1.xml": (
            f'<worksheet xmlns="{_MAIN}"><sheetData><row r="1">{cells}</row></sheetData></worksheet>'
        ),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in parts.items():
            # The time is that of nothing, so that equal templates are equal bytes.
            whole = f'<?xml version="1.0" encoding="UTF-8"?>{text}'
            packed.writestr(zipfile.ZipInfo(name), whole, zipfile.ZIP_DEFLATED)
    return out.getvalue()


_SCHEMAS: Final = "http://schemas.openxmlformats.org"
_MAIN: Final = f"{_SCHEMAS}/spreadsheetml/2006/main"
_OFFICE: Final = f"{_SCHEMAS}/officeDocument/2006"
_PACKAGE: Final = f"{_SCHEMAS}/package/2006"


def _types() -> str:
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    return (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>'
    )


def _relations(kind: str, target: str) -> str:
    return (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/relationships/{kind}" Target="{target}"/></Relationships>'
    )


def _letters(number: int) -> str:
    """The name of a column: A to Z, AA, AB, …"""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(65 + rest) + text
    return text
