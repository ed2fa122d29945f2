"""Versions as single things, for doors that know nothing but files: pages by number, with an exact count.

A version is one row: its file if it has exactly one, else a directory by a name of its own. Versions that carry a
certain property are shown file by file instead, as are the reads of a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    literal,
    null,
    select,
    union_all,
)

from entrepot.catalog.schema import content, dataset, live, membership, past, project, revision, user, version, word
from entrepot.catalog.versions import Sight, sight_condition
from entrepot.model.patterns import Pattern

__all__ = ["Row", "Singles", "page", "types", "versions"]

Sort = Literal["created", "-created", "filename", "-filename"]


@dataclass(frozen=True, slots=True)
class Singles:
    """Which things a page asks for; None means any.

    Args:
        expand: Versions with this property are shown file by file.
        category: A property that holds a number, 1 where it is missing; and the number that is asked for.
        name: A part of the file's name, in any case.
        created: From and to, both inclusive.
        size: Likewise.
        creator: Whoever made it, by number or by user name.
        nothing: Asks for what this server never has.
    """

    expand: str
    category: tuple[str, int | None]
    name: str | None = None
    pattern: Pattern | None = None
    creator: int | str | None = None
    is_file: bool | None = None
    data_types: Sequence[str] = ()
    size: tuple[int | None, int | None] = (None, None)
    created: tuple[datetime | None, datetime | None] = (None, None)
    nothing: bool = False
    sort: Sort = "-created"


@dataclass(frozen=True, slots=True)
class Row:
    """One thing: a version, and which of its entries where it is shown file by file."""

    version: int
    position: int | None


def page(conn: Connection, sight: Sight, wanted: Singles, *, start: int, limit: int) -> tuple[int, list[Row]]:
    """How many there are in all, and those of one page."""
    things = _things(sight, wanted).subquery("things")
    where = _conditions(conn, things.c, wanted)
    values = {"asking": sight.user or 0}
    count = conn.execute(select(func.count()).select_from(things).where(*where), values).scalar_one()
    turned = wanted.sort.startswith("-")
    filename: ColumnElement[Any] = things.c.filename
    if conn.dialect.name != "sqlite":
        filename = filename.collate("C")
    keys: list[ColumnElement[Any]] = [
        filename if wanted.sort.endswith("filename") else things.c.created_at,
        things.c.version,
        func.coalesce(things.c.position, -1),
    ]
    query = select(things.c.version, things.c.position).where(*where).limit(limit).offset(start)
    query = query.order_by(*(key.desc() if turned else key.asc() for key in keys))
    return int(count), [Row(int(row.version), row.position) for row in conn.execute(query, values)]


def types(conn: Connection, sight: Sight, wanted: Singles) -> dict[str, int]:
    """How many of the things have which data type."""
    things = _things(sight, wanted).subquery("things")
    query = select(things.c.dtype, func.count()).where(things.c.dtype.is_not(None)).group_by(things.c.dtype)
    return {str(name): int(count) for name, count in conn.execute(query, {"asking": sight.user or 0})}


def _things(sight: Sight, wanted: Singles) -> Any:
    expanded = version.c.properties[wanted.expand].as_string().is_not(None)
    shown = and_(
        sight_condition(sight),
        version.c.number.is_not(None),
        version.c.trashed_at.is_(None),
        project.c.trashed_at.is_(None),
    )
    told = func.coalesce(version.c.unpacked_from["name"].as_string(), literal(None, Text))
    is_file = and_(version.c.n_entries == 1, version.c.unpacked_from.is_(None))
    first = func.coalesce(_only_path(live), _only_path(past))
    name = case((is_file, _last_segment(first)), (told.is_not(None), told), else_=dataset.c.slug.concat(".zip"))
    parts = [
        _select(
            wanted,
            position=cast(null(), Integer),
            filename=name,
            size=version.c.n_bytes,
            dtype=version.c.data_type,
            is_file=case((is_file, 1), else_=0),
        ).where(shown, ~expanded)
    ]
    for table in (live, past):
        held = [table.c.strand == revision.c.strand, table.c.vfrom <= revision.c.seq]
        if table is past:
            held.append(past.c.vto > revision.c.seq)
        one = _select(
            wanted,
            position=table.c.pos,
            filename=_last_segment(table.c.path),
            size=content.c.size,
            dtype=word.c.text,
            is_file=literal(1),
        )
        one = one.join(revision, and_(revision.c.version == version.c.id, revision.c.num == version.c.rev))
        one = one.join(table, and_(*held)).join(content, content.c.id == table.c.content)
        parts.append(one.outerjoin(word, word.c.id == table.c.dtype).where(shown, expanded))
    return union_all(*parts)


def _select(wanted: Singles, **columns: ColumnElement[Any]) -> Select[Any]:
    return (
        select(
            version.c.id.label("version"),
            version.c.created_at.label("created_at"),
            version.c.creator.label("creator"),
            user.c.name.label("creator_name"),
            func.coalesce(version.c.properties[wanted.category[0]].as_integer(), 1).label("category"),
            *(column.label(name) for name, column in columns.items()),
        )
        .select_from(version)
        .join(dataset, version.c.dataset == dataset.c.id)
        .join(project, version.c.project == project.c.id)
        .outerjoin(user, version.c.creator == user.c.id)
        .outerjoin(membership, and_(membership.c.team == project.c.team, membership.c.user == bindparam("asking")))
    )


def _only_path(table: Table) -> Any:
    """The path of the one entry that a version has now."""
    query = (
        select(table.c.path)
        .select_from(revision)
        .join(table, and_(table.c.strand == revision.c.strand, table.c.vfrom <= revision.c.seq))
        .where(revision.c.version == version.c.id, revision.c.num == version.c.rev)
        .limit(1)
    )
    if table is past:
        query = query.where(past.c.vto > revision.c.seq)
    return query.correlate(version).scalar_subquery()


def _last_segment(path: ColumnElement[Any]) -> ColumnElement[Any]:
    """What stands behind the last slash. Trimming all characters of the segments leaves what is before it."""
    before = func.rtrim(path, func.replace(path, "/", ""))
    return func.substr(path, func.length(before) + 1)


def _conditions(conn: Connection, things: Any, wanted: Singles) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if wanted.nothing:
        where.append(false())
    if wanted.name is not None:
        # Not LIKE: its wildcards would have to be escaped.
        position = func.instr if conn.dialect.name == "sqlite" else func.strpos
        where.append(position(func.lower(things.filename), func.lower(wanted.name)) > 0)
    if wanted.pattern is not None:
        where.append(_matches(conn, things.filename, wanted.pattern))
    if isinstance(wanted.creator, int):
        where.append(things.creator == wanted.creator)
    elif wanted.creator is not None:
        where.append(things.creator_name == wanted.creator)
    if wanted.is_file is not None:
        where.append(things.is_file == int(wanted.is_file))
    if wanted.category[1] is not None:
        where.append(things.category == wanted.category[1])
    if wanted.data_types:
        where.append(things.dtype.in_(list(wanted.data_types)))
    for column, (least, most) in ((things.size, wanted.size), (things.created_at, wanted.created)):
        if least is not None:
            where.append(column >= least)
        if most is not None:
            where.append(column <= most)
    return where


def _matches(conn: Connection, column: ColumnElement[Any], pattern: Pattern) -> ColumnElement[bool]:
    if conn.dialect.name != "sqlite":
        # What `Pattern` has taken is what both understand alike; its engine does not go back either.
        return column.regexp_match(pattern.text)
    dbapi: Any = conn.connection.dbapi_connection
    dbapi.create_function("entrepot_matches", 1, lambda text: text is not None and pattern.search(text))
    return func.entrepot_matches(column) == 1


def versions(
    conn: Connection,
    sight: Sight,
    having: str,
    *,
    name: str,
    project_n: int | None,
    creator: int | None,
    start: int,
    limit: int,
) -> tuple[int, list[int]]:
    """Numbers of the versions that carry a property, newest first, and how many there are in all.

    Args:
        name: A part of the dataset's name, in any case; "" is any.
    """
    position = func.instr if conn.dialect.name == "sqlite" else func.strpos
    where = [
        sight_condition(sight),
        version.c.number.is_not(None),
        version.c.trashed_at.is_(None),
        project.c.trashed_at.is_(None),
        version.c.properties[having].as_string().is_not(None),
    ]
    if name:
        where.append(position(func.lower(dataset.c.name), func.lower(name)) > 0)
    if project_n is not None:
        where.append(version.c.project == project_n)
    if creator is not None:
        where.append(version.c.creator == creator)
    found = (
        select(version.c.id)
        .select_from(version)
        .join(dataset, version.c.dataset == dataset.c.id)
        .join(project, version.c.project == project.c.id)
        .outerjoin(membership, and_(membership.c.team == project.c.team, membership.c.user == bindparam("asking")))
        .where(*where)
    )
    values = {"asking": sight.user or 0}
    total = conn.execute(select(func.count()).select_from(found.subquery("found")), values).scalar_one()
    page = found.order_by(version.c.id.desc()).limit(limit).offset(start)
    return int(total), [int(n) for n in conn.execute(page, values).scalars()]
