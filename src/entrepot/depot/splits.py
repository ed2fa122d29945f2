"""Large files of a consignment, in pieces that come in any order and are joined when all are here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from entrepot.catalog import uploads as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.uploads import UploadRow
from entrepot.depot import lookup, uploads
from entrepot.depot.consigned import (
    PIECE_OF,
    SPLIT,
    WHOLE,
    Coming,
    Split,
    members,
    own,
    require_writing,
    room_for_more,
    split_of,
    still_wanted,
)
from entrepot.depot.consignments import fill
from entrepot.depot.contents import open_content
from entrepot.depot.context import Depot
from entrepot.depot.finishing import ABORTED, OPEN
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid, LengthMismatch, NotFound, WrongState

__all__ = ["abort", "begin", "get", "join"]

#: Pieces of one file, and the size that they are cut for.
MOST_PIECES, PIECE = 1_000, 64 << 20


def get(depot: Depot, actor: Actor, uid: UUID) -> Split:
    """A large file of the caller's own, with its pieces."""
    with depot.catalog.read() as conn:
        return split_of(conn, own(conn, depot, actor, uid, SPLIT))


def begin(depot: Depot, actor: Actor, uid: UUID, path: str, length: int) -> Split:
    """Let a file of a consignment come in pieces. Asking again begins anew beside it.

    Args:
        path: Of the file, or its last segment where that says which.

    Raises:
        NotFound: The consignment has no such file.
        LengthMismatch: It was announced with another length.
        WrongState: It has arrived, or was cancelled.
    """
    user, now, lifetime = lookup.person(actor), depot.now(), depot.policy.upload_lifetime

    def work(conn: Connection) -> Split:
        whole = own(conn, depot, actor, uid, WHOLE)
        file = _named(members(conn, whole, "files"), path)
        if file.state != OPEN or whole.state != OPEN:
            raise WrongState(f"{file.file_name} has arrived already, or was cancelled.")
        if file.length != length:
            raise LengthMismatch(f"{file.file_name} was announced with {file.length} bytes, not {length}.")
        still_wanted(conn, actor, file)
        sizes = _pieces(length)
        room_for_more(conn, depot, user, len(sizes) + 1)
        made = [
            {
                **uploads.fresh(depot, actor, now, lifetime),
                "length": size,
                "project": whole.project,
                "purpose": PIECE_OF,
                "detail": {"version": file.detail["version"]},
            }
            for size in sizes
        ]
        rows.insert_uploads(conn, made)
        # What is sent in pieces takes longer than the addresses of whole files last.
        for row in (whole, file):
            rows.change(conn, row.n, {"expires_at": now + lifetime})
        head = uploads.insert(
            conn,
            depot,
            actor,
            now=now,
            lifetime=lifetime,
            project=whole.project,
            purpose=SPLIT,
            detail={"file": [file.uid.hex], "pieces": [one["uid"].hex for one in made]},
        )
        return split_of(conn, head)

    return depot.catalog.write(work)


def _named(files: Sequence[UploadRow], path: str) -> UploadRow:
    found = [one for one in files if one.file_name == path]
    found = found or [one for one in files if (one.file_name or "").rpartition("/")[2] == path]
    if len(found) != 1:
        raise NotFound(f"This session has no file {lookup.said(path)!r}.")
    return found[0]


def _pieces(length: int) -> list[int]:
    """All of one length, and what remains to the last: so the client cuts it, by nothing but how many there are."""
    count = max(1, min(MOST_PIECES, -(-length // PIECE)))
    each = length // count
    return [*[each] * (count - 1), length - each * (count - 1)]


def join(depot: Depot, actor: Actor, uid: UUID) -> Split:
    """Make the file of its pieces: written once more, as one, and checked. Repeating it is a success.

    Raises:
        Invalid: Pieces are missing; `errors` names them.
    """
    with depot.catalog.read() as conn:
        head = own(conn, depot, actor, uid, SPLIT)
        found = split_of(conn, head)
        pieces = members(conn, head, "pieces")
    if found.file.state is Coming.ARRIVED:
        return found
    missing = [one.number for one in found.pieces if not one.arrived]
    if missing or head.state != OPEN:
        raise Invalid(
            f"{len(missing)} of {len(found.pieces)} pieces are missing, the first is {missing[:1] or 'ended'}.",
            errors=[{"piece": number, "detail": "not uploaded"} for number in missing],
        )
    arrival = fill(depot, actor, found.file.uid)
    try:
        for piece in pieces:
            assert piece.content is not None
            with open_content(depot, piece.content) as reader:
                for block in uploads.blocks_of(reader.read_at, 0, reader.size):
                    arrival.write(block)
        arrival.finish()
    except BaseException:
        arrival.close()
        raise
    _end_split(depot, head, pieces)
    return get(depot, actor, uid)


def abort(depot: Depot, actor: Actor, uid: UUID) -> None:
    """Let go of the pieces. Repeating it is a success."""
    with depot.catalog.read() as conn:
        head = own(conn, depot, actor, uid, SPLIT)
        pieces = members(conn, head, "pieces")
    require_writing(actor)
    _end_split(depot, head, pieces)


def _end_split(depot: Depot, head: UploadRow, pieces: Sequence[UploadRow]) -> None:
    """Nothing holds the bytes of the pieces from here on."""
    over: Mapping[str, Any] = {"state": ABORTED, "content": None, "touched_at": depot.now()}

    def work(conn: Connection) -> None:
        rows.change(conn, head.n, {"state": ABORTED, "touched_at": depot.now()})
        rows.end_many(conn, [one.n for one in pieces], over, whole=True)

    depot.catalog.write(work)
