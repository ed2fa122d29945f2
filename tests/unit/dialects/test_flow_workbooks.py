"""Workbooks of annotation: read as a library reads them, and bounded whatever they say."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from entrepot.dialects.flow import sheets, workbook
from entrepot.dialects.flow.vocabulary import TYPES
from entrepot.model.errors import Invalid
from tests.support.workbooks import workbook as made

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
SHEET, BOOK, RELATIONS = "xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/_rels/workbook.xml.rels"


def changed(parts: dict[str, str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A good workbook with some parts replaced or added."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(made([["name"]]))) as good, zipfile.ZipFile(out, "w", method) as packed:
        for name in dict.fromkeys([*good.namelist(), *parts]):
            packed.writestr(name, parts[name] if name in parts else good.read(name))
    return out.getvalue()


def sheet(inside: str) -> bytes:
    return changed({SHEET: f"<worksheet {MAIN}><sheetData>{inside}</sheetData></worksheet>"})


@contextmanager
def within(most: int) -> Iterator[None]:
    """No more memory than this, in bytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def test_rows_are_as_a_library_reads_them() -> None:
    import python_calamine

    content = made([["name", "é & <b>", 3], ["a", 1.5, 1e300], [None, "x"], ["last", -2]])
    read = python_calamine.load_workbook(io.BytesIO(content)).get_sheet_by_index(0).to_python(skip_empty_area=False)
    wanted = [
        [str(int(one)) if isinstance(one, float) and one.is_integer() else str(one) for one in row] for row in read
    ]
    found = list(workbook.rows(content))
    width = max(map(len, found))
    assert [row + [""] * (width - len(row)) for row in found] == wanted


def test_shared_texts_dates_truths_and_gaps() -> None:
    kinds = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    content = changed(
        {
            RELATIONS: f'<Relationships xmlns="{package}">'
            f'<Relationship Id="r1" Type="{kinds}/worksheet" Target="/{SHEET}"/>'
            f'<Relationship Id="r2" Type="{kinds}/sharedStrings" Target="sharedStrings.xml"/>'
            f'<Relationship Id="r3" Type="{kinds}/styles" Target="styles.xml"/></Relationships>',
            "xl/sharedStrings.xml": f"<sst {MAIN}><si><t>plain</t></si><si><r><t>in </t></r><r><t>runs</t></r>"
            "<rPh><t>spoken</t></rPh></si></sst>",
            "xl/styles.xml": f'<styleSheet {MAIN}><numFmts><numFmt numFmtId="164" formatCode="dd/mm/yyyy"/>'
            '<numFmt numFmtId="165" formatCode="0.0&quot; days&quot;"/></numFmts><cellStyleXfs><xf numFmtId="14"/>'
            '</cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="165"/><xf numFmtId="22"/>'
            "</cellXfs></styleSheet>",
            SHEET: f'<worksheet {MAIN}><sheetData><row r="2"><c t="s"><v>0</v></c><c t="s"><v>1</v></c>'
            '<c t="s"><v>9</v></c><c r="E2" t="b"><v>1</v></c></row><row r="4"><c s="1"><v>45413</v></c>'
            '<c s="2"><v>45413</v></c><c s="3"><v>45413.5</v></c><c s="0"><v>1</v></c></row></sheetData></worksheet>',
        }
    )
    assert list(workbook.rows(content)) == [
        [],
        ["plain", "in runs", "", "", "True"],
        [],
        ["2024-05-01", "45413", "2024-05-01 12:00:00", "1"],
    ]


def test_our_own_template_is_read() -> None:
    assert next(workbook.rows(sheets.template(TYPES[0])))[0] == "name"


def test_a_cell_far_away_costs_nothing() -> None:
    """The grid that it claims has seventeen thousand million cells."""
    content = sheet(
        '<row r="1"><c r="A1"><v>1</v></c><c r="XFD1"><v>2</v></c></row><row r="49999"><c><v>3</v></c></row>'
    )
    with within(8 << 20):
        found = list(workbook.rows(content))
    assert (found[0], found[-1], len(found)) == (["1"], ["3"], 49_999)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (sheet('<row r="50001"><c><v>1</v></c></row>'), "more than 50000 rows"),
        (sheet("<row/>" * 50_001), "more than 50000 rows"),
        (sheet(" " * (70 << 20)), "bytes unpacked"),
        (changed({"xl/sharedStrings.xml": "x", **{f"part{n}": "" for n in range(1_000)}}), "more than 1000 parts"),
        (changed({SHEET: '<!DOCTYPE a [<!ENTITY b "bb">]><worksheet/>'}), "document type"),
        (changed({BOOK: "<workbook/>"}), "damaged, or no .xlsx"),
        (changed({SHEET: "<worksheet><row>"}), "damaged, or no .xlsx"),
        (changed({}, zipfile.ZIP_LZMA), "packed in a way"),
        (made([["name"]])[:-40], "damaged, or no .xlsx"),
        (b"PK", "damaged, or no .xlsx"),
    ],
    ids=["row", "rows", "bomb", "parts", "doctype", "no sheet", "open", "packing", "cut", "none"],
)
def test_what_is_hostile_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        for _ in workbook.rows(content):
            pass


def test_a_bomb_costs_no_memory() -> None:
    content = sheet("<row><c><v>1</v></c></row>" * 20_000 + " " * (8 << 20))
    with within(2 << 20):
        assert sum(1 for _ in workbook.rows(content)) == 20_000


def test_a_member_that_is_larger_than_it_says_is_refused() -> None:
    content = sheet("<row><c><v>1</v></c></row>" * 1_000)
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        told = packed.getinfo(SHEET).file_size.to_bytes(4, "little")
    with pytest.raises(Invalid, match="damaged"):
        list(workbook.rows(content.replace(told, (40).to_bytes(4, "little"))))


def test_a_long_text_is_cut_where_cells_end() -> None:
    content = sheet(f'<row><c t="inlineStr"><is><t>{"x" * 200_000}</t></is></c></row>')
    assert len(next(workbook.rows(content))[0]) == 32_767


def test_no_cut_or_damage_of_a_workbook_makes_it_stumble() -> None:
    content = made([["name", 1.5], ["a", "b"]])
    for at in range(0, len(content), 11):
        wrong = bytearray(content)
        wrong[at] ^= 0x55
        for body in (content[:at], bytes(wrong)):
            found = sheets.checked("x.xlsx", body)
            assert found.rows <= 1
