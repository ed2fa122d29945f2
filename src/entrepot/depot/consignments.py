"""Consignments: a number of files announced at once, which then come one by one by signed PUT.

    begin ──► a PUT for each file ──► each is an entry of the version as soon as it is whole
                └─ large files: split ──► a PUT for each piece ──► join

For clients that know no commits: what one PUT has acknowledged is there, whatever becomes of the others. A PUT that is
cut, or refused because other bytes came than were announced, may be repeated; so may one whose answer was lost.

It is kept in rows of uploads: one for the consignment, which names those of its files; one for each file; one for each
piece of a large one. They are their owner's alone and are swept away when their time is over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from entrepot.catalog import uploads as rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.uploads import UploadRow
from entrepot.catalog.versions import Filter
from entrepot.depot import entries, lines, lookup, uploads
from entrepot.depot.changes import Add, clean_change
from entrepot.depot.contents import open_content
from entrepot.depot.context import Depot
from entrepot.depot.lookup import Key
from entrepot.depot.uploads import ABORTED, FINISHED, OPEN, Receiver
from entrepot.depot.versions import NewVersion, create_in
from entrepot.model import names
from entrepot.model.access import Action, Actor, Standing, require
from entrepot.model.errors import (
    DigestMismatch,
    EntrepotError,
    Gone,
    Invalid,
    LengthMismatch,
    NotFound,
    PreconditionFailed,
    TooLarge,
    WrongState,
)
from entrepot.model.values import Kind, Numbering, Version

__all__ = [
    "Arrival",
    "Coming",
    "Consigned",
    "Consignment",
    "NewConsigned",
    "Piece",
    "Split",
    "abort_split",
    "begin",
    "cancel",
    "fill",
    "get",
    "get_split",
    "join",
    "put_link",
    "split",
]

#: Purposes of the rows.
_WHOLE, _FILE, _SPLIT, _PIECE = "consignment", "consigned", "split", "piece"

#: Files of one consignment.
MOST_FILES = 5_000
#: Pieces of one file, and the least size of all but the last.
MOST_PIECES, PIECE = 1_000, 64 << 20


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


# Beginning


def begin(depot: Depot, actor: Actor, project: Key, into: str, files: Sequence[NewConsigned]) -> Consignment:
    """Announce files for the newest version called `into` of kind files, which is made if there is none.

    Raises:
        Invalid: No file, two of one path, or a path that is none; `errors` names each.
        TooLarge, QuotaExceeded: More files or bytes than are taken.
    """
    clean = _clean(depot, files)
    name = names.dataset_name(into)
    require(actor, Action.UPLOAD, Standing(), "files", visible=True)
    user, now, lifetime = lookup.person(actor), depot.now(), depot.policy.upload_lifetime

    def work(conn: Connection) -> Consignment:
        home = lookup.hold_project(conn, actor, project, Action.CREATE).project
        version = _home(conn, actor, home.n, name)
        if version is None:
            new = NewVersion(name=name, kind=Kind.FILES, numbering=Numbering.NEXT)
            version = create_in(conn, depot, actor, home.n, new, now)
        _room_for_more(conn, depot, user, len(clean) + 1)
        lines.room_for(conn, home, sum(one.length for one in clean))
        made = [
            {
                **uploads.fresh(depot, actor, now, lifetime),
                "length": one.length,
                "crc32c": one.crc32c,
                "file_name": one.path,
                "media": one.media_type,
                "project": home.n,
                "purpose": _FILE,
                "detail": {"version": version.n},
            }
            for one in clean
        ]
        rows.insert_uploads(conn, made)
        whole = uploads.insert(
            conn,
            depot,
            actor,
            now=now,
            lifetime=lifetime,
            project=home.n,
            purpose=_WHOLE,
            detail={"version": version.n, "files": [one["uid"].hex for one in made]},
        )
        return _consignment(conn, whole)

    return depot.catalog.write(work)


def _clean(depot: Depot, files: Sequence[NewConsigned]) -> list[NewConsigned]:
    if not files:
        raise Invalid("Name at least one file to come.")
    if len(files) > MOST_FILES:
        raise TooLarge(f"{MOST_FILES} files are announced at once at most, not {len(files)}.")
    clean: list[NewConsigned] = []
    faults: list[dict[str, Any]] = []
    seen: set[str] = set()
    for i, one in enumerate(files):
        try:
            uploads.check_announced(depot, one.length, None, one.crc32c)
            # Which upload it will be does not matter to the gate.
            put = clean_change(depot, Add(one.path, upload=UUID(int=0), media_type=one.media_type))
            assert isinstance(put, Add)
            if put.path in seen:
                raise Invalid(f"{put.path!r} is named twice.")
            seen.add(put.path)
            clean.append(NewConsigned(put.path, one.length, one.crc32c, put.media_type))
        except EntrepotError as error:
            faults.append({"index": i, "path": lookup.said(one.path), "detail": str(error)})
    if faults:
        raise Invalid(f"Nothing was begun: {faults[0]['detail']}", errors=faults)
    return clean


def _home(conn: Connection, actor: Actor, project: int, name: str) -> Version | None:
    """The newest active version of that name, of kind files, into which the actor may write.

    Raises:
        Frozen: It takes no more.
    """
    wanted = Filter(project=project, name=name, kind=Kind.FILES)
    found = version_rows.page(conn, lookup.sight(actor), wanted, after=None, limit=1)
    if not found:
        return None
    return lookup.writable(lookup.version(conn, actor, found[0].version.n, Action.EDIT), kind=Kind.FILES)


def _room_for_more(conn: Connection, depot: Depot, user: int, more: int) -> None:
    most = depot.limits.open_uploads_per_user
    if rows.count_open(conn, user) + more > most:
        raise TooLarge(f"You may have {most} unfinished uploads; this would be more. Finish or cancel some first.")


# Looking


def get(depot: Depot, actor: Actor, uid: UUID) -> Consignment:
    """A consignment of the caller's own.

    Raises:
        NotFound: There is none, its time is over, or it is somebody else's.
    """
    with depot.catalog.read() as conn:
        return _consignment(conn, _own(conn, depot, actor, uid, _WHOLE))


def get_split(depot: Depot, actor: Actor, uid: UUID) -> Split:
    """A large file of the caller's own, with its pieces."""
    with depot.catalog.read() as conn:
        return _split(conn, _own(conn, depot, actor, uid, _SPLIT))


