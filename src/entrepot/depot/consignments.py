"""Consignments: a number of files announced at once, which then come one by one by signed PUT.

    begin ──► a PUT for each file ──► each is an entry of the version as soon as it is whole
                └─ large files, in `splits`: a PUT for each piece ──► join

For clients that know no commits: what one PUT has acknowledged is there, whatever becomes of the others. A PUT that is
cut, or refused because other bytes came than were announced, may be repeated; so may one whose answer was lost.

It is kept in rows of uploads: one for the consignment, which names those of its files; one for each file; one for each
piece of a large one. They are their owner's alone and are swept away when their time is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from entrepot.catalog import uploads as rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.uploads import UploadRow
from entrepot.catalog.versions import Filter
from entrepot.depot import entries, lines, lookup, uploads
from entrepot.depot.arriving import OnePut, attempt
from entrepot.depot.changes import Add, clean_change
from entrepot.depot.consigned import (
    FILE,
    MOST_FILES,
    PIECE_OF,
    WHOLE,
    consigned_of,
    consignment_of,
    members,
    own,
    require_writing,
    room_for_more,
    still_wanted,
)
from entrepot.depot.consigned import Coming as Coming
from entrepot.depot.consigned import Consigned as Consigned
from entrepot.depot.consigned import Consignment as Consignment
from entrepot.depot.consigned import NewConsigned as NewConsigned
from entrepot.depot.context import Depot
from entrepot.depot.lookup import Key
from entrepot.depot.recognising import Head
from entrepot.depot.refusing import is_on, require_good
from entrepot.depot.uploads import ABORTED, FINISHED, OPEN, Receiver
from entrepot.depot.versions import NewVersion, create_in
from entrepot.model import names
from entrepot.model.access import Action, Actor, Standing, require
from entrepot.model.errors import (
    EntrepotError,
    Gone,
    Invalid,
    PreconditionFailed,
    TooLarge,
    WrongState,
)
from entrepot.model.values import Kind, Numbering, Version

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
    user, now, lifetime = lookup.person(actor), depot.now(), depot.policy.slot_lifetime

    def work(conn: Connection) -> Consignment:
        home = lookup.hold_project(conn, actor, project, Action.CREATE).project
        version = _home(conn, actor, home.n, name)
        if version is None:
            new = NewVersion(name=name, kind=Kind.FILES, numbering=Numbering.NEXT)
            version = create_in(conn, depot, actor, home.n, new, now)
        room_for_more(conn, depot, user, len(clean) + 1)
        lines.room_for(conn, home, sum(one.length for one in clean))
        made = [
            {
                **uploads.fresh(depot, actor, now, lifetime),
                "length": one.length,
                "crc32c": one.crc32c,
                "file_name": one.path,
                "media": one.media_type,
                "project": home.n,
                "purpose": FILE,
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
            purpose=WHOLE,
            detail={"version": version.n, "files": [one["uid"].hex for one in made]},
        )
        return consignment_of(conn, whole)

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


# Looking


def get(depot: Depot, actor: Actor, uid: UUID) -> Consignment:
    """A consignment of the caller's own.

    Raises:
        NotFound: There is none, its time is over, or it is somebody else's.
    """
    with depot.catalog.read() as conn:
        return consignment_of(conn, own(conn, depot, actor, uid, WHOLE))


# Cancelling


def cancel(depot: Depot, actor: Actor, uid: UUID) -> Consignment:
    """Take nothing more. What has arrived stays; repeating it is a success.

    Raises:
        WrongState: Everything has arrived.
    """
    now = depot.now()

    def work(conn: Connection) -> Consignment:
        row = own(conn, depot, actor, uid, WHOLE)
        require_writing(actor)
        rows.hold(conn, row.n)
        files = members(conn, row, "files")
        if row.state == OPEN and all(one.state == FINISHED for one in files):
            raise WrongState("All files of this session have arrived; there is nothing to cancel.")
        over = {"state": ABORTED, "touched_at": now}
        rows.change(conn, row.n, over, state=OPEN)
        rows.end_many(conn, [one.n for one in files], over)
        return consignment_of(conn, own(conn, depot, actor, uid, WHOLE))

    return depot.catalog.write(work)


# One PUT


def put_link(uid: UUID) -> dict[str, Any]:
    """What a signed PUT URL of a file or of a piece names."""
    return {"c": uid.hex}


class Arrival(OnePut):
    """A PUT of a file or of a piece under way."""

    _refused = (Invalid,)

    def __init__(self, depot: Depot, actor: Actor, row: UploadRow, receiver: Receiver, refuses: bool = False) -> None:
        super().__init__(depot, actor, row, receiver)
        self._head = Head()
        self._refuses = refuses

    def write(self, block: bytes | bytearray | memoryview) -> None:
        self._head.take(block)
        super().write(block)

    def finish(self) -> Consigned:
        """Check the bytes; a file becomes an entry, a piece waits for the others.

        Raises:
            Invalid: The file is bad, and its project refuses such files.
            LengthMismatch, DigestMismatch: They are not what was announced; the PUT may be repeated.
            PreconditionFailed: Others have arrived before.
        """
        row, depot, actor, put = self._row, self._depot, self._actor, self._receiver.row
        kind = self._head.guess(depot, row.file_name or "")

        def judge() -> None:
            if self._refuses:
                require_good(depot, row.file_name or "", self._receiver, kind)

        done = self._finish(lambda conn, content: _arrived(conn, depot, actor, row, put, content, kind), judge)
        assert isinstance(done, Consigned)
        return done

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

    def work(conn: Connection) -> tuple[UploadRow, UploadRow, bool]:
        row = own(conn, depot, actor, uid, FILE, PIECE_OF)
        still_wanted(conn, actor, row)
        refuses = row.purpose == FILE and row.project is not None and is_on(conn, depot, row.project)
        return row, attempt(conn, depot, actor, row), refuses

    row, put, refuses = depot.catalog.write(work)
    return Arrival(depot, actor, row, uploads.receive(depot, actor, put.uid, 0, whole=True), refuses)


def _arrived(
    conn: Connection,
    depot: Depot,
    actor: Actor,
    row: UploadRow,
    put: UploadRow,
    content: int,
    data_type: str | None,
) -> Consigned:
    """The bytes are here: name them, unless an equal PUT whose answer was lost has done it."""
    now = depot.now()
    # Nobody else is to find the attempt; what counts is the row of the file.
    rows.change(conn, put.n, {"state": ABORTED, "content": None, "expires_at": now})
    rows.hold(conn, row.n)
    current = rows.find(conn, n=row.n)
    if current is None:
        raise Gone("This upload is over.")
    if current.state == FINISHED:
        if current.content != content:
            raise PreconditionFailed("This file has arrived already, with other bytes.")
        return consigned_of(current)
    still_wanted(conn, actor, current)
    detail = {name: value for name, value in current.detail.items() if name != "error"}
    rows.change(conn, row.n, {"state": FINISHED, "content": content, "detail": detail, "touched_at": now})
    if row.purpose == FILE:
        add = Add(row.file_name or "", upload=row.uid, media_type=row.media, data_type=data_type)
        version = current.detail["version"]
        entries.commit_in(conn, depot, actor, version, [add], expected=None, message="", now=now)
    fresh = rows.find(conn, n=row.n)
    assert fresh is not None
    return consigned_of(fresh)
