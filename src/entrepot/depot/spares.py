"""Rows for bodies of single requests, written ahead: a file or a batch in one request costs one transaction, not two.

Every object has a row before it has bytes: only so can bytes that nobody named be found and removed after a crash. The
row of a body that comes in one request is therefore not thrown away when its bytes are named. In that very transaction
it gets another key, under which there are no bytes yet, and the next body that comes to this process goes there.

    first body      begin (a transaction) ─► bytes under key A ─► name A, and let the row have key B (a transaction)
    next body       ──────────────────────── bytes under key B ─► name B, and let the row have key C (a transaction)
    known bytes     ──────────────────────── bytes under key C ─► name what is here, throw C away; key C serves again

A batch of small files keeps its row, for commits name files by it. What it leaves for the next one is a row that is
added in the transaction in which it is named.

Such a row is nobody's. What a killed process leaves of them is open and has an end, and the sweep takes it like any
upload whose time is over, with the bytes under its key, if there are any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from entrepot.catalog import uploads as upload_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.uploads import UploadRow
from entrepot.depot.context import Depot
from entrepot.depot.finishing import OPEN

__all__ = ["MOST", "ahead", "give", "renewal", "take"]

#: Rows that a process keeps: about as many as it has threads that write at one moment.
MOST: Final = 16
#: What a row is until bytes come: nothing that anybody may use.
_PURPOSE: Final = "attempt"


def take(depot: Depot) -> UploadRow | None:
    """A row that waits for bytes, the caller's alone from here on; None if there is none."""
    while True:
        try:
            row = depot.spares.pop()
        except IndexError:
            return None
        # A body may take its time. Of what is too near its end the sweep takes care.
        if row.boot_id == depot.boot() and row.expires_at - depot.now() > depot.policy.upload_lifetime / 2:
            return row


def ahead(conn: Connection, depot: Depot) -> UploadRow | None:
    """Add a row, to be given when the caller's transaction is committed; None if enough of them wait."""
    if len(depot.spares) >= MOST:
        return None
    return upload_rows.insert_upload(conn, **renewal(depot), purpose=_PURPOSE, detail={})


def renewal(depot: Depot) -> Mapping[str, Any]:
    """The columns that make a row new, to be written where its bytes are named."""
    now = depot.now()
    return {
        "uid": depot.new_uid(),
        "owner": None,
        "token": None,
        "state": OPEN,
        "key": depot.new_key(),
        "received": 0,
        "durable": 0,
        "boot_id": depot.boot(),
        "length": None,
        "sha256": None,
        "content": None,
        "created_at": now,
        "touched_at": now,
        "expires_at": now + depot.policy.upload_lifetime,
    }


def give(depot: Depot, row: UploadRow) -> None:
    """Keep a row whose renewal was committed, as it is now, for whoever comes next."""
    if len(depot.spares) < MOST:
        depot.spares.append(row)
