"""Projects and the collections in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from entrepot.catalog import many, standing
from entrepot.catalog import projects as rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.database import ConstraintViolated, Contended, NotYet
from entrepot.depot import licences, lines, lookup, paging, search, teams
from entrepot.depot.context import Depot
from entrepot.depot.events import record, tell_all, trashed
from entrepot.depot.licences import LicenceKey
from entrepot.depot.lookup import FoundProject, Key
from entrepot.depot.teams import TeamKey
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor, Standing, effective_role, may, require
from entrepot.model.errors import Conflict, Forbidden, Hidden, Invalid, NameTaken, NotFound
from entrepot.model.ids import Noun
from entrepot.model.json_values import json_object, same
from entrepot.model.values import Collection, Page, Project, Role

#: Versions of a project that go to the trash in one transaction: some 20 ms, for which every writer waits.
TRASH_SLICE = 200

MAX_BYTES = 2**63 - 1
#: A hundred years: what adds it to the present stays within the calendar.
MAX_SECONDS = 100 * 366 * 86_400


class Keep:
    """Stands for "not given" where None is a value."""


KEEP = Keep()


@dataclass(frozen=True, slots=True)
class ProjectChanges:
    """Fields left at KEEP stay as they are."""

    name: str | Keep = KEEP
    slug: str | Keep = KEEP
    description: str | Keep = KEEP
    team: TeamKey | Keep = KEEP
    default_licence: LicenceKey | Keep = KEEP
    allocation: int | Keep | None = KEEP
    default_expiry_s: int | Keep | None = KEEP
    retention_s: int | Keep | None = KEEP
    settings: Mapping[str, Any] | Keep = KEEP


def create(
    depot: Depot,
    actor: Actor,
    name: str,
    *,
    team: TeamKey | None = None,
    description: str = "",
    slug: str | None = None,
    default_licence: LicenceKey | None = None,
) -> Project:
    """Make a project owned by a team, or by the caller when none is named.

    Raises:
        NameTaken: The owner has an active project of that name, or the wished slug is in use.
    """
    user = lookup.person(actor)
    wanted = names.project_name(name)
    text = names.text(description, max_length=depot.limits.description, field="Description")
    now = depot.now()

    def work(conn: Connection) -> Project:
        owner, owner_name = _owner(conn, actor, standing.personal_team(conn, user) if team is None else team)
        if slug is not None:
            chosen = names.slug(slug)
            if rows.slug_taken(conn, chosen):
                raise _slug_taken(chosen)
        else:
            chosen = names.next_slug(names.derive_slug(wanted, fallback="project"), lambda s: rows.slug_taken(conn, s))
        licence = _licence(conn, depot, default_licence)
        uid = depot.new_uid()
        try:
            n = rows.insert_project(
                conn,
                uid=uid,
                name=wanted,
                slug=chosen,
                team_n=owner,
                licence=licence,
                creator=user,
                at=now,
                description=text,
                allocation=depot.policy.project_allocation,
            )
        except ConstraintViolated as clash:
            if clash.constraint == rows.NAME_RULE:
                raise NameTaken(f"{owner_name} already has a project named {wanted!r}. Choose another name.") from clash
            if slug is not None:
                raise _slug_taken(chosen) from clash
            # Somebody made one of a similar name at the same moment: look again for a slug that is free.
            raise Contended("Several projects of similar names are being made at once. Try again.") from clash
        rows.take_slug(conn, chosen)
        record(conn, actor, "project.created", at=now, project=n, after={"name": wanted, "slug": chosen})
        return _get(conn, actor, n).project

    return depot.catalog.write(work)


def _owner(conn: Connection, actor: Actor, key: TeamKey) -> tuple[int, str]:
    """Number and name of a team in which the actor may create projects; it stays until the transaction ends."""
    missing = (
        f"There is no team {ids.encode(Noun.TEAM, key) if isinstance(key, UUID) else lookup.said(key)}, "
        "or you may not see it."
    )
    n = teams.number_of(conn, key) if lookup.thinkable(key) else None
    name = None if n is None else standing.active_team_name(conn, n)
    if n is None or name is None:
        raise NotFound(missing)
    user = lookup.person(actor)
    stands = Standing(standing.team_role(conn, user, n), None)
    if not may(actor, Action.VIEW_TEAM, stands) and n != standing.personal_team(conn, user):
        raise Hidden(missing)
    # A credential limited to certain projects may not make others.
    require(actor, Action.CREATE_PROJECT, stands, f"project in team {name}", visible=True)
    return n, name


def _slug_taken(slug: str) -> NameTaken:
    return NameTaken(f"The slug {slug} belongs to another project. Choose another.")


def _licence(conn: Connection, depot: Depot, wanted: LicenceKey | None) -> int:
    if wanted is not None:
        return licences.locate(conn, wanted).n
    try:
        return licences.locate(conn, depot.policy.default_licence).n
    except NotFound as missing:
        raise NotFound(
            f"The default licence {depot.policy.default_licence!r} does not exist; create it first."
        ) from missing


def _get(conn: Connection, actor: Actor, n: int) -> FoundProject:
    found = rows.find(conn, user=actor.user, n=n)
    assert found is not None
    return FoundProject(*found)


def get(
    depot: Depot,
    actor: Actor,
    key: Key | str,
    *,
    trashed: bool = True,
    action: Action = Action.VIEW_PROJECT,
) -> FoundProject:
    """One project and the caller's role in it; `key` may be a number, a uid or a slug.

    Args:
        action: What the caller is about to do with it, for doors that judge before they look at what was sent.
    """
    with depot.catalog.read() as conn:
        return lookup.project(conn, actor, key, action, trashed=trashed)


def get_with_usage(depot: Depot, actor: Actor, key: Key | str) -> tuple[FoundProject, int]:
    """One project and the bytes that count against its allocation."""
    with depot.catalog.read() as conn:
        found = lookup.project(conn, actor, key, Action.VIEW_PROJECT)
        return found, rows.used_bytes(conn, found.project.n)


def usage(depot: Depot, actor: Actor, key: Key | str) -> int:
    """Bytes that count against the allocation: the newest revision of every version, in the trash or not."""
    with depot.catalog.read() as conn:
        found = lookup.project(conn, actor, key, Action.VIEW_PROJECT)
        return rows.used_bytes(conn, found.project.n)


def default(depot: Depot, actor: Actor) -> Project:
    """Where things go when the wire names no project.

    The credential's project if it is limited to exactly one; else the user's setting; at first the personal project.
    """
    with depot.catalog.read() as conn:
        return default_in(conn, actor)


def default_in(conn: Connection, actor: Actor) -> Project:
    user = lookup.person(actor)
    if actor.projects is not None and len(actor.projects) == 1:
        return lookup.active_project(conn, actor, actor.projects[0], Action.VIEW_PROJECT).project
    n = standing.default_project(conn, user)
    if n is None:
        raise NotFound("You have no default project. Set one, or name a project.")
    return lookup.active_project(conn, actor, n, Action.VIEW_PROJECT).project


def list_projects(
    depot: Depot,
    actor: Actor,
    *,
    cursor: str | None = None,
    limit: int = 100,
    least: Role = Role.READ,
    trashed: bool = False,
    name: str | None = None,
) -> Page[FoundProject]:
    """Projects the caller is a member of, in order of creation; staff sees all.

    Args:
        least: With at least this role, after what the credential takes away.
    """
    inside = Standing(Role.ADMIN, actor.projects[0] if actor.projects else None)
    if not actor.staff and effective_role(actor, inside) < max(least, Role.READ):
        return Page(())
    if name is not None and not names.storable(name):
        return Page(())
    size = paging.size(depot, limit)
    question = f"projects:{int(least)}:{trashed}:{name}"
    after = paging.after(cursor, question, int)
    with depot.catalog.read() as conn:
        found = rows.page(
            conn,
            user=actor.user,
            everything=actor.staff,
            only=actor.projects,
            least=max(least, Role.READ),
            trashed=trashed,
            name=name,
            after=None if after is None else after[0],
            limit=size + 1,
        )
    return paging.page([FoundProject(*row) for row in found], size, question, lambda row: (row.project.n,))


def update(depot: Depot, actor: Actor, key: Key | str, changes: ProjectChanges) -> Project:
    """Change what is given. Allocation, retention, expiry and settings need admin permission, the rest write."""
    now = depot.now()

    def work(conn: Connection) -> Project:
        project = lookup.hold_project(conn, actor, key, Action.UPDATE_PROJECT).project
        values: dict[str, Any] = {}
        if not isinstance(changes.name, Keep):
            values["name"] = names.project_name(changes.name)
        if not isinstance(changes.description, Keep):
            values["description"] = names.text(
                changes.description, max_length=depot.limits.description, field="Description"
            )
        if not isinstance(changes.default_licence, Keep):
            values["default_licence"] = _licence(conn, depot, changes.default_licence)
        if not isinstance(changes.team, Keep) and teams.number_of(conn, changes.team) != project.team:
            values["team"] = _owner(conn, actor, changes.team)[0]
            if project.personal:
                raise Conflict(
                    "A personal project stays with its person. Make a project in the team and move the data."
                )
        for field, wished in (
            ("allocation", changes.allocation),
            ("default_expiry_s", changes.default_expiry_s),
            ("retention_s", changes.retention_s),
            ("settings", changes.settings),
        ):
            if isinstance(wished, Keep):
                continue
            lookup.active_project(conn, actor, project.n, Action.CONFIGURE_PROJECT)
            # The space a project may take is the operator's to give, not the project's to take.
            if field == "allocation" and not actor.staff:
                raise Forbidden("Only staff may change a project's allocation.")
            values[field] = _setting(depot, field, wished)
        if not isinstance(changes.slug, Keep) and changes.slug != project.slug:
            chosen = names.slug(changes.slug)
            if rows.slug_taken(conn, chosen):
                raise _slug_taken(chosen)
            rows.take_slug(conn, chosen)
            rows.keep_slug(conn, 0, project.slug, project=project.n)
            values["slug"] = chosen
        values = {name: value for name, value in values.items() if not same(value, getattr(project, name))}
        before = {name: _plain(getattr(project, name)) for name in values}
        if not values:
            return project
        try:
            rows.change(conn, project.n, now, values)
        except ConstraintViolated as clash:
            if clash.constraint != rows.NAME_RULE:
                raise _slug_taken(str(values.get("slug"))) from clash
            raise NameTaken(
                f"There is already an active project named {values.get('name', project.name)!r}."
            ) from clash
        record(
            conn,
            actor,
            "project.updated",
            at=now,
            project=project.n,
            before=before,
            after={k: _plain(v) for k, v in values.items()},
        )
        return _get(conn, actor, project.n).project

    return depot.catalog.write(work)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _setting(depot: Depot, field: str, wished: Any) -> Any:
    if field == "settings":
        # What is no object is refused below, like that of any other place.
        if isinstance(wished, Mapping) and not isinstance(wished.get("refuse_invalid", False), bool):
            raise Invalid("The setting refuse_invalid of a project is true or false.")
        return json_object(wished, depot.limits.custom_metadata, "Project settings")
    most = MAX_BYTES if field == "allocation" else MAX_SECONDS
    if wished is not None and not 0 <= wished <= most:
        what = "a size in bytes" if field == "allocation" else "a time in seconds"
        raise Invalid(f"{field} is {what}, from 0 to {most}; it cannot be {lookup.said(wished)}.")
    return wished


def trash(depot: Depot, actor: Actor, key: Key | str) -> Project:
    """Put a project and its active versions in the trash. Repeating it is a success.

    The project goes at once, and with it everything in it is out of sight and takes no writes. The versions of a large
    one follow in slices, because one transaction for a million of them would stop every writer for minutes; what a
    crash leaves is finished by whoever comes next: a repeat, a reinstatement, or `finish_trash`.
    """
    now = depot.now()

    def work(conn: Connection) -> tuple[Project, bool]:
        project = lookup.hold_project(conn, actor, key, Action.TRASH_PROJECT, trashed=True).project
        if project.trash is None:
            if project.personal:
                raise Conflict("A personal project lives as long as its user. Delete the datasets in it instead.")
            rows.change(conn, project.n, now, {"trashed_at": now, "trashed_by": actor.user, "trash_reason": "deleted"})
            record(conn, actor, "project.trashed", at=now, project=project.n)
        more = _trash_slice(conn, actor, project.n, now)
        return _get(conn, actor, project.n).project, more

    project, more = depot.catalog.write(work)
    while more:
        more = depot.catalog.write(lambda conn: _trash_slice(conn, actor, project.n, now))
    return project


def _trash_slice(conn: Connection, actor: Actor, project: int, now: datetime) -> bool:
    """Trash some versions of a project that is in the trash itself; whether there may be more."""
    rows.hold_names(conn, [project])
    found = rows.find(conn, user=None, n=project)
    if found is None or found[0].trash is None:
        return False
    gone = version_rows.active_in_project(conn, project, limit=TRASH_SLICE)
    numbers = [n for n, _ in gone]
    many.trash(conn, numbers, at=now, by=actor.user, reason="project")
    failed = lines.stop_work(conn, numbers, now)
    search.remove(conn, numbers)
    told = [
        trashed(actor, now, project=project, dataset=dataset, version=n, reason="project", failed=failed.get(n))
        for n, dataset in gone
    ]
    tell_all(conn, [event for events in told for event in events])
    return len(gone) == TRASH_SLICE


def finish_trash(depot: Depot, *, limit: int = 100) -> int:
    """Finish what crashes left of the trashing of projects; answers how many projects. Run by the worker."""
    now = depot.now()
    with depot.catalog.read() as conn:
        left = rows.half_trashed(conn, limit)
    for n, by in left:
        actor = Actor(user=by, door="worker")
        while depot.catalog.write(partial(_trash_slice, actor=actor, project=n, now=now)):
            pass
    return len(left)


def reinstate(depot: Depot, actor: Actor, key: Key | str) -> Project:
    """Bring the project back, and only the project: its versions are reinstated one by one."""
    now = depot.now()

    def finish(_catalog: object, n: int) -> None:
        while depot.catalog.write(lambda conn: _trash_slice(conn, actor, n, now)):
            pass

    def work(conn: Connection) -> Project:
        project = lookup.hold_project(conn, actor, key, Action.REINSTATE_PROJECT, trashed=True).project
        if project.trash is None:
            return project
        if version_rows.active_in_project(conn, project.n, limit=1):
            # They would come back with it: first the rest of them goes to the trash.
            raise NotYet(partial(finish, n=project.n))
        try:
            rows.change(conn, project.n, now, {"trashed_at": None, "trashed_by": None, "trash_reason": None})
        except ConstraintViolated as clash:
            raise NameTaken(
                f"Another active project is named {project.name!r} by now. Rename that one first."
            ) from clash
        record(conn, actor, "project.reinstated", at=now, project=project.n)
        return _get(conn, actor, project.n).project

    return depot.catalog.write(work)


def purge(depot: Depot, actor: Actor, key: Key | str) -> Project:
    """Remove an empty project for good; answers its last record.

    Raises:
        Conflict: It still holds versions (in the trash counts too), or it is somebody's personal project.
    """
    now = depot.now()

    def work(conn: Connection) -> Project:
        project = lookup.hold_project(conn, actor, key, Action.PURGE_PROJECT, trashed=True).project
        if project.personal:
            raise Conflict("A personal project lives as long as its user.")
        if version_rows.any_in_project(conn, project.n):
            raise Conflict(f"Project {project.name} still holds datasets, some maybe in the trash. Purge them first.")
        standing.forget_default_project(conn, project.n)
        rows.purge(conn, project.n)
        record(conn, actor, "project.purged", at=now, project=project.n, before={"name": project.name})
        return project

    return depot.catalog.write(work)


def tags_in_use(depot: Depot, actor: Actor, key: Key | str, *, limit: int = 1000) -> list[str]:
    with depot.catalog.read() as conn:
        project = lookup.project(conn, actor, key, Action.VIEW_PROJECT).project
        return version_rows.tags_in_use(conn, project.n, limit=limit)


# Collections


def collection_at(conn: Connection, depot: Depot, actor: Actor, project: Project, path: str) -> Collection:
    """The collection at a path, made with its parents if it is not there. The caller holds the project's names.

    Raises:
        Forbidden: It is not there, and the actor may not change the project.
    """
    wanted = names.collection_path(path)
    found = rows.collection_by_path(conn, project.n, wanted)
    if found is not None:
        return found
    # Who may only propose a copy, or edit a version for a node, makes no folders.
    lookup.active_project(conn, actor, project.n, Action.UPDATE_PROJECT, named=f"project {project.slug}")
    parts = wanted.split("/")
    _check_depth(depot, wanted)
    for depth in range(1, len(parts) + 1):
        path_here = "/".join(parts[:depth])
        here = rows.collection_by_path(conn, project.n, path_here)
        if here is None:
            here = rows.insert_collection(
                conn, uid=depot.new_uid(), project_n=project.n, path=path_here, at=depot.now()
            )
            record(
                conn,
                actor,
                "project.updated",
                at=depot.now(),
                project=project.n,
                after={"collection": here.path},
                subject=ids.encode(Noun.COLLECTION, here.uid),
            )
        found = here
    assert found is not None
    return found


def _check_depth(depot: Depot, path: str) -> None:
    levels = path.count("/") + 1
    if levels > depot.limits.collection_depth:
        raise Invalid(f"Collection {path!r} is {levels} levels deep; {depot.limits.collection_depth} are allowed.")


def create_collection(depot: Depot, actor: Actor, key: Key | str, path: str) -> Collection:
    """Make a collection and what is missing above it; one that exists is answered as it is."""

    def work(conn: Connection) -> Collection:
        project = lookup.hold_project(conn, actor, key, Action.UPDATE_PROJECT).project
        return collection_at(conn, depot, actor, project, path)

    return depot.catalog.write(work)


def get_collection(depot: Depot, actor: Actor, uid: UUID) -> Collection:
    with depot.catalog.read() as conn:
        named = f"collection {ids.encode(Noun.COLLECTION, uid)}"
        found = rows.collection_by_uid(conn, uid)
        if found is None:
            raise NotFound(f"There is no {named}, or you may not see it.")
        lookup.project(conn, actor, found.project, Action.VIEW_PROJECT, named=named)
        return found


def list_collections(
    depot: Depot, actor: Actor, key: Key | str, *, cursor: str | None = None, limit: int = 1000
) -> Page[Collection]:
    """The tree of a project in path order, the root (path '') first."""
    size = paging.size(depot, limit)
    with depot.catalog.read() as conn:
        project = lookup.project(conn, actor, key, Action.VIEW_PROJECT).project
        question = f"collections:{project.n}"
        after = paging.after(cursor, question, str)
        found = rows.collections(conn, project.n, after=None if after is None else after[0], limit=size + 1)
    return paging.page(found, size, question, lambda row: (row.path,))


def rename_collection(depot: Depot, actor: Actor, uid: UUID, path: str) -> Collection:
    """Move a collection, with all below it, to another path of the same project."""

    def work(conn: Connection) -> Collection:
        found, held = lookup.hold_collection(conn, actor, uid, Action.UPDATE_PROJECT)
        wanted = names.collection_path(path)
        if found.is_root:
            raise Invalid("The root collection is the project itself. Rename the project instead.")
        if wanted == found.path:
            return found
        if wanted == "" or wanted.startswith(found.path + "/"):
            raise Invalid(f"A collection cannot move to {wanted!r}, which is the root or below itself.")
        if rows.collection_by_path(conn, found.project, wanted) is not None:
            raise NameTaken(f"Project {held.project.name} already has a collection {wanted!r}.")
        for below in rows.paths_below(conn, found.project, found.path) or [found.path]:
            moved_to = names.collection_path(wanted + below[len(found.path) :])
            _check_depth(depot, moved_to)
        parent = wanted.rpartition("/")[0]
        if parent:
            collection_at(conn, depot, actor, held.project, parent)
        rows.move_collections(conn, found.project, found.path, wanted)
        record(
            conn,
            actor,
            "project.updated",
            at=depot.now(),
            project=found.project,
            before={"collection": found.path},
            after={"collection": wanted},
            subject=ids.encode(Noun.COLLECTION, uid),
        )
        moved = rows.collection_by_uid(conn, uid)
        assert moved is not None
        return moved

    return depot.catalog.write(work)


def delete_collection(depot: Depot, actor: Actor, uid: UUID) -> None:
    """Remove a collection and the empty ones below it.

    Raises:
        Conflict: A version, in the trash or not, still lies in it.
    """

    def work(conn: Connection) -> None:
        found, held = lookup.hold_collection(conn, actor, uid, Action.UPDATE_PROJECT)
        if found.is_root:
            raise Invalid("The root collection is the project itself.")
        if rows.collection_in_use(conn, found.project, found.path):
            raise Conflict(f"Collection {found.path!r} still holds datasets, some maybe in the trash. Move them first.")
        rows.delete_collections(conn, found.project, found.path)
        record(
            conn,
            actor,
            "project.updated",
            at=depot.now(),
            project=held.project.n,
            before={"collection": found.path},
            subject=ids.encode(Noun.COLLECTION, uid),
        )

    depot.catalog.write(work)


def may_write(actor: Actor, found: FoundProject) -> bool:
    return may(actor, Action.CREATE, Standing(found.role, found.project.n))
