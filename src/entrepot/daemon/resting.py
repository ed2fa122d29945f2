"""What a journal says while no daemon runs: read only, so that looking never disturbs whoever starts next."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from entrepot.daemon import places, shapes
from entrepot.daemon.journal import Journal

__all__ = ["status_of"]


def status_of(socket: Path, ended: int) -> dict[str, Any]:
    """The status of a daemon that does not run: nothing is active, and what ran is queued for the next one."""
    place = places.home_of(socket) / "journal.sqlite3"
    rows: list[dict[str, Any]] = []
    if place.exists():
        with contextlib.suppress(sqlite3.Error), contextlib.closing(Journal(place, read_only=True)) as journal:
            for one in journal.transfers(ended=ended):
                row = shapes.transfer(one)
                rows.append({**row, "state": "queued"} if one.state == "running" else row)
    return {"active": 0, "transfers": rows, "limit_bps": None, "pid": None, "socket": str(socket)}
