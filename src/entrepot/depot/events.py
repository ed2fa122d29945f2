"""Writing and reading what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from entrepot.catalog import events as rows
from entrepot.catalog import tasks as task_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.events import NewEvent
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.ids import Noun
from entrepot.model.values import Stage, Version

#: Who does what falls due by the clock.
WORKER = Actor(door="worker")


def record(
    conn: Connection,
    actor: Actor,
    verb: str,
    *,
    at: datetime,
    project: int | None = None,
    dataset: int | None = None,
    version: int | None = None,
    revision: int | None = None,
    subject: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> int:
    """Write an event in the caller's transaction with everything the actor carries; returns its number."""
    return rows.append(
        conn,
        verb,
        at=at,
        actor=actor.user,
        door=actor.door,
        node=actor.node,
        token=actor.token,
        project=project,
        dataset=dataset,
        version=version,
        revision=revision,
        subject=subject,
        before=before,
        after=after,
        detail=detail,
    )


def tell(
    conn: Connection,
    actor: Actor,
    verb: str,
    version: Version,
    at: datetime,
    *,
    revision: int | None = None,
    subject: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> int:
    """`record` of something that happened to a version: where it lies comes along, for the order is kept by dataset."""
    return record(
        conn,
        actor,
        verb,
        at=at,
        project=version.project,
        dataset=version.dataset,
        version=version.n,
        revision=revision,
        subject=subject,
        before=before,
        after=after,
        detail=detail,
    )


def telling(
    actor: Actor,
    verb: str,
    version: Version,
    at: datetime,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> NewEvent:
    """What `tell` would write, for `tell_all`."""
    return NewEvent(
        verb=verb,
        at=at,
        actor=actor.user,
        door=actor.door,
        node=actor.node,
        token=actor.token,
        project=version.project,
        dataset=version.dataset,
        version=version.n,
        before=before,
        after=after,
        detail=detail,
    )


def trashed(
    actor: Actor, at: datetime, *, project: int, dataset: int, version: int, reason: str, failed: Stage | None
) -> list[NewEvent]:
    """What is told of a version that goes to the trash.

    Args:
        failed: Where it failed by that.
    """
    where = {"project": project, "dataset": dataset, "version": version}
    about: dict[str, Any] = {
        "at": at,
        "actor": actor.user,
        "door": actor.door,
        "node": actor.node,
        "token": actor.token,
        **where,
    }
    told = [NewEvent(verb="version.trashed", detail={"reason": reason}, **about)]
    if failed is not None:
        told.insert(0, NewEvent(verb="version.failed", detail={"stage": failed.value}, **about))
    return told


def tell_all(conn: Connection, told: Sequence[NewEvent]) -> None:
    """Write many events in the caller's transaction, in their order, in few statements."""
    rows.append_all(conn, told)


def task_ended(conn: Connection, n: int, at: datetime) -> None:
    """Write down that a task ended, in the transaction that ends it. Jobs that are nobody's task make no event."""
    tasks_ended(conn, [n], at)


def tasks_ended(conn: Connection, numbers: Sequence[int], at: datetime) -> None:
    """`task_ended` for many."""
    ended = [
        NewEvent(
            verb="task.ended",
            at=at,
            actor=task.starter,
            door=task.payload.get("door") or WORKER.door,
            node=task.payload.get("node"),
            token=task.payload.get("token"),
            project=task.project,
            dataset=task.dataset,
            version=task.version,
            subject=ids.encode(Noun.TASK, task.uid),
            detail={"kind": task.kind, "state": task.state},
        )
        for task in task_rows.about_all(conn, numbers)
    ]
    rows.append_all(conn, ended)
