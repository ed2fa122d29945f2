"""Uploads as JSON: what there is and how far it is. The bytes travel by tus."""

from __future__ import annotations

from starlette.responses import Response

from entrepot.depot import uploads
from entrepot.depot.context import Depot
from entrepot.dialects.native import encode
from entrepot.dialects.native.decode import Cursor, Limit
from entrepot.dialects.native.routing import Ask, router
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.ids import Noun
from entrepot.wire.messages import uploads as m

routes = router("uploads")


@routes.get("/uploads", response_model=m.UploadPage, summary="The caller's uploads, newest first")
async def list_uploads(ask: Ask, limit: Limit = 100, cursor: Cursor = None) -> Response:
    def work(depot: Depot, actor: Actor) -> m.UploadPage:
        page = uploads.list_uploads(depot, actor, cursor=cursor, limit=limit)
        return m.UploadPage(rows=[encode.upload(one) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.get("/uploads/{upload}", response_model=m.Upload, summary="One upload, with the offset to go on at")
async def get_upload(ask: Ask, upload: str) -> Response:
    uid = ids.decode(Noun.UPLOAD, upload)
    return await ask.answer(lambda depot, actor: encode.upload(uploads.get(depot, actor, uid)))
