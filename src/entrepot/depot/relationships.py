"""Provenance: directed, typed edges between versions, pinned to revisions, and walks over them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal
from uuid import UUID

from entrepot.catalog import projects as project_rows
from entrepot.catalog import relationships as rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.relationships import EdgeRow
from entrepot.catalog.versions import Sight
from entrepot.depot import lookup, paging
from entrepot.depot.context import Depot
from entrepot.depot.events import record, tell
from entrepot.depot.lookup import Key
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor, Standing, may, require
from entrepot.model.errors import Invalid, NotFound
from entrepot.model.ids import Noun
from entrepot.model.instants import instant
from entrepot.model.json_values import json_object
from entrepot.model.values import Page, Relationship, Role, Version, VersionRef, Visibility

MODES = ("non_destructive", "altering", "destructive", "in_situ", "ex_situ", "invasive", "non_invasive")

#: What is said of a version that the server made of another one.
MADE_FROM = "derived_from"

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
    """`link`, for whom it is all the same whether the edge is new."""
    return link(depot, actor, new)[0]


def link(depot: Depot, actor: Actor, new: NewRelationship) -> tuple[Relationship, bool]:
    """Link two versions; and whether the edge is new. The identical edge again is answered as it is.

    Raises:
        Invalid: Both ends are the same version, or a word is not allowed.
        NotFound, Forbidden: It needs write on the source and read on the target.
        Trashed: The source is in the trash; the target may be.
    """
    now = depot.now()
    verb = names.text(new.verb, max_length=255, field="Verb").strip()
    if not verb:
        raise Invalid("A relationship needs a verb, such as derived_from.")
    if new.mode is not None and new.mode not in MODES:
        raise Invalid(f"The mode {lookup.said(new.mode)!r} is not known; use one of {', '.join(MODES)}.")
    note = None if new.note is None else names.text(new.note, max_length=depot.limits.description, field="Note")
    at = None if new.at is None else instant(new.at, "The time of the relationship")
    given = {} if new.qualifiers is None else new.qualifiers
    qualifiers = json_object(given, depot.limits.custom_metadata, "Qualifiers")

    def work(conn: Connection) -> tuple[Relationship, bool]:
        # Both held: a purge of either would leave an edge to nothing.
        one, other = lookup.hold_all(conn, actor, [(new.source, Action.LINK_SOURCE), (new.target, Action.LINK_TARGET)])
        lookup.editable(one)
        source, source_rev = _pinned(one.version, new.source_revision)
        target, target_rev = _pinned(other.version, new.target_revision)
        if source.n == target.n:
            raise Invalid(f"{source.label} cannot be related to itself.")
        row, fresh = rows.insert_edge(
            conn,
            fingerprint=_fingerprint(source, source_rev, target, target_rev, verb, new.mode, note, at, qualifiers),
            uid=depot.new_uid(),
            source=source.n,
            source_rev=source_rev,
            target=target.n,
            target_rev=target_rev,
            verb=verb,
            mode=new.mode,
            note=note,
            at=at,
            qualifiers=qualifiers,
            creator=actor.user,
            created_at=now,
        )
        if fresh:
            _tell(conn, actor, row, source, target, now)
        return _shown(conn, actor, [row])[0], fresh

    return depot.catalog.write(work)


def _fingerprint(
    source: Version,
    source_rev: int,
    target: Version,
    target_rev: int,
    verb: str,
    mode: str | None = None,
    note: str | None = None,
    at: datetime | None = None,
    qualifiers: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """What makes an edge the same edge."""
    identity = [
        source.uid.hex,
        source_rev,
        target.uid.hex,
        target_rev,
        verb,
        mode,
        note,
        None if at is None else at.isoformat(),
        dict(qualifiers),
    ]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def made_from(conn: Connection, depot: Depot, actor: Actor, made: Version, target: int, revision: int) -> None:
    """Write down what the newest revision of `made` was made of; nothing, if that was purged meanwhile.

    The judge was asked when the work began, and the caller holds both.
    """
    found = version_rows.find(conn, asking=actor.user, n=target)
    if found is None or target == made.n:
        return
    now, of = depot.now(), found.version
    row, fresh = rows.insert_edge(
        conn,
        fingerprint=_fingerprint(made, made.revision, of, revision, MADE_FROM),
        uid=depot.new_uid(),
        source=made.n,
        source_rev=made.revision,
        target=of.n,
        target_rev=revision,
        verb=MADE_FROM,
        mode=None,
        note=None,
        at=None,
        qualifiers={},
        creator=actor.user,
        created_at=now,
    )
    if fresh:
        _tell(conn, actor, row, made, of, now)


def _tell(conn: Connection, actor: Actor, row: EdgeRow, source: Version, target: Version, now: datetime) -> None:
    tell(
        conn,
        actor,
        "relationship.created",
        source,
        now,
        subject=ids.encode(Noun.RELATIONSHIP, row.uid),
        after={"verb": row.verb, "target": ids.revision_id(target.uid, row.target_rev)},
    )


def _pinned(version: Version, revision: int | None) -> tuple[Version, int]:
    if version.number is None:
        raise Invalid(f"{version.name} was never ready; there is no revision to pin.")
    wanted = version.revision if revision is None else revision
    if not 0 <= wanted <= version.revision:
        raise NotFound(f"{version.label} has no revision {lookup.said(wanted)}; its newest is {version.revision}.")
    return version, wanted


def _shown(conn: Connection, actor: Actor, edges: Sequence[EdgeRow]) -> list[Relationship]:
    """Edges as the caller may see them.

    An edge is a fact about its source, written by who may write there: to whom the source is hidden, the edge is not
    there, with its verb and its note. A hidden target is shown as None. What was purged is shown, by its tombstone, to
    whom it was visible.
    """
    numbers = {n for edge in edges for n in (edge.source, edge.target) if n is not None}
    seen = version_rows.by_numbers(conn, lookup.sight(actor), sorted(numbers))
    stones = _Stones(conn, actor)

    def end(n: int | None, revision: int, stone: Mapping[str, Any] | None) -> VersionRef | None:
        if n is None and stone is not None and stones.visible(stone):
            return VersionRef(None, UUID(stone["uid"]), revision, stone["name"], stone["number"], purged=True)
        if n is None or n not in seen:
            return None
        version = seen[n].version
        return VersionRef(n, version.uid, revision, version.name, version.number)

    shown = [
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
    return [edge for edge in shown if edge.source is not None]


class _Stones:
    """Who may be told of what was purged: those who could see its record when it went, by their role of today."""

    def __init__(self, conn: Connection, actor: Actor) -> None:
        self._conn = conn
        self._actor = actor
        self._roles: dict[int, Role] = {}

    def visible(self, stone: Mapping[str, Any]) -> bool:
        project = int(stone["project"])
        if project not in self._roles:
            found = project_rows.find(self._conn, user=self._actor.user, n=project)
            self._roles[project] = Role.NONE if found is None else found[1]
        stands = Standing(self._roles[project], project, Visibility(stone["visibility"]))
        return may(self._actor, Action.VIEW_RECORD, stands)


def get(depot: Depot, actor: Actor, uid: UUID) -> Relationship:
    """One edge, if the caller may see its source."""
    with depot.catalog.read() as conn:
        return _seen(conn, actor, uid)[1]


def seen(conn: Connection, actor: Actor, uid: UUID) -> Relationship:
    """`get` inside the caller's transaction."""
    return _seen(conn, actor, uid)[1]


