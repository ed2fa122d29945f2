"""What an operator may see of the whole house: how it is, what it works on, and who takes how much room.

What an operator does is done by the use cases of each noun; here are the views that cross all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from entrepot.catalog import checking as checking_rows
from entrepot.catalog import oversight as rows
from entrepot.catalog import queue
from entrepot.catalog.checking import Totals
from entrepot.catalog.oversight import Counts, Depth, Job, Room
from entrepot.depot import paging
from entrepot.depot.background import QUEUES
from entrepot.depot.context import Depot
from entrepot.model import ids
from entrepot.model.access import Action, Actor, Standing, require
from entrepot.model.errors import NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Page, TaskState

__all__ = [
    "Counts",
    "Depth",
    "Job",
    "Overview",
    "Room",
    "enter",
    "get_job",
    "list_jobs",
    "list_rooms",
    "overview",
    "queues",
]

#: Failed jobs that an overview names.
_FAILURES = 5


@dataclass(frozen=True, slots=True)
class Overview:
    """The house at a glance.

    Args:
        waiting: How long the job that waits longest could have run.
        scrub: The last run of the job that reads stored bytes again, as long as it is remembered.
        collection: The same of the job that gives bytes back.
        scrub_every: After how long stored bytes are read again.
    """

    counts: Counts
    depths: Sequence[Depth]
    waiting: timedelta
    failures: Sequence[Job]
    totals: Totals
    scrub: Job | None
    collection: Job | None
    scrub_every: timedelta


def overview(depot: Depot, actor: Actor) -> Overview:
    """How the house is. Reads a row of every content: for a person who asks, not for a program that asks each second.

    Raises:
        Hidden: The actor is no operator.
    """
    _enter(actor)
    now = depot.now()
    with depot.catalog.read() as conn:
        oldest: datetime | None = queue.oldest_due(conn)
        return Overview(
            counts=rows.counts(conn),
            depths=rows.depths(conn),
            waiting=timedelta(0) if oldest is None else max(now - oldest, timedelta(0)),
            failures=rows.failures(conn, limit=_FAILURES),
            totals=checking_rows.totals(conn),
            scrub=rows.last_run(conn, "scrub.bytes"),
            collection=rows.last_run(conn, "collect.bytes"),
            scrub_every=depot.policy.scrub_every,
        )


def queues(actor: Actor) -> tuple[str, ...]:
    """The queues that there are, in order of name.

    Raises:
        Hidden
    """
    _enter(actor)
    return tuple(sorted(QUEUES))


def list_jobs(
    depot: Depot,
    actor: Actor,
    *,
    state: TaskState | None = None,
    queue: str | None = None,
    hidden: bool = True,
    cursor: str | None = None,
    limit: int = 100,
) -> Page[Job]:
    """All background work, newest first.

    Args:
        hidden: Also what comes by the clock and is nobody's task.

    Raises:
        Hidden
    """
    _enter(actor)
    wanted = paging.size(depot, limit)
    question = f"jobs:{state}:{queue}:{hidden}"
    seen = paging.after(cursor, question, int)
    with depot.catalog.read() as conn:
        found = rows.jobs(
            conn,
            state=state,
            queue=queue if queue in QUEUES else None,
            hidden=hidden,
            before=None if seen is None else seen[0],
            limit=wanted + 1,
        )
    return paging.page(found, wanted, question, lambda one: (one.n,))


def get_job(depot: Depot, actor: Actor, uid: UUID) -> Job:
    """One of them.

    Raises:
        Hidden
        NotFound: There is none, or it was forgotten.
    """
    _enter(actor)
    with depot.catalog.read() as conn:
        found = rows.find_job(conn, uid)
    if found is None:
        raise NotFound(f"There is no job {ids.encode(Noun.TASK, uid)}, or it ended long ago and was forgotten.")
    return found


def list_rooms(depot: Depot, actor: Actor, *, cursor: str | None = None, limit: int = 100) -> Page[Room]:
    """What each project takes, the greatest first, those in the trash too.

    Raises:
        Hidden
    """
    _enter(actor)
    wanted = paging.size(depot, limit)
    seen = paging.after(cursor, "rooms", int, int)
    with depot.catalog.read() as conn:
        found = rows.rooms(conn, after=None if seen is None else (seen[0], seen[1]), limit=wanted + 1)
    return paging.page(found, wanted, "rooms", lambda one: (one.n_bytes, one.n))


def enter(depot: Depot, actor: Actor) -> None:  # noqa: ARG001 - called like every other use case
    """Let operators pass, and tell nobody else that there is anything.

    Raises:
        Hidden
    """
    _enter(actor)


def _enter(actor: Actor) -> None:
    require(actor, Action.OPERATE, Standing(), "such page", visible=False)
