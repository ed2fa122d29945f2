"""The canonical form: what one row more changes of its bytes."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest

from entrepot.model.columns import Column, ColumnType
from entrepot.tabular.canonical import GROUP, CanonicalWriter

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
