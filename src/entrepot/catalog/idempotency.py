"""Rows of requests that named a key: claimed before the work, settled with it, filled with the answer after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, tuple_, update
from sqlalchemy.sql.elements import ColumnElement

from entrepot.catalog.deeds import Deed, read_deeds, write_deeds
from entrepot.catalog.schema import idempotency


@dataclass(frozen=True, slots=True)
class Kept:
    """One key of one user.

    Args:
        holder: Which of several copies of the request has the claim.
        done: What the request did, as soon as it did it.
        status: Of the answer; None until it is kept.
        at: The last sign of life while nothing was done, then when it was done, then when the answer was kept.
    """

    fingerprint: bytes
    holder: bytes
    done: tuple[Deed, ...]
    status: int | None
    headers: Mapping[str, str]
    body: bytes
    at: datetime


def find(conn: Connection, user_n: int, key: str, *, lock: bool = False) -> Kept | None:
    query = select(idempotency).where(idempotency.c.user == user_n, idempotency.c.key == key)
    row = conn.execute(query.with_for_update() if lock else query).first()
    if row is None:
        return None
    return Kept(
        row.fingerprint,
        row.holder,
        read_deeds(row.done or ()),
        row.status,
        row.headers or {},
        row.body or b"",
        row.created_at,
    )


def claim(conn: Connection, user_n: int, key: str, fingerprint: bytes, holder: bytes, at: datetime) -> None:
    """Take a key that is free; a second claimant meets the primary key."""
    conn.execute(
        insert(idempotency).values(user=user_n, key=key, fingerprint=fingerprint, holder=holder, created_at=at)
    )


def remove(conn: Connection, user_n: int, key: str) -> None:
    conn.execute(delete(idempotency).where(idempotency.c.user == user_n, idempotency.c.key == key))


def settle(conn: Connection, user_n: int, key: str, holder: bytes, deeds: Sequence[Deed], at: datetime) -> bool:
    """Write down what this transaction did for the request; whether it still holds the claim."""
    mine = _unanswered(user_n, key, holder)
    row = conn.execute(select(idempotency.c.done).where(*mine).with_for_update()).first()
    if row is None:
        return False
    done = [*read_deeds(row.done or ()), *deeds]
    conn.execute(update(idempotency).where(*mine).values(done=write_deeds(done), created_at=at))
    return True


def _unanswered(user_n: int, key: str, holder: bytes) -> tuple[ColumnElement[bool], ...]:
    return (
        idempotency.c.user == user_n,
        idempotency.c.key == key,
        idempotency.c.holder == holder,
        idempotency.c.status.is_(None),
    )


def release(conn: Connection, user_n: int, key: str, holder: bytes) -> None:
    """Give up a claim under which nothing was done; what was done stays written down."""
    conn.execute(delete(idempotency).where(*_unanswered(user_n, key, holder), idempotency.c.done.is_(None)))


def release_all(conn: Connection) -> None:
    """Give up every claim under which nothing was done."""
    conn.execute(delete(idempotency).where(idempotency.c.status.is_(None), idempotency.c.done.is_(None)))


def renew(conn: Connection, user_n: int, key: str, holder: bytes, at: datetime) -> None:
    mine = _unanswered(user_n, key, holder)
    conn.execute(update(idempotency).where(*mine, idempotency.c.done.is_(None)).values(created_at=at))


def answer(
    conn: Connection,
    user_n: int,
    key: str,
    holder: bytes,
    *,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    at: datetime,
) -> None:
    """Keep the answer, unless another one is kept already or another copy of the request has the claim.

    A refusal is no answer to a request that did something.
    """
    mine = _unanswered(user_n, key, holder)
    if status >= 400:
        mine = (*mine, idempotency.c.done.is_(None))
    conn.execute(
        update(idempotency).where(*mine).values(status=status, headers=dict(headers), body=body, created_at=at)
    )


def sweep(conn: Connection, before: datetime, *, limit: int) -> int:
    """Remove up to `limit` keys of requests from before; says how many."""
    key = tuple_(idempotency.c.user, idempotency.c.key)
    over = select(idempotency.c.user, idempotency.c.key).where(idempotency.c.created_at < before).limit(limit)
    return conn.execute(delete(idempotency).where(key.in_(over))).rowcount
