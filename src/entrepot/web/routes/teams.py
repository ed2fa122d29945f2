"""Teams: who is in them and what each may do, what they are called, and their way to the trash and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from entrepot.depot import members, projects, standings, teams
from entrepot.depot.context import Depot
from entrepot.depot.teams import FoundTeam
from entrepot.model import ids
from entrepot.model.access import Action, Actor
from entrepot.model.errors import Conflict, Invalid
from entrepot.model.ids import Noun
from entrepot.model.values import Role, Team
from entrepot.web import links
from entrepot.web.context import Asked
from entrepot.web.routes.admin import Call

__all__ = ["ROUTES"]

_PAGE: Final = 200
_ROLES: Final = {"read": Role.READ, "execute": Role.EXECUTE, "write": Role.WRITE, "admin": Role.ADMIN}


async def list_(asked: Asked) -> None:
    """One's teams; for staff all, and those in the trash."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        gone = teams.list_teams(depot, actor, trashed=True, limit=_PAGE).rows if actor.staff else ()
        return {"page": teams.list_teams(depot, actor, cursor=asked.text("cursor"), limit=_PAGE), "gone": gone}

    await asked.page("teams.html", work)


async def create(asked: Asked) -> None:
    form = await asked.form()
    name = form.text("name")
    made = await asked.call(lambda depot, actor: teams.create(depot, actor, name))
    await asked.go(_path(made), notice="created")


async def show(asked: Asked) -> None:
    await _show(asked, asked.query.get("name", ""))


async def _show(asked: Asked, wanted: str, wrong: str = "", status: int = 200) -> None:
    """Who is in a team, and what each may do in its projects."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        found: FoundTeam = teams.get(depot, actor, wanted)
        may, team = standings.of_team(actor, found), found.team
        mine = projects.list_projects(depot, actor, limit=1000).rows
        return {
            "team": team,
            "role": found.role,
            "members": members.list_members(depot, actor, team.n, cursor=asked.text("cursor"), limit=_PAGE),
            "projects": [one for one in mine if one.project.team == team.n],
            "may_change": may[Action.ADMINISTER_TEAM] and team.personal_of is None and team.trash is None,
            "may_reinstate": may[Action.REINSTATE_TEAM] and team.trash is not None,
            "may_purge": may[Action.PURGE_TEAM] and team.personal_of is None and team.trash is not None,
            "more_url": _path(team),
            "wrong": wrong,
        }

    await asked.page("team.html", work, status=status)


async def put_member(asked: Asked) -> None:
    """Add somebody, give them another role, or end their membership."""
    form = await asked.form()
    team, user, role = form.text("team"), form.text("user").strip(), form.text("role")

    def work(depot: Depot, actor: Actor) -> str:
        found = teams.get(depot, actor, team).team
        if role == "remove":
            members.remove(depot, actor, team, user)
        elif role not in _ROLES:
            raise Invalid("Say what the member may do: read, execute, write or admin.")
        else:
            members.put(depot, actor, team, user, _ROLES[role])
        left = role == "remove" and user == actor.name and not actor.staff
        return "/ui/teams" if left else _path(found)

    await _or_told(asked, team, work, "member")


async def rename(asked: Asked) -> None:
    form = await asked.form()
    team, name = form.text("team"), form.text("name")
    await _or_told(asked, team, lambda depot, actor: _path(teams.rename(depot, actor, team, name)), "team")


async def throw(asked: Asked) -> None:
    """Put a team in the trash; whoever was a member only of it does not see it there."""
    form = await asked.form()
    team = form.text("team")
    gone, staff = await asked.call(lambda depot, actor: (teams.trash(depot, actor, team), actor.staff))
    await asked.go(_path(gone) if staff else "/ui/teams", notice="team-trashed")


async def reinstate(asked: Asked) -> None:
    form = await asked.form()
    team = form.text("team")
    await _or_told(asked, team, lambda depot, actor: _path(teams.reinstate(depot, actor, team)), "team-reinstated")


async def purge(asked: Asked) -> None:
    form = await asked.form()
    team = form.text("team")
    try:
        await asked.call(lambda depot, actor: teams.purge(depot, actor, team))
    except Conflict as refused:
        await _show(asked, team, refused.message, 409)
        return
    await asked.go("/ui/teams", notice="team-purged")


async def _or_told(asked: Asked, team: str, act: Callable[[Depot, Actor], str], notice: str) -> None:
    """Do it, and go where it says; what is refused is told on the team's page."""
    try:
        path = await asked.call(act)
    except (Invalid, Conflict) as refused:
        await _show(asked, team, refused.message, 409 if isinstance(refused, Conflict) else 422)
        return
    await asked.go(path, notice=notice)


def _path(team: Team) -> str:
    # Names are free again in the trash, where only the id tells one from another.
    return links.to("/ui/team", name=team.name if team.trash is None else ids.encode(Noun.TEAM, team.uid))


ROUTES: Final[Mapping[str, Mapping[str, Call]]] = {
    "/teams": {"GET": list_, "POST": create},
    "/team": {"GET": show},
    "/team/member": {"POST": put_member},
    "/team/name": {"POST": rename},
    "/team/trash": {"POST": throw},
    "/team/reinstate": {"POST": reinstate},
    "/team/purge": {"POST": purge},
}
