"""After a large write PostgreSQL knows how large its tables are. SQLite plans by the schema alone and keeps no plan."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, text

from entrepot.catalog import bulk, postgres
from entrepot.catalog.database import Catalog
from entrepot.catalog.schema import word

ROWS = 40_000
PLANNED_FOR = text("SELECT reltuples FROM pg_class WHERE oid = 'word'::regclass")

pytestmark = pytest.mark.parametrize("catalog_url", ["postgresql"], indirect=True)


def fill(conn: Connection) -> None:
    bulk.insert_rows(conn, word, ("text",), [(f"{n:060}",) for n in range(ROWS)])


def planned_for(catalog: Catalog) -> float:
    with catalog.read() as conn:
        return float(conn.execute(PLANNED_FOR).scalar_one())


def test_a_large_write_has_its_tables_measured(catalog: Catalog) -> None:
    catalog.write(fill, bulk=True)
    assert planned_for(catalog) == pytest.approx(ROWS, rel=0.1)


def test_the_write_stands_although_they_cannot_be_measured(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(postgres, "_DOUBLED", text("SELECT size FROM nowhere"))
    catalog.write(fill, bulk=True)
    assert "statistics" in caplog.text
    with catalog.read() as conn:
        assert conn.execute(text("SELECT count(*) FROM word")).scalar_one() == ROWS
