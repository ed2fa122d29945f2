"""Upload sessions of assets: many files announced at once, each put by itself, large ones in pieces; and operations."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from uuid import UUID

from entrepot.depot import consignments, objects, projects, splits, tasks
from entrepot.depot.consigned import MOST_FILES, Coming, Consignment, NewConsigned, Piece, Split
from entrepot.depot.context import Depot
from entrepot.dialects.datature import assets_of, encode
from entrepot.dialects.datature.context import Asked
from entrepot.dialects.datature.decode import Fields
from entrepot.dialects.datature.encode import session_id, split_id
from entrepot.dialects.datature.routes.assets import MOST_GROUPS
from entrepot.http.conditional import sha256_etag
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import EntrepotError, Invalid, NotFound, from_code
from entrepot.model.ids import Noun
from entrepot.model.values import Task, TaskState

#: How often a request looks that waits for the worker: soon at first.
_FIRST_LOOK_S, _LAST_LOOK_S = 0.05, 1.0

_HEADERS = {"x-goog-if-generation-match": "0"}


async def create(asked: Asked) -> None:
    """Announce files; answers where each is to be put, in the order of the request."""
    body = Fields(await asked.body())
    groups = [one.strip("/ ") for one in body.texts("groups", most=MOST_GROUPS)] if body.has("groups") else []
    if not all(groups):
        raise Invalid("groups has a name that is empty.")
    announced = [_announced(one, groups) for one in body.objects("assets", most=MOST_FILES)]
    said = [crc for _, crc in announced]

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        home = projects.get(depot, actor, asked.project, trashed=False).project
        made = consignments.begin(depot, actor, home.n, assets_of.NAME, [one for one, _ in announced])
        links = objects.sign_consigned(depot, actor, [one.uid for one in made.files])
        return {
            "id": session_id(made.uid),
            "opId": encode.operation_id(made.uid),
            "object": "assetuploadsession",
            "assets": [
                {
                    "metadata": encode.announced(file, crc),
                    "upload": {
                        "method": link.method,
                        "url": f"{asked.base_url}{link.path}",
                        "headers": {**_HEADERS, "content-type": file.media_type or "application/octet-stream"},
                        "expiryDate": encode.millis(link.expires_at),
                    },
                }
                for file, link, crc in zip(made.files, links, said, strict=True)
            ],
        }

    await asked.answer(work, status=201)


def _announced(one: Fields, groups: list[str]) -> tuple[NewConsigned, int]:
    """A file, and its checksum as it was written: a number of 32 bits with a sign, 0 where it was not computed."""
    name = one.text("filename")
    if "/" in name:
        raise Invalid(f"The file name {name[:80]!r} has a slash. Folders are groups.")
    crc = one.number("crc32c", least=-(2**31), most=2**32 - 1) if one.has("crc32c") else 0
    new = NewConsigned(
        path=assets_of.path_of(groups, name),
        length=one.number("size", least=0, most=2**63 - 1),
        crc32c=crc % 2**32 if crc else None,
        media_type=one.optional_text("mime"),
    )
    return new, crc


async def cancel(asked: Asked) -> None:
    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        uid = encode.parse_session_id(asked.found["id"])
        _here(asked, depot, actor, consignments.get(depot, actor, uid).project)
        consignments.cancel(depot, actor, uid)
        return {"id": session_id(uid), "cancelled": True}

    await asked.answer(work)


# Large files


async def split(asked: Asked) -> None:
    """Let a file come in pieces: the client cuts it into so many."""
    body = Fields(await asked.body())
    name, size = body.text("filename"), body.number("size", least=1, most=2**63 - 1)

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        uid = encode.parse_session_id(asked.found["id"])
        _here(asked, depot, actor, consignments.get(depot, actor, uid).project)
        made = splits.begin(depot, actor, uid, name, size)
        return {"id": split_id(made.uid), "partCount": len(made.pieces)}

    await asked.answer(work, status=201)


async def piece_address(asked: Asked) -> None:
    """Where a piece is to be put, and which headers of the answer are to be told when it is."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        _, piece = _piece(asked, depot, actor)
        (link,) = objects.sign_consigned(depot, actor, [piece.uid])
        return {
            "method": link.method,
            "url": f"{asked.base_url}{link.path}",
            "expiry": encode.millis(link.expires_at),
            "headers": {},
            "responseHeaders": ["etag"],
            "responseBody": False,
        }

    await asked.answer(work)


async def complete_piece(asked: Asked) -> None:
    """Whether a piece is here, and the one that the client put."""
    body = await asked.body()
    etag: str | None = None
    if body is not None:
        fields = Fields(body)
        if fields.has("responseHeaders"):
            etag = fields.object("responseHeaders").optional_text("etag")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        found, piece = _piece(asked, depot, actor)
        same = not etag or (piece.sha256 is not None and etag == sha256_etag(piece.sha256))
        return {"id": split_id(found.uid), "partNumber": piece.number, "completed": piece.arrived and same}

    await asked.answer(work)


