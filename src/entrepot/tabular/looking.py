"""What a file would be as a table, by its beginning: columns, types, the first rows, and what would be refused.

Nothing is kept. The same reader that checks whole files looks at the piece, so what it says of the piece is what the
check says, as long as the rest is like it.
"""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any, BinaryIO, Final

import msgspec
import pyarrow.parquet as pq

from entrepot.model.columns import TableRules
from entrepot.tabular.bytesin import Source
from entrepot.tabular.convert import convert
from entrepot.tabular.reading import plain

__all__ = ["look"]

#: Faults that are told.
_FAULTS: Final = 20


class _Memory:
    """Holds the canonical form of the piece; `Output` of a conversion."""

    def __init__(self) -> None:
        self.body = io.BytesIO()

    def begin(self, part: int) -> BinaryIO:  # noqa: ARG002
        self.body = _Open()
        return self.body

    def end(self, part: int, rows: int) -> None:  # noqa: ARG002
        return None

    def again(self) -> None:
        self.body = io.BytesIO()

    def progress(self, done: int) -> None:  # noqa: ARG002
        return None


class _Open(io.BytesIO):
    """Whoever writes to it closes it; it is read after that."""

    def close(self) -> None:
        return None


def look(source: Source, rules: TableRules, rows: int) -> dict[str, Any]:
    """Columns, up to so many of the first good rows, and the first faults of one file, or of its beginning.

    Raises:
        Invalid: It cannot be read as a table at all.
    """
    kept = _Memory()
    # With bad rows put aside the good ones are there to be shown.
    done = convert([source], replace(rules, quarantine=True), kept)
    told: list[Any] = []
    if done.good and any(done.rows):
        file = pq.ParquetFile(io.BytesIO(kept.body.getvalue()))
        first = file.read_row_group(0).slice(0, rows)
        cells = [plain(first[str(one.name)], one) for one in done.columns]
        told = [list(row) for row in zip(*cells, strict=True)]
    found = done.rejects.as_json(_FAULTS)
    said = {
        "columns": [one.as_json() for one in done.columns],
        "rows": told,
        "good": sum(done.rows),
        "bad": found["rejected_rows"],
        "errors": found["errors"],
        "notes": done.notes[:_FAULTS],
        "format": done.formats[0] if done.formats else "",
    }
    # Raw JSON among the values is written as it stands, and read back as what it is.
    plainly: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(said))
    return plainly
