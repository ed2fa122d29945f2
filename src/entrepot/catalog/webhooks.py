"""Rows of webhooks, and which run of which job sends for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, delete, exists, insert, select, update

from entrepot.catalog.schema import job, project, team, webhook
from entrepot.catalog.statements import Sql
from entrepot.model.webhooks import Retries, Webhook

#: Which run of which job: no two runs have the same.
Mark = tuple[int, int]


def _value(row: Row[Any]) -> Webhook:
    return Webhook(
        n=row.id,
        uid=row.uid,
        project=row.project,
        name=row.name,
        endpoint=row.endpoint,
        events=tuple(row.events.split()),
        retries=Retries(row.max_retries, row.max_backoff_ms),
        enabled=row.enabled,
        disabled_reason=row.disabled_reason,
        given_up=row.given_up,
        creator=row.creator,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def find(
    conn: Connection, *, n: int | None = None, uid: UUID | None = None, lock: bool = False
) -> tuple[Webhook, str] | None:
    """A webhook and its sealed secret."""
    query = select(webhook).where(webhook.c.id == n if uid is None else webhook.c.uid == uid)
    # Not FOR UPDATE: that would wait for every transaction that makes a delivery, and they for it.
    row = conn.execute(query.with_for_update(key_share=True) if lock else query).first()
    return None if row is None else (_value(row), row.secret)


def page(conn: Connection, project_n: int, *, after: int | None, limit: int) -> list[Webhook]:
    """Of one project, in the order they were made."""
    query = select(webhook).where(webhook.c.project == project_n).order_by(webhook.c.id).limit(limit)
    if after is not None:
        query = query.where(webhook.c.id > after)
    return [_value(row) for row in conn.execute(query)]


def made_since(
    conn: Connection, project_n: int, name: str, since: datetime, *, creator: int | None
) -> list[tuple[Webhook, str]]:
    """What somebody made under a name in a project since then, each with its sealed secret."""
    query = select(webhook).where(
        webhook.c.project == project_n,
        webhook.c.name == name,
        webhook.c.created_at >= since,
        webhook.c.creator == creator,
    )
    return [(_value(row), row.secret) for row in conn.execute(query.order_by(webhook.c.id))]


def count(conn: Connection, project_n: int) -> int:
    return len(conn.execute(select(webhook.c.id).where(webhook.c.project == project_n)).all())


def insert_webhook(conn: Connection, values: Mapping[str, Any], events: Sequence[str]) -> int:
    statement = insert(webhook).values(**values, events=" ".join(events)).returning(webhook.c.id)
    return int(conn.execute(statement).scalar_one())


def change(conn: Connection, n: int, values: Mapping[str, Any]) -> None:
    given = dict(values)
    if "events" in given:
        given["events"] = " ".join(given["events"])
    conn.execute(update(webhook).where(webhook.c.id == n).values(**given))


def remove(conn: Connection, n: int) -> None:
    """With everything that was on its way to it."""
    conn.execute(delete(webhook).where(webhook.c.id == n))


# Asked for every event there is: below Core, where the usual answer of none costs some microseconds.
_LISTENING = Sql("SELECT id, events FROM webhook WHERE project = :project AND enabled ORDER BY id")


def listening(conn: Connection, project_n: int) -> list[tuple[int, tuple[str, ...]]]:
    """The webhooks of a project that are switched on, with their patterns."""
    return [(row[0], tuple(row[1].split())) for row in _LISTENING(conn, project=project_n).tuples]


def listening_to_team(conn: Connection, team_uid: UUID) -> list[tuple[int, tuple[str, ...]]]:
    """Those of all projects that a team owns."""
    query = (
        select(webhook.c.id, webhook.c.events)
        .join_from(team, project, project.c.team == team.c.id)
        .join(webhook, webhook.c.project == project.c.id)
        .where(team.c.uid == team_uid, webhook.c.enabled)
        .order_by(webhook.c.id)
    )
    return [(row.id, tuple(row.events.split())) for row in conn.execute(query)]


# Who sends


def take(conn: Connection, n: int, mark: Mark) -> bool:
    """Become the one run that sends for this webhook. False while another one is, or when it is gone."""
    query = select(webhook.c.holder, webhook.c.holder_fence).where(webhook.c.id == n)
    row = conn.execute(query.with_for_update(key_share=True)).first()
    if row is None:
        return False
    if row.holder is not None and (row.holder, row.holder_fence) != mark and _runs(conn, row.holder, row.holder_fence):
        return False
    conn.execute(update(webhook).where(webhook.c.id == n).values(holder=mark[0], holder_fence=mark[1]))
    return True


def _runs(conn: Connection, job_n: int, fence: int) -> bool:
    running = select(job.c.id).where(job.c.id == job_n, job.c.fence == fence, job.c.state == "running")
    return conn.execute(running).first() is not None


def hold(conn: Connection, n: int, mark: Mark) -> bool:
    """Keep others from taking it until this transaction ends. Whether it is this run's still."""
    query = select(webhook.c.holder, webhook.c.holder_fence).where(webhook.c.id == n)
    row = conn.execute(query.with_for_update(key_share=True)).first()
    return row is not None and (row.holder, row.holder_fence) == mark and _runs(conn, *mark)


def holds(conn: Connection, n: int, mark: Mark) -> bool:
    """Whether this run is still the one that sends; a plain read."""
    row = conn.execute(select(webhook.c.holder, webhook.c.holder_fence).where(webhook.c.id == n)).first()
    return row is not None and (row.holder, row.holder_fence) == mark and _runs(conn, *mark)


def let_go(conn: Connection, n: int) -> None:
    conn.execute(update(webhook).where(webhook.c.id == n).values(holder=None, holder_fence=None))


def unheld(conn: Connection, *, after: int, limit: int) -> list[int]:
    """Webhooks for which nobody sends, by number."""
    running = exists().where(
        job.c.id == webhook.c.holder, job.c.fence == webhook.c.holder_fence, job.c.state == "running"
    )
    query = select(webhook.c.id).where(webhook.c.id > after, ~running).order_by(webhook.c.id).limit(limit)
    return list(conn.execute(query).scalars())


_DISABLED = Sql("SELECT count(*) FROM webhook WHERE NOT enabled")


def disabled(conn: Connection) -> int:
    """How many are switched off, for metrics."""
    return int(_DISABLED.scalar(conn))
