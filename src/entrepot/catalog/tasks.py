"""Rows of jobs as clients see them: tasks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, delete, or_, select, update

from entrepot.catalog.schema import job
from entrepot.catalog.versions import Sight, member_projects
from entrepot.model.values import Task, TaskState


def _value(row: Row[Any]) -> Task:
    return Task(
        n=row.id,
        uid=row.uid,
        kind=row.kind,
        state=TaskState(row.state),
        progress=row.progress,
        result=row.result,
        error=row.error,
        cancel_requested=row.cancel,
        starter=row.starter,
        project=row.project,
        version=row.version,
        attempt=row.attempt,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def find(conn: Connection, *, uid: UUID | None = None, n: int | None = None) -> Task | None:
    condition = job.c.uid == uid if uid is not None else job.c.id == n
    row = conn.execute(select(job).where(condition, job.c.shown)).first()
    return None if row is None else _value(row)


def page(
    conn: Connection,
    sight: Sight,
    *,
    version_n: int | None = None,
    states: tuple[TaskState, ...] = (),
    before: int | None,
    limit: int,
) -> list[Task]:
    """Newest first: what the caller started, and what works on versions in projects they belong to."""
    query = select(job).where(job.c.shown).order_by(job.c.id.desc()).limit(limit)
    if not sight.everything:
        query = query.where(or_(job.c.starter == (sight.user or 0), job.c.project.in_(member_projects(sight))))
    if sight.projects is not None:
        # A credential limited to projects is told of nothing else, also not of what its own user began.
        query = query.where(job.c.project.in_(sight.projects))
    if version_n is not None:
        query = query.where(job.c.version == version_n)
    if states:
        query = query.where(job.c.state.in_([state.value for state in states]))
    if before is not None:
        query = query.where(job.c.id < before)
    return [_value(row) for row in conn.execute(query)]


def ask_to_stop(conn: Connection, n: int, now: datetime) -> Mapping[str, Any] | None:
    """A waiting task ends at once; a running one is asked to stop and says so when it has.

    Answers the payload of one that ended here: what it should have done is the caller's to clear up.
    """
    ended = conn.execute(
        update(job)
        .where(job.c.id == n, job.c.state == TaskState.READY.value)
        .values(state=TaskState.CANCELLED.value, ended_at=now, dedupe=None)
        .returning(job.c.payload)
    ).scalar()
    if ended is not None:
        payload: Mapping[str, Any] = ended
        return payload
    conn.execute(update(job).where(job.c.id == n, job.c.state == TaskState.RUNNING.value).values(cancel=True))
    return None


def forget(conn: Connection, ended_before: datetime, limit: int) -> int:
    """Remove tasks that ended long ago."""
    old = select(job.c.id).where(job.c.ended_at < ended_before).limit(limit).scalar_subquery()
    return conn.execute(delete(job).where(job.c.id.in_(old))).rowcount


def of_version(conn: Connection, version_n: int, kind: str) -> Task | None:
    """The newest task of that kind for a version."""
    query = select(job).where(job.c.version == version_n, job.c.kind == kind).order_by(job.c.id.desc()).limit(1)
    row = conn.execute(query).first()
    return None if row is None else _value(row)
