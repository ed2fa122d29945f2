"""Connections that are kept open with their statements compiled: checking one out costs microseconds."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from types import TracebackType

from sqlalchemy import Connection

from entrepot.catalog.failures import ConnectionLost
from entrepot.catalog.transaction import roll_back
from entrepot.model.errors import Unavailable

__all__ = ["KeptConnections"]


class KeptConnections:
    """At most `limit` connections; the one used last is used next, so few stay warm.

    A plain stack and not the engine's pool: its check-out and reset cost more than a point read itself. On the stack
    are `limit` places; that of a connection which is not there yet, or no longer, is None and lies below the others.
    Taking one from a stack needs no lock; only who finds none waits under one.

    Args:
        keep_after: Errors that do not speak against the connection.
        reads_only: What is done with them writes nothing: a use that went well ends with a commit.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        limit: int,
        *,
        keep_after: tuple[type[Exception], ...],
        reads_only: bool = False,
        wait_s: float = 30.0,
    ) -> None:
        self._connect = connect
        self._reads_only = reads_only
        self._places: deque[Connection | None] = deque([None] * limit)
        self._freed = threading.Condition()
        self._waiting = 0
        self._limit = limit
        # Errors that do not speak against the connection ("not found" is an answer).
        self._keep_after = keep_after
        self._wait_s = wait_s
        self._closed = False

    def use(self) -> AbstractContextManager[Connection]:
        """One connection, inside a transaction that begins with its first statement and is rolled back at the end.

        Entering it raises:
            Unavailable: All connections are in use for longer than the wait, or the catalogue is closed.
        """
        return _Use(self)

    def _take(self) -> Connection:
        try:
            conn = self._places.pop()
        except IndexError:
            conn = self._wait()
        if self._closed:
            if conn is not None:
                self._drop(conn)
            self._put(None)
            raise Unavailable("The catalogue is closed.")
        if conn is None:
            try:
                return self._connect()
            except BaseException:
                self._put(None)
                raise
        return conn

    def _wait(self) -> Connection | None:
        with self._freed:
            # Raised before the look: who puts something back after it sees that somebody waits.
            self._waiting += 1
            try:
                if not self._freed.wait_for(lambda: bool(self._places), self._wait_s):
                    raise Unavailable(f"All {self._limit} connections to the database are busy. Try again.")
                return self._places.pop()
            except IndexError:
                # Somebody who did not wait was faster; it is as if this had come later.
                return self._wait()
            finally:
                self._waiting -= 1

    def _put(self, conn: Connection | None) -> None:
        if conn is None:
            self._places.appendleft(None)
        else:
            self._places.append(conn)
        if self._waiting:
            with self._freed:
                self._freed.notify()

    def _give_back(self, conn: Connection, error: BaseException | None) -> None:
        if isinstance(error, ConnectionLost):
            # Its other connections are as dead as this one.
            self._clear()
        elif (
            (error is None or isinstance(error, self._keep_after))
            and not conn.invalidated
            and not conn.closed
            and not self._closed
        ):
            try:
                if self._reads_only and error is None:
                    # Nothing was written, so it is the same to the database, and psycopg forgets every prepared
                    # statement of a connection that rolls back: each read would be planned anew.
                    conn.commit()
                roll_back(conn)
            except Exception:
                self._drop(conn)
                self._put(None)
                return
            self._put(conn)
            self._settle()
            return
        self._drop(conn)
        self._put(None)

    def _settle(self) -> None:
        """Closed at the very moment when something was put back: it goes too."""
        if self._closed:
            self._clear()

    @staticmethod
    def _drop(conn: Connection) -> None:
        # An unfinished cursor would keep an old snapshot alive on a kept connection: close it for good.
        # What a connection says while it is thrown away is of no use to anybody.
        with suppress(Exception):
            conn.close()

    def _clear(self) -> None:
        """Close what is idle; its places stay."""
        for _ in range(len(self._places)):
            try:
                conn = self._places.pop()
            except IndexError:
                return
            if conn is not None:
                self._drop(conn)
            self._put(None)

    def close(self) -> None:
        """Close what is idle now; what is in use is closed when it comes back. May be called again."""
        self._closed = True
        self._clear()


class _Use(AbstractContextManager[Connection]):
    """One use of a connection. A class, because every read makes one, and a generator for it takes twice as long."""

    __slots__ = ("_conn", "_kept")

    def __init__(self, kept: KeptConnections) -> None:
        self._kept = kept

    def __enter__(self) -> Connection:
        self._conn = self._kept._take()
        return self._conn

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept._give_back(self._conn, error)
