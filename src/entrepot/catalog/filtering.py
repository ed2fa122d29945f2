"""Lists by conditions of the caller's own: typed expressions compiled to SQL, values always bound.

For each noun a table says which fields there are, of which type, and over which joins. What the caller may not see of
a row is null to conditions and orders alike, so that nobody can find it out by asking.

A list is answered in two steps: the numbers of all rows in their order, then the rows, some hundred at a time. So a
list of any length and any order is of one moment, and takes eight bytes a row.
"""

# ruff: noqa: S608 - what is put together here are constants of this floor, values are always bound

from __future__ import annotations

import operator
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Select,
    Text,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import ColumnElement

from entrepot.catalog import licences as licence_rows
from entrepot.catalog import nodes as node_rows
from entrepot.catalog import projects as project_rows
from entrepot.catalog import teams as team_rows
from entrepot.catalog import users as user_rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.schema import (
    collection,
    dataset,
    licence,
    live,
    membership,
    node,
    past,
    project,
    revision,
    team,
    user,
    version,
)
from entrepot.catalog.versions import Found, Sight, sight_condition
from entrepot.model import names, tag_text
from entrepot.model.errors import Invalid
from entrepot.model.queries import All, Compare, Condition, Contains, Either, IsNull, Not, Operator, Order, Query
from entrepot.model.values import Licence, Node, Project, Role, Team, User

if TYPE_CHECKING:
    from entrepot.catalog.database import Catalog

__all__ = ["licences", "nodes", "projects", "read_pages", "teams", "users", "versions"]

#: Rows read at once, and so the most that are in memory.
PAGE = 200

_WHOLE = re.compile(r"-?[0-9]{1,19}", re.ASCII)

T = TypeVar("T")


class Type(Enum):
    TEXT = "a text"
    NUMBER = "a number"
    FLAG = "true or false"
    INSTANT = "a time such as 2026-01-31T12:00:00+00:00"


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of a noun.

    Args:
        guard: Where this does not hold, the field is null to whoever asks.
        among: For fields of which a row has many: whether one of them fulfils a condition.
    """

    type: Type
    column: ColumnElement[Any] | None = None
    guard: ColumnElement[bool] | None = None
    among: Callable[[Callable[[ColumnElement[Any]], ColumnElement[bool]]], ColumnElement[bool]] | None = None


Fields = Mapping[tuple[str, ...], _Field]


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A list before it is read: the numbers of its rows in order, and how rows are read by number."""

    numbers: array[int]
    read: Callable[[Connection, Sequence[int]], Mapping[int, T]] = field(repr=False)


def read_pages(catalog: Catalog, listing: Listing[T]) -> Iterator[T]:
    """The rows in order; no read outlives a page. Rows that went meanwhile are left out."""
    for start in range(0, len(listing.numbers), PAGE):
        wanted = listing.numbers[start : start + PAGE]
        with catalog.read() as conn:
            found = listing.read(conn, wanted)
        yield from (found[n] for n in wanted if n in found)


# Compiling


def _where(fields: Fields, conditions: Iterable[Condition], dialect: str) -> list[ColumnElement[bool]]:
    return [_compiled(fields, one, dialect) for one in conditions]


def _compiled(fields: Fields, condition: Condition, dialect: str) -> ColumnElement[bool]:
    match condition:
        case All(of):
            return and_(true(), *_where(fields, of, dialect))
        case Either(of):
            return or_(false(), *_where(fields, of, dialect))
        case Not(of):
            return not_(_compiled(fields, of, dialect))
        case IsNull(path, at):
            return _is_null(_known(fields, path, at))
        case Compare():
            found = _known(fields, condition.field, condition.at)
            return _holds(found, _comparison(found, condition, dialect))
        case Contains():
            found = _known(fields, condition.field, condition.at)
            return _holds(found, _containing(found, condition, dialect))


def _known(fields: Fields, path: tuple[str, ...], at: str) -> _Field:
    found = fields.get(path)
    if found is None:
        known = ", ".join(".".join(one) for one in fields)
        raise Invalid(f"{at}: there is no field {'.'.join(path)[:100]!r} here. There are {known}.", details={"at": at})
    return found