def _own(conn: Connection, depot: Depot, actor: Actor, uid: UUID, *purposes: str) -> UploadRow:
    row = rows.find(conn, uid=uid)
    mine = row is not None and actor.user is not None and row.owner == actor.user
    if row is None or not mine or row.purpose not in purposes or row.expires_at <= depot.now():
        raise NotFound("There is no such upload session, its time is over, or it is not yours.")
    if actor.projects is not None and row.project not in actor.projects:
        raise NotFound("There is no such upload session, its time is over, or it is not yours.")
    return row


def _members(conn: Connection, row: UploadRow, name: str) -> list[UploadRow]:
    """The rows that a row names, in its order; what was swept is left out."""
    uids = [UUID(hex=one) for one in row.detail[name]]
    found = rows.find_many(conn, uids)
    return [found[uid] for uid in uids if uid in found]


def _consignment(conn: Connection, row: UploadRow) -> Consignment:
    assert row.project is not None
    files = tuple(map(_consigned, _members(conn, row, "files")))
    return Consignment(
        uid=row.uid,
        version=row.detail["version"],
        project=row.project,
        cancelled=row.state == ABORTED,
        files=files,
        created_at=row.created_at,
        touched_at=row.touched_at,
    )


def _consigned(row: UploadRow) -> Consigned:
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


def _split(conn: Connection, row: UploadRow) -> Split:
    assert row.project is not None
    files = _members(conn, row, "file")
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
        for number, one in enumerate(_members(conn, row, "pieces"), 1)
    ]
    return Split(row.uid, row.project, _consigned(files[0]), tuple(pieces))


