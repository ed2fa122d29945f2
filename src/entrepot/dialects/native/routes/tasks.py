"""Tasks: seeing long work, waiting for it, asking it to stop."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated
from uuid import UUID

from fastapi import Query
from starlette.responses import Response

from entrepot.depot import naming, tasks
from entrepot.depot.context import Depot
from entrepot.dialects.native import decode, encode
from entrepot.dialects.native.context import Asked
from entrepot.dialects.native.decode import Cursor, Limit
from entrepot.dialects.native.routing import Ask, router
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.ids import Noun
from entrepot.model.values import TaskState
from entrepot.wire.messages import tasks as m

routes = router("tasks")

LONGEST_WAIT_S = 60.0
#: How often a waiting request looks: soon at first, because most tasks are short.
_FIRST_LOOK_S, _LAST_LOOK_S = 0.05, 1.0


@routes.get("/tasks", response_model=m.TaskPage, summary="Tasks, newest first")
async def list_tasks(
    ask: Ask,
    version: Annotated[str | None, Query(description="`ver_…`")] = None,
    state: Annotated[list[TaskState], Query(description="Any of these.")] = [],  # noqa: B006 - the framework copies it
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    key = None if version is None else decode.version(version)

    def work(depot: Depot, actor: Actor) -> m.TaskPage:
        page = tasks.list_tasks(depot, actor, version=key, states=tuple(state), cursor=cursor, limit=limit)
        names = naming.of_tasks(depot, page.rows)
        return m.TaskPage(rows=[encode.task(one, names) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.get("/tasks/{task}", response_model=m.Task, summary="One task; with `wait` until it has ended")
async def get_task(
    ask: Ask,
    task: str,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait at most.")] = 0.0,
) -> Response:
    uid = ids.decode(Noun.TASK, task)
    if wait > 0:
        await _until_ended(ask, uid, wait)

    def work(depot: Depot, actor: Actor) -> m.Task:
        found = tasks.get(depot, actor, uid)
        return encode.task(found, naming.of_tasks(depot, [found]))

    return await ask.answer(work)


async def _until_ended(ask: Asked, uid: UUID, wait: float) -> None:
    """Return when the task has ended, the time is over or the server is. No thread is held in between."""
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + wait, _FIRST_LOOK_S
    while (await ask.call(lambda depot, actor: tasks.get(depot, actor, uid))).state not in tasks.ENDED:
        left = deadline - loop.time()
        if left <= 0 or ask.context.draining.is_set():
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(pause, left)):
                await ask.context.draining.wait()
        pause = min(pause * 1.5, _LAST_LOOK_S)


@routes.post("/tasks/{task}/cancel", response_model=m.Task, summary="Ask a task to stop; repeating it is a success")
async def cancel_task(ask: Ask, task: str) -> Response:
    uid = ids.decode(Noun.TASK, task)

    def work(depot: Depot, actor: Actor) -> m.Task:
        found = tasks.cancel(depot, actor, uid)
        return encode.task(found, naming.of_tasks(depot, [found]))

    return await ask.answer(work)
