"""Records: lists of them, their items, and what can be learned of the items.

Items go out as the text they came in as: parsing and writing them again would change numbers such as `1e5`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from starlette.responses import Response

from entrepot.depot import browse, history, naming, record_work, records
from entrepot.depot.browse import Wanted
from entrepot.depot.context import Depot
from entrepot.depot.record_work import Kept
from entrepot.depot.records import Items, LinePage
from entrepot.dialects.native import decode, encode
from entrepot.dialects.native.context import Message
from entrepot.dialects.native.decode import Cursor, Limit, RevisionQuery, VersionId
from entrepot.dialects.native.ndjson import NDJSON, wants_lines
from entrepot.dialects.native.routing import PREFIX, Ask, router
from entrepot.http.content import Representation, send_content, send_stream
from entrepot.http.disposition import disposition
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Kind, State, Task
from entrepot.wire.messages import records as m
from entrepot.wire.messages.tasks import Task as TaskMessage

routes = router("records")

_OR_LINES: dict[int | str, dict[str, Any]] = {200: {"content": {NDJSON: {}}, "description": "The items."}}

_OR_TASK: dict[int | str, dict[str, Any]] = {202: {"model": TaskMessage, "description": "It is being found out."}}
_EXPORTED = ("text/csv", "application/vnd.apache.arrow.file", "application/vnd.apache.parquet", NDJSON)

_FIRST = Annotated[int, Query(ge=0, le=2**62, description="The number of the first item, from 0.")]
_SEED = Annotated[int, Query(ge=0, le=2**31 - 1, description="The same seed draws the same items.")]


@routes.get("/records", response_model=m.RecordsPage, summary="Versions of records, newest first, in both directions")
async def list_records(
    ask: Ask,
    project: Annotated[str | None, Query(description="Id or slug.")] = None,
    show_expired: Annotated[bool, Query(description="Also those that are in the trash because they expired.")] = False,
    limit: Limit = 1000,
    cursor: Cursor = None,
) -> Response:
    wanted = Wanted(project=decode.optional_project(project), kind=Kind.RECORDS, and_expired=show_expired)

    def work(depot: Depot, actor: Actor) -> m.RecordsPage:
        leaf = browse.leaf_versions(depot, actor, wanted, cursor=cursor, limit=limit)
        rows = [encode.found_version(one) for one in leaf.rows]
        return m.RecordsPage(rows=rows, next=leaf.next, previous=leaf.previous)

    return await ask.answer(work)


@routes.get(
    "/versions/{version}/items", response_model=m.ItemPage, responses=_OR_LINES, summary="Items from a number on"
)
async def list_items(
    ask: Ask,
    version: VersionId,
    first: _FIRST = 0,
    limit: Limit = 100,
    where: Annotated[
        str | None, Query(description='Only items that fit, as in `label.name == "cat" and score > 0.5`.')
    ] = None,
    revision: RevisionQuery = None,
) -> Response:
    """A page may have fewer rows than asked for, or none, and still a `next`: large items and long searches are cut."""
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> Response:
        if where is None:
            return _page(records.list_items(depot, actor, key, first=first, limit=limit, revision=revision), lines)
        found = records.filter_items(depot, actor, key, where, first=first, limit=limit, revision=revision)
        return _page(found, lines)

    lines = wants_lines(ask)
    return await ask.call(work)


@routes.get("/versions/{version}/items/{n}", response_model=m.Item, summary="One item")
async def get_item(
    ask: Ask,
    version: VersionId,
    n: Annotated[int, Path(ge=0, le=2**62, description="From 0.")],
    revision: RevisionQuery = None,
) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> Response:
        return _json(_item(records.get(depot, actor, key, n, revision=revision).rows[0]))

    return await ask.call(work)


@routes.get(
    "/versions/{version}/records/sample",
    response_model=m.ItemPage,
    responses=_OR_LINES,
    summary="Items drawn at random",
)
async def sample(
    ask: Ask, version: VersionId, count: Limit = 10, seed: _SEED = 0, revision: RevisionQuery = None
) -> Response:
    key = decode.version(version)
    lines = wants_lines(ask)

    def work(depot: Depot, actor: Actor) -> Response:
        return _page(records.sample(depot, actor, key, count=count, seed=seed, revision=revision), lines)

    return await ask.call(work)


@routes.get(
    "/versions/{version}/records/statistics",
    response_model=m.Statistics,
    responses=_OR_TASK,
    summary="Keys and types of items",
)
async def statistics(
    ask: Ask,
    version: VersionId,
    most: Annotated[int, Query(ge=1, le=100_000, description="Items to look at; of more a sample is taken.")] = 10_000,
    seed: _SEED = 0,
    revision: RevisionQuery = None,
) -> Response:
    """Where much has to be read it is a task (202), whose `result` is the answer; asking again gives the answer."""
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> Response:
        found = record_work.statistics(depot, actor, key, most=most, seed=seed, revision=revision)
        if isinstance(found, Task):
            return _task(depot, found)
        return Message(m.Statistics(version=ids.encode(Noun.VERSION, key), **found))

    return await ask.call(work)


@routes.get(
    "/versions/{version}/records/diff",
    response_model=m.ItemDiff,
    responses=_OR_TASK,
    summary="Items that differ, by a key",
)
async def diff_items(
    ask: Ask,
    version: VersionId,
    by: Annotated[str, Query(description="The path of the key that tells items apart, such as `id`.")],
    base: Annotated[int | None, Query(ge=0, le=ids.MAX_REVISION, description="The revision to compare with.")] = None,
    base_version: Annotated[str | None, Query(description="`ver_…`, to compare with another version.")] = None,
    revision: RevisionQuery = None,
) -> Response:
    """Where much has to be read it is a task (202), whose `result` is the answer; asking again gives the answer."""
    key = decode.version(version)
    other = None if base_version is None else decode.version(base_version)

    def work(depot: Depot, actor: Actor) -> Response:
        found = record_work.diff(depot, actor, key, by, base=base, revision=revision, base_version=other)
        return _task(depot, found) if isinstance(found, Task) else Message(m.ItemDiff(**found))

    return await ask.call(work)


@routes.get(
    "/versions/{version}/records/export",
    response_class=Response,
    responses={200: {"content": {form: {} for form in _EXPORTED}, "description": "The items."}, **_OR_TASK},
    summary="All items as one table or as lines",
)
async def export(
    ask: Ask,
    version: VersionId,
    format: Literal["csv", "ndjson", "arrow", "parquet"] = "csv",
    revision: RevisionQuery = None,
) -> Response:
    """Lines are streamed and a small CSV is made at once. Any other table is made by a task (202), once; when that is
    done, asking again gives the file, in ranges too.
    """
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> Response:
        if format == "ndjson":
            return _Stream(ask, records.open_items(depot, actor, key, revision=revision))
        found = record_work.export(depot, actor, key, format, revision=revision)
        if isinstance(found, bytes):
            return Response(found, media_type="text/csv", headers=_UNKEPT)
        return _task(depot, found) if isinstance(found, Task) else _File(ask, found)

    return await ask.call(work)


@routes.get(
    "/versions/{version}/rejects",
    response_model=m.Rejects,
    responses={200: {"content": {"text/plain": {}}, "description": "The bad lines."}},
    summary="Why the newest check refused its lines",
)
async def rejects(
    ask: Ask,
    version: VersionId,
    format: Annotated[Literal["json", "text"], Query(description="Text has one line for each bad line.")] = "json",
) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> Response:
        attempts = history.ingests_of(depot, actor, key)
        newest = next((one for one in attempts if one.state in (State.READY, State.FAILED)), None)
        if newest is None:
            raise NotFound(f"Nothing was checked yet of {version}.")
        report = newest.report or {}
        found = m.Rejects(
            version=version,
            message=str(report.get("message", "")),
            items=int(report.get("items", 0)),
            bad_lines=int(report.get("bad_lines", 0)),
            errors=[m.BadLine(**bad) for bad in report.get("errors", ()) if "reason" in bad],
        )
        if format == "json":
            return _json(found.model_dump_json().encode())
        text = "".join(
            f"{bad.part}:{bad.line}: {bad.detail} (byte {bad.offset + (bad.at or 0)}) {bad.excerpt}\n"
            for bad in found.errors
        )
        return Response(f"{found.message}\n{text}", media_type="text/plain", headers=_UNKEPT)

    return await ask.call(work)


_UNKEPT = {"cache-control": "no-store"}


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json", headers=_UNKEPT)


def _item(line: records.Line) -> bytes:
    return b'{"n":%d,"item":%b}' % (line.n, line.text)


def _page(page: LinePage, lines: bool) -> Response:
    if lines:
        further = {} if page.next is None else {"entrepot-next": str(page.next)}
        body = b"".join(line.text.rstrip(b"\r") + b"\n" for line in page.rows)
        return Response(body, media_type=NDJSON, headers=_UNKEPT | further)
    head = b'{"version":"%b","revision":%d,"total":%d,"rows":[' % (
        ids.encode(Noun.VERSION, page.version.uid).encode(),
        page.revision,
        page.total,
    )
    tail = b"null" if page.next is None else str(page.next).encode()
    return _json(head + b",".join(map(_item, page.rows)) + b'],"next":' + tail + b"}")


def _task(depot: Depot, found: Task) -> Response:
    """That the worker is at it, and where to ask for the end of it."""
    message = encode.task(found, naming.of_tasks(depot, [found]))
    return Message(message, 202, {"location": f"{PREFIX}/tasks/{message.id}"})


class _File(Response):
    """A table that is kept, whole or in ranges."""

    def __init__(self, ask: Ask, kept: Kept) -> None:
        super().__init__(media_type=kept.media_type)
        self._ask = ask
        self._kept = kept

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        kept = self._kept
        representation = Representation(
            media_type=kept.media_type,
            etag=f'"{kept.tag}"',
            disposition=disposition("attachment", kept.file_name),
            headers=(
                ("entrepot-version", ids.encode(Noun.VERSION, kept.version.uid)),
                ("entrepot-revision", str(kept.revision)),
            ),
        )
        executor = self._ask.context.executor
        await send_content(scope, receive, send, kept.reader, kept.size, representation, executor=executor)


class _Stream(Response):
    """All items, streamed. An error in the middle breaks the connection, so a short answer never looks complete."""

    def __init__(self, ask: Ask, items: Items) -> None:
        super().__init__(media_type=NDJSON)
        self._ask = ask
        self._items = items

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        representation = Representation(media_type=NDJSON, headers=())
        blocks = (line.text + b"\n" for line in self._items)
        try:
            await send_stream(
                scope, receive, send, _joined(blocks), representation, executor=self._ask.context.executor
            )
        finally:
            await self._ask.call(lambda _depot, _actor: self._items.close())


def _joined(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """In larger pieces: each costs a message."""
    waiting, size = [], 0
    for block in blocks:
        waiting.append(block)
        size += len(block)
        if size >= 1 << 18:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
