"""Rows of datasets (lines of versions) and of versions, with what every door shows beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from entrepot.catalog.prepared import FirstRow, Prepared
from entrepot.catalog.schema import (
    collection,
    dataset,
    licence,
    membership,
    old_slug,
    project,
    revision,
    user,
    version,
    version_tag,
)
from entrepot.model.values import Kind, Revision, Role, Stage, State, Trash, Version, Visibility


@dataclass(frozen=True, slots=True)
class Found:
    """A version and the role that the asking user has in the team that owns it."""

    version: Version
    role: Role


#: Built once: putting forty columns together costs more than asking for them. Runs with {"asking": user number}.
_SELECT: Select[Any] = (
    select(
        version,
        dataset.c.uid.label("dataset_uid"),
        dataset.c.name.label("name"),
        dataset.c.slug.label("slug"),
        project.c.uid.label("project_uid"),
        project.c.slug.label("project_slug"),
        project.c.team.label("team"),
        project.c.trashed_at.label("project_trashed_at"),
        collection.c.uid.label("collection_uid"),
        collection.c.path.label("collection_path"),
        licence.c.name.label("licence_name"),
        user.c.name.label("creator_name"),
        func.coalesce(membership.c.role, 0).label("role"),
    )
    .join_from(version, dataset, version.c.dataset == dataset.c.id)
    .join(project, version.c.project == project.c.id)
    .join(collection, version.c.collection == collection.c.id)
    .join(licence, version.c.licence == licence.c.id)
    .outerjoin(user, version.c.creator == user.c.id)
    .outerjoin(membership, and_(membership.c.team == project.c.team, membership.c.user == bindparam("asking")))
)


def _value(row: Any) -> Version:
    return Version(
        n=row.id,
        uid=row.uid,
        dataset=row.dataset,
        dataset_uid=row.dataset_uid,
        name=row.name,
        slug=row.slug,
        project=row.project,
        project_uid=row.project_uid,
        project_slug=row.project_slug,
        team=row.team,
        collection=row.collection,
        collection_uid=row.collection_uid,
        collection_path=row.collection_path,
        number=row.number,
        kind=Kind(row.kind),
        revision=row.rev,
        state=State(row.state),
        stage=None if row.stage is None else Stage(row.stage),
        report=row.report,
        description=row.description,
        licence=row.licence,
        licence_name=row.licence_name,
        visibility=Visibility(row.visibility),
        custom=row.custom,
        tags=tuple(row.tags),
        alias=row.alias,
        properties=row.properties,
        declared=row.declared,
        unpacked_from=row.unpacked_from,
        is_proposal=row.is_proposal,
        previous_version=row.previous_version,
        frozen_at=row.frozen_at,
        edit=row.edit,
        n_entries=row.n_entries,
        n_bytes=row.n_bytes,
        item_count=row.item_count,
        data_type=row.data_type,
        creator=row.creator,
        creator_name=row.creator_name,
        created_at=row.created_at,
        updated_at=row.updated_at,
        ready_at=row.ready_at,
        expires_at=row.expires_at,
        project_trashed=row.project_trashed_at is not None,
        trash=Trash(row.trashed_at, row.trash_reason or "deleted", row.trashed_by) if row.trashed_at else None,
    )


def _found(row: Any) -> Found:
    return Found(_value(row), Role(row.role))


def _may_be_shared(found: Found, row: tuple[Any, ...]) -> bool:
    """Whether a value can be kept for later requests: short, and nothing in it that a careless hand could change."""
    one = found.version
    documents = [each for each in (one.custom, one.properties, one.report, one.declared, one.unpacked_from) if each]
    flat = all(type(each) is dict and not any(isinstance(i, dict | list) for i in each.values()) for each in documents)
    return flat and sum(len(text) for text in row if isinstance(text, str)) <= 4096


_BY_N = FirstRow(Prepared(_SELECT.where(version.c.id == bindparam("n"))), _found, _may_be_shared)
_BY_UID = FirstRow(Prepared(_SELECT.where(version.c.uid == bindparam("uid"))), _found, _may_be_shared)


def find(conn: Connection, *, asking: int | None, n: int | None = None, uid: UUID | None = None) -> Found | None:
    if n is not None:
        return _BY_N(conn, {"asking": asking or 0, "n": n})
    return _BY_UID(conn, {"asking": asking or 0, "uid": uid})


def find_by(conn: Connection, key: int | UUID, *, asking: int | None) -> Found | None:
    """`find` by whatever a caller has: the number or the uid."""
    return find(conn, asking=asking, n=key) if isinstance(key, int) else find(conn, asking=asking, uid=key)


def find_all(conn: Connection, keys: Sequence[int | UUID], *, asking: int | None) -> dict[int | UUID, Found]:
    """`find_by` of many, each by the key that was asked for; those that are not there are left out."""
    found: dict[int | UUID, Found] = {}
    for kind, column in ((int, version.c.id), (UUID, version.c.uid)):
        mine = [key for key in keys if isinstance(key, kind)]
        for start in range(0, len(mine), 500):
            query = _SELECT.where(column.in_(mine[start : start + 500]))
            found |= {getattr(row, column.name): _found(row) for row in conn.execute(query, {"asking": asking or 0})}
    return found


_HOLD_N = Prepared(select(version.c.id).where(version.c.id == bindparam("key")).with_for_update(key_share=True))
_HOLD_UID = Prepared(select(version.c.id).where(version.c.uid == bindparam("key")).with_for_update(key_share=True))


def hold(conn: Connection, key: int | UUID) -> None:
    """Hold the version's row until the end of the transaction (SQLite's writer holds everything anyway).

    Rows that only refer to it (an upload, an edge, an ingest) may still come in beside.
    """
    if conn.dialect.name != "sqlite":
        (_HOLD_N if isinstance(key, int) else _HOLD_UID)(conn, {"key": key})


def insert_version(conn: Connection, *, tags: Sequence[str], **values: Any) -> int:
    given = {**_UNSAID, **values, "tags": list(tags)}
    n = int(_insert(tuple(given))(conn, given).scalar())
    _write_tags(conn, n, tags)
    return n


#: What the columns of a new version hold of which nothing is said.
_UNSAID: dict[str, Any] = {
    "rev": 0,
    "description": "",
    "custom": {},
    "properties": {},
    "is_proposal": False,
    "edit": 0,
    "n_entries": 0,
    "n_bytes": 0,
    "next_pos": 0,
}


@cache
def _insert(columns: tuple[str, ...]) -> Prepared:
    """Made once for each set of columns, as `_change`."""
    return Prepared(insert(version).returning(version.c.id), columns)


def change(conn: Connection, n: int, values: Mapping[str, Any], *, edited: bool) -> None:
    """Write columns of one version; `edited` raises its edit number."""
    given = {f"new_{name}": value for name, value in values.items()}
    _change(tuple(values), edited)(conn, {**given, "row": n})
    if "tags" in values:
        conn.execute(delete(version_tag).where(version_tag.c.version == n))
        _write_tags(conn, n, values["tags"])


@lru_cache(maxsize=128)
def _change(columns: tuple[str, ...], edited: bool) -> Prepared:
    """Made once for each set of columns: every commit writes some."""
    written: dict[str, Any] = {name: bindparam(f"new_{name}") for name in columns}
    if edited:
        written["edit"] = version.c.edit + 1
    return Prepared(update(version).where(version.c.id == bindparam("row")).values(written))


def _write_tags(conn: Connection, n: int, tags: Iterable[str]) -> None:
    rows = [{"tag": tag, "version": n} for tag in dict.fromkeys(tags)]
    if rows:
        conn.execute(insert(version_tag), rows)


def delete_row(conn: Connection, n: int) -> None:
    """Remove the record itself; its entries, edges and uploads must be gone by then."""
    conn.execute(delete(old_slug).where(old_slug.c.version == n))
    conn.execute(delete(version_tag).where(version_tag.c.version == n))
    conn.execute(delete(version).where(version.c.id == n))


# Numbers in a line


def highest_active_number(conn: Connection, dataset_n: int) -> int:
    return int(_HIGHEST(conn, {"dataset": dataset_n}).scalar() or 0)


_HIGHEST = Prepared(
    select(func.max(version.c.number)).where(version.c.dataset == bindparam("dataset"), version.c.trashed_at.is_(None))
)


def number_taken(conn: Connection, dataset_n: int, number: int, *, but: int | None = None) -> bool:
    query = select(version.c.id).where(
        version.c.dataset == dataset_n, version.c.number == number, version.c.trashed_at.is_(None)
    )
    if but is not None:
        query = query.where(version.c.id != but)
    return conn.execute(query).first() is not None


def has_active(conn: Connection, dataset_n: int, *, but: int | None = None) -> bool:
    query = select(version.c.id).where(version.c.dataset == dataset_n, version.c.trashed_at.is_(None)).limit(1)
    if but is not None:
        query = query.where(version.c.id != but)
    return conn.execute(query).first() is not None


def is_empty_line(conn: Connection, dataset_n: int) -> bool:
    return conn.execute(select(version.c.id).where(version.c.dataset == dataset_n).limit(1)).first() is None


def alias_taken(conn: Connection, project_n: int, alias: str, *, but: int | None = None) -> bool:
    """Whether an active version or a dataset slug of the project already answers to this alias."""
    query = select(version.c.id).where(
        version.c.project == project_n, version.c.alias == alias, version.c.trashed_at.is_(None)
    )
    if but is not None:
        query = query.where(version.c.id != but)
    if conn.execute(query).first() is not None:
        return True
    return (
        conn.execute(select(dataset.c.id).where(dataset.c.project == project_n, dataset.c.slug == alias)).first()
        is not None
    )


def by_alias(conn: Connection, project_n: int, alias: str) -> int | None:
    query = select(version.c.id).where(
        version.c.project == project_n, version.c.alias == alias, version.c.trashed_at.is_(None)
    )
    found = conn.execute(query).scalar()
    return None if found is None else int(found)


def bare(conn: Connection, dataset_n: int, sight: Sight) -> int | None:
    """The version a bare name means: the highest active ready one that is not a proposal, else the highest proposal.

    Only among those that `sight` may show.
    """
    query = (
        select(version.c.id)
        .join_from(version, project, version.c.project == project.c.id)
        .outerjoin(membership, and_(membership.c.team == project.c.team, membership.c.user == (sight.user or 0)))
        .where(
            version.c.dataset == dataset_n,
            version.c.trashed_at.is_(None),
            version.c.number.is_not(None),
            sight_condition(sight),
        )
        .order_by(version.c.is_proposal, version.c.number.desc())
        .limit(1)
    )
    found = conn.execute(query).scalar()
    return None if found is None else int(found)


def by_number(conn: Connection, dataset_n: int, number: int) -> int | None:
    query = select(version.c.id).where(
        version.c.dataset == dataset_n, version.c.number == number, version.c.trashed_at.is_(None)
    )
    found = conn.execute(query).scalar()
    return None if found is None else int(found)


# Lists


@dataclass(frozen=True, slots=True)
class Sight:
    """What a list may show: the permission filter is part of the query, never applied after LIMIT.

    Args:
        user: Whose memberships count.
        everything: Staff.
        projects: Numbers the credential is limited to.
        open_to_all: Visibilities that everybody may see.
        least: The least role of a member.
    """

    user: int | None
    everything: bool = False
    projects: tuple[int, ...] | None = None
    open_to_all: tuple[Visibility, ...] = (Visibility.LISTED, Visibility.PUBLIC)
    least: Role = Role.READ


def sight_condition(sight: Sight) -> ColumnElement[bool]:
    """The filter of `sight` over `version` joined with `project` and the asking user's `membership`."""
    member: ColumnElement[bool] = func.coalesce(membership.c.role, 0) >= int(sight.least)
    if sight.everything:
        member = version.c.id.is_not(None)
    if sight.projects is not None:
        member = and_(member, version.c.project.in_([literal(n) for n in sight.projects or (0,)]))
    if not sight.open_to_all:
        return member
    return or_(member, version.c.visibility.in_([literal(v.value) for v in sight.open_to_all]))


