"""Pages of versions by time or by name: for doors whose clients leaf in an order that moves.

A page goes on after the sort value and the number of the last row seen. What changes meanwhile moves in the order, and
is then seen twice or not; rows that stay are seen once.

    by time ──► the next rows of (time, number) ──► may the caller see it, does it fit? ──► a page is full, or the end
                      ▲                                                                 │
                      └── more of them, while few fit; after some thousand sort the rest ◄──┘
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    false,
    func,
    literal,
    or_,
    select,
    tuple_,
    union,
    union_all,
)
from sqlalchemy.sql.util import ClauseAdapter

from entrepot.catalog.schema import dataset, membership, project, user, version
from entrepot.catalog.versions import Found, Sight, by_numbers, member_projects, sight_condition

__all__ = ["Effort", "Order", "Sorted", "page"]

Order = Literal["created", "-created", "modified", "-modified", "name", "-name"]


@dataclass(frozen=True, slots=True)
class Effort:
    """When rows are looked for along an index, and for how long.

    Args:
        ahead: So many are looked at before the rest is sorted: some ten milliseconds.
        little: Fewer that come into question at all are sorted at once.
    """

    ahead: int = 4_000
    little: int = 1_000


EFFORT = Effort()

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
    conn: Connection,
    sight: Sight,
    wanted: Sorted,
    *,
    after: tuple[Any, int] | None,
    limit: int,
    effort: Effort = EFFORT,
) -> list[tuple[Any, Found]]:
    """Each row with the value that it is sorted by: a time or a name.

    By time it walks along an index and keeps what fits, so that a page costs about a page. Where little fits it gives
    that up after a while, and sorts what is left of all that the caller may see.
    """
    order = _order(conn, wanted)
    listed: list[tuple[int, Any]] = []
    passed, window, ahead = 0, 2 * limit, effort.ahead
    if not order.by_time or _is_little(conn, sight, wanted, effort.little):
        ahead = 0
    while passed < ahead and len(listed) < limit:
        rows = conn.execute(_walk(conn, sight, wanted, order, after, window), {"asking": sight.user or 0}).all()
        listed += [(int(row.id), row.key) for row in rows if row.fits]
        if len(rows) < window:
            return _shown(conn, sight, listed[:limit])
        after = rows[-1].key, int(rows[-1].id)
        passed, window = passed + window, min(4 * window, ahead)
    if len(listed) < limit:
        query = _sort(conn, sight, wanted, order, after, limit - len(listed))
        listed += [(int(row.id), row.key) for row in conn.execute(query, {"asking": sight.user or 0})]
    return _shown(conn, sight, listed[:limit])


def _shown(conn: Connection, sight: Sight, listed: Sequence[tuple[int, Any]]) -> list[tuple[Any, Found]]:
    found = by_numbers(conn, sight, [n for n, _ in listed])
    return [(value, found[n]) for n, value in listed if n in found]


@dataclass(frozen=True, slots=True)
class _Order:
    """What is sorted by, and which way."""

    key: ColumnElement[Any]
    falling: bool
    by_time: bool
    #: Bounds of the time that is sorted by.
    bounds: Sequence[Bound] = ()

    def sorted(self, query: Select[Any]) -> Select[Any]:
        return query.order_by(*(one.desc() if self.falling else one.asc() for one in (self.key, version.c.id)))

    def beyond(self, after: tuple[Any, int]) -> ColumnElement[bool]:
        """Whether a row comes after this one. As one comparison of two columns: only so an index is entered there."""
        here, there = tuple_(self.key, version.c.id), tuple_(literal(after[0], self.key.type), literal(after[1]))
        return here < there if self.falling else here > there


def _order(conn: Connection, wanted: Sorted) -> _Order:
    falling, by = wanted.order.startswith("-"), wanted.order.removeprefix("-")
    match by:
        case "created":
            return _Order(version.c.created_at, falling, True, wanted.created)
        case "modified":
            return _Order(version.c.updated_at, falling, True, wanted.modified)
    # In the order of code points; what PostgreSQL would do by itself depends on its installation.
    key = dataset.c.name if conn.dialect.name == "sqlite" else dataset.c.name.collate("C")
    return _Order(key, falling, False)


def _walk(
    conn: Connection, sight: Sight, wanted: Sorted, order: _Order, after: tuple[Any, int] | None, window: int
) -> Select[Any]:
    """The next rows in the order, whether they fit or not, and whether each does."""
    inner = order.sorted(select(*_ASKED, order.key.label("key"))).limit(window)
    for bound in order.bounds:
        inner = inner.where(_compared(order.key, bound))
    if after is not None:
        inner = inner.where(order.beyond(after))
    # The limit inside keeps the planner from asking for what fits before it takes the next rows: it believes that next
    # to nothing fits, and would look at everything. What is asked of them comes along, for the same reason.
    rows = inner.subquery("walked")
    on_rows = ClauseAdapter(rows).traverse
    fits = case((on_rows(and_(sight_condition(sight), *_conditions(conn, wanted))), 1), else_=0)
    query = (
        select(rows.c.id, rows.c.key, fits.label("fits"))
        .join_from(rows, dataset, rows.c.dataset == dataset.c.id)
        .join(project, rows.c.project == project.c.id)
        .outerjoin(user, rows.c.creator == user.c.id)
        .outerjoin(membership, and_(membership.c.team == project.c.team, membership.c.user == bindparam("asking")))
    )
    return query.order_by(*(one.desc() if order.falling else one.asc() for one in (rows.c.key, rows.c.id)))


#: Columns that conditions look at.
_ASKED = (
    version.c.id,
    version.c.uid,
    version.c.dataset,
    version.c.project,
    version.c.collection,
    version.c.number,
    version.c.visibility,
    version.c.properties,
    version.c.creator,
    version.c.created_at,
    version.c.updated_at,
    version.c.trashed_at,
    version.c.trash_reason,
)


def _sort(
    conn: Connection, sight: Sight, wanted: Sorted, order: _Order, after: tuple[Any, int] | None, limit: int
) -> Select[Any]:
    """All that fits, sorted."""
    query = (
        order.sorted(select(version.c.id, order.key.label("key")))
        .join_from(version, dataset, version.c.dataset == dataset.c.id)
        .join(project, version.c.project == project.c.id)
        .outerjoin(user, version.c.creator == user.c.id)
        .outerjoin(membership, and_(membership.c.team == project.c.team, membership.c.user == bindparam("asking")))
        .where(sight_condition(sight), *_conditions(conn, wanted))
        .limit(limit)
    )
    if not sight.everything and wanted.uids is None and wanted.collection is None:
        query = query.where(version.c.id.in_(union(*_visible(sight))))
    return query if after is None else query.where(order.beyond(after))


def _is_little(conn: Connection, sight: Sight, wanted: Sorted, little: int) -> bool:
    """Whether it is less to sort all that comes into question than to look for it along an index."""
    if wanted.trashed is True or wanted.uids is not None:
        # Found by indexes of their own.
        return True
    if wanted.collection is not None:
        inside: Select[Any] | CompoundSelect[Any] = select(version.c.id).where(
            version.c.collection == wanted.collection
        )
    elif not sight.everything:
        inside = union_all(*_visible(sight))
    elif sight.projects is not None:
        inside = select(version.c.id).where(version.c.project.in_(sight.projects))
    else:
        return False
    some = inside.limit(little).subquery("some")
    return int(conn.execute(select(func.count()).select_from(some)).scalar_one()) < little


def _visible(sight: Sight) -> list[Select[Any]]:
    """The same as the condition says, found by an index for each half of it: what one sees, not what there is."""
    mine, other = version.alias("mine"), version.alias("open_to_all")
    found = [select(mine.c.id).where(mine.c.project.in_(member_projects(sight)))]
    if sight.open_to_all:
        found.append(select(other.c.id).where(other.c.visibility.in_([one.value for one in sight.open_to_all])))
    return found


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
