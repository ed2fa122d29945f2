"""Restartable transfers: the way of a byte from a door to an immutable object.

    begin ──► receive ──► write … write ──► close        any number of times, from any process on this machine
                                      └──► finish        compare, sync, place; then one transaction: content, upload

`finish` places the bytes first and names them second. A crash in between leaves bytes that the upload's row knows;
finishing again picks them up, and the sweep removes them when the upload expires.

An upload belongs to the user who began it. What it becomes is named in `purpose`:

    content    nothing yet; a commit refers to it
    slot       a file of a version that waits for its ingest
    part       a piece that a concatenation will be made of
    batch      many small files in one body; a commit refers to one of them by the upload and its digest
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from entrepot.catalog import contents as content_rows
from entrepot.catalog import uploads as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.uploads import UploadRow as UploadRow
from entrepot.depot import lines, lookup, paging
from entrepot.depot.contents import open_content
from entrepot.depot.context import Depot
from entrepot.depot.finishing import ABORTED as ABORTED
from entrepot.depot.finishing import FINISHED as FINISHED
from entrepot.depot.finishing import OPEN as OPEN
from entrepot.depot.finishing import blocks_of as blocks_of
from entrepot.depot.finishing import settle as settle
from entrepot.depot.finishing import settle_stage, with_offset
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor, Standing, require
from entrepot.model.digests import Digests
from entrepot.model.errors import (
    Conflict,
    DigestMismatch,
    Gone,
    InProgress,
    Invalid,
    LengthMismatch,
    NotFound,
    OffsetMismatch,
    TooLarge,
    WrongState,
)
from entrepot.model.ids import Noun
from entrepot.model.values import Page
from entrepot.store.base import Block, DirectAccess, Stage

#: A true sync, and the offset it reached written down, this often while bytes arrive.
_MARK = 64 << 20

#: Of uploads that hold many contents.
BATCH = "batch"

#: What has a way in of its own.
_ELSEWHERE = frozenset({"slot", "consignment", "consigned", "split", "piece", "parcel"})

#: Expired uploads that the sweep reads at once.
_SWEEP_PAGE = 200


@dataclass(frozen=True, slots=True)
class NewUpload:
    """What is known before the first byte. None is not announced.

    Args:
        length: Bytes; may be told later, once.
        sha256: 32 raw bytes, compared before the upload counts as finished.
        crc32c: Likewise.
    """

    length: int | None = None
    sha256: bytes | None = None
    crc32c: int | None = None
    file_name: str | None = None
    media_type: str | None = None
    project: lookup.Key | str | None = None
    purpose: str = "content"
    detail: Mapping[str, Any] | None = None


def begin(depot: Depot, actor: Actor, new: NewUpload) -> UploadRow:
    """Make room for a transfer.

    Raises:
        TooLarge: The announced length is beyond this server's limit, or the person has too many open transfers.
        QuotaExceeded: The named project has no room for it.
    """
    user = may_send(depot, actor, new)
    now = depot.now()
    file_name = None if new.file_name is None else names.text(new.file_name, max_length=1024, field="File name")
    media = None if new.media_type is None else names.media_type(new.media_type)

    def work(conn: Connection) -> UploadRow:
        home = None
        if new.project is not None:
            home = lookup.active_project(conn, actor, new.project, Action.CREATE).project
            lines.room_for(conn, home, new.length or 0)
        if rows.count_open(conn, user) >= depot.limits.open_uploads_per_user:
            raise TooLarge(
                f"You have {depot.limits.open_uploads_per_user} unfinished uploads. Finish or delete some first."
            )
        return insert(
            conn,
            depot,
            actor,
            now=now,
            lifetime=depot.policy.upload_lifetime,
            length=new.length,
            sha256=new.sha256,
            crc32c=new.crc32c,
            file_name=file_name,
            media=media,
            project=None if home is None else home.n,
            purpose=new.purpose,
            detail=dict(new.detail or {}),
        )

    return depot.catalog.write(work)


def may_send(depot: Depot, actor: Actor, new: NewUpload) -> int:
    """The number of whoever sends; what can be judged without a look at the catalogue is judged here.

    Raises:
        Unauthenticated, Forbidden, Invalid, TooLarge
    """
    user = lookup.person(actor)
    require(actor, Action.UPLOAD, Standing(), "files", visible=True)
    check_announced(depot, new.length, new.sha256, new.crc32c)
    return user


def insert(
    conn: Connection, depot: Depot, actor: Actor, *, now: datetime, lifetime: timedelta, **values: Any
) -> UploadRow:
    """A fresh, open upload of the actor in the caller's transaction."""
    return rows.insert_upload(conn, **fresh(depot, actor, now, lifetime), **values)


