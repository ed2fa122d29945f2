"""Every kind of background work in one table: what runs it, what clears up after it, when it comes by itself.

The worker's composition binds it to a depot and hands it to the runners, which know no depot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Protocol

from entrepot.catalog import deliveries as delivery_rows
from entrepot.catalog import queue
from entrepot.catalog import webhooks as webhook_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.entries import sweep_strands
from entrepot.catalog.work import UPKEEP, JobKind, Periodic, Work
from entrepot.depot import (
    checking,
    collection,
    crates,
    delivering,
    examining,
    idempotency,
    ingests,
    record_work,
    sample_imports,
    search,
    sending,
    sessions,
    splits,
    table_summaries,
    tables,
    upkeep,
    uploads,
)
from entrepot.depot.context import Depot
from entrepot.depot.events import task_ended
from entrepot.model.values import TaskState

#: Upkeep that may take long, by itself: versions must expire within a minute whatever is being collected.
COLLECTION = "collection"

#: Reading what is stored, slowly and for ever.
SCRUB = "scrub"

#: The queues there are; a worker runs one job of each at a time, but for those in `RUNNERS`.
QUEUES = (
    ingests.QUEUE,
    crates.QUEUE,
    sample_imports.QUEUE,
    UPKEEP,
    COLLECTION,
    SCRUB,
    delivery_rows.QUEUE,
    sending.QUEUE,
    record_work.QUEUE,
    examining.QUEUE,
    splits.QUEUE,
)

#: Of which queues a worker runs more than one job at a time: those that wait for others most of the time.
RUNNERS: Mapping[str, int] = {delivery_rows.QUEUE: 4, sending.QUEUE: 4}

#: How many seconds a queue rests between two rounds. Files that are committed one by one are examined some at a time: a
#: job for each takes as much of the processor, and of the lock on their version, as the commits themselves.
PAUSES: Mapping[str, float] = {examining.QUEUE: 0.5}

#: Things that one step of a periodic job does at most, and steps of one run; the rest waits for the next slot.
_BATCH, _STEPS = 500, 200


class _Step(Protocol):
    """Does up to `limit` things, each in a transaction of its own, and answers how many."""

    def __call__(self, depot: Depot, *, limit: int) -> int: ...


_STEPS_OF: Mapping[str, _Step] = {
    "upkeep.expire": upkeep.expire,
    "upkeep.announce": upkeep.announce,
    "upkeep.retention": upkeep.purge_trash,
    "upkeep.slots": upkeep.tend_slots,
    "upkeep.uploads": uploads.sweep,
    "upkeep.sessions": sessions.sweep,
    "upkeep.answers": idempotency.sweep,
    "upkeep.tasks": upkeep.forget_tasks,
    "upkeep.webhooks": delivering.tend,
}

PERIODIC = (
    Periodic("upkeep.expire", timedelta(seconds=20)),
    Periodic("upkeep.announce", timedelta(minutes=10)),
    Periodic("upkeep.retention", timedelta(hours=1)),
    Periodic("upkeep.slots", timedelta(minutes=10)),
    Periodic("upkeep.uploads", timedelta(minutes=5)),
    Periodic("upkeep.sessions", timedelta(minutes=30)),
    Periodic("upkeep.answers", timedelta(minutes=30)),
    Periodic("upkeep.tasks", timedelta(minutes=30)),
    Periodic("upkeep.webhooks", timedelta(seconds=30)),
    Periodic("collect.entries", timedelta(minutes=5), COLLECTION),
    Periodic("collect.bytes", timedelta(hours=1), COLLECTION),
    Periodic("scrub.bytes", timedelta(minutes=10), SCRUB),
)


def kinds(depot: Depot) -> dict[str, JobKind]:
    """All kinds of jobs, bound to this depot."""
    found = {name: JobKind(partial(_in_steps, depot, step)) for name, step in _STEPS_OF.items()}
    found["collect.entries"] = JobKind(partial(_collect_entries, depot))
    found["collect.bytes"] = JobKind(partial(_collect_bytes, depot))
    found["scrub.bytes"] = JobKind(partial(_scrub, depot))
    found[ingests.JOB] = JobKind(partial(ingests.run, depot), partial(ingests.abandoned, depot), partial(_ended, depot))
    found[tables.SORT_JOB] = JobKind(partial(tables.sort, depot), None, partial(_ended, depot))
    found[table_summaries.JOB] = JobKind(partial(table_summaries.run, depot), None, partial(_ended, depot))
    found[sample_imports.JOB] = JobKind(partial(sample_imports.run, depot), None, partial(_ended, depot))
    found[crates.JOB] = JobKind(partial(crates.run, depot), partial(crates.abandoned, depot), partial(_ended, depot))
    found[delivery_rows.JOB] = JobKind(partial(delivering.deliver, depot))
    found[examining.JOB] = JobKind(partial(examining.run, depot), None, partial(_ended, depot))
    found[sending.JOB] = JobKind(partial(sending.run, depot), None, partial(_ended, depot))
    found[splits.JOB] = JobKind(partial(splits.run, depot), None, partial(_ended, depot))
    found[search.LINE_JOB] = JobKind(partial(search.run_line, depot))
    found[search.MANY_JOB] = JobKind(partial(search.run_many, depot))
    found[record_work.JOB] = JobKind(partial(record_work.run, depot), None, partial(_ended, depot))
    return found


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much there is to do.

    Args:
        jobs: How many, by queue and state (`ready`, `running`).
        waiting: How long the job that waits longest could have run.
        deliveries: To webhooks, that wait for their first or next attempt.
        webhooks_disabled: Webhooks that are switched off, by whomever.
    """

    jobs: Mapping[tuple[str, str], int]
    waiting: timedelta
    deliveries: int = 0
    webhooks_disabled: int = 0


def backlog(depot: Depot) -> Backlog:
    """What waits and what runs; for operators."""
    now = depot.now()
    with depot.catalog.read() as conn:
        jobs, since = queue.depths(conn), queue.oldest_due(conn)
        deliveries, disabled = delivery_rows.waiting(conn), webhook_rows.disabled(conn)
    return Backlog(jobs, timedelta(0) if since is None else max(now - since, timedelta(0)), deliveries, disabled)


def _ended(depot: Depot, conn: Connection, n: int, _state: TaskState) -> None:
    task_ended(conn, n, depot.now())


def _in_steps(depot: Depot, step: _Step, work: Work) -> None:
    done = 0
    for _ in range(_STEPS):
        work.progress(done)
        more = step(depot, limit=_BATCH)
        done += more
        if more < _BATCH:
            break
    work.finish(lambda _conn: {"done": done})


def _collect_entries(depot: Depot, work: Work) -> None:
    removed = sweep_strands(depot.catalog)
    work.finish(lambda _conn: {"removed": removed})


def _collect_bytes(depot: Depot, work: Work) -> None:
    done = collection.collect(depot, lambda count: work.progress(count))
    work.finish(lambda _conn: {"objects": done.objects, "freed_bytes": done.freed_bytes, "condemned": done.condemned})


def _scrub(depot: Depot, work: Work) -> None:
    done = checking.scrub(depot, lambda contents, _: work.progress(contents))
    work.finish(lambda _conn: {"contents": done.contents, "bytes": done.n_bytes, "damaged": len(done.damaged)})
