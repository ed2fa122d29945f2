"""Work that somebody waits for: one more task of theirs, where they may have one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from entrepot.catalog import queue
from entrepot.catalog import tasks as task_rows
from entrepot.catalog.connection import Connection
from entrepot.depot.context import Depot
from entrepot.model.errors import TooLarge
from entrepot.model.values import Task

__all__ = ["begin"]


def begin(
    conn: Connection,
    depot: Depot,
    kind: str,
    payload: Mapping[str, Any],
    *,
    on: str,
    starter: int | None,
    project: int | None,
    version: int | None,
    max_attempts: int = 3,
) -> Task:
    """A task, in the transaction of what it belongs to; workers hear of it when that is done.

    Args:
        on: The queue.
        starter: Whose task it is; None where nobody is logged in.

    Raises:
        TooLarge: They have too many tasks that wait or run.
    """
    if starter is not None and task_rows.count_open(conn, starter) >= depot.limits.tasks_per_user:
        raise TooLarge(f"You have {depot.limits.tasks_per_user} unfinished tasks. Wait for some, or cancel them.")
    n = queue.enqueue(
        conn,
        uid=depot.new_uid(),
        queue=on,
        kind=kind,
        payload=payload,
        now=depot.now(),
        starter=starter,
        project=project,
        version=version,
        max_attempts=max_attempts,
    )
    depot.catalog.after_commit(conn, lambda: depot.wake(on))
    made = task_rows.find(conn, n=n)
    assert made is not None
    return made
