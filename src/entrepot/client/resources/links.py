"""Relationships between versions, search, events and tasks: what is asked across datasets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from entrepot.client.pins import Pin, Thing, pin, reference_of
from entrepot.client.resources.base import Resource, named
from entrepot.client.transport import segment
from entrepot.model.errors import Unavailable
from entrepot.model.values import TaskState
from entrepot.wire.messages.events import Event, EventPage
from entrepot.wire.messages.relationships import Graph, NewRelationship, Relationship, RelationshipPage
from entrepot.wire.messages.search import SearchPage, SearchRow
from entrepot.wire.messages.tasks import Task, TaskPage
from entrepot.wire.messages.versions import Version

__all__ = ["Events", "Relationships", "Search", "Tasks"]

#: How long the server holds an answer back while nothing happens.
_LONG_POLL_S = 20
_ENDED = frozenset({TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED})


class Relationships(Resource):
    """Directed, typed edges: `derived_from` points from the result to its origin."""

    def list(self, version: Thing, *, direction: str = "both", verb: str | None = None) -> Iterator[Relationship]:
        """The edges of a version.

        Args:
            direction: `out` where it is the source, `in` where it is the target, or `both`.
        """
        asked = {"version": self._version_id(version), "direction": direction, "verb": verb}
        yield from self._transport.rows("/relationships", RelationshipPage, asked)

    def get(self, relationship: str) -> Relationship:
        return self._transport.get(f"/relationships/{named('relationship', relationship)}", Relationship)

    def create(
        self,
        source: Thing,
        target: Thing,
        verb: str,
        *,
        mode: str | None = None,
        note: str | None = None,
        at: datetime | None = None,
        qualifiers: Mapping[str, Any] | None = None,
        source_revision: int | None = None,
        target_revision: int | None = None,
    ) -> Relationship:
        """Say how one version came from another. The same edge again is the one that is there."""
        given: dict[str, Any] = {
            "source": self._version_id(source),
            "target": self._version_id(target),
            "verb": verb,
            "mode": mode,
            "note": note,
            "at": at,
            "source_revision": source_revision,
            "target_revision": target_revision,
        }
        given = {name: value for name, value in given.items() if value is not None}
        if qualifiers is not None:
            given["qualifiers"] = dict(qualifiers)
        return self._transport.post("/relationships", Relationship, NewRelationship(**given))

    def delete(self, relationship: str) -> None:
        self._transport.send("DELETE", f"/relationships/{named('relationship', relationship)}")

    def graph(self, version: Thing, *, direction: str = "both", depth: int | None = None) -> Graph:
        """All that can be reached.

        Args:
            direction: `up` to what it was made of, `down` to what was made of it, or `both`.
        """
        asked = {"direction": direction, "depth": depth}
        return self._transport.get(self._version(version, "/graph"), Graph, asked)

    def affected(self, version: Thing) -> Affected:
        """What depends on a version, at any distance: what to look at if it is bad.

        A reference or pin that names a revision asks about that one: only what was made of it is affected at the first
        step. Otherwise all that was made of any revision is.
        """
        start = pin(self._transport, version)
        asks_revision = isinstance(version, Pin) or (isinstance(version, str) and _names_revision(version))
        asked = {"direction": "down", "depth": 1000}
        found = self._transport.get(f"/versions/{segment(start.version)}/graph", Graph, asked)
        records = {one.id: one for one in found.versions}
        below: dict[str, list[Relationship]] = {}
        for edge in found.edges:
            if edge.source is not None and edge.target is not None:
                below.setdefault(edge.target.version, []).append(edge)
        rows: dict[str, AffectedVersion] = {}
        level = [start.version]
        distance = 0
        while level:
            distance += 1
            following: list[str] = []
            for origin in level:
                for edge in below.get(origin, []):
                    if edge.source is None or edge.target is None or edge.source.version in {start.version, *rows}:
                        # Verbs are anybody's words, so edges can run in circles.
                        continue
                    if distance == 1 and asks_revision and edge.target.revision != start.revision:
                        continue
                    record = records.get(edge.source.version)
                    if record is not None:
                        rows[record.id] = AffectedVersion(record, distance, edge)
                        following.append(record.id)
            level = following
        return Affected(start, list(rows.values()), found.truncated)


@dataclass(frozen=True, slots=True)
class AffectedVersion:
    """A version that depends on another: how many steps away, and by which edge the walk came to it."""

    version: Version
    distance: int
    edge: Relationship


@dataclass(frozen=True, slots=True)
class Affected:
    """`rows` are in order of distance. `truncated`: the walk ended at the server's limit, and there is more."""

    start: Pin
    rows: list[AffectedVersion]
    truncated: bool


