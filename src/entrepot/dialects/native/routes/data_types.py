"""Data types, and what was found out about the bytes of entries."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path, Query
from starlette.responses import Response

from entrepot.depot import data_types, naming, reports
from entrepot.depot.context import Depot
from entrepot.dialects.native import decode, encode, encode_types, written
from entrepot.dialects.native.decode import Cursor, Limit, RevisionQuery, VersionId
from entrepot.dialects.native.routing import Ask, router
from entrepot.model.access import Actor
from entrepot.model.data_types import Standing
from entrepot.wire.messages import data_types as m
from entrepot.wire.messages import entries as entry_messages
from entrepot.wire.messages import tasks as task_messages

routes = router("data types")

TypeName = Annotated[str, Path(description="An identifier, such as `fastq`.")]


Standings = Annotated[
    list[Literal["good", "bad", "unfinished", "unchecked"]] | None,
    Query(description="Only entries whose report stands so; may be given more than once."),
]


@routes.get("/data-types", response_model=m.DataTypeList, summary="All data types")
async def list_data_types(ask: Ask) -> Response:
    def work(depot: Depot, actor: Actor) -> m.DataTypeList:
        return encode_types.type_list(data_types.list_types(depot), data_types.count_versions(depot, actor))

    return await ask.answer(work)


@routes.get("/data-types/{identifier}", response_model=m.DataType, summary="One data type")
async def get_data_type(ask: Ask, identifier: TypeName) -> Response:
    return await ask.answer(lambda depot, _actor: encode_types.data_type(data_types.find_type(depot, identifier)))


@routes.get("/versions/{version}/report", response_model=m.EntryReportDetail, summary="The report of one entry")
async def get_report(
    ask: Ask, version: VersionId, path: Annotated[str, Query()], revision: RevisionQuery = None
) -> Response:
    key = decode.version(version)
    return await ask.answer(
        lambda depot, actor: encode_types.entry_report(*reports.report(depot, actor, key, path, revision=revision))
    )


@routes.get("/versions/{version}/reports", response_model=m.EntryReportPage, summary="Entries with their reports")
async def list_reports(
    ask: Ask,
    version: VersionId,
    revision: RevisionQuery = None,
    standing: Standings = None,
    data_type: Annotated[str | None, Query(description="Only entries of this type.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    key = decode.version(version)
    wanted = [Standing(one) for one in standing or ()]

    def work(depot: Depot, actor: Actor) -> m.EntryReportPage:
        found = reports.list_reports(
            depot,
            actor,
            key,
            revision=revision,
            standings=wanted,
            data_type=data_type,
            cursor=cursor,
            limit=limit,
        )
        return encode_types.report_page(*found)

    return await ask.answer(work)


@routes.post(
    "/versions/{version}/data-types",
    response_model=entry_messages.Committed,
    status_code=201,
    summary="Say what entries are, as one revision",
)
async def declare_types(ask: Ask, version: VersionId, given: m.Declared) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> entry_messages.Committed:
        done = reports.declare(depot, actor, key, given.types, expected=given.expected, message=given.message)
        return written.committed(depot, actor, done)

    return await ask.answer(work, status=201)


@routes.post(
    "/versions/{version}/check", response_model=task_messages.Task, status_code=202, summary="Examine all entries anew"
)
async def check_version(ask: Ask, version: VersionId) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> task_messages.Task:
        task = reports.check(depot, actor, key)
        return encode.task(task, naming.of_tasks(depot, [task]))

    return await ask.answer(work, status=202)
