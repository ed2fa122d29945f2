"""Rows of worker nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, insert, select, update

from entrepot.catalog.schema import node
from entrepot.model.values import Node


def _value(row: Row[Any]) -> Node:
    return Node(
        n=row.id, uid=row.uid, name=row.name, is_active=row.is_active, creator=row.creator, created_at=row.created_at
    )


def find(
    conn: Connection, *, n: int | None = None, uid: UUID | None = None, name: str | None = None, lock: bool = False
) -> Node | None:
    query = select(node)
    if n is not None:
        query = query.where(node.c.id == n)
    elif uid is not None:
        query = query.where(node.c.uid == uid)
    else:
        query = query.where(node.c.name == name)
    row = conn.execute(query.with_for_update() if lock else query).first()
    return None if row is None else _value(row)


def page(conn: Connection, *, after: int | None, limit: int) -> list[Node]:
    """In order of number, deactivated ones too."""
    query = select(node).order_by(node.c.id).limit(limit)
    if after is not None:
        query = query.where(node.c.id > after)
    return [_value(row) for row in conn.execute(query)]


def by_numbers(conn: Connection, numbers: Sequence[int]) -> dict[int, Node]:
    """Nodes by number; some hundred at a time."""
    return {row.id: _value(row) for row in conn.execute(select(node).where(node.c.id.in_(numbers)))}


def insert_node(conn: Connection, *, uid: UUID, name: str, creator: int | None, at: datetime) -> int:
    return int(
        conn.execute(
            insert(node).values(uid=uid, name=name, creator=creator, created_at=at).returning(node.c.id)
        ).scalar_one()
    )


def change(conn: Connection, n: int, values: Mapping[str, Any]) -> None:
    conn.execute(update(node).where(node.c.id == n).values(**values))
