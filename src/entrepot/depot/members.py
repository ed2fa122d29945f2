"""Who belongs to a team, and with which role. A change acts on the very next use case, whatever its credential."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from entrepot.catalog import standing
from entrepot.catalog import teams as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.database import ConstraintViolated
from entrepot.depot import paging
from entrepot.depot.context import Depot
from entrepot.depot.events import record
from entrepot.depot.people import UserKey, logged_in
from entrepot.depot.people import locate as locate_user
from entrepot.depot.teams import TeamKey, changeable, id_of
from entrepot.depot.teams import locate as locate_team
from entrepot.model.access import Action, Actor, Standing, may
from entrepot.model.errors import Conflict, Invalid, NotFound
from entrepot.model.values import Membership, Page, Role, User


def add(depot: Depot, actor: Actor, team: TeamKey, user: UserKey, role: Role = Role.READ) -> Membership:
    """Make somebody a member. The team's admins.

    Raises:
        Invalid: There is no such user, the account is deactivated, or the role is none.
        Conflict: Already a member; change the role instead.
    """
    now = depot.now()

    def work(conn: Connection) -> Membership:
        found = changeable(conn, actor, team)
        person = _person(conn, actor, user)
        if not person.is_active:
            raise Invalid(f"The account of {person.name} is deactivated. Have it reactivated first.")
        _require_role(role)
        already = Conflict(
            f"{person.name} is already a member of team {found.name}. Change the role instead.",
            details={"reason": "member"},
        )
        if rows.member(conn, found.n, person.n) is not None:
            raise already
        try:
            rows.insert_member(conn, team_n=found.n, user_n=person.n, role=role, creator=actor.user, at=now)
        except ConstraintViolated as clash:
            raise already from clash
        record(
            conn,
            actor,
            "member.added",
            at=now,
            subject=id_of(found),
            after={"user": person.name, "role": role.name.lower()},
            detail={"team": found.name},
        )
        return _member(conn, found.n, person)

    return depot.catalog.write(work)


def update(depot: Depot, actor: Actor, team: TeamKey, user: UserKey, role: Role) -> Membership:
    """Give a member another role. The team's admins.

    Raises:
        Invalid: There is no such user, they are no member, or the role is none.
    """
    now = depot.now()

    def work(conn: Connection) -> Membership:
        found = changeable(conn, actor, team)
        person = _person(conn, actor, user)
        _require_role(role)
        before = _known(conn, found.n, found.name, person)
        if before.role is not role:
            rows.change_role(conn, found.n, person.n, role)
            record(
                conn,
                actor,
                "member.updated",
                at=now,
                subject=id_of(found),
                before={"user": person.name, "role": before.role.name.lower()},
                after={"user": person.name, "role": role.name.lower()},
                detail={"team": found.name},
            )
        return _member(conn, found.n, person)

    return depot.catalog.write(work)


def put(depot: Depot, actor: Actor, team: TeamKey, user: UserKey, role: Role) -> Membership:
    """Make somebody a member with this role, whether they are one already or not. The team's admins.

    Raises:
        Invalid: As `add` and `update` say.
    """
    try:
        return add(depot, actor, team, user, role)
    except Conflict as already:
        if already.details.get("reason") != "member":
            raise
        return update(depot, actor, team, user, role)


def remove(depot: Depot, actor: Actor, team: TeamKey, user: UserKey) -> Membership:
    """End a membership; answers what it was. The team's admins.

    Raises:
        Invalid: There is no such user, or they are no member.
    """
    now = depot.now()

    def work(conn: Connection) -> Membership:
        found = changeable(conn, actor, team)
        person = _person(conn, actor, user)
        before = _known(conn, found.n, found.name, person)
        rows.delete_member(conn, found.n, person.n)
        record(
            conn,
            actor,
            "member.removed",
            at=now,
            subject=id_of(found),
            before={"user": person.name, "role": before.role.name.lower()},
            detail={"team": found.name},
        )
        return before

    return depot.catalog.write(work)


def list_members(
    depot: Depot, actor: Actor, team: TeamKey, *, cursor: str | None = None, limit: int = 100
) -> Page[Membership]:
    """The members in order of their numbers, those with a deactivated account too. Members of the team, and staff."""
    with depot.catalog.read() as conn:
        found = locate_team(conn, actor, team, Action.VIEW_TEAM).team

    def fetch(after: int | None, size: int) -> list[Membership]:
        with depot.catalog.read() as conn:
            locate_team(conn, actor, found.n, Action.VIEW_TEAM)
            return rows.members(conn, found.n, after=after, limit=size)

    return paging.numbered(depot, f"members:{found.n}", cursor, limit, fetch, lambda member: member.user)


def of_teams(depot: Depot, actor: Actor, teams: Sequence[int]) -> Mapping[int, tuple[Membership, ...]]:
    """The members of several teams at once, for doors that show them inside a list; teams not to be seen are absent."""
    with depot.catalog.read() as conn:
        mine = {} if actor.user is None else standing.roles_of(conn, actor.user)
        seen = [n for n in teams if may(actor, Action.VIEW_TEAM, Standing(mine.get(n, Role.NONE)))]
        return {n: tuple(found) for n, found in rows.members_of(conn, seen).items()}


def role_of(depot: Depot, actor: Actor, team: TeamKey, user: UserKey) -> Role:
    """Somebody's role in the team. The team's admins.

    Raises:
        Invalid: There is no such user, or they are no member.
    """
    with depot.catalog.read() as conn:
        found = locate_team(conn, actor, team, Action.ADMINISTER_TEAM).team
        return _known(conn, found.n, found.name, _person(conn, actor, user)).role


def own_roles(depot: Depot, actor: Actor) -> Mapping[int, Role]:
    """Team number → the caller's own role, before any cap of the credential."""
    with depot.catalog.read() as conn:
        return standing.roles_of(conn, logged_in(actor))


def _person(conn: Connection, actor: Actor, key: UserKey) -> User:
    try:
        return locate_user(conn, actor, key)
    except NotFound as missing:
        # The address of the request is the team, which is there; the name in it is what is wrong.
        raise Invalid(missing.message, details={"field": "user"}) from missing


def _require_role(role: Role) -> None:
    if role is Role.NONE:
        raise Invalid("A member has the role read, execute, write or admin. To end a membership, remove it.")


def _known(conn: Connection, team_n: int, team_name: str, person: User) -> Membership:
    found = rows.member(conn, team_n, person.n)
    if found is None:
        raise Invalid(f"{person.name} is not a member of team {team_name}.", details={"field": "user"})
    return found


def _member(conn: Connection, team_n: int, person: User) -> Membership:
    found = rows.member(conn, team_n, person.n)
    assert found is not None
    return found
