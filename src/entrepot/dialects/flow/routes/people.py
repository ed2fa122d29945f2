"""Who one is, and who others are."""

from __future__ import annotations

from typing import Any

from entrepot.depot import teams, users
from entrepot.depot.context import Depot
from entrepot.depot.teams import FoundTeam
from entrepot.dialects.flow import encode
from entrepot.dialects.flow.context import Asked
from entrepot.model.access import Actor


async def me(asked: Asked) -> None:
    """The caller, with the teams they belong to, which are groups on this wire."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        user = users.self_of(depot, actor)
        cursor: str | None = None
        mine: list[FoundTeam] = []
        while True:
            page = teams.list_teams(depot, actor, cursor=cursor, limit=1000)
            mine += page.rows
            cursor = page.cursor
            if cursor is None:
                return encode.me(user, mine)

    await asked.answer(work)
