"""An upload in one request, for clients that have nothing to resume."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import Receive, Send

from entrepot.depot import putting
from entrepot.depot.context import Depot
from entrepot.depot.putting import UploadPut
from entrepot.depot.uploads import NewUpload
from entrepot.dialects.native import decode, encode
from entrepot.dialects.native.bodies import receive_whole
from entrepot.dialects.native.context import Asked, Message
from entrepot.dialects.native.digest_fields import announced_sha256
from entrepot.dialects.native.query import Parameters
from entrepot.http.fields import content_length
from entrepot.model.access import Actor


async def put(asking: Asked, _found: Mapping[str, str], receive: Receive, send: Send) -> None:
    """The body becomes a finished upload, which a commit may refer to."""
    parameters = Parameters(asking.scope)
    new = NewUpload(
        length=content_length(asking.scope),
        sha256=announced_sha256(asking.scope),
        file_name=parameters.text("filename"),
        media_type=parameters.text("media_type"),
        project=decode.optional_project(parameters.text("project")),
    )

    def begin(depot: Depot, actor: Actor) -> UploadPut:
        return putting.put_upload(depot, actor, new)

    def finish(sink: UploadPut) -> Message:
        return Message(encode.upload(sink.finish()), 201)

    response = await receive_whole(asking, receive, begin, finish)
    await response(asking.scope, receive, send)