def fresh(depot: Depot, actor: Actor, now: datetime, lifetime: timedelta) -> dict[str, Any]:
    """The columns of an open upload into which nothing came yet."""
    return {
        "uid": depot.new_uid(),
        "owner": actor.user,
        "token": actor.token,
        "state": OPEN,
        "key": depot.new_key(),
        "boot_id": depot.boot(),
        "created_at": now,
        "touched_at": now,
        "expires_at": now + lifetime,
    }


def check_announced(depot: Depot, length: int | None, sha256: bytes | None, crc32c: int | None) -> None:
    """What was told of bytes before they come, if any bytes could be so.

    Raises:
        Invalid, TooLarge
    """
    _check_length(depot, length)
    if sha256 is not None and len(sha256) != 32:
        raise Invalid(f"A SHA-256 has 32 bytes, not {len(sha256)}.")
    if crc32c is not None and not 0 <= crc32c < 2**32:
        raise Invalid(f"A CRC-32C has 32 bits; it cannot be {lookup.said(crc32c)}.")


def _check_length(depot: Depot, length: int | None) -> None:
    if length is None:
        return
    if length < 0:
        raise Invalid(f"An upload has 0 or more bytes, not {lookup.said(length)}.")
    # Without a limit of the operator's there is still one: what file systems and databases count with.
    most = 2**63 - 1 if depot.limits.upload_size is None else depot.limits.upload_size
    if length > most:
        raise TooLarge(f"An upload may have {most} bytes here, not {lookup.said(length)}.")


def get(depot: Depot, actor: Actor, uid: UUID) -> UploadRow:
    """The upload with the offset that a sender should continue at.

    A sender that reads its own length here takes the upload for complete and commits it. So if a crash came between
    the last byte and its naming, it is finished now; bytes that turn out to be wrong start again at 0.

    Raises:
        NotFound: There is none, or it is somebody else's.
        Gone: It expired or was ended.
        InProgress: All bytes are here, and somebody is checking and naming them at this moment.
    """
    row = _look(depot, actor, uid)
    if row.state == FINISHED or row.received != row.length:
        return row
    try:
        return settle(depot, row)[0]
    except DigestMismatch:
        return replace(row, received=0, durable=0)
    except WrongState:
        raise
    except Conflict as error:
        raise InProgress(
            f"All bytes of upload {ids.encode(Noun.UPLOAD, uid)} are here and are being checked. Ask again.",
            details={"retry_after_s": 1},
        ) from error


def _look(depot: Depot, actor: Actor, uid: UUID) -> UploadRow:
    with depot.catalog.read() as conn:
        row = own(conn, actor, uid)
    require_alive(depot, row)
    return with_offset(depot, row)


