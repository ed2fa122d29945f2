"""Jobs as rows: enqueued in the transaction of their fact, leased by workers, finished under a fence.

    ready ──claim──► running ──finish──► done | failed | cancelled
      ▲                 │
      └── retry, expired lease

The fence is a number that every claim raises. A worker that lost its lease and comes late finds another number, and the
transaction in which it wanted to write its result is rolled back: a job's facts are written by exactly one run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from entrepot.catalog.schema import job


@dataclass(frozen=True, slots=True)
class Claimed:
    """One run of a job: only who holds this fence may end it."""

    n: int
    queue: str
    kind: str
    payload: Mapping[str, Any]
    fence: int
    attempt: int
    max_attempts: int


def enqueue(
    conn: Connection,
    *,
    uid: UUID,
    queue: str,
    kind: str,
    payload: Mapping[str, Any],
    now: datetime,
    due: datetime | None = None,
    starter: int | None = None,
    project: int | None = None,
    version: int | None = None,
    max_attempts: int = 5,
    shown: bool = True,
) -> int:
    """A job that runs once this transaction is durable; answers its number."""
    statement = (
        insert(job)
        .values(
            uid=uid,
            queue=queue,
            kind=kind,
            payload=dict(payload),
            state="ready",
            due=due or now,
            starter=starter,
            project=project,
            version=version,
            max_attempts=max_attempts,
            shown=shown,
            created_at=now,
        )
        .returning(job.c.id)
    )
    return int(conn.execute(statement).scalar_one())


def enqueue_once(
    conn: Connection,
    *,
    uid: UUID,
    queue: str,
    kind: str,
    dedupe: str,
    now: datetime,
    payload: Mapping[str, Any] | None = None,
    due: datetime | None = None,
    max_attempts: int = 5,
    shown: bool = False,
) -> bool:
    """As `enqueue`, unless a job with this `dedupe` was ever enqueued (periodic: name and slot) or still waits.

    From many workers at once, exactly one succeeds. Answers whether it was this one.
    """
    build = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    statement = (
        build(job)
        .values(
            uid=uid,
            queue=queue,
            kind=kind,
            payload=dict(payload or {}),
            state="ready",
            due=due or now,
            dedupe=dedupe,
            max_attempts=max_attempts,
            shown=shown,
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=["dedupe"])
        .returning(job.c.id)
    )
    return conn.execute(statement).scalar() is not None


def waiting(conn: Connection, queues: Sequence[str], now: datetime) -> bool:
    """Whether a job is due: a plain read, so that idle workers take no write lock on SQLite."""
    query = select(job.c.id).where(job.c.queue.in_(queues), text("job.state = 'ready'"), job.c.due <= now).limit(1)
    return conn.execute(query).first() is not None


def known(conn: Connection, dedupe: str) -> bool:
    """Whether a job with this mark is there: a plain read before `enqueue_once`."""
    return conn.execute(select(job.c.id).where(job.c.dedupe == dedupe)).first() is not None


def claim(
    conn: Connection, queues: Sequence[str], *, worker: str, now: datetime, lease_until: datetime
) -> Claimed | None:
    """Take the oldest due job; None if there is none. Two workers never get the same."""
    oldest = (
        select(job.c.id)
        .where(job.c.queue.in_(queues), text("job.state = 'ready'"), job.c.due <= now)
        .order_by(job.c.due, job.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    n = conn.execute(oldest).scalar()
    if n is None:
        return None
    statement = (
        update(job)
        .where(job.c.id == n, job.c.state == "ready")
        .values(
            state="running",
            fence=job.c.fence + 1,
            attempt=job.c.attempt + 1,
            lease=lease_until,
            worker=worker,
            started_at=func.coalesce(job.c.started_at, bindparam(None, now, type_=job.c.started_at.type)),
        )
        .returning(job)
    )
    row = conn.execute(statement).first()
    if row is None:
        return None
    return Claimed(row.id, row.queue, row.kind, row.payload, row.fence, row.attempt, row.max_attempts)


def _mine(run: Claimed) -> Any:
    return (job.c.id == run.n) & (job.c.fence == run.fence) & (job.c.state == "running")


def heartbeat(
    conn: Connection, run: Claimed, *, now: datetime, lease: timedelta, progress: Mapping[str, Any] | None = None
) -> bool | None:
    """Extend the lease and note progress. Answers whether somebody asked to cancel; None when the run lost the job."""
    values: dict[str, Any] = {"lease": now + lease}
    if progress is not None:
        values["progress"] = dict(progress)
    return conn.execute(update(job).where(_mine(run)).values(**values).returning(job.c.cancel)).scalar()


def finish(
    conn: Connection,
    run: Claimed,
    *,
    state: str,
    now: datetime,
    result: Mapping[str, Any] | None = None,
    error: Mapping[str, Any] | None = None,
) -> bool:
    """End the job in this transaction. False when the run lost it: the caller must roll back."""
    values: dict[str, Any] = {
        "state": state,
        "ended_at": now,
        "lease": None,
        "result": None if result is None else dict(result),
        "error": None if error is None else dict(error),
    }
    return conn.execute(update(job).where(_mine(run)).values(**values)).rowcount == 1


def retry(conn: Connection, run: Claimed, *, due: datetime, error: Mapping[str, Any], spent: bool = True) -> bool:
    """Put the job back for later, after something that may pass. `spent` says whether this attempt counts."""
    values: dict[str, Any] = {"state": "ready", "due": due, "lease": None, "worker": None, "error": dict(error)}
    if not spent:
        values["attempt"] = job.c.attempt - 1
    return conn.execute(update(job).where(_mine(run)).values(**values)).rowcount == 1


def take_back_expired(conn: Connection, now: datetime) -> int:
    """Give jobs of dead or stalled workers back to the queue; answers how many. Who claims one judges its attempts."""
    over = update(job).where(text("job.state = 'running'"), job.c.lease < now)
    return conn.execute(over.values(state="ready", lease=None, worker=None)).rowcount


def database_now(conn: Connection, clock: datetime) -> datetime:
    """The time by which leases are judged: the database's own where several machines share it."""
    if conn.dialect.name != "postgresql":
        return clock
    at: datetime = conn.execute(select(func.clock_timestamp())).scalar_one()
    return at


def oldest_heartbeat(conn: Connection) -> datetime | None:
    """The lease that ends first among running jobs, for health."""
    return conn.execute(select(func.min(job.c.lease)).where(text("job.state = 'running'"))).scalar()


def depths(conn: Connection) -> dict[tuple[str, str], int]:
    """Jobs by (queue, state), for metrics: waiting and running ones only."""
    query = (
        select(job.c.queue, job.c.state, func.count())
        .where(job.c.state.in_(["ready", "running"]))
        .group_by(job.c.queue, job.c.state)
    )
    return {(row[0], row[1]): int(row[2]) for row in conn.execute(query)}
