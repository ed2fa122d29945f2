"""Finding a thing for an actor, and asking the judge: the one place where permission meets the catalogue.

Every use case begins here, inside its own transaction, so that a right taken away a moment ago is already gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from entrepot.catalog import projects as project_rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.versions import Found, Sight
from entrepot.model import ids
from entrepot.model.access import Action, Actor, Standing, effective_role, may, require
from entrepot.model.errors import Frozen, Hidden, KindMismatch, NotFound, Trashed, Unauthenticated
from entrepot.model.ids import Noun
from entrepot.model.references import Reference
from entrepot.model.values import Collection, Dataset, Kind, Project, Role, Version, Visibility

#: How a caller may name a thing: the catalogue's number or the uid; doors decode their own ids to one of them.
Key = int | UUID


def person(actor: Actor) -> int:
    """The user behind the actor.

    Raises:
        Unauthenticated: Nobody is.
    """
    if actor.user is None:
        raise Unauthenticated("Log in first: this needs to know who you are.")
    return actor.user


# Versions


def standing_of(found: Found) -> Standing:
    return Standing(found.role, found.version.project, found.version.visibility)


def sight(actor: Actor, *, least: Role = Role.READ, content: bool = False) -> Sight:
    """What lists may show this actor.

    Args:
        content: Only versions whose content, not just whose record, may be read.
    """
    action = Action.READ_CONTENT if content else Action.VIEW_RECORD
    # Ask the judge what an outsider may see, so that a door's narrowing reaches lists too.
    outside = tuple(v for v in Visibility if least <= Role.READ and may(actor, action, Standing(Role.NONE, None, v)))
    staff = actor.staff
    if staff:
        outside = tuple(v for v in outside if v is not Visibility.PRIVATE)
    return Sight(
        user=actor.user,
        everything=staff,
        projects=actor.projects,
        open_to_all=outside,
        least=least,
    )


def name_of(key: Key) -> str:
    return f"version {key}" if isinstance(key, int) else f"version {ids.encode(Noun.VERSION, key)}"


def version(
    conn: Connection,
    actor: Actor,
    key: Key,
    action: Action,
    *,
    trashed: bool = True,
    named: str | None = None,
) -> Found:
    """One version on which the actor may do `action`.

    Args:
        trashed: Whether a version in the trash counts as existing.

    Raises:
        NotFound: There is none.
        Hidden, Unauthenticated, Forbidden: As `model.access.require` says.
    """
    found = version_rows.find(
        conn,
        asking=actor.user,
        n=key if isinstance(key, int) else None,
        uid=key if isinstance(key, UUID) else None,
    )
    what = named or name_of(key)
    if found is None or (not trashed and found.version.trash is not None):
        raise NotFound(f"There is no {what}, or you may not see it.")
    judge(actor, action, found, what)
    return found


def judge(actor: Actor, action: Action, found: Found, what: str | None = None) -> None:
    standing = standing_of(found)
    require(
        actor,
        action,
        standing,
        what or name_of(found.version.uid),
        visible=may(actor, Action.VIEW_RECORD, standing),
    )


def writable(found: Found, *, kind: Kind | None = None) -> Version:
    """The version, if its content may change at all.

    Raises:
        Trashed, Frozen, KindMismatch
    """
    record = editable(found)
    if record.frozen_at is not None:
        raise Frozen(f"{record.label} is frozen. Copy it to the next version and change that one.")
    if kind is not None and record.kind is not kind:
        raise KindMismatch(
            f"{record.name} is of kind {record.kind}; its content changes by a checked ingest, not file by file."
            if record.kind is not Kind.FILES
            else f"{record.name} holds files; it takes no {kind} ingest."
        )
    return record


def editable(found: Found) -> Version:
    """The version, if its record may change: that is, outside the trash."""
    record = found.version
    if record.trash is not None:
        raise Trashed(f"{record.label} is deleted; reinstate it first.")
    return record


def resolve(conn: Connection, actor: Actor, reference: Reference) -> tuple[Found, int]:
    """The version and revision that `project/dataset[@v[.r]]` means, if the actor may see the record.

    The bare name is the newest ready revision of the highest active version that is not a proposal.
    """
    text = str(reference)
    project = project_rows.find(conn, user=actor.user, slug=reference.project)
    missing = NotFound(f"There is no {text}, or you may not see it.")
    if project is None:
        raise missing
    scope = project[0].n
    line: Dataset | None = version_rows.find_dataset(conn, project_n=scope, slug=reference.dataset)
    number: int | None = None
    if line is None:
        aliased = version_rows.by_alias(conn, scope, reference.dataset)
        if aliased is not None:
            number = aliased
        else:
            led = version_rows.old_dataset_slug(conn, scope, reference.dataset)
            if led is None:
                raise missing
            if led[0] is not None:
                line = version_rows.find_dataset(conn, n=led[0])
            else:
                number = led[1]
    if line is not None:
        if reference.version is None:
            number = version_rows.bare(conn, line.n)
        else:
            number = version_rows.by_number(conn, line.n, reference.version)
    if number is None:
        raise missing
    try:
        found = version(conn, actor, number, Action.VIEW_RECORD, named=text)
    except Hidden as hidden:
        raise NotFound(missing.message) from hidden
    revision = found.version.revision if reference.revision is None else reference.revision
    if revision > found.version.revision:
        raise NotFound(f"{found.version.label} has no revision {revision}; its newest is {found.version.revision}.")
    return found, revision


# Projects


@dataclass(frozen=True, slots=True)
class FoundProject:
    project: Project
    role: Role


def project(conn: Connection, actor: Actor, key: Key | str, action: Action, *, trashed: bool = True) -> FoundProject:
    """One project, by number, uid or slug, on which the actor may do `action`."""
    found = project_rows.find(
        conn,
        user=actor.user,
        n=key if isinstance(key, int) else None,
        uid=key if isinstance(key, UUID) else None,
        slug=key if isinstance(key, str) else None,
    )
    what = f"project {ids.encode(Noun.PROJECT, key) if isinstance(key, UUID) else key}"
    if found is None or (not trashed and found[0].trash is not None):
        raise NotFound(f"There is no {what}, or you may not see it.")
    standing = Standing(found[1], found[0].n)
    require(actor, action, standing, what, visible=may(actor, Action.VIEW_PROJECT, standing))
    return FoundProject(*found)


def active_project(conn: Connection, actor: Actor, key: Key | str, action: Action) -> FoundProject:
    """As `project`, and not in the trash."""
    found = project(conn, actor, key, action)
    if found.project.trash is not None:
        raise Trashed(f"Project {found.project.name} is deleted; reinstate it first.")
    return found


def collection(conn: Connection, actor: Actor, uid: UUID, action: Action) -> tuple[Collection, FoundProject]:
    """A collection by uid (a project's uid is its root) and its project."""
    found = project_rows.collection_by_uid(conn, uid)
    if found is None:
        raise NotFound(f"There is no collection {ids.encode(Noun.COLLECTION, uid)}, or you may not see it.")
    return found, active_project(conn, actor, found.project, action)


def role_in(actor: Actor, found: FoundProject) -> Role:
    return effective_role(actor, Standing(found.role, found.project.n))
