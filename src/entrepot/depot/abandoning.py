"""What clears up after a job that was stopped before anybody ran it.

Apart from the table of all work, because tasks are stopped by requests, and some work starts tasks itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from entrepot.catalog.connection import Connection
from entrepot.catalog.tasks import Stopped
from entrepot.depot import crates, ingests
from entrepot.depot.context import Depot

__all__ = ["ABANDONED", "Abandoned", "abandon"]

Abandoned = Callable[[Depot, Connection, Mapping[str, Any], Mapping[str, Any]], None]

#: By the kind of the job: called in the transaction that ends it, with its payload and with why it ended.
ABANDONED: Final[Mapping[str, Abandoned]] = {ingests.JOB: ingests.abandoned, crates.JOB: crates.abandoned}


def abandon(conn: Connection, depot: Depot, ended: Stopped) -> None:
    """Clear up what a job leaves that was stopped before it ran."""
    clear = ABANDONED.get(ended.kind)
    if clear is not None:
        clear(depot, conn, ended.payload, {"code": "cancelled", "detail": "Somebody asked it to stop."})
