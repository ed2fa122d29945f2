"""The append-only log: who did what, when, through which door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, false, insert, or_, select

from entrepot.catalog import deliveries
from entrepot.catalog.deeds import Deed, note
from entrepot.catalog.deliveries import Announced
from entrepot.catalog.prepared import Prepared
from entrepot.catalog.schema import event, token, user
from entrepot.catalog.schema.types import from_micros
from entrepot.catalog.statements import Sql
from entrepot.catalog.versions import Sight, member_projects
from entrepot.model.values import Event

_APPEND = Prepared(insert(event).returning(event.c.id), (column.name for column in event.c if column.name != "id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event that is to be written."""

    verb: str
    at: datetime
    actor: int | None
    door: str
    node: int | None = None
    token: int | None = None
    project: int | None = None
    dataset: int | None = None
    version: int | None = None
    revision: int | None = None
    subject: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    detail: Mapping[str, Any] | None = None


_FIELDS = tuple(field.name for field in fields(NewEvent))


def append_all(conn: Connection, events: Sequence[NewEvent]) -> None:
    """`append` for many, in their order, in a few statements."""
    if not events:
        return
    for one in events:
        note(conn, Deed(one.verb, one.project, one.version, one.revision, one.subject))
    made = insert(event).returning(event.c.id, sort_by_parameter_order=True)
    numbers = conn.execute(made, [{name: getattr(one, name) for name in _FIELDS} for one in events]).scalars()
    deliveries.fan_out(
        conn,
        [
            Announced(n, one.verb, one.at, one.project, one.dataset, one.version, one.subject, one.before)
            for n, one in zip(numbers, events, strict=True)
        ],
    )


def append(
    conn: Connection,
    verb: str,
    *,
    at: datetime,
    actor: int | None,
    door: str,
    node: int | None = None,
    token: int | None = None,
    project: int | None = None,
    dataset: int | None = None,
    version: int | None = None,
    revision: int | None = None,
    subject: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> int:
    """Write one event, and its way to whoever waits for it, in the transaction of the fact; returns its number."""
    note(conn, Deed(verb, project, version, revision, subject))
    row = _APPEND(
        conn,
        {
            "at": at,
            "verb": verb,
            "actor": actor,
            "door": door,
            "node": node,
            "token": token,
            "project": project,
            "dataset": dataset,
            "version": version,
            "revision": revision,
            "subject": subject,
            "before": before,
            "after": after,
            "detail": detail,
        },
    )
    n = int(row.scalar())
    deliveries.fan_out(conn, [Announced(n, verb, at, project, dataset, version, subject, before)])
    return n


def _select() -> Select[Any]:
    return (
        select(event, user.c.name.label("actor_name"), token.c.uid.label("token_uid"))
        .join_from(event, user, event.c.actor == user.c.id, isouter=True)
        .outerjoin(token, event.c.token == token.c.id)
    )


def page(
    conn: Connection,
    *,
    before: int | None,
    limit: int,
    project: int | None = None,
    dataset: int | None = None,
    version: int | None = None,
    actor: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    verbs: tuple[str, ...] = (),
    seen_by: Sight | None = None,
) -> list[Event]:
    """Newest first; `before` is the number of the last event already seen.

    Args:
        since, until: From the one on, and before the other.
        seen_by: Only what happened in this person's projects, and what they did outside of projects.
    """
    query = _select().order_by(event.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(event.c.id < before)
    if since is not None:
        query = query.where(event.c.at >= since)
    if until is not None:
        query = query.where(event.c.at < until)
    if verbs:
        query = query.where(event.c.verb.in_(verbs))
    if seen_by is not None:
        query = query.where(
            or_(
                event.c.project.in_(member_projects(seen_by)),
                # A credential limited to projects is told of nothing else.
                and_(event.c.project.is_(None), event.c.actor == (seen_by.user or 0))
                if seen_by.projects is None
                else false(),
            )
        )
    for column, value in (
        (event.c.project, project),
        (event.c.dataset, dataset),
        (event.c.version, version),
        (event.c.actor, actor),
    ):
        if value is not None:
            query = query.where(column == value)
    return [_value(row) for row in conn.execute(query)]


def find(conn: Connection, n: int) -> Event | None:
    """One event by its number."""
    row = conn.execute(_select().where(event.c.id == n)).first()
    return None if row is None else _value(row)


def _value(row: Row[Any]) -> Event:
    return Event(
        n=row.id,
        at=row.at,
        verb=row.verb,
        actor=row.actor,
        actor_name=row.actor_name,
        door=row.door,
        node=row.node,
        token_uid=row.token_uid,
        project=row.project,
        dataset=row.dataset,
        version=row.version,
        revision=row.revision,
        subject=row.subject,
        before=row.before,
        after=row.after,
        detail=row.detail,
    )


_STAMPS = Sql(
    "SELECT e.id, e.at, u.name FROM {ids} {join} event AS e ON e.id = listed.value "
    'LEFT JOIN "user" AS u ON u.id = e.actor'
)


def stamps(conn: Connection, numbers: Sequence[int]) -> dict[int, tuple[datetime, str | None]]:
    """When and who, of these events: what an entry shows of its first addition."""
    rows = _STAMPS(conn, ids=sorted(set(numbers))).tuples
    return {int(n): (from_micros(at), name) for n, at, name in rows}