def _seen(conn: Connection, actor: Actor, uid: UUID) -> tuple[EdgeRow, Relationship]:
    row = rows.find(conn, uid=uid)
    shown = [] if row is None else _shown(conn, actor, [row])
    if row is None or not shown:
        raise NotFound(f"There is no relationship {ids.encode(Noun.RELATIONSHIP, uid)}, or you may not see it.")
    return row, shown[0]


def delete(depot: Depot, actor: Actor, uid: UUID) -> None:
    """Remove an edge: write on the source and read on the target; staff when the source is purged."""
    now = depot.now()
    name = f"relationship {ids.encode(Noun.RELATIONSHIP, uid)}"

    def work(conn: Connection) -> None:
        row, _ = _seen(conn, actor, uid)
        if row.source is None:
            require(actor, Action.OPERATE, Standing(), f"{name}, whose source is purged", visible=True)
            rows.remove(conn, row.n)
            record(conn, actor, "relationship.deleted", at=now, subject=name.split()[1], before={"verb": row.verb})
            return
        source = lookup.hold(conn, actor, row.source, Action.LINK_SOURCE, named=name)
        lookup.editable(source)
        if row.target is not None:
            found = version_rows.find(conn, asking=actor.user, n=row.target)
            if found is not None:
                # Visible: that there is an end which they may not see is all that this tells, and they know it.
                require(actor, Action.LINK_TARGET, lookup.standing_of(found), f"the target of {name}", visible=True)
        rows.remove(conn, row.n)
        tell(
            conn,
            actor,
            "relationship.deleted",
            source.version,
            now,
            subject=name.split()[1],
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
    last = None if after is None else after[0]
    found: list[Relationship] = []
    with depot.catalog.read() as conn:
        version = lookup.version(conn, actor, key, Action.VIEW_RECORD).version
        sight = lookup.sight(actor)
        while len(found) <= size:
            edges = rows.touching(
                conn,
                sight,
                [version.n],
                as_source=direction in ("up", "both"),
                as_target=direction in ("down", "both"),
                after=last,
                limit=size + 1,
            )
            # Those with a purged source may fall out here; the page is filled up, so that nobody can count them.
            found += _shown(conn, actor, edges)
            if len(edges) <= size:
                break
            last = edges[-1].n
    return paging.page(found, size, question, lambda edge: (edge.n,))


def graph(depot: Depot, actor: Actor, key: Key, *, direction: Direction = "up", depth: int = 10) -> Graph:
    """Walk from a version over its edges, level by level, up to what it came from or down to what came from it.

    Edges may form cycles: every version is visited once. A version hidden from the caller is not there, and so is what
    can be reached over it alone. Bounded by `limits.graph_nodes`, versions and edges alike; `truncated` says when the
    bound was met.
    """
    if depth < 1:
        raise Invalid(f"A walk goes at least 1 step, not {lookup.said(depth)}.")
    sight, most = lookup.sight(actor), depot.limits.graph_nodes
    with depot.catalog.read() as conn:
        start = lookup.version(conn, actor, key, Action.VIEW_RECORD).version
        seen: dict[int, Version] = {start.n: start}
        edges: dict[int, EdgeRow] = {}
        frontier = [start.n]
        for _ in range(min(depth, most)):
            fresh = _around(conn, sight, frontier, direction, most + 1 - len(edges), edges)
            edges |= fresh
            numbers = {n for edge in fresh.values() for n in (edge.source, edge.target) if n is not None}
            visible = version_rows.by_numbers(conn, sight, sorted(numbers - seen.keys()))
            seen |= {n: one.version for n, one in visible.items()}
            frontier = sorted(visible)
            if not frontier or len(edges) > most or len(seen) > most:
                break
        truncated = len(edges) > most or len(seen) > most
        shown = _shown(conn, actor, [edges[n] for n in sorted(edges)[:most]])
    kept = [edge for edge in shown if edge.target is not None]
    return Graph(start, dict(list(seen.items())[:most]), kept, truncated)


def _around(
    conn: Connection,
    sight: Sight,
    frontier: Sequence[int],
    direction: Direction,
    most: int,
    known: Mapping[int, EdgeRow],
) -> dict[int, EdgeRow]:
    """Up to `most` edges of these versions that are not known yet, both ends visible."""
    fresh: dict[int, EdgeRow] = {}
    for start in range(0, len(frontier), 500):
        after: int | None = None
        while len(fresh) < most:
            found = rows.touching(
                conn,
                sight,
                frontier[start : start + 500],
                as_source=direction in ("up", "both"),
                as_target=direction in ("down", "both"),
                both_ends=True,
                after=after,
                limit=1000,
            )
            fresh |= {edge.n: edge for edge in found if edge.n not in known}
            if len(found) < 1000:
                break
            after = found[-1].n
    return fresh
