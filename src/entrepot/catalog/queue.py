"""Jobs as rows: enqueued in the transaction of their fact, leased by workers, finished under a fence.

    ready ──claim──► running ──finish──► done | failed | cancelled
      ▲                 │
      └── put back, or its worker is gone

The fence is a number that every claim raises. A worker that lost its lease and comes late finds another number, and the
transaction in which it wanted to write its result is rolled back: a job's facts are written by exactly one run.

Leases are judged by one clock: on PostgreSQL, which several machines share, the database's own; on SQLite the clock of
this machine, which the caller hands in. Everything else (due, started, ended) is the caller's time on both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    bindparam,
    cast,
    extract,
    func,
    insert,
    literal,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from structlog.contextvars import get_contextvars

from entrepot.catalog.deeds import Deed, note
from entrepot.catalog.listening import notify
from entrepot.catalog.prepared import Prepared
from entrepot.catalog.schema import job
from entrepot.catalog.schema.types import Instant, to_micros
from entrepot.catalog.statements import Sql
from entrepot.model import ids
from entrepot.model.ids import Noun

#: What listeners on PostgreSQL listen to: a job was enqueued.
CHANNEL = "entrepot_jobs"

# Literals, because SQLite's planner uses a partial index only where the text of its condition stands in the query.
_READY = text("job.state = 'ready'")
_RUNNING = text("job.state = 'running'")


@dataclass(frozen=True, slots=True)
class Claimed:
    """One run of a job: only who holds this fence may end it.

    Args:
        attempt: Which run this is, from 1; runs that ended because their worker was shut down do not count.
        cancel: Whether somebody asked the job to stop before this run began.
        request: The id of the request that asked for it, or asked for what asked for it; None for periodic ones.
    """

    n: int
    queue: str
    kind: str
    payload: Mapping[str, Any]
    fence: int
    attempt: int
    max_attempts: int
    cancel: bool = False
    request: str | None = None


#: Every commit of files asks for a job.
_ENQUEUE = Prepared(
    insert(job).returning(job.c.id),
    (
        "uid",
        "queue",
        "kind",
        "payload",
        "state",
        "due",
        "starter",
        "project",
        "version",
        "max_attempts",
        "shown",
        "created_at",
        "fence",
        "attempt",
        "cancel",
        "request",
    ),
)


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
    """A job that runs once this transaction is durable; answers its number.

    It keeps the id of the request that the log is bound to, so that what a worker logs about it can be found by that.
    Listeners on PostgreSQL hear of it with the commit; workers beside an SQLite file are woken by the caller.
    """
    row = _ENQUEUE(
        conn,
        {
            "uid": uid,
            "queue": queue,
            "kind": kind,
            "payload": dict(payload),
            "state": "ready",
            "due": due or now,
            "starter": starter,
            "project": project,
            "version": version,
            "max_attempts": max_attempts,
            "shown": shown,
            "created_at": now,
            "fence": 0,
            "attempt": 0,
            "cancel": False,
            "request": get_contextvars().get("request_id"),
        },
    )
    n = int(row.scalar())
    if shown:
        note(conn, Deed("task.started", project, version, subject=ids.encode(Noun.TASK, uid)))
    notify(conn, CHANNEL)
    return n


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
) -> bool:
    """A hidden job, unless one with this `dedupe` was ever enqueued and not forgotten since.

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
            shown=False,
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=["dedupe"])
        .returning(job.c.id)
    )
    if conn.execute(statement).scalar() is None:
        return False
    notify(conn, CHANNEL)
    return True


def waiting(conn: Connection, queues: Sequence[str], now: datetime) -> set[str]:
    """Those of the queues that have a job due: a plain read, so that idle workers take no write lock on SQLite."""
    return {row[0] for row in _WAITING(conn, paths=list(queues), now=to_micros(now)).tuples}


# Asked twice a second and at every nudge, as long as there is a server.
_WAITING = Sql(
    "SELECT listed.value FROM {paths} "
    "WHERE (SELECT id FROM job WHERE queue = listed.value AND state = 'ready' AND due <= :now LIMIT 1) IS NOT NULL"
)


def known(conn: Connection, dedupe: str) -> bool:
    """Whether a job with this mark is there: a plain read before `enqueue_once`."""
    return conn.execute(select(job.c.id).where(job.c.dedupe == dedupe)).first() is not None


