"""Provenance: directed, typed edges between versions, pinned to revisions, and walks over them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from entrepot.catalog import relationships as rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.relationships import EdgeRow
from entrepot.depot import lookup, paging
from entrepot.depot.context import Depot
from entrepot.depot.events import record
from entrepot.depot.lookup import Key
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor
from entrepot.model.errors import Invalid, NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Page, Relationship, Version, VersionRef

MODES = ("non_destructive", "altering", "destructive", "in_situ", "ex_situ", "invasive", "non_invasive")

Direction = Literal["up", "down", "both"]


@dataclass(frozen=True, slots=True)
class NewRelationship:
    """An edge from a dependent (source) to what it came from (target).

    Args:
        verb: Free words of 1–255 characters: "derived_from", "compared_with".
        source_revision: None pins the newest ready one.
    """

    source: Key
    target: Key
    verb: str
    mode: str | None = None
    note: str | None = None
    at: datetime | None = None
    qualifiers: Mapping[str, Any] | None = None
    source_revision: int | None = None
    target_revision: int | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """What a walk found. `versions` are those whose record the caller may see, by number; others are left out whole."""

    start: Version
    versions: Mapping[int, Version]
    edges: Sequence[Relationship]
    truncated: bool


def create(depot: Depot, actor: Actor, new: NewRelationship) -> Relationship:
    """Link two versions. The identical edge again is answered as it is.

    Raises:
        Invalid: Both ends are the same version, or a word is not allowed.
        NotFound, Forbidden: It needs write on the source and read on the target.
    """
    now = depot.now()
    verb = names.text(new.verb, max_length=255, field="verb").strip()
    if not verb:
        raise Invalid("A relationship needs a verb, such as derived_from.")
    if new.mode is not None and new.mode not in MODES:
        raise Invalid(f"The mode {new.mode[:40]!r} is not known; use one of {', '.join(MODES)}.")
    note = None if new.note is None else names.text(new.note, max_length=depot.limits.description, field="note")
    qualifiers = dict(new.qualifiers or {})
    if len(json.dumps(qualifiers, allow_nan=False)) > depot.limits.custom_metadata:
        raise Invalid("The qualifiers are too large.")

    def work(conn: Connection) -> Relationship:
        source = _end(conn, actor, new.source, new.source_revision, Action.LINK_SOURCE)
        target = _end(conn, actor, new.target, new.target_revision, Action.LINK_TARGET)
        if source[0].n == target[0].n:
            raise Invalid(f"{source[0].label} cannot be related to itself.")
        identity = [
            source[0].uid.hex,
            source[1],
            target[0].uid.hex,
            target[1],
            verb,
            new.mode,
            note,
            None if new.at is None else new.at.isoformat(),
            qualifiers,
        ]
        fingerprint = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        row, fresh = rows.insert_edge(
            conn,
            fingerprint=fingerprint,
            uid=depot.new_uid(),
            source=source[0].n,
            source_rev=source[1],
            target=target[0].n,
            target_rev=target[1],
            verb=verb,
            mode=new.mode,
            note=note,
            at=new.at,
            qualifiers=qualifiers,
            creator=actor.user,
            created_at=now,
        )
        if fresh:
            record(
                conn,
                actor,
                "relationship.created",
                at=now,
                project=source[0].project,
                dataset=source[0].dataset,
                version=source[0].n,
                subject=ids.encode(Noun.RELATIONSHIP, row.uid),
                after={"verb": verb, "target": ids.revision_id(target[0].uid, target[1])},
            )
        return _shown(conn, actor, [row])[0]

    return depot.catalog.write(work)


def _end(conn: Connection, actor: Actor, key: Key, revision: int | None, action: Action) -> tuple[Version, int]:
    version = lookup.version(conn, actor, key, action).version
    if version.number is None:
        raise Invalid(f"{version.name} was never ready; there is no revision to pin.")
    wanted = version.revision if revision is None else revision
    if not 0 <= wanted <= version.revision:
        raise NotFound(f"{version.label} has no revision {wanted}; its newest is {version.revision}.")
    return version, wanted


def _shown(conn: Connection, actor: Actor, edges: Sequence[EdgeRow]) -> list[Relationship]:
    """Edges as the caller may see them: an end that is hidden from them is None."""
    numbers = {n for edge in edges for n in (edge.source, edge.target) if n is not None}
    seen = version_rows.by_numbers(conn, lookup.sight(actor), sorted(numbers))

    def end(n: int | None, revision: int, stone: Mapping[str, Any] | None) -> VersionRef | None:
        if n is None and stone is not None:
            return VersionRef(None, UUID(stone["uid"]), revision, stone["name"], stone["number"], purged=True)
        if n is None or n not in seen:
            return None
        version = seen[n].version
        return VersionRef(n, version.uid, revision, version.name, version.number)

    return [
        Relationship(
            n=edge.n,
            uid=edge.uid,
            source=end(edge.source, edge.source_rev, edge.source_tombstone),
            target=end(edge.target, edge.target_rev, edge.target_tombstone),
            verb=edge.verb,
            mode=edge.mode,
            note=edge.note,
            at=edge.at,
            qualifiers=edge.qualifiers,
            creator=edge.creator,
            created_at=edge.created_at,
        )
        for edge in edges
    ]


def get(depot: Depot, actor: Actor, uid: UUID) -> Relationship:
    """One edge, if the caller may see either end."""
    missing = NotFound(f"There is no relationship {ids.encode(Noun.RELATIONSHIP, uid)}, or you may not see it.")
    with depot.catalog.read() as conn:
        row = rows.find(conn, uid=uid)
        if row is None:
            raise missing
        shown = _shown(conn, actor, [row])[0]
    live = [end for end in (shown.source, shown.target) if end is not None and not end.purged]
    if not live and not actor.staff:
        raise missing
    return shown


def delete(depot: Depot, actor: Actor, uid: UUID) -> None:
    """Remove an edge: write on the source; staff when the source is purged."""
    now = depot.now()

    def work(conn: Connection) -> None:
        row = rows.find(conn, uid=uid)
        if row is None:
            raise NotFound(f"There is no relationship {ids.encode(Noun.RELATIONSHIP, uid)}, or you may not see it.")
        key = row.source if row.source is not None else row.target
        if key is None:
            raise NotFound(f"There is no relationship {ids.encode(Noun.RELATIONSHIP, uid)}, or you may not see it.")
        version = lookup.version(conn, actor, key, Action.LINK_SOURCE).version
        rows.remove(conn, row.n)
        record(
            conn,
            actor,
            "relationship.deleted",
            at=now,
            project=version.project,
            dataset=version.dataset,
            version=version.n,
            subject=ids.encode(Noun.RELATIONSHIP, uid),
            before={"verb": row.verb},
        )

    depot.catalog.write(work)


def list_relationships(
    depot: Depot,
    actor: Actor,
    key: Key,
    *,
    direction: Direction = "both",
    cursor: str | None = None,
    limit: int = 100,
) -> Page[Relationship]:
    """Edges of one version; `up` are those it is the source of (what it came from), `down` those that came from it."""
    size = paging.size(depot, limit)
    question = f"edges:{key}:{direction}"
    after = paging.after(cursor, question, int)
    with depot.catalog.read() as conn:
        version = lookup.version(conn, actor, key, Action.VIEW_RECORD).version
        found = rows.touching(
            conn,
            [version.n],
            as_source=direction in ("up", "both"),
            as_target=direction in ("down", "both"),
            after=None if after is None else after[0],
            limit=size + 1,
        )
        shown = _shown(conn, actor, found)
    return paging.page(shown, size, question, lambda edge: (edge.n,))


def graph(depot: Depot, actor: Actor, key: Key, *, direction: Direction = "up", depth: int = 10) -> Graph:
    """Walk from a version over its edges, level by level, up to what it came from or down to what came from it.

    Edges may form cycles: every version is visited once. A version hidden from the caller ends the walk there, so that
    nothing behind it can be guessed. Bounded by `limits.graph_nodes`; `truncated` says when the bound was met.
    """
    if depth < 1:
        raise Invalid(f"A walk goes at least 1 step, not {depth}.")
    sight = lookup.sight(actor)
    with depot.catalog.read() as conn:
        start = lookup.version(conn, actor, key, Action.VIEW_RECORD).version
        seen: dict[int, Version] = {start.n: start}
        edges: dict[int, EdgeRow] = {}
        frontier, truncated = [start.n], False
        for _ in range(depth):
            if not frontier or truncated:
                break
            found: list[EdgeRow] = []
            for at in range(0, len(frontier), 500):
                found += rows.touching(
                    conn,
                    frontier[at : at + 500],
                    as_source=direction in ("up", "both"),
                    as_target=direction in ("down", "both"),
                    limit=depot.limits.graph_nodes + 1,
                )
            fresh = {edge.n: edge for edge in found if edge.n not in edges}
            numbers = sorted({n for e in fresh.values() for n in (e.source, e.target) if n is not None} - seen.keys())
            visible: dict[int, version_rows.Found] = {}
            for at in range(0, len(numbers), 500):
                visible |= version_rows.by_numbers(conn, sight, numbers[at : at + 500])
            edges |= fresh
            seen |= {n: one.version for n, one in visible.items()}
            frontier = sorted(visible)
            truncated = len(seen) > depot.limits.graph_nodes or len(edges) > depot.limits.graph_nodes
        shown = _shown(conn, actor, list(edges.values()))
    kept = [edge for edge in shown if edge.source is not None and edge.target is not None]
    return Graph(start, seen, kept, truncated)