def _names_revision(text: str) -> bool:
    reference = reference_of(text)
    return text.startswith("rev_") if reference is None else reference.revision is not None


class Search(Resource):
    """Words in names, descriptions, tags, metadata and columns, and conditions on what was read out of files."""

    def __call__(
        self,
        q: str,
        *,
        project: str | None = None,
        kind: str | None = None,
        tags: Sequence[str] = (),
    ) -> Iterator[SearchRow]:
        """What fits, best first, as far as the caller may see it.

        Args:
            q: Words and conditions: `type:fastq`, `standing:bad`, `facts.reads:>1000`, `facts.samples:"liver 2"`.
            tags: All of these.

        Raises:
            Invalid: A condition cannot be read.
        """
        asked = {"q": q, "project": project, "kind": kind, "tag": [*tags] or None}
        yield from self._transport.rows("/search", SearchPage, asked)


class Events(Resource):
    """Who did what, when, through which door. Staff sees all, others what happened in their projects."""

    def list(
        self,
        *,
        version: Thing | None = None,
        since: datetime | None = None,
        actor: str | None = None,
        verb: str | None = None,
    ) -> Iterator[Event]:
        """Newest first."""
        asked = {"since": None if since is None else since.isoformat(), "actor": actor, "verb": verb}
        path = "/events" if version is None else self._version(version, "/events")
        yield from self._transport.rows(path, EventPage, asked if version is None else None)


class Tasks(Resource):
    """Long work that somebody may wait for."""

    def list(self, *, version: Thing | None = None, state: str | None = None) -> Iterator[Task]:
        asked = {"version": None if version is None else self._version_id(version), "state": state}
        yield from self._transport.rows("/tasks", TaskPage, asked)

    def get(self, task: str) -> Task:
        return self._transport.get(f"/tasks/{named('task', task)}", Task)

    def cancel(self, task: str) -> Task:
        """Ask it to end. It may have ended by then."""
        return self._transport.post(f"/tasks/{named('task', task)}/cancel", Task)

    def wait(
        self,
        task: str | Task,
        *,
        timeout: float | None = None,
        on_progress: Callable[[Task], None] | None = None,
    ) -> Task:
        """The task once it has ended: done, failed or cancelled; which, the caller looks up in `state`.

        Args:
            timeout: Seconds to wait in all.
            on_progress: Called with each state that the server tells.

        Raises:
            Unavailable: It has not ended within `timeout`. It goes on all the same.
        """
        address = f"/tasks/{segment(task if isinstance(task, str) else task.id)}"
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _LONG_POLL_S if deadline is None else min(_LONG_POLL_S, deadline - time.monotonic())
            # The server's wait ends before our own patience for an answer does.
            wait = max(0, min(int(left), int(self._transport.timeout) - 5))
            found = self._transport.get(address, Task, {"wait": wait or None})
            if on_progress is not None:
                on_progress(found)
            if found.state in _ENDED:
                return found
            if deadline is not None and time.monotonic() >= deadline:
                raise Unavailable(
                    f"Task {found.id} is still {found.state.value} after {timeout:g} s. It goes on; wait for it again."
                )
            if wait == 0:
                time.sleep(0.2)
