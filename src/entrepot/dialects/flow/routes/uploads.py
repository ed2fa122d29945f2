"""Files in chunks: the same few rules for a data file, an archive, the reads of a sample and a sheet of annotations."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from entrepot.depot import parcels
from entrepot.depot.context import Depot
from entrepot.depot.parcels import Arrival, NewParcel
from entrepot.dialects.flow.context import Asked, dumped, invalid
from entrepot.dialects.flow.forms import Chunk, Form, chunk_of, read_form
from entrepot.http.body import drain, pump
from entrepot.http.threads import in_thread
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import Conflict, EntrepotError, Invalid, InvalidName, Unavailable, Unsupported
from entrepot.model.ids import Noun

#: A chunk that is sent again while the first of it is still written waits so long for that, and looks so often.
_PATIENCE_S: Final = 10.0
_LOOK_S: Final = 0.1
#: While an archive is unpacked.
_LOOK_MOST_S: Final = 0.5

#: What is read of a body that is refused, so that the client gets to see why: the largest chunk, and its form.
_REFUSED: Final = 128 << 20
_REFUSED_S: Final = 60.0

#: What the first chunk of an upload says of it, and what its last chunk makes of it.
Begin = Callable[[Depot, Actor, Form, Chunk], NewParcel]
Finish = Callable[[Depot, Actor, Form, Arrival], dict[str, Any]]


async def upload(asked: Asked) -> None:
    """A chunk of a data file, which becomes a version of the caller's default project with the last one."""
    await take_chunk(asked, _begin_file, _finish_file)


def _begin_file(depot: Depot, _actor: Actor, form: Form, chunk: Chunk) -> NewParcel:
    return NewParcel(chunk.filename, data_type=declared(depot, form), archive=form.flag("is_directory"))


def declared(depot: Depot, form: Form) -> str | None:
    """The data type that the form declares.

    Raises:
        Invalid: There is none of that name.
    """
    said = form.text("data_type")
    if said is None:
        return None
    try:
        return depot.types.declared(said)
    except Invalid as unknown:
        raise invalid({"data_type": [unknown.message]}) from unknown


def _finish_file(_depot: Depot, _actor: Actor, _form: Form, arrival: Arrival) -> dict[str, Any]:
    n = arrival.finish()
    return {"id": ids.flow_data(n), "data_id": ids.flow_data(n)}


async def take_chunk(asked: Asked, begin: Begin, finish: Finish) -> None:
    """Receive one chunk, and with the last one make what the file becomes.

    Whoever asks is known before anything of the body is judged. What is refused is read to its end: the client sends
    the whole chunk before it listens.
    """
    try:
        await asked.authenticate()
        form = await read_form(asked)
        chunk = chunk_of(form)
        arrival = await _open(asked, begin, form, chunk)
        try:
            answer = await _receive(asked, form, chunk, arrival, finish)
        finally:
            await in_thread(asked.context.executor, arrival.close)
    except EntrepotError:
        if not asked.heard:
            await drain(asked.receive, limit=_REFUSED, longest_s=_REFUSED_S)
        raise
    await asked.send_json(answer)


async def _open(asked: Asked, begin: Begin, form: Form, chunk: Chunk) -> Arrival:
    def first(depot: Depot, actor: Actor) -> Arrival:
        try:
            row = parcels.begin(depot, actor, begin(depot, actor, form, chunk))
        except (InvalidName, Unsupported) as wrong:
            if wrong.details.get("field") != "File name":
                raise
            raise invalid({"filename": [wrong.message]}) from wrong
        return parcels.receive(depot, actor, row.uid, 0)

    if chunk.upload is None:
        return await asked.call(first)
    upload, until = chunk.upload, time.monotonic() + _PATIENCE_S
    while True:
        try:
            return await asked.call(lambda depot, actor: parcels.receive(depot, actor, upload, chunk.offset))
        except Conflict as held:
            if not held.details.get("retry"):
                raise
            if time.monotonic() >= until:
                raise Unavailable("Another chunk of this upload is still being received. Send it again.") from held
        await asyncio.sleep(_LOOK_S)


async def _receive(asked: Asked, form: Form, chunk: Chunk, arrival: Arrival, finish: Finish) -> bytes:
    executor = asked.context.executor
    await pump(form.blob.receive, arrival.write, executor=executor)
    await form.end()
    if not chunk.is_last:
        return dumped(waiting(arrival.row.uid))
    answer = await asked.call(lambda depot, actor: dumped(finish(depot, actor, form, arrival)))
    if arrival.row.detail.get("archive"):
        await _unpacked(asked, arrival.row.uid)
    return answer


async def _unpacked(asked: Asked, upload: UUID) -> None:
    """Wait until a worker has unpacked the archive, but not for ever; a repeat of the last chunk waits for the same.

    Raises:
        Invalid: It was refused. Nothing of it is left.
    """
    until = time.monotonic() + asked.context.depot.policy.unpack_wait.total_seconds()
    pause = _LOOK_S / 4
    while True:
        found = await asked.call(lambda depot, actor: parcels.look(depot, actor, upload))
        if found.refused is not None:
            raise found.refused
        if found.is_ready or time.monotonic() >= until:
            return
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LOOK_MOST_S)


def waiting(upload: UUID) -> dict[str, Any]:
    """The answer to a chunk after which others come."""
    text = ids.encode(Noun.UPLOAD, upload)
    return {"id": text, "data_id": text}
