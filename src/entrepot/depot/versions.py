"""Versions: the record that people see, from its making to its purge.

Content is the business of `depot.entries`; here are names, lines, numbers, record fields, the trash and copies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from entrepot.catalog import entries as entry_rows
from entrepot.catalog import projects as project_rows
from entrepot.catalog import versions as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.versions import Filter, Found
from entrepot.depot import licences, lines, lookup, paging, search
from entrepot.depot.context import Depot
from entrepot.depot.events import tell
from entrepot.depot.licences import LicenceKey
from entrepot.depot.lookup import Key
from entrepot.depot.projects import KEEP, Keep, collection_at, default_in
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor, Standing, may
from entrepot.model.errors import Conflict, Frozen, Invalid, NotFound
from entrepot.model.ids import Noun
from entrepot.model.instants import instant
from entrepot.model.json_values import json_object, json_value, same
from entrepot.model.references import Reference
from entrepot.model.values import Collection, Kind, Numbering, Page, Project, State, Version, Visibility
from entrepot.records.rules import rule_of


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What a new version starts with. None takes the project's or the product's default."""

    name: str
    kind: Kind = Kind.FILES
    numbering: Numbering = Numbering.ONLY
    description: str = ""
    licence: LicenceKey | None = None
    visibility: Visibility = Visibility.PRIVATE
    tags: Sequence[str] = ()
    custom: Mapping[str, Any] | None = None
    alias: str | None = None
    collection: UUID | str | None = None
    expires_at: datetime | None = None
    slug: str | None = None
    properties: Mapping[str, Any] | None = None
    declared: Any = None
    #: A `files` version that an archive will be unpacked into is not ready before that.
    awaits_content: bool = False


@dataclass(frozen=True, slots=True)
class VersionChanges:
    """Fields left at KEEP stay. `project`, `name` and `collection` move the version."""

    description: str | Keep = KEEP
    licence: LicenceKey | Keep = KEEP
    visibility: Visibility | Keep = KEEP
    tags: Sequence[str] | Keep = KEEP
    custom: Mapping[str, Any] | Keep = KEEP
    alias: str | Keep | None = KEEP
    expires_at: datetime | Keep | None = KEEP
    properties: Mapping[str, Any] | Keep = KEEP
    project: Key | str | Keep = KEEP
    name: str | Keep = KEEP
    collection: UUID | str | Keep = KEEP
    numbering: Numbering = Numbering.KEEP


def create(depot: Depot, actor: Actor, project: Key | str | None, new: NewVersion) -> Version:
    """Make a version; a `files` one is ready, empty and numbered at once, the others when their first ingest is done.

    Args:
        project: None takes the caller's default project.

    Raises:
        NameTaken: The numbering rule refuses the name, or the alias or wished slug is in use.
    """
    now = depot.now()

    def work(conn: Connection) -> Version:
        return create_in(conn, depot, actor, project, new, now)

    return depot.catalog.write(work)


def create_in(
    conn: Connection, depot: Depot, actor: Actor, project: Key | str | None, new: NewVersion, now: datetime
) -> Version:
    """`create` inside the caller's transaction."""
    if isinstance(new.collection, UUID):
        spot, held = lookup.hold_collection(conn, actor, new.collection, Action.CREATE)
        home = held.project
        if project is not None and lookup.active_project(conn, actor, project, Action.CREATE).project.n != home.n:
            raise _elsewhere(home)
    else:
        key = default_in(conn, actor).n if project is None else project
        home = lookup.hold_project(conn, actor, key, Action.CREATE).project
        spot = place(conn, depot, actor, home, new.collection)
    fields = _fields(conn, depot, home, new)
    ready = new.kind is Kind.FILES and not new.awaits_content
    line = lines.open_line(conn, depot, home, new.name, slug=new.slug, now=now)
    number = lines.number_for(conn, line, new.numbering, ready=ready)
    if new.alias is not None:
        fields["alias"] = lines.free_alias(conn, home.n, new.alias)
    expires = _expiry(new.expires_at)
    if expires is None and home.default_expiry_s is not None:
        expires = now + timedelta(seconds=home.default_expiry_s)
    n = rows.insert_version(
        conn,
        uid=depot.new_uid(),
        dataset=line.n,
        project=home.n,
        collection=spot.n,
        number=number,
        kind=new.kind.value,
        state=(State.READY if ready else State.EMPTY).value,
        creator=actor.user,
        created_at=now,
        updated_at=now,
        ready_at=now if ready else None,
        expires_at=expires,
        **fields,
    )
    entry_rows.create_revision_zero(conn, n, author=actor.user, at=now)
    made = again(conn, actor, n)
    search.write(conn, made, new=True)
    tell(
        conn,
        actor,
        "version.created",
        made,
        now,
        after={"name": made.name, "number": number, "kind": new.kind.value},
    )
    return made


