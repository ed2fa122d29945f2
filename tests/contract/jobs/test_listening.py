"""Who hears of a commit: on PostgreSQL whoever listens, on SQLite nobody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from entrepot.catalog import queue
from entrepot.catalog.database import Catalog
from entrepot.catalog.listening import Listener
from tests.support.jobs import PATIENCE_S, enqueue, uid
from tests.support.postgres import PostgresServer

A_MOMENT_S = 0.05

on_postgresql = pytest.mark.parametrize("catalog_url", ["postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)


@pytest.fixture
def listener(catalog: Catalog) -> Iterator[Listener]:
    found = catalog.listener(queue.CHANNEL)
    assert found is not None
    yield found
    found.close()


@on_postgresql
def test_the_first_wait_does_not_miss_what_came_before_it(listener: Listener) -> None:
    assert listener.wait(A_MOMENT_S) is True, "nobody knows; one look is cheap"
    assert listener.wait(A_MOMENT_S) is False


@on_postgresql
def test_a_commit_is_heard_and_a_rollback_is_not(catalog: Catalog, listener: Listener) -> None:
    listener.wait(A_MOMENT_S)

    def work(conn: Connection) -> None:
        queue.enqueue(conn, uid=uid(), queue="work", kind="kind", payload={}, now=catalog.now())
        raise LookupError

    with pytest.raises(LookupError):
        catalog.write(work)
    assert listener.wait(A_MOMENT_S) is False
    enqueue(catalog)
    assert listener.wait(PATIENCE_S) is True


@on_postgresql
def test_a_listener_whose_connection_was_cut_listens_again(
    catalog: Catalog, listener: Listener, postgres_server: PostgresServer
) -> None:
    listener.wait(A_MOMENT_S)
    with catalog.read() as conn:
        database = conn.exec_driver_sql("SELECT current_database()").scalar_one()
    postgres_server.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' AND query LIKE 'LISTEN%'"
    )
    assert listener.wait(A_MOMENT_S) is False
    assert listener.wait(A_MOMENT_S) is True, "while it was away anything may have happened"
    enqueue(catalog)
    assert listener.wait(PATIENCE_S) is True


@on_sqlite
def test_sqlite_tells_nobody(catalog: Catalog) -> None:
    """Its workers are woken by a datagram."""
    assert catalog.listener(queue.CHANNEL) is None
