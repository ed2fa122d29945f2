"""Facts about this installation itself, by key."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert, select

from entrepot.catalog.schema import installation

#: Written by the first start; that the row is there means that the first start is complete.
UID = "uid"
CREATED_AT = "created_at"


def get(conn: Connection, key: str) -> Any:
    """The value, or None where the key is not there."""
    return conn.execute(select(installation.c.value).where(installation.c.key == key)).scalar_one_or_none()


def put_new(conn: Connection, key: str, value: Any) -> None:
    """Write a key that is not there yet; a second writer meets the primary key."""
    conn.execute(insert(installation).values(key=key, value=value))


def uid(conn: Connection) -> UUID | None:
    """The installation's uid; None before the first start."""
    found = get(conn, UID)
    return None if found is None else UUID(hex=found)