def _elsewhere(home: Project) -> Invalid:
    return Invalid(f"That collection lies in project {home.name}, not in the one named. Name one of the two.")


def _expiry(wished: datetime | None) -> datetime | None:
    return None if wished is None else instant(wished, "The expiry")


def place(conn: Connection, depot: Depot, actor: Actor, home: Project, wished: str | None) -> Collection:
    """The collection of that path, made if it is not there, or the root. The caller holds the project's names."""
    if wished:
        return collection_at(conn, depot, actor, home, wished)
    root = project_rows.collection_by_path(conn, home.n, "")
    assert root is not None
    return root


def _fields(conn: Connection, depot: Depot, home: Project, new: NewVersion) -> dict[str, Any]:
    licence = home.default_licence if new.licence is None else licences.locate(conn, new.licence).n
    return {
        "description": names.text(new.description, max_length=depot.limits.description, field="Description"),
        "licence": licence,
        "visibility": new.visibility.value,
        "tags": _tags(depot, new.tags),
        "custom": _object(depot, {} if new.custom is None else new.custom, "Custom metadata"),
        "properties": _object(depot, {} if new.properties is None else new.properties, "Properties"),
        "declared": _declared(depot, new),
    }


def _declared(depot: Depot, new: NewVersion) -> Any:
    """What is declared of the content, in a form that its check can use later."""
    clean = json_value(new.declared, depot.limits.custom_metadata, "The declared schema")
    if new.kind is Kind.RECORDS:
        rule_of(clean)
    return clean


def _tags(depot: Depot, wished: Sequence[str]) -> list[str]:
    clean = list(names.tags(wished))
    if len(clean) > depot.limits.tags:
        raise Invalid(f"A version has at most {depot.limits.tags} tags, not {len(clean)}.")
    return clean


def _object(depot: Depot, wished: object, field: str) -> dict[str, Any]:
    return json_object(wished, depot.limits.custom_metadata, field)


def again(conn: Connection, actor: Actor, n: int) -> Version:
    found = rows.find(conn, asking=actor.user, n=n)
    assert found is not None
    return found.version


# Reading


def get(
    depot: Depot,
    actor: Actor,
    key: Key,
    *,
    trashed: bool = True,
    ready_only: bool = False,
    action: Action = Action.VIEW_RECORD,
) -> Found:
    """One version and the caller's role.

    Args:
        ready_only: A version that was never ready does not exist for the caller.
    """
    with depot.catalog.read() as conn:
        found = lookup.version(conn, actor, key, action, trashed=trashed)
        if ready_only and found.version.number is None:
            raise NotFound(f"There is no {lookup.name_of(key)}, or you may not see it.")
        return found


def resolve(depot: Depot, actor: Actor, reference: Reference) -> tuple[Found, int]:
    """The version and revision that `project/dataset[@v[.r]]` means now."""
    with depot.catalog.read() as conn:
        return lookup.resolve(conn, actor, reference)


def list_versions(
    depot: Depot,
    actor: Actor,
    wanted: Filter,
    *,
    cursor: str | None = None,
    limit: int = 100,
    newest_first: bool = True,
) -> Page[Found]:
    """Versions whose record the caller may see, by a key that never changes."""
    size = paging.size(depot, limit)
    if not _askable(wanted):
        return Page(())
    question = f"versions:{wanted!r}:{newest_first}"
    after = paging.after(cursor, question, int)
    with depot.catalog.read() as conn:
        found = rows.page(
            conn,
            lookup.sight(actor),
            wanted,
            after=None if after is None else after[0],
            limit=size + 1,
            newest_first=newest_first,
        )
    return paging.page(found, size, question, lambda row: (row.version.n,))


def _askable(wanted: Filter) -> bool:
    """Whether anything can be so: what no column can hold is nothing's name or number."""
    texts = (wanted.name, wanted.collection_below, wanted.data_type, wanted.alias, *wanted.tags, *wanted.trash_reasons)
    numbers = (wanted.project, wanted.dataset, wanted.collection, wanted.creator)
    return all(lookup.thinkable(one) for one in (*texts, *numbers) if one is not None)


# Changing the record


