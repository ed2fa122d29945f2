"""Rows of teams and their members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, delete, exists, func, insert, select, update

from entrepot.catalog.schema import membership, project, team, user
from entrepot.model.values import Membership, Role, Team, Trash


def _value(row: Row[Any]) -> Team:
    return Team(
        n=row.id,
        uid=row.uid,
        name=row.name,
        personal_of=row.personal_of,
        creator=row.creator,
        created_at=row.created_at,
        trash=Trash(row.trashed_at, row.trash_reason or "deleted", row.trashed_by) if row.trashed_at else None,
    )


def _select(asking: int | None) -> Select[Any]:
    return select(team, func.coalesce(membership.c.role, 0).label("role")).outerjoin_from(
        team, membership, (membership.c.team == team.c.id) & (membership.c.user == (asking or 0))
    )


def find(
    conn: Connection,
    *,
    asking: int | None,
    n: int | None = None,
    uid: UUID | None = None,
    name: str | None = None,
    lock: bool = False,
) -> tuple[Team, Role] | None:
    """One team and the role of the user who asks.

    A name means the active team of that name, or, where there is none, the one that was trashed last.

    Args:
        lock: Hold the team's row until the transaction ends.
    """
    query = _select(asking)
    if n is not None:
        query = query.where(team.c.id == n)
    elif uid is not None:
        query = query.where(team.c.uid == uid)
    else:
        query = query.where(team.c.name == name)
        query = query.order_by(team.c.trashed_at.is_not(None), team.c.trashed_at.desc()).limit(1)
    row = conn.execute(query.with_for_update(of=team) if lock else query).first()
    return None if row is None else (_value(row), Role(row.role))


def page(
    conn: Connection, *, asking: int | None, everything: bool, trashed: bool, after: int | None, limit: int
) -> list[tuple[Team, Role]]:
    """Teams in order of number: those the user belongs to, or all of them.

    Args:
        trashed: Those in the trash instead of the active ones.
    """
    query = _select(asking).order_by(team.c.id).limit(limit)
    if not everything:
        query = query.where(membership.c.role.is_not(None))
    query = query.where(team.c.trashed_at.is_not(None) if trashed else team.c.trashed_at.is_(None))
    if after is not None:
        query = query.where(team.c.id > after)
    return [(_value(row), Role(row.role)) for row in conn.execute(query)]


def by_numbers(conn: Connection, numbers: Sequence[int], *, asking: int | None) -> dict[int, tuple[Team, Role]]:
    """Teams by number and the role of the user who asks; some hundred at a time."""
    query = _select(asking).where(team.c.id.in_(numbers))
    return {row.id: (_value(row), Role(row.role)) for row in conn.execute(query)}


def insert_team(
    conn: Connection, *, uid: UUID, name: str, creator: int | None, at: datetime, personal_of: int | None = None
) -> int:
    return int(
        conn.execute(
            insert(team)
            .values(uid=uid, name=name, personal_of=personal_of, creator=creator, created_at=at)
            .returning(team.c.id)
        ).scalar_one()
    )


def change(conn: Connection, n: int, values: Mapping[str, Any]) -> None:
    conn.execute(update(team).where(team.c.id == n).values(**values))


def owns_projects(conn: Connection, n: int) -> bool:
    """Whether any project, in the trash or not, belongs to the team."""
    return bool(conn.execute(select(exists().where(project.c.team == n).select_from(project))).scalar_one())


def purge(conn: Connection, n: int) -> None:
    end_memberships(conn, n)
    conn.execute(delete(team).where(team.c.id == n))


# Members


def _member(row: Row[Any]) -> Membership:
    return Membership(
        team=row.team,
        user=row.user,
        user_name=row.user_name,
        role=Role(row.role),
        creator=row.creator,
        created_at=row.created_at,
    )


def _select_members() -> Select[Any]:
    return select(membership, user.c.name.label("user_name")).join_from(
        membership, user, membership.c.user == user.c.id
    )


def member(conn: Connection, team_n: int, user_n: int) -> Membership | None:
    row = conn.execute(_select_members().where(membership.c.team == team_n, membership.c.user == user_n)).first()
    return None if row is None else _member(row)


def members(conn: Connection, team_n: int, *, after: int | None = None, limit: int | None = None) -> list[Membership]:
    """Members in order of the users' numbers, those with deactivated accounts too."""
    query = _select_members().where(membership.c.team == team_n).order_by(membership.c.user)
    if after is not None:
        query = query.where(membership.c.user > after)
    if limit is not None:
        query = query.limit(limit)
    return [_member(row) for row in conn.execute(query)]


def members_of(conn: Connection, team_ns: Sequence[int]) -> dict[int, list[Membership]]:
    """The members of several teams with one query; a team without members has an empty list."""
    found: dict[int, list[Membership]] = {n: [] for n in team_ns}
    query = _select_members().where(membership.c.team.in_(team_ns)).order_by(membership.c.team, membership.c.user)
    for row in conn.execute(query) if found else ():
        found[row.team].append(_member(row))
    return found


def insert_member(conn: Connection, *, team_n: int, user_n: int, role: Role, creator: int | None, at: datetime) -> None:
    conn.execute(insert(membership).values(team=team_n, user=user_n, role=int(role), creator=creator, created_at=at))


def change_role(conn: Connection, team_n: int, user_n: int, role: Role) -> None:
    conn.execute(
        update(membership).where(membership.c.team == team_n, membership.c.user == user_n).values(role=int(role))
    )


def delete_member(conn: Connection, team_n: int, user_n: int) -> None:
    conn.execute(delete(membership).where(membership.c.team == team_n, membership.c.user == user_n))


def end_memberships(conn: Connection, team_n: int) -> None:
    conn.execute(delete(membership).where(membership.c.team == team_n))
