"""Finding things: by words, by any door's id, by reference."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from entrepot.depot import naming, resolving, search
from entrepot.depot.context import Depot
from entrepot.dialects.native import decode, encode
from entrepot.dialects.native.decode import Cursor, Limit
from entrepot.dialects.native.routing import Ask, router
from entrepot.model.access import Actor
from entrepot.model.values import Kind
from entrepot.wire.messages import resolve as resolve_messages
from entrepot.wire.messages import search as m

routes = router("finding")


@routes.get(
    "/search",
    response_model=m.SearchPage,
    summary="Versions that contain all words and fulfil all conditions, best first",
)
async def find(
    ask: Ask,
    q: Annotated[
        str,
        Query(
            description="Words, of which the last one may be unfinished, and conditions: `kind:`, `tag:`, "
            "`type:fastq`, `standing:bad`, `facts.reads:>1000`, `facts.shape:10..20`, `facts.samples:liver*`."
        ),
    ],
    project: Annotated[str | None, Query(description="Id or slug.")] = None,
    kind: Kind | None = None,
    tag: Annotated[list[str], Query(description="All of these.")] = [],  # noqa: B006 - never changed
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Response:
    home = decode.optional_project(project)

    def work(depot: Depot, actor: Actor) -> m.SearchPage:
        page = search.search(depot, actor, q, project=home, kind=kind, tags=tag, cursor=cursor, limit=limit)
        return m.SearchPage(rows=[encode.search_row(one) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.get(
    "/resolve", response_model=resolve_messages.Resolved, summary="What an id of any door, or a reference, names"
)
async def resolve(
    ask: Ask,
    id: Annotated[str, Query(description="Any door's id, `flow:12`, `ufdl:12`, or `project/dataset@3.17/path`.")],
) -> Response:
    def work(depot: Depot, actor: Actor) -> resolve_messages.Resolved:
        found = resolving.resolve(depot, actor, id)
        home = found.project.n if found.project is not None else found.version.project if found.version else None
        return encode.resolved(found, None if home is None else naming.role(depot, actor, home))

    return await ask.answer(work)
