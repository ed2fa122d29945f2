"""Hearing of a commit at once, where the database can tell: NOTIFY and LISTEN of PostgreSQL.

A notification is a hint and nothing more: whoever misses one looks by itself a little later. SQLite has no such thing;
there `notify` does nothing and a catalogue has no listener.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, text

from entrepot.catalog.statements import Sql
from entrepot.model.errors import EntrepotError

__all__ = ["Listener", "notify"]

_log = logging.getLogger("entrepot.catalog")


def notify(conn: Connection, channel: str) -> None:
    """Wake the listeners of the channel when this transaction commits; several in one transaction count as one."""
    if conn.dialect.name == "postgresql":
        _NOTIFY(conn, channel=channel)


_NOTIFY = Sql("SELECT pg_notify(:channel, '')")


class Listener:
    """Listens on a connection of its own, which is opened at the first `wait` and anew after it was lost.

    For one thread.

    Args:
        connect: Opens a connection that commits every statement by itself.
        translate: What an error of the driver means, as `failures.translate`.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        channel: str,
        translate: Callable[[BaseException], Exception | None],
    ) -> None:
        self._connect = connect
        self._channel = channel
        self._translate = translate
        self._conn: Connection | None = None

    def wait(self, timeout_s: float) -> bool:
        """Whether there was a notification, or there may have been one while nobody listened.

        Never raises because of the database: while it is out of reach this waits for the full time.
        """
        fresh = self._conn is None
        try:
            conn = self._listen()
            # What was sent before we listened was not heard: let the caller look once.
            return fresh or self._heard(conn, timeout_s)
        except EntrepotError as error:
            _log.warning("lost the connection that listens for jobs: %s", error)
            self._drop()
            time.sleep(timeout_s)
            return False

    def close(self) -> None:
        """Stop listening. May be repeated."""
        self._drop()

    def _listen(self) -> Connection:
        if self._conn is None:
            conn = self._connect()
            conn.execute(text(f'LISTEN "{self._channel}"'))
            self._conn = conn
        return self._conn

    def _heard(self, conn: Connection, timeout_s: float) -> bool:
        dbapi: Any = conn.connection.dbapi_connection
        try:
            return any(True for _ in dbapi.notifies(timeout=timeout_s, stop_after=1))
        except Exception as error:
            raise (self._translate(error) or error) from error

    def _drop(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            try:
                # Not back to a pool: it still listens.
                conn.invalidate()
                conn.close()
            except EntrepotError:
                _log.debug("closing a lost connection failed", exc_info=True)
