"""The canonical form of a table: Parquet whose pages are cut where the content says: a changed row changes little.

One file for each file of the table. Its row groups have `GROUP` rows, or fewer where rows are large, so a page of rows
is one read of one group, and neither who writes a group nor who reads one holds much more than `GROUP_BYTES` of values.
The file's own metadata says what its columns are, in the key `entrepot`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from entrepot.model.columns import Column
from entrepot.tabular.values import schema_of

__all__ = ["GROUP", "KEY", "CanonicalWriter", "batches_of", "columns_in"]

#: Rows of a group, unless they are large.
GROUP: Final = 131_072
#: Bytes of values after which a group is closed early.
GROUP_BYTES: Final = 64 << 20
#: Bytes of values of a page. A row that is put in changes the page it comes to, of each column, and those at the ends
#: of groups behind it, so pages are small beside a group.
_PAGES: Final = {"min_chunk_size": 32 << 10, "max_chunk_size": 128 << 10}
KEY: Final = "entrepot"


class CanonicalWriter:
    """Writes one file.

    Args:
        sink: Takes bytes in order; is never asked to go back.
    """

    def __init__(self, sink: BinaryIO, columns: Sequence[Column]) -> None:
        self._schema = schema_of(columns)
        self._writer = pq.ParquetWriter(
            sink,
            self._schema,
            compression="zstd",
            use_content_defined_chunking=_PAGES,
            # A dictionary numbers values in the order in which they come: one value more, and every page behind it
            # is another. Where most values differ it takes most of the time, too, and more room than it saves.
            use_dictionary=False,
            store_schema=True,
            # Rows are read by pages, and a page has nothing else to be compared with before the next scrub.
            write_page_checksum=True,
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="canonical")
        self._writing: Future[Any] | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0
        self._bytes = 0
        self.rows = 0

    def write(self, arrays: Sequence[pa.Array]) -> None:
        batch = pa.RecordBatch.from_arrays(list(arrays), schema=self._schema)
        while batch.num_rows:
            piece = batch.slice(0, self._fitting(batch))
            self._waiting.append(piece)
            self._rows += piece.num_rows
            self._bytes += piece.nbytes
            batch = batch.slice(piece.num_rows)
            if self._rows == GROUP or self._bytes >= GROUP_BYTES:
                self._flush()

    def _fitting(self, batch: pa.RecordBatch) -> int:
        """How many of the rows go into the group that is begun; at least one."""
        rows: int = min(batch.num_rows, GROUP - self._rows)
        left = GROUP_BYTES - self._bytes
        return rows if batch.nbytes <= left else min(rows, max(1, batch.num_rows * left // batch.nbytes))

    def _flush(self) -> None:
        # The group before must be written, so at most one waits; the next is judged meanwhile.
        self.settle()
        if self._waiting:
            table = pa.Table.from_batches(self._waiting)
            self._writing = self._thread.submit(self._writer.write_table, table, row_group_size=GROUP)
        self.rows += self._rows
        self._waiting, self._rows, self._bytes = [], 0, 0

    def settle(self) -> None:
        """Wait for what is being written; its errors come out here."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def abandon(self) -> None:
        """Let nothing be written any more. The file is not whole."""
        with contextlib.suppress(Exception):
            self.settle()
        self._thread.shutdown()

    def close(self, columns: Sequence[Column], further: Mapping[str, Any] | None = None) -> None:
        """End the file; only now it is known which columns have no value somewhere."""
        self._flush()
        self.settle()
        self._thread.shutdown()
        told = {"columns": [one.as_json() for one in columns], "rows": self.rows, **(further or {})}
        self._writer.add_key_value_metadata({KEY: json.dumps(told, ensure_ascii=False)})
        self._writer.close()


def batches_of(
    file: pq.ParquetFile, columns: Sequence[str] | None = None, *, rows: int = 65_536, size: int = 16 << 20
) -> Iterator[pa.RecordBatch]:
    """All rows of a Parquet file, in batches of at most so many rows, and fewer where rows are large.

    Args:
        size: Bytes of values of a batch, about: the first rows of a group tell what its rows take, since what the file
            says of itself counts repeated values once.
    """
    for group in range(file.metadata.num_row_groups):
        first = next(file.iter_batches(256, row_groups=[group], columns=columns), None)
        if first is None or not first.num_rows:
            continue
        said = file.metadata.row_group(group)
        each = max(first.nbytes // first.num_rows, said.total_byte_size // said.num_rows, 1)
        yield from file.iter_batches(max(1, min(rows, size // each)), row_groups=[group], columns=columns)


def columns_in(file: pq.ParquetFile) -> Mapping[str, Any]:
    """What a canonical file says of itself."""
    found: Mapping[str, Any] = json.loads(file.metadata.metadata[KEY.encode()])
    return found