def claim(
    conn: Connection, queue: str, *, worker: str, now: datetime, lease: timedelta, due_by: datetime | None = None
) -> Claimed | None:
    """Take the job of this queue that is due longest; None if there is none. Two workers never get the same.

    Args:
        due_by: Take none that is due later than this; None is now.
    """
    oldest = (
        select(job.c.id)
        .where(job.c.queue == queue, _READY, job.c.due <= (due_by or now))
        .order_by(job.c.due, job.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    statement = (
        update(job)
        .where(job.c.id == oldest)
        .values(
            state="running",
            fence=job.c.fence + 1,
            attempt=job.c.attempt + 1,
            lease=_lease_clock(conn, now, lease),
            worker=worker,
            started_at=func.coalesce(job.c.started_at, literal(now, Instant())),
        )
        .returning(job)
    )
    row = conn.execute(statement).first()
    if row is None:
        return None
    return Claimed(
        row.id, row.queue, row.kind, row.payload, row.fence, row.attempt, row.max_attempts, row.cancel, row.request
    )


def _lease_clock(conn: Connection, now: datetime, more: timedelta = timedelta(0)) -> Any:
    """The present by which leases are judged, and `more`."""
    if conn.dialect.name != "postgresql":
        return now + more
    micros = cast(extract("epoch", func.clock_timestamp()) * 1_000_000, BigInteger)
    return type_coerce(micros + more // timedelta(microseconds=1), Instant())


def _mine(run: Claimed) -> ColumnElement[bool]:
    return (job.c.id == run.n) & (job.c.fence == run.fence) & (job.c.state == "running")


def heartbeat(
    conn: Connection, run: Claimed, *, now: datetime, lease: timedelta, progress: Mapping[str, Any] | None = None
) -> bool | None:
    """Extend the lease and note progress. Answers whether somebody asked to cancel; None when the run lost the job."""
    values: dict[str, Any] = {"lease": _lease_clock(conn, now, lease)}
    if progress is not None:
        values["progress"] = dict(progress)
    return conn.execute(update(job).where(_mine(run)).values(**values).returning(job.c.cancel)).scalar()


def look(conn: Connection, run: Claimed) -> bool | None:
    """What `heartbeat` answers, without writing."""
    return conn.execute(select(job.c.cancel).where(_mine(run))).scalar()


def finish(
    conn: Connection,
    run: Claimed,
    *,
    state: str,
    now: datetime,
    result: Mapping[str, Any] | None = None,
    error: Mapping[str, Any] | None = None,
    progress: Mapping[str, Any] | None = None,
) -> bool:
    """End the job in this transaction. False when the run lost it: the caller must roll back."""
    values: dict[str, Any] = {
        "state": state,
        "ended_at": now,
        "lease": None,
        "result": None if result is None else dict(result),
        "error": None if error is None else dict(error),
    }
    if progress is not None:
        values["progress"] = dict(progress)
    return conn.execute(update(job).where(_mine(run)).values(**values)).rowcount == 1


def put_back(
    conn: Connection, run: Claimed, *, due: datetime, error: Mapping[str, Any] | None, spent: bool = True
) -> bool:
    """Back to the queue, after something that may pass. False when the run lost the job.

    Args:
        spent: Whether this attempt counts; one that a shutdown cut short does not.
    """
    values: dict[str, Any] = {"state": "ready", "due": due, "lease": None, "worker": None}
    values["error"] = None if error is None else dict(error)
    if not spent:
        values["attempt"] = job.c.attempt - 1
    return conn.execute(update(job).where(_mine(run)).values(**values)).rowcount == 1


def any_expired(conn: Connection, now: datetime) -> bool:
    """Whether some lease is over: a plain read before `take_back_expired`."""
    if conn.dialect.name != "sqlite":
        query = select(job.c.id).where(_RUNNING, job.c.lease < _lease_clock(conn, now)).limit(1)
        return conn.execute(query).first() is not None
    return _EXPIRED(conn, {"now": now}).first() is not None


_EXPIRED = Prepared(select(job.c.id).where(_RUNNING, job.c.lease < bindparam("now")).limit(1))


def take_back_expired(conn: Connection, now: datetime) -> int:
    """Give jobs of dead or stalled workers back to the queue; answers how many. Who claims one judges its attempts."""
    over = update(job).where(_RUNNING, job.c.lease < _lease_clock(conn, now))
    return conn.execute(over.values(state="ready", lease=None, worker=None)).rowcount


def take_back_from(conn: Connection, workers: Sequence[str]) -> int:
    """As `take_back_expired`, without waiting for the leases: these workers are known to be gone."""
    theirs = update(job).where(_RUNNING, job.c.worker.in_(workers))
    return conn.execute(theirs.values(state="ready", lease=None, worker=None)).rowcount


def depths(conn: Connection) -> dict[tuple[str, str], int]:
    """Jobs by (queue, state), for metrics: waiting and running ones only."""
    found: dict[tuple[str, str], int] = {}
    for state, literally in (("ready", _READY), ("running", _RUNNING)):
        query = select(job.c.queue, func.count()).where(literally).group_by(job.c.queue)
        found |= {(row[0], state): int(row[1]) for row in conn.execute(query)}
    return found


def oldest_due(conn: Connection) -> datetime | None:
    """Since when the job that waits longest could have run, for health; None if none waits."""
    at: datetime | None = conn.execute(select(func.min(job.c.due)).where(_READY)).scalar()
    return at
