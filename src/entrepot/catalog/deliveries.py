"""Rows of deliveries: made in the transaction of their event, sent one after the other in their lane.

    event ──same transaction──► delivery (waiting) + a job that says "look at this webhook"
    the run that holds the webhook: the first waiting one of each lane, when it is due ──► delivered | failed | later

An event whose transaction is taken back leaves neither. One that is committed has both, so it needs no cursor over the
log, and it does not matter in which order transactions commit: each brings its own job. In a lane the order is that of
the events' numbers. Numbers are given while the version is held, so what happened to a version is sent in the order in
which it happened; two transactions on different versions of a dataset at the same moment have no order to keep.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Table, delete, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from entrepot.catalog import bulk, queue
from entrepot.catalog import webhooks as hooks
from entrepot.catalog.many import PART
from entrepot.catalog.schema import dataset, delivery, event, version
from entrepot.model import ids
from entrepot.model.errors import NotFound
from entrepot.model.ids import Noun
from entrepot.model.webhooks import Delivery, DeliveryState, matches

#: The queue of those who send.
QUEUE = "webhooks"
JOB = "webhook.deliver"

#: A job that sends is never given up: what it would leave could wait for ever.
_TIRELESS = 1_000_000

_WAITING = DeliveryState.WAITING.value
# A literal, because SQLite's planner uses a partial index only where the text of its condition stands in the query.
_IS_WAITING = text("delivery.state = 'waiting'")


def _value(row: Row[Any]) -> Delivery:
    return Delivery(
        n=row.id,
        uid=row.uid,
        webhook=row.webhook,
        verb=row.verb,
        event=row.event,
        lane=row.lane,
        state=DeliveryState(row.state),
        due=row.due,
        attempts=row.attempts,
        replays=row.replays,
        status=row.status,
        error=row.error,
        excerpt=row.excerpt,
        took_ms=row.took_ms,
        version_uid=row.version_uid,
        dataset_uid=row.dataset_uid,
        created_at=row.created_at,
        ended_at=row.ended_at,
    )


#: Webhooks and their patterns.
Listeners = Sequence[tuple[int, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Happened:
    """What a delivery needs of an event."""

    n: int
    at: datetime
    verb: str
    dataset: int | None
    version: int | None
    before: Mapping[str, Any] | None


# Made with the event


@dataclass(frozen=True, slots=True)
class Announced:
    """An event that was just written."""

    n: int
    verb: str
    at: datetime
    project: int | None
    dataset: int | None
    version: int | None
    subject: str | None
    before: Mapping[str, Any] | None


def fan_out(conn: Connection, events: Sequence[Announced]) -> int:
    """Make the deliveries of events that were just written, oldest first; how many."""
    listeners: dict[int, Listeners] = {}
    wanted = [(hook, one) for one in events for hook in _listening(conn, one, listeners)]
    if not wanted:
        return 0
    told = list({one.n: one for _, one in wanted}.values())
    versions = _uids(conn, version, (one.version for one in told))
    datasets = _uids(conn, dataset, (one.dataset for one in told))
    rows = [_waiting(hook, one, one.at, versions, datasets) for hook, one in wanted]
    conn.execute(insert(delivery), rows)
    # Whoever looks at a webhook finds all that waits there.
    for hook, one in dict(wanted).items():
        call(conn, hook, job_uid=_uid(hook, one.n, b"job"), now=one.at)
    return len(rows)


def _waiting(
    hook: int, one: Announced | Happened, now: datetime, versions: Mapping[int, UUID], datasets: Mapping[int, UUID]
) -> dict[str, Any]:
    """The row of a delivery that may be sent at once."""
    return {
        "uid": _uid(hook, one.n),
        "webhook": hook,
        "event": one.n,
        "verb": one.verb,
        "lane": one.dataset or 0,
        "state": _WAITING,
        "due": now,
        "created_at": now,
        "version_uid": _version_of(one, versions),
        "dataset_uid": datasets.get(one.dataset or 0),
    }


def _listening(conn: Connection, one: Announced, known: dict[int, Listeners]) -> list[int]:
    """The webhooks that want an event.

    Args:
        known: Those of projects that were asked for already.
    """
    if one.project is not None:
        found = known.get(one.project)
        if found is None:
            found = known[one.project] = hooks.listening(conn, one.project)
    elif one.verb.startswith("member.") and one.subject is not None:
        found = hooks.listening_to_team(conn, _uid_in(Noun.TEAM, one.subject) or UUID(int=0))
    else:
        return []
    return [n for n, patterns in found if matches(patterns, one.verb)]


def call(conn: Connection, n: int, *, job_uid: UUID, now: datetime, due: datetime | None = None) -> None:
    """Have somebody look at a webhook, once this transaction is durable."""
    queue.enqueue(
        conn,
        uid=job_uid,
        queue=QUEUE,
        kind=JOB,
        payload={"webhook": n},
        now=now,
        due=due,
        max_attempts=_TIRELESS,
        shown=False,
    )


def call_at(conn: Connection, n: int, *, job_uid: UUID, now: datetime, due: datetime) -> None:
    """`call` for a time to come, at most once for each."""
    queue.enqueue_once(
        conn,
        uid=job_uid,
        queue=QUEUE,
        kind=JOB,
        payload={"webhook": n},
        dedupe=f"{JOB}:{n}@{due.timestamp():.6f}",
        now=now,
        due=due,
        max_attempts=_TIRELESS,
    )


def _uid(hook: int, event_n: int, purpose: bytes = b"delivery") -> UUID:
    """The same for the same event and webhook, so that neither can be made twice (RFC 9562, version 8)."""
    digest = hashlib.blake2b(f"{hook}:{event_n}".encode(), digest_size=16, person=purpose[:16]).digest()
    number = int.from_bytes(digest) & ~(0xF << 76) & ~(0b11 << 62)
    return UUID(int=number | 0x8 << 76 | 0b10 << 62)


def _uids(conn: Connection, table: Table, numbers: Iterable[int | None]) -> dict[int, UUID]:
    found: dict[int, UUID] = {}
    for part in bulk.chunks(sorted({n for n in numbers if n is not None}), PART):
        query = select(table.c.id, table.c.uid).where(table.c.id.in_(part))
        found |= {int(row.id): row.uid for row in conn.execute(query)}
    return found


def _version_of(one: Announced | Happened, known: Mapping[int, UUID]) -> UUID | None:
    if one.version is None:
        return None
    found = known.get(one.version)
    if found is None and one.before is not None:
        # A purge tells of itself when the row is gone.
        found = _uid_in(Noun.VERSION, str(one.before.get("id", "")))
    return found


def _uid_in(noun: Noun, given: str) -> UUID | None:
    try:
        return ids.decode(noun, given)
    except NotFound:
        return None


def insert_test(conn: Connection, hook: int, *, uid: UUID, lane: int, verb: str, now: datetime) -> int:
    """A delivery that is no event's, in a lane of its own (below 0): it waits for nothing and holds up nothing."""
    values = {
        "uid": uid,
        "webhook": hook,
        "verb": verb,
        "lane": lane,
        "state": _WAITING,
        "due": now,
        "created_at": now,
    }
    return int(conn.execute(insert(delivery).values(**values).returning(delivery.c.id)).scalar_one())


