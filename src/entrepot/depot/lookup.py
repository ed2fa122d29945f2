"""Finding a thing for an actor, and asking the judge: the one place where permission meets the catalogue.

Every use case begins here, inside its own transaction, so that a right taken away a moment ago is already gone.

What a use case is about to change it *holds*: nobody else changes it until the transaction ends, and what was read
under the hold stays true. Without it two that come at once both pass the same look, and the second one commits into a
version that the first has trashed, or takes a number that the first has taken. Holds are taken in this order, by
everybody, so that they do not deadlock; those of one step in order of number:

    names of projects ─► versions ─► histories of entries ─► room of a project

The names of a project are held by whoever gives or takes a name, number, alias, slug or collection in it. SQLite has
one writer at a time, where holds cost nothing and do nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from entrepot.catalog import datasets as dataset_rows
from entrepot.catalog import many
from entrepot.catalog import projects as project_rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.database import Contended
from entrepot.catalog.versions import Found, Sight
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor, Standing, effective_role, may, require
from entrepot.model.errors import (
    Forbidden,
    Frozen,
    Hidden,
    Invalid,
    KindMismatch,
    NotFound,
    Trashed,
    Unauthenticated,
    WrongState,
)
from entrepot.model.ids import Noun
from entrepot.model.references import Reference
from entrepot.model.values import Collection, Kind, Project, Role, Version, Visibility

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


def thinkable(key: Key | str) -> bool:
    """Whether anything could have this key at all: what no column can hold is the key of nothing."""
    if isinstance(key, int):
        return 0 < key < 2**63
    return isinstance(key, UUID) or (len(key) <= 1024 and names.storable(key))


def said(key: object) -> str:
    """What somebody called a thing, short and harmless to print."""
    if isinstance(key, int):
        return str(key) if -(2**64) < key < 2**64 else "of that number"
    text = str(key)
    return text if len(text) <= 100 and text.isprintable() else ascii(text[:60])


# Versions


def standing_of(found: Found) -> Standing:
    return Standing(found.role, found.version.project, found.version.visibility)


def sight(actor: Actor, *, content: bool = False) -> Sight:
    """What lists may show this actor. The judge is asked, so that a door's narrowing reaches lists too.

    Args:
        content: Only versions whose content, not just whose record, may be read.
    """
    action = Action.READ_CONTENT if content else Action.VIEW_RECORD
    # Somewhere within the credential's limit, if it has one: the limit itself is part of what is answered.
    inside = actor.projects[0] if actor.projects else None
    everything = actor.staff and may(actor, action, Standing(Role.NONE, inside, Visibility.PRIVATE))
    roles = [role for role in Role if may(actor, action, Standing(role, inside, Visibility.PRIVATE))]
    return Sight(
        user=actor.user if roles else None,
        everything=everything,
        projects=actor.projects,
        open_to_all=tuple(
            one
            for one in (Visibility.LISTED, Visibility.PUBLIC)
            # The project 0, which is in no limit: what an outsider may see.
            if may(actor, action, Standing(Role.NONE, 0, one))
        ),
        least=max(Role.READ, min(roles, default=Role.READ)),
    )


def name_of(key: Key) -> str:
    return f"version {said(key)}" if isinstance(key, int) else f"version {ids.encode(Noun.VERSION, key)}"


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
        named: What the caller called it, for the message: it must not tell more of a hidden version than they knew.

    Raises:
        NotFound: There is none.
        Hidden, Unauthenticated, Forbidden: As `model.access.require` says.
    """
    found = version_rows.find_by(conn, key, asking=actor.user) if thinkable(key) else None
    what = named or name_of(key)
    if found is None or (not trashed and found.version.trash is not None):
        raise NotFound(f"There is no {what}, or you may not see it.")
    judge(actor, action, found, what)
    return found