def member_projects(sight: Sight) -> Select[Any]:
    """Numbers of the projects whose team the asking user belongs to, as a subquery."""
    query = (
        select(project.c.id)
        .join_from(project, membership, membership.c.team == project.c.team)
        .where(membership.c.user == (sight.user or 0), membership.c.role >= int(sight.least))
    )
    return query if sight.projects is None else query.where(project.c.id.in_(sight.projects))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which versions a list asks for; None means any."""

    project: int | None = None
    dataset: int | None = None
    collection: int | None = None
    collection_below: str | None = None
    name: str | None = None
    kind: Kind | None = None
    states: tuple[State, ...] = ()
    ready_only: bool = False
    tags: tuple[str, ...] = ()
    creator: int | None = None
    visibility: Visibility | None = None
    data_type: str | None = None
    alias: str | None = None
    trashed: bool | None = False
    trash_reasons: tuple[str, ...] = ()
    proposals: bool | None = None
    #: Beside the active ones those that expired, which some doors go on showing.
    and_expired: bool = False


def page(
    conn: Connection, sight: Sight, wanted: Filter, *, after: int | None, limit: int, newest_first: bool = True
) -> list[Found]:
    """Versions by number of the catalogue, a key that never changes; `after` is the last one already seen."""
    query = _SELECT.where(sight_condition(sight), *_conditions(wanted)).limit(limit)
    if newest_first:
        query = query.order_by(version.c.id.desc())
        if after is not None:
            query = query.where(version.c.id < after)
    else:
        query = query.order_by(version.c.id)
        if after is not None:
            query = query.where(version.c.id > after)
    return [_found(row) for row in conn.execute(query, {"asking": sight.user or 0})]


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for column, value in (
        (version.c.project, wanted.project),
        (version.c.dataset, wanted.dataset),
        (version.c.collection, wanted.collection),
        (dataset.c.name, wanted.name),
        (version.c.kind, wanted.kind),
        (version.c.creator, wanted.creator),
        (version.c.visibility, wanted.visibility),
        (version.c.data_type, wanted.data_type),
        (version.c.alias, wanted.alias),
        (version.c.is_proposal, wanted.proposals),
    ):
        if value is not None:
            conditions.append(column == value)
    if wanted.collection_below is not None and wanted.collection_below != "":
        below = wanted.collection_below
        conditions.append(
            or_(collection.c.path == below, and_(collection.c.path >= below + "/", collection.c.path < below + "0"))
        )
    if wanted.states:
        conditions.append(version.c.state.in_([s.value for s in wanted.states]))
    if wanted.ready_only:
        conditions.append(version.c.number.is_not(None))
    if wanted.trashed is not None:
        # A large project goes to the trash version by version: what is not there yet is as gone as the rest.
        gone = or_(version.c.trashed_at.is_not(None), project.c.trashed_at.is_not(None))
        shown = gone if wanted.trashed else ~gone
        if wanted.and_expired:
            shown = or_(shown, and_(version.c.trash_reason == "expired", project.c.trashed_at.is_(None)))
        conditions.append(shown)
    if wanted.trash_reasons:
        conditions.append(version.c.trash_reason.in_(wanted.trash_reasons))
    conditions.extend(
        exists().where(version_tag.c.version == version.c.id, version_tag.c.tag == tag) for tag in wanted.tags
    )
    return conditions


def count_types(conn: Connection, sight: Sight) -> dict[str, int]:
    """How many active versions that `sight` may show are of which data type."""
    counted = _SELECT.with_only_columns(version.c.data_type, func.count().label("n"))
    query = counted.where(
        sight_condition(sight), *_conditions(Filter(ready_only=True)), version.c.data_type.is_not(None)
    )
    found = conn.execute(query.group_by(version.c.data_type), {"asking": sight.user or 0})
    return {str(row.data_type): int(row.n) for row in found}


def by_numbers(conn: Connection, sight: Sight, numbers: Sequence[int]) -> dict[int, Found]:
    """Those of the given versions that `sight` may show, by number."""
    found: dict[int, Found] = {}
    for start in range(0, len(numbers), 500):
        query = _SELECT.where(sight_condition(sight), version.c.id.in_(numbers[start : start + 500]))
        found |= {row.id: _found(row) for row in conn.execute(query, {"asking": sight.user or 0})}
    return found


def heads(conn: Connection, project_n: int, *, after: int | None, limit: int) -> list[tuple[int, int]]:
    """(dataset, version that its bare name means) of a project, in order of the datasets' numbers."""
    best = (
        select(version.c.id)
        .where(version.c.dataset == dataset.c.id, version.c.trashed_at.is_(None), version.c.number.is_not(None))
        .order_by(version.c.is_proposal, version.c.number.desc())
        .limit(1)
        .correlate(dataset)
        .scalar_subquery()
    )
    query = select(dataset.c.id, best.label("head")).where(dataset.c.project == project_n).order_by(dataset.c.id)
    if after is not None:
        query = query.where(dataset.c.id > after)
    named = query.subquery()
    rows = conn.execute(select(named).where(named.c.head.is_not(None)).order_by(named.c.id).limit(limit))
    return [(row.id, row.head) for row in rows]


