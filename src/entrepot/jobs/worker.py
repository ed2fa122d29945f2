"""A worker: one thread for each queue, and one that keeps house, listens for nudges and says that it is alive.

    this thread     presence, periodic jobs, jobs of dead workers ──► sleep until nudged or half a second
                    ──► ring for the queues that have something due
    one per queue   claim, run, finish ──► nothing due: sleep until rung

A queue's jobs run one after the other here; a long ingest holds up other ingests of this worker, never its upkeep. A
queue that is named more than once has so many threads: for jobs that mostly wait for somebody else. A queue may have a
pause: what comes while it works or rests is done together afterwards, where jobs that wait can be told to do more.
More at once means more workers, on this machine or, beside PostgreSQL, on others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import structlog

from entrepot.catalog.database import Catalog
from entrepot.catalog.listening import Listener
from entrepot.catalog.queue import CHANNEL, waiting
from entrepot.catalog.work import JobKind, Periodic
from entrepot.jobs.housekeeping import Housekeeper
from entrepot.jobs.nudge import Nudges
from entrepot.jobs.presence import Presence
from entrepot.jobs.run import LEASE
from entrepot.jobs.runner import Runner
from entrepot.model.errors import EntrepotError

log = structlog.get_logger(__name__)

#: How long a worker sleeps when nobody wakes it.
LOOK_EVERY_S = 0.5


class Worker:
    """Runs the jobs of some queues until it is asked to end.

    Args:
        folder: Where the workers of this machine meet: sockets to be woken by, marks of being alive. Made if missing.
        name: Never used twice, on any machine.
        pauses: Seconds that a queue rests after each round, a round being what was due when it began.
    """

    def __init__(
        self,
        catalog: Catalog,
        kinds: Mapping[str, JobKind],
        *,
        queues: Sequence[str],
        name: str,
        folder: Path,
        new_uid: Callable[[], UUID],
        periodic: Sequence[Periodic] = (),
        lease: timedelta = LEASE,
        pauses: Mapping[str, float] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._catalog = catalog
        self._name = name
        self._folder = folder
        self._runners = [Runner(catalog, kinds, queue=queue, worker=name, lease=lease) for queue in queues]
        self._house = Housekeeper(catalog, new_uid=new_uid, periodic=periodic, folder=folder)
        self._bells = {queue: _Bell() for queue in queues}
        self._pauses = pauses or {}
        self._ending = threading.Event()

    def ask_to_end(self) -> None:
        """Let `run` return soon. May be called from a signal handler, and again."""
        self._ending.set()

    def run(self, *, grace_s: float = 3.0) -> None:
        """Work until asked to end.

        Jobs that run then are asked to stop and go back to the queue as if this attempt had not been. A handler that
        does not listen loses its job after `grace_s`: what it writes later is refused.
        """
        presence = Presence(self._folder, self._name, self._catalog.now())
        waker: Listener | Nudges | None = None
        lanes = [threading.Thread(target=self._lane, args=(runner,), name=f"queue-{runner.queue}", daemon=True)
                 for runner in self._runners]  # fmt: skip
        try:
            waker = self._catalog.listener(CHANNEL) or Nudges(self._folder, self._name)
            for lane in lanes:
                lane.start()
            log.info("worker ready", worker=self._name, queues=[runner.queue for runner in self._runners])
            self._watch(presence, waker)
        finally:
            self._end(lanes, grace_s)
            if waker is not None:
                waker.close()
            presence.close()
            log.info("worker ended", worker=self._name)

    def _watch(self, presence: Presence, waker: Listener | Nudges) -> None:
        looked = -LOOK_EVERY_S
        while not self._ending.is_set():
            if time.monotonic() - looked >= LOOK_EVERY_S:
                looked = time.monotonic()
                presence.beat(self._catalog.now())
                try:
                    self._house.keep()
                except EntrepotError as error:
                    # The catalogue is out of reach for a moment: stay, and look again.
                    log.warning("worker cannot reach the catalogue", error=str(error))
                # Every round, so that a nudge that got lost costs half a second.
                self._ring()
            if waker.wait(LOOK_EVERY_S):
                self._ring()

    def _ring(self) -> None:
        """Wake whoever has something to do: one question for all queues, not one by each of them for every job."""
        try:
            with self._catalog.read(snapshot=False) as conn:
                due = waiting(conn, list(self._bells), self._catalog.now())
        except EntrepotError as error:
            log.warning("worker cannot reach the catalogue", error=str(error))
            return
        for queue in due | {runner.queue for runner in self._runners if runner.owes}:
            self._bells[queue].ring()

    def _lane(self, runner: Runner) -> None:
        heard, bell, pause = 0, self._bells[runner.queue], self._pauses.get(runner.queue)
        while not self._ending.is_set():
            heard = bell.wait(heard)
            due_by = None if pause is None else self._catalog.now()
            try:
                while not self._ending.is_set() and runner.step(due_by):
                    pass
            except EntrepotError as error:
                log.warning("worker cannot reach the catalogue", queue=runner.queue, error=str(error))
            except Exception:
                # A mistake of ours must not leave a queue without anybody who serves it; the next ring tries again.
                log.exception("the loop of a queue failed", queue=runner.queue)
            if pause is not None:
                self._ending.wait(pause)

    def _end(self, lanes: Sequence[threading.Thread], grace_s: float) -> None:
        self._ending.set()
        for runner in self._runners:
            runner.ask_to_end()
        for bell in self._bells.values():
            bell.ring()
        until = time.monotonic() + grace_s
        for lane, runner in zip(lanes, self._runners, strict=True):
            if not lane.is_alive():
                continue
            lane.join(max(until - time.monotonic(), 0))
            if lane.is_alive():
                try:
                    runner.hand_back()
                except EntrepotError as error:
                    log.warning("a job is left to its lease", queue=runner.queue, error=str(error))


class _Bell:
    """Wakes whoever waits, and whoever comes too late to have waited."""

    def __init__(self) -> None:
        self._rung = 0
        self._changed = threading.Condition()

    def ring(self) -> None:
        with self._changed:
            self._rung += 1
            self._changed.notify_all()

    def wait(self, heard: int) -> int:
        """Return once it rang more often than `heard`; answers how often."""
        with self._changed:
            self._changed.wait_for(lambda: self._rung > heard)
            return self._rung
