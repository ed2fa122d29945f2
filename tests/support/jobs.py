"""Jobs for tests: enqueue one, look at its row, and handlers that do what a test tells them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, select, update

from entrepot.catalog import queue
from entrepot.catalog.database import Catalog
from entrepot.catalog.queue import Claimed
from entrepot.catalog.schema import job
from entrepot.catalog.work import Work

_uids = itertools.count(1)

#: A lease that no test outlives, and one that is over by the time anybody looks, on the clock of either database.
LONG, OVER = timedelta(hours=1), timedelta(microseconds=-1)

#: How long a test waits for what must happen: a failure of the test, never a measure of speed.
PATIENCE_S = 60.0


def uid() -> UUID:
    return UUID(int=next(_uids))


def enqueue(catalog: Catalog, kind: str = "kind", *, queue_name: str = "work", **more: Any) -> int:
    """A job that is due now; its number."""
    return catalog.write(lambda conn: enqueue_in(conn, catalog, kind, queue_name=queue_name, **more))


def enqueue_in(conn: Connection, catalog: Catalog, kind: str = "kind", *, queue_name: str = "work", **more: Any) -> int:
    """The same in a transaction of the caller's."""
    values: dict[str, Any] = {"payload": {}, "now": catalog.now()} | more
    return queue.enqueue(conn, uid=uid(), queue=queue_name, kind=kind, **values)


def claim(catalog: Catalog, *, queue_name: str = "work", worker: str = "w", lease: timedelta = LONG) -> Claimed | None:
    now = catalog.now()
    return catalog.write(lambda conn: queue.claim(conn, queue_name, worker=worker, now=now, lease=lease))


def claimed(catalog: Catalog, **more: Any) -> Claimed:
    found = claim(catalog, **more)
    assert found is not None
    return found


def row(catalog: Catalog, n: int) -> Row[Any]:
    with catalog.read() as conn:
        return conn.execute(select(job).where(job.c.id == n)).one()


def change(catalog: Catalog, n: int, values: Mapping[str, Any]) -> None:
    catalog.write(lambda conn: conn.execute(update(job).where(job.c.id == n).values(**values)) and None)


def until(work: Work, happened: threading.Event) -> None:
    """Tell progress again and again until something happens elsewhere; what stops a handler comes out of it."""
    for _ in range(int(PATIENCE_S / 0.005)):
        work.progress(0)
        if happened.wait(0.005):
            return
    raise AssertionError("nothing happened")


def in_thread(target: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread
