"""Rows of `dataset`: one for each name in a project, which the versions of that name share, with its slug."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from entrepot.catalog.prepared import Prepared
from entrepot.catalog.schema import dataset, old_slug, version
from entrepot.model.values import Dataset

__all__ = ["delete_row", "find", "insert_row", "old", "set_slug", "slug_taken"]

_INSERT = Prepared(insert(dataset).returning(dataset), ("uid", "project", "name", "slug", "created_at"))
_SLUG_TAKEN = (
    Prepared(
        select(dataset.c.id).where(dataset.c.project == bindparam("project"), dataset.c.slug == bindparam("slug"))
    ),
    Prepared(
        select(version.c.id).where(
            version.c.project == bindparam("project"),
            version.c.alias == bindparam("slug"),
            version.c.trashed_at.is_(None),
        )
    ),
)


def _value(row: Any) -> Dataset:
    return Dataset(row.id, row.uid, row.project, row.name, row.slug, row.created_at)


@cache
def _by(columns: tuple[str, ...]) -> Prepared:
    return Prepared(select(dataset).where(*(dataset.c[name] == bindparam(name) for name in columns)))


def find(
    conn: Connection,
    *,
    n: int | None = None,
    uid: UUID | None = None,
    project: int | None = None,
    name: str | None = None,
    slug: str | None = None,
) -> Dataset | None:
    """By number, by uid, or by (project, name) or (project, slug)."""
    asked = {"id": n, "uid": uid, "project": project, "name": name, "slug": slug}
    given = {column: value for column, value in asked.items() if value is not None}
    row = _by(tuple(given))(conn, given).first()
    return None if row is None else _value(row)


def insert_row(conn: Connection, *, uid: UUID, project: int, name: str, slug: str, at: datetime) -> Dataset:
    values = {"uid": uid, "project": project, "name": name, "slug": slug, "created_at": at}
    return _value(_INSERT(conn, values).first())


def slug_taken(conn: Connection, project: int, slug: str) -> bool:
    """Whether a dataset of the project has this slug, or an active version this alias."""
    return any(question(conn, {"project": project, "slug": slug}).tuples for question in _SLUG_TAKEN)


def set_slug(conn: Connection, n: int, slug: str) -> None:
    conn.execute(update(dataset).where(dataset.c.id == n).values(slug=slug))


def delete_row(conn: Connection, n: int) -> None:
    conn.execute(delete(old_slug).where(old_slug.c.dataset == n))
    conn.execute(delete(dataset).where(dataset.c.id == n))


def old(conn: Connection, project: int, slug: str) -> tuple[int | None, int | None] | None:
    """(dataset, version) that a given-up slug leads to."""
    row = conn.execute(
        select(old_slug.c.dataset, old_slug.c.version).where(old_slug.c.scope == project, old_slug.c.slug == slug)
    ).first()
    return None if row is None else (row.dataset, row.version)