def _holds(found: _Field, asked: Callable[[ColumnElement[Any]], ColumnElement[bool]]) -> ColumnElement[bool]:
    """True or false, never null, so that the opposite is the opposite."""
    if found.among is not None:
        return found.among(asked)
    assert found.column is not None
    told = func.coalesce(asked(found.column), false())
    return told if found.guard is None else and_(found.guard, told)


def _is_null(found: _Field) -> ColumnElement[bool]:
    if found.among is not None:
        return not_(found.among(lambda column: column.is_not(None)))
    assert found.column is not None
    missing = found.column.is_(None)
    return missing if found.guard is None else or_(not_(found.guard), missing)


_OPERATORS: Mapping[Operator, Callable[[Any, Any], Any]] = {
    Operator.EQUAL: operator.eq,
    Operator.LESS: operator.lt,
    Operator.GREATER: operator.gt,
    Operator.AT_MOST: operator.le,
    Operator.AT_LEAST: operator.ge,
}


def _bytewise(column: ColumnElement[Any], type_: Type, dialect: str) -> ColumnElement[Any]:
    """Texts in the order of their code points; what PostgreSQL would do by itself depends on its installation."""
    return column.collate("C") if type_ is Type.TEXT and dialect != "sqlite" else column


def _comparison(found: _Field, asked: Compare, dialect: str) -> Callable[[ColumnElement[Any]], ColumnElement[bool]]:
    value, compare = _value(found.type, asked), _OPERATORS[asked.operator]
    if value is None:
        return lambda _column: false()
    if found.type is Type.FLAG:
        if asked.operator is not Operator.EQUAL:
            raise Invalid(f"{asked.at}: true and false have no order.", details={"at": asked.at})
        return lambda column: column if value else not_(column)
    if asked.ignore_case and found.type is Type.TEXT:
        return lambda column: compare(func.lower(column), func.lower(value))
    return lambda column: compare(_bytewise(column, found.type, dialect), value)


def _containing(found: _Field, asked: Contains, dialect: str) -> Callable[[ColumnElement[Any]], ColumnElement[bool]]:
    if found.type is not Type.TEXT:
        raise Invalid(
            f"{asked.at}: {'.'.join(asked.field)!r} is {found.type.value}; only texts contain something.",
            details={"at": asked.at},
        )
    if not names.storable(asked.text):
        return lambda _column: false()
    # Not LIKE: its wildcards would have to be escaped, and on SQLite it does not tell cases apart.
    position = func.instr if dialect == "sqlite" else func.strpos
    if asked.ignore_case:
        return lambda column: position(func.lower(column), func.lower(asked.text)) > 0
    return lambda column: position(column, asked.text) > 0


def _value(type_: Type, asked: Compare) -> Any:
    """The value as the database compares it; None for a text that no column can hold.

    Raises:
        Invalid: It is of another type than the field.
    """
    value = asked.value
    wrong = Invalid(
        f"{asked.at}: {'.'.join(asked.field)!r} is {type_.value}, not {str(value)[:60]!r}.", details={"at": asked.at}
    )
    if type_ is Type.TEXT:
        if isinstance(value, bool) or not isinstance(value, str):
            raise wrong
        return value if names.storable(value) else None
    if type_ is Type.FLAG:
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if not isinstance(value, bool):
            raise wrong
        return value
    if type_ is Type.NUMBER:
        if isinstance(value, str):
            value = int(value) if _WHOLE.fullmatch(value) else ""
        if isinstance(value, bool | str) or not -(2**63) <= value < 2**63:
            raise wrong
        return value
    if not isinstance(value, str):
        raise wrong
    try:
        when = datetime.fromisoformat(value)
        return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise wrong from None


