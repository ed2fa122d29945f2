"""Rows of web sessions, and of failed logins."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from entrepot.catalog.schema import login_failure, session
from entrepot.model.values import Session


def _value(row: Row[Any]) -> Session:
    return Session(
        id=public_id(row.digest),
        user=row.user,
        kind=row.kind,
        detail={key: text for key, text in row.data.items() if key != "epoch"},
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def public_id(digest: bytes) -> str:
    """What a session is called in lists: half of its digest, from which nobody finds the cookie."""
    return bytes(digest[:16]).hex()


def insert_session(
    conn: Connection,
    *,
    digest: bytes,
    user_n: int,
    kind: str,
    epoch: int,
    detail: Mapping[str, str],
    at: datetime,
    expires_at: datetime,
) -> None:
    """The user's epoch is kept with the session: when it has moved on, the session is over."""
    data = {**detail, "epoch": epoch}
    conn.execute(
        insert(session).values(digest=digest, user=user_n, kind=kind, data=data, created_at=at, expires_at=expires_at)
    )


def of_user(conn: Connection, user_n: int, *, epoch: int, now: datetime) -> list[tuple[Session, bytes]]:
    """The user's sessions that are still good, newest first, each with its digest."""
    rows = conn.execute(
        select(session)
        .where(session.c.user == user_n, session.c.expires_at > now)
        .order_by(session.c.created_at.desc(), session.c.digest)
    )
    return [(_value(row), bytes(row.digest)) for row in rows if row.data.get("epoch") == epoch]


def end(conn: Connection, digest: bytes) -> int | None:
    """Remove one session; whose it was, or None if it was not there."""
    return conn.execute(
        delete(session).where(session.c.digest == digest).returning(session.c.user)
    ).scalar_one_or_none()


def end_all(conn: Connection, user_n: int) -> None:
    conn.execute(delete(session).where(session.c.user == user_n))


def sweep(conn: Connection, now: datetime, *, limit: int) -> int:
    """Remove up to `limit` sessions that are out of date; says how many."""
    over = select(session.c.digest).where(session.c.expires_at <= now).limit(limit).scalar_subquery()
    return conn.execute(delete(session).where(session.c.digest.in_(over))).rowcount


# Failed logins


def failures(conn: Connection, account: str, address: str, since: datetime) -> list[datetime]:
    """When logins failed for this account from this address after `since`, oldest first."""
    rows = conn.execute(
        select(login_failure.c.at)
        .where(login_failure.c.account == account, login_failure.c.address == address, login_failure.c.at > since)
        .order_by(login_failure.c.at)
    )
    return [row.at for row in rows]


def add_failure(conn: Connection, account: str, address: str, at: datetime) -> None:
    conn.execute(insert(login_failure).values(account=account, address=address, at=at))


def clear_failures(conn: Connection, account: str, address: str) -> None:
    conn.execute(delete(login_failure).where(login_failure.c.account == account, login_failure.c.address == address))


def sweep_failures(conn: Connection, until: datetime, *, limit: int) -> int:
    """Remove up to `limit` failures that no limit on guessing looks at any more; says how many."""
    over = select(login_failure.c.id).where(login_failure.c.at <= until).limit(limit).scalar_subquery()
    return conn.execute(delete(login_failure).where(login_failure.c.id.in_(over))).rowcount
