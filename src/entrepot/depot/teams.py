"""Teams: who shares projects. Staff makes them; their admins keep them.

The hidden team behind each person (`~name`) is one of them, so that access has one path; it is listed for its person
and for staff, and nothing about it can be changed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from entrepot.catalog import teams as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.database import ConstraintViolated
from entrepot.depot import paging
from entrepot.depot.context import Depot
from entrepot.depot.events import record
from entrepot.depot.people import logged_in
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor, Standing, may, require
from entrepot.model.errors import Conflict, NameTaken, NotFound, Trashed
from entrepot.model.ids import Noun
from entrepot.model.values import Page, Role, Team

#: The catalogue's number, the uid, or what people write: `team_…` or a name.
TeamKey: TypeAlias = int | UUID | str


@dataclass(frozen=True, slots=True)
class FoundTeam:
    """A team and the caller's role in it, before any cap of the credential."""

    team: Team
    role: Role


def create(depot: Depot, actor: Actor, name: str) -> Team:
    """Make a team without members: its creator is not made one. Staff only.

    Raises:
        NameTaken: An active team has that name.
    """
    now = depot.now()

    def work(conn: Connection) -> Team:
        require(actor, Action.CREATE_TEAM, Standing(), "teams", visible=True)
        wanted = names.team_name(name)
        _require_free(conn, wanted)
        try:
            n = rows.insert_team(conn, uid=depot.new_uid(), name=wanted, creator=logged_in(actor), at=now)
        except ConstraintViolated as clash:
            raise _taken(wanted) from clash
        made = _again(conn, n)
        record(conn, actor, "team.created", at=now, subject=id_of(made), after={"name": wanted})
        return made

    return depot.catalog.write(work)


def get(depot: Depot, actor: Actor, key: TeamKey, *, action: Action = Action.VIEW_TEAM) -> FoundTeam:
    """One team, for its members and staff; by name the active one of that name, else the one trashed last.

    Args:
        action: What the caller is about to do with it, for doors that judge before they look at what was sent.
    """
    with depot.catalog.read() as conn:
        return locate(conn, actor, key, action)


def list_teams(
    depot: Depot, actor: Actor, *, trashed: bool = False, cursor: str | None = None, limit: int = 100
) -> Page[FoundTeam]:
    """The caller's teams in order of creation, the personal one included; for staff all, everybody's personal ones too.

    Args:
        trashed: Those in the trash instead, which have no members any more and so are staff's to see.
    """
    user = logged_in(actor)
    everything = may(actor, Action.VIEW_TEAM, Standing())
    # A token limited to projects has no standing in a team as such.
    if not everything and not may(actor, Action.VIEW_TEAM, Standing(Role.ADMIN)):
        return Page(())

    def fetch(after: int | None, size: int) -> list[FoundTeam]:
        with depot.catalog.read() as conn:
            found = rows.page(conn, asking=user, everything=everything, trashed=trashed, after=after, limit=size)
        return [FoundTeam(team, role) for team, role in found]

    return paging.numbered(
        depot,
        f"teams:{user}:{everything}:{trashed}",
        cursor,
        limit,
        fetch,
        lambda found: found.team.n,
    )


def rename(depot: Depot, actor: Actor, key: TeamKey, name: str) -> Team:
    """Give the team another name. Its admins.

    Raises:
        NameTaken: An active team has that name.
        Trashed: Reinstate it first.
        Conflict: It is somebody's personal team.
    """
    now = depot.now()

    def work(conn: Connection) -> Team:
        team = changeable(conn, actor, key)
        wanted = names.team_name(name)
        if wanted == team.name:
            return team
        _require_free(conn, wanted)
        _change(conn, team.n, {"name": wanted}, wanted)
        record(
            conn,
            actor,
            "team.updated",
            at=now,
            subject=id_of(team),
            before={"name": team.name},
            after={"name": wanted},
        )
        return _again(conn, team.n)

    return depot.catalog.write(work)


def trash(depot: Depot, actor: Actor, key: TeamKey) -> Team:
    """Put the team in the trash and end its memberships; its projects stay, for staff. Its admins.

    Repeating it is a success. The memberships do not come back: they are in the event.
    """
    now = depot.now()

    def work(conn: Connection) -> Team:
        team = locate(conn, actor, key, Action.ADMINISTER_TEAM, lock=True).team
        if team.trash is not None:
            return team
        _require_ordinary(team)
        ended = {member.user_name: member.role.name.lower() for member in rows.members(conn, team.n)}
        rows.end_memberships(conn, team.n)
        rows.change(conn, team.n, {"trashed_at": now, "trashed_by": actor.user, "trash_reason": "deleted"})
        record(
            conn,
            actor,
            "team.trashed",
            at=now,
            subject=id_of(team),
            before={"name": team.name, "members": ended},
        )
        return _again(conn, team.n)

    return depot.catalog.write(work)


