"""Rows of API tokens. The digest of the text goes in and is asked for; it never comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from entrepot.catalog.schema import token, user
from entrepot.model.values import Scope, Token


def columns(prefix: str = "") -> list[ColumnElement[Any]]:
    """What a `Token` is made of but its user's name, labelled, for queries that join tokens to something else."""
    return [column.label(prefix + column.name) for column in token.c if column.name != "digest"]


def value(cell: Mapping[str, Any] | RowMapping, user_name: str, prefix: str = "") -> Token:
    projects = cell[prefix + "projects"]
    return Token(
        n=cell[prefix + "id"],
        uid=cell[prefix + "uid"],
        user=cell[prefix + "user"],
        user_name=user_name,
        name=cell[prefix + "name"],
        scope=Scope(cell[prefix + "scope"]),
        projects=None if projects is None else tuple(projects),
        node=cell[prefix + "node"],
        created_at=cell[prefix + "created_at"],
        expires_at=cell[prefix + "expires_at"],
        last_used_at=cell[prefix + "last_used_at"],
        revoked_at=cell[prefix + "revoked_at"],
    )


def find(conn: Connection, *, n: int | None = None, uid: UUID | None = None, lock: bool = False) -> Token | None:
    query = select(*columns(), user.c.name.label("user_name")).join_from(token, user, token.c.user == user.c.id)
    query = query.where(token.c.id == n if n is not None else token.c.uid == uid)
    row = conn.execute(query.with_for_update(of=token) if lock else query).first()
    return None if row is None else value(row._mapping, row.user_name)


def page(
    conn: Connection, *, user_n: int | None, revoked: bool, now: datetime, after: int | None, limit: int
) -> list[Token]:
    """Tokens in order of number.

    Args:
        user_n: Whose; None for everybody's.
        revoked: Those too that are revoked or out of date.
    """
    query = select(*columns(), user.c.name.label("user_name")).join_from(token, user, token.c.user == user.c.id)
    query = query.order_by(token.c.id).limit(limit)
    if user_n is not None:
        query = query.where(token.c.user == user_n)
    if not revoked:
        query = query.where(token.c.revoked_at.is_(None), or_(token.c.expires_at.is_(None), token.c.expires_at > now))
    if after is not None:
        query = query.where(token.c.id > after)
    return [value(row._mapping, row.user_name) for row in conn.execute(query)]


def insert_token(
    conn: Connection,
    *,
    uid: UUID,
    user_n: int,
    name: str,
    digest: bytes,
    scope: Scope,
    projects: Sequence[int] | None,
    node: int | None,
    at: datetime,
    expires_at: datetime | None,
) -> int:
    return int(
        conn.execute(
            insert(token)
            .values(
                uid=uid,
                user=user_n,
                name=name,
                digest=digest,
                scope=scope.value,
                projects=None if projects is None else list(projects),
                node=node,
                created_at=at,
                expires_at=expires_at,
            )
            .returning(token.c.id)
        ).scalar_one()
    )


def rename(conn: Connection, n: int, name: str) -> None:
    conn.execute(update(token).where(token.c.id == n).values(name=name))


def revoke(conn: Connection, n: int, at: datetime) -> None:
    conn.execute(update(token).where(token.c.id == n, token.c.revoked_at.is_(None)).values(revoked_at=at))


def touch(conn: Connection, n: int, *, at: datetime, unless_since: datetime) -> None:
    """Note a use, unless somebody else noted one in the meantime."""
    conn.execute(
        update(token)
        .where(token.c.id == n, or_(token.c.last_used_at.is_(None), token.c.last_used_at <= unless_since))
        .values(last_used_at=at)
    )
