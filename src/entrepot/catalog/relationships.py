"""Rows of provenance edges, each end pinned to version and revision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, and_, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import ColumnElement

from entrepot.catalog.failures import Contended
from entrepot.catalog.schema import membership, project, relationship, version
from entrepot.catalog.versions import Sight, sight_condition


@dataclass(frozen=True, slots=True)
class EdgeRow:
    """One edge. `source` or `target` is None once that version was purged; then the tombstone tells what it was."""

    n: int
    uid: UUID
    source: int | None
    source_rev: int
    source_tombstone: Mapping[str, Any] | None
    target: int | None
    target_rev: int
    target_tombstone: Mapping[str, Any] | None
    verb: str
    mode: str | None
    note: str | None
    at: datetime | None
    qualifiers: Mapping[str, Any]
    creator: int | None
    created_at: datetime


def _value(row: Row[Any]) -> EdgeRow:
    return EdgeRow(
        n=row.id,
        uid=row.uid,
        source=row.source,
        source_rev=row.source_rev,
        source_tombstone=row.source_tombstone,
        target=row.target,
        target_rev=row.target_rev,
        target_tombstone=row.target_tombstone,
        verb=row.verb,
        mode=row.mode,
        note=row.note,
        at=row.at,
        qualifiers=row.qualifiers,
        creator=row.creator,
        created_at=row.created_at,
    )


def find(conn: Connection, *, uid: UUID | None = None, fingerprint: str | None = None) -> EdgeRow | None:
    condition = relationship.c.uid == uid if uid is not None else relationship.c.fingerprint == fingerprint
    row = conn.execute(select(relationship).where(condition)).first()
    return None if row is None else _value(row)


def insert_edge(conn: Connection, *, fingerprint: str, **values: Any) -> tuple[EdgeRow, bool]:
    """The edge, and whether it is new: an identical one is answered again, also when two come at once.

    Raises:
        Contended: The identical one was being removed at the same moment.
    """
    build = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    statement = (
        build(relationship)
        .values(fingerprint=fingerprint, **values)
        .on_conflict_do_nothing(index_elements=["fingerprint"])
        .returning(relationship)
    )
    row = conn.execute(statement).first()
    if row is not None:
        return _value(row), True
    known = find(conn, fingerprint=fingerprint)
    if known is None:
        raise Contended("The same relationship was being removed at the same moment. Try again.")
    return known, False


def remove(conn: Connection, n: int) -> None:
    conn.execute(delete(relationship).where(relationship.c.id == n))


def touching(
    conn: Connection,
    sight: Sight,
    versions: Sequence[int],
    *,
    as_source: bool,
    as_target: bool,
    both_ends: bool = False,
    after: int | None = None,
    limit: int,
) -> list[EdgeRow]:
    """Edges that leave (`as_source`) or reach (`as_target`) any of the versions, in order of number.

    An edge is a fact about its source: one whose source `sight` may not show is not there. Of a source that was purged
    the row does not say who could see it; that is the caller's to judge.

    Args:
        both_ends: The target must be visible too.
    """
    conditions = []
    if as_source:
        conditions.append(relationship.c.source.in_(versions))
    if as_target:
        conditions.append(relationship.c.target.in_(versions))
    query = (
        select(relationship)
        .where(or_(*conditions), _shown(relationship.c.source, sight))
        .order_by(relationship.c.id)
        .limit(limit)
    )
    if both_ends:
        query = query.where(_shown(relationship.c.target, sight))
    if after is not None:
        query = query.where(relationship.c.id > after)
    return [_value(row) for row in conn.execute(query)]


def _shown(end: ColumnElement[Any], sight: Sight) -> ColumnElement[bool]:
    seen = (
        select(version.c.id)
        .join_from(version, project, version.c.project == project.c.id)
        .outerjoin(membership, and_(membership.c.team == project.c.team, membership.c.user == (sight.user or 0)))
        .where(version.c.id == end, sight_condition(sight))
        .correlate(relationship)
    )
    return or_(end.is_(None), seen.exists())
