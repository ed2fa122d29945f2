"""What falls due by the clock, done by the worker: expiry, retention, slots that nobody filled, old tasks.

Each use case does at most `limit` things, each in a short transaction of its own that looks once more before it acts,
and answers how many it did. Being killed anywhere, or running twice at once, does no harm: the next run finds the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial

import structlog

from entrepot.catalog import falling_due, leaving
from entrepot.catalog import tasks as task_rows
from entrepot.catalog import uploads as upload_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.falling_due import EXPIRING
from entrepot.catalog.uploads import UploadRow
from entrepot.depot import ingests, lookup, trash
from entrepot.depot.context import Depot
from entrepot.depot.events import WORKER, tell
from entrepot.depot.uploads import FINISHED
from entrepot.model.errors import EntrepotError
from entrepot.model.values import Stage, State, Version

log = structlog.get_logger(__name__)

BATCH = 500

#: Jobs that are nobody's task (periodic ones) are kept so long: longer than any slot of theirs lasts.
HIDDEN_RETENTION = timedelta(days=2)


def expire(depot: Depot, *, limit: int = BATCH) -> int:
    """Put versions whose time is over into the trash, with the reason `expired`."""
    now = depot.now()
    with depot.catalog.read() as conn:
        due = falling_due.expired(conn, now, limit=limit)
    return _each(depot, "expire", due, partial(_expire, now=now))


def _expire(conn: Connection, version: Version, *, now: datetime) -> bool:
    if version.trash is not None or version.expires_at is None or version.expires_at > now:
        return False
    trash.trash_in(conn, WORKER, version, trash.EXPIRED, now)
    return True


def announce(depot: Depot, *, limit: int = BATCH) -> int:
    """Tell once of each version that will expire soon."""
    now, notice = depot.now(), depot.policy.expiry_notice
    with depot.catalog.read() as conn:
        due = falling_due.expiring(conn, now, notice, limit=limit)
    return _each(depot, "announce", due, partial(_announce, now=now, notice=notice))


def _announce(conn: Connection, version: Version, *, now: datetime, notice: timedelta) -> bool:
    if version.trash is not None or version.expires_at is None or not now < version.expires_at <= now + notice:
        return False
    if not falling_due.is_expiring(conn, version.n, now, notice):
        # Another worker was quicker.
        return False
    tell(conn, WORKER, EXPIRING, version, now, detail={"expires_at": version.expires_at.isoformat()})
    return True


def purge_trash(depot: Depot, *, limit: int = BATCH) -> int:
    """Purge what was in the trash for as long as the operator or the project keeps it. By default that is for ever."""
    now, default = depot.now(), depot.policy.trash_retention
    with depot.catalog.read() as conn:
        due = falling_due.out_of_retention(conn, now, default, limit=limit)
    return _each(depot, "retention", due, partial(_purge_trashed, now=now, default=default))


def _purge_trashed(conn: Connection, version: Version, *, now: datetime, default: timedelta | None) -> bool:
    if version.trash is None or not falling_due.is_out_of_retention(conn, version.n, now, default):
        return False
    trash.purge_in(conn, WORKER, version, now)
    return True


def tend_slots(depot: Depot, *, limit: int = BATCH) -> int:
    """See to versions whose slots' addresses have ended.

    Nothing came, or nobody started the ingest of what came: the version fails (stage transfer), and is purged a day
    later, for retries of some clients leave many such behind. Ready: the slots are not needed any more. Refused: the
    files are kept for a while for whoever wants to look at them.
    """
    now, policy, done, after = depot.now(), depot.policy, 0, 0
    while done < limit:
        with depot.catalog.read() as conn:
            due = falling_due.slots_over(
                conn,
                now,
                unstarted=policy.unstarted_lifetime,
                failed=policy.failed_lifetime,
                refused=policy.refused_lifetime,
                after=after,
                limit=min(limit, BATCH),
            )
        if not due:
            break
        done += _each(depot, "slots", due, partial(_tend, depot=depot, now=now))
        after = due[-1]
    return done


def _tend(conn: Connection, version: Version, *, depot: Depot, now: datetime) -> bool:
    slots = upload_rows.of_version(conn, version.n, "slot")
    if version.trash is not None or not slots or max(slot.expires_at for slot in slots) > now:
        return False
    policy, age = depot.policy, now - version.updated_at
    if version.state is State.READY:
        leaving.delete_uploads(conn, version.n, now)
    elif version.state is State.EMPTY:
        _fail(conn, depot, version, slots, "No file came before its address ended.", now)
    elif version.state is State.RECEIVING and _last_byte(version, slots) <= now - policy.unstarted_lifetime:
        _fail(conn, depot, version, slots, "Nobody started the check of the files that came.", now)
    elif version.state is not State.FAILED:
        return False
    elif version.stage is Stage.TRANSFER and version.number is None and age >= policy.failed_lifetime:
        trash.purge_in(conn, WORKER, version, now)
    elif version.stage is Stage.CONTENT and age >= policy.refused_lifetime:
        leaving.delete_uploads(conn, version.n, now)
    else:
        return False
    return True


def _last_byte(version: Version, slots: Iterable[UploadRow]) -> datetime:
    # Going from empty to receiving is the first byte; a file that was cut left no other trace.
    return max([version.updated_at, *(slot.touched_at for slot in slots if slot.state == FINISHED)])


def _fail(
    conn: Connection, depot: Depot, version: Version, slots: Iterable[UploadRow], why: str, now: datetime
) -> None:
    report = {"message": why, "missing": [slot.file_name for slot in slots if slot.state != FINISHED]}
    ingests.fail_transfer(conn, depot, WORKER, version, report, now)


def forget_tasks(depot: Depot, *, limit: int = BATCH) -> int:
    """Forget tasks that ended longer ago than the policy keeps them, and jobs that were nobody's task sooner."""
    now, kept = depot.now(), depot.policy.task_retention
    return depot.catalog.write(
        lambda conn: task_rows.forget(conn, ended_before=now - kept, hidden_before=now - HIDDEN_RETENTION, limit=limit)
    )


def _each(depot: Depot, doing: str, numbers: Iterable[int], act: Callable[[Connection, Version], bool]) -> int:
    """Do something to each version in a transaction of its own; how many it was done to.

    One that cannot be dealt with does not keep the others waiting.
    """

    def work(conn: Connection, n: int) -> bool:
        found = lookup.hold_due(conn, n)
        return found is not None and act(conn, found.version)

    done = 0
    for n in numbers:
        try:
            done += depot.catalog.write(partial(work, n=n))
        except EntrepotError as error:
            log.warning("upkeep of a version failed", doing=doing, version=n, error=str(error))
    return done
