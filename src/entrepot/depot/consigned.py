"""What a consignment is, and the rows that keep it: shared by what begins and fills it and by what cuts large files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from entrepot.catalog import uploads as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.uploads import UploadRow
from entrepot.depot import lookup
from entrepot.depot.context import Depot
from entrepot.depot.finishing import ABORTED, FINISHED
from entrepot.model.access import Action, Actor, Standing, require
from entrepot.model.errors import Gone, NotFound, TooLarge
from entrepot.model.values import Kind

#: Purposes of the rows.
WHOLE, FILE, SPLIT, PIECE_OF = "consignment", "consigned", "split", "piece"

#: Files of one consignment.
MOST_FILES = 5_000


class Coming(StrEnum):
    """What became of a file, or of the whole."""

    WAITING = "waiting"
    ARRIVED = "arrived"
    REFUSED = "refused"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class NewConsigned:
    """One file that will come.

    Args:
        crc32c: None is not announced.
    """

    path: str
    length: int
    crc32c: int | None = None
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Consigned:
    """One file of a consignment. `error` is why its last PUT was refused; another one may still come."""

    uid: UUID
    path: str
    length: int
    crc32c: int | None
    media_type: str | None
    state: Coming
    error: str | None
    sha256: bytes | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Consignment:
    """All its files in the order in which they were announced."""

    uid: UUID
    version: int
    project: int
    cancelled: bool
    files: tuple[Consigned, ...]
    created_at: datetime
    touched_at: datetime

    def count(self, state: Coming) -> int:
        return sum(one.state is state for one in self.files)


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of a large file, counted from 1."""

    uid: UUID
    number: int
    length: int
    arrived: bool
    sha256: bytes | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Split:
    """A large file that comes in pieces: all of the same length but the last, which takes what remains."""

    uid: UUID
    project: int
    file: Consigned
    pieces: tuple[Piece, ...]


def own(conn: Connection, depot: Depot, actor: Actor, uid: UUID, *purposes: str) -> UploadRow:
    row = rows.find(conn, uid=uid)
    mine = row is not None and actor.user is not None and row.owner == actor.user
    if row is None or not mine or row.purpose not in purposes or row.expires_at <= depot.now():
        raise NotFound("There is no such upload session, its time is over, or it is not yours.")
    if actor.projects is not None and row.project not in actor.projects:
        raise NotFound("There is no such upload session, its time is over, or it is not yours.")
    return row


def members(conn: Connection, row: UploadRow, name: str) -> list[UploadRow]:
    """The rows that a row names, in its order; what was swept is left out."""
    uids = [UUID(hex=one) for one in row.detail[name]]
    found = rows.find_many(conn, uids)
    return [found[uid] for uid in uids if uid in found]


def consignment_of(conn: Connection, row: UploadRow) -> Consignment:
    assert row.project is not None
    files = tuple(map(consigned_of, members(conn, row, "files")))
    return Consignment(
        uid=row.uid,
        version=row.detail["version"],
        project=row.project,
        cancelled=row.state == ABORTED,
        files=files,
        created_at=row.created_at,
        touched_at=row.touched_at,
    )


def consigned_of(row: UploadRow) -> Consigned:
    error = row.detail.get("error")
    state = Coming.WAITING if error is None else Coming.REFUSED
    if row.state == FINISHED:
        state = Coming.ARRIVED
    elif row.state == ABORTED:
        state = Coming.CANCELLED
    return Consigned(
        uid=row.uid,
        path=row.file_name or "",
        length=row.length or 0,
        crc32c=row.crc32c,
        media_type=row.media,
        state=state,
        error=None if state is Coming.ARRIVED else error,
        sha256=row.content_sha256,
        expires_at=row.expires_at,
    )


def split_of(conn: Connection, row: UploadRow) -> Split:
    assert row.project is not None
    files = members(conn, row, "file")
    if not files:
        raise NotFound("The file of this upload is gone.")
    pieces = [
        Piece(
            uid=one.uid,
            number=number,
            length=one.length or 0,
            arrived=one.state == FINISHED,
            sha256=one.content_sha256,
            expires_at=one.expires_at,
        )
        for number, one in enumerate(members(conn, row, "pieces"), 1)
    ]
    return Split(row.uid, row.project, consigned_of(files[0]), tuple(pieces))


def room_for_more(conn: Connection, depot: Depot, user: int, more: int) -> None:
    most = depot.limits.open_uploads_per_user
    if rows.count_open(conn, user) + more > most:
        raise TooLarge(f"You may have {most} unfinished uploads; this would be more. Finish or cancel some first.")


def require_writing(actor: Actor) -> None:
    require(actor, Action.UPLOAD, Standing(), "files", visible=True)


def still_wanted(conn: Connection, actor: Actor, row: UploadRow) -> None:
    if row.state == ABORTED:
        raise Gone("This upload was cancelled.")
    lookup.writable(lookup.version(conn, actor, row.detail["version"], Action.EDIT), kind=Kind.FILES)
