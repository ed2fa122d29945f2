"""Rows of jobs as clients see them: tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, or_, select, update

from entrepot.catalog import bulk
from entrepot.catalog.many import PART
from entrepot.catalog.schema import job, version
from entrepot.catalog.versions import Sight, member_projects
from entrepot.model.values import Task, TaskState

#: Tasks among which one is looked for.
_ALIKE = 100


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
    project_n: int | None = None,
    kind: str | None = None,
    states: tuple[TaskState, ...] = (),
    before: int | None,
    limit: int,
    newest_first: bool = True,
) -> list[Task]:
    """What the caller started, and what works on versions in projects they belong to.

    Args:
        before: The last number already seen; oldest first it is what comes after that one.
    """
    query = select(job).where(job.c.shown).order_by(job.c.id.desc() if newest_first else job.c.id).limit(limit)
    if not sight.everything:
        query = query.where(or_(job.c.starter == (sight.user or 0), job.c.project.in_(member_projects(sight))))
    if sight.projects is not None:
        # A credential limited to projects is told of nothing else, also not of what its own user began.
        query = query.where(job.c.project.in_(sight.projects))
    if version_n is not None:
        query = query.where(job.c.version == version_n)
    if project_n is not None:
        query = query.where(job.c.project == project_n)
    if kind is not None:
        query = query.where(job.c.kind == kind)
    if states:
        query = query.where(job.c.state.in_([state.value for state in states]))
    if before is not None:
        query = query.where(job.c.id < before if newest_first else job.c.id > before)
    return [_value(row) for row in conn.execute(query)]


def count_open(conn: Connection, starter: int) -> int:
    """A person's tasks that wait or run."""
    query = select(func.count()).where(
        job.c.starter == starter, job.c.shown, job.c.state.in_([TaskState.READY.value, TaskState.RUNNING.value])
    )
    return int(conn.execute(query).scalar_one())


@dataclass(frozen=True, slots=True)
class Stopped:
    """A job that ended before it ran: whoever stopped it clears up what it leaves."""

    n: int
    kind: str
    payload: Mapping[str, Any]


def ask_to_stop(conn: Connection, n: int, now: datetime) -> Stopped | None:
    """A waiting task ends at once and is answered; a running one is asked to stop and says so when it has."""
    ended = _stop(conn, job.c.id == n, now)
    return ended[0] if ended else None


def ask_all_to_stop(conn: Connection, versions: Sequence[int], now: datetime) -> list[Stopped]:
    """`ask_to_stop` for everything that works on these versions."""
    ended: list[Stopped] = []
    for part in bulk.chunks(versions, PART):
        ended += _stop(conn, job.c.version.in_(part), now)
    return sorted(ended, key=lambda one: one.n)


def _stop(conn: Connection, which: ColumnElement[bool], now: datetime) -> list[Stopped]:
    cancelled = {"code": "cancelled", "detail": "Somebody asked it to stop."}
    ended = conn.execute(
        update(job)
        .where(which, job.c.state == TaskState.READY.value)
        .values(state=TaskState.CANCELLED.value, ended_at=now, error=cancelled)
        .returning(job.c.id, job.c.kind, job.c.payload)
    ).all()
    conn.execute(update(job).where(which, job.c.state == TaskState.RUNNING.value).values(cancel=True))
    return [Stopped(row.id, row.kind, row.payload) for row in ended]


@dataclass(frozen=True, slots=True)
class About:
    """What an event about a job names."""

    n: int
    uid: UUID
    kind: str
    state: str
    payload: Mapping[str, Any]
    starter: int | None
    project: int | None
    version: int | None
    dataset: int | None


def about(conn: Connection, n: int) -> About | None:
    """A job that somebody may wait for; None for one that is nobody's task."""
    return next(iter(about_all(conn, [n])), None)


def about_all(conn: Connection, numbers: Sequence[int]) -> list[About]:
    """Those of these jobs that somebody may wait for, in order of number; the others are nobody's task."""
    query = (
        select(
            job.c.id,
            job.c.uid,
            job.c.kind,
            job.c.state,
            job.c.payload,
            job.c.starter,
            job.c.project,
            job.c.version,
            version.c.dataset,
        )
        .outerjoin_from(job, version, job.c.version == version.c.id)
        .order_by(job.c.id)
    )
    found: list[About] = []
    for part in bulk.chunks(sorted(numbers), PART):
        found += [About(*row) for row in conn.execute(query.where(job.c.id.in_(part), job.c.shown))]
    return found


def forget(conn: Connection, *, ended_before: datetime, hidden_before: datetime, limit: int) -> int:
    """Remove up to `limit` jobs that ended long ago; how many. Those that were nobody's task may go earlier."""
    over = or_(job.c.ended_at < ended_before, and_(job.c.ended_at < hidden_before, job.c.shown.is_(False)))
    latest = max(ended_before, hidden_before)
    old = select(job.c.id).where(job.c.ended_at < latest, over).order_by(job.c.ended_at).limit(limit)
    return conn.execute(delete(job).where(job.c.id.in_(old.scalar_subquery()))).rowcount


def hide(conn: Connection, n: int) -> None:
    """From here on it is nobody's task."""
    conn.execute(update(job).where(job.c.id == n).values(shown=False))


def alike(conn: Connection, kind: str, payload: Mapping[str, Any], *, version: int | None, starter: int) -> list[Task]:
    """Tasks of that kind with that very payload, newest first: of the version, or of the person where there is none."""
    home = job.c.starter == starter if version is None else job.c.version == version
    query = select(job).where(home, job.c.kind == kind, job.c.shown).order_by(job.c.id.desc()).limit(_ALIKE)
    return [_value(row) for row in conn.execute(query) if row.payload == dict(payload)]


def of_version(conn: Connection, version_n: int, kind: str) -> Task | None:
    """The newest task of that kind for a version."""
    query = select(job).where(job.c.version == version_n, job.c.kind == kind).order_by(job.c.id.desc()).limit(1)
    row = conn.execute(query).first()
    return None if row is None else _value(row)
