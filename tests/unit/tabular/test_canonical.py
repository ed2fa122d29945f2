"""The canonical form: what one row more changes of its bytes, and how much of it is read at a time."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from entrepot.model.columns import Column, ColumnType
from entrepot.model.errors import Corrupt
from entrepot.tabular.asking import query
from entrepot.tabular.canonical import GROUP, CanonicalWriter, batches_of
from entrepot.tabular.faults import is_damage
from entrepot.tabular.reading import Table, page

COLUMNS = [Column("id", ColumnType.INT), Column("name", ColumnType.STRING), Column("v", ColumnType.FLOAT)]
ROWS = GROUP + 60_000


def written(ids: np.ndarray) -> bytes:
    """A canonical file with a row for each of these, whose values follow from them."""
    sink = io.BytesIO()
    writer = CanonicalWriter(sink, COLUMNS)
    names = pa.array([f"name {n * 7919 % 10_007}" for n in ids.tolist()])
    writer.write([pa.array(ids), names, pa.array(np.sin(ids.astype(np.float64)))])
    writer.close(COLUMNS)
    return sink.getvalue()


def pieces(data: bytes) -> np.ndarray:
    """What 32 bytes look like behind places that the bytes themselves choose, so that it does not matter where they
    stand in the file.
    """
    found = np.frombuffer(data, np.uint8).astype(np.uint64)
    with np.errstate(over="ignore"):
        mixed = np.zeros(len(found) - 40, np.uint64)
        for i in range(8):
            mixed = mixed * np.uint64(0x100000001B3) ^ found[i : i + len(mixed)]
        (at,) = np.nonzero(mixed >> np.uint64(20) & np.uint64(63) == 0)
        looks = np.zeros(len(at), np.uint64)
        for i in range(8, 40):
            looks = looks * np.uint64(0x9E3779B97F4A7C15) ^ found[at + i]
    return np.unique(looks)


@pytest.mark.parametrize("at", [1000, GROUP - 1])
def test_a_row_in_between_leaves_almost_all_pages_as_they_were(at: int) -> None:
    ids = np.arange(ROWS, dtype=np.int64) * 3
    before = pieces(written(ids))
    after = pieces(written(np.insert(ids, at, 1)))
    new = np.setdiff1d(after, before)
    assert len(after) > 5_000
    assert len(new) < 0.1 * len(after)


def test_a_flipped_bit_is_never_read_as_another_value(tmp_path: Path) -> None:
    """Rows are read by pages, long before anybody compares the whole file with its digest."""
    good = written(np.arange(3000, dtype=np.int64))
    path = tmp_path / "table"

    def read() -> tuple[bytes, bytes]:
        shown = page(Table([str(path)]), first=0, limit=3000)
        asked = "SELECT sum(id), sum(v), string_agg(name ORDER BY id) FROM t"
        query({"t": [str(path)]}, asked, sink=(sink := io.BytesIO()), limit=10, memory=1 << 29, arrow=False)
        return shown, sink.getvalue()

    path.write_bytes(good)
    wanted, refused = read(), 0
    for at in range(4, len(good) - 2000, len(good) // 40):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        try:
            assert read() == wanted, "the few bytes that no value depends on"
        except OSError as error:
            refused += is_damage(error)
    assert refused > 30


def test_a_query_says_that_a_table_is_damaged(tmp_path: Path) -> None:
    good = bytearray(written(np.arange(3000, dtype=np.int64)))
    good[len(good) // 2] ^= 1
    (tmp_path / "table").write_bytes(good)
    tables = {"t": [str(tmp_path / "table")]}
    with pytest.raises(Corrupt, match="damaged"):
        query(tables, "SELECT * FROM t", sink=io.BytesIO(), limit=9999, memory=1 << 29, arrow=False)


def test_groups_and_batches_of_large_rows_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is a read of one group, so what a page takes does not grow with its rows."""
    monkeypatch.setattr("entrepot.tabular.canonical.GROUP_BYTES", 1 << 20)
    columns, sink = [Column("n", ColumnType.INT), Column("s", ColumnType.STRING)], io.BytesIO()
    writer = CanonicalWriter(sink, columns)
    texts = [b"x" * size for size in [10] * 2000 + [10_000] * 1000 + [3 << 20, 5]]
    for at in range(0, len(texts), 1500):
        some = texts[at : at + 1500]
        writer.write([pa.array(range(at, at + len(some))), pa.array([one.decode() for one in some])])
    writer.close(columns)
    file = pq.ParquetFile(sink)
    sizes = [file.read_row_group(i).nbytes for i in range(file.metadata.num_row_groups)]
    # One row cannot be cut.
    assert sorted(sizes)[-2] < 2 << 20
    assert len(sizes) < 20
    batches = list(batches_of(file, size=1 << 18))
    assert max(one.num_rows for one in batches) <= 2000
    assert max(one.num_rows for one in batches[-40:]) < 100
    assert pa.Table.from_batches(batches)["n"].to_pylist() == list(range(len(texts)))
