"""The schema that the migrations make, on both databases: the same as the code's, whoever comes first or twice."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from entrepot.catalog import migrations
from entrepot.catalog.database import Catalog
from entrepot.catalog.migrations import include, newest
from entrepot.catalog.schema import metadata
from entrepot.catalog.schema.types import PathText
from entrepot.model.errors import Unsupported
from tests.support.catalogs import Clock


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without any table."""
    return str(tmp_path / "c.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def empty(empty_url: str) -> Iterator[Catalog]:
    catalog = Catalog.open(empty_url, clock=Clock())
    yield catalog
    catalog.close()


def test_the_migrations_end_at_the_schema_of_the_code(empty: Catalog) -> None:
    """If this fails after a change of the schema: scripts/new-migration NAME, or --first before the first release."""
    empty.upgrade()
    with empty.read() as conn:
        context = MigrationContext.configure(conn, opts={"include_object": include, "compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert migrations.current(conn) == newest()


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
def test_paths_and_cursors_sort_by_bytes(empty: Catalog) -> None:
    """Another collation breaks pages and prefix ranges; SQLite compares bytes by itself."""
    empty.upgrade()
    expected = {(t.name, c.name) for t in metadata.tables.values() for c in t.columns if c.type is PathText}
    with empty.read() as conn:
        found = conn.execute(
            text("SELECT table_name, column_name FROM information_schema.columns WHERE collation_name = 'C'")
        )
        assert {(row[0], row[1]) for row in found} >= expected


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
def test_tables_that_are_keyed_by_more_than_a_number_have_no_hidden_one(empty: Catalog) -> None:
    empty.upgrade()
    with empty.read() as conn:
        made = {
            row[0]: row[1] for row in conn.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
        }
    for name in ("live", "past", "revision", "extent"):
        assert "WITHOUT ROWID" in made[name].upper()
    for name in ("version", "user", "project", "content", "event", "strand"):
        assert "AUTOINCREMENT" in made[name].upper(), "numbers are never given out twice"


def test_both_databases_have_a_search_index(empty: Catalog) -> None:
    empty.upgrade()
    with empty.read() as conn:
        assert inspect(conn).has_table("search")
        assert conn.execute(text("SELECT count(*) FROM search")).scalar_one() == 0


def test_upgrading_twice_changes_nothing(empty: Catalog) -> None:
    empty.upgrade()
    with empty.read() as conn:
        before = sorted(inspect(conn).get_table_names())
    empty.upgrade()
    with empty.read() as conn:
        assert sorted(inspect(conn).get_table_names()) == before


def test_a_newer_database_is_refused_in_words(empty: Catalog) -> None:
    empty.upgrade()
    empty.write(lambda conn: conn.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(Unsupported, match="newer Entrepot") as caught:
        empty.upgrade()
    assert "9999" in caught.value.message


def test_an_upgrade_that_fails_leaves_the_old_schema(empty: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step is one transaction, tables and version number together."""
    with empty._backend.writer.connect() as conn:
        conn.execute(text("CREATE TABLE search (in_the_way integer)"))
        conn.commit()
    with pytest.raises(Exception, match="search"):
        empty.upgrade()
    with empty.read() as conn:
        assert migrations.current(conn) == "0001"
    with empty._backend.writer.connect() as conn:
        conn.execute(text("DROP TABLE search"))
        conn.commit()
    empty.upgrade()
    with empty.read() as conn:
        assert migrations.current(conn) == newest()


_START = """
import sys
from datetime import UTC, datetime
from entrepot.catalog.database import Catalog
catalog = Catalog.open(sys.argv[1], clock=lambda: datetime.now(UTC))
print("ready", flush=True)
sys.stdin.readline()
catalog.upgrade()
with catalog.read() as conn:
    print(conn.exec_driver_sql("SELECT count(*) FROM alembic_version").scalar(), flush=True)
catalog.close()
"""


def test_three_processes_that_start_together_all_get_an_upgraded_database(empty_url: str) -> None:
    started: list[Any] = [
        subprocess.Popen(
            [sys.executable, "-c", _START, empty_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        out, _ = process.communicate(timeout=120)
        assert (process.returncode, out) == (0, "1\n")