def versions(conn: Connection, actor: Actor, keys: Sequence[Key], action: Action) -> list[Found]:
    """As `version` for many, in few statements and in the order of the keys; one that is named twice comes twice.

    Raises:
        Invalid: Some do not exist for the caller or may not be touched; `errors` names each.
    """
    there = version_rows.find_all(conn, list({key for key in keys if thinkable(key)}), asking=actor.user)
    found: list[Found] = []
    bad: list[dict[str, Any]] = []
    for key in keys:
        one = there.get(key)
        try:
            if one is None:
                raise NotFound(f"There is no {name_of(key)}, or you may not see it.")
            judge(actor, action, one, name_of(key))
            found.append(one)
        except (NotFound, Forbidden, Unauthenticated) as error:
            bad.append({"id": name_of(key), "detail": str(error)})
    if bad:
        raise Invalid(f"{len(bad)} of {len(keys)} versions cannot be used; nothing was changed.", errors=bad)
    return found


def hold_versions(conn: Connection, actor: Actor, keys: Sequence[Key], action: Action, *, named: bool) -> list[Found]:
    """As `versions`, held until the end of the transaction.

    Args:
        named: With the names of their projects, as `hold_named`.

    Raises:
        Invalid
    """
    found = versions(conn, actor, keys, action)
    before = {one.version.n: one.version for one in found}
    if named:
        project_rows.hold_names(conn, [one.project for one in before.values()])
    if not many.hold(conn, before):
        return found
    # Somebody may have purged or moved one of them before it was held.
    found = versions(conn, actor, keys, action)
    for one in found:
        require_still(before[one.version.n], one.version)
    return found


def hold(conn: Connection, actor: Actor, key: Key, action: Action, *, named: str | None = None) -> Found:
    """As `version`, held until the end of the transaction."""
    if thinkable(key):
        version_rows.hold(conn, key)
    return version(conn, actor, key, action, named=named)


def hold_all(conn: Connection, actor: Actor, wanted: Iterable[tuple[Key, Action]]) -> list[Found]:
    """Several at once, in the order given; held in order of number, so that two such steps do not deadlock."""
    found = [version(conn, actor, key, action) for key, action in wanted]
    for n in sorted({one.version.n for one in found}):
        version_rows.hold(conn, n)
    return [version(conn, actor, key, action) for key, action in wanted]


def hold_named(conn: Connection, actor: Actor, key: Key, action: Action) -> Found:
    """As `hold`, and the names of its project before it: for what gives up or takes a number, an alias or a line."""
    found = version(conn, actor, key, action)
    if not project_rows.hold_names(conn, [found.version.project]):
        return found
    again = hold(conn, actor, key, action)
    require_still(found.version, again.version)
    return again


def hold_due(conn: Connection, n: int, *, asking: int | None = None) -> Found | None:
    """As `hold_named`, for the worker, whom nobody asks for permission; None if it is gone."""
    found = version_rows.find(conn, asking=asking, n=n)
    if found is None or not project_rows.hold_names(conn, [found.version.project]):
        return found
    version_rows.hold(conn, n)
    held = version_rows.find(conn, asking=asking, n=n)
    if held is not None:
        require_still(found.version, held.version)
    return held


