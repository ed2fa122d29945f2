"""No value changes on its way into a table: a corpus of columns that others damage, and the ways in and out."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from crc32c import crc32c

from entrepot.model.columns import Column, ColumnType, rules_of, to_frictionless
from entrepot.model.errors import Invalid
from entrepot.tabular.bytesin import Source, Span
from entrepot.tabular.convert import Converted, convert
from tests.support.nasty_columns import columns

COLUMNS = columns()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


class Written:
    """Keeps canonical forms in memory."""

    def __init__(self) -> None:
        self.files: dict[int, Any] = {}
        self.passes = 1

    def begin(self, part: int) -> Any:
        class Kept(io.BytesIO):
            def close(self) -> None:
                return None

        self.files[part] = Kept()
        return self.files[part]

    def end(self, part: int, rows: int) -> None: ...

    def again(self) -> None:
        self.passes += 1

    def progress(self, done: int) -> None: ...

    def table(self) -> pa.Table:
        return pa.concat_tables([pq.read_table(io.BytesIO(one.getvalue())) for one in self.files.values()])


Read = Callable[..., tuple[Converted, Written]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def work(*files: bytes, name: str = "a.csv", **declared: Any) -> tuple[Converted, Written]:
        sources = []
        for i, data in enumerate(files):
            path = tmp_path / str(i)
            path.write_bytes(data)
            sources.append(Source(name, len(data), (Span(str(path), 0, len(data)),), crc32c(data)))
        out = Written()
        return convert(sources, rules_of(declared or None), out), out

    return work


def text_of(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if hasattr(value, "isoformat") else repr(value)


def same(text: str | None, value: Any) -> bool:
    """Whether a value is what stood in the file: digit by digit, but for how numbers and times may be written."""
    if isinstance(value, float):
        return text is not None and Decimal(text) == Decimal(repr(value))
    if isinstance(value, datetime):
        return text is not None and datetime.fromisoformat(text).astimezone(UTC) == value
    return text_of(value) == text


def written(cells: list[str | None]) -> bytes:
    """A column as CSV, beside one that makes every row a row."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["key", "value"])
    for i, cell in enumerate(cells):
        if cell is None:
            out.write(f"k{i},\n")
        else:
            writer.writerow([f"k{i}", cell])
    return out.getvalue().encode()


@pytest.mark.parametrize(("kind", "cells"), COLUMNS, ids=[str(i) for i in range(len(COLUMNS))])
def test_a_nasty_column_keeps_every_value(read: Read, kind: str, cells: list[str | None]) -> None:
    done, out = read(written(cells), delimiter=",")
    column = done.columns[1]
    assert (column.type.value, column.nullable) == (kind, None in cells)
    values = out.table()["value"].to_pylist()
    assert len(values) == len(cells)
    for text, value in zip(cells, values, strict=True):
        assert same(text, value), (text, value)


def test_the_corpus_is_large() -> None:
    assert len({(kind, tuple(cells)) for kind, cells in COLUMNS}) >= 200


def test_all_nasty_columns_together_in_one_wide_table(read: Read) -> None:
    """Columns of a block are judged side by side; and every column is repeated over many rows."""
    named = [(f"c{i}", cells) for i, (_, cells) in enumerate(COLUMNS)]
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_NOTNULL if hasattr(csv, "QUOTE_NOTNULL") else csv.QUOTE_MINIMAL)
    writer.writerow(name for name, _ in named)
    for row in range(40):
        writer.writerow(cells[row % len(cells)] for _, cells in named)
    done, made = read(out.getvalue().encode(), delimiter=",")
    assert done.rows == [40]
    table = made.table()
    for (name, cells), column, (kind, _) in zip(named, done.columns, COLUMNS, strict=True):
        assert column.type.value == kind, (name, cells)
        for row, value in enumerate(table[name].to_pylist()):
            assert same(cells[row % len(cells)], value), (name, cells, value)