async def complete(asked: Asked) -> None:
    """Make the file of its pieces. A large one is written by the worker; the answer waits for it, a thread does not."""
    found, task = await asked.call(lambda depot, actor: splits.join(depot, actor, _split(asked, depot, actor).uid))
    pause = _FIRST_LOOK_S
    while task is not None and task.state not in tasks.ENDED:
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LAST_LOOK_S)
        task = await asked.call(partial(_look, task.uid))

    def work(_depot: Depot, _actor: Actor) -> dict[str, Any]:
        if task is not None and task.state is not TaskState.DONE:
            said = task.error or {}
            raise from_code(str(said.get("code")))(str(said.get("detail") or f"The file was not made: {task.state}."))
        return {"id": split_id(found.uid), "completed": True}

    await asked.answer(work)


def _look(uid: UUID, depot: Depot, actor: Actor) -> Task:
    return tasks.get(depot, actor, uid)


async def abort(asked: Asked) -> None:
    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        found = _split(asked, depot, actor)
        splits.abort(depot, actor, found.uid)
        return {"id": split_id(found.uid), "aborted": True}

    await asked.answer(work)


def _split(asked: Asked, depot: Depot, actor: Actor) -> Split:
    found = splits.get(depot, actor, encode.parse_split_id(asked.found["id"]))
    _here(asked, depot, actor, found.project)
    return found


def _piece(asked: Asked, depot: Depot, actor: Actor) -> tuple[Split, Piece]:
    found = _split(asked, depot, actor)
    text = asked.found["number"]
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else 0
    if not 1 <= number <= len(found.pieces):
        raise NotFound(f"There is no part {text[:40]!r}; there are {len(found.pieces)}.")
    return found, found.pieces[number - 1]


def _here(asked: Asked, depot: Depot, actor: Actor, project: int) -> None:
    """Refuse what belongs to another project than the path names."""
    if projects.get(depot, actor, asked.project, trashed=False).project.n != project:
        raise NotFound("There is no such upload session in this project.")


# Operations


async def operation(asked: Asked) -> None:
    """Long work: an upload session until all its files have come, or any task of this server."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        here = projects.get(depot, actor, asked.project, trashed=False).project
        uid = encode.parse_operation_id(asked.found["id"])
        try:
            found = consignments.get(depot, actor, uid)
        except NotFound:
            return _task(depot, actor, uid, here.n)
        if found.project != here.n:
            raise NotFound(f"There is no operation {asked.found['id'][:80]} in this project.")
        return _of_session(found)

    await asked.answer(work)


def _of_session(found: Consignment) -> dict[str, Any]:
    total, arrived = len(found.files), found.count(Coming.ARRIVED)
    refused, waiting = found.count(Coming.REFUSED), found.count(Coming.WAITING)
    counts = {"Running": waiting, "Finished": arrived, "Cancelled": found.count(Coming.CANCELLED), "Errored": refused}
    if arrived == total:
        overview, said = "Finished", f"All {total} files have arrived."
    elif found.cancelled:
        overview, said = "Cancelled", f"The session was cancelled; {arrived} of {total} files had arrived."
    elif waiting:
        overview, said = "Running" if arrived or refused else "Queued", f"{arrived} of {total} files have arrived."
    else:
        first = next(one for one in found.files if one.state is Coming.REFUSED)
        overview = "Errored"
        said = f"{refused} of {total} files were refused. {first.path}: {first.error or 'other bytes came.'}"
    times = found.created_at, found.touched_at
    return encode.operation(found.uid, "assets.upload", overview, said, "file", counts, *times)


_TASKS = {
    TaskState.READY: "Queued",
    TaskState.RUNNING: "Running",
    TaskState.DONE: "Finished",
    TaskState.FAILED: "Errored",
    TaskState.CANCELLED: "Cancelled",
}


def _task(depot: Depot, actor: Actor, uid: UUID, project: int) -> dict[str, Any]:
    missing = NotFound(f"There is no operation {encode.operation_id(uid)} in this project, or it is not yours.")
    try:
        found = tasks.get(depot, actor, uid)
    except EntrepotError as error:
        raise missing from error
    if found.project != project:
        raise missing
    overview = _TASKS[found.state]
    said = str((found.error or {}).get("detail") or f"The task {ids.encode(Noun.TASK, uid)} is {found.state}.")
    changed = found.ended_at or found.started_at or found.created_at
    counts = {overview: 1}
    return encode.operation(uid, found.kind, overview, said, "whole operation", counts, found.created_at, changed)