def own(conn: Connection, actor: Actor, uid: UUID) -> UploadRow:
    """The actor's upload, in whatever state.

    Raises:
        NotFound: There is none, or it is somebody else's, or has a way in of its own.
    """
    row = rows.find(conn, uid=uid)
    # Slots and consignments are filled by their own way in, which asks whether the version still takes files.
    # A batch comes in one request; while that is under way nobody else has anything to do with it.
    if (
        row is None
        or actor.user is None
        or row.owner != actor.user
        or row.purpose in _ELSEWHERE
        or (row.purpose == BATCH and row.state == OPEN)
    ):
        raise NotFound(f"There is no upload {ids.encode(Noun.UPLOAD, uid)}, or it is not yours.")
    return row


def require_alive(depot: Depot, row: UploadRow) -> None:
    """
    Raises:
        Gone: It was ended, or is out of date.
    """
    name = ids.encode(Noun.UPLOAD, row.uid)
    if row.state == ABORTED:
        raise Gone(f"Upload {name} was ended. Begin another.")
    if row.expires_at <= depot.now():
        raise Gone(f"Upload {name} expired at {row.expires_at.isoformat()}. Begin another.")


def list_uploads(depot: Depot, actor: Actor, *, cursor: str | None = None, limit: int = 100) -> Page[UploadRow]:
    """The caller's unfinished and uncommitted uploads, newest first."""
    user = lookup.person(actor)
    size, question = paging.size(depot, limit), f"uploads:{user}"
    seen = paging.after(cursor, question, int)
    with depot.catalog.read() as conn:
        found = rows.of_owner(conn, user, before=None if seen is None else seen[0], limit=size + 1)
    page = paging.page(found, size, question, lambda row: (row.n,))
    return Page(tuple(with_offset(depot, row) for row in page.rows), page.cursor)


def declare_length(depot: Depot, actor: Actor, uid: UUID, length: int) -> UploadRow:
    """Tell the length of an upload that was begun without one. Telling the same again is fine.

    Raises:
        LengthMismatch: Another length was told before, or more bytes are here already.
    """
    _check_length(depot, length)
    row = _look(depot, actor, uid)

    def work(conn: Connection) -> UploadRow:
        rows.hold(conn, row.n)
        now = own(conn, actor, uid)
        if now.state != OPEN and now.content_size != length:
            raise WrongState(f"Upload {ids.encode(Noun.UPLOAD, uid)} is {now.state}; its length is known.")
        if now.length is not None and now.length != length:
            raise LengthMismatch(f"The upload was announced with {now.length} bytes; it cannot become {length}.")
        if row.received > length:
            raise LengthMismatch(f"{row.received} bytes are here already; the length cannot be {length}.")
        rows.change(conn, now.n, {"length": length, "touched_at": depot.now()})
        return replace(now, length=length, received=row.received)

    return depot.catalog.write(work)


# Receiving


