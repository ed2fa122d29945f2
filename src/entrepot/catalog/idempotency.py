"""Rows of requests that named a key: claimed before the work, filled with the answer after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, tuple_, update
from sqlalchemy.sql.elements import ColumnElement

from entrepot.catalog.schema import idempotency


@dataclass(frozen=True, slots=True)
class Kept:
    """One key of one user. `status` is None while the request is under way; `at` is then its last sign of life."""

    fingerprint: bytes
    status: int | None
    headers: Mapping[str, str]
    body: bytes
    at: datetime


def find(conn: Connection, user_n: int, key: str, *, lock: bool = False) -> Kept | None:
    query = select(idempotency).where(idempotency.c.user == user_n, idempotency.c.key == key)
    row = conn.execute(query.with_for_update() if lock else query).first()
    if row is None:
        return None
    return Kept(row.fingerprint, row.status, row.headers or {}, row.body or b"", row.created_at)


def claim(conn: Connection, user_n: int, key: str, fingerprint: bytes, at: datetime) -> None:
    """Take a key that is free; a second claimant meets the primary key."""
    conn.execute(insert(idempotency).values(user=user_n, key=key, fingerprint=fingerprint, created_at=at))


def remove(conn: Connection, user_n: int, key: str) -> None:
    conn.execute(delete(idempotency).where(idempotency.c.user == user_n, idempotency.c.key == key))


def release(conn: Connection, user_n: int, key: str, fingerprint: bytes) -> None:
    """Give up a claim; an answer that somebody kept meanwhile stays."""
    conn.execute(delete(idempotency).where(*_under_way(user_n, key, fingerprint)))


def _under_way(user_n: int, key: str, fingerprint: bytes) -> tuple[ColumnElement[bool], ...]:
    return (
        idempotency.c.user == user_n,
        idempotency.c.key == key,
        idempotency.c.fingerprint == fingerprint,
        idempotency.c.status.is_(None),
    )


def renew(conn: Connection, user_n: int, key: str, fingerprint: bytes, at: datetime) -> None:
    conn.execute(update(idempotency).where(*_under_way(user_n, key, fingerprint)).values(created_at=at))


def answer(
    conn: Connection,
    user_n: int,
    key: str,
    fingerprint: bytes,
    *,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    at: datetime,
) -> None:
    """Keep the answer, unless another one is kept already."""
    conn.execute(
        update(idempotency)
        .where(*_under_way(user_n, key, fingerprint))
        .values(status=status, headers=dict(headers), body=body, created_at=at)
    )


def sweep(conn: Connection, before: datetime, *, limit: int) -> int:
    """Remove up to `limit` keys of requests from before; says how many."""
    key = tuple_(idempotency.c.user, idempotency.c.key)
    over = select(idempotency.c.user, idempotency.c.key).where(idempotency.c.created_at < before).limit(limit)
    return conn.execute(delete(idempotency).where(key.in_(over))).rowcount
