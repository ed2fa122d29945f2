"""Runs the jobs of one queue, one after the other: claim, run, finish under the fence, retry, give up.

It holds no state that matters: a worker may be killed at any line, and another one takes its job over when it is found
dead or its lease ends.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import structlog
from structlog.contextvars import bound_contextvars

from entrepot.catalog import queue
from entrepot.catalog.connection import Connection
from entrepot.catalog.database import Catalog
from entrepot.catalog.queue import Claimed
from entrepot.catalog.work import Cancelled, JobKind, Later
from entrepot.jobs.run import LEASE, LOOK_EVERY_S, LostJob, Run
from entrepot.model.errors import EntrepotError, Unavailable
from entrepot.model.values import TaskState

log = structlog.get_logger(__name__)

#: How long a job waits before its next attempt: doubled each time, up to the last.
FIRST_RETRY = timedelta(seconds=2)
LAST_RETRY = timedelta(minutes=10)


class Runner:
    """The work of one queue in one process. `step` is for one thread; the other methods may come from any."""

    def __init__(
        self,
        catalog: Catalog,
        kinds: Mapping[str, JobKind],
        *,
        queue: str,
        worker: str,
        lease: timedelta = LEASE,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self.queue = queue
        self._catalog = catalog
        self._kinds = kinds
        self._worker = worker
        self._lease = lease
        self._look_every_s = look_every_s
        self._current: Run | None = None
        self._left: Claimed | None = None
        self._ending = Event()

    def ask_to_end(self) -> None:
        """Claim nothing more, and let the running handler stop at its next step; its job goes back to the queue."""
        self._ending.set()
        current = self._current
        if current is not None:
            current.stop()

    def hand_back(self) -> None:
        """Put the running job back although its handler does not stop: whatever that writes later is refused."""
        current = self._current
        if current is not None:
            self._put_back_unspent(current)

    @property
    def owes(self) -> bool:
        """Whether a job waits to go back to the queue because the catalogue was out of reach."""
        return self._left is not None

    def step(self, due_by: datetime | None = None) -> bool:
        """Run one job to its end. Answers whether there was one.

        Args:
            due_by: Leave alone what is due later than this; None is now.

        Raises:
            Unavailable: The catalogue is out of reach; a job that was claimed goes back to the queue at the first step
                after that, or if there is none when its lease ends.
        """
        self._give_back()
        if self._ending.is_set():
            return False
        now = self._catalog.now()
        due = now if due_by is None else min(now, due_by)
        with self._catalog.read(snapshot=False) as conn:
            if not queue.waiting(conn, [self.queue], due):
                return False
        claimed = self._catalog.write(
            lambda conn: queue.claim(conn, self.queue, worker=self._worker, now=now, lease=self._lease, due_by=due)
        )
        if claimed is None:
            return False
        # As in the process that was asked: who has the id of a request finds all that was logged because of it.
        with bound_contextvars(**({"request_id": claimed.request} if claimed.request else {})):
            try:
                self._run(claimed)
            except Unavailable:
                self._left = claimed
                raise
        return True

    def _give_back(self) -> None:
        """Put the job back that the catalogue, when it went out of reach, could not be told about.

        This worker lives, so nobody else would take it before its lease ends.
        """
        left = self._left
        if left is None:
            return
        due = self._catalog.now() + retry_after(left.attempt)
        if self._catalog.write(lambda conn: queue.put_back(conn, left, due=due, error=_OUT_OF_REACH)):
            log.info("job goes back to the queue", job=left.n)
        self._left = None

    def _run(self, claimed: Claimed) -> None:
        kind = self._kinds.get(claimed.kind)
        run = Run(self._catalog, claimed, kind or JobKind(_nothing), lease=self._lease, look_every_s=self._look_every_s)
        if kind is None:
            # A newer server may have enqueued it while this worker is still of the release before.
            self._unknown(run)
        elif claimed.cancel:
            self._give_up(run, kind, _CANCELLED, TaskState.CANCELLED)
        elif claimed.attempt > claimed.max_attempts:
            self._give_up(run, kind, _WORKER_LOST)
        else:
            self._attempt(run, kind)

    def _attempt(self, run: Run, kind: JobKind) -> None:
        self._current = run
        if self._ending.is_set():
            run.stop()
        try:
            with run.kept_alive():
                kind.run(run)
                if not run.finished:
                    run.finish(_no_facts)
        except Cancelled:
            self._stopped(run, kind)
        except Later as later:
            if not run.put_back(wait=later.wait, error=None, spent=False):
                log.warning("job belongs to another worker by now", job=run.claimed.n)
        except Exception as error:
            # Any error of a handler is the job's, not the worker's.
            self._failed(run, kind, error)
        finally:
            self._current = None

    def _stopped(self, run: Run, kind: JobKind) -> None:
        if run.lost:
            log.warning("job belongs to another worker by now", job=run.claimed.n)
        elif run.cancelled:
            self._give_up(run, kind, _CANCELLED, TaskState.CANCELLED)
        else:
            self._put_back_unspent(run)

    def _put_back_unspent(self, run: Run) -> None:
        if run.put_back(wait=timedelta(0), error=_SHUTTING_DOWN, spent=False):
            log.info("job goes back to the queue", job=run.claimed.n)

    def _failed(self, run: Run, kind: JobKind, error: Exception) -> None:
        job = run.claimed
        told = {"code": "internal", "detail": "An unexpected error; the worker's log has it.", "attempt": job.attempt}
        final = False
        if isinstance(error, EntrepotError):
            told |= {"code": error.code, "detail": str(error)}
            final = not error.retryable
            log.warning("job failed", job=job.n, kind=job.kind, attempt=job.attempt, error=str(error))
        else:
            trace = "".join(traceback.format_exception(error))
            log.error("job failed", job=job.n, kind=job.kind, attempt=job.attempt, error=trace)
        if run.finished:
            # Its facts are written; what went wrong after that is for the log alone.
            return
        if final or job.attempt >= job.max_attempts:
            self._give_up(run, kind, told)
        elif not run.put_back(wait=retry_after(job.attempt), error=told, spent=True):
            log.warning("job belongs to another worker by now", job=job.n)

    def _unknown(self, run: Run) -> None:
        job = run.claimed
        told = {"code": "unsupported", "detail": f"No worker knows jobs of kind {job.kind!r}.", "attempt": job.attempt}
        log.error("job of an unknown kind", job=job.n, kind=job.kind, attempt=job.attempt)
        if job.attempt >= job.max_attempts:
            self._give_up(run, None, told)
        else:
            run.put_back(wait=LAST_RETRY, error=told, spent=True)

    def _give_up(
        self, run: Run, kind: JobKind | None, error: Mapping[str, Any], state: TaskState = TaskState.FAILED
    ) -> None:
        def work(conn: Connection) -> None:
            if kind is not None and kind.abandoned is not None:
                kind.abandoned(conn, run.payload, error)
            run.end_in(conn, state, error)

        try:
            self._catalog.write(work)
        except LostJob:
            log.warning("job belongs to another worker by now", job=run.claimed.n)
        except Exception as trouble:
            if isinstance(trouble, EntrepotError) and trouble.retryable:
                raise
            # The job must end even if what it leaves cannot be cleared up, or it would come back for ever.
            trace = "".join(traceback.format_exception(trouble))
            log.error("an abandoned job could not be cleared up", job=run.claimed.n, error=trace)
            with suppress(LostJob):
                self._catalog.write(lambda conn: run.end_in(conn, state, error))


def retry_after(attempt: int) -> timedelta:
    """How long a job waits after its attempt of this number failed."""
    wait = FIRST_RETRY
    for _ in range(1, min(attempt, 30)):
        wait *= 2
    return min(wait, LAST_RETRY)


_CANCELLED = {"code": "cancelled", "detail": "Somebody asked it to stop."}
_WORKER_LOST = {"code": "worker_lost", "detail": "Its worker ended without finishing it, again and again."}
_OUT_OF_REACH = {"code": "unavailable", "detail": "The catalogue was out of reach when the job ended."}
_SHUTTING_DOWN = {"code": "shutting_down", "detail": "The worker ended; another one continues."}


def _nothing(_work: object) -> None: ...


def _no_facts(_conn: Connection) -> None: ...
