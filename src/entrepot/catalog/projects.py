"""Rows of projects and their collections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, bindparam, delete, exists, func, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from entrepot.catalog.prepared import Prepared
from entrepot.catalog.schema import collection, licence, membership, old_slug, project, team, upload, version
from entrepot.model import names
from entrepot.model.values import Collection, Project, Role, Trash

#: The rule of the schema that an owner has one active project of a name.
NAME_RULE = "uq_project_name_active"


def used_bytes(conn: Connection, n: int) -> int:
    """What counts against the allocation: the newest revision of every version, in the trash or not."""
    return int(
        conn.execute(select(func.coalesce(func.sum(version.c.n_bytes), 0)).where(version.c.project == n)).scalar_one()
    )


def insert_project(
    conn: Connection,
    *,
    uid: UUID,
    name: str,
    slug: str,
    team_n: int,
    licence: int,
    creator: int | None,
    at: datetime,
    description: str = "",
    personal: bool = False,
    allocation: int | None = None,
) -> int:
    """One project and its root collection, which shares the project's uid; returns the project's number."""
    n = int(
        conn.execute(
            insert(project)
            .values(
                uid=uid,
                name=name,
                slug=slug,
                description=description,
                team=team_n,
                personal=personal,
                default_licence=licence,
                allocation=allocation,
                creator=creator,
                created_at=at,
                updated_at=at,
            )
            .returning(project.c.id)
        ).scalar_one()
    )
    conn.execute(insert(collection).values(uid=uid, project=n, path="", created_at=at))
    return n


def slug_taken(conn: Connection, slug: str) -> bool:
    return conn.execute(select(project.c.id).where(project.c.slug == slug)).first() is not None


def take_slug(conn: Connection, slug: str) -> None:
    """Somebody new has this slug: it no longer leads to who gave it up."""
    conn.execute(delete(old_slug).where(old_slug.c.scope == 0, old_slug.c.slug == slug))


def _value(row: Any) -> Project:
    return Project(
        n=row.id,
        uid=row.uid,
        name=row.name,
        slug=row.slug,
        description=row.description,
        team=row.team,
        team_name=row.team_name,
        personal=row.personal,
        default_licence=row.default_licence,
        default_licence_name=row.default_licence_name,
        allocation=row.allocation,
        default_expiry_s=row.default_expiry_s,
        retention_s=row.retention_s,
        settings=row.settings,
        creator=row.creator,
        created_at=row.created_at,
        updated_at=row.updated_at,
        trash=Trash(row.trashed_at, row.trash_reason or "deleted", row.trashed_by) if row.trashed_at else None,
    )


#: Runs with {"asking": user number}.
_SELECT: Select[Any] = (
    select(
        project,
        team.c.name.label("team_name"),
        licence.c.name.label("default_licence_name"),
        func.coalesce(membership.c.role, 0).label("role"),
    )
    .join_from(project, team, project.c.team == team.c.id)
    .join(licence, project.c.default_licence == licence.c.id)
    .outerjoin(membership, (membership.c.team == project.c.team) & (membership.c.user == bindparam("asking")))
)

_BY_NUMBER = Prepared(_SELECT.where(project.c.id == bindparam("n")))


_ALLOCATION = Prepared(select(project.c.allocation).where(project.c.id == bindparam("n")))
_SETTINGS = Prepared(select(project.c.settings).where(project.c.id == bindparam("n")))


def allocation(conn: Connection, n: int) -> int | None:
    """How many bytes a project may hold; every upload asks, so that nothing else of it is read."""
    found: int | None = _ALLOCATION(conn, {"n": n}).scalar()
    return found


def settings(conn: Connection, n: int) -> Mapping[str, Any]:
    """What a project is set to do; empty where there is no such project."""
    found: Mapping[str, Any] | None = _SETTINGS(conn, {"n": n}).scalar()
    return found or {}


def find_by(conn: Connection, key: int | UUID | str, *, user: int | None) -> tuple[Project, Role] | None:
    """`find` by whatever a caller has: the number, the uid or the slug."""
    if isinstance(key, int):
        return find(conn, user=user, n=key)
    return find(conn, user=user, uid=key) if isinstance(key, UUID) else find(conn, user=user, slug=key)


def find(
    conn: Connection, *, user: int | None, n: int | None = None, uid: UUID | None = None, slug: str | None = None
) -> tuple[Project, Role] | None:
    """One project and the user's role in its team; by slug also under a slug it gave up."""
    query, asking = _SELECT, {"asking": user or 0}
    if n is not None:
        found = _BY_NUMBER(conn, {**asking, "n": n}).first()
        return None if found is None else (_value(found), Role(found.role))
    if uid is not None:
        query = query.where(project.c.uid == uid)
    elif slug is not None and names.storable(slug):
        query = query.where(project.c.slug == slug)
    else:
        return None
    row = conn.execute(query, asking).first()
    if row is None and slug is not None:
        led = conn.execute(select(old_slug.c.project).where(old_slug.c.scope == 0, old_slug.c.slug == slug)).scalar()
        if led is not None:
            row = conn.execute(_SELECT.where(project.c.id == led), asking).first()
    return None if row is None else (_value(row), Role(row.role))


