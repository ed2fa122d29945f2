"""Records: lists of them, their items, and what can be learned of the items.

Items go out as the text they came in as: parsing and writing them again would change numbers such as `1e5`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from starlette.responses import Response

from entrepot.depot import browse, history, records
from entrepot.depot.browse import Wanted
from entrepot.depot.context import Depot
from entrepot.depot.records import Items, LinePage
from entrepot.dialects.native import decode, encode
from entrepot.dialects.native.decode import Cursor, Limit, RevisionQuery, VersionId
from entrepot.dialects.native.ndjson import NDJSON, wants_lines
from entrepot.dialects.native.routing import Ask, router
from entrepot.http.content import Representation, send_stream
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Kind, State
from entrepot.wire.messages import records as m

routes = router("records")

_OR_LINES: dict[int | str, dict[str, Any]] = {200: {"content": {NDJSON: {}}, "description": "The items."}}

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


@routes.get("/versions/{version}/records/statistics", response_model=m.Statistics, summary="Keys and types of items")
async def statistics(
    ask: Ask,
    version: VersionId,
    most: Annotated[int, Query(ge=1, le=100_000, description="Items to look at; of more a sample is taken.")] = 10_000,
    seed: _SEED = 0,
    revision: RevisionQuery = None,
) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> m.Statistics:
        found = records.statistics(depot, actor, key, most=most, seed=seed, revision=revision)
        return m.Statistics(
            version=ids.encode(Noun.VERSION, found.version.uid),
            revision=found.revision,
            total=found.total,
            looked_at=found.looked_at,
            keys=[m.KeyStatistics(**row) for row in found.keys],
            more_keys=found.more_keys,
        )

    return await ask.answer(work)


@routes.get("/versions/{version}/records/diff", response_model=m.ItemDiff, summary="Items that differ, by a key")
async def diff_items(
    ask: Ask,
    version: VersionId,
    by: Annotated[str, Query(description="The path of the key that tells items apart, such as `id`.")],
    base: Annotated[int | None, Query(ge=0, le=ids.MAX_REVISION, description="The revision to compare with.")] = None,
    base_version: Annotated[str | None, Query(description="`ver_…`, to compare with another version.")] = None,
    revision: RevisionQuery = None,
) -> Response:
    key = decode.version(version)
    other = None if base_version is None else decode.version(base_version)

    def work(depot: Depot, actor: Actor) -> m.ItemDiff:
        found = records.diff(depot, actor, key, by, base=base, revision=revision, base_version=other)
        rows: list[Any] = [
            {"change": one.what, "key": one.key, "before": one.before, "after": one.after} for one in found.rows
        ]
        return m.ItemDiff(added=found.added, removed=found.removed, changed=found.changed, rows=rows)

    return await ask.answer(work)


@routes.get(
    "/versions/{version}/records/export",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}, NDJSON: {}}, "description": "The items."}},
    summary="All items as one table or as lines",
)
async def export(
    ask: Ask, version: VersionId, format: Literal["csv", "ndjson"] = "csv", revision: RevisionQuery = None
) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> tuple[Items, Iterator[bytes]]:
        items = records.open_items(depot, actor, key, revision=revision)
        try:
            return items, records.as_csv(items) if format == "csv" else (line.text + b"\n" for line in items)
        except BaseException:
            items.close()
            raise

    items, blocks = await ask.call(work)
    return _Stream(ask, items, blocks, "text/csv; charset=utf-8" if format == "csv" else NDJSON)


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


class _Stream(Response):
    """All items, streamed. An error in the middle breaks the connection, so a short answer never looks complete."""

    def __init__(self, ask: Ask, items: Items, blocks: Iterator[bytes], media_type: str) -> None:
        super().__init__(media_type=media_type)
        self._ask = ask
        self._items = items
        self._blocks = blocks

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        representation = Representation(media_type=self.media_type or NDJSON, headers=())
        try:
            await send_stream(
                scope, receive, send, _joined(self._blocks), representation, executor=self._ask.context.executor
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
