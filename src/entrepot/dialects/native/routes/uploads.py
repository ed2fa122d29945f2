"""Uploads as JSON: what there is and how far it is. The bytes travel by tus, or past the server to the store."""

from __future__ import annotations

from starlette.responses import Response

from entrepot.depot import direct, uploads
from entrepot.depot.context import Depot
from entrepot.depot.uploads import NewUpload
from entrepot.dialects.native import decode, encode
from entrepot.dialects.native.decode import Cursor, Limit
from entrepot.dialects.native.routing import STREAMS, Ask, router
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.digests import parse_sha256
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


@routes.post(
    "/uploads/direct",
    response_model=m.DirectUpload,
    status_code=201,
    openapi_extra={STREAMS: True},
    summary="Begin an upload whose bytes go to the store itself; 415 where it takes none",
)
async def begin_direct(ask: Ask, wanted: m.NewDirectUpload) -> Response:
    new = NewUpload(
        length=wanted.length,
        sha256=parse_sha256(wanted.sha256),
        file_name=wanted.file_name,
        media_type=wanted.media_type,
        project=decode.optional_project(wanted.project),
    )
    return await ask.answer(lambda depot, actor: encode.arrival(direct.begin(depot, actor, new)), status=201)


@routes.post(
    "/uploads/{upload}/direct",
    response_model=m.DirectUpload,
    openapi_extra={STREAMS: True},
    summary="Another address for such an upload, when the first is over",
)
async def renew_direct(ask: Ask, upload: str) -> Response:
    uid = ids.decode(Noun.UPLOAD, upload)
    return await ask.answer(lambda depot, actor: encode.arrival(direct.renew(depot, actor, uid)))


@routes.post(
    "/uploads/{upload}/finish",
    response_model=m.Upload,
    openapi_extra={STREAMS: True},
    summary="Check what was sent to the store, and finish the upload",
)
async def finish_direct(ask: Ask, upload: str) -> Response:
    uid = ids.decode(Noun.UPLOAD, upload)
    return await ask.answer(lambda depot, actor: encode.upload(direct.finish(depot, actor, uid)))
