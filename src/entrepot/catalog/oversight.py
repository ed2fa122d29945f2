"""What an operator looks at across everything: the jobs of all queues, and what each project takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, and_, case, func, or_, select

from entrepot.catalog.schema import job, project, team, user, version
from entrepot.model.values import TaskState

__all__ = ["Counts", "Depth", "Job", "Room", "counts", "depths", "failures", "find_job", "jobs", "last_run", "rooms"]


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of background work, whether somebody may wait for it (`is_task`) or it comes by the clock.

    Args:
        due: When it could run, or could run again.
        error: Of the last attempt, also of one that is repeated.
        worker: Which process runs it.
    """

    n: int
    uid: UUID
    queue: str
    kind: str
    state: TaskState
    due: datetime
    attempt: int
    max_attempts: int
    progress: Mapping[str, Any] | None
    result: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    cancel_requested: bool
    is_task: bool
    starter_name: str | None
    version: int | None
    worker: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Depth:
    """The jobs of a queue in one state; `oldest` is when the first of them was made."""

    queue: str
    state: TaskState
    jobs: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Room:
    """What a project takes.

    Args:
        n_bytes: What counts against the allocation: the newest revision of every version, in the trash or not.
        trash_bytes: What of it is in the trash.
        files: Entries of those revisions.
    """

    n: int
    slug: str
    name: str
    owner: str
    is_personal: bool
    is_trashed: bool
    allocation: int | None
    versions: int
    files: int
    n_bytes: int
    trash_bytes: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is of everything that is not in the trash."""

    users: int
    active_users: int
    projects: int
    versions: int


def _job_select() -> Select[Any]:
    return select(job, user.c.name.label("starter_name")).join_from(job, user, job.c.starter == user.c.id, isouter=True)


def _job(row: Row[Any]) -> Job:
    return Job(
        n=row.id,
        uid=row.uid,
        queue=row.queue,
        kind=row.kind,
        state=TaskState(row.state),
        due=row.due,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        progress=row.progress,
        result=row.result,
        error=row.error,
        cancel_requested=row.cancel,
        is_task=row.shown,
        starter_name=row.starter_name,
        version=row.version,
        worker=row.worker,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def jobs(
    conn: Connection,
    *,
    state: TaskState | None = None,
    queue: str | None = None,
    hidden: bool = True,
    before: int | None,
    limit: int,
) -> list[Job]:
    """Newest first; `before` is the last number already seen.

    Args:
        hidden: Also those that come by the clock.
    """
    query = _job_select().order_by(job.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(job.c.state == state.value)
    if queue is not None:
        query = query.where(job.c.queue == queue)
    if not hidden:
        query = query.where(job.c.shown)
    if before is not None:
        query = query.where(job.c.id < before)
    return [_job(row) for row in conn.execute(query)]


def find_job(conn: Connection, uid: UUID) -> Job | None:
    row = conn.execute(_job_select().where(job.c.uid == uid)).first()
    return None if row is None else _job(row)


def failures(conn: Connection, *, limit: int) -> list[Job]:
    """Jobs that failed for good, the latest first."""
    query = _job_select().where(job.c.state == TaskState.FAILED.value, job.c.ended_at.is_not(None))
    return [_job(row) for row in conn.execute(query.order_by(job.c.ended_at.desc()).limit(limit))]


def last_run(conn: Connection, kind: str) -> Job | None:
    """The run of a kind that ended last."""
    query = _job_select().where(job.c.kind == kind, job.c.ended_at.is_not(None))
    row = conn.execute(query.order_by(job.c.ended_at.desc()).limit(1)).first()
    return None if row is None else _job(row)


def depths(conn: Connection) -> list[Depth]:
    """Jobs by queue and state. Ended ones are forgotten after a while, so this stays small."""
    query = (
        select(job.c.queue, job.c.state, func.count().label("jobs"), func.min(job.c.created_at).label("oldest"))
        .group_by(job.c.queue, job.c.state)
        .order_by(job.c.queue, job.c.state)
    )
    return [Depth(row.queue, TaskState(row.state), int(row.jobs), row.oldest) for row in conn.execute(query)]


def rooms(conn: Connection, *, after: tuple[int, int] | None, limit: int) -> list[Room]:
    """All projects, those that take most first.

    Args:
        after: Bytes and number of the last one already seen.
    """
    used = (
        select(
            version.c.project.label("project"),
            func.count().label("versions"),
            func.sum(version.c.n_entries).label("files"),
            func.sum(version.c.n_bytes).label("n_bytes"),
            func.sum(case((version.c.trashed_at.is_not(None), version.c.n_bytes), else_=0)).label("trash_bytes"),
        )
        .group_by(version.c.project)
        .subquery("used")
    )
    taken = func.coalesce(used.c.n_bytes, 0)
    query = (
        select(
            project.c.id,
            project.c.slug,
            project.c.name,
            project.c.allocation,
            project.c.trashed_at,
            team.c.name.label("owner"),
            team.c.personal_of,
            func.coalesce(used.c.versions, 0).label("versions"),
            func.coalesce(used.c.files, 0).label("files"),
            taken.label("n_bytes"),
            func.coalesce(used.c.trash_bytes, 0).label("trash_bytes"),
        )
        .join_from(project, team, project.c.team == team.c.id)
        .outerjoin(used, used.c.project == project.c.id)
        .order_by(taken.desc(), project.c.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(or_(taken < after[0], and_(taken == after[0], project.c.id > after[1])))
    return [
        Room(
            n=row.id,
            slug=row.slug,
            name=row.name,
            owner=row.owner,
            is_personal=row.personal_of is not None,
            is_trashed=row.trashed_at is not None,
            allocation=row.allocation,
            versions=int(row.versions),
            files=int(row.files),
            n_bytes=int(row.n_bytes),
            trash_bytes=int(row.trash_bytes),
        )
        for row in conn.execute(query)
    ]


def counts(conn: Connection) -> Counts:
    def of(query: Select[Any]) -> int:
        return int(conn.execute(query).scalar_one())

    everybody = select(func.count()).select_from(user)
    return Counts(
        users=of(everybody),
        active_users=of(everybody.where(user.c.is_active)),
        projects=of(select(func.count()).select_from(project).where(project.c.trashed_at.is_(None))),
        versions=of(select(func.count()).select_from(version).where(version.c.trashed_at.is_(None))),
    )
