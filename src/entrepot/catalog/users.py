"""Rows of accounts. The password's hash leaves this module only through `for_login` and `password_of`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, Select, func, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from entrepot.catalog.schema import user
from entrepot.model.values import User

_SHOWN = [column for column in user.c if column.name not in ("password", "settings")]


def columns(prefix: str = "") -> list[ColumnElement[Any]]:
    """What a `User` is made of, labelled, for queries that join accounts to something else."""
    return [
        *(column.label(prefix + column.name) for column in _SHOWN),
        user.c.password.is_not(None).label(prefix + "has_password"),
    ]


def value(cell: Mapping[str, Any] | RowMapping, prefix: str = "") -> User:
    return User(
        n=cell[prefix + "id"],
        uid=cell[prefix + "uid"],
        name=cell[prefix + "name"],
        email=cell[prefix + "email"],
        first_name=cell[prefix + "first_name"],
        last_name=cell[prefix + "last_name"],
        is_staff=cell[prefix + "is_staff"],
        is_active=cell[prefix + "is_active"],
        default_project=cell[prefix + "default_project"],
        created_at=cell[prefix + "created_at"],
        last_login_at=cell[prefix + "last_login_at"],
        epoch=cell[prefix + "epoch"],
        has_password=bool(cell[prefix + "has_password"]),
    )


def _one(conn: Connection, query: Select[Any]) -> User | None:
    row = conn.execute(query).first()
    return None if row is None else value(row._mapping)


def find(
    conn: Connection, *, n: int | None = None, uid: UUID | None = None, name: str | None = None, lock: bool = False
) -> User | None:
    """One user by number, uid or exact name, active or not; with `lock` held until the transaction ends."""
    query = select(*columns())
    if n is not None:
        query = query.where(user.c.id == n)
    elif uid is not None:
        query = query.where(user.c.uid == uid)
    else:
        query = query.where(user.c.name == name)
    return _one(conn, query.with_for_update() if lock else query)


def by_email(conn: Connection, email: str) -> list[User]:
    """At most two users with exactly this address: more than one means that it names nobody."""
    return [value(row._mapping) for row in conn.execute(select(*columns()).where(user.c.email == email).limit(2))]


def for_login(conn: Connection, name: str) -> tuple[User, str | None] | None:
    """A user and the hash of the password, which is None where there is no password to log in with."""
    row = conn.execute(select(*columns(), user.c.password).where(user.c.name == name)).first()
    return None if row is None else (value(row._mapping), row.password)


def password_of(conn: Connection, n: int) -> str | None:
    return conn.execute(select(user.c.password).where(user.c.id == n)).scalar_one_or_none()


def insert_user(
    conn: Connection,
    *,
    uid: UUID,
    name: str,
    email: str,
    first_name: str,
    last_name: str,
    password: str | None,
    is_staff: bool,
    at: datetime,
) -> int:
    return int(
        conn.execute(
            insert(user)
            .values(
                uid=uid,
                name=name,
                email=email,
                first_name=first_name,
                last_name=last_name,
                password=password,
                is_staff=is_staff,
                created_at=at,
            )
            .returning(user.c.id)
        ).scalar_one()
    )


def change(conn: Connection, n: int, values: Mapping[str, Any]) -> None:
    conn.execute(update(user).where(user.c.id == n).values(**values))


def end_credentials(conn: Connection, n: int) -> None:
    """Raise the epoch: every session and signed token made before is worth nothing from this commit on."""
    conn.execute(update(user).where(user.c.id == n).values(epoch=user.c.epoch + 1))


def replace_password(conn: Connection, n: int, *, seen: str | None, password: str | None) -> bool:
    """Set the hash if it is still the one that was seen; says whether it was."""
    known = user.c.password.is_(None) if seen is None else user.c.password == seen
    return conn.execute(update(user).where(user.c.id == n, known).values(password=password)).rowcount == 1


def by_numbers(conn: Connection, numbers: Sequence[int]) -> dict[int, User]:
    """Users by number; some hundred at a time."""
    query = select(*columns()).where(user.c.id.in_(numbers))
    return {row._mapping["id"]: value(row._mapping) for row in conn.execute(query)}


def other_active_staff(conn: Connection, n: int) -> bool:
    """Whether somebody else is active staff.

    All rows of active staff are locked, so that two of them who leave at the same moment cannot both see the other.
    """
    rows = conn.execute(
        select(user.c.id).where(user.c.is_staff, user.c.is_active).order_by(user.c.id).with_for_update()
    )
    return any(row.id != n for row in rows)


def page(
    conn: Connection, *, text: str | None, emails: bool, active_only: bool, after: int | None, limit: int
) -> list[User]:
    """Users in order of number.

    Args:
        text: Part of a user name or a person's name, whatever the case (SQLite knows the cases of ASCII only).
        emails: Whether `text` may also be part of the address, which only some may ask.
    """
    query = select(*columns()).order_by(user.c.id).limit(limit)
    if text:
        places = [user.c.name, user.c.first_name + " " + user.c.last_name, *([user.c.email] if emails else [])]
        query = query.where(or_(*(func.lower(place).contains(text.lower(), autoescape=True) for place in places)))
    if active_only:
        query = query.where(user.c.is_active)
    if after is not None:
        query = query.where(user.c.id > after)
    return [value(row._mapping) for row in conn.execute(query)]
