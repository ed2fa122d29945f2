"""Tasks: the checks of frames, and any other long work that the caller may see."""

from __future__ import annotations

from typing import Any

from entrepot.depot import tasks, versions
from entrepot.depot.context import Depot
from entrepot.dialects.benchling import encode
from entrepot.dialects.benchling.context import Asked
from entrepot.dialects.benchling.routes import frames
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import Forbidden, NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import TaskState


async def get(asked: Asked) -> None:
    """How far it is; where it is done, the frame that it worked on."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        found = tasks.get(depot, actor, ids.decode(Noun.TASK, asked.found["id"]))
        response: dict[str, Any] | None = None
        if found.state is TaskState.DONE:
            response = dict(found.result or {})
            if found.version is not None:
                try:
                    response = frames.shown(asked, depot, actor, versions.get(depot, actor, found.version))
                except (NotFound, Forbidden):
                    # Purged since, or not to be seen by whoever began this.
                    response = {}
        return encode.task(found, response)

    await asked.answer(work)
