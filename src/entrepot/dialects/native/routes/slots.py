"""Slots and ingests: giving a table or records version its content."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from entrepot.depot import history, ingests, naming, slots
from entrepot.depot.context import Depot
from entrepot.dialects.native import decode, encode
from entrepot.dialects.native.decode import VersionId
from entrepot.dialects.native.routing import Ask, router
from entrepot.dialects.native.slot_links import shown_slots
from entrepot.model.access import Actor
from entrepot.wire.messages import slots as m
from entrepot.wire.messages import tasks as task_messages

routes = router("ingests")


@routes.get("/versions/{version}/slots", response_model=m.SlotList, summary="The files that a version waits for")
async def list_slots(
    ask: Ask,
    version: VersionId,
    renew: Annotated[bool, Query(description="Give open slots another full lifetime.")] = False,
) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> m.SlotList:
        _, found = (slots.renew if renew else slots.list_slots)(depot, actor, key)
        return m.SlotList(rows=shown_slots(depot, actor, found, ask.base_url))

    return await ask.answer(work)


@routes.post(
    "/versions/{version}/ingest", response_model=task_messages.Task, status_code=202, summary="Begin the check"
)
async def start_ingest(ask: Ask, version: VersionId) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> task_messages.Task:
        task = ingests.start(depot, actor, key)
        return encode.task(task, naming.of_tasks(depot, [task]))

    return await ask.answer(work, status=202)


@routes.get("/versions/{version}/ingests", response_model=m.IngestList, summary="Attempts, newest first")
async def list_ingests(ask: Ask, version: VersionId) -> Response:
    key = decode.version(version)
    return await ask.answer(
        lambda depot, actor: m.IngestList(rows=[encode.ingest(one) for one in history.ingests_of(depot, actor, key)])
    )