def tags_in_use(conn: Connection, project_n: int, *, limit: int) -> list[str]:
    query = (
        select(version_tag.c.tag)
        .join_from(version_tag, version, version_tag.c.version == version.c.id)
        .where(version.c.project == project_n, version.c.trashed_at.is_(None))
        .distinct()
        .order_by(version_tag.c.tag)
        .limit(limit)
    )
    return list(conn.execute(query).scalars())


def active_in_project(conn: Connection, project_n: int, *, limit: int) -> list[tuple[int, int]]:
    """(version, dataset) of some active versions of a project, in order of number, held until the transaction ends."""
    query = (
        select(version.c.id, version.c.dataset)
        .where(version.c.project == project_n, version.c.trashed_at.is_(None))
        .order_by(version.c.id)
        .limit(limit)
        .with_for_update(key_share=True)
    )
    return [(int(row.id), int(row.dataset)) for row in conn.execute(query)]


def active_in_line(conn: Connection, dataset_n: int, *, after: int, limit: int) -> list[Version]:
    """Active versions of a line, in order of the catalogue's number."""
    query = (
        _SELECT.where(version.c.dataset == dataset_n, version.c.trashed_at.is_(None), version.c.id > after)
        .order_by(version.c.id)
        .limit(limit)
    )
    return [_value(row) for row in conn.execute(query, {"asking": 0})]