def test_a_type_that_shows_late_is_found_by_a_second_look(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrepot.tabular.bytesin.BLOCK", 1 << 14)
    monkeypatch.setattr("entrepot.tabular.csvtext._WHOLE", 1 << 14)
    head = b"n,f,s\n" + b"1,1,1\n" * 200_000
    done, out = read(head + b"2,2.5,x\n")
    assert out.passes == 2
    assert [one.type.value for one in done.columns] == ["Int", "Float", "String"]
    assert out.table().slice(200_000).to_pylist() == [{"n": 2, "f": 2.5, "s": "x"}]


@pytest.mark.parametrize(
    ("data", "rows", "bad"),
    [
        (b"a,b\n1,2\n3\n4,5,6\n", 1, [(2, "fields"), (3, "fields")]),
        (b"a,b\n1,2\n\n3,4\n\n\n", 2, [(2, "blank")]),
        (b'a,b\n"open,1\n2,3\n', 1, [(1, "quotes")]),
        (b'a,b\n"open,1\n"x",3\n', 1, [(1, "quotes")]),
        (b'a,b\n1,"x"y\n2,3\n', 1, [(1, "quotes")]),
        (b'a,b\n1,2\n3,"never closed\n', 1, [(2, "quotes")]),
        (b'a,b\n1,"two\nlines"\n2\n', 1, [(2, "fields")]),
        (b"a\tb\n1\t2\n3\n", 1, [(2, "fields")]),
    ],
)
def test_every_bad_row_is_numbered_and_the_good_ones_can_be_kept(
    read: Read, data: bytes, rows: int, bad: list[tuple[int, str]]
) -> None:
    done, _ = read(data)
    assert not done.good
    assert [(one.row, one.rule) for one in done.rejects.told] == bad
    kept, out = read(data, quarantine=True)
    assert (kept.good, kept.rows, out.table().num_rows, kept.rejects.rows) == (True, [rows], rows, len(bad))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("ä,b\nü,1\n".encode(), [{"ä": "ü", "b": 1}]),
        ("\ufeffä,b\nü,1\n".encode(), [{"ä": "ü", "b": 1}]),
        ("ä,b\nü,1\n".encode("latin-1"), [{"ä": "ü", "b": 1}]),
        ("ä,b\n€,1\n".encode("cp1252"), [{"ä": "€", "b": 1}]),
        ("ä,b\nü,1\n".encode("utf-16"), [{"ä": "ü", "b": 1}]),
        ("name,b\nü,1\n".encode("utf-16-le"), [{"name": "ü", "b": 1}]),
        (b"a;b\n1,5;2\n", [{"a": "1,5", "b": 2}]),
        (b"a|b\n1|2\n", [{"a": 1, "b": 2}]),
        (b"a,b\r\n1,2\r\n", [{"a": 1, "b": 2}]),
        (b"a,b\r1,2\r", [{"a": 1, "b": 2}]),
        (b"a,b\n1,2", [{"a": 1, "b": 2}]),
        (b"a\n1\n", [{"a": 1}]),
        (b'a;b\r1;"x\ry"\r', [{"a": 1, "b": "x\ry"}]),
        (b"sep=|\r\na|b;c\r\n1|2;3\r\n", [{"a": 1, "b;c": "2;3"}]),
        (b"\xef\xbb\xbfa,b\n\xef\xbb\xbfx,1\n", [{"a": "\ufeffx", "b": 1}]),
        (b'a,b\n5" pipe,1\n', [{"a": '5" pipe', "b": 1}]),
        (b"a,b\nx\ry,1\n", [{"a": "x\ry", "b": 1}]),
        (b",a,a\n1,2,3\n", [{"column_1": 1, "a": 2, "a_2": 3}]),
    ],
)
def test_dialects_and_encodings_are_found(read: Read, data: bytes, expected: list[dict[str, Any]]) -> None:
    assert read(data)[1].table().to_pylist() == expected


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("k,v\n1,ü\n2,ö\n".encode() + b"3,\xff\n", "UTF-8, but not everywhere"),
        ("k,v\n1,ü\n2,ö\n3,é".encode()[:-1], "middle of a character"),
        ("k,v\n1,日\n".encode() + b"2,\xe9\n", "UTF-8, but not everywhere"),
        (b"k,v\n1,\x81\n", "no text in UTF-8 or a Western encoding"),
        (b"k,v\n1,\0\n", "zero bytes"),
        (zstd(b"k,v\n" + b"1,2\n" * 9000)[:-9], "Zstandard"),
        (gzip.compress(b"k,v\n1,2\n")[:-9], "gzip"),
        (b"k,v\n1,2\n".decode().encode("utf-16")[:-1], "utf-16"),
    ],
)
def test_a_file_that_is_damaged_is_refused_and_not_read_in_another_way(read: Read, data: bytes, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        read(data)


def test_letters_beyond_ascii_may_be_cut_by_blocks(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (1, 2, 3, 5):
        monkeypatch.setattr("entrepot.tabular.bytesin.BLOCK", size)
        assert read("k,v\n1,日😀é\n".encode())[1].table().to_pylist() == [{"k": 1, "v": "日😀é"}]
        assert read("k,v\n1,né\n".encode("latin-1"))[1].table().to_pylist() == [{"k": 1, "v": "né"}]
        with pytest.raises(Invalid):
            read("k,v\n1,日😀é\n".encode().replace(b"\x98", b"\x28"))


def test_compressed_files_may_be_of_several_pieces(read: Read) -> None:
    first, second = b"k,v\n1,", b"2\n3,4\n"
    for data in (zstd(first) + zstd(second), gzip.compress(first) + gzip.compress(second) + bytes(512)):
        assert read(data)[1].table().to_pylist() == [{"k": 1, "v": 2}, {"k": 3, "v": 4}]


@pytest.mark.parametrize("encoding", ["rot13", "base64", "zlib", "nonsense", "undefined"])
def test_what_is_no_encoding_of_text_is_refused(read: Read, encoding: str) -> None:
    with pytest.raises(Invalid, match="no encoding"):
        read(b"k\n1\n", encoding=encoding)


def test_another_quote_may_stand_in_quotes(read: Read) -> None:
    data = b"k,v\n1,'it''s'\n2,'a,b'\n3,x'y\n"
    assert [row["v"] for row in read(data, quote="'")[1].table().to_pylist()] == ["it's", "a,b", "x'y"]


def test_a_quote_that_is_never_closed_is_found_in_time(read: Read) -> None:
    done, _ = read(b'a,b\n1,"' + b"x" * 4000 + b"\n" + b"2,3\n" * 5, quarantine=True)
    assert (done.rejects.rows, done.rows) == (1, [5])


def test_a_delimiter_that_fits_as_well_is_told(read: Read) -> None:
    done, _ = read(b"a;b,c\n1;2,3\n4;5,6\n")
    assert any("as regular by ';'" in note for note in done.notes)


@pytest.mark.parametrize("line", [b'{"":1}', b'{"a\\u0000":1}', b'{"__entrepot_row":1}', b'{"%b":1}' % (b"x" * 1001)])
def test_a_key_that_no_column_can_have_is_refused(read: Read, line: bytes) -> None:
    with pytest.raises(Invalid, match=r"column|empty name"):
        read(line + b"\n", name="a.ndjson")


def test_numbers_of_ndjson_that_a_float_cannot_tell_apart_keep_their_text(read: Read) -> None:
    for number in (b"100000000000000000000", b"9007199254740993", b"0.1000000000000000055511151231257827"):
        done, out = read(b'{"n":%b}\n{"n":0.5}\n' % number, name="a.ndjson")
        assert (done.columns[0].type.value, out.table()["n"].to_pylist()[0]) == ("JSON", number.decode())


def test_values_of_typed_files_are_those_that_were_sent(read: Read) -> None:
    def parquet(values: Any, kind: pa.DataType | None = None) -> bytes:
        out = io.BytesIO()
        pq.write_table(pa.table({"v": pa.array(values, kind)}), out)
        return out.getvalue()

    def values(*given: Any) -> list[Any]:
        found: list[Any] = read(parquet(*given))[1].table()["v"].to_pylist()
        return found

    assert values([{"a": float("nan"), "b": [1]}]) == ['{"a": "NaN", "b": [1]}']
    assert values([Decimal("1.10")]) == ["1.10"]
    assert values([2**64 - 1], pa.uint64()) == ["18446744073709551615"]
    assert values([[1, 2], []]) == [[1, 2], []]
    for bad in ([b"x"], [{"a": b"x"}]):
        with pytest.raises(Invalid, match="bytes"):
            values(bad)
    for late in (pa.array([3_000_000], pa.date32()), pa.array([2**60], pa.timestamp("us", "UTC"))):
        with pytest.raises(Invalid, match="outside of the years"):
            values(late)


def test_blocks_may_end_anywhere(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    data = 'k,v\r\n1,"a ""b""\r\nü"\r\n2,\r\n3,"x"\r\n'.encode() * 1
    whole = read(data)[1].table().to_pylist()
    for size in (1, 2, 3, 5, 7, 11):
        monkeypatch.setattr("entrepot.tabular.bytesin.BLOCK", size)
        monkeypatch.setattr("entrepot.tabular.csvtext._WHOLE", size)
        assert read(data)[1].table().to_pylist() == whole


def test_values_of_ndjson_keep_their_kind(read: Read) -> None:
    lines = (
        b'{"s":"007","n":1,"f":1.10,"b":true,"d":"2024-01-05","j":{"a":1e5},"m":1,"big":12345678901234567890}\n'
        b'{"s":"1","n":null,"f":2,"b":false,"d":"2024-01-06","j":[1.0],"m":"x","big":1,"late":"y"}\n'
    )
    done, out = read(lines, name="a.ndjson")
    assert {one.name: one.type.value for one in done.columns} == {
        "s": "String",
        "n": "Int",
        "f": "Float",
        "b": "Boolean",
        "d": "Date",
        "j": "JSON",
        "m": "JSON",
        "big": "JSON",
        "late": "String",
    }
    first, second = out.table().to_pylist()
    assert (first["j"], second["j"], first["m"], second["m"]) == ('{"a":1e5}', "[1.0]", "1", '"x"')
    assert (first["late"], second["late"], first["big"]) == (None, "y", "12345678901234567890")
    bad, _ = read(b'{"a":1}\n{"a":1,"a":2}\n[1]\n{"a":\n', name="a.ndjson")
    assert [one.row for one in bad.rejects.told] == [2, 3, 4]


def test_declared_lists_links_and_nulls_are_enforced(read: Read) -> None:
    declared = [
        {"name": "l", "type": "Int", "list": True, "nullable": False},
        {"name": "o", "type": "ObjectLink"},
        {"name": "f", "type": "Float"},
    ]
    data = b'l,o,f\n"[1,2]",x_1,NaN\n[],,1e5\n"[1,null]",y,0.1\n5,z,\n,w,\n'
    done, _ = read(data, columns=declared)
    assert [(one.row, one.column, one.rule) for one in done.rejects.told] == [
        (3, "l", "list"),
        (4, "l", "list"),
        (5, "l", "null"),
    ]
    _, out = read(data[: data.index(b'"[1,null')], columns=declared)
    assert out.table()["l"].to_pylist() == [[1, 2], []]


@pytest.mark.parametrize(("text", "rule"), [("1e400", "range"), ("1e-400", "range"), ("0e-400", None), ("1,5", "type")])
def test_a_declared_number_that_would_be_another_is_refused(read: Read, text: str, rule: str | None) -> None:
    done, _ = read(b"a\n%b\n" % text.encode(), columns=[{"name": "a", "type": "Float"}], delimiter=";")
    assert [one.rule for one in done.rejects.told] == ([] if rule is None else [rule])


def test_a_table_schema_says_what_columns_are_and_is_said_of_them() -> None:
    every = [Column(f"{kind} {many}", kind, nullable=many, list=many) for kind in ColumnType for many in (True, False)]
    assert list(rules_of(to_frictionless(every)).columns or ()) == every
    said = {"fields": [{"name": "a", "type": "year", "constraints": {"required": True}}], "missingValues": ["", "-"]}
    found = rules_of(said)
    assert (found.columns, found.null_values) == ((Column("a", ColumnType.INT, nullable=False),), ("-",))
    with pytest.raises(Invalid, match="unknown type"):
        rules_of({"fields": [{"name": "a", "type": "blob"}]})


def test_a_workbook_keeps_numbers_texts_and_days(read: Read, tmp_path: Path) -> None:
    from tests.support.workbooks import workbook

    done, out = read(workbook([["id", "n", "x"], ["007", 1, 0.5], ["1e5", 2, None]]), name="a.xlsx")
    assert [one.type.value for one in done.columns] == ["String", "Int", "Float"]
    assert out.table().to_pylist() == [{"id": "007", "n": 1, "x": 0.5}, {"id": "1e5", "n": 2, "x": None}]
