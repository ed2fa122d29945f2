"""Rows of batch jobs: how far each is, and what it said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, insert, select, update

from entrepot.catalog.schema import batch, batch_log, job
from entrepot.catalog.webhooks import Mark
from entrepot.model.values import Task
from entrepot.model.webhooks import Batch, Level, LogLine

#: Lines that the log of one job keeps; those that come after are counted only.
MOST_LINES = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """The next item to send.

    Args:
        file: The position of its entry in the revision.
        at_byte: Where in that file it begins.
        item: Its number, from 0.
        attempts: How often it was sent.
    """

    file: int = 0
    at_byte: int = 0
    item: int = 0
    attempts: int = 0
    delivered: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class BatchRow:
    job: int
    name: str
    webhook: int | None
    webhook_uid: UUID
    version_uid: UUID
    revision: int
    place: Place
    total: int | None
    logged: int
    stop_at: datetime | None


def _row(row: Row[Any]) -> BatchRow:
    place = Place(row.file, row.at_byte, row.item, row.attempts, row.delivered, row.failed)
    return BatchRow(
        job=row.job,
        name=row.name,
        webhook=row.webhook,
        webhook_uid=row.webhook_uid,
        version_uid=row.version_uid,
        revision=row.revision,
        place=place,
        total=row.total,
        logged=row.logged,
        stop_at=row.stop_at,
    )


def insert_batch(conn: Connection, values: Mapping[str, Any]) -> None:
    conn.execute(insert(batch).values(**values))


def find(conn: Connection, n: int) -> BatchRow | None:
    row = conn.execute(select(batch).where(batch.c.job == n)).first()
    return None if row is None else _row(row)


def of_tasks(conn: Connection, tasks: Iterable[Task]) -> list[Batch]:
    """These tasks as batch jobs, in the same order; those that are none are left out."""
    listed = list(tasks)
    rows = conn.execute(select(batch).where(batch.c.job.in_([task.n for task in listed])))
    known = {row.job: _row(row) for row in rows}
    return [_value(known[task.n], task) for task in listed if task.n in known]


def _value(row: BatchRow, task: Task) -> Batch:
    return Batch(
        task=task,
        name=row.name,
        version_uid=row.version_uid,
        revision=row.revision,
        webhook=row.webhook,
        webhook_uid=row.webhook_uid,
        delivered=row.place.delivered,
        failed=row.place.failed,
        total=row.total,
        stop_at=row.stop_at,
    )


def save(conn: Connection, mark: Mark, place: Place) -> bool:
    """Note how far a run is. False when the job is another run's by now."""
    n, fence = mark
    mine = select(job.c.id).where(job.c.id == n, job.c.fence == fence, job.c.state == "running")
    if conn.execute(mine.with_for_update()).first() is None:
        return False
    values = {name: getattr(place, name) for name in ("file", "at_byte", "item", "attempts", "delivered", "failed")}
    conn.execute(update(batch).where(batch.c.job == n).values(**values))
    return True


def stop_at(conn: Connection, n: int, at: datetime) -> None:
    conn.execute(update(batch).where(batch.c.job == n).values(stop_at=at))


def say(conn: Connection, n: int, lines: Iterable[tuple[datetime, Level, str, int | None]]) -> None:
    """Add lines to a job's log, as long as there is room."""
    found = find(conn, n)
    if found is None:
        return
    logged = found.logged
    for at, level, message, item in lines:
        if logged < MOST_LINES:
            conn.execute(insert(batch_log).values(job=n, at=at, level=int(level), message=message, item=item))
        logged += 1
    conn.execute(update(batch).where(batch.c.job == n).values(logged=logged))


def log(
    conn: Connection,
    n: int,
    *,
    before: datetime | None,
    after: datetime | None,
    least: Level,
    seen: int | None,
    limit: int,
) -> list[LogLine]:
    """Newest first.

    Args:
        before, after: Only lines of earlier, later times.
        seen: The number of the last line of the page before.
    """
    query = select(batch_log).where(batch_log.c.job == n, batch_log.c.level >= int(least))
    if before is not None:
        query = query.where(batch_log.c.at < before)
    if after is not None:
        query = query.where(batch_log.c.at > after)
    if seen is not None:
        query = query.where(batch_log.c.id < seen)
    found = conn.execute(query.order_by(batch_log.c.id.desc()).limit(limit))
    return [LogLine(row.id, row.at, Level(row.level), row.message, row.item) for row in found]
