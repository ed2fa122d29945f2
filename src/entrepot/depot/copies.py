"""Copies by reference, and merging one version's files into another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from entrepot.catalog import entries as entry_rows
from entrepot.catalog import projects as project_rows
from entrepot.catalog import versions as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.versions import Found
from entrepot.depot import lines, lookup, projects, search
from entrepot.depot.context import Depot
from entrepot.depot.entries import Committed, settle, unchanged
from entrepot.depot.events import tell
from entrepot.depot.lookup import Key
from entrepot.depot.trash import purge_in, trash_in
from entrepot.depot.versions import again, place
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor
from entrepot.model.errors import Conflict, Invalid, KindMismatch, NotFound, WrongState
from entrepot.model.json_values import json_object
from entrepot.model.values import Collection, Kind, Numbering, Project, State, Version


def copy(
    depot: Depot,
    actor: Actor,
    key: Key,
    *,
    revision: int | None = None,
    project: Key | str | None = None,
    name: str | None = None,
    collection: UUID | str | None = None,
    numbering: Numbering = Numbering.NEXT,
    only_paths: Sequence[str] | None = None,
    keep: Sequence[str] = (),
    custom: Mapping[str, Any] | None = None,
    properties: Mapping[str, Any] | None = None,
) -> Version:
    """A new version with the same content, sharing its entries by reference: two rows whatever the size.

    Takes along description, licence, tags, visibility, custom metadata, entries and their texts; not alias, expiry,
    times or properties. In the same project a reader's copy is a proposal.

    Args:
        revision: Which one of the source; None is the newest.
        only_paths: Exactly these entries; unknown ones are ignored. Part of a table or of records is copied as files.
        keep: Names of properties that come along, where what a door promises hangs on them.
        custom: Custom metadata in place of the source's.
        properties: Further ones of the copy's own.
    """
    now, bound = depot.now(), depot.limits.custom_metadata
    wished = None if custom is None else json_object(custom, bound, "Custom metadata")
    own = json_object(properties or {}, bound, "Properties")

    def work(conn: Connection) -> Version:
        found = lookup.version(conn, actor, key, Action.VIEW_RECORD)
        source = found.version
        home, proposal = _copy_home(conn, actor, found, project, collection)
        if source.number is None:
            raise Conflict(f"{source.name} was never ready; there is nothing to copy.")
        number = source.revision if revision is None else revision
        if not 0 <= number <= source.revision:
            raise NotFound(f"{source.label} has no revision {lookup.said(number)}.")
        kind = source.kind if only_paths is None else Kind.FILES
        line = lines.open_line(conn, depot, home, source.name if name is None else name, now=now)
        spot = _copy_place(conn, depot, actor, home, source, collection)
        n = rows.insert_version(
            conn,
            uid=depot.new_uid(),
            dataset=line.n,
            project=home.n,
            collection=spot.n,
            number=lines.number_for(conn, line, numbering, ready=True),
            kind=kind.value,
            state=State.READY.value,
            creator=actor.user,
            created_at=now,
            updated_at=now,
            ready_at=now,
            description=source.description,
            licence=source.licence,
            visibility=source.visibility.value,
            tags=list(source.tags),
            custom=dict(source.custom) if wished is None else wished,
            properties={name: source.properties[name] for name in keep if name in source.properties} | own,
            declared=source.declared if kind is source.kind else None,
            item_count=source.item_count if kind is source.kind else None,
            unpacked_from=source.unpacked_from,
            is_proposal=proposal,
            previous_version=source.number if numbering is Numbering.NEXT and name is None else None,
        )
        entry_rows.create_revision_zero(conn, n, author=actor.user, at=now)
        if only_paths is None:
            entry_rows.copy(conn, source.n, number, n, author=actor.user, at=now)
        else:
            # Unknown paths are ignored, and what no column can hold is no path.
            known = [path for path in only_paths if names.storable(path)]
            entry_rows.copy_some(conn, source.n, number, n, known, author=actor.user, at=now)
        after = again(conn, actor, n)
        search.write(conn, after, new=True)
        tell(
            conn,
            actor,
            "version.copied",
            after,
            now,
            revision=after.revision,
            after={"name": after.name, "number": after.number, "proposal": proposal},
            detail={"from": ids.revision_id(source.uid, number)},
        )
        lines.room_for(conn, home, 0)
        return after

    return depot.catalog.write(work, bulk=only_paths is not None and len(only_paths) > 2000)


def _copy_home(
    conn: Connection, actor: Actor, found: Found, project: Key | str | None, collection: UUID | str | None
) -> tuple[Project, bool]:
    """Where the copy goes, with its names held, and whether it is a proposal there; the judge is asked here."""
    if isinstance(collection, UUID):
        home = lookup.collection(conn, actor, collection, Action.VIEW_PROJECT)[1].project
        if project is not None:
            named = lookup.project(conn, actor, project, Action.VIEW_PROJECT).project
            if named.n != home.n:
                raise Invalid(f"That collection lies in project {home.name}, not in {named.name}. Name one of the two.")
        target = home.n
    elif project is None:
        target = found.version.project
    else:
        target = lookup.project(conn, actor, project, Action.VIEW_PROJECT).project.n
    if target != found.version.project:
        lookup.judge(actor, Action.READ_CONTENT, found)
        return lookup.hold_project(conn, actor, target, Action.CREATE).project, False
    lookup.judge(actor, Action.COPY, found)
    held = lookup.hold_project(conn, actor, target, Action.VIEW_PROJECT)
    return held.project, not projects.may_write(actor, held)


def _copy_place(
    conn: Connection, depot: Depot, actor: Actor, home: Project, source: Version, wished: UUID | str | None
) -> Collection:
    if isinstance(wished, UUID):
        return lookup.collection(conn, actor, wished, Action.VIEW_PROJECT)[0]
    if wished is None and home.n == source.project:
        found = project_rows.collection_by_uid(conn, source.collection_uid)
        assert found is not None
        return found
    return place(conn, depot, actor, home, wished)


def numbered_name(path: str, k: int) -> str:
    """The k-th other name of a file: `d/e.tar.gz` becomes `d/e.tar-0001.gz`."""
    folder, slash, name = path.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    return f"{folder}{slash}{stem}-{k:04d}{dot}{suffix}"


def mergeable(into: Found, leaving: Found) -> None:
    """Refuse what cannot be merged, whoever asks.

    Raises:
        KindMismatch, Trashed, Frozen, WrongState
    """
    if (into.version.kind, leaving.version.kind) != (Kind.FILES, Kind.FILES):
        raise KindMismatch(
            f"{into.version.label} is of kind {into.version.kind} and {leaving.version.label} of kind "
            f"{leaving.version.kind}; only files can be merged."
        )
    lookup.writable(into)
    if into.version.n != leaving.version.n and leaving.version.number is None:
        raise WrongState(f"{leaving.version.name} was never ready; there is nothing to merge.")


def merge(
    depot: Depot, actor: Actor, target: Key, source: Key, *, delete: bool = False, hard: bool = False
) -> Committed:
    """Bring the files of one version into another as one revision.

    A name that is new comes with its text. The same name with the same bytes changes nothing. The same name with other
    bytes comes under the next free numbered name. Fields of the source are not taken.

    Args:
        delete: Put the source in the trash in the same transaction.
        hard: With `delete`, remove it for good: its files live on in the target.

    Raises:
        KindMismatch: One of them does not hold files.
    """
    now = depot.now()

    def work(conn: Connection) -> Committed:
        away = Action.MERGE_AWAY if delete else Action.MERGE_SOURCE
        if delete and hard:
            # A purge may end a line, and names are held before versions.
            other = lookup.version(conn, actor, source, away).version
            project_rows.hold_names(conn, [other.project])
        into, leaving = lookup.hold_all(conn, actor, [(target, Action.EDIT), (source, away)])
        if delete and hard:
            lookup.require_still(other, leaving.version)
        mergeable(into, leaving)
        if into.version.n == leaving.version.n:
            return unchanged(conn, into)
        message = f"Merge {leaving.version.label}"
        event = tell(
            conn,
            actor,
            "version.merged",
            into.version,
            now,
            revision=into.version.revision + 1,
            detail={"from": ids.revision_id(leaving.version.uid, leaving.version.revision)},
        )
        entry_rows.merge(
            conn,
            leaving.version.n,
            leaving.version.revision,
            into.version.n,
            rename=numbered_name,
            author=actor.user,
            at=now,
            message=message,
            event=event,
        )
        if delete and hard:
            purge_in(conn, actor, leaving.version, now)
        elif delete:
            trash_in(conn, actor, leaving.version, "deleted", now)
        # Last, and after a purge gave its room back: whether the project can hold the result.
        return settle(conn, actor, into, now)

    return depot.catalog.write(work, bulk=True)
