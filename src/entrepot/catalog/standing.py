"""Who stands where: the few questions about membership that every use case asks before the judge answers."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from entrepot.catalog.schema import membership, project, team, user
from entrepot.model.access import Actor, Standing
from entrepot.model.values import Role


def team_role(conn: Connection, user_n: int | None, team_n: int) -> Role:
    """The user's role in the team; NONE for anonymous callers, non-members and teams in the trash."""
    if user_n is None:
        return Role.NONE
    found = conn.execute(
        select(membership.c.role)
        .join_from(membership, team, membership.c.team == team.c.id)
        .where(membership.c.team == team_n, membership.c.user == user_n, team.c.trashed_at.is_(None))
    ).scalar_one_or_none()
    return Role.NONE if found is None else Role(found)


def standing_in_team(conn: Connection, actor: Actor, team_n: int) -> Standing:
    """The actor's standing towards the team itself, which lies in no project."""
    return Standing(team_role(conn, actor.user, team_n))


def roles_of(conn: Connection, user_n: int) -> dict[int, Role]:
    """Team number → role, for each active team that the user is a member of, the personal one included."""
    rows = conn.execute(
        select(membership.c.team, membership.c.role)
        .join_from(membership, team, membership.c.team == team.c.id)
        .where(membership.c.user == user_n, team.c.trashed_at.is_(None))
    )
    return {row.team: Role(row.role) for row in rows}


def personal_team(conn: Connection, user_n: int) -> int:
    """The number of the hidden team behind this person; every user has one from the start."""
    return int(conn.execute(select(team.c.id).where(team.c.personal_of == user_n)).scalar_one())


def active_team_name(conn: Connection, team_n: int) -> str | None:
    """The team's name, held against deletion until the end of the transaction; None if it is not there or trashed.

    The lock keeps PostgreSQL from trashing or purging the team while something is put into it.
    """
    return conn.execute(
        select(team.c.name).where(team.c.id == team_n, team.c.trashed_at.is_(None)).with_for_update(read=True)
    ).scalar_one_or_none()


def default_project(conn: Connection, user_n: int) -> int | None:
    return conn.execute(select(user.c.default_project).where(user.c.id == user_n)).scalar_one_or_none()


def forget_default_project(conn: Connection, project_n: int) -> None:
    """The project goes for good: whoever had it as default has their personal project again."""
    personal = (
        select(project.c.id)
        .join_from(project, team, project.c.team == team.c.id)
        .where(project.c.personal, team.c.personal_of == user.c.id)
        .scalar_subquery()
    )
    conn.execute(update(user).where(user.c.default_project == project_n).values(default_project=personal))