# Cancelling


def cancel(depot: Depot, actor: Actor, uid: UUID) -> Consignment:
    """Take nothing more. What has arrived stays; repeating it is a success.

    Raises:
        WrongState: Everything has arrived.
    """
    now = depot.now()

    def work(conn: Connection) -> Consignment:
        row = _own(conn, depot, actor, uid, _WHOLE)
        _require_writing(actor)
        rows.hold(conn, row.n)
        files = _members(conn, row, "files")
        if row.state == OPEN and all(one.state == FINISHED for one in files):
            raise WrongState("All files of this session have arrived; there is nothing to cancel.")
        over = {"state": ABORTED, "touched_at": now}
        rows.change(conn, row.n, over, state=OPEN)
        rows.end_many(conn, [one.n for one in files], over)
        return _consignment(conn, _own(conn, depot, actor, uid, _WHOLE))

    return depot.catalog.write(work)


def _require_writing(actor: Actor) -> None:
    require(actor, Action.UPLOAD, Standing(), "files", visible=True)


# One PUT


def put_link(uid: UUID) -> dict[str, Any]:
    """What a signed PUT URL of a file or of a piece names."""
    return {"c": uid.hex}


class Arrival:
    """A PUT of a file or of a piece under way: write its bytes, then `finish`, or `close` to leave nothing behind."""

    def __init__(self, depot: Depot, actor: Actor, row: UploadRow, receiver: Receiver) -> None:
        self._depot = depot
        self._actor = actor
        self._row = row
        self._receiver = receiver

    def write(self, block: bytes | bytearray | memoryview) -> None:
        try:
            self._receiver.write(block)
        except LengthMismatch as wrong:
            self._refuse(wrong)
            raise

    def finish(self) -> Consigned:
        """Check the bytes; a file becomes an entry, a piece waits for the others.

        Raises:
            LengthMismatch, DigestMismatch: They are not what was announced; the PUT may be repeated.
            PreconditionFailed: Others have arrived before.
        """
        row, depot, actor, attempt = self._row, self._depot, self._actor, self._receiver.row
        try:
            if row.length is not None and self._receiver.offset != row.length:
                raise LengthMismatch(f"{row.length} bytes were announced, {self._receiver.offset} came.")
            _, done = self._receiver.finish(lambda conn, content: _arrived(conn, depot, actor, row, attempt, content))
        except (LengthMismatch, DigestMismatch) as wrong:
            self._refuse(wrong)
            raise
        assert isinstance(done, Consigned)
        return done

    def close(self) -> None:
        """Give up, unless finished: what was received is thrown away."""
        self._receiver.discard()
        over = {"state": ABORTED, "expires_at": self._depot.now()}
        self._depot.catalog.write(lambda conn: rows.change(conn, self._receiver.row.n, over, state=OPEN))

    def _refuse(self, wrong: EntrepotError) -> None:
        """Note it, for whoever asks what became of the file; unless it arrives at this moment by another PUT."""
        detail = {**self._row.detail, "error": wrong.message}
        values = {"detail": detail, "touched_at": self._depot.now()}
        self._depot.catalog.write(lambda conn: rows.change(conn, self._row.n, values, state=OPEN))


def fill(depot: Depot, actor: Actor, uid: UUID) -> Arrival:
    """Begin the PUT of a file or of a piece.

    Raises:
        NotFound, Gone: There is nothing to put it into any more.
        Frozen, Trashed: The version takes nothing more.
    """
    now = depot.now()

    def work(conn: Connection) -> tuple[UploadRow, UploadRow]:
        row = _own(conn, depot, actor, uid, _FILE, _PIECE)
        _still_wanted(conn, actor, row)
        attempt = uploads.insert(
            conn,
            depot,
            actor,
            now=now,
            lifetime=depot.policy.slot_lifetime,
            length=row.length,
            crc32c=row.crc32c,
            file_name=row.file_name,
            project=row.project,
            purpose="attempt",
            detail={},
        )
        return row, attempt

    row, attempt = depot.catalog.write(work)
    return Arrival(depot, actor, row, uploads.receive(depot, actor, attempt.uid, 0))


