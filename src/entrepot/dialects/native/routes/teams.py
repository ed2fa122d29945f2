"""Teams and their members."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from entrepot.depot import members, teams
from entrepot.depot.context import Depot
from entrepot.dialects.native import decode, encode
from entrepot.dialects.native.decode import Cursor, Limit, TeamName, UserName
from entrepot.dialects.native.routing import Ask, router
from entrepot.model.access import Actor
from entrepot.model.values import Role
from entrepot.wire.messages import teams as m

routes = router("teams")


@routes.get("/teams", response_model=m.TeamPage, summary="The caller's teams; all for staff")
async def list_teams(
    ask: Ask,
    trashed: Annotated[bool, Query(description="Those in the trash instead (staff).")] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    def work(depot: Depot, actor: Actor) -> m.TeamPage:
        page = teams.list_teams(depot, actor, trashed=trashed, cursor=cursor, limit=limit)
        return m.TeamPage(rows=[encode.found_team(one) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.post("/teams", response_model=m.Team, status_code=201, summary="Make a team (staff)")
async def create_team(ask: Ask, new: m.NewTeam) -> Response:
    return await ask.answer(
        lambda depot, actor: encode.team(teams.create(depot, actor, new.name), Role.NONE), status=201
    )


@routes.get("/teams/{team}", response_model=m.Team, summary="One team")
async def get_team(ask: Ask, team: TeamName) -> Response:
    return await ask.answer(lambda depot, actor: encode.found_team(teams.get(depot, actor, team)))


@routes.patch("/teams/{team}", response_model=m.Team, summary="Rename a team")
async def rename_team(ask: Ask, team: TeamName, changes: m.TeamChanges) -> Response:
    return await ask.answer(
        lambda depot, actor: encode.team(teams.rename(depot, actor, team, changes.name), Role.ADMIN)
    )


@routes.delete("/teams/{team}", response_model=m.Team, summary="Put a team into the trash, ending its memberships")
async def trash_team(ask: Ask, team: TeamName) -> Response:
    return await ask.answer(lambda depot, actor: encode.team(teams.trash(depot, actor, team), Role.NONE))


@routes.post("/teams/{team}/reinstate", response_model=m.Team, summary="Take a team out of the trash (staff)")
async def reinstate_team(ask: Ask, team: TeamName) -> Response:
    return await ask.answer(lambda depot, actor: encode.team(teams.reinstate(depot, actor, team), Role.NONE))


@routes.post("/teams/{team}/purge", response_model=m.Team, summary="Remove a team that owns nothing (staff)")
async def purge_team(ask: Ask, team: TeamName) -> Response:
    return await ask.answer(lambda depot, actor: encode.team(teams.purge(depot, actor, team), Role.NONE))


@routes.get("/teams/{team}/members", response_model=m.MemberPage, summary="Who is in a team")
async def list_members(ask: Ask, team: TeamName, limit: Limit = 100, cursor: Cursor = None) -> Response:
    def work(depot: Depot, actor: Actor) -> m.MemberPage:
        page = members.list_members(depot, actor, team, cursor=cursor, limit=limit)
        return m.MemberPage(rows=[encode.member(one) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.put("/teams/{team}/members/{user}", response_model=m.Member, summary="Make somebody a member with this role")
async def set_member(ask: Ask, team: TeamName, user: UserName, wanted: m.SetMember) -> Response:
    return await ask.answer(
        lambda depot, actor: encode.member(members.put(depot, actor, team, user, decode.role(wanted.role)))
    )


@routes.delete("/teams/{team}/members/{user}", status_code=204, summary="End a membership")
async def remove_member(ask: Ask, team: TeamName, user: UserName) -> Response:
    return await ask.nothing(lambda depot, actor: members.remove(depot, actor, team, user))
