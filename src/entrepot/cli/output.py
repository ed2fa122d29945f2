"""What commands print: tables for people on a terminal, plain lines in a pipe, one JSON value with `--json`.

Standard output has the answer and nothing else. Everything said about the way there goes to standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from entrepot.model.digests import sha256_text

__all__ = ["ago", "details", "emit", "line", "lines", "note", "plain", "size", "table", "when"]

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def emit(value: Any) -> None:
    """One JSON value: messages of the wire as they look there, and what is made of them."""
    json.dump(plain(value), sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


def lines(values: Iterable[Any], as_json: bool, columns: Sequence[str], row: Any) -> None:
    """A list: a JSON array, or a table with the cells that `row(value)` gives."""
    if as_json:
        # Written as it comes: a list of a million files is never held as one text.
        sys.stdout.write("[")
        separator = "\n"
        for value in values:
            sys.stdout.write(separator + json.dumps(plain(value), ensure_ascii=False))
            separator = ",\n"
        sys.stdout.write("\n]\n" if separator != "\n" else "]\n")
        return
    table(columns, (row(value) for value in values))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """For people with a header; in a pipe one line a row, with tabs between the cells and no header."""
    if not sys.stdout.isatty():
        for cells in rows:
            sys.stdout.write("\t".join(_cell(cell) for cell in cells) + "\n")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        numeric = name.lower() in ("size", "files", "bytes", "revision", "version", "rows", "used")
        shown.add_column(name, justify="right" if numeric else "left", overflow="fold")
    empty = True
    for cells in rows:
        # Text, not markup: a file may be called [bold].
        shown.add_row(*(Text(_cell(cell)) for cell in cells))
        empty = False
    if empty:
        note("Nothing.")
        return
    Console(soft_wrap=False).print(shown)


def refused(report: Any, as_json: bool, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """What a check found bad: its sentence, and a row for each.

    Args:
        report: Has a `message`; as JSON it is shown whole.
    """
    if as_json:
        emit(report)
        return
    note(report.message)
    table(columns, rows)


def details(pairs: Iterable[tuple[str, Any]]) -> None:
    """Names and values of one thing; what has no value is left out."""
    given = [(name, _cell(value)) for name, value in pairs if value not in (None, "", [], {}, ())]
    width = max((len(name) for name, _ in given), default=0)
    for name, value in given:
        sys.stdout.write(f"{name:<{width}}  {value}\n")


def line(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def note(text: str) -> None:
    """Something about the way there, on standard error."""
    print(text, file=sys.stderr)


def size(count: int | None) -> str:
    """Bytes for people: `1.5 MB`, powers of a thousand."""
    if count is None:
        return ""
    value = float(count)
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("the last unit takes everything")


def when(moment: datetime | None) -> str:
    """A moment in the reader's own time zone, to the minute."""
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M")


def ago(seconds: float) -> str:
    """A length of time for people: `45 s`, `3 min`, `2 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def plain(value: Any) -> Any:
    """As JSON knows it."""
    from dataclasses import fields, is_dataclass
    from pathlib import Path

    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(member) for name, member in value.items()}
    if isinstance(value, bytes):
        return sha256_text(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str):
        return [plain(member) for member in value]
    return value


def _cell(value: Any) -> str:
    """One line, without what could steer a terminal."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return when(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return json.dumps(plain(value), ensure_ascii=False)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_cell(member) for member in value)
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
