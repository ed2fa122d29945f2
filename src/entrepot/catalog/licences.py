"""Rows of licences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, delete, exists, insert, select, update

from entrepot.catalog.schema import licence, project, version
from entrepot.model.values import Licence


def _value(row: Row[Any]) -> Licence:
    return Licence(
        n=row.id,
        uid=row.uid,
        name=row.name,
        url=row.url,
        permissions=tuple(row.permissions),
        conditions=tuple(row.conditions),
        limitations=tuple(row.limitations),
        domains=tuple(row.domains),
        standard=row.standard,
    )


def find(
    conn: Connection, *, n: int | None = None, uid: UUID | None = None, name: str | None = None, lock: bool = False
) -> Licence | None:
    """One licence by number, uid or exact name; with `lock` held against other changes until the transaction ends."""
    query = select(licence)
    if n is not None:
        query = query.where(licence.c.id == n)
    elif uid is not None:
        query = query.where(licence.c.uid == uid)
    else:
        query = query.where(licence.c.name == name)
    row = conn.execute(query.with_for_update() if lock else query).first()
    return None if row is None else _value(row)


def page(conn: Connection, *, after: int | None, limit: int) -> list[Licence]:
    """In order of number."""
    query = select(licence).order_by(licence.c.id).limit(limit)
    if after is not None:
        query = query.where(licence.c.id > after)
    return [_value(row) for row in conn.execute(query)]


def by_numbers(conn: Connection, numbers: Sequence[int]) -> dict[int, Licence]:
    """Licences by number; some hundred at a time."""
    return {row.id: _value(row) for row in conn.execute(select(licence).where(licence.c.id.in_(numbers)))}


def insert_licence(
    conn: Connection,
    *,
    uid: UUID,
    name: str,
    url: str,
    permissions: Sequence[str] = (),
    conditions: Sequence[str] = (),
    limitations: Sequence[str] = (),
    domains: Sequence[str] = (),
    standard: bool = False,
) -> int:
    return int(
        conn.execute(
            insert(licence)
            .values(
                uid=uid,
                name=name,
                url=url,
                permissions=list(permissions),
                conditions=list(conditions),
                limitations=list(limitations),
                domains=list(domains),
                standard=standard,
            )
            .returning(licence.c.id)
        ).scalar_one()
    )


def change(conn: Connection, n: int, values: Mapping[str, Any]) -> None:
    conn.execute(update(licence).where(licence.c.id == n).values(**values))


def in_use(conn: Connection, n: int) -> bool:
    """Whether any version or project, in the trash or not, names this licence."""
    return bool(
        conn.execute(
            select(
                exists().where(version.c.licence == n).select_from(version)
                | exists().where(project.c.default_licence == n).select_from(project)
            )
        ).scalar_one()
    )


def delete_licence(conn: Connection, n: int) -> None:
    conn.execute(delete(licence).where(licence.c.id == n))
