"""One attempt at one job: what its handler sees as `Work`, and the thread that keeps its lease.

The lease is extended by a thread of its own, so a handler that tells nothing for an hour keeps its job. That thread
also hears within a second that somebody asked to cancel; the handler learns it at its next `progress`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import structlog

from entrepot.catalog import queue
from entrepot.catalog.connection import Connection
from entrepot.catalog.database import Catalog
from entrepot.catalog.queue import Claimed
from entrepot.catalog.work import Cancelled, JobKind
from entrepot.model.values import TaskState

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=60)

#: How often a run looks whether it was cancelled, and writes down its progress if there is some.
LOOK_EVERY_S = 1.0


class LostJob(Exception):
    """Another worker owns the job by now: roll everything back."""


class Run:
    """One attempt at one job."""

    def __init__(
        self, catalog: Catalog, claimed: Claimed, kind: JobKind, *, lease: timedelta, look_every_s: float
    ) -> None:
        self._catalog = catalog
        self._claimed = claimed
        self._kind = kind
        self._lease = lease
        self._look_every_s = look_every_s
        self._progress: Mapping[str, Any] | None = None
        self._written: Mapping[str, Any] | None = None
        self._stop = threading.Event()
        self._ended = threading.Event()
        self.lost = False
        self.cancelled = False
        self.finished = False

    @property
    def claimed(self) -> Claimed:
        return self._claimed

    @property
    def payload(self) -> Mapping[str, Any]:
        return self._claimed.payload

    @property
    def mark(self) -> tuple[int, int]:
        return self._claimed.n, self._claimed.fence

    def progress(self, done: int, total: int | None = None, message: str = "") -> None:
        self._progress = {"done": done, "total": total, "message": message}
        if self._stop.is_set():
            raise Cancelled

    def stop(self) -> None:
        """The worker itself is asked to end: let the handler stop at its next step."""
        self._stop.set()

    def finish(
        self, facts: Callable[[Connection], Mapping[str, Any] | None], *, state: TaskState = TaskState.DONE
    ) -> None:
        if self.finished:
            raise RuntimeError(f"job {self._claimed.n} was finished twice by one run")

        def work(conn: Connection) -> None:
            answer = facts(conn)
            self.end_in(conn, state, answer)

        try:
            # On its own in the writer: what a handler found out may be many rows.
            self._catalog.write(work, bulk=True)
        except LostJob:
            self.lost = True
            raise Cancelled from None
        self.finished = True

    def end_in(self, conn: Connection, state: TaskState, answer: Mapping[str, Any] | None) -> None:
        """Write the job's end in the caller's transaction.

        Raises:
            LostJob: It is another run's by now; let it pass, so that the transaction is rolled back.
        """
        done = state is TaskState.DONE
        mine = queue.finish(
            conn,
            self._claimed,
            state=state.value,
            now=self._catalog.now(),
            result=answer if done else None,
            error=None if done else answer,
            progress=self._progress,
        )
        if not mine:
            raise LostJob
        if self._kind.ended is not None:
            self._kind.ended(conn, self._claimed.n, state)

    def put_back(self, *, wait: timedelta, error: Mapping[str, Any] | None, spent: bool) -> bool:
        """Give the job back to the queue. False when another run has it already."""
        due = self._catalog.now() + wait
        return self._catalog.write(lambda conn: queue.put_back(conn, self._claimed, due=due, error=error, spent=spent))

    # Keeping the lease

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Extend the lease, in a thread of its own, for as long as the block runs."""
        keeper = threading.Thread(target=self._keep_alive, name=f"job-{self._claimed.n}", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            self._ended.set()
            keeper.join()

    def _keep_alive(self) -> None:
        renewed = time.monotonic()
        while not self._ended.wait(self._look_every_s):
            try:
                if self._progress is not self._written or time.monotonic() - renewed > self._lease.total_seconds() / 4:
                    self.beat()
                    renewed = time.monotonic()
                else:
                    self.look()
            except Exception as error:
                # Whatever it was (most likely the database is away for a moment): the next beat may get through, and
                # a thread that died here would lose the job for certain.
                log.warning("heartbeat failed", job=self._claimed.n, error=str(error))

    def beat(self) -> None:
        """Extend the lease, write progress down, hear of a cancellation."""
        progress = self._progress
        now = self._catalog.now()
        self._heed(
            self._catalog.write(
                lambda conn: queue.heartbeat(conn, self._claimed, now=now, lease=self._lease, progress=progress)
            )
        )
        self._written = progress

    def look(self) -> None:
        """Hear of a cancellation."""
        with self._catalog.read(snapshot=False) as conn:
            asked = queue.look(conn, self._claimed)
        self._heed(asked)

    def _heed(self, asked: bool | None) -> None:
        if self.finished or self._ended.is_set():
            return
        if asked is None:
            self.lost = True
            self._stop.set()
        elif asked:
            self.cancelled = True
            self._stop.set()
