"""Notes about versions; a version shows also those of what it came from."""

from __future__ import annotations

from starlette.responses import Response

from entrepot.depot import notes
from entrepot.depot.context import Depot
from entrepot.dialects.native import decode, encode, written
from entrepot.dialects.native.decode import VersionId
from entrepot.dialects.native.routing import Ask, router
from entrepot.model.access import Actor
from entrepot.wire.messages import notes as m
from entrepot.wire.messages import versions as version_messages

routes = router("notes")


@routes.get("/versions/{version}/notes", response_model=m.NoteList, summary="Its notes, and those of its origins")
async def list_notes(ask: Ask, version: VersionId) -> Response:
    key = decode.version(version)

    def work(depot: Depot, actor: Actor) -> m.NoteList:
        return encode.notes(notes.list_notes(depot, actor, key))

    return await ask.answer(work)


@routes.post(
    "/versions/{version}/notes",
    response_model=version_messages.Version,
    summary="Write a note, which whatever came from this version shows too",
)
async def add_note(ask: Ask, version: VersionId, new: m.NewNote) -> Response:
    key = decode.version(version)
    return await ask.answer(lambda depot, actor: written.version(depot, actor, notes.add(depot, actor, key, new.text)))


@routes.delete("/versions/{version}/notes/{note}", status_code=204, summary="Remove one of its own notes")
async def remove_note(ask: Ask, version: VersionId, note: str) -> Response:
    key = decode.version(version)
    return await ask.nothing(lambda depot, actor: notes.remove(depot, actor, key, note))
