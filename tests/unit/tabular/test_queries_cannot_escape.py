"""SQL of people we do not know, in a process of its own: whatever it tries, it reads the tables it was given."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from entrepot.depot.context import Limits
from entrepot.depot.tabling import Effort, refuse
from entrepot.model.columns import Column, ColumnType
from entrepot.model.errors import EntrepotError, Invalid, TooLarge, Unsupported
from entrepot.server.tabling import Idle, Processes
from entrepot.store.memory import MemoryStore
from entrepot.tabular.asking import query
from entrepot.tabular.canonical import CanonicalWriter

ESCAPES = """
SELECT * FROM read_csv('/etc/passwd')
SELECT * FROM read_csv_auto('/etc/passwd')
SELECT * FROM read_text('/etc/passwd')
SELECT * FROM read_blob('/etc/passwd')
SELECT * FROM read_json('/etc/passwd')
SELECT * FROM read_json_auto('/etc/passwd')
SELECT * FROM read_ndjson('/etc/passwd')
SELECT * FROM read_parquet('{table}')
SELECT * FROM parquet_metadata('{table}')
SELECT * FROM parquet_schema('{table}')
SELECT * FROM '{table}'
SELECT * FROM "/etc/passwd"
SELECT * FROM '/dev/stdin'
SELECT * FROM glob('/etc/*')
SELECT * FROM sniff_csv('/etc/passwd')
SELECT * FROM read_csv('https://127.0.0.1/x.csv')
SELECT * FROM read_parquet('s3://bucket/x.parquet')
SELECT * FROM query('COPY t TO ''/tmp/x''')
SELECT * FROM query('SELECT * FROM read_csv(''/etc/passwd'')')
SELECT * FROM query_table('/etc/passwd')
SELECT * FROM arrow_scan(1, 2, 3)
SELECT * FROM arrow_scan_dumb(1, 2, 3)
SELECT * FROM pandas_scan(1)
SELECT * FROM python_map_function(1)
SELECT * FROM sqlite_scan('/x', 'y')
SELECT * FROM postgres_scan('host=127.0.0.1', 'public', 't')
SELECT * FROM duckdb_secrets(), read_text('/etc/passwd')
SELECT getenv('PATH')
SELECT load_extension('x')
SELECT write_log('x'), * FROM read_text('/proc/self/environ')
WITH x AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM x
SELECT (SELECT content FROM read_text('/etc/passwd'))
SELECT * FROM t WHERE a IN (SELECT 1 FROM read_text('/etc/passwd'))
COPY t TO '/tmp/entrepot-escape.csv'
COPY (SELECT 1) TO '/dev/stdout'
COPY t FROM '/etc/passwd'
EXPORT DATABASE '/tmp/entrepot-escape'
IMPORT DATABASE '/tmp/entrepot-escape'
ATTACH '/tmp/entrepot-escape.db' AS x
ATTACH 'x' (TYPE sqlite)
DETACH memory
INSTALL httpfs
LOAD httpfs
FORCE INSTALL json FROM '/tmp'
SET enable_external_access = true
SET allowed_paths = ['/etc']
SET memory_limit = '100GB'
SET lock_configuration = false
RESET enable_external_access
PRAGMA enable_profiling
PRAGMA database_list
PRAGMA enable_logging
CREATE TABLE x (i INT)
CREATE VIEW x AS SELECT 1
CREATE MACRO x() AS 1
CREATE SECRET (TYPE s3)
CREATE TEMP TABLE x AS SELECT 1
INSERT INTO t VALUES (1)
UPDATE t SET a = 1
DELETE FROM t
DROP VIEW t
ALTER TABLE t RENAME TO u
TRUNCATE t
VACUUM
ANALYZE
CHECKPOINT
CALL pragma_version()
EXPLAIN ANALYZE SELECT 1
PREPARE x AS SELECT 1
EXECUTE x
BEGIN
COMMIT
USE memory
SELECT 1; SELECT 2
SELECT 1; COPY t TO '/tmp/x'
SELECT 1;; DROP VIEW t
;
-- nothing
/* nothing */
SELECT
SELECT * FROM nothing
PIVOT t ON a USING count(*); SELECT 1
"""

LINES = [line for line in ESCAPES.splitlines() if line]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "t"
    columns = [Column("a", ColumnType.INT), Column("b", ColumnType.STRING)]
    with path.open("wb") as file:
        writer = CanonicalWriter(file, columns)
        writer.write([pa.array(range(1000)), pa.array(["x"] * 1000)])
        writer.close(columns)
    return path


@pytest.mark.parametrize("sql", LINES, ids=[str(i) for i in range(len(LINES))])
def test_an_escape_is_refused(table: Path, sql: str) -> None:
    out = io.BytesIO()
    with pytest.raises((Invalid, Unsupported)):
        query({"t": [str(table)]}, sql.format(table=table), sink=out, limit=10, memory=256 << 20)
    assert not list(Path("/tmp").glob("entrepot-escape*"))


def test_a_select_is_answered_whatever_it_is_written_like(table: Path) -> None:
    for sql in ("SELECT count(*) FROM t", "FROM t SELECT count(*)", "WITH x AS (FROM t) SELECT count(*) FROM x -- yes"):
        out = io.BytesIO()
        assert query({"t": [str(table)]}, sql, sink=out, limit=10, memory=256 << 20) == {"rows": 1, "more": False}


@pytest.fixture(scope="module")
def workshops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Processes]]:
    """By the seconds that a query may take."""
    folder, idle = tmp_path_factory.mktemp("spill"), Idle()
    made = {
        seconds: Processes(MemoryStore(), folder, Limits(query_seconds=seconds, query_memory=256 << 20), idle=idle)
        for seconds in (3, 60)
    }
    yield made
    idle.close()


def asked(workshop: Processes, table: Path, sql: str) -> Any:
    request = {"do": "query", "tables": {"t": [str(table)]}, "sql": sql, "limit": 10}
    with workshop.ask(request, Effort.QUERY) as frames:
        for letter, body in frames:
            if letter == "X":
                refuse(body)
            if letter == "R":
                return json.loads(body)
    return None


@pytest.mark.parametrize(
    ("sql", "seconds"),
    [
        ("SELECT length(repeat('x', 5000000000))", 60),
        ("SELECT count(*) FROM range(1000000000) a, range(1000000000) b", 3),
        pytest.param(
            "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r) SELECT count(*) FROM r",
            3,
            marks=pytest.mark.soak,
        ),
    ],
    ids=["memory", "time", "recursion"],
)
def test_what_takes_too_much_is_stopped_and_the_next_one_answered(
    workshops: dict[int, Processes], table: Path, sql: str, seconds: int
) -> None:
    with pytest.raises(EntrepotError) as stopped:
        asked(workshops[seconds], table, sql)
    assert isinstance(stopped.value, TooLarge | Invalid)
    assert asked(workshops[60], table, "SELECT 1")["rows"] == 1
