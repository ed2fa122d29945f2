"""What happened: revisions, what changed between two of them, attempts to give content, and the log of events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from entrepot.catalog import entries as entry_rows
from entrepot.catalog import events as event_rows
from entrepot.catalog import ingests as ingest_rows
from entrepot.catalog import tasks as task_rows
from entrepot.catalog import versions as version_rows
from entrepot.depot import lookup, paging, people
from entrepot.depot.context import Depot
from entrepot.depot.entries import entry_of, pin
from entrepot.depot.lookup import Key
from entrepot.depot.people import UserKey
from entrepot.model import cursors
from entrepot.model.access import Action, Actor, Standing, require
from entrepot.model.errors import NotFound
from entrepot.model.values import Entry, Event, Page, Revision, Stage, State, Version


def revisions(
    depot: Depot, actor: Actor, key: Key, *, cursor: str | None = None, limit: int = 100
) -> tuple[Version, Page[Revision]]:
    """Newest first."""
    size = paging.size(depot, limit)
    with depot.catalog.read() as conn:
        version = lookup.version(conn, actor, key, Action.READ_CONTENT).version
        question = f"revisions:{version.n}"
        seen = paging.after(cursor, question, int)
        found = version_rows.revisions(conn, version.n, before=None if seen is None else seen[0], limit=size + 1)
    return version, paging.page(found, size, question, lambda one: (one.number,))


# Differences


@dataclass(frozen=True, slots=True)
class Difference:
    """One path that differs. `before` is None for what was added, `after` for what was removed."""

    change: Literal["added", "removed", "changed", "renamed"]
    path: str
    before: Entry | None
    after: Entry | None


def difference(one: entry_rows.EntryChange) -> Difference:
    return Difference(
        one.kind,
        one.path,
        None if one.before is None else entry_of(one.before),
        None if one.after is None else entry_of(one.after),
    )


def diff_page(
    depot: Depot,
    actor: Actor,
    older: tuple[Key, int | None],
    newer: tuple[Key, int | None],
    *,
    cursor: str | None = None,
    limit: int = 1000,
) -> Page[Difference]:
    """One page of what changed, in path order; later pages stay with the revisions of the first.

    A page costs what it shows, whatever the versions hold; one that found little in a lot is short and not the last.
    """
    size = paging.size(depot, limit)
    with depot.catalog.read() as conn:
        one, one_rev = pin(conn, actor, older[0], older[1], action=Action.READ_CONTENT)
        two, two_rev = pin(conn, actor, newer[0], newer[1], action=Action.READ_CONTENT)
        question = f"diff:{one.version.n}:{older[1]}:{two.version.n}:{newer[1]}"
        seen = paging.after(cursor, question, int, int, str)
        last: str | None = None
        if seen is not None:
            one_rev, two_rev, last = seen
            pin(conn, actor, older[0], one_rev, action=Action.READ_CONTENT)
            pin(conn, actor, newer[0], two_rev, action=Action.READ_CONTENT)
    found, end = entry_rows.diff_page(
        depot.catalog, (one.version.n, one_rev), (two.version.n, two_rev), after=last, limit=size
    )
    going_on = None if end is None else cursors.encode((one_rev, two_rev, end), cursors.fingerprint(question))
    return Page(tuple(difference(change) for change in found), going_on)


# Attempts


@dataclass(frozen=True, slots=True)
class Attempt:
    """One ingest."""

    uid: UUID
    task: UUID | None
    state: State
    stage: Stage | None
    report: Mapping[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


def ingests_of(depot: Depot, actor: Actor, key: Key) -> list[Attempt]:
    """Attempts to give a version content, newest first. For whoever may read it: reports quote lines and cells."""
    with depot.catalog.read() as conn:
        version = lookup.version(conn, actor, key, Action.READ_CONTENT).version
        found = ingest_rows.of_version(conn, version.n, depot.limits.page)
        tasks = {row.job: task_rows.find(conn, n=row.job) for row in found if row.job is not None}
    return [
        Attempt(
            uid=row.uid,
            task=None if row.job is None or (task := tasks[row.job]) is None else task.uid,
            state=State(row.state),
            stage=None if row.stage is None else Stage(row.stage),
            report=row.report,
            created_at=row.created_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
        )
        for row in found
    ]


# Events


def version_events(depot: Depot, actor: Actor, key: Key, *, cursor: str | None = None, limit: int = 100) -> Page[Event]:
    """What happened to a version, newest first. For members: events tell names and old values."""
    size = paging.size(depot, limit)
    with depot.catalog.read() as conn:
        found = lookup.version(conn, actor, key, Action.VIEW_RECORD)
        standing = Standing(found.role, found.version.project)
        require(actor, Action.VIEW_PROJECT, standing, f"the events of {found.version.label}", visible=True)
        question = f"events:version:{found.version.n}"
        seen = paging.after(cursor, question, int)
        events = event_rows.page(
            conn, before=None if seen is None else seen[0], limit=size + 1, version=found.version.n
        )
    return paging.page(events, size, question, lambda one: (one.n,))


def events(
    depot: Depot,
    actor: Actor,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    by: UserKey | None = None,
    verbs: tuple[str, ...] = (),
    project: Key | str | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> Page[Event]:
    """The log, newest first: for staff all of it, for others what happened in their projects and what they did.

    Args:
        since, until: From the one on, and before the other.
    """
    lookup.person(actor)
    size = paging.size(depot, limit)
    question = f"events:{since}:{until}:{by}:{verbs}:{project}"
    seen = paging.after(cursor, question, int)
    with depot.catalog.read() as conn:
        n = None
        if project is not None:
            n = lookup.project(conn, actor, project, Action.VIEW_PROJECT).project.n
        whose = None
        if by is not None:
            try:
                whose = people.locate(conn, actor, by).n
            except NotFound:
                return Page(())
        found = event_rows.page(
            conn,
            before=None if seen is None else seen[0],
            limit=size + 1,
            project=n,
            actor=whose,
            since=since,
            until=until,
            verbs=verbs,
            seen_by=None if actor.staff and actor.projects is None else lookup.sight(actor),
        )
    return paging.page(found, size, question, lambda one: (one.n,))
