"""Copies by reference, and merging one version's files into another."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from entrepot.catalog import entries as entry_rows
from entrepot.catalog import projects as project_rows
from entrepot.catalog import versions as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.versions import Found
from entrepot.depot import lines, lookup, search
from entrepot.depot.context import Depot
from entrepot.depot.entries import Committed, settle, unchanged
from entrepot.depot.events import record
from entrepot.depot.lookup import Key
from entrepot.depot.trash import purge_in, trash_in
from entrepot.depot.versions import again, place
from entrepot.model import ids
from entrepot.model.access import Action, Actor
from entrepot.model.errors import Conflict, KindMismatch, NotFound, Trashed
from entrepot.model.values import Collection, Kind, Numbering, Project, Role, State, Version


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
) -> Version:
    """A new version with the same content, sharing its entries by reference: two rows whatever the size.

    Takes along description, licence, tags, visibility, custom metadata, entries and their texts; not alias, expiry,
    times or properties. In the same project a reader's copy is a proposal.

    Args:
        revision: Which one of the source; None is the newest.
        only_paths: Exactly these entries; unknown ones are ignored. Part of a table or of records is copied as files.
    """
    now = depot.now()

    def work(conn: Connection) -> Version:
        found = lookup.version(conn, actor, key, Action.VIEW_RECORD)
        source = found.version
        if source.number is None:
            raise Conflict(f"{source.name} was never ready; there is nothing to copy.")
        number = source.revision if revision is None else revision
        if number > source.revision or number < 0:
            raise NotFound(f"{source.label} has no revision {number}.")
        home, role = _copy_home(conn, actor, found, project, collection)
        proposal = role < Role.WRITE and not actor.staff
        kind = source.kind if only_paths is None else Kind.FILES
        line = lines.open_line(conn, depot, home, name or source.name, now=now)
        spot = _copy_place(conn, depot, home, source, collection)
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
            custom=dict(source.custom),
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
            entry_rows.copy_some(conn, source.n, number, n, only_paths, author=actor.user, at=now)
        after = again(conn, actor, n)
        lines.room_for(conn, home, 0)
        search.write(conn, after)
        record(
            conn,
            actor,
            "version.copied",
            at=now,
            project=home.n,
            dataset=line.n,
            version=n,
            revision=after.revision,
            after={"name": after.name, "number": after.number, "proposal": proposal},
            detail={"from": ids.revision_id(source.uid, number)},
        )
        return after

    return depot.catalog.write(work)


def _copy_home(
    conn: Connection, actor: Actor, found: Found, project: Key | str | None, collection: UUID | str | None
) -> tuple[Project, Role]:
    """Where the copy goes, and the caller's role there; the judge is asked here."""
    target: Key | str = found.version.project if project is None else project
    if isinstance(collection, UUID):
        target = lookup.collection(conn, actor, collection, Action.VIEW_PROJECT)[1].project.n
    held = lookup.FoundProject(*_project(conn, actor, target))
    role = lookup.role_in(actor, held)
    if held.project.n == found.version.project:
        lookup.judge(actor, Action.COPY, found)
        if held.project.trash is not None:
            raise Trashed(f"Project {held.project.name} is deleted; reinstate it first.")
        return held.project, role
    lookup.judge(actor, Action.READ_CONTENT, found)
    return lookup.active_project(conn, actor, held.project.n, Action.CREATE).project, role


def _project(conn: Connection, actor: Actor, key: Key | str) -> tuple[Project, Role]:
    found = project_rows.find(
        conn,
        user=actor.user,
        n=key if isinstance(key, int) else None,
        uid=key if isinstance(key, UUID) else None,
        slug=key if isinstance(key, str) else None,
    )
    if found is None:
        raise NotFound(f"There is no project {key}, or you may not see it.")
    return found


def _copy_place(
    conn: Connection, depot: Depot, home: Project, source: Version, wished: UUID | str | None
) -> Collection:
    if isinstance(wished, UUID):
        found = project_rows.collection_by_uid(conn, wished)
        assert found is not None
        return found
    if wished is None and home.n == source.project:
        found = project_rows.collection_by_uid(conn, source.collection_uid)
        assert found is not None
        return found
    return place(conn, depot, home, wished)


def numbered_name(path: str, k: int) -> str:
    """The k-th other name of a file: `d/e.tar.gz` becomes `d/e.tar-0001.gz`."""
    folder, slash, name = path.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    return f"{folder}{slash}{stem}-{k:04d}{dot}{suffix}"


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
        into = lookup.version(conn, actor, target, Action.EDIT)
        other = lookup.version(conn, actor, source, Action.MERGE_AWAY if delete else Action.MERGE_SOURCE)
        if (into.version.kind, other.version.kind) != (Kind.FILES, Kind.FILES):
            raise KindMismatch(
                f"{into.version.label} is of kind {into.version.kind} and {other.version.label} of kind "
                f"{other.version.kind}; only files can be merged."
            )
        lookup.writable(into)
        if into.version.n == other.version.n:
            return unchanged(conn, into)
        for n in sorted((into.version.n, other.version.n)):
            rows.lock(conn, n)
        message = f"Merge {other.version.label}"
        event = record(
            conn,
            actor,
            "version.merged",
            at=now,
            project=into.version.project,
            dataset=into.version.dataset,
            version=into.version.n,
            detail={"from": ids.revision_id(other.version.uid, other.version.revision)},
        )
        entry_rows.merge(
            conn,
            other.version.n,
            other.version.revision,
            into.version.n,
            rename=numbered_name,
            author=actor.user,
            at=now,
            message=message,
            event=event,
        )
        done = settle(conn, actor, into, now)
        if delete and hard:
            purge_in(conn, actor, other.version, now)
        elif delete:
            trash_in(conn, actor, other.version, "deleted", now)
        return done

    return depot.catalog.write(work, bulk=True)