def page(
    conn: Connection,
    *,
    user: int | None,
    everything: bool,
    only: Sequence[int] | None,
    least: Role = Role.READ,
    trashed: bool = False,
    name: str | None = None,
    after: int | None,
    limit: int,
) -> list[tuple[Project, Role]]:
    """Projects in order of number, those whose team the user belongs to with at least that role.

    Args:
        everything: The caller is staff and sees all.
        only: Numbers of projects the credential is limited to.
    """
    query = _SELECT.order_by(project.c.id).limit(limit)
    if not everything:
        query = query.where(membership.c.role >= int(least))
    if only is not None:
        query = query.where(project.c.id.in_(only))
    if name is not None:
        query = query.where(project.c.name == name)
    query = query.where(project.c.trashed_at.is_not(None) if trashed else project.c.trashed_at.is_(None))
    if after is not None:
        query = query.where(project.c.id > after)
    return [(_value(row), Role(row.role)) for row in conn.execute(query, {"asking": user or 0})]


def by_numbers(conn: Connection, numbers: Sequence[int], *, user: int | None) -> dict[int, tuple[Project, Role]]:
    """Projects by number and the user's role in their team; some hundred at a time."""
    query = _SELECT.where(project.c.id.in_(numbers))
    return {row.id: (_value(row), Role(row.role)) for row in conn.execute(query, {"asking": user or 0})}


def change(conn: Connection, n: int, at: datetime, values: Mapping[str, Any]) -> None:
    conn.execute(update(project).where(project.c.id == n).values(updated_at=at, **values))


def half_trashed(conn: Connection, limit: int) -> list[tuple[int, int | None]]:
    """(project, who trashed it) of projects in the trash that still have active versions."""
    query = (
        select(project.c.id, project.c.trashed_by)
        .where(
            project.c.trashed_at.is_not(None),
            exists().where(version.c.project == project.c.id, version.c.trashed_at.is_(None)),
        )
        .order_by(project.c.id)
        .limit(limit)
    )
    return [(int(row.id), row.trashed_by) for row in conn.execute(query)]


def hold_names(conn: Connection, numbers: Sequence[int]) -> bool:
    """Hold the names in these projects until the end of the transaction: numbers, aliases, slugs, lines, collections.

    Answers whether somebody else can have been in between, so that what was read before must be read again. Rows that
    only refer to the project may still come in beside.
    """
    if conn.dialect.name == "sqlite":
        return False
    for n in sorted(set(numbers)):
        _HOLD_NAMES(conn, {"n": n})
    return True


_HOLD_NAMES = Prepared(select(project.c.id).where(project.c.id == bindparam("n")).with_for_update(key_share=True))


def hold_room(conn: Connection, n: int) -> None:
    """Hold the room of a project until the end of the transaction: who judges what is left of its allocation.

    Not the project's own row: it is the first hold of those who give names, and room is judged last, after the write.
    The row of the root collection is there as long as the project is.
    """
    if conn.dialect.name != "sqlite":
        root = select(collection.c.id).where(collection.c.project == n, collection.c.path == "")
        conn.execute(root.with_for_update(key_share=True))


def keep_slug(conn: Connection, scope: int, slug: str, **leads_to: int) -> None:
    """Let a given-up slug lead on. `leads_to` is one of project=, dataset=, version=."""
    conn.execute(delete(old_slug).where(old_slug.c.scope == scope, old_slug.c.slug == slug))
    conn.execute(insert(old_slug).values(scope=scope, slug=slug, **leads_to))


