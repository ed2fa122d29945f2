"""Rows of ingests: attempts to give a version content that must be checked first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, insert, select, update

from entrepot.catalog.schema import ingest


def insert_ingest(conn: Connection, *, uid: UUID, version: int, at: datetime) -> int:
    statement = insert(ingest).values(uid=uid, version=version, state="receiving", created_at=at)
    return int(conn.execute(statement.returning(ingest.c.id)).scalar_one())


def change(conn: Connection, n: int, values: Mapping[str, Any]) -> None:
    conn.execute(update(ingest).where(ingest.c.id == n).values(**values))


def of_version(conn: Connection, version_n: int, limit: int) -> list[Row[Any]]:
    """Newest first."""
    query = select(ingest).where(ingest.c.version == version_n).order_by(ingest.c.id.desc()).limit(limit)
    return list(conn.execute(query))
