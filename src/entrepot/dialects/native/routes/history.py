"""Revisions of a version, what changed between two of them, and what happened."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from entrepot.depot import entries, history, naming
from entrepot.depot.context import Depot
from entrepot.dialects.native import decode, encode, written
from entrepot.dialects.native.decode import Cursor, Limit, RevisionQuery, Since, VersionId
from entrepot.dialects.native.ndjson import NDJSON, Lines, wants_lines
from entrepot.dialects.native.routing import Ask, router
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.wire.messages import entries as m
from entrepot.wire.messages import events as event_messages

routes = router("history")

_AS_LINES: dict[int | str, dict[str, Any]] = {200: {"content": {NDJSON: {"schema": {"type": "string"}}}}}


@routes.get("/versions/{version}/revisions", response_model=m.RevisionPage, summary="Revisions, newest first")
async def list_revisions(ask: Ask, version: VersionId, limit: Limit = 100, cursor: Cursor = None) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> m.RevisionPage:
        found, page = history.revisions(depot, actor, key, cursor=cursor, limit=limit)
        return m.RevisionPage(rows=[encode.revision(found.uid, one) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.get("/versions/{version}/revisions/{number}", response_model=m.Revision, summary="One revision")
async def get_revision(ask: Ask, version: VersionId, number: int) -> Response:
    key = decode.version(version)
    return await ask.answer(
        lambda depot, actor: encode.revision(key, entries.revision(depot, actor, key, min(max(number, -1), ids.MAX_N)))
    )


@routes.get(
    "/versions/{version}/diff",
    response_model=m.DiffPage,
    responses=_AS_LINES,
    summary="What changed from one revision to another",
)
async def diff(
    ask: Ask,
    version: VersionId,
    since: Annotated[int, Query(alias="from", ge=0, le=ids.MAX_REVISION, description="The older revision.")] = 0,
    to: RevisionQuery = None,
    other: Annotated[str | None, Query(description="The version that `from` is a revision of; this one.")] = None,
    limit: Limit = 1000,
    cursor: Cursor = None,
) -> Response:
    newer = decode.version(version)
    older = newer if other is None else decode.version(other)
    if wants_lines(ask):
        found = await ask.call(lambda depot, actor: entries.diff(depot, actor, (older, since), (newer, to)))
        return Lines((encode.difference(history.difference(one)) for one in found), ask.context.executor)

    def work(depot: Depot, actor: Actor) -> m.DiffPage:
        page = history.diff_page(depot, actor, (older, since), (newer, to), cursor=cursor, limit=limit)
        return m.DiffPage(rows=[encode.difference(one) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.post(
    "/versions/{version}/restore",
    response_model=m.Committed,
    summary="Make a revision that shows what an old one showed",
)
async def restore(ask: Ask, version: VersionId, what: m.Restore) -> Response:
    key = decode.version(version)
    return await ask.answer(
        lambda depot, actor: written.committed(
            depot,
            actor,
            entries.restore(depot, actor, key, what.revision, expected=what.expected, message=what.message),
        )
    )


@routes.get("/versions/{version}/events", response_model=event_messages.EventPage, summary="What happened to a version")
async def list_version_events(ask: Ask, version: VersionId, limit: Limit = 100, cursor: Cursor = None) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> event_messages.EventPage:
        page = history.version_events(depot, actor, key, cursor=cursor, limit=limit)
        names = naming.of_events(depot, page.rows)
        return event_messages.EventPage(rows=[encode.event(one, names) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.get("/events", response_model=event_messages.EventPage, summary="What happened, newest first")
async def list_events(
    ask: Ask,
    since: Since = None,
    actor: Annotated[str | None, Query(description="Whose doing: id or user name.")] = None,
    verb: Annotated[list[str], Query(description="Any of these.")] = [],  # noqa: B006 - the framework copies it
    project: Annotated[str | None, Query(description="Id or slug.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    whose, home = actor, decode.optional_project(project)

    def work(depot: Depot, actor: Actor) -> event_messages.EventPage:
        page = history.events(
            depot, actor, since=since, by=whose, verbs=tuple(verb), project=home, cursor=cursor, limit=limit
        )
        names = naming.of_events(depot, page.rows)
        return event_messages.EventPage(rows=[encode.event(one, names) for one in page.rows], next=page.cursor)

    return await ask.answer(work)