def _still_wanted(conn: Connection, actor: Actor, row: UploadRow) -> None:
    if row.state == ABORTED:
        raise Gone("This upload was cancelled.")
    lookup.writable(lookup.version(conn, actor, row.detail["version"], Action.EDIT), kind=Kind.FILES)


def _arrived(
    conn: Connection, depot: Depot, actor: Actor, row: UploadRow, attempt: UploadRow, content: int
) -> Consigned:
    """The bytes are here: name them, unless an equal PUT whose answer was lost has done it."""
    now = depot.now()
    # Nobody else is to find the attempt; what counts is the row of the file.
    rows.change(conn, attempt.n, {"state": ABORTED, "content": None, "expires_at": now})
    rows.hold(conn, row.n)
    current = rows.find(conn, n=row.n)
    if current is None:
        raise Gone("This upload is over.")
    if current.state == FINISHED:
        if current.content != content:
            raise PreconditionFailed("This file has arrived already, with other bytes.")
        return _consigned(current)
    _still_wanted(conn, actor, current)
    detail = {name: value for name, value in current.detail.items() if name != "error"}
    rows.change(conn, row.n, {"state": FINISHED, "content": content, "detail": detail, "touched_at": now})
    if row.purpose == _FILE:
        put = Add(row.file_name or "", upload=row.uid, media_type=row.media)
        version = current.detail["version"]
        entries.commit_in(conn, depot, actor, version, [put], expected=None, message="", now=now)
    fresh = rows.find(conn, n=row.n)
    assert fresh is not None
    return _consigned(fresh)


# Large files


def split(depot: Depot, actor: Actor, uid: UUID, path: str, length: int) -> Split:
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
        whole = _own(conn, depot, actor, uid, _WHOLE)
        file = _named(_members(conn, whole, "files"), path)
        if file.state != OPEN or whole.state != OPEN:
            raise WrongState(f"{file.file_name} has arrived already, or was cancelled.")
        if file.length != length:
            raise LengthMismatch(f"{file.file_name} was announced with {file.length} bytes, not {length}.")
        _still_wanted(conn, actor, file)
        sizes = _pieces(length)
        _room_for_more(conn, depot, user, len(sizes) + 1)
        made = [
            {
                **uploads.fresh(depot, actor, now, lifetime),
                "length": size,
                "project": whole.project,
                "purpose": _PIECE,
                "detail": {"version": file.detail["version"]},
            }
            for size in sizes
        ]
        rows.insert_uploads(conn, made)
        head = uploads.insert(
            conn,
            depot,
            actor,
            now=now,
            lifetime=lifetime,
            project=whole.project,
            purpose=_SPLIT,
            detail={"file": [file.uid.hex], "pieces": [one["uid"].hex for one in made]},
        )
        return _split(conn, head)

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
        head = _own(conn, depot, actor, uid, _SPLIT)
        found = _split(conn, head)
        pieces = _members(conn, head, "pieces")
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
    return get_split(depot, actor, uid)


def abort_split(depot: Depot, actor: Actor, uid: UUID) -> None:
    """Let go of the pieces. Repeating it is a success."""
    with depot.catalog.read() as conn:
        head = _own(conn, depot, actor, uid, _SPLIT)
        pieces = _members(conn, head, "pieces")
    _require_writing(actor)
    _end_split(depot, head, pieces)


def _end_split(depot: Depot, head: UploadRow, pieces: Sequence[UploadRow]) -> None:
    """Nothing holds the bytes of the pieces from here on."""
    over: Mapping[str, Any] = {"state": ABORTED, "content": None, "touched_at": depot.now()}

    def work(conn: Connection) -> None:
        rows.change(conn, head.n, {"state": ABORTED, "touched_at": depot.now()})
        rows.end_many(conn, [one.n for one in pieces], over, whole=True)

    depot.catalog.write(work)
