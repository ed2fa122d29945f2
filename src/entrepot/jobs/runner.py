"""Runs jobs: claim, keep alive, finish under the fence, retry, give up.

The loop holds no state that matters: a worker may be killed at any line, and another one takes its job over when the
lease ends. While a handler runs, a second thread extends the lease and hears whether somebody asked to cancel.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from entrepot.catalog import queue
from entrepot.catalog.connection import Connection
from entrepot.catalog.database import Catalog
from entrepot.catalog.queue import Claimed
from entrepot.catalog.work import Cancelled, JobKind, Periodic
from entrepot.model.errors import EntrepotError
from entrepot.model.values import TaskState

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=60)

#: How long a job waits before its next attempt: doubled each time, up to the last.
FIRST_RETRY = timedelta(seconds=2)
LAST_RETRY = timedelta(minutes=10)


class _Lost(Exception):
    """Another worker owns the job by now: roll everything back."""


class Run:
    """One attempt at one job; what a handler sees as its `Work`."""

    def __init__(self, catalog: Catalog, claimed: Claimed, lease: timedelta) -> None:
        self._catalog = catalog
        self._claimed = claimed
        self._lease = lease
        self._progress: dict[str, Any] | None = None
        self._stop = threading.Event()
        self._ended = threading.Event()
        self.lost = False
        self.cancelled = False
        self.finished = False

    @property
    def payload(self) -> Mapping[str, Any]:
        return self._claimed.payload

    def progress(self, done: int, total: int | None = None, message: str = "") -> None:
        self._progress = {"done": done, "total": total, "message": message}
        if self._stop.is_set():
            raise Cancelled

    def stop(self) -> None:
        """The worker itself is asked to end: let the handler pause at its next step."""
        self._stop.set()

    def finish(
        self, facts: Callable[[Connection], Mapping[str, Any] | None], *, state: TaskState = TaskState.DONE
    ) -> None:
        def work(conn: Connection) -> None:
            answer = facts(conn)
            failed = state is TaskState.FAILED
            mine = queue.finish(
                conn,
                self._claimed,
                state=state.value,
                now=self._now(conn),
                result=None if failed else answer,
                error=answer if failed else None,
            )
            if not mine:
                raise _Lost

        try:
            self._catalog.write(work, bulk=True)
        except _Lost:
            self.lost = True
            raise Cancelled from None
        self.finished = True

    def _now(self, conn: Connection) -> datetime:
        return queue.database_now(conn, self._catalog.now())

    def keep_alive(self) -> None:
        """Extend the lease until the run ends; in a thread of its own."""
        while not self._ended.wait(self._lease.total_seconds() / 4):
            try:
                self.beat()
            except EntrepotError as error:
                # The database may be back before the lease ends; if not, another worker takes over.
                log.warning("heartbeat failed", job=self._claimed.n, error=str(error))

    def beat(self) -> None:
        asked = self._catalog.write(
            lambda conn: queue.heartbeat(
                conn, self._claimed, now=self._now(conn), lease=self._lease, progress=self._progress
            )
        )
        if asked is None:
            self.lost = True
            self._stop.set()
        elif asked:
            self.cancelled = True
            self._stop.set()

    def end(self) -> None:
        self._ended.set()


class Runner:
    """Does the work of some queues, one job at a time."""

    def __init__(
        self,
        catalog: Catalog,
        kinds: Mapping[str, JobKind],
        *,
        queues: Sequence[str],
        worker: str,
        new_uid: Callable[[], UUID],
        periodic: Sequence[Periodic] = (),
        lease: timedelta = LEASE,
    ) -> None:
        self._catalog = catalog
        self._kinds = kinds
        self._queues = tuple(queues)
        self._worker = worker
        self._new_uid = new_uid
        self._periodic = tuple(periodic)
        self._lease = lease
        self._current: Run | None = None
        self._ending = threading.Event()

    def ask_to_end(self) -> None:
        """Stop after the current step; the job goes back to the queue for whoever comes next."""
        self._ending.set()
        current = self._current
        if current is not None:
            current.stop()

    def loop(self, wait: Callable[[], None]) -> None:
        """Work until asked to end. `wait` returns when it is worth looking again."""
        while not self._ending.is_set():
            try:
                self.keep_house()
                while not self._ending.is_set() and self.step():
                    pass
            except EntrepotError as error:
                # The catalogue is out of reach for a moment: the worker stays and looks again.
                log.warning("worker cannot reach the catalogue", error=str(error))
            if not self._ending.is_set():
                wait()

    def keep_house(self) -> None:
        """Enqueue what is due by the clock, and take back jobs of workers that are gone."""
        self.schedule()
        with self._catalog.read(snapshot=False) as conn:
            oldest = queue.oldest_heartbeat(conn)
            now = queue.database_now(conn, self._catalog.now())
        if oldest is not None and oldest < now:
            taken = self._catalog.write(lambda conn: queue.take_back_expired(conn, now))
            log.info("took jobs back from a lost worker", jobs=taken)

    def schedule(self) -> None:
        now = self._catalog.now()
        for one in self._periodic:
            slot = int(now.timestamp() // one.every.total_seconds())
            dedupe = f"{one.kind}@{slot}"
            with self._catalog.read(snapshot=False) as conn:
                known = queue.known(conn, dedupe)
            if not known:
                self._enqueue(one, dedupe, now)

    def _enqueue(self, one: Periodic, dedupe: str, now: datetime) -> None:
        uid = self._new_uid()
        self._catalog.write(
            lambda conn: queue.enqueue_once(
                conn, uid=uid, queue=one.queue, kind=one.kind, dedupe=dedupe, now=now, max_attempts=3
            )
        )

    def step(self) -> bool:
        """Run one job to its end. Answers whether there was one."""
        with self._catalog.read(snapshot=False) as conn:
            if not queue.waiting(conn, self._queues, self._catalog.now()):
                return False
        claimed = self._catalog.write(
            lambda conn: queue.claim(
                conn,
                self._queues,
                worker=self._worker,
                now=self._catalog.now(),
                lease_until=queue.database_now(conn, self._catalog.now()) + self._lease,
            )
        )
        if claimed is None:
            return False
        self._run(claimed)
        return True

    def _run(self, claimed: Claimed) -> None:
        kind = self._kinds.get(claimed.kind)
        run = Run(self._catalog, claimed, self._lease)
        if kind is None:
            self._give_up(claimed, None, {"code": "unsupported", "detail": f"No worker knows {claimed.kind!r} jobs."})
            return
        if claimed.attempt > claimed.max_attempts:
            lost = {"code": "worker_lost", "detail": "Its worker ended without finishing it, again and again."}
            self._give_up(claimed, kind, lost)
            return
        self._current = run
        keeper = threading.Thread(target=run.keep_alive, name=f"job-{claimed.n}", daemon=True)
        keeper.start()
        try:
            kind.run(run)
            if not run.finished:
                run.finish(lambda _conn: None)
        except Cancelled:
            self._stopped(claimed, kind, run)
        except Exception as error:
            self._failed(claimed, kind, error)
        finally:
            run.end()
            keeper.join()
            self._current = None

    def _stopped(self, claimed: Claimed, kind: JobKind, run: Run) -> None:
        if run.lost:
            log.warning("job was taken over by another worker", job=claimed.n)
        elif run.cancelled:
            self._give_up(claimed, kind, {"code": "cancelled", "detail": "Somebody asked it to stop."}, "cancelled")
        else:
            # This worker is ending: the next one starts the job again at once.
            now = self._catalog.now()
            why = {"code": "shutting_down", "detail": "The worker ended; another one continues."}
            self._catalog.write(lambda conn: queue.retry(conn, claimed, due=now, error=why, spent=False))

    def _failed(self, claimed: Claimed, kind: JobKind, error: Exception) -> None:
        known = isinstance(error, EntrepotError)
        code = error.code if isinstance(error, EntrepotError) else "internal"
        detail = str(error) if known else "An unexpected error; the worker's log has it."
        told = {"code": code, "detail": detail, "attempt": claimed.attempt}
        if known:
            log.warning("job failed", job=claimed.n, kind=claimed.kind, attempt=claimed.attempt, error=detail)
        else:
            log.error("job failed", job=claimed.n, kind=claimed.kind, error=traceback.format_exc())
        final = isinstance(error, EntrepotError) and not error.retryable
        if final or claimed.attempt >= claimed.max_attempts:
            self._give_up(claimed, kind, told)
            return
        wait = min(FIRST_RETRY * 2 ** (claimed.attempt - 1), LAST_RETRY)
        due = self._catalog.now() + wait
        self._catalog.write(lambda conn: queue.retry(conn, claimed, due=due, error=told))

    def _give_up(self, claimed: Claimed, kind: JobKind | None, error: Mapping[str, Any], state: str = "failed") -> None:
        def work(conn: Connection) -> None:
            now = queue.database_now(conn, self._catalog.now())
            if not queue.finish(conn, claimed, state=state, now=now, error=error):
                raise _Lost
            if kind is not None and kind.abandoned is not None:
                kind.abandoned(conn, claimed.payload, error)

        try:
            self._catalog.write(work)
        except _Lost:
            log.warning("job was taken over by another worker", job=claimed.n)
