"""What a background use case is handed, and how it ends: the seam between those who do the work and those who run it.

A job is a row, so a handler may run twice: after a crash, or because its lease ran out while it was slow. The facts it
produces are written in `finish`, whose transaction also checks that this run still owns the job; a late one is rolled
back as a whole. Everything before `finish` must be harmless when repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from sqlalchemy import Connection

from entrepot.model.values import TaskState


class Cancelled(Exception):
    """The job was asked to stop, or lost its lease. Handlers let it pass after letting go of what they hold."""


class Later(Exception):
    """The job cannot go on now. It goes back to the queue until then, and this attempt does not count.

    Args:
        wait: From now on.
    """

    def __init__(self, wait: timedelta) -> None:
        super().__init__(f"not before {wait} have passed")
        self.wait = wait


class Work(Protocol):
    """One run of one job."""

    @property
    def payload(self) -> Mapping[str, Any]: ...

    @property
    def mark(self) -> tuple[int, int]:
        """The job's number and this run's fence: no other run has the same."""
        ...

    def progress(self, done: int, total: int | None = None, message: str = "") -> None:
        """Tell how far it is; cheap enough to call for every block.

        Raises:
            Cancelled: Somebody asked this job to stop, its worker is ending, or it belongs to another worker by now.
        """
        ...

    def finish(
        self, facts: Callable[[Connection], Mapping[str, Any] | None], *, state: TaskState = TaskState.DONE
    ) -> None:
        """Write the job's facts and its end in one transaction.

        What `facts` answers becomes the task's result, or its error when `state` is not done. Like any write it may
        run more than once. At most one call succeeds.

        Raises:
            Cancelled: The job belongs to another worker by now; nothing was written.
        """
        ...


Handler = Callable[[Work], None]

#: Told in the transaction that ends a job for good without its handler having finished it: (payload, error).
Abandoned = Callable[[Connection, Mapping[str, Any], Mapping[str, Any]], None]

#: Told in the transaction that ends a job, however it ended: (its number, its last state).
Ended = Callable[[Connection, int, TaskState], None]


@dataclass(frozen=True, slots=True)
class JobKind:
    """How one kind of job is run.

    Args:
        run: The use case. A handler that returns without `work.finish` has nothing to write and is done.
        abandoned: Clears up what a job leaves that will never be run to its end.
        ended: Writes down that it ended.
    """

    run: Handler
    abandoned: Abandoned | None = None
    ended: Ended | None = None


#: The queue of periodic work that is short by design.
UPKEEP = "upkeep"


@dataclass(frozen=True, slots=True)
class Periodic:
    """A job of `kind` once in every slot of time, whoever of the workers is there to enqueue it.

    Args:
        every: The length of a slot, at most a day: a slot's row must not be forgotten while the slot lasts.
    """

    kind: str
    every: timedelta
    queue: str = UPKEEP

    def __post_init__(self) -> None:
        if not timedelta(0) < self.every <= timedelta(days=1):
            raise ValueError(f"{self.kind} cannot run every {self.every}; at most a day is possible")
