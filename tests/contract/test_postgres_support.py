"""The database server of the tests keeps its own promises."""

from __future__ import annotations

import pytest

from tests.support.postgres import PostgresServer


def test_every_database_is_fresh_and_gone_afterwards(postgres_server: PostgresServer) -> None:
    psycopg = pytest.importorskip("psycopg")
    with postgres_server.database() as first, postgres_server.database() as second:
        with psycopg.connect(postgres_server.url(first, driver="postgresql")) as connection:
            connection.execute("create table facts (n integer)")
        with psycopg.connect(postgres_server.url(second, driver="postgresql")) as connection:
            assert connection.execute("select to_regclass('facts')").fetchone() == (None,)
    with psycopg.connect(postgres_server.url("postgres", driver="postgresql")) as connection:
        left = connection.execute("select datname from pg_database where datname = any(%s)", [[first, second]])
        assert left.fetchall() == []


def test_a_template_is_prepared_once_and_copied(postgres_server: PostgresServer) -> None:
    psycopg = pytest.importorskip("psycopg")
    prepared = []

    def prepare(url: str) -> None:
        prepared.append(url)
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            connection.execute("create table facts as select 42 as n")

    for _ in range(2):
        template = postgres_server.template("facts", prepare)
        with (
            postgres_server.database(template) as name,
            psycopg.connect(postgres_server.url(name, driver="postgresql")) as connection,
        ):
            assert connection.execute("select n from facts").fetchone() == (42,)
            connection.execute("update facts set n = 0")
    assert len(prepared) == 1


def test_text_does_not_sort_by_bytes_unless_asked_to(postgres_server: PostgresServer) -> None:
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgres_server.url("postgres", driver="postgresql")) as connection:
        row = connection.execute("""select 'a' < 'B', 'a' < 'B' collate "C" """).fetchone()
    assert row == (True, False)


def test_a_server_leaves_neither_process_nor_folder() -> None:
    pytest.importorskip("psycopg")
    with PostgresServer() as server:
        process = server._process
        assert process is not None
    assert process.poll() is not None
    assert not server.folder.exists()
