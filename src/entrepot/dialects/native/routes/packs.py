"""Many small files in one answer."""

from __future__ import annotations

from starlette.responses import Response

from entrepot.depot import packing
from entrepot.depot.context import Depot
from entrepot.dialects.native import decode
from entrepot.dialects.native.decode import VersionId
from entrepot.dialects.native.packs import FramedAnswer
from entrepot.dialects.native.routing import STREAMS, Ask, router
from entrepot.model.access import Actor
from entrepot.wire import frames
from entrepot.wire.messages import packs as m

routes = router("files")


@routes.post(
    "/versions/{version}/batch",
    response_class=Response,
    responses={200: {"content": {frames.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}},
    openapi_extra={STREAMS: True},
    summary="Small files of one revision in one body",
)
async def read_batch(ask: Ask, version: VersionId, wanted: m.BatchRequest) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> packing.Framed:
        return packing.open_batch(depot, actor, key, wanted.paths, revision=wanted.revision)

    return FramedAnswer(await ask.call(work), ask.context.executor)
