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


def prepare_facts(url: str) -> None:
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute("create table revision as select 7 as n")
        connection.execute("create table facts (n serial primary key, other integer references facts)")


def test_nothing_in_a_lent_database_shows_who_had_it_before(postgres_server: PostgresServer) -> None:
    psycopg = pytest.importorskip("psycopg")
    names = set()
    for _ in range(2):
        with postgres_server.lent("lent", prepare_facts) as name:
            names.add(name)
            left_open = psycopg.connect(postgres_server.url(name, driver="postgresql"), autocommit=True)
            assert left_open.execute("select count(*) from facts").fetchone() == (0,)
            assert left_open.execute("select n from revision").fetchone() == (7,)
            made = left_open.execute("insert into facts values (default, null), (default, 1) returning n").fetchall()
            assert made == [(1,), (2,)]
            left_open.execute("update revision set n = 8")
            left_open.execute("begin")
            left_open.execute("lock table facts")
            left_open.execute("select pg_advisory_lock(1)")
        with pytest.raises(psycopg.OperationalError):
            left_open.execute("select 1")
    assert len(names) == 1


@pytest.mark.parametrize(
    "change",
    [
        "create table more (n integer)",
        "alter table facts add column more integer",
        "alter table facts drop constraint facts_other_fkey",
        "create index more on facts (other)",
        "create function more() returns integer language sql as 'select 1'",
        "alter table facts disable trigger all",
        "do $$ begin execute format('alter database %I set work_mem = 1024', current_database()); end $$",
        "insert into facts select n, null from generate_series(1, 300000) n",
    ],
)
def test_a_lent_database_that_is_not_as_it_was_is_given_to_nobody(postgres_server: PostgresServer, change: str) -> None:
    psycopg = pytest.importorskip("psycopg")
    with (
        postgres_server.lent("lent", prepare_facts) as first,
        psycopg.connect(postgres_server.url(first, driver="postgresql")) as connection,
    ):
        connection.execute(change)
    with postgres_server.lent("lent", prepare_facts) as second:
        assert second != first


def test_two_who_ask_at_once_are_lent_two(postgres_server: PostgresServer) -> None:
    with (
        postgres_server.lent("lent", prepare_facts) as first,
        postgres_server.lent("lent", prepare_facts) as second,
    ):
        assert first != second


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
