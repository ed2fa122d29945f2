"""SQL of people we do not know, in a process of its own: whatever it tries, it reads the tables it was given."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from entrepot.depot.context import Limits
from entrepot.depot.tabling import Effort, refuse
from entrepot.model.columns import Column, ColumnType
from entrepot.model.errors import EntrepotError, Invalid, TooLarge, Unsupported
from entrepot.server import tabling
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
SELECT * FROM enable_logging(storage='file', storage_path='/tmp/entrepot-escape')
SELECT * FROM enable_logging(storage := 'file', storage_config := {{'path': '/tmp/entrepot-escape'}})
CALL enable_logging(storage='file', storage_path='/tmp/entrepot-escape')
SELECT * FROM enable_profiling(save_location='/tmp/entrepot-escape')
SELECT * FROM enable_profiling(format='json', save_location='/tmp/entrepot-escape')
CALL enable_profiling(save_location='/tmp/entrepot-escape')
SELECT * FROM disable_logging()
SELECT * FROM read_single_csv_file('/etc/passwd')
SELECT * FROM read_single_parquet_file('{table}')
SELECT * FROM destroy_external_resource('read_text', '/etc/passwd')
SELECT * FROM destroy_external_resource(deleter_function := 'read_text', payload := '/etc/passwd')
SELECT * FROM register_external_resource(type := 'x', name := 'y', deleter_function := 'read_text')
SELECT * FROM create_external_resource(type := 'x', params := MAP {{'a': 'b'}}, resource_name := 'y')
SELECT * FROM duckdb_extensions()
SELECT * FROM duckdb_secrets()
SELECT * FROM set_allowed_paths(['/etc'])
SELECT set_config('enable_external_access', 'true')
SELECT * FROM read_duckdb('/tmp/x.db')
SELECT * FROM read_csv(['/etc/passwd', '/etc/group'])
SELECT * FROM read_text('/etc/pass*')
SELECT * FROM read_text((SELECT '/etc/passwd'))
SELECT * FROM read_text('file:///etc/passwd')
SELECT * FROM read_text('/proc/self/cmdline')
SELECT * FROM read_blob('/dev/fd/0')
SELECT * FROM 'file:///etc/passwd'
FROM '/etc/passwd'
FROM '/etc/*.csv'
FROM 'https://127.0.0.1/x.parquet'
FROM "t.parquet"
TABLE "/etc/passwd"
SELECT * FROM glob('**')
SELECT * FROM parquet_file_metadata('{table}')
SELECT * FROM parquet_kv_metadata('{table}')
SELECT * FROM parquet_bloom_probe('{table}', 'a', 1)
SELECT * FROM parquet_full_metadata('{table}')
SELECT * FROM parquet_scan('{table}')
SELECT * FROM read_json_objects('/etc/passwd')
SELECT * FROM read_ndjson_objects('/etc/passwd')
SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM read_text(''/etc/passwd'')'))
SELECT * FROM json_execute_serialized_sql('{{"statements": []}}')
SELECT * FROM query('ATTACH ''/tmp/entrepot-escape.db''')
SELECT * FROM query('FROM ''/etc/passwd''')
SELECT * FROM query_table(['/etc/passwd'])
SELECT * FROM arrow_scan(1::POINTER, 2::POINTER, 3::POINTER)
SELECT * FROM arrow_scan('1'::POINTER, '2'::POINTER, '3'::POINTER)
SELECT * FROM pandas_scan('1'::POINTER)
SELECT * FROM python_map_function('1'::POINTER)
SELECT list_transform([1], x -> (SELECT content FROM read_text('/etc/passwd')))
SELECT * FROM t, LATERAL (SELECT * FROM read_text('/etc/passwd'))
SELECT * FROM t WHERE EXISTS (FROM read_text('/etc/passwd'))
SELECT * FROM t ORDER BY (SELECT content FROM read_text('/etc/passwd'))
SELECT CASE WHEN false THEN (SELECT content FROM read_text('/etc/passwd')) END
WITH RECURSIVE r AS (SELECT content FROM read_text('/etc/passwd') UNION ALL SELECT content FROM r) SELECT * FROM r
WITH x AS MATERIALIZED (FROM glob('/*')) SELECT * FROM x
WITH x AS (INSERT INTO t VALUES (1, 'y') RETURNING *) SELECT * FROM x
WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x
SELECT * INTO x FROM t
SELECT * FROM (COPY t TO '/tmp/entrepot-escape')
SELECT * FROM (ATTACH '/tmp/entrepot-escape.db')
COPY (SELECT 1) TO PROGRAM 'touch /tmp/entrepot-escape'
COPY t TO '/tmp/entrepot-escape' (FORMAT parquet)
COPY FROM DATABASE memory TO x
ATTACH ':memory:' AS x
ATTACH IF NOT EXISTS '/tmp/entrepot-escape.db' (READ_ONLY)
ATTACH 'postgres://127.0.0.1/x' (TYPE postgres)
INSTALL '/tmp/x.duckdb_extension'
LOAD '/tmp/x.duckdb_extension'
UPDATE EXTENSIONS
SET GLOBAL enable_external_access = true
SET SESSION threads = 64
SET VARIABLE x = 1
SET temp_directory = '/tmp/entrepot-escape'
SET home_directory = '/tmp/entrepot-escape'
SET log_query_path = '/tmp/entrepot-escape'
SET profiling_output = '/tmp/entrepot-escape'
SET custom_extension_repository = 'http://127.0.0.1'
SET allowed_directories = ['/']
PRAGMA memory_limit = '100GB'
PRAGMA profile_output = '/tmp/entrepot-escape'
PRAGMA temp_directory = '/tmp/entrepot-escape'
PRAGMA import_database('/tmp')
PRAGMA add_parquet_key('a', '0123456789112345')
CREATE PERSISTENT SECRET (TYPE s3)
CREATE FUNCTION f() AS (SELECT 1)
CREATE OR REPLACE TEMP MACRO f() AS TABLE FROM read_text('/etc/passwd')
CREATE SCHEMA x
CREATE TYPE x AS INTEGER
CREATE SEQUENCE x
CREATE INDEX x ON t (a)
COMMENT ON TABLE t IS 'x'
MERGE INTO t USING t AS u ON t.a = u.a WHEN MATCHED THEN DELETE
EXPLAIN SELECT * FROM t
LOAD spatial
SELECT * FROM st_read('/etc/passwd')
SELECT * FROM iceberg_scan('/tmp/x')
SELECT * FROM delta_scan('/tmp/x')
SELECT * FROM mysql_query('x', 'SELECT 1')
SELECT * FROM read_xlsx('/tmp/x.xlsx')
SELECT * FROM shellfs('ls')
SELECT system('id')
SELECT getenv('HOME') FROM t
SELECT readfile('/etc/passwd')
SELECT pg_read_file('/etc/passwd')
SELECT http_get('http://127.0.0.1')
SELECT nextval('x')
SELECT getvariable('x'), content FROM read_text('/etc/passwd')
SELECT * FROM which_secret('/etc/passwd', 's3'), read_text('/etc/passwd')
SELECT 1 /* ; */ ; ; SELECT * FROM read_text('/etc/passwd')
SELECT 1 UNION ALL SELECT content FROM read_text('/etc/passwd')
VALUES ((SELECT content FROM read_text('/etc/passwd')))
DO $$ SELECT 1 $$
EXECUTE IMMEDIATE 'SELECT 1'
DEALLOCATE x
.read /etc/passwd
!id
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


def test_settings_name_no_place_of_this_machine(table: Path) -> None:
    out = io.BytesIO()
    query({"t": [str(table)]}, "SELECT * FROM duckdb_settings()", sink=out, limit=1000, memory=256 << 20, arrow=False)
    told = out.getvalue().decode()
    for place in (str(Path.home()), str(Path.cwd()), str(table.parent), sys.prefix):
        assert place not in told


def test_an_answer_is_no_larger_than_it_may_be(table: Path) -> None:
    def asked(sql: str) -> dict[str, Any]:
        return query({"t": [str(table)]}, sql, sink=io.BytesIO(), limit=1000, memory=256 << 20, size=100_000)

    told = asked("SELECT repeat('x', 1000) FROM t")
    assert told["more"]
    assert 10 < told["rows"] < 100
    with pytest.raises(TooLarge):
        asked("SELECT repeat('x', 1000000) FROM t")


def test_what_json_has_no_word_for_is_refused(table: Path) -> None:
    with pytest.raises(Invalid):
        query({"t": [str(table)]}, "SELECT DATE '10000-01-01'", sink=io.BytesIO(), limit=1, memory=1 << 28, arrow=False)


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


def test_a_query_finds_a_process_that_is_ready_and_was_asked_nothing(
    workshops: dict[int, Processes], table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(workshops[60], table, "SELECT 1")
    begun: list[object] = []

    def begin(*arguments: Any, **how: Any) -> Any:
        begun.append(arguments)
        return popen(*arguments, **how)

    popen = tabling.subprocess.Popen
    monkeypatch.setattr(tabling.subprocess, "Popen", begin)
    for count in (1, 2):
        assert asked(workshops[60], table, "SELECT 1")["rows"] == 1
        # Its successor, for which nobody waits: so the one that answered was there, and answers no other.
        assert len(begun) == count