# Looking


def find(conn: Connection, *, n: int | None = None, uid: UUID | None = None) -> Delivery | None:
    row = conn.execute(select(delivery).where(delivery.c.id == n if uid is None else delivery.c.uid == uid)).first()
    return None if row is None else _value(row)


def page(
    conn: Connection, hook: int, *, states: Sequence[DeliveryState] = (), before: int | None, limit: int
) -> list[Delivery]:
    """Newest first."""
    query = select(delivery).where(delivery.c.webhook == hook).order_by(delivery.c.id.desc()).limit(limit)
    if states:
        query = query.where(delivery.c.state.in_([state.value for state in states]))
    if before is not None:
        query = query.where(delivery.c.id < before)
    return [_value(row) for row in conn.execute(query)]


def head(conn: Connection, hook: int, lane: int) -> Delivery | None:
    """The first that waits in a lane: the only one that may be sent."""
    query = (
        select(delivery)
        .where(delivery.c.webhook == hook, delivery.c.lane == lane, _IS_WAITING)
        .order_by(delivery.c.event, delivery.c.id)
        .limit(1)
    )
    row = conn.execute(query).first()
    return None if row is None else _value(row)


def lanes(conn: Connection, hook: int, *, after: int | None, limit: int) -> list[tuple[int, datetime]]:
    """Lanes in which something waits, with the time when the first of each is due; one seek for each."""
    found: list[tuple[int, datetime]] = []
    while len(found) < limit:
        query = select(delivery.c.lane, delivery.c.due).where(delivery.c.webhook == hook, _IS_WAITING)
        if after is not None:
            query = query.where(delivery.c.lane > after)
        row = conn.execute(query.order_by(delivery.c.lane, delivery.c.event, delivery.c.id).limit(1)).first()
        if row is None:
            break
        after = row.lane
        found.append((row.lane, row.due))
    return found


