"""Tables: their columns, rows, statistics and differences, other forms of them, and SQL.

What rows are read from is not known here: the depot asks processes of its own, and their answers pass through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import Query
from starlette.responses import Response

from entrepot.depot import naming, resolving, table_changes, tables
from entrepot.depot.context import Depot
from entrepot.dialects.native import decode, encode
from entrepot.dialects.native.decode import Limit, RevisionQuery, VersionId
from entrepot.dialects.native.routing import STREAMS, Ask, router
from entrepot.http.content import Representation, send_stream
from entrepot.http.disposition import disposition
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.columns import rules_of, to_frictionless
from entrepot.model.errors import Invalid
from entrepot.model.ids import Noun
from entrepot.wire.messages import tables as m
from entrepot.wire.messages import tasks as task_messages

routes = router("tables")

ARROW = "application/vnd.apache.arrow.stream"
_UNKEPT = {"cache-control": "no-store"}

_COLUMNS = Annotated[list[str] | None, Query(description="Only these columns, in this order; may be given repeatedly.")]


@routes.get("/versions/{version}/table", response_model=m.TableSchema, summary="The columns of a table")
async def get_schema(ask: Ask, version: VersionId, revision: RevisionQuery = None) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> m.TableSchema:
        found = tables.schema(depot, actor, key, revision=revision)
        return m.TableSchema(
            version=ids.encode(Noun.VERSION, found.version.uid),
            revision=found.revision,
            rows=found.rows,
            columns=[m.TableColumn(**one.as_json()) for one in found.columns],
            table_schema=to_frictionless(found.columns),
        )

    return await ask.answer(work)


@routes.get("/versions/{version}/rows", response_model=m.TableRows, summary="Rows from a number on")
async def list_rows(
    ask: Ask,
    version: VersionId,
    first: Annotated[int, Query(ge=0, le=2**62, description="The number of the first row, from 0.")] = 0,
    limit: Limit = 100,
    column: _COLUMNS = None,
    where: Annotated[
        str | None, Query(max_length=10_000, description='Such as `age >= 18 and name == "Ann" and note is null`.')
    ] = None,
    sort: Annotated[
        str | None, Query(max_length=1_001, description="A column; with `-` before it the greatest comes first.")
    ] = None,
    revision: RevisionQuery = None,
) -> Response:
    """With a condition a page may have fewer rows than asked for, or none, and still a `next`.

    The first who asks for an order starts the task that makes it, and gets 409 `in_progress` until that is done.
    """
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> Response:
        page = tables.rows(
            depot,
            actor,
            key,
            first=first,
            limit=limit,
            columns=column,
            where=where,
            sort=sort,
            revision=revision,
        )
        return Response(page.body, media_type="application/json", headers=_UNKEPT)

    return await ask.call(work)


@routes.get("/versions/{version}/table/statistics", response_model=m.TableStatistics, summary="What columns hold")
async def statistics(ask: Ask, version: VersionId, column: _COLUMNS = None, revision: RevisionQuery = None) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> m.TableStatistics:
        pinned, said = tables.statistics(depot, actor, key, columns=column, revision=revision)
        return m.TableStatistics(
            version=ids.encode(Noun.VERSION, pinned.version.uid),
            revision=pinned.revision,
            rows=said["rows"],
            columns=[m.ColumnStatistics(**one) for one in said["columns"]],
        )

    return await ask.answer(work)


@routes.get("/versions/{version}/table/diff", response_model=m.TableDiff, summary="Rows and cells that differ")
async def diff_rows(
    ask: Ask,
    version: VersionId,
    by: Annotated[
        list[str] | None, Query(description="Columns that tell rows apart; without any, whole rows are compared.")
    ] = None,
    base: Annotated[int | None, Query(ge=0, le=ids.MAX_REVISION, description="The revision to compare with.")] = None,
    base_version: Annotated[str | None, Query(description="`ver_…`, to compare with another version.")] = None,
    limit: Annotated[int, Query(ge=0, le=1000, description="Differences that are told.")] = 1000,
    revision: RevisionQuery = None,
) -> Response:
    key = decode.version(version)
    other = None if base_version is None else decode.version(base_version)

    def work(depot: Depot, actor: Actor) -> m.TableDiff:
        found = tables.diff(
            depot, actor, key, by=by or (), base=base, base_version=other, revision=revision, limit=limit
        )
        return m.TableDiff.model_validate(found)

    return await ask.answer(work)


@routes.get(
    "/versions/{version}/table/export",
    response_class=Response,
    responses={
        200: {"content": {kind: {} for kind in tables.MEDIA_TYPES.values()}, "description": "All rows."},
    },
    summary="All rows in another form",
)
async def export(
    ask: Ask,
    version: VersionId,
    format: Literal["csv", "parquet", "arrow", "ndjson"] = "csv",
    column: _COLUMNS = None,
    revision: RevisionQuery = None,
) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> tables.Exported:
        return tables.export(depot, actor, key, format=format, columns=column, revision=revision)

    found = await ask.call(work)
    return _Stream(ask, found.blocks, tables.MEDIA_TYPES[format], disposition("attachment", found.file_name))


@routes.get(
    "/versions/{version}/table/rejects",
    response_model=m.TableRejects,
    responses={
        200: {"content": {"text/plain": {}, "application/x-ndjson": {}}, "description": "The bad rows."},
    },
    summary="Why the newest check refused rows",
)
async def rejects(
    ask: Ask,
    version: VersionId,
    format: Annotated[
        Literal["json", "text", "file"], Query(description="`file` is NDJSON with up to 100,000 bad cells.")
    ] = "json",
) -> Response:
    key = decode.version(version)
    found = await ask.call(lambda depot, actor: tables.rejects(depot, actor, key))
    if format == "file":
        return _Stream(ask, found.blocks, "application/x-ndjson", disposition("attachment", "rejects.ndjson"))
    report = found.report
    said = m.TableRejects(
        version=version,
        message=str(report.get("message", "")),
        rows=int(report.get("rows", 0)),
        rejected_rows=int(report.get("rejected_rows", 0)),
        by_rule=dict(report.get("by_rule", {})),
        notes=[str(one) for one in report.get("notes", ())],
        errors=[m.BadRow(**bad) for bad in report.get("errors", ()) if "rule" in bad],
    )
    if format == "json":
        return Response(said.model_dump_json(), media_type="application/json", headers=_UNKEPT)
    lines = [said.message, *(f"{bad.part}:{bad.row}: {bad.detail}" for bad in said.errors), *said.notes]
    return Response("\n".join(lines) + "\n", media_type="text/plain", headers=_UNKEPT)


@routes.post(
    "/versions/{version}/table/changes",
    response_model=task_messages.Task,
    status_code=202,
    summary="More rows, other rows, other columns",
)
async def change(ask: Ask, version: VersionId, wanted: m.TableChange) -> Response:
    """The task ends when everything was checked and is the newest revision, or was refused and nothing changed."""
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> task_messages.Task:
        columns = rules_of({"columns": [one.model_dump() for one in wanted.columns]}).columns or ()
        task = table_changes.change(
            depot,
            actor,
            key,
            [(one.file_name, ids.decode(Noun.UPLOAD, one.upload)) for one in wanted.files],
            replace=wanted.replace,
            columns=columns,
            renamed=wanted.renamed,
            expected=wanted.expected,
        )
        return encode.task(task, naming.of_tasks(depot, [task]))

    return await ask.answer(work, status=202)


@routes.post(
    "/tables/query",
    response_model=m.TableQueried,
    responses={200: {"content": {ARROW: {}}, "description": "The rows."}},
    summary="Ask with SQL",
    openapi_extra={STREAMS: True},
)
async def query(ask: Ask, wanted: m.TableQuery) -> Response:
    """One SELECT, which can read the tables that are named and nothing else: no file, no network, no other statement.

    `Accept: application/vnd.apache.arrow.stream` gives an Arrow stream; `Entrepot-More` says if there are more rows.
    """
    arrow = ARROW in ask.headers.get("accept", "")

    def work(depot: Depot, actor: Actor) -> Response:
        named: dict[str, Any] = {}
        for name, said in wanted.tables.items():
            found = resolving.resolve(depot, actor, said)
            if found.version is None:
                raise Invalid(f"{said[:200]!r} is no table.")
            named[name] = (found.version.n, found.revision)
        answered = tables.query(depot, actor, wanted.sql, named, limit=wanted.limit, arrow=arrow)
        if arrow:
            more = {"entrepot-more": "true" if answered.more else "false"}
            return Response(answered.body, media_type=ARROW, headers=_UNKEPT | more)
        return Response(answered.body, media_type="application/json", headers=_UNKEPT)

    return await ask.call(work)


class _Stream(Response):
    """Blocks as they come. An error in the middle breaks the connection, so a short answer never looks complete."""

    def __init__(self, ask: Ask, blocks: Iterator[bytes], media_type: str, disposition: str) -> None:
        super().__init__(media_type=media_type)
        self._ask = ask
        self._blocks = blocks
        self._disposition = disposition

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        representation = Representation(media_type=self.media_type or ARROW, disposition=self._disposition)
        await send_stream(scope, receive, send, self._blocks, representation, executor=self._ask.context.executor)
