"""Sending: at least once, in order in each dataset, and nobody waits for somebody else's receiver.

    job ──► take the webhook (one run at a time) ──► each lane in a thread of its own: its first, then the next
                                                        taken: delivered │ not: later, and the lane waits for it
        ──► nothing is due: let go, and be called again when the next one is

What makes it so:

- A delivery and the job that calls for it are made in the transaction of their event. A job that finds its webhook held
  ends; the holder looks once more before it lets go, in a transaction that no other can take the webhook in.
- A holder is a run of a job, and counts only while that run does. When its process is killed the job goes back to the
  queue, and whoever takes it up begins where the rows say. What was sent and not noted is sent again: at least once.
- Only the first waiting delivery of a lane is ever sent, by the one run that holds the webhook.
- A run ends after a while although there is more, so that a few slow receivers do not keep all runners of a worker.

A request that the receiver took is noted whatever else happened meanwhile; one that it did not take is noted only by
the run that still holds the webhook.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import structlog

from entrepot import webhooks as signing
from entrepot.catalog import deliveries as rows
from entrepot.catalog import webhooks as hooks
from entrepot.catalog.connection import Connection
from entrepot.catalog.webhooks import Mark
from entrepot.catalog.work import Work
from entrepot.depot import messages
from entrepot.depot.context import Depot
from entrepot.depot.events import WORKER, record
from entrepot.depot.outgoing import Answered
from entrepot.depot.sealing import unseal
from entrepot.model import ids
from entrepot.model.endpoints import Endpoint, parse_endpoint
from entrepot.model.errors import EntrepotError, Unsupported
from entrepot.model.ids import Noun
from entrepot.model.webhooks import TEST, Delivery, Retries, Webhook

log = structlog.get_logger(__name__)

#: Datasets of one webhook that are sent side by side.
LANES = 8
#: After this a run begins nothing more. With one attempt under way it is over soon after.
SLICE_S = 5.0
#: The first pause after a refusal; it doubles.
_FIRST_PAUSE_MS = 1000
#: A webhook for which something was due so long ago and nobody sends was forgotten by everybody.
_FORGOTTEN = timedelta(seconds=20)
_LOOK_EVERY_S = 0.2

USER_AGENT = "Entrepot-Webhooks"


def deliver(depot: Depot, work: Work) -> None:
    """Send what is due to one webhook. A job handler."""
    n = int(work.payload["webhook"])
    if not depot.catalog.write(lambda conn: hooks.take(conn, n, work.mark)):
        return
    run = _Run(depot, n, work.mark)
    try:
        run.all_lanes(work)
    finally:
        run.stop.set()
    work.finish(lambda conn: _let_go(depot, conn, n, work.mark))


def _let_go(depot: Depot, conn: Connection, n: int, mark: Mark) -> Mapping[str, Any] | None:
    """Give the webhook up, and see that somebody looks when the next delivery is due."""
    if not hooks.hold(conn, n, mark):
        return None
    hooks.let_go(conn, n)
    found = hooks.find(conn, n=n)
    if found is None:
        return None
    due = _next_due(conn, found[0])
    if due is None:
        return None
    now = depot.now()
    uid = depot.new_uid()
    if due <= now:
        rows.call(conn, n, job_uid=uid, now=now)
    else:
        rows.call_at(conn, n, job_uid=uid, now=now, due=due)
    return None


def _next_due(conn: Connection, hook: Webhook) -> Any:
    """When the first of some lane is due. Of one that is switched off only tests are sent."""
    after: int | None = None
    earliest = None
    while True:
        found = rows.lanes(conn, hook.n, after=after, limit=200)
        for lane, due in found:
            if (hook.enabled or lane < 0) and (earliest is None or due < earliest):
                earliest = due
        if len(found) < 200:
            return earliest
        after = found[-1][0]


class _Run:
    """One run's work for one webhook.

    Threads of its own and not a pool: what hangs in a receiver must not keep a process from ending.
    """

    def __init__(self, depot: Depot, n: int, mark: Mark) -> None:
        self._depot = depot
        self._n = n
        self._mark = mark
        self.stop = threading.Event()
        self._ended: SimpleQueue[tuple[int, BaseException | None]] = SimpleQueue()

    def all_lanes(self, work: Work) -> None:
        """Return when nothing is due any more, or the time is over and what was begun has ended.

        Raises:
            Cancelled: The worker is ending, or another run has the job.
        """
        until = time.monotonic() + SLICE_S
        busy: set[int] = set()
        done = 0
        while True:
            work.progress(done)
            if time.monotonic() >= until:
                self.stop.set()
            for lane in () if self.stop.is_set() else self._due(busy):
                busy.add(lane)
                threading.Thread(target=self._lane, args=(lane,), name=f"webhook-{self._n}", daemon=True).start()
            if not busy:
                return
            try:
                lane, error = self._ended.get(timeout=_LOOK_EVERY_S)
            except Empty:
                continue
            busy.discard(lane)
            done += 1
            if error is not None:
                raise error

    def _due(self, busy: set[int]) -> list[int]:
        """Lanes whose first is due and that nobody is at, as many as there is room for."""
        now = self._depot.now()
        chosen: list[int] = []
        after: int | None = None
        with self._depot.catalog.read(snapshot=False) as conn:
            found = hooks.find(conn, n=self._n)
            if found is None:
                return []
            while len(chosen) + len(busy) < LANES:
                some = rows.lanes(conn, self._n, after=after, limit=50)
                chosen += [
                    lane for lane, due in some if due <= now and lane not in busy and (found[0].enabled or lane < 0)
                ]
                if len(some) < 50:
                    break
                after = some[-1][0]
        return chosen[: LANES - len(busy)]

    def _lane(self, lane: int) -> None:
        error: BaseException | None = None
        try:
            while not self.stop.is_set() and self._next(lane):
                pass
        except BaseException as raised:
            error = raised
        self._ended.put((lane, error))

    def _next(self, lane: int) -> bool:
        """Send the first of a lane, if it is due; whether to go on with the one after it."""
        found = self._look(lane)
        if found is None:
            return False
        answered = found.refusal or self._post(found)
        if answered.taken:
            self._depot.catalog.write(lambda conn: self._note_taken(conn, found, answered))
            return True
        return self._depot.catalog.write(lambda conn: self._note_refused(conn, found, answered))

    def _look(self, lane: int) -> _Due | None:
        depot = self._depot
        with depot.catalog.read() as conn:
            if not hooks.holds(conn, self._n, self._mark):
                return None
            found = hooks.find(conn, n=self._n)
            first = rows.head(conn, self._n, lane)
            if found is None or first is None or first.due > depot.now():
                return None
            hook, sealed = found
            if not hook.enabled and first.verb != TEST:
                return None
            body = messages.of_delivery(conn, depot, hook, first)
        try:
            key = unseal(depot, ids.encode(Noun.WEBHOOK, hook.uid), sealed)
        except EntrepotError as error:
            return _Due(hook, first, b"", body, Answered(None, str(error)))
        return _Due(hook, first, key, body)

    def _post(self, due: _Due) -> Answered:
        message_id = ids.encode(Noun.DELIVERY, due.delivery.uid)
        return post(self._depot, parse_endpoint(due.hook.endpoint), due.key, message_id, due.body)

    def _note_taken(self, conn: Connection, due: _Due, answered: Answered) -> None:
        ended = rows.delivered(conn, due.delivery.n, _said(answered), self._depot.now())
        # Only where there is something to forget: most deliveries then leave the webhook's row alone.
        if ended and due.hook.given_up and due.delivery.verb != TEST:
            hooks.change(conn, self._n, {"given_up": 0})

    def _note_refused(self, conn: Connection, due: _Due, answered: Answered) -> bool:
        """Whether the lane goes on: it does when this one is given up."""
        depot, delivery, now = self._depot, due.delivery, self._depot.now()
        if not hooks.hold(conn, self._n, self._mark):
            return False
        found = hooks.find(conn, n=self._n)
        current = rows.find(conn, n=delivery.n)
        if found is None or current is None:
            return False
        hook = found[0]
        pause = None if delivery.verb == TEST else pause_after(depot, hook.retries, current.attempts + 1)
        said = {**_said(answered), "error": answered.error or f"It answered {answered.status}."}
        if not rows.refused(conn, delivery.n, said, due=None if pause is None else now + pause, now=now):
            return False
        log.info(
            "a webhook did not take a delivery",
            webhook=ids.encode(Noun.WEBHOOK, hook.uid),
            delivery=ids.encode(Noun.DELIVERY, delivery.uid),
            attempt=current.attempts + 1,
            status=answered.status,
            error=said["error"],
            final=pause is None,
        )
        if pause is None and delivery.verb != TEST:
            self._given_up(conn, hook)
        return pause is None

    def _given_up(self, conn: Connection, hook: Webhook) -> None:
        """Count it; a receiver that takes nothing for long is switched off, and that is said aloud."""
        depot, count = self._depot, hook.given_up + 1
        hooks.change(conn, hook.n, {"given_up": count})
        limit = depot.policy.webhook_disable_after
        if limit is None or count < limit or not hook.enabled:
            return
        now = depot.now()
        reason = f"{count} deliveries in a row were given up."
        hooks.change(conn, hook.n, {"enabled": False, "disabled_reason": reason, "updated_at": now})
        subject = ids.encode(Noun.WEBHOOK, hook.uid)
        detail = {"reason": reason}
        record(conn, WORKER, "webhook.disabled", at=now, project=hook.project, subject=subject, detail=detail)
        log.warning("a webhook was switched off", webhook=subject, reason=reason)


@dataclass(frozen=True, slots=True)
class _Due:
    """What is to be sent now; with `refusal`, why it cannot be."""

    hook: Webhook
    delivery: Delivery
    key: bytes
    body: bytes
    refusal: Answered | None = None


def post(depot: Depot, endpoint: Endpoint, key: bytes, message_id: str, body: bytes) -> Answered:
    """One signed request."""
    if depot.courier is None:
        raise Unsupported("This process sends nothing to webhooks.")
    at = int(depot.now().timestamp())
    headers = {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        signing.ID: message_id,
        signing.TIMESTAMP: str(at),
        signing.SIGNATURE: signing.sign(key, message_id, at, body),
    }
    return depot.courier.post(endpoint, headers, body)


def pause_after(depot: Depot, retries: Retries, attempts: int) -> timedelta | None:
    """How long to wait after so many attempts; None when there were enough.

    Between half and the whole of what doubling gives, so that receivers that came back are not met by all at once.
    """
    if attempts > retries.max_retries:
        return None
    longest = min(_FIRST_PAUSE_MS * 2 ** min(attempts - 1, 40), retries.max_backoff_ms)
    chance = int.from_bytes(depot.entropy(4)) / 2**32
    return timedelta(milliseconds=longest * (0.5 + chance / 2))


def _said(answered: Answered) -> dict[str, Any]:
    return {"status": answered.status, "excerpt": answered.excerpt, "took_ms": round(answered.took_s * 1000)}


def tend(depot: Depot, *, limit: int) -> int:
    """Forget deliveries that ended long ago, and call for webhooks that everybody forgot; how many were forgotten.

    The second should never find anything: it makes up for clocks of two machines that disagree, and for mistakes.
    """
    now = depot.now()
    before = now - depot.policy.webhook_retention
    done = depot.catalog.write(lambda conn: rows.forget(conn, ended_before=before, limit=limit))
    after = 0
    while True:
        with depot.catalog.read() as conn:
            some = hooks.unheld(conn, after=after, limit=200)
            late = [n for n in some if _is_late(depot, conn, n)]
        for n in late:
            depot.catalog.write(partial(rows.call, n=n, job_uid=depot.new_uid(), now=now))
            depot.wake(rows.QUEUE)
        if len(some) < 200:
            return done
        after = some[-1]


def _is_late(depot: Depot, conn: Connection, n: int) -> bool:
    if not rows.has_waiting(conn, n):
        return False
    found = hooks.find(conn, n=n)
    due = None if found is None else _next_due(conn, found[0])
    return due is not None and due < depot.now() - _FORGOTTEN