def reinstate(depot: Depot, actor: Actor, key: TeamKey) -> Team:
    """Take the team out of the trash, without members. Staff only. Repeating it is a success.

    Raises:
        NameTaken: Another active team has its name by now.
    """
    now = depot.now()

    def work(conn: Connection) -> Team:
        team = locate(conn, actor, key, Action.REINSTATE_TEAM, lock=True).team
        if team.trash is None:
            return team
        _require_free(conn, team.name)
        _change(conn, team.n, {"trashed_at": None, "trashed_by": None, "trash_reason": None}, team.name)
        record(conn, actor, "team.reinstated", at=now, subject=id_of(team), after={"name": team.name})
        return _again(conn, team.n)

    return depot.catalog.write(work)


def purge(depot: Depot, actor: Actor, key: TeamKey) -> Team:
    """Remove the team for good, in the trash or not; answers its last record. Staff only.

    Raises:
        Conflict: It owns projects (in the trash counts too), or it is somebody's personal team.
    """
    now = depot.now()

    def work(conn: Connection) -> Team:
        team = locate(conn, actor, key, Action.PURGE_TEAM, lock=True).team
        _require_ordinary(team)
        full = Conflict(
            f"Team {team.name} still owns projects, some maybe in the trash. Purge them or give them to another team."
        )
        if rows.owns_projects(conn, team.n):
            raise full
        try:
            rows.purge(conn, team.n)
        except ConstraintViolated as clash:
            raise full from clash
        record(conn, actor, "team.purged", at=now, subject=id_of(team), before={"name": team.name})
        return team

    return depot.catalog.write(work)


# For the other nouns of identity


def locate(conn: Connection, actor: Actor, key: TeamKey, action: Action, *, lock: bool = False) -> FoundTeam:
    """One team on which the actor may do `action`.

    Raises:
        NotFound, Hidden, Unauthenticated, Forbidden
    """
    uid = key if isinstance(key, UUID) else _uid(key) if isinstance(key, str) else None
    by_name = isinstance(key, str) and uid is None
    found = (
        None
        if by_name and not names.storable(str(key))
        else rows.find(
            conn,
            asking=actor.user,
            n=key if isinstance(key, int) else None,
            uid=uid,
            name=str(key) if by_name else None,
            lock=lock,
        )
    )
    shown = ids.encode(Noun.TEAM, key) if isinstance(key, UUID) else key
    if found is None:
        raise NotFound(f"There is no team {shown}, or you may not see it.")
    stands = Standing(found[1])
    visible = may(actor, Action.VIEW_TEAM, stands)
    require(actor, action, stands, f"team {found[0].name if visible else shown}", visible=visible)
    return FoundTeam(*found)


def number_of(conn: Connection, key: TeamKey) -> int | None:
    """The number of the team that a key names, whoever asks; None if there is none."""
    if isinstance(key, int):
        return key
    uid = key if isinstance(key, UUID) else _uid(key)
    if uid is None and not names.storable(str(key)):
        return None
    found = rows.find(conn, asking=None, uid=uid, name=None if uid is not None else str(key))
    return None if found is None else found[0].n


def changeable(conn: Connection, actor: Actor, key: TeamKey) -> Team:
    """A team that the actor administers, that is not in the trash and nobody's personal one; its row is locked.

    Raises:
        Trashed, Conflict, and what `locate` raises.
    """
    team = locate(conn, actor, key, Action.ADMINISTER_TEAM, lock=True).team
    if team.trash is not None:
        raise Trashed(f"Team {team.name} is deleted; reinstate it first.")
    _require_ordinary(team)
    return team


def id_of(team: Team) -> str:
    return ids.encode(Noun.TEAM, team.uid)


def _require_ordinary(team: Team) -> None:
    if team.personal_of is not None:
        raise Conflict(
            f"{team.name} is the personal team of one person and stays as it is. "
            "To share a project, have a team made and put the project into it."
        )


def _uid(text: str) -> UUID | None:
    try:
        return ids.decode(Noun.TEAM, text)
    except NotFound:
        return None


def _again(conn: Connection, n: int) -> Team:
    found = rows.find(conn, asking=None, n=n)
    assert found is not None
    return found[0]


def _taken(name: str) -> NameTaken:
    return NameTaken(f"There is already a team named {name}. Choose another name.", details={"field": "name"})


def _require_free(conn: Connection, name: str) -> None:
    known = rows.find(conn, asking=None, name=name)
    if known is not None and known[0].trash is None:
        raise _taken(name)


def _change(conn: Connection, n: int, values: dict[str, Any], name: str) -> None:
    try:
        rows.change(conn, n, values)
    except ConstraintViolated as clash:
        raise _taken(name) from clash