def _order(fields: Fields, wanted: Sequence[Order], dialect: str) -> list[ColumnElement[Any]]:
    keys: list[ColumnElement[Any]] = []
    for one in wanted:
        found = _known(fields, one.field, one.at)
        if found.column is None:
            raise Invalid(
                f"{one.at}: a row has many {'.'.join(one.field)!r}, so there is no order by it.", details={"at": one.at}
            )
        column = _bytewise(found.column, found.type, dialect)
        key = column if found.guard is None else case((found.guard, column))
        turned = key.asc() if one.ascending else key.desc()
        first = one.ascending if one.nulls_first is None else one.nulls_first
        keys.append(turned.nulls_first() if first else turned.nulls_last())
    return keys


def _numbers(
    conn: Connection,
    query: Select[Any],
    fields: Fields,
    asked: Query,
    last: Sequence[ColumnElement[Any]],
    asking: int | None,
) -> array[int]:
    """The numbers that the query finds, in the order wished and then in that of `last`."""
    query = query.where(*_where(fields, asked.where, conn.dialect.name))
    query = query.order_by(*_order(fields, asked.order, conn.dialect.name), *last)
    return array("q", conn.execute(query, {"asking": asking or 0}).scalars())


# Versions

_OPEN_VERSIONS = (
    select(version.c.id)
    .join_from(version, dataset, version.c.dataset == dataset.c.id)
    .join(project, version.c.project == project.c.id)
    .join(collection, version.c.collection == collection.c.id)
    .join(licence, version.c.licence == licence.c.id)
    .join(team, project.c.team == team.c.id)
    .outerjoin(user, version.c.creator == user.c.id)
    .outerjoin(membership, and_(membership.c.team == project.c.team, membership.c.user == bindparam("asking")))
)


def versions(conn: Connection, asked: Query, sight: Sight, content: Sight) -> Listing[Found]:
    """Versions that were ever ready, by name and number where nothing else is wished.

    Args:
        sight: Whose record may be seen.
        content: Whose content may be read; what is in the others is not asked about either.

    Raises:
        Invalid: A field or a value is wrong; `details["at"]` says where.
    """
    query = _OPEN_VERSIONS.where(sight_condition(sight), version.c.number.is_not(None))
    if not asked.inactive:
        query = query.where(version.c.trashed_at.is_(None), project.c.trashed_at.is_(None))
    fields = _version_fields(sight, content, conn.dialect.name)
    name = _bytewise(dataset.c.name, Type.TEXT, conn.dialect.name)
    numbers = _numbers(conn, query, fields, asked, (name, version.c.number, version.c.id), sight.user)
    return Listing(numbers, lambda conn, wanted: version_rows.by_numbers(conn, sight, list(wanted)))


