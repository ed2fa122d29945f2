"""Which transfer runs when: priorities, a fair turn for each client, retries, pauses, and what is told about it all.

One thread decides; each running transfer has a thread of its own. Everything that must survive is in the journal before
anybody is told. What a run raises decides how it goes on:

    Stopped                    it was paused, cancelled, or has to make room: the journal says which
    a way that broke           waiting, for longer each time and not all at the same moment
    not logged in              waiting for `entrepot login`, once the server has let this transfer in; failed before
    somebody else answered     as a way that broke, once the server has let it in: a portal, a proxy without its server
    the source changed         from its start, with what the file holds now; a few times, then failed
    anything else              failed, with the words of the error
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import threading
import time
from collections import Counter as Count
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from entrepot.client.parallel import Stop, Stopped
from entrepot.daemon.counter import Counter, Snapshot
from entrepot.daemon.errors import facts_of
from entrepot.daemon.journal import ENDED, Journal, Transfer
from entrepot.daemon.limiter import Limiter
from entrepot.model.errors import (
    Conflict,
    DigestMismatch,
    EntrepotError,
    InProgress,
    Invalid,
    LengthMismatch,
    RateLimited,
    SourceChanged,
    Unauthenticated,
    Unavailable,
)

__all__ = ["DEFAULT_CHUNK", "Engine", "Runner"]

log = logging.getLogger(__name__)

DEFAULT_CHUNK = 64 << 20
SLOTS = 4
#: After this long a transfer makes room for others that wait for a slot.
SLICE_S = 20.0
#: But only once it has moved bytes for so many times as long as it took to get to the first one.
_WORTH = 4.0
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 300.0
_LOGIN_WAIT_S = 15.0
#: Until a journal that takes nothing is tried again.
_JOURNAL_S = 5.0
#: Answers in a row that are none of our server's: half a day of them.
_STRANGE = 200
_CHANGES = 5
_MISMATCHES = 3

Listening = Callable[[str, dict[str, Any], bool], None]


class Runner(Protocol):
    """Carries a transfer out: from wherever an earlier attempt stopped, to its result."""

    def __call__(self, transfer: Transfer, counter: Counter, stop: Stop) -> dict[str, Any]: ...


@dataclass(slots=True)
class _Run:
    transfer: Transfer
    stop: Stop
    counter: Counter
    since: float
    told_at: float = 0.0
    yields: bool = False


@dataclass(slots=True)
class _Troubles:
    """Failures of one transfer in this process that are counted apart from the attempts."""

    changes: int = 0
    mismatches: int = 0
    breaks: int = 0
    done_at_break: int = -1


@dataclass(slots=True)
class Engine:
    """The transfers of one journal.

    Args:
        run: Carries out a transfer.
        withdraw: Takes back what a transfer that will not end well has begun at the server; may raise anything.
        slots: How many run at once.
        slice_s: How long one may keep a slot that others wait for.
    """

    journal: Journal
    run: Runner
    withdraw: Callable[[Transfer], None]
    slots: int = SLOTS
    slice_s: float = SLICE_S
    #: Of no calendar: who sets the time of day back must not make anybody wait for it to come again.
    clock: Callable[[], float] = time.monotonic
    limiter: Limiter = field(default_factory=Limiter)
    chance: random.Random = field(default_factory=random.Random)
    _running: dict[str, _Run] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _listeners: dict[str, dict[object, Listening]] = field(default_factory=dict)
    _troubles: dict[str, _Troubles] = field(default_factory=dict)
    _waiting: dict[str, Transfer] = field(default_factory=dict)
    _ending: bool = False
    _thread: threading.Thread | None = None

    # --- its life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.journal.recover()
        self._waiting = {one.id: one for one in self.journal.transfers(ended=0)}
        self._thread = threading.Thread(target=self._schedule, name="engine", daemon=True)
        self._thread.start()

    def stop(self, patience_s: float = 2.0) -> None:
        """Stop between two blocks; the next daemon goes on. Whoever does not stop in time is cut off by the end."""
        with self._changed:
            self._ending = True
            for run in self._running.values():
                run.stop.set()
            self._changed.notify_all()
        deadline = time.monotonic() + patience_s
        with self._changed:
            while self._running and time.monotonic() < deadline:
                self._changed.wait(0.05)

    @property
    def active(self) -> int:
        return len(self._running)

    @property
    def busy(self) -> bool:
        """Whether anything is left to do; what is paused is not."""
        return bool(self._running) or any(not one.paused for one in list(self._waiting.values()))

    # --- what clients ask for -----------------------------------------------------------------------------------------

    def accept(self, kind: str, params: dict[str, Any], **facts: Any) -> Transfer:
        """Promise a transfer. A repeat with the same key is the transfer that there is.

        Raises:
            Conflict: The key was used for something else.
        """
        found, fresh = self.journal.accept(f"tr_{os.urandom(16).hex()}", kind, params, **facts)
        if fresh:
            with self._changed:
                self._waiting[found.id] = found
                self._changed.notify_all()
        return found

    def listen(self, transfer_id: str, who: object, listening: Listening) -> None:
        """Tell `listening(method, params, droppable)` of everything from now on; at once if it has ended already."""
        transfer = self.journal.get(transfer_id)
        with self._changed:
            self._listeners.setdefault(transfer_id, {})[who] = listening
            run = self._running.get(transfer_id)
        if run is not None:
            run.counter.tick()
        # Asked again, since it may have ended between the two.
        transfer = self.journal.get(transfer_id)
        if transfer.has_ended and self._forget_listener(transfer_id, who):
            listening("ended", ended(transfer), False)

    def leave(self, who: object) -> None:
        with self._changed:
            for transfer_id in list(self._listeners):
                self._forget_listener(transfer_id, who)

    def _forget_listener(self, transfer_id: str, who: object) -> bool:
        with self._changed:
            listeners = self._listeners.get(transfer_id, {})
            found = listeners.pop(who, None)
            if not listeners:
                self._listeners.pop(transfer_id, None)
        return found is not None

    def pause(self, transfer_id: str) -> Transfer:
        """Hold it until `resume`. What was sent stays sent."""
        with self._changed:
            transfer = self.journal.get(transfer_id)
            if transfer.has_ended:
                raise Conflict(f"Transfer {transfer.id} is {transfer.state}; there is nothing to pause.")
            run = self._running.get(transfer_id)
            if run is not None:
                run.stop.set()
            found = self.journal.change(transfer_id, paused=1, state="waiting" if run is None else transfer.state)
            self._waiting[transfer_id] = found
        return found

    def resume(self, transfer_id: str) -> Transfer:
        with self._changed:
            transfer = self.journal.get(transfer_id)
            if transfer.has_ended:
                raise Conflict(f"Transfer {transfer.id} is {transfer.state}; it cannot be resumed. Ask for it anew.")
            state = "queued" if transfer.state == "waiting" else transfer.state
            found = self.journal.change(transfer_id, paused=0, retry_at=None, state=state)
            self._waiting[transfer_id] = found
            self._changed.notify_all()
        return found

    def cancel(self, transfer_id: str) -> Transfer:
        """End it. What it had begun at the server is taken back; one that has ended stays as it is."""
        with self._changed:
            before = self.journal.get(transfer_id)
            if before.has_ended:
                return before
            word = {"code": "cancelled", "message": f"Transfer {transfer_id} was cancelled.", "retryable": False}
            found = self.journal.change(transfer_id, state="cancelled", error=word)
            self._waiting.pop(transfer_id, None)
            run = self._running.get(transfer_id)
            if run is not None:
                run.stop.set()
        if run is None:
            threading.Thread(target=self._ended_badly, args=(found,), daemon=True).start()
        return found

    def prioritise(self, transfer_id: str, priority: int) -> Transfer:
        if not -100 <= priority <= 100:
            raise Invalid(f"A priority is a whole number from -100 to 100, not {priority}.")
        with self._changed:
            found = self.journal.change(transfer_id, priority=priority)
            if transfer_id in self._waiting:
                self._waiting[transfer_id] = found
            if (run := self._running.get(transfer_id)) is not None:
                run.transfer = found
            self._changed.notify_all()
        return found

    def shown(self, transfer_id: str) -> Snapshot | None:
        """How far a running transfer is."""
        run = self._running.get(transfer_id)
        return None if run is None else run.counter.snapshot_now()

    # --- who is next --------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        while True:
            with self._changed:
                if self._ending:
                    return
                try:
                    self._start_what_may()
                    self._make_room()
                except Exception as error:
                    # The journal takes nothing, most likely. Without this thread nothing would ever run again.
                    log.warning("nothing can be begun: %s", error)
                    self._changed.wait(_JOURNAL_S)
                # Nothing to look after: until somebody comes.
                self._changed.wait(0.25 if self._running else 0.5 if self._waiting else None)
                runs = list(self._running.values())
            for run in runs:
                if time.monotonic() - run.told_at >= 0.7:
                    with contextlib.suppress(Exception):
                        run.counter.tick()

    def _candidates(self) -> list[Transfer]:
        """Who may run now, best first: by priority, then who of a client with few running, then by age."""
        now = self.clock()
        running = Count(run.transfer.client for run in self._running.values())
        taken = {_place(run.transfer) for run in self._running.values()} - {None}
        ready = [
            one
            for one in self._waiting.values()
            if not one.paused
            and one.id not in self._running
            and _place(one) not in taken
            and (one.retry_at is None or one.retry_at <= now)
        ]
        return sorted(ready, key=lambda one: (-one.priority, running[one.client], one.facts.get("turn", 0), one.n))

    def _start_what_may(self) -> None:
        while len(self._running) < self.slots and (ready := self._candidates()):
            self._begin(ready[0])

    def _make_room(self) -> None:
        """Let somebody else have a turn: at once for a higher priority, for the same one after a slice of time."""
        ready = self._candidates()
        if not ready or any(run.yields for run in self._running.values()):
            return
        for run in sorted(self._running.values(), key=lambda one: (one.transfer.priority, one.since)):
            behind = run.transfer.priority < ready[0].priority
            if behind or (run.transfer.priority == ready[0].priority and self._had_its_turn(run)):
                run.yields = True
                run.stop.set()
                return

    def _had_its_turn(self, run: _Run) -> bool:
        """Whether bytes have moved for a slice of time, and for much longer than it takes to come to that again.

        A large file is hashed before its first byte moves: who were sent away before would never get further.
        """
        moving = run.counter.moving_since
        if moving is None:
            return False
        return time.monotonic() - moving > max(self.slice_s, _WORTH * (moving - run.since))

    def _begin(self, transfer: Transfer) -> None:
        stop = Stop()
        started = {"state": "running", "retry_at": None, "attempts": transfer.attempts + 1}
        running = self.journal.change(transfer.id, durable=False, **started)
        self._waiting.pop(transfer.id, None)
        if running.has_ended:
            return
        counter = Counter(
            running.id,
            running.file_name,
            chunk=running.params.get("chunk") or DEFAULT_CHUNK,
            tell=self._tell_progress,
            limiter=self.limiter,
            stop=stop,
            floor=running.bytes_done,
        )
        run = _Run(running, stop, counter, time.monotonic())
        self._running[running.id] = run
        threading.Thread(target=self._carry_out, args=(run,), name=running.id[:12], daemon=True).start()

    # --- one run ------------------------------------------------------------------------------------------------------

    def _carry_out(self, run: _Run) -> None:
        transfer = run.transfer
        log.info("%s %s begins, attempt %d", transfer.kind, transfer.id, transfer.attempts)
        try:
            result = self.run(transfer, run.counter, run.stop)
        except Stopped:
            self._stopped(run)
        except EntrepotError as error:
            self._failed(run, error)
        except Exception as error:
            log.exception("%s failed", transfer.id)
            told = {"code": "internal", "message": f"Something unforeseen: {type(error).__name__}: {error}."}
            self._end(run, state="failed", error=told)
        else:
            run.counter.complete()
            self._end(run, state="done", result=result, bytes_done=run.counter.total, error=None)

    def _end(self, run: _Run, **values: Any) -> None:
        amounts = {"bytes_done": run.counter.shown, "bytes_total": run.counter.total} if run.counter.total else {}
        values = {**amounts, "file_name": run.counter.file_name, **values}
        if values["state"] in ENDED:
            # The list of a folder's files has done its work, and would be read for every look at the transfers.
            values["facts"] = {k: v for k, v in self.journal.get(run.transfer.id).facts.items() if k != "changes"}
        with self._changed:
            while True:
                try:
                    found = self.journal.change(run.transfer.id, **values)
                    break
                except Unavailable as error:
                    # It keeps its slot until the journal takes how it went: to forget that would be to do it again.
                    log.warning("%s cannot be noted as %s: %s", run.transfer.id, values["state"], error)
                    if self._ending:
                        self._running.pop(run.transfer.id, None)
                        return
                    self._changed.wait(_JOURNAL_S)
            self._running.pop(run.transfer.id, None)
            if not found.has_ended:
                self._waiting[found.id] = found
            else:
                self._waiting.pop(found.id, None)
                self._troubles.pop(found.id, None)
                self.limiter.forget(found.id)
            self._changed.notify_all()
        log.info("%s %s is %s", found.kind, found.id, found.state)
        if found.state in ("failed", "cancelled"):
            self._ended_badly(found)
        elif found.has_ended:
            self._announce(found)
        else:
            self._tell(found.id, "state", {"transfer_id": found.id, "state": found.state, "error": found.error}, True)

    def _stopped(self, run: _Run) -> None:
        now = self.journal.get(run.transfer.id)
        if now.paused:
            self._end(run, state="waiting")
        else:
            # After those that wait: who had a turn is behind who had none.
            facts = {**now.facts, "turn": now.facts.get("turn", 0) + 1} if run.yields else now.facts
            self._end(run, state="queued", attempts=run.transfer.attempts - 1, facts=facts)

    def _failed(self, run: _Run, error: EntrepotError) -> None:
        transfer = self.journal.get(run.transfer.id)
        if run.stop.is_set() and (transfer.has_ended or transfer.paused or run.yields or self._ending):
            self._stopped(run)
            return
        wait = self._wait_after(run, transfer, error)
        told = facts_of(error)
        if isinstance(error, Unauthenticated):
            told["message"] = f"{error.message.rstrip('. ')}. Log in with `entrepot login`."
        if wait is None:
            self._end(run, state="failed", error=told)
            return
        log.info("%s waits %.1f s: %s", transfer.id, wait, error.message)
        self._end(run, state="waiting", error=told, retry_at=self.clock() + wait)

    def _wait_after(self, run: _Run, transfer: Transfer, error: EntrepotError) -> float | None:
        """Seconds until the next attempt; None when there is none."""
        troubles = self._troubles.setdefault(transfer.id, _Troubles())
        if isinstance(error, SourceChanged):
            troubles.changes += 1
            return 1.0 if troubles.changes < _CHANGES else None
        if isinstance(error, DigestMismatch | LengthMismatch):
            troubles.mismatches += 1
            return 0.5 if troubles.mismatches < _MISMATCHES else None
        if isinstance(error, Unauthenticated):
            return _LOGIN_WAIT_S if transfer.facts.get("let_in") else None
        if not isinstance(error, Unavailable | RateLimited | InProgress):
            strange = type(error) is EntrepotError or "foreign" in error.details
            if not (strange and transfer.facts.get("let_in") and troubles.breaks < _STRANGE):
                return None
        if run.counter.shown > troubles.done_at_break:
            troubles.breaks = 0
        troubles.done_at_break = run.counter.shown
        troubles.breaks += 1
        longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(troubles.breaks - 1, 12))
        # All of a site's instruments must not come back in the same second.
        chosen: float = longest * self.chance.uniform(0.5, 1.0)
        asked = error.details.get("retry_after_s")
        return float(max(chosen, asked)) if isinstance(asked, int | float) else chosen

    def _ended_badly(self, transfer: Transfer) -> None:
        try:
            self.withdraw(transfer)
        except Exception as error:
            log.warning("%s: what it had begun could not be taken back: %s", transfer.id, error)
        self._announce(self.journal.get(transfer.id))

    # --- telling ------------------------------------------------------------------------------------------------------

    def _tell_progress(self, snapshot: Snapshot) -> None:
        run = self._running.get(snapshot.transfer_id)
        if run is not None:
            run.told_at = time.monotonic()
        self._tell(snapshot.transfer_id, "progress", snapshot.plain(), snapshot.bytes_done < snapshot.bytes_total)

    def _tell(self, transfer_id: str, method: str, params: dict[str, Any], droppable: bool) -> None:
        with self._changed:
            listeners = list(self._listeners.get(transfer_id, {}).values())
        for listening in listeners:
            with contextlib.suppress(Exception):
                listening(method, params, droppable)

    def _announce(self, transfer: Transfer) -> None:
        self._tell(transfer.id, "ended", ended(transfer), False)
        with self._changed:
            self._listeners.pop(transfer.id, None)


def _place(transfer: Transfer) -> str | None:
    """Where a download writes: two of one folder follow each other, since they may bring the same files."""
    return transfer.params.get("into")


def ended(transfer: Transfer) -> dict[str, Any]:
    """The parameters of an `ended` notification."""
    return {
        "transfer_id": transfer.id,
        "state": transfer.state,
        "result": transfer.result,
        "error": transfer.error,
    }