def any_in_project(conn: Connection, project_n: int) -> bool:
    return conn.execute(select(version.c.id).where(version.c.project == project_n).limit(1)).first() is not None


# Revisions


def revisions(conn: Connection, version_n: int, *, before: int | None, limit: int) -> list[Revision]:
    """Newest first; `before` is the last number already seen."""
    query = (
        select(revision, user.c.name.label("author_name"))
        .join_from(revision, user, revision.c.author == user.c.id, isouter=True)
        .where(revision.c.version == version_n)
        .order_by(revision.c.num.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(revision.c.num < before)
    return [_revision(row) for row in conn.execute(query)]


def find_revision(conn: Connection, version_n: int, number: int) -> Revision | None:
    row = _REVISION(conn, {"of": version_n, "number": number}).first()
    return None if row is None else _revision(row)


_REVISION = Prepared(
    select(revision, user.c.name.label("author_name"))
    .join_from(revision, user, revision.c.author == user.c.id, isouter=True)
    .where(revision.c.version == bindparam("of"), revision.c.num == bindparam("number"))
)


def _revision(row: Any) -> Revision:
    return Revision(
        version=row.version,
        number=row.num,
        author=row.author,
        author_name=row.author_name,
        at=row.at,
        message=row.message,
        n_entries=row.n_entries,
        n_bytes=row.n_bytes,
    )