def _version_fields(sight: Sight, content: Sight, dialect: str) -> Fields:
    # Rows that are open to everybody lie in projects whose names and members are not.
    inside = sight_condition(replace(sight, open_to_all=()))

    def of_entries(
        name: str, guard: ColumnElement[bool]
    ) -> Callable[[Callable[[ColumnElement[Any]], ColumnElement[bool]]], ColumnElement[bool]]:
        def among(asked: Callable[[ColumnElement[Any]], ColumnElement[bool]]) -> ColumnElement[bool]:
            here = and_(revision.c.version == version.c.id, revision.c.num == version.c.rev)
            now = exists().where(
                here,
                live.c.strand == revision.c.strand,
                live.c.vfrom <= revision.c.seq,
                func.coalesce(asked(live.c[name]), false()),
            )
            then = exists().where(
                here,
                past.c.strand == revision.c.strand,
                past.c.vfrom <= revision.c.seq,
                past.c.vto > revision.c.seq,
                func.coalesce(asked(past.c[name]), false()),
            )
            return and_(guard, or_(now.correlate(version), then.correlate(version)))

        return among

    readable = sight_condition(content)
    return {
        ("n",): _Field(Type.NUMBER, version.c.id),
        ("name",): _Field(Type.TEXT, dataset.c.name),
        ("number",): _Field(Type.NUMBER, version.c.number),
        ("previous_version",): _Field(Type.NUMBER, func.coalesce(version.c.previous_version, -1)),
        ("description",): _Field(Type.TEXT, version.c.description),
        ("project",): _Field(Type.NUMBER, version.c.project),
        ("licence",): _Field(Type.NUMBER, version.c.licence),
        ("open",): _Field(Type.FLAG, version.c.visibility != literal("private")),
        ("tags",): _Field(Type.TEXT, _tag_text(dialect)),
        ("creator",): _Field(Type.NUMBER, version.c.creator),
        ("created_at",): _Field(Type.INSTANT, version.c.created_at),
        ("trashed_at",): _Field(Type.INSTANT, version.c.trashed_at),
        ("project", "n"): _Field(Type.NUMBER, version.c.project),
        ("project", "name"): _Field(Type.TEXT, project.c.name, inside),
        ("project", "team"): _Field(Type.NUMBER, project.c.team, inside),
        ("project", "team", "n"): _Field(Type.NUMBER, project.c.team, inside),
        ("project", "team", "name"): _Field(Type.TEXT, team.c.name, inside),
        ("project", "created_at"): _Field(Type.INSTANT, project.c.created_at, inside),
        ("licence", "n"): _Field(Type.NUMBER, version.c.licence),
        ("licence", "name"): _Field(Type.TEXT, licence.c.name),
        ("licence", "url"): _Field(Type.TEXT, licence.c.url),
        ("creator", "n"): _Field(Type.NUMBER, version.c.creator),
        ("creator", "name"): _Field(Type.TEXT, user.c.name, inside),
        ("entries", "path"): _Field(Type.TEXT, among=of_entries("path", readable)),
        ("entries", "metadata"): _Field(Type.TEXT, among=of_entries("meta", readable)),
    }


def _tag_text(dialect: str) -> ColumnElement[str]:
    """What `model.tag_text.shown` answers, as the database says it."""
    kept = version.c.properties[tag_text.TEXT].as_string()
    if dialect == "sqlite":
        each = "SELECT value FROM json_each(version.tags) ORDER BY key"
        joined = f"(SELECT coalesce(group_concat(value, '{tag_text.SEPARATOR}'), '') FROM ({each}))"
        # Both were written by the same hand; without white space they are equal or mean something else.
        meant: ColumnElement[Any] = func.json_extract(version.c.properties, f'$."{tag_text.MEANT}"')
        same = meant == func.json(version.c.tags)
    else:
        each = "jsonb_array_elements_text(version.tags) WITH ORDINALITY AS one(value, place)"
        joined = f"(SELECT coalesce(string_agg(one.value, '{tag_text.SEPARATOR}' ORDER BY one.place), '') FROM {each})"
        same = literal_column(f"version.properties -> '{tag_text.MEANT}' = version.tags", Boolean)
    return case((func.coalesce(same, false()), kept), else_=literal_column(joined, Text))


# The other nouns


def projects(
    conn: Connection, asked: Query, *, user_n: int | None, everything: bool, only: Sequence[int] | None
) -> Listing[tuple[Project, Role]]:
    """Projects whose team the user belongs to, by number where nothing else is wished.

    Args:
        everything: The caller is staff and sees all.
        only: Numbers of projects the credential is limited to.
    """
    member = and_(membership.c.team == project.c.team, membership.c.user == bindparam("asking"))
    query = (
        select(project.c.id)
        .join_from(project, team, project.c.team == team.c.id)
        .outerjoin(user, project.c.creator == user.c.id)
        .outerjoin(membership, member)
    )
    if not everything:
        query = query.where(membership.c.role >= int(Role.READ))
    if only is not None:
        query = query.where(project.c.id.in_(only))
    if not asked.inactive:
        query = query.where(project.c.trashed_at.is_(None))
    fields: Fields = {
        ("n",): _Field(Type.NUMBER, project.c.id),
        ("name",): _Field(Type.TEXT, project.c.name),
        ("team",): _Field(Type.NUMBER, project.c.team),
        ("team", "n"): _Field(Type.NUMBER, project.c.team),
        ("team", "name"): _Field(Type.TEXT, team.c.name),
        **_made_and_gone(project.c),
    }
    numbers = _numbers(conn, query, fields, asked, (project.c.id,), user_n)
    return Listing(numbers, lambda conn, wanted: project_rows.by_numbers(conn, wanted, user=user_n))


