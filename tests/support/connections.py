"""Connections to PostgreSQL stay open from one test to the next.

Opening one costs a test more than most of what it asks there: a process of the database begins, and learns of 300
relations. What a catalogue closes is made as new, as far as a session can be (`DISCARD ALL`), and given to the next
catalogue that opens a connection to the same database. One in which anything is under way, or that is invalidated, is
closed as ever.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
from typing import Any

from sqlalchemy import Engine

__all__ = ["forget", "keep", "kept"]

#: Of each database; a catalogue opens three.
_MOST = 4

#: States of a session in which no answer is under way.
_AT_REST = ("IDLE", "INTRANS", "INERROR")

_lock = threading.Lock()
#: By all that a connection is opened with.
_idle: dict[tuple[object, ...], list[Any]] = {}


def keep(engine: Engine) -> Engine:
    """From now on this engine takes part."""
    dialect: Any = engine.dialect
    connect, close = dialect.connect, dialect.do_close

    def reuse(*given: Any, **named: Any) -> Any:
        # The context holds the adapters of an engine, and those are alike.
        key = (*given, *sorted((name, str(value)) for name, value in named.items() if name != "context"))
        while (found := _take(key)) is not None:
            with contextlib.suppress(Exception):
                found.execute("select 1")
                found.rollback()
                return found
            found.close()
        made = connect(*given, **named)
        made._key = key
        return made

    def put_back(connection: Any) -> None:
        if not (_made_new(connection) and _give(connection)):
            close(connection)

    dialect.connect, dialect.do_close, dialect.do_terminate = reuse, put_back, close
    return engine


def kept(database: str) -> list[int]:
    """The server's processes of the connections to a database that nobody uses."""
    with _lock:
        return [one.info.backend_pid for found in _idle.values() for one in found if one.info.dbname == database]


def forget(database: str | None = None) -> None:
    """Close them."""
    with _lock:
        gone = [one for found in _idle.values() for one in found if database in (None, one.info.dbname)]
        for found in _idle.values():
            found[:] = [one for one in found if one not in gone]
    for one in gone:
        one.close()


def _take(key: tuple[object, ...]) -> Any:
    with _lock:
        found = _idle.get(key)
        return found.pop() if found else None


def _give(connection: Any) -> bool:
    with _lock:
        found = _idle.setdefault(connection._key, [])
        if len(found) >= _MOST:
            return False
        found.append(connection)
        return True


def _made_new(connection: Any) -> bool:
    if connection.closed or connection.broken:
        return False
    if connection.info.transaction_status.name not in _AT_REST:
        return False
    try:
        connection.rollback()
        connection.read_only = connection.isolation_level = connection.deferrable = None
        connection.autocommit = True
        connection.execute("discard all")
        connection.autocommit = False
        connection._notice_handlers.clear()
    except Exception:
        return False
    return True


atexit.register(forget)