def lead_on(conn: Connection, dataset: int, version: int) -> None:
    """Slugs that led to a line lead to a version from now on."""
    conn.execute(update(old_slug).where(old_slug.c.dataset == dataset).values(dataset=None, version=version))


def purge(conn: Connection, n: int) -> None:
    """Remove an empty project, its collections and the slugs that led to it; uploads begun for it are for none then."""
    conn.execute(update(upload).where(upload.c.project == n).values(project=None))
    conn.execute(delete(old_slug).where(or_(old_slug.c.scope == n, old_slug.c.project == n)))
    conn.execute(delete(collection).where(collection.c.project == n))
    conn.execute(delete(project).where(project.c.id == n))


# Collections


def _collection_select() -> Select[Any]:
    return select(collection, project.c.uid.label("project_uid")).join_from(
        collection, project, collection.c.project == project.c.id
    )


def _collection(row: Row[Any]) -> Collection:
    return Collection(
        n=row.id,
        uid=row.uid,
        project=row.project,
        project_uid=row.project_uid,
        path=row.path,
        created_at=row.created_at,
    )


def _one_collection(conn: Connection, condition: ColumnElement[bool]) -> Collection | None:
    row = conn.execute(_collection_select().where(condition)).first()
    return None if row is None else _collection(row)


def collection_by_path(conn: Connection, project_n: int, path: str) -> Collection | None:
    return _one_collection(conn, (collection.c.project == project_n) & (collection.c.path == path))


def collection_by_uid(conn: Connection, uid: UUID) -> Collection | None:
    row = _COLLECTION_BY_UID(conn, {"uid": uid}).first()
    return None if row is None else _collection(row)


_COLLECTION_BY_UID = Prepared(
    _collection_select().where(collection.c.uid == bindparam("uid", type_=collection.c.uid.type))
)


def collections(
    conn: Connection, project_n: int, *, after: str | None = None, limit: int, prefix: str = ""
) -> list[Collection]:
    """Collections below `prefix` in path order, the root first."""
    query = _collection_select().where(collection.c.project == project_n).order_by(collection.c.path).limit(limit)
    if prefix:
        query = query.where(
            or_(
                collection.c.path == prefix,
                (collection.c.path >= prefix + "/") & (collection.c.path < prefix + "0"),
            )
        )
    if after is not None:
        query = query.where(collection.c.path > after)
    return [_collection(row) for row in conn.execute(query)]


def insert_collection(conn: Connection, *, uid: UUID, project_n: int, path: str, at: datetime) -> Collection:
    conn.execute(insert(collection).values(uid=uid, project=project_n, path=path, created_at=at))
    found = collection_by_uid(conn, uid)
    assert found is not None
    return found


def move_collections(conn: Connection, project_n: int, source: str, target: str) -> None:
    """Rename a collection and all below it."""
    below = (collection.c.path >= source + "/") & (collection.c.path < source + "0")
    conn.execute(
        update(collection)
        .where(collection.c.project == project_n, or_(collection.c.path == source, below))
        .values(path=target + func.substr(collection.c.path, len(source) + 1))
    )


def collection_in_use(conn: Connection, project_n: int, path: str) -> bool:
    """Whether any version, in the trash or not, lies in it or below."""
    below = (collection.c.path >= path + "/") & (collection.c.path < path + "0")
    query = (
        select(version.c.id)
        .join_from(version, collection, version.c.collection == collection.c.id)
        .where(collection.c.project == project_n, or_(collection.c.path == path, below))
        .limit(1)
    )
    return conn.execute(query).first() is not None


def paths_below(conn: Connection, project_n: int, path: str) -> list[str]:
    """The paths of all collections below `path`."""
    below = (collection.c.path >= path + "/") & (collection.c.path < path + "0")
    return list(conn.execute(select(collection.c.path).where(collection.c.project == project_n, below)).scalars())


def delete_collections(conn: Connection, project_n: int, path: str) -> None:
    below = (collection.c.path >= path + "/") & (collection.c.path < path + "0")
    conn.execute(delete(collection).where(collection.c.project == project_n, or_(collection.c.path == path, below)))
