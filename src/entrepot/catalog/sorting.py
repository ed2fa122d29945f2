"""Pages of versions by time or by name: for doors whose clients leaf in an order that moves.

A page goes on after the sort value and the number of the last row seen. What changes meanwhile moves in the order, and
is then seen twice or not; rows that stay are seen once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, bindparam, false, func, or_, select, tuple_

from entrepot.catalog.schema import dataset, membership, project, user, version
from entrepot.catalog.versions import Found, Sight, by_numbers, sight_condition

__all__ = ["Order", "Sorted", "page"]

Order = Literal["created", "-created", "modified", "-modified", "name", "-name"]

#: A comparison of a time with a bound.
Bound = tuple[Literal[">", ">=", "<", "<=", "="], datetime]


@dataclass(frozen=True, slots=True)
class Sorted:
    """Which versions a page asks for; None means any, an empty list none.

    Args:
        without: A property that none of them has.
        collection: By number; what is below it does not count.
        creators: By uid.
        names: Any of these, in any case.
        exact: Any of these.
        includes: A part of the name, in any case.
        labels: Slug and number; the number is None for what was never ready.
        trashed: Whether they are in the trash; None is both.
        reasons: Only those in the trash for one of these reasons, or, after `but`, for none of them.
    """

    without: str
    collection: int | None = None
    creators: Sequence[UUID] | None = None
    uids: Sequence[UUID] | None = None
    names: Sequence[str] | None = None
    exact: Sequence[str] | None = None
    includes: str | None = None
    labels: Sequence[tuple[str, int | None]] | None = None
    created: Sequence[Bound] = ()
    modified: Sequence[Bound] = ()
    trashed: bool | None = False
    reasons: Sequence[str] | None = None
    but: Sequence[str] | None = None
    order: Order = field(default="-modified")


def page(
    conn: Connection, sight: Sight, wanted: Sorted, *, after: tuple[Any, int] | None, limit: int
) -> list[tuple[Any, Found]]:
    """Each row with the value that it is sorted by: a time or a name."""
    falling, by = wanted.order.startswith("-"), wanted.order.removeprefix("-")
    key: ColumnElement[Any]
    if by == "name":
        # In the order of code points; what PostgreSQL would do by itself depends on its installation.
        key = dataset.c.name if conn.dialect.name == "sqlite" else dataset.c.name.collate("C")
    else:
        key = version.c.created_at if by == "created" else version.c.updated_at
    query = (
        select(version.c.id, key.label("key"))
        .select_from(version)
        .join(dataset, version.c.dataset == dataset.c.id)
        .join(project, version.c.project == project.c.id)
        .outerjoin(user, version.c.creator == user.c.id)
        .outerjoin(membership, and_(membership.c.team == project.c.team, membership.c.user == bindparam("asking")))
        .where(sight_condition(sight), *_conditions(conn, wanted))
        .order_by(*(one.desc() if falling else one.asc() for one in (key, version.c.id)))
        .limit(limit)
    )
    if after is not None:
        value, n = after
        beyond = key < value if falling else key > value
        further = version.c.id < n if falling else version.c.id > n
        query = query.where(or_(beyond, and_(key == value, further)))
    listed = [(int(row.id), row.key) for row in conn.execute(query, {"asking": sight.user or 0})]
    found = by_numbers(conn, sight, [n for n, _ in listed])
    return [(value, found[n]) for n, value in listed if n in found]


def _conditions(conn: Connection, wanted: Sorted) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [version.c.properties[wanted.without].as_string().is_(None)]
    if wanted.collection is not None:
        where.append(version.c.collection == wanted.collection)
    if wanted.creators is not None:
        where.append(user.c.uid.in_(wanted.creators))
    if wanted.uids is not None:
        where.append(version.c.uid.in_(wanted.uids))
    if wanted.names is not None:
        where.append(func.lower(dataset.c.name).in_([func.lower(one) for one in wanted.names]))
    if wanted.exact is not None:
        where.append(dataset.c.name.in_(wanted.exact))
    if wanted.includes is not None:
        # Not LIKE: its wildcards would have to be escaped.
        position = func.instr if conn.dialect.name == "sqlite" else func.strpos
        where.append(position(func.lower(dataset.c.name), func.lower(wanted.includes)) > 0)
    if wanted.labels is not None:
        numbered = [(slug, number) for slug, number in wanted.labels if number is not None]
        bare = [slug for slug, number in wanted.labels if number is None]
        where.append(
            or_(
                tuple_(dataset.c.slug, version.c.number).in_(numbered) if numbered else false(),
                and_(dataset.c.slug.in_(bare), version.c.number.is_(None)),
            )
        )
    where += [_compared(version.c.created_at, one) for one in wanted.created]
    where += [_compared(version.c.updated_at, one) for one in wanted.modified]
    gone = or_(version.c.trashed_at.is_not(None), project.c.trashed_at.is_not(None))
    if wanted.trashed is not None:
        where.append(gone if wanted.trashed else ~gone)
    if wanted.reasons is not None:
        among: ColumnElement[bool] = version.c.trash_reason.in_(wanted.reasons)
        if wanted.but is not None:
            among = or_(among, func.coalesce(version.c.trash_reason, "").not_in(wanted.but))
        where.append(among)
    return where


def _compared(column: ColumnElement[Any], bound: Bound) -> ColumnElement[bool]:
    sign, at = bound
    match sign:
        case ">":
            return column > at
        case ">=":
            return column >= at
        case "<":
            return column < at
        case "<=":
            return column <= at
    return column == at