def waiting(conn: Connection) -> int:
    """How many wait, for metrics."""
    return int(conn.execute(select(func.count()).select_from(delivery).where(_IS_WAITING)).scalar_one())


# Sending


def delivered(conn: Connection, n: int, values: Mapping[str, Any], now: datetime) -> bool:
    """The receiver took it. False when it was ended meanwhile."""
    ended = {"state": DeliveryState.DELIVERED.value, "ended_at": now, "error": None}
    statement = (
        update(delivery)
        .where(delivery.c.id == n, delivery.c.state == _WAITING)
        .values(attempts=delivery.c.attempts + 1, **ended, **values)
    )
    return conn.execute(statement).rowcount == 1


def refused(conn: Connection, n: int, values: Mapping[str, Any], *, due: datetime | None, now: datetime) -> bool:
    """The receiver did not take it.

    Args:
        due: When to try again; None gives up.
    """
    ending: dict[str, Any] = {"state": DeliveryState.FAILED.value, "ended_at": now} if due is None else {"due": due}
    statement = (
        update(delivery)
        .where(delivery.c.id == n, delivery.c.state == _WAITING)
        .values(attempts=delivery.c.attempts + 1, **ending, **values)
    )
    return conn.execute(statement).rowcount == 1


def replay(conn: Connection, n: int, now: datetime) -> None:
    """Put one back into its place in its lane, as if it had never been tried."""
    again = {"state": _WAITING, "due": now, "attempts": 0, "replays": delivery.c.replays + 1, "ended_at": None}
    conn.execute(update(delivery).where(delivery.c.id == n).values(**again))


def hurry(conn: Connection, n: int, now: datetime) -> None:
    """Try a waiting one at once, with all its attempts before it again."""
    conn.execute(update(delivery).where(delivery.c.id == n).values(due=now, attempts=0))


def replay_events(
    conn: Connection, hook: int, events: Sequence[Happened], now: datetime, *, states: Sequence[DeliveryState]
) -> int:
    """Send these events (anew): deliveries in one of the states, and events that have none; how many."""
    build = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    versions = _uids(conn, version, (one.version for one in events))
    datasets = _uids(conn, dataset, (one.dataset for one in events))
    done = 0
    for one in events:
        known = conn.execute(select(delivery.c.id, delivery.c.state).where(delivery.c.uid == _uid(hook, one.n))).first()
        if known is not None:
            if known.state in [state.value for state in states]:
                replay(conn, known.id, now)
                done += 1
            continue
        values = _waiting(hook, one, now, versions, datasets) | {"attempts": 0, "replays": 1}
        made = build(delivery).values(**values).on_conflict_do_nothing().returning(delivery.c.id)
        done += conn.execute(made).first() is not None
    return done


def events_since(conn: Connection, project: int, since: datetime, *, limit: int) -> list[Happened]:
    """Events of a project from a time on, oldest first; reads no more of the log than they are.

    Args:
        limit: The newest so many.
    """
    found: list[Happened] = []
    before: int | None = None
    while len(found) < limit:
        query = (
            select(event.c.id, event.c.at, event.c.verb, event.c.dataset, event.c.version, event.c.before)
            .where(event.c.project == project)
            .order_by(event.c.id.desc())
            .limit(500)
        )
        if before is not None:
            query = query.where(event.c.id < before)
        rows = [Happened(*row) for row in conn.execute(query)]
        found += [row for row in rows if row.at >= since]
        if len(rows) < 500 or rows[-1].at < since:
            break
        before = rows[-1].n
    return found[:limit][::-1]


# Their end


def forget(conn: Connection, *, ended_before: datetime, limit: int) -> int:
    """Remove up to `limit` that ended long ago; how many."""
    old = select(delivery.c.id).where(delivery.c.ended_at < ended_before).order_by(delivery.c.ended_at).limit(limit)
    return conn.execute(delete(delivery).where(delivery.c.id.in_(old.scalar_subquery()))).rowcount


def has_waiting(conn: Connection, hook: int) -> bool:
    query = select(delivery.c.id).where(delivery.c.webhook == hook, _IS_WAITING).limit(1)
    return conn.execute(query).first() is not None
