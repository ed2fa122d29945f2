"""The first page: where somebody's data is, and what happened there lately."""

from __future__ import annotations

from typing import Any

from entrepot.depot import browse, history, projects
from entrepot.depot.browse import Wanted
from entrepot.depot.context import Depot
from entrepot.model.access import Actor
from entrepot.model.values import Role
from entrepot.web import activity
from entrepot.web.context import Asked
from entrepot.web.links import HOME

_PROJECTS = 12
_RECENT = 8
_EVENTS = 12


async def show(asked: Asked) -> None:
    """The projects, the newest datasets and the latest activity; for a stranger what is open to everybody."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        recent = browse.list_versions(depot, actor, Wanted(ready_only=True), limit=_RECENT).rows
        if actor.is_anonymous:
            return {"recent": recent, "projects": (), "more": False, "lines": ()}
        mine = projects.list_projects(depot, actor, limit=_PROJECTS)
        events = history.events(depot, actor, verbs=activity.WORK, limit=_EVENTS)
        return {
            "recent": recent,
            "projects": mine.rows,
            "more": mine.cursor is not None,
            "may_create": actor.staff or projects.list_projects(depot, actor, limit=1, least=Role.WRITE).rows,
            "lines": activity.lines(depot, actor, events.rows),
        }

    await asked.page("home.html", work, public=True)


async def slash(asked: Asked) -> None:
    """The door's address without its slash."""
    await asked.go(HOME)
