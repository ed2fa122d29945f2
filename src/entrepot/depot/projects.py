"""Projects and the collections in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from entrepot.catalog import projects as rows
from entrepot.catalog import standing
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.database import ConstraintViolated
from entrepot.depot import licences, lookup, paging, teams
from entrepot.depot.context import Depot
from entrepot.depot.events import record
from entrepot.depot.licences import LicenceKey
from entrepot.depot.lookup import FoundProject, Key
from entrepot.depot.teams import TeamKey
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor, Standing, may, require
from entrepot.model.errors import Conflict, Forbidden, Invalid, NameTaken, NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Collection, Page, Project, Role


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
    text = names.text(description, max_length=depot.limits.description, field="description")
    now = depot.now()

    def work(conn: Connection) -> Project:
        owner, owner_name = _owner(conn, actor, standing.personal_team(conn, user) if team is None else team)
        if slug is not None:
            chosen = names.slug(slug)
            if rows.slug_taken(conn, chosen):
                raise NameTaken(f"The slug {chosen} belongs to another project. Choose another.")
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
            raise NameTaken(f"{owner_name} already has a project named {wanted!r}. Choose another name.") from clash
        rows.take_slug(conn, chosen)
        record(conn, actor, "project.created", at=now, project=n, after={"name": wanted, "slug": chosen})
        return _get(conn, actor, n).project

    return depot.catalog.write(work)


def _owner(conn: Connection, actor: Actor, key: TeamKey) -> tuple[int, str]:
    """Number and name of a team in which the actor may create projects; it stays until the transaction ends."""
    shown = ids.encode(Noun.TEAM, key) if isinstance(key, UUID) else key
    n = teams.number_of(conn, key)
    name = None if n is None else standing.active_team_name(conn, n)
    if n is None or name is None:
        raise NotFound(f"There is no team {shown}, or you may not see it.")
    role = standing.team_role(conn, lookup.person(actor), n)
    visible = role > Role.NONE or actor.staff
    # A credential limited to certain projects may not make others.
    what = f"project in team {name if visible else shown}"
    require(actor, Action.CREATE_PROJECT, Standing(role, None), what, visible=visible)
    return n, name


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


def get(depot: Depot, actor: Actor, key: Key | str, *, trashed: bool = True) -> FoundProject:
    """One project and the caller's role in it; `key` may be a number, a uid or a slug."""
    with depot.catalog.read() as conn:
        return lookup.project(conn, actor, key, Action.VIEW_PROJECT, trashed=trashed)


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
    """Projects the caller is a member of, in order of creation; staff sees all."""
    if actor.is_anonymous:
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
            least=least,
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
        found = lookup.active_project(conn, actor, key, Action.UPDATE_PROJECT)
        project = found.project
        values: dict[str, Any] = {}
        if not isinstance(changes.name, Keep):
            values["name"] = names.project_name(changes.name)
        if not isinstance(changes.description, Keep):
            values["description"] = names.text(
                changes.description, max_length=depot.limits.description, field="description"
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
            if isinstance(wished, int) and wished < 0:
                raise Invalid(f"{field} is a size or a time; it cannot be {wished}.")
            # The space a project may take is the operator's to give, not the project's to take.
            if field == "allocation" and not actor.staff:
                raise Forbidden("Only staff may change a project's allocation.")
            values[field] = wished
        if not isinstance(changes.slug, Keep) and changes.slug != project.slug:
            chosen = names.slug(changes.slug)
            if rows.slug_taken(conn, chosen):
                raise NameTaken(f"The slug {chosen} belongs to another project. Choose another.")
            rows.take_slug(conn, chosen)
            rows.keep_slug(conn, 0, project.slug, project=project.n)
            values["slug"] = chosen
        before = {name: _plain(getattr(project, name)) for name in values}
        if not values or before == {k: _plain(v) for k, v in values.items()}:
            return project
        try:
            rows.change(conn, project.n, now, values)
        except ConstraintViolated as clash:
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


def trash(depot: Depot, actor: Actor, key: Key | str) -> Project:
    """Put a project and its active versions in the trash. Repeating it is a success."""
    now = depot.now()

    def work(conn: Connection) -> Project:
        project = lookup.project(conn, actor, key, Action.TRASH_PROJECT).project
        if project.trash is not None:
            return project
        if project.personal:
            raise Conflict("A personal project lives as long as its user. Delete the datasets in it instead.")
        for n in version_rows.active_in_project(conn, project.n):
            version_rows.change(
                conn,
                n,
                {"trashed_at": now, "trashed_by": actor.user, "trash_reason": "project", "updated_at": now},
                edited=False,
            )
            record(conn, actor, "version.trashed", at=now, project=project.n, version=n, detail={"reason": "project"})
        rows.change(conn, project.n, now, {"trashed_at": now, "trashed_by": actor.user, "trash_reason": "deleted"})
        record(conn, actor, "project.trashed", at=now, project=project.n)
        return _get(conn, actor, project.n).project

    return depot.catalog.write(work)


def reinstate(depot: Depot, actor: Actor, key: Key | str) -> Project:
    """Bring the project back, and only the project: its versions are reinstated one by one."""
    now = depot.now()

    def work(conn: Connection) -> Project:
        project = lookup.project(conn, actor, key, Action.REINSTATE_PROJECT).project
        if project.trash is None:
            return project
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
        project = lookup.project(conn, actor, key, Action.PURGE_PROJECT).project
        if project.personal:
            raise Conflict("A personal project lives as long as its user.")
        rows.lock(conn, project.n)
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


def collection_at(conn: Connection, depot: Depot, project: Project, path: str) -> Collection:
    """The collection at a path, made with its parents if it is not there."""
    wanted = names.collection_path(path)
    found = rows.collection_by_path(conn, project.n, wanted)
    if found is not None:
        return found
    parts = wanted.split("/")
    if len(parts) > depot.limits.collection_depth:
        raise Invalid(
            f"Collection {wanted!r} is {len(parts)} levels deep; {depot.limits.collection_depth} are allowed."
        )
    for depth in range(1, len(parts) + 1):
        path_here = "/".join(parts[:depth])
        here = rows.collection_by_path(conn, project.n, path_here)
        if here is None:
            here = rows.insert_collection(
                conn, uid=depot.new_uid(), project_n=project.n, path=path_here, at=depot.now()
            )
        found = here
    assert found is not None
    return found


def create_collection(depot: Depot, actor: Actor, key: Key | str, path: str) -> Collection:
    """Make a collection and what is missing above it; one that exists is answered as it is."""

    def work(conn: Connection) -> Collection:
        project = lookup.active_project(conn, actor, key, Action.UPDATE_PROJECT).project
        known = rows.collection_by_path(conn, project.n, names.collection_path(path))
        made = known or collection_at(conn, depot, project, path)
        if known is None:
            record(
                conn,
                actor,
                "project.updated",
                at=depot.now(),
                project=project.n,
                after={"collection": made.path},
                subject=ids.encode(Noun.COLLECTION, made.uid),
            )
        return made

    return depot.catalog.write(work)


def get_collection(depot: Depot, actor: Actor, uid: UUID) -> Collection:
    with depot.catalog.read() as conn:
        found = rows.collection_by_uid(conn, uid)
        if found is None:
            raise NotFound(f"There is no collection {ids.encode(Noun.COLLECTION, uid)}, or you may not see it.")
        lookup.project(conn, actor, found.project, Action.VIEW_PROJECT)
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
        found, held = lookup.collection(conn, actor, uid, Action.UPDATE_PROJECT)
        wanted = names.collection_path(path)
        if found.is_root:
            raise Invalid("The root collection is the project itself. Rename the project instead.")
        if wanted == found.path:
            return found
        if wanted == "" or wanted.startswith(found.path + "/"):
            raise Invalid(f"A collection cannot move to {wanted!r}, which is the root or below itself.")
        if rows.collection_by_path(conn, found.project, wanted) is not None:
            raise NameTaken(f"Project {held.project.name} already has a collection {wanted!r}.")
        parent = wanted.rpartition("/")[0]
        if parent:
            collection_at(conn, depot, held.project, parent)
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
        found, held = lookup.collection(conn, actor, uid, Action.UPDATE_PROJECT)
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
