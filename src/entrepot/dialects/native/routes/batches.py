"""Batch jobs: every item of a version to a webhook."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from entrepot.depot import batches
from entrepot.depot.context import Depot
from entrepot.dialects.native import decode
from entrepot.dialects.native import encode_webhooks as encode
from entrepot.dialects.native.decode import Cursor, Limit, Since, VersionId
from entrepot.dialects.native.routing import Ask, router
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.ids import Noun
from entrepot.wire.messages import webhooks as m

routes = router("batches")


@routes.post(
    "/versions/{version}/batches",
    response_model=m.Batch,
    status_code=202,
    summary="Send every item of a version to a webhook",
)
async def start_batch(ask: Ask, version: VersionId, new: m.NewBatch) -> Response:
    key, hook = decode.version(version), ids.decode(Noun.WEBHOOK, new.webhook)

    def work(depot: Depot, actor: Actor) -> m.Batch:
        made = batches.start(depot, actor, key, hook, name=new.name, revision=new.revision, stop_at=new.stop_at)
        return encode.batch(made)

    return await ask.answer(work, status=202)


@routes.get("/batches", response_model=m.BatchPage, summary="Batch jobs, newest first")
async def list_batches(
    ask: Ask,
    project: Annotated[str | None, Query(description="`proj_…` or the slug")] = None,
    version: Annotated[str | None, Query(description="`ver_…`")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    key = None if version is None else decode.version(version)
    home = decode.optional_project(project)

    def work(depot: Depot, actor: Actor) -> m.BatchPage:
        page = batches.list_batches(depot, actor, project=home, version=key, cursor=cursor, limit=limit)
        return m.BatchPage(rows=[encode.batch(one) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.get("/batches/{task}", response_model=m.Batch, summary="One batch job, by the id of its task")
async def get_batch(ask: Ask, task: str) -> Response:
    uid = ids.decode(Noun.TASK, task)
    return await ask.answer(lambda depot, actor: encode.batch(batches.get(depot, actor, uid)))


@routes.post("/batches/{task}/stop", response_model=m.Batch, summary="Stop it, now or at a time")
async def stop_batch(ask: Ask, task: str, stop: m.Stop) -> Response:
    uid = ids.decode(Noun.TASK, task)
    return await ask.answer(lambda depot, actor: encode.batch(batches.stop(depot, actor, uid, stop.at)))


@routes.get("/batches/{task}/log", response_model=m.LogPage, summary="What it said, newest first")
async def read_log(
    ask: Ask,
    task: str,
    before: Since = None,
    after: Since = None,
    level: Annotated[m.LevelName, Query(description="The least urgent lines wanted.")] = "info",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    uid = ids.decode(Noun.TASK, task)

    def work(depot: Depot, actor: Actor) -> m.LogPage:
        page = batches.log(
            depot,
            actor,
            uid,
            before=before,
            after=after,
            least=encode.LEVELS[level],
            cursor=cursor,
            limit=limit,
        )
        return m.LogPage(rows=[encode.log_line(one) for one in page.rows], next=page.cursor)

    return await ask.answer(work)