def update(
    depot: Depot,
    actor: Actor,
    key: Key,
    changes: VersionChanges,
    *,
    check: Callable[[Version], None] | None = None,
) -> Version:
    """Edit the record and, where project, name or collection are given, move it: one transaction, one event each.

    Record edits are allowed on frozen versions; moves to another line are not. An edit by somebody who may write
    also accepts a proposal.

    Args:
        check: Looks at the record as it is, under lock, and raises if it is not the one that the caller saw.
    """
    now = depot.now()
    if isinstance(changes.alias, str):
        changes = replace(changes, alias=names.alias(changes.alias))

    def work(conn: Connection) -> Version:
        found = _hold_for(conn, actor, key, changes)
        before = lookup.editable(found)
        if check is not None:
            check(before)
        moved = _move(conn, depot, actor, before, changes, now)
        values = _edited(conn, depot, moved, changes)
        kept = {name: getattr(before, name) for name in values}
        values = {name: value for name, value in values.items() if not same(_plain(value), _plain(kept[name]))}
        kept = {name: kept[name] for name in values}
        is_moved = moved is not before
        if before.is_proposal and (values or is_moved) and may(actor, Action.ACCEPT, lookup.standing_of(found)):
            values["is_proposal"] = False
            kept["is_proposal"] = True
        if values:
            rows.change(conn, before.n, values | {"updated_at": now}, edited=True)
            tell(conn, actor, "version.updated", moved, now, before=_json(kept), after=_json(values))
        after = again(conn, actor, before.n)
        if values or is_moved:
            search.write(conn, after)
        return after

    return depot.catalog.write(work)


def _hold_for(conn: Connection, actor: Actor, key: Key, changes: VersionChanges) -> Found:
    """The version, held, and before it the names of every project that the changes give or take names in."""
    found = lookup.version(conn, actor, key, Action.EDIT)
    naming = (changes.name, changes.alias, changes.collection, changes.project)
    if all(isinstance(wish, Keep) for wish in naming):
        return lookup.hold(conn, actor, key, Action.EDIT)
    here, there = found.version.project, _target(conn, actor, found.version, changes)[0].n
    if not project_rows.hold_names(conn, [here, there]):
        return found
    again_found = lookup.hold(conn, actor, key, Action.EDIT)
    lookup.require_still(found.version, again_found.version)
    return again_found


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in values.items()}


def _edited(conn: Connection, depot: Depot, version: Version, changes: VersionChanges) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if not isinstance(changes.description, Keep):
        values["description"] = names.text(
            changes.description, max_length=depot.limits.description, field="Description"
        )
    if not isinstance(changes.licence, Keep):
        values["licence"] = licences.locate(conn, changes.licence).n
    if not isinstance(changes.visibility, Keep):
        values["visibility"] = changes.visibility.value
    if not isinstance(changes.tags, Keep):
        values["tags"] = _tags(depot, changes.tags)
    if not isinstance(changes.custom, Keep):
        values["custom"] = _object(depot, changes.custom, "Custom metadata")
    if not isinstance(changes.properties, Keep):
        wished = _object(depot, changes.properties, "Properties")
        merged = {name: value for name, value in {**version.properties, **wished}.items() if value is not None}
        values["properties"] = _object(depot, merged, "Properties")
    if not isinstance(changes.expires_at, Keep):
        values["expires_at"] = _expiry(changes.expires_at)
    if not isinstance(changes.alias, Keep):
        values["alias"] = changes.alias
        if changes.alias is not None:
            lines.free_alias(conn, version.project, changes.alias, but=version.n)
    return values


def _target(
    conn: Connection, actor: Actor, version: Version, changes: VersionChanges
) -> tuple[Project, Collection | None]:
    """The project that the version is wished in, and the collection if it is named by id; the judge is asked."""
    home = project_rows.find(conn, user=actor.user, n=version.project)
    assert home is not None
    target, spot = home[0], None
    if isinstance(changes.collection, UUID):
        spot, held = lookup.collection(conn, actor, changes.collection, Action.EDIT)
        target = held.project
    if not isinstance(changes.project, Keep):
        named = lookup.active_project(conn, actor, changes.project, Action.EDIT).project
        if spot is not None and spot.project != named.n:
            raise _elsewhere(target)
        target = named
    return target, spot


