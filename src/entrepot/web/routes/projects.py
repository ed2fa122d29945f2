"""Projects: which there are, and what is in one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from entrepot.depot import browse, history, projects, standings
from entrepot.depot.browse import Wanted
from entrepot.depot.context import Depot
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import NotFound
from entrepot.model.ids import Noun
from entrepot.web import activity, links
from entrepot.web.context import Asked

_PAGE = 100
_EVENTS = 8


def key(text: str) -> UUID | str:
    """A project's uid in `proj_…`, or its slug."""
    try:
        return ids.decode(Noun.PROJECT, text)
    except NotFound:
        return text


async def list_(asked: Asked) -> None:
    """All projects that somebody is a member of."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        return {"page": projects.list_projects(depot, actor, cursor=asked.text("cursor"), limit=_PAGE)}

    await asked.page("projects.html", work)


async def show(asked: Asked) -> None:
    """One project: its datasets by collection, who is in it, and what happened lately."""
    wanted = key(asked.found["project"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        found, used = projects.get_with_usage(depot, actor, wanted)
        folders = projects.list_collections(depot, actor, found.project.n, limit=1000).rows
        place = next((one for one in folders if one.path and one.path == asked.text("collection")), None)
        if place is None:
            heads = browse.list_heads(depot, actor, found.project.n, cursor=asked.text("cursor"), limit=_PAGE)
        else:
            inside = Wanted(project=found.project.n, collection=place.uid)
            heads = browse.list_versions(depot, actor, inside, cursor=asked.text("cursor"), limit=_PAGE)
        may = standings.of_project(actor, found)
        return {
            "project": found.project,
            "may": {action.value: allowed for action, allowed in may.items()},
            "role": found.role,
            "used": used,
            "page": heads,
            "may_write": projects.may_write(actor, found),
            "collections": folders,
            "place": place,
            "here_url": links.project(found.project.slug, collection="" if place is None else place.path),
            "lines": activity.lines(
                depot, actor, history.events(depot, actor, project=found.project.n, limit=_EVENTS).rows
            ),
        }

    await asked.page("project.html", work)
