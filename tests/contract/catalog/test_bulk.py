"""Many rows in one statement leave nothing but the rows: SQLite copies no pages aside for them."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from entrepot.catalog import bulk
from entrepot.catalog.database import Catalog, ConstraintViolated
from entrepot.catalog.schema import content, word

ROWS = 4000
COLUMNS = ("sha256", "size", "crc32c", "crc32", "state", "touched", "created_at")


def contents(first: int) -> list[tuple[object, ...]]:
    return [(hashlib.sha256(b"%d" % n).digest(), 1, 0, 0, 0, 1, 1) for n in range(first, first + ROWS)]


def written() -> int:
    """Bytes that this thread has given to the system so far."""
    fields = dict(line.split(": ") for line in Path("/proc/thread-self/io").read_text().splitlines())
    return int(fields["wchar"])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what a thread writes")
@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_new_contents_cost_no_copies_of_the_pages_they_come_to_lie_in(catalog: Catalog) -> None:
    """A statement that can fail halfway gets a journal of its own: a copy of every page it changes, in a file."""
    catalog.write(lambda conn: bulk.insert_rows(conn, content, COLUMNS, contents(0)))

    def work(conn: Connection) -> int:
        before = written()
        bulk.insert_rows(conn, content, COLUMNS, contents(ROWS))
        return written() - before

    # The pages themselves are written at the end of the transaction: each copied page would be 4096 bytes here.
    assert catalog.write(work) < ROWS * 40


def test_a_refused_row_takes_all_others_with_it(catalog: Catalog) -> None:
    rows = [(f"{n:04}",) for n in range(ROWS)]
    with pytest.raises(ConstraintViolated):
        catalog.write(lambda conn: bulk.insert_rows(conn, word, ("text",), [*rows, rows[70]]))
    with catalog.read() as conn:
        assert conn.execute(select(func.count()).select_from(word)).scalar_one() == 0
