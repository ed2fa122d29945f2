"""Connections that are kept open with their statements compiled: checking one out costs microseconds."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection

from entrepot.catalog.failures import ConnectionLost
from entrepot.catalog.transaction import roll_back
from entrepot.model.errors import Unavailable

__all__ = ["KeptConnections"]


class KeptConnections:
    """At most `limit` connections; the one used last is used next, so few stay warm.

    A plain stack and not the engine's pool: its check-out and reset cost more than a point read itself.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        limit: int,
        *,
        keep_after: tuple[type[Exception], ...],
        wait_s: float = 30.0,
    ) -> None:
        self._connect = connect
        self._idle: deque[Connection] = deque()
        self._slots = threading.BoundedSemaphore(limit)
        self._limit = limit
        # Errors that do not speak against the connection ("not found" is an answer).
        self._keep_after = keep_after
        self._wait_s = wait_s
        self._closed = False

    @contextmanager
    def use(self) -> Iterator[Connection]:
        """One connection, inside a transaction that begins with its first statement and is rolled back at the end.

        Raises:
            Unavailable: All connections are in use for longer than the wait, or the catalogue is closed.
        """
        if not self._slots.acquire(timeout=self._wait_s):
            raise Unavailable(f"All {self._limit} connections to the database are busy. Try again.")
        try:
            conn = self._take()
            keep = False
            try:
                yield conn
                keep = True
            except ConnectionLost:
                # Its other connections are as dead as this one.
                self._clear()
                raise
            except self._keep_after:
                keep = True
                raise
            finally:
                self._give_back(conn, keep)
        finally:
            self._slots.release()

    def _take(self) -> Connection:
        if self._closed:
            raise Unavailable("The catalogue is closed.")
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _give_back(self, conn: Connection, keep: bool) -> None:
        if keep and not conn.invalidated and not conn.closed and not self._closed:
            try:
                roll_back(conn)
            except Exception:
                self._drop(conn)
                return
            self._idle.append(conn)
            return
        self._drop(conn)

    @staticmethod
    def _drop(conn: Connection) -> None:
        # An unfinished cursor would keep an old snapshot alive on a kept connection: close it for good.
        # What a connection says while it is thrown away is of no use to anybody.
        with suppress(Exception):
            conn.close()

    def _clear(self) -> None:
        while True:
            try:
                conn = self._idle.pop()
            except IndexError:
                return
            self._drop(conn)

    def close(self) -> None:
        """Close what is idle now; what is in use is closed when it comes back. May be called again."""
        self._closed = True
        self._clear()
