"""Opening the files of a table: which format each is, what its columns are called, and its rows in batches."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from entrepot.model.columns import Column, TableRules
from entrepot.model.errors import Invalid
from entrepot.tabular.bytesin import NotUtf8, Source, as_utf8, unpacked
from entrepot.tabular.csvtext import BadRow, Rows, sniff
from entrepot.tabular.faults import excerpt
from entrepot.tabular.jsontext import JsonRows
from entrepot.tabular.typedfiles import open_arrow, open_parquet, open_workbook

__all__ = ["Batch", "Cells", "File", "checked_name", "open_source"]

_SAMPLE: Final = 1 << 20
_SEPARATOR: Final = re.compile(rb"sep=([ -~\t])\r?\n", re.IGNORECASE)

Cells = Any
"""A whole array of texts or typed values, or a list of raw JSON values."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of one file: by column name its cells, and the number of each row."""

    cells: dict[str, Cells]
    rows: np.ndarray
    bad: Sequence[BadRow]
    read: int


@dataclass(frozen=True, slots=True)
class File:
    """One file, opened: what its columns are called, and its rows.

    Args:
        names: None where only the rows tell (NDJSON).
        typed: Types that the file itself says.
    """

    format: str
    names: list[str] | None
    batches: Iterator[Batch]
    typed: dict[str, Column] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def open_source(source: Source, rules: TableRules, encodings: dict[str, str]) -> File:
    if not source.size:
        raise Invalid(f"{source.name} is an empty file: it has no bytes.")
    head = next(iter(source.blocks()), b"")[:8]
    if head.startswith(b"PAR1"):
        return _typed("parquet", open_parquet(source.name, source.open()), source, rules)
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return _typed("arrow", open_arrow(source.name, source.open()), source, rules)
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return _typed(
            "xlsx", open_workbook(source.name, source.open(), rules.sheet, header=rules.header), source, rules
        )
    return _text(source, rules, encodings)


def _typed(format: str, found: Any, source: Source, rules: TableRules) -> File:
    names, notes = _titles([str(one.name) for one in found.columns])
    names = _present(names, rules)
    notes += [f"Column {name!r}: {note}." for name, note in found.notes.items()]
    typed = {name: replace(column, name=name) for name, column in zip(names, found.columns, strict=True)}

    def batches() -> Iterator[Batch]:
        at = 0
        for arrays in found.batches():
            count = len(arrays[0]) if arrays else 0
            numbers = np.arange(at + 1, at + 1 + count, dtype=np.int64)
            at += count
            yield Batch(dict(zip(names, arrays, strict=True)), numbers, (), source.size)

    if not names:
        raise Invalid(f"{source.name} has no columns.")
    return File(format, names, batches(), typed, notes)


def _text(source: Source, rules: TableRules, encodings: dict[str, str]) -> File:
    encoding = rules.encoding or encodings.get(source.name)
    notes = []
    if rules.encoding is None and encoding is not None:
        notes.append(f"{source.name} is not UTF-8 and was read as {encoding}. Name its encoding if letters look wrong.")
    text = _named(source.name, as_utf8(source.name, unpacked(source.name, source.blocks()), encoding))
    sample = b""
    first: list[bytes] = []
    for block in text:
        first.append(block)
        sample += block
        if len(sample) >= _SAMPLE:
            break
    if not sample.strip():
        raise Invalid(f"{source.name} is empty: it has no rows, not even one of column names.")

    def blocks() -> Iterator[bytes]:
        yield from first
        yield from text

    if _is_ndjson(source.name, sample):
        return File("ndjson", None, _json_batches(JsonRows(blocks()), rules), notes=notes)
    delimiter = rules.delimiter
    said = _SEPARATOR.match(sample)
    if said is not None and delimiter in (None, said[1].decode()):
        # What Excel writes and reads: it says of the file how it is to be read, and is no row of it.
        delimiter = said[1].decode()
        notes.append(f"The first line of {source.name} says that fields are separated by {delimiter!r}; it is no row.")
        sample = sample[said.end() :]
        first[:] = [b"".join(first)[said.end() :]]
    dialect = sniff(sample[:_SAMPLE], name=source.name, delimiter=delimiter, quote=rules.quote)
    if dialect.rivals:
        others = " and ".join(map(repr, dialect.rivals))
        notes.append(
            f"Fields of {source.name} are separated by {dialect.delimiter!r}; its rows are as regular by {others}. "
            "Name the delimiter if columns look wrong."
        )
    rows = Rows(blocks(), dialect, header=rules.header, null_values=rules.null_values)
    titles = rows.names
    if not rules.header:
        declared = rules.columns or ()
        named = [str(one.name) for one in declared if one.name is not None]
        titles = named if len(named) == rows.width else [f"column_{i + 1}" for i in range(rows.width)]
    elif titles and all(title.strip().replace(".", "", 1).isdigit() for title in titles):
        notes.append(f"All names in the first row of {source.name} are numbers. If it is no header, say header: false.")
    names, more = _titles(titles)
    names = _present(names, rules)
    return File("csv", names, _csv_batches(rows, names), notes=notes + more)