def require_still(before: Version, after: Version) -> None:
    """Start the transaction again when the version was moved between the look and the hold."""
    if before.project != after.project:
        raise Contended("The version was being moved at the same moment. Try again.")


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
    """The version, if its content may change by anything but its first ingest.

    Raises:
        Trashed, Frozen, WrongState, KindMismatch
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
    if record.number is None:
        # A revision made now would be one of a version that is not ready and has no number.
        raise WrongState(f"{record.name} has no content yet ({record.state}); its first comes by its ingest.")
    return record


def editable(found: Found) -> Version:
    """The version, if its record may change: that is, outside the trash."""
    record = found.version
    if record.trash is not None:
        raise Trashed(f"{record.label} is deleted; reinstate it first.")
    if record.project_trashed:
        raise Trashed(f"Project {record.project_slug} is deleted; reinstate it first.")
    return record


def resolve(conn: Connection, actor: Actor, reference: Reference) -> tuple[Found, int]:
    """The version and revision that `project/dataset[@v[.r]]` means, if the actor may see the record.

    The bare name is the newest ready revision of the highest active version that is not a proposal, among those that
    the actor may know of: a private draft on top must not take the name away from those who read what is below it.
    In place of the dataset an alias or a slug that was given up may stand; a number then is that of the version they
    lead to, or names nothing.
    """
    text = said(reference)
    missing = NotFound(f"There is no {text}, or you may not see it.")
    n = _referred(conn, actor, reference)
    if n is None:
        raise missing
    try:
        found = version(conn, actor, n, Action.VIEW_RECORD, trashed=False, named=text)
    except Hidden as hidden:
        raise missing from hidden
    if found.version.project_trashed or reference.version not in (None, found.version.number):
        raise missing
    revision = found.version.revision if reference.revision is None else reference.revision
    if not 0 <= revision <= found.version.revision:
        raise NotFound(
            f"{found.version.label} has no revision {said(revision)}; its newest is {found.version.revision}."
        )
    return found, revision


def _referred(conn: Connection, actor: Actor, reference: Reference) -> int | None:
    if not (thinkable(reference.project) and thinkable(reference.dataset) and thinkable(reference.version or 1)):
        return None
    home = project_rows.find(conn, user=actor.user, slug=reference.project)
    if home is None:
        return None
    scope = home[0].n
    line = dataset_rows.find(conn, project=scope, slug=reference.dataset)
    if line is None:
        aliased = version_rows.by_alias(conn, scope, reference.dataset)
        if aliased is not None:
            return aliased
        dataset, left = dataset_rows.old(conn, scope, reference.dataset) or (None, None)
        if dataset is None:
            return left
        line = dataset_rows.find(conn, n=dataset)
        if line is None:
            return None
    if reference.version is None:
        return version_rows.bare(conn, line.n, sight(actor))
    return version_rows.by_number(conn, line.n, reference.version)


# Projects


@dataclass(frozen=True, slots=True)
class FoundProject:
    project: Project
    role: Role


def project(
    conn: Connection, actor: Actor, key: Key | str, action: Action, *, trashed: bool = True, named: str | None = None
) -> FoundProject:
    """One project, by number, uid or slug, on which the actor may do `action`.

    Args:
        named: As for a version.
    """
    found = project_rows.find_by(conn, key, user=actor.user) if thinkable(key) else None
    what = named or f"project {ids.encode(Noun.PROJECT, key) if isinstance(key, UUID) else said(key)}"
    if found is None or (not trashed and found[0].trash is not None):
        raise NotFound(f"There is no {what}, or you may not see it.")
    standing = Standing(found[1], found[0].n)
    require(actor, action, standing, what, visible=may(actor, Action.VIEW_PROJECT, standing))
    return FoundProject(*found)


def active_project(
    conn: Connection, actor: Actor, key: Key | str, action: Action, *, named: str | None = None
) -> FoundProject:
    """As `project`, and not in the trash."""
    found = project(conn, actor, key, action, named=named)
    if found.project.trash is not None:
        raise Trashed(f"Project {found.project.name} is deleted; reinstate it first.")
    return found


def hold_project(
    conn: Connection, actor: Actor, key: Key | str, action: Action, *, trashed: bool = False
) -> FoundProject:
    """As `active_project` (with `trashed`, as `project`), with its names held until the end of the transaction."""
    look = project if trashed else active_project
    if isinstance(key, int):
        project_rows.hold_names(conn, [key])
        return look(conn, actor, key, action)
    found = look(conn, actor, key, action)
    if project_rows.hold_names(conn, [found.project.n]):
        found = look(conn, actor, found.project.n, action)
    return found


def collection(conn: Connection, actor: Actor, uid: UUID, action: Action) -> tuple[Collection, FoundProject]:
    """A collection by uid (a project's uid is its root) and its project, where the actor may do `action`."""
    named = f"collection {ids.encode(Noun.COLLECTION, uid)}"
    found = project_rows.collection_by_uid(conn, uid)
    if found is None:
        raise NotFound(f"There is no {named}, or you may not see it.")
    return found, active_project(conn, actor, found.project, action, named=named)


def hold_collection(conn: Connection, actor: Actor, uid: UUID, action: Action) -> tuple[Collection, FoundProject]:
    """As `collection`, with the names of its project held."""
    found = collection(conn, actor, uid, action)
    return collection(conn, actor, uid, action) if project_rows.hold_names(conn, [found[0].project]) else found


def role_in(actor: Actor, found: FoundProject) -> Role:
    return effective_role(actor, Standing(found.role, found.project.n))