def teams(conn: Connection, asked: Query, *, user_n: int, everything: bool) -> Listing[tuple[Team, Role]]:
    """Teams that the user belongs to, or all of them, by number where nothing else is wished."""
    query = (
        select(team.c.id)
        .outerjoin_from(team, user, team.c.creator == user.c.id)
        .outerjoin(membership, and_(membership.c.team == team.c.id, membership.c.user == bindparam("asking")))
    )
    if not everything:
        query = query.where(membership.c.role.is_not(None))
    if not asked.inactive:
        query = query.where(team.c.trashed_at.is_(None))
    fields: Fields = {
        ("n",): _Field(Type.NUMBER, team.c.id),
        ("name",): _Field(Type.TEXT, team.c.name),
        **_made_and_gone(team.c),
    }
    numbers = _numbers(conn, query, fields, asked, (team.c.id,), user_n)
    return Listing(numbers, lambda conn, wanted: team_rows.by_numbers(conn, wanted, asking=user_n))


def _made_and_gone(columns: ReadOnlyColumnCollection[str, Column[Any]]) -> dict[tuple[str, ...], _Field]:
    """What projects and teams have in common."""
    return {
        ("creator",): _Field(Type.NUMBER, columns.creator),
        ("creator", "n"): _Field(Type.NUMBER, columns.creator),
        ("creator", "name"): _Field(Type.TEXT, user.c.name),
        ("created_at",): _Field(Type.INSTANT, columns.created_at),
        ("trashed_at",): _Field(Type.INSTANT, columns.trashed_at),
    }


def users(conn: Connection, asked: Query) -> Listing[User]:
    """Accounts, those that are deactivated only with the inactive ones."""
    fields: Fields = {
        **_account(user.c),
        ("email",): _Field(Type.TEXT, user.c.email),
        ("first_name",): _Field(Type.TEXT, user.c.first_name),
        ("last_name",): _Field(Type.TEXT, user.c.last_name),
        ("is_staff",): _Field(Type.FLAG, user.c.is_staff),
        ("last_login_at",): _Field(Type.INSTANT, user.c.last_login_at),
    }
    return Listing(_numbers(conn, _active(user.c, asked), fields, asked, (user.c.id,), None), user_rows.by_numbers)


def _account(columns: ReadOnlyColumnCollection[str, Column[Any]]) -> dict[tuple[str, ...], _Field]:
    """What people and machines have in common."""
    return {
        ("n",): _Field(Type.NUMBER, columns.id),
        ("name",): _Field(Type.TEXT, columns.name),
        ("is_active",): _Field(Type.FLAG, columns.is_active),
        ("created_at",): _Field(Type.INSTANT, columns.created_at),
    }


def _active(columns: ReadOnlyColumnCollection[str, Column[Any]], asked: Query) -> Select[Any]:
    query = select(columns.id)
    return query if asked.inactive else query.where(columns.is_active)


def licences(conn: Connection, asked: Query) -> Listing[Licence]:
    """All licences, by number where nothing else is wished."""
    fields: Fields = {
        ("n",): _Field(Type.NUMBER, licence.c.id),
        ("name",): _Field(Type.TEXT, licence.c.name),
        ("url",): _Field(Type.TEXT, licence.c.url),
    }
    return Listing(_numbers(conn, select(licence.c.id), fields, asked, (licence.c.id,), None), licence_rows.by_numbers)


def nodes(conn: Connection, asked: Query) -> Listing[Node]:
    """Worker nodes, those that are deactivated only with the inactive ones."""
    fields: Fields = {**_account(node.c), ("creator",): _Field(Type.NUMBER, node.c.creator)}
    return Listing(_numbers(conn, _active(node.c, asked), fields, asked, (node.c.id,), None), node_rows.by_numbers)
