"""Rows that say who somebody is elsewhere: a provider's name for them beside ours."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from entrepot.catalog.schema import identity
from entrepot.model.sign_in import Identity

__all__ = ["find", "insert_identity", "note_use", "of_user", "remove"]


def find(conn: Connection, issuer: str, subject: str) -> int | None:
    """The number of the user whom a provider calls so."""
    found = select(identity.c.user).where(identity.c.issuer == issuer, identity.c.subject == subject)
    n = conn.execute(found).scalar()
    return None if n is None else int(n)


def of_user(conn: Connection, user_n: int) -> list[Identity]:
    rows = conn.execute(select(identity).where(identity.c.user == user_n).order_by(identity.c.created_at))
    return [Identity(row.issuer, row.subject, row.shown, row.created_at, row.last_used_at) for row in rows]


def insert_identity(conn: Connection, issuer: str, subject: str, *, user_n: int, shown: str, at: datetime) -> None:
    """Args:
    shown: What the provider calls them for people.
    """
    values = {"issuer": issuer, "subject": subject, "user": user_n, "shown": shown, "created_at": at}
    conn.execute(insert(identity).values(**values))


def note_use(conn: Connection, issuer: str, subject: str, *, at: datetime) -> None:
    one = update(identity).where(identity.c.issuer == issuer, identity.c.subject == subject)
    conn.execute(one.values(last_used_at=at))


def remove(conn: Connection, issuer: str, subject: str, *, user_n: int) -> bool:
    """Whether it was there, and this user's."""
    one = delete(identity).where(identity.c.issuer == issuer, identity.c.subject == subject, identity.c.user == user_n)
    return conn.execute(one).rowcount == 1
