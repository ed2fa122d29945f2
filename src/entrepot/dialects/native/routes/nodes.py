"""Worker nodes (staff)."""

from __future__ import annotations

from starlette.responses import Response

from entrepot.depot import nodes
from entrepot.depot.context import Depot
from entrepot.dialects.native import encode
from entrepot.dialects.native.decode import Cursor, Limit, NodeName
from entrepot.dialects.native.routing import Ask, router
from entrepot.model.access import Actor
from entrepot.wire.messages import nodes as m

routes = router("nodes")


@routes.get("/nodes", response_model=m.NodePage, summary="All nodes")
async def list_nodes(ask: Ask, limit: Limit = 100, cursor: Cursor = None) -> Response:
    def work(depot: Depot, actor: Actor) -> m.NodePage:
        page = nodes.list_nodes(depot, actor, cursor=cursor, limit=limit)
        return m.NodePage(rows=[encode.node(one) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.post("/nodes", response_model=m.Node, status_code=201, summary="Register a node")
async def create_node(ask: Ask, new: m.NewNode) -> Response:
    return await ask.answer(lambda depot, actor: encode.node(nodes.create(depot, actor, new.name)), status=201)


@routes.get("/nodes/{node}", response_model=m.Node, summary="One node")
async def get_node(ask: Ask, node: NodeName) -> Response:
    return await ask.answer(lambda depot, actor: encode.node(nodes.get(depot, actor, node)))


@routes.patch("/nodes/{node}", response_model=m.Node, summary="Switch a node on or off")
async def update_node(ask: Ask, node: NodeName, changes: m.NodeChanges) -> Response:
    switch = nodes.reactivate if changes.active else nodes.deactivate
    return await ask.answer(lambda depot, actor: encode.node(switch(depot, actor, node)))