def _move(
    conn: Connection,
    depot: Depot,
    actor: Actor,
    version: Version,
    changes: VersionChanges,
    now: datetime,
) -> Version:
    """Bring the version to the wished project, name and collection; answers it as it is then.

    Raises:
        Forbidden: From one project to another takes the right to delete here and to create there.
    """
    target, spot = _target(conn, actor, version, changes)
    leaves = target.n != version.project
    if leaves:
        # It leaves one team's care for another's.
        lookup.active_project(conn, actor, target.n, Action.CREATE)
        lookup.version(conn, actor, version.n, Action.TRASH)
    name = version.name if isinstance(changes.name, Keep) else names.dataset_name(changes.name)
    if isinstance(changes.collection, str):
        spot = place(conn, depot, actor, target, changes.collection)
    elif spot is None:
        spot = (
            project_rows.collection_by_path(conn, target.n, "")
            if leaves
            else project_rows.collection_by_uid(conn, version.collection_uid)
        )
    assert spot is not None
    if (target.n, name, spot.n) == (version.project, version.name, version.collection):
        return version
    values: dict[str, Any] = {"collection": spot.n, "updated_at": now}
    if leaves or name != version.name:
        if version.frozen_at is not None:
            raise Frozen(f"{version.label} is frozen; it keeps its name and project. Copy it instead.")
        line = lines.open_line(conn, depot, target, name, now=now)
        values["dataset"] = line.n
        values["project"] = target.n
        values["number"] = (
            None
            if version.number is None
            else lines.number_for(conn, line, changes.numbering, ready=True, keep=version.number, but=version.n)
        )
    if leaves and version.alias is not None:
        if isinstance(changes.alias, Keep) or changes.alias == version.alias:
            lines.free_alias(conn, target.n, version.alias, but=version.n)
        else:
            # Another one, or none, is given to it below: the old one must not be in anybody's way there.
            values["alias"] = None
    rows.change(conn, version.n, values, edited=True)
    if values.get("dataset", version.dataset) != version.dataset:
        lines.close_if_empty(conn, version)
    if leaves:
        lines.room_for(conn, target, 0)
    after = again(conn, actor, version.n)
    tell(conn, actor, "version.moved", after, now, before=_address(version), after=_address(after))
    return after


def _address(version: Version) -> dict[str, Any]:
    return {
        "project": ids.encode(Noun.PROJECT, version.project_uid),
        "name": version.name,
        "number": version.number,
        "collection": version.collection_path,
    }


def set_slug(depot: Depot, actor: Actor, key: Key, slug: str) -> Version:
    """Give the version's whole line another slug; the old one keeps leading here until somebody takes it."""
    now = depot.now()

    def work(conn: Connection) -> Version:
        version = lookup.editable(lookup.hold_named(conn, actor, key, Action.EDIT))
        wanted = names.slug(slug)
        if wanted == version.slug:
            return version
        lines.rename_slug(conn, version, wanted)
        tell(conn, actor, "version.updated", version, now, before={"slug": version.slug}, after={"slug": wanted})
        search.rewrite_line(conn, depot, version.dataset)
        return again(conn, actor, version.n)

    return depot.catalog.write(work)


# Freezing, proposals


def freeze(depot: Depot, actor: Actor, key: Key) -> Version:
    """Take no more content changes. Repeating it is a success."""
    return _set_frozen(depot, actor, key, Action.FREEZE, frozen=True)


def unfreeze(depot: Depot, actor: Actor, key: Key) -> Version:
    return _set_frozen(depot, actor, key, Action.UNFREEZE, frozen=False)


def _set_frozen(depot: Depot, actor: Actor, key: Key, action: Action, *, frozen: bool) -> Version:
    now = depot.now()

    def work(conn: Connection) -> Version:
        version = lookup.editable(lookup.hold(conn, actor, key, action))
        if version.number is None:
            raise Conflict(f"{version.name} was never ready; there is nothing to freeze.")
        if (version.frozen_at is not None) == frozen:
            return version
        rows.change(conn, version.n, {"frozen_at": now if frozen else None, "updated_at": now}, edited=True)
        tell(conn, actor, "version.frozen", version, now, before={"frozen": not frozen}, after={"frozen": frozen})
        return again(conn, actor, version.n)

    return depot.catalog.write(work)


def accept(depot: Depot, actor: Actor, key: Key) -> Version:
    """Make a reader's proposal an ordinary version, which bare names may mean from now on."""
    now = depot.now()

    def work(conn: Connection) -> Version:
        version = lookup.editable(lookup.hold(conn, actor, key, Action.ACCEPT))
        if version.is_proposal:
            rows.change(conn, version.n, {"is_proposal": False, "updated_at": now}, edited=True)
            tell(
                conn,
                actor,
                "version.updated",
                version,
                now,
                before={"is_proposal": True},
                after={"is_proposal": False},
            )
        return again(conn, actor, version.n)

    return depot.catalog.write(work)


def standing(actor: Actor, found: Found) -> dict[Action, bool]:
    """What the caller may do with a version: doors show or hide their buttons by it."""
    stands: Standing = lookup.standing_of(found)
    return {action: may(actor, action, stands) for action in Action}
