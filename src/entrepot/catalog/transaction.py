"""What hangs on one write transaction beside its rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, event

__all__ = ["Hook", "after_commit", "begin_hooks", "guard", "roll_back", "run_hooks", "take_hooks", "writing"]

_KEY = "entrepot.after_commit"
_log = logging.getLogger("entrepot.catalog")

Hook = Callable[[], None]


def after_commit(conn: Connection, hook: Hook) -> None:
    """Call `hook` once after the transaction of `conn` is durable; never when it is rolled back or run again.

    Hooks are hints (a nudge for workers, a cache entry): their failure is logged and changes nothing.
    They run in the thread that called `Catalog.write`, outside of any transaction.
    """
    conn.info[_KEY].append(hook)


def begin_hooks(conn: Connection) -> None:
    conn.info[_KEY] = []


def take_hooks(conn: Connection) -> list[Hook]:
    hooks: list[Hook] = conn.info.pop(_KEY)
    return hooks


def writing(conn: Connection) -> bool:
    """Whether `conn` may show rows that are not committed."""
    return _KEY in conn.info


def guard(engine: Engine) -> None:
    """Refuse a commit inside of `work`: it would make half a change durable, and a batch of other people's with it."""

    def on_commit(conn: Connection) -> None:
        if _KEY in conn.info:
            raise RuntimeError("work must not commit; Catalog.write does")

    event.listen(engine, "commit", on_commit)


def roll_back(conn: Connection) -> None:
    """End the transaction whatever state Core believes it to be in."""
    conn.rollback()
    # After an error in the middle of a commit Core has forgotten a transaction that the driver still has.
    dbapi: Any = conn.connection.dbapi_connection
    dbapi.rollback()


def run_hooks(hooks: Sequence[Hook]) -> None:
    for hook in hooks:
        try:
            hook()
        except Exception:
            # The facts are committed: the caller must not be told otherwise.
            _log.exception("after-commit hook failed")