def _named(name: str, blocks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from blocks
    except NotUtf8 as found:
        # Which of the files it was; whoever begins anew has to know.
        found.args = (found.encoding, name)
        raise


def _is_ndjson(name: str, sample: bytes) -> bool:
    stem = name.lower().removesuffix(".gz").removesuffix(".zst")
    if stem.endswith((".ndjson", ".jsonl", ".json")):
        return True
    return not stem.endswith((".csv", ".tsv", ".txt", ".tab")) and sample.lstrip()[:2] in (b'{"', b"{}")


def _csv_batches(rows: Rows, names: list[str]) -> Iterator[Batch]:
    read = 0
    for batch in rows.batches():
        read += batch.read
        cells = dict(zip(names, batch.columns, strict=True)) if batch.columns else {}
        yield Batch(cells, batch.rows if batch.columns else np.array([], np.int64), batch.bad, read)


def _present(names: list[str], rules: TableRules) -> list[str]:
    """Names of columns as they are now, in a file from before they were renamed."""
    taken = set(names)
    return [new if (new := rules.aliases.get(name, name)) == name or new not in taken else name for name in names]


def _json_batches(rows: JsonRows, rules: TableRules) -> Iterator[Batch]:
    read = 0
    for batch in rows.batches():
        read += batch.read
        names = _present(list(batch.columns), rules)
        yield Batch(dict(zip(names, batch.columns.values(), strict=True)), batch.rows, batch.bad, read)


def _titles(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of columns, each of its own; what had to be changed is told."""
    found: list[str] = []
    notes: list[str] = []
    taken = set(names)
    seen: set[str] = set()
    for i, name in enumerate(names):
        new = name
        if not name:
            new = _free(f"column_{i + 1}", taken)
            notes.append(f"Column {i + 1} has no name and is called {new!r}.")
        elif name in seen:
            new = _free(f"{name}_2", taken, name)
            notes.append(f"Column {i + 1} is called {name!r} like one before it; it is {new!r} now.")
        taken.add(checked_name(new))
        seen.add(new)
        found.append(new)
    return found, notes


def checked_name(name: str) -> str:
    """The name of a column, if it can be one.

    Raises:
        Invalid: It is empty, too long, has a zero character, or is what row numbers are called.
    """
    if not name:
        raise Invalid("A column has an empty name. Give it one.")
    if len(name) > 1000:
        raise Invalid(f"The name of column {excerpt(name)!r} has {len(name)} characters; at most 1,000 are taken.")
    if "\0" in name or name == "__entrepot_row":
        raise Invalid(f"No column can be called {excerpt(name)!r}.")
    return name


def _free(wanted: str, taken: set[str], stem: str | None = None) -> str:
    n, name = 2, wanted
    while name in taken:
        n += 1
        name = f"{stem or wanted}_{n}"
    return name
