"""Edges between versions, and walks over them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from starlette.responses import Response

from entrepot.depot import naming, relationships
from entrepot.depot.context import Depot
from entrepot.depot.relationships import NewRelationship
from entrepot.dialects.native import decode, encode
from entrepot.dialects.native.context import Message
from entrepot.dialects.native.decode import Cursor, Limit, VersionId
from entrepot.dialects.native.routing import Ask, router
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.ids import Noun
from entrepot.wire.messages import relationships as m

routes = router("relationships")

_DIRECTIONS: dict[str, relationships.Direction] = {"out": "up", "in": "down", "both": "both"}


@routes.get("/relationships", response_model=m.RelationshipPage, summary="Edges of a version")
async def list_relationships(
    ask: Ask,
    version: Annotated[str, Query(description="`ver_…`")],
    direction: Annotated[
        Literal["out", "in", "both"], Query(description="`out`: it is the source. `in`: it is the target.")
    ] = "both",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> m.RelationshipPage:
        page = relationships.list_relationships(
            depot, actor, key, direction=_DIRECTIONS[direction], cursor=cursor, limit=limit
        )
        return m.RelationshipPage(rows=[encode.relationship(one) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.post(
    "/relationships",
    response_model=m.Relationship,
    status_code=201,
    responses={200: {"model": m.Relationship, "description": "The identical edge is there already"}},
    summary="Link two versions; the identical edge again is answered as it is",
)
async def create_relationship(ask: Ask, new: m.NewRelationship) -> Response:
    wanted = NewRelationship(
        source=decode.version(new.source),
        target=decode.version(new.target),
        verb=new.verb,
        mode=new.mode,
        note=new.note,
        at=new.at,
        qualifiers=new.qualifiers,
        source_revision=new.source_revision,
        target_revision=new.target_revision,
    )

    def work(depot: Depot, actor: Actor) -> Response:
        made, fresh = relationships.link(depot, actor, wanted)
        return Message(encode.relationship(made), 201 if fresh else 200)

    return await ask.call(work)


@routes.get("/relationships/{relationship}", response_model=m.Relationship, summary="One edge")
async def get_relationship(ask: Ask, relationship: str) -> Response:
    uid = ids.decode(Noun.RELATIONSHIP, relationship)
    return await ask.answer(lambda depot, actor: encode.relationship(relationships.get(depot, actor, uid)))


@routes.delete("/relationships/{relationship}", status_code=204, summary="Remove an edge")
async def delete_relationship(ask: Ask, relationship: str) -> Response:
    uid = ids.decode(Noun.RELATIONSHIP, relationship)
    return await ask.nothing(lambda depot, actor: relationships.delete(depot, actor, uid))


@routes.get(
    "/versions/{version}/graph", response_model=m.Graph, summary="Where a version came from, or what came of it"
)
async def walk(
    ask: Ask,
    version: VersionId,
    direction: Annotated[Literal["up", "down", "both"], Query(description="`up`: origins.")] = "up",
    depth: Annotated[int, Query(ge=1, le=1000)] = 10,
) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> m.Graph:
        found = relationships.graph(depot, actor, key, direction=direction, depth=depth)
        homes = {one.project for one in found.versions.values()}
        return encode.graph(found, {home: naming.role(depot, actor, home) for home in homes})

    return await ask.answer(work)
