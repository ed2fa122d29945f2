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


class Work(Protocol):
    """One run of one job."""

    @property
    def payload(self) -> Mapping[str, Any]: ...

    def progress(self, done: int, total: int | None = None, message: str = "") -> None:
        """Tell how far it is; cheap enough to call for every block.

        Raises:
            Cancelled: Somebody asked this job to stop, or it belongs to another worker by now.
        """
        ...

    def finish(
        self, facts: Callable[[Connection], Mapping[str, Any] | None], *, state: TaskState = TaskState.DONE
    ) -> None:
        """Write the job's facts and its end in one transaction.

        What `facts` answers becomes the task's result, or its error when `state` is failed.
        """
        ...


Handler = Callable[[Work], None]

#: Told in the transaction that ends a job for good without its handler having finished it: (payload, error).
Abandoned = Callable[[Connection, Mapping[str, Any], Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class JobKind:
    """How one kind of job is run.

    Args:
        run: The use case. Must call `work.finish` once, at its end.
        abandoned: Clears up what a job leaves that will never be run to its end.
    """

    run: Handler
    abandoned: Abandoned | None = None


@dataclass(frozen=True, slots=True)
class Periodic:
    """A job of `kind` once in every slot of time, whoever of the workers is there to enqueue it."""

    kind: str
    every: timedelta
    queue: str = "upkeep"
