"""Many small files in one body: up into an upload that commits refer to, down from one revision."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import replace

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from entrepot.depot import packing
from entrepot.depot.context import Depot
from entrepot.depot.packing import Framed, PackPut
from entrepot.dialects.native import decode, encode
from entrepot.dialects.native.bodies import receive_whole
from entrepot.dialects.native.context import Asked, Message
from entrepot.dialects.native.query import Parameters
from entrepot.http.content import Representation, send_stream
from entrepot.http.fields import content_length, prefers_minimal
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.ids import Noun
from entrepot.wire import frames


async def put(asking: Asked, _found: Mapping[str, str], receive: Receive, send: Send) -> None:
    """The files of the body become one finished upload: all of them or none."""
    length = content_length(asking.scope)
    minimal = prefers_minimal(asking.scope)
    project = decode.optional_project(Parameters(asking.scope).text("project"))

    def begin(depot: Depot, actor: Actor) -> PackPut:
        return packing.put_batch(depot, actor, length=length, project=project)

    def finish(sink: PackPut) -> Message:
        packed = sink.finish()
        if minimal:
            return Message(encode.packed(replace(packed, files=())), 201, {"preference-applied": "return=minimal"})
        return Message(encode.packed(packed), 201)

    response = await receive_whole(asking, receive, begin, finish)
    await response(asking.scope, receive, send)


class FramedAnswer(Response):
    """Files as frames. An error in the middle breaks the connection, so a short answer never looks complete."""

    def __init__(self, made: Framed, executor: Executor) -> None:
        super().__init__(media_type=frames.MEDIA_TYPE)
        self._made = made
        self._executor = executor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        made = self._made
        pinned = (
            ("entrepot-version", ids.encode(Noun.VERSION, made.version.uid)),
            ("entrepot-revision", str(made.revision)),
        )
        shown = Representation(media_type=frames.MEDIA_TYPE, headers=pinned)
        await send_stream(scope, receive, send, made.blocks(), shown, size=made.size, executor=self._executor)