class Receiver:
    """The one writer into an upload for as long as it is open. `write` runs in worker threads, one at a time.

    Args:
        whole: All of it comes now, or nobody asks for it again: then nothing is synced on the way for who might go on.
    """

    def __init__(self, depot: Depot, row: UploadRow, stage: Stage, *, whole: bool = False) -> None:
        self._depot = depot
        self._row = row
        self._stage = stage
        self._whole = whole
        self._marked = self._began = stage.size
        self._touched_at = row.touched_at
        #: As the row has it. After a power cut nothing of it counts: the offset may be reached once more.
        self._noted = row.received if row.boot_id == depot.boot() else None
        self._closed = False

    @property
    def row(self) -> UploadRow:
        return self._row

    @property
    def offset(self) -> int:
        return self._stage.size

    @property
    def size(self) -> int:
        """Bytes that were received, as a content has a size."""
        return self._stage.size

    def write(self, block: Block) -> None:
        """Append one block.

        Raises:
            LengthMismatch: It reaches beyond the announced length; nothing of it is kept.
            TooLarge: It reaches beyond the server's limit.
        """
        end = self._stage.size + len(block)
        if self._row.length is not None and end > self._row.length:
            raise LengthMismatch(
                f"The upload was announced with {self._row.length} bytes; this block would make it {end}.",
                details={"offset": self._stage.size, "length": self._row.length},
            )
        limit = self._depot.limits.upload_size
        if limit is not None and end > limit:
            raise TooLarge(f"An upload may have {limit} bytes here; this block would make it {end}.")
        self._stage.write(block)
        if self._stage.size - self._marked >= _MARK:
            self._mark()

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes that were received before, fewer where they end: to compare what is sent again."""
        return self._stage.read_at(offset, length)

    def _mark(self) -> None:
        self._marked = self._stage.size
        if not self._whole:
            self._note(self._stage.sync())
        elif self._depot.now() - self._touched_at > self._lifetime / 4:
            # A body that comes slowly must not run out of time under way.
            self._note(self._stage.durable)

    @property
    def _lifetime(self) -> timedelta:
        return self._row.expires_at - self._row.touched_at

    def _note(self, durable: int) -> None:
        now = self._depot.now()
        size = self._stage.size
        values: dict[str, Any] = {"received": size, "durable": durable, "boot_id": self._depot.boot()}
        if size > self._began:
            # Who sends nothing, or what is refused, does not keep an upload alive.
            values |= {"touched_at": now, "expires_at": now + self._lifetime}
        self._depot.catalog.write(lambda conn: rows.change(conn, self._row.n, values, state=OPEN))
        self._noted, self._touched_at = size, now

    def digests(self) -> Digests:
        return self._stage.digests()

    def close(self) -> int:
        """Let go and keep the bytes; answers the offset. May be repeated."""
        if not self._closed:
            self._closed = True
            durable = self._stage.durable
            self._stage.release()
            if self._stage.size != self._noted:
                self._note(durable)
        return self._stage.size

    def finish(
        self, also: Callable[[Connection, int], Any] | None = None, *, over: Mapping[str, Any] | None = None
    ) -> tuple[UploadRow, Any]:
        """Check, place and name what was received; see `finish`. The receiver is closed afterwards either way.

        Args:
            over: As `settle_stage`.
        """
        try:
            return settle_stage(self._depot, self._row, self._stage, also, over=over)
        finally:
            self._closed = True
            self._stage.release()

    def discard(self) -> None:
        self._closed = True
        self._stage.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def receive_first(depot: Depot, row: UploadRow) -> Receiver:
    """Become the writer of an upload of which nobody else knows, and into which nothing came yet."""
    return Receiver(depot, row, depot.staging.create(row.key), whole=True)


def receive(depot: Depot, actor: Actor, uid: UUID, offset: int, *, whole: bool = False) -> Receiver:
    """Become the writer of an upload at `offset`.

    Args:
        whole: As for `Receiver`.

    Raises:
        OffsetMismatch: The upload is elsewhere; `details["offset"]` says where.
        WrongState: It is finished already, or another writer holds it (retry then).
        Gone: It expired or was aborted.
    """
    with depot.catalog.read() as conn:
        row = own(conn, actor, uid)
    require_alive(depot, row)
    if row.state == FINISHED:
        raise WrongState(f"Upload {ids.encode(Noun.UPLOAD, uid)} is complete; it takes no more bytes.")
    stage = stage_of(depot, row)
    if stage.size != offset:
        at = stage.size
        stage.release()
        raise OffsetMismatch(
            f"Upload {ids.encode(Noun.UPLOAD, uid)} is at offset {at}, not {offset}. Resume from {at}.",
            details={"offset": at},
        )
    return Receiver(depot, row, stage, whole=whole)


def stage_of(depot: Depot, row: UploadRow) -> Stage:
    """The staged bytes of an open upload, held.

    Raises:
        Conflict: Somebody else holds them; `details["retry"]` is true.
        WrongState: They are placed already.
    """
    try:
        return depot.staging.resume(row.key, durable=row.durable, boot_id=row.boot_id)
    except NotFound:
        if depot.store.stat(row.key) is not None:
            raise WrongState(
                f"Upload {ids.encode(Noun.UPLOAD, row.uid)} has all its bytes; finish it instead of sending more."
            ) from None
        return depot.staging.create(row.key)


# Finishing


def finish(
    depot: Depot, actor: Actor, uid: UUID, also: Callable[[Connection, int], Any] | None = None
) -> tuple[UploadRow, Any]:
    """Check the bytes against what was announced, make them durable and name them. Repeating it is a success.

    Args:
        also: Runs in the transaction that names the content, with its number: what the bytes become. May run twice.

    Raises:
        LengthMismatch: Fewer bytes than announced; send the rest.
        DigestMismatch: Other bytes than announced; they are thrown away.
    """
    with depot.catalog.read() as conn:
        row = own(conn, actor, uid)
    require_alive(depot, row)
    return settle(depot, row, also)


def abort(depot: Depot, actor: Actor, uid: UUID) -> None:
    """End an upload and free its space. What was committed from it stays."""
    with depot.catalog.read() as conn:
        row = own(conn, actor, uid)
    require_alive(depot, row)

    over = depot.now()
    if "direct_until" in row.detail:
        # Until then something may still arrive, and only this row tells where.
        over = max(over, datetime.fromisoformat(row.detail["direct_until"]))

    def work(conn: Connection) -> None:
        rows.change(conn, row.n, {"state": ABORTED, "expires_at": over, "content": None})
        rows.let_members_go(conn, row.n)

    depot.catalog.write(work)
    depot.staging.discard(row.key)


def concatenate(depot: Depot, actor: Actor, parts: list[UUID], new: NewUpload) -> UploadRow:
    """Make one upload of several finished ones, in that order; the parts stay usable until they expire.

    The bytes are written once more, as one object, and checked like any other upload.
    """
    with depot.catalog.read() as conn:
        found = [own(conn, actor, uid) for uid in parts]
    for part in found:
        require_alive(depot, part)
        if part.state != FINISHED or part.content is None:
            raise WrongState(f"Part {ids.encode(Noun.UPLOAD, part.uid)} is not complete yet.")
    made = begin(depot, actor, new)
    with receive(depot, actor, made.uid, 0) as receiver:
        for part in found:
            assert part.content is not None
            with open_content(depot, part.content) as reader:
                for block in blocks_of(reader.read_at, 0, reader.size):
                    receiver.write(block)
        return receiver.finish()[0]


def sweep(depot: Depot, *, limit: int = 1000) -> int:
    """Remove uploads whose time is over, with their staged bytes; answers how many. Run by the worker.

    The row goes last: while it exists a crash anywhere is finished by the next sweep.
    """
    removed, after = 0, 0
    while removed < limit:
        with depot.catalog.read() as conn:
            over = rows.expired(conn, depot.now(), min(limit, _SWEEP_PAGE), after=after)
        if not over:
            break
        removed += sum(_remove(depot, row) for row in over)
        after = over[-1].n
    return removed


def _remove(depot: Depot, row: UploadRow) -> bool:
    now = depot.now()
    if not depot.catalog.write(lambda conn: rows.abort_expired(conn, row.n, now)):
        # Somebody went on with it or finished it at this very moment, and with that it has more time.
        return False
    # Whoever still writes into it, or is about to place it, fails from here on.
    depot.staging.discard(row.key)
    # Placed and never named, because a crash came between, or because equal bytes were named meanwhile and the upload
    # then pointed at those: nobody but this row knows the object.
    keys = [row.key, *row.detail.get("taken", ())]
    with depot.catalog.read() as conn:
        unnamed = [key for key in keys if not content_rows.object_known(conn, depot.store.name, key)]
    for key in unnamed:
        depot.store.delete(key)
    if "direct_until" in row.detail and isinstance(depot.store, DirectAccess):
        depot.store.forget_arrival(row.key)
    depot.catalog.write(lambda conn: rows.remove(conn, row.n))
    return True
