"""Files that come in chunks, none of which says how long the whole is, and that become a version with their last one.

    begin ──► receive: write … close          for each chunk, any of which may come again
                       write … finish         the last one: bytes, version and its revision in one transaction

A chunk says where it begins. What of it is here already has to be what came before; the rest is appended, so a chunk
that was cut off or whose answer was lost is simply sent again. The same holds for the last one: its row is kept for a
while with the version that it made, and a repeat gets that version again.

A version may be made of several such files: those before the last one wait as finished parcels, and the last names
them. Archives that are to be unpacked come this way too; see `depot.crates`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from entrepot.catalog import entries as entry_rows
from entrepot.catalog import projects as project_rows
from entrepot.catalog import uploads as rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.uploads import UploadRow
from entrepot.depot import crates, entries, lines, lookup, trash, uploads, versions
from entrepot.depot.contents import ContentReader, open_content
from entrepot.depot.context import Depot
from entrepot.depot.crates import Crate
from entrepot.depot.finishing import FINISHED, OPEN
from entrepot.depot.lookup import Key
from entrepot.depot.projects import default_in
from entrepot.depot.recognising import guess_named
from entrepot.depot.refusing import require_good_arrival
from entrepot.depot.uploads import NewUpload, Receiver
from entrepot.depot.versions import NewVersion
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor
from entrepot.model.errors import EntrepotError, Invalid, NotFound, TooLarge
from entrepot.model.ids import Noun
from entrepot.model.values import Numbering, State, Version
from entrepot.store.base import Block

__all__ = ["Arrival", "NewParcel", "Progress", "Whole", "begin", "look", "receive"]

PARCEL = "parcel"

#: Files of which one version may be made this way.
MOST = 100


@dataclass(frozen=True, slots=True)
class NewParcel:
    """What the first chunk tells.

    Args:
        name: Of the file: its path in the version, and the version's name where nothing else is said.
        data_type: As declared; kept on the entry.
        archive: It is to be unpacked when it is whole.
        project: None takes the caller's default project.
    """

    name: str
    data_type: str | None = None
    archive: bool = False
    project: Key | str | None = None


@dataclass(frozen=True, slots=True)
class Whole:
    """What becomes of a parcel with its last byte.

    Args:
        name: Of the version; None takes the file's.
        previous: Parcels of the same sender that are whole already: their files come first, in this order.
    """

    name: str | None = None
    previous: Sequence[UUID] = ()
    custom: Mapping[str, Any] | None = None
    properties: Mapping[str, Any] | None = None
    description: str = ""


def begin(depot: Depot, actor: Actor, new: NewParcel) -> UploadRow:
    """Make room for a file that will become a version of a project.

    Raises:
        InvalidName: The name cannot be that of a file.
        Forbidden, NotFound, Trashed: The project takes no versions of the caller.
        TooLarge, QuotaExceeded
    """
    name = names.file_name(new.name)
    if new.archive:
        crates.kind_for(name)
    user = uploads.may_send(depot, actor, NewUpload())
    now, detail = depot.now(), {"data_type": new.data_type, "archive": new.archive}

    def work(conn: Connection) -> UploadRow:
        key = default_in(conn, actor).n if new.project is None else new.project
        home = lookup.active_project(conn, actor, key, Action.CREATE).project
        lines.room_for(conn, home, 0)
        if rows.count_open(conn, user) >= depot.limits.open_uploads_per_user:
            raise TooLarge(
                f"You have {depot.limits.open_uploads_per_user} unfinished uploads. Finish some, or wait until they "
                "expire."
            )
        return uploads.insert(
            conn,
            depot,
            actor,
            now=now,
            lifetime=depot.policy.parcel_lifetime,
            file_name=name,
            project=home.n,
            purpose=PARCEL,
            detail=detail,
        )

    return depot.catalog.write(work)


def receive(depot: Depot, actor: Actor, uid: UUID, offset: int) -> Arrival:
    """Take a chunk of a parcel that begins at `offset`.

    Raises:
        NotFound: There is no such parcel, or it is somebody else's, or out of date.
        Invalid: Chunks before this one are missing; `details["offset"]` says what is here.
        Conflict: Another chunk of it is being received; `details["retry"]` is true.
        QuotaExceeded: The chunks before this one fill what room the project has.
    """
    uploads.may_send(depot, actor, NewUpload())
    with depot.catalog.read() as conn:
        row = own(conn, depot, actor, uid)
        home = (
            None if row.project is None or row.state == FINISHED else project_rows.find(conn, user=None, n=row.project)
        )
        if home is not None:
            # Nobody says how large the file is; without this all of it would be taken and then refused.
            lines.look_for_room(conn, home[0], offset)
    if row.state == FINISHED:
        if row.content is None:
            # Its bytes were unpacked, or refused, and are gone; how many there were is all that can be compared.
            return Arrival(depot, actor, row, offset, None, None, int(row.detail.get("size", 0)))
        reader = open_content(depot, row.content)
        try:
            return Arrival(depot, actor, row, offset, None, reader, reader.size)
        except BaseException:
            reader.close()
            raise
    receiver = uploads.Receiver(depot, row, uploads.stage_of(depot, row))
    try:
        return Arrival(depot, actor, row, offset, receiver, None, receiver.offset)
    except BaseException:
        receiver.close()
        raise


def own(conn: Connection, depot: Depot, actor: Actor, uid: UUID) -> UploadRow:
    """A parcel of the caller's own that is still good.

    Raises:
        NotFound
    """
    row = rows.find(conn, uid=uid)
    mine = row is not None and actor.user is not None and row.owner == actor.user
    if row is None or not mine or row.purpose != PARCEL or row.expires_at <= depot.now():
        raise NotFound(f"There is no upload {ids.encode(Noun.UPLOAD, uid)}, or it is not yours, or it expired.")
    if row.state not in (OPEN, FINISHED):
        raise NotFound(f"Upload {ids.encode(Noun.UPLOAD, uid)} was ended. Begin another.")
    return row


@dataclass(slots=True)
class Arrival:
    """One chunk on its way. `write` runs in worker threads, one at a time; afterwards `finish` or `close`."""

    _depot: Depot
    _actor: Actor
    row: UploadRow
    _at: int
    _receiver: Receiver | None
    _reader: ContentReader | None
    _there: int
    _ended: bool = field(default=False)

    def __post_init__(self) -> None:
        if self._at > self._there:
            raise Invalid(
                f"Missing chunk: upload {ids.encode(Noun.UPLOAD, self.row.uid)} has {self._there} bytes, and this "
                f"chunk begins at {self._at}. Send the file again from its beginning.",
                details={"offset": self._there},
            )

    @property
    def version(self) -> int | None:
        """The version that it became, if this chunk is a repeat of the last one."""
        found = self.row.detail.get("version")
        return None if found is None else int(found)

    def write(self, block: Block) -> None:
        """
        Raises:
            Invalid: Other bytes came before where these belong.
        """
        with memoryview(block).cast("B") as view:
            known = min(len(view), max(self._there - self._at, 0))
            if known and self._is_readable and self.read_at(self._at, known) != view[:known]:
                raise Invalid(
                    f"This chunk is not the one that was sent before: the bytes from {self._at} on differ. Send the "
                    "file again from its beginning."
                )
            self._at += known
            if known == len(view):
                return
            if self._receiver is None:
                raise self._other_length()
            self._receiver.write(view[known:])
            self._at += len(view) - known

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes of the file as far as it is here, fewer where it ends."""
        if self._receiver is not None:
            return self._receiver.read_at(offset, length)
        assert self._reader is not None
        return self._reader.read_at(offset, length)

    @property
    def _is_readable(self) -> bool:
        return self._receiver is not None or self._reader is not None

    @property
    def size(self) -> int:
        """Bytes that are here."""
        return max(self._at, self._there)

    def _other_length(self) -> Invalid:
        return Invalid(
            f"Upload {ids.encode(Noun.UPLOAD, self.row.uid)} has {self._there} bytes; with this chunk as its last it "
            f"would have {self._at}. Send the file again from its beginning."
        )

    def require_last(self) -> None:
        """
        Raises:
            Invalid: The file is longer than this chunk says with its end.
        """
        if self._at < self._there:
            raise self._other_length()

    def keep(self) -> None:
        """The file is whole, and waits for others to become a version with."""
        self.require_last()
        if self._receiver is not None:
            self._finish(None)

    def finish(self, whole: Whole | None = None) -> int:
        """The file is whole: make the version. Answers its number; a repeat gets the same.

        Raises:
            As `versions.create` and `entries.commit`. Nothing is made then, and the chunk may be sent again.
        """
        self.require_last()
        wanted = whole or Whole()

        def work(conn: Connection, content: int) -> int:
            return _make(conn, self._depot, self._actor, self.row, content, self.size, wanted)

        if self._receiver is not None:
            return int(self._finish(work))
        content = self.row.content or 0
        return self._depot.catalog.write(lambda conn: work(conn, content))

    def _finish(self, also: Callable[[Connection, int], Any] | None) -> Any:
        assert self._receiver is not None
        row = self.row
        if row.detail.get("archive"):
            self._look_through()
        else:
            require_good_arrival(
                self._depot, row.project, row.file_name or "", self._receiver, row.detail.get("data_type")
            )
        self._ended = True
        return self._receiver.finish(also)[1]

    def _look_through(self) -> None:
        """Refuse an archive by what its members are called and how large they say they are.

        Nothing of it is kept but the reason, for whoever sends the last chunk again.

        Raises:
            Invalid: As the repeat will hear it.
        """
        assert self._receiver is not None
        depot, row, receiver = self._depot, self.row, self._receiver
        try:
            crates.look_through(depot, row.file_name or "", receiver)
        except EntrepotError as error:
            if error.retryable:
                raise
            refused = {"message": str(error), "code": error.code, "errors": error.errors}
            over = {
                "state": FINISHED,
                "detail": {**row.detail, "refused": refused, "size": self.size},
                "touched_at": depot.now(),
                "expires_at": depot.now() + depot.policy.parcel_memory,
            }
            depot.catalog.write(lambda conn: rows.change(conn, row.n, over, state=OPEN))
            self._ended = True
            receiver.discard()
            raise _refused(refused) from error

    def close(self) -> None:
        """Let go; what was received is kept. May be repeated."""
        if self._reader is not None:
            self._reader.close()
        if self._receiver is not None and not self._ended:
            self._ended = True
            self._receiver.close()


def _make(conn: Connection, depot: Depot, actor: Actor, row: UploadRow, content: int, size: int, whole: Whole) -> int:
    now = depot.now()
    rows.hold(conn, row.n)
    current = rows.find(conn, n=row.n)
    if current is not None and "version" in current.detail:
        return int(current.detail["version"])
    if current is not None and "refused" in current.detail:
        raise _refused(current.detail["refused"])
    if row.detail.get("archive"):
        made = create(conn, depot, actor, row, whole, now, awaits_content=True)
        crates.start_in(conn, depot, actor, made, Crate(row.file_name or "", content, row.n), now)
        end(conn, depot, row, made, size, now)
        return made
    before = [_waiting(conn, depot, actor, uid) for uid in whole.previous[: MOST + 1]]
    if len(before) > MOST:
        raise TooLarge(f"At most {MOST} files become one version this way.")
    files = [*((one, one.content) for one in before), (row, content)]
    made = create(conn, depot, actor, row, whole, now)
    found = lookup.hold(conn, actor, made, Action.EDIT)
    puts: list[entry_rows.RowChange] = []
    for one, held in files:
        assert held is not None
        puts.append(_put(conn, depot, one, held))
    entries.publish(conn, actor, found, puts, expected=None, message="", now=now)
    for one, _ in files:
        end(conn, depot, one, made, size if one is row else one.content_size or 0, now)
    return made


def _refused(report: Mapping[str, Any]) -> Invalid:
    return Invalid(str(report.get("message", "The archive was refused.")), errors=list(report.get("errors", ())))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the unpacking of a parcel is.

    Args:
        is_ready: Its version can be seen.
        refused: Why there will be none.
    """

    is_ready: bool
    refused: Invalid | None = None


def look(depot: Depot, actor: Actor, uid: UUID) -> Progress:
    """How far the unpacking of a whole parcel is, for whoever sent it.

    One that was refused leaves nothing behind but the reason, for whoever sends the last chunk again.

    Raises:
        NotFound: There is no such parcel, or it is somebody else's.
    """
    with depot.catalog.read() as conn:
        row = own(conn, depot, actor, uid)
        found = _version_of(conn, actor, row)
    if "refused" in row.detail:
        return Progress(False, _refused(row.detail["refused"]))
    if found is None:
        raise NotFound(f"What became of upload {ids.encode(Noun.UPLOAD, uid)} is gone.")
    if found.number is not None:
        return Progress(True)
    if found.state is not State.FAILED:
        return Progress(False)
    now, report = depot.now(), dict(found.report or {})

    def withdraw(conn: Connection) -> None:
        held = lookup.hold_due(conn, found.n)
        over = {"detail": {**row.detail, "refused": report}, "content": None, "touched_at": now}
        rows.change(conn, row.n, over)
        if held is not None and held.version.state is State.FAILED and held.version.number is None:
            trash.purge_in(conn, actor, held.version, now)

    depot.catalog.write(withdraw)
    return Progress(False, _refused(report))


def _version_of(conn: Connection, actor: Actor, row: UploadRow) -> Version | None:
    n = row.detail.get("version")
    found = None if n is None else version_rows.find(conn, asking=actor.user, n=int(n))
    return None if found is None else found.version


def create(
    conn: Connection,
    depot: Depot,
    actor: Actor,
    row: UploadRow,
    whole: Whole,
    now: datetime,
    *,
    awaits_content: bool = False,
) -> int:
    """The version that a parcel becomes, without its content."""
    new = NewVersion(
        name=whole.name or row.file_name or "",
        numbering=Numbering.NEXT,
        custom=whole.custom,
        properties=whole.properties,
        description=whole.description,
        awaits_content=awaits_content,
    )
    return versions.create_in(conn, depot, actor, row.project, new, now).n


def end(conn: Connection, depot: Depot, row: UploadRow, version: int, size: int, now: datetime) -> None:
    """Write down what a parcel became, for whoever sends its last chunk again."""
    over = {
        "detail": {**row.detail, "version": version, "size": size},
        "touched_at": now,
        "expires_at": now + depot.policy.parcel_memory,
    }
    rows.change(conn, row.n, over)


def _put(conn: Connection, depot: Depot, row: UploadRow, content: int) -> entry_rows.Put:
    path = row.file_name or ""
    kind = row.detail.get("data_type") or guess_named(conn, depot, path, content)
    return entry_rows.Put(path=path, content=content, media=None, dtype=kind, condition="absent")


def _waiting(conn: Connection, depot: Depot, actor: Actor, uid: UUID) -> UploadRow:
    row = own(conn, depot, actor, uid)
    if row.state != FINISHED or row.content is None or "version" in row.detail:
        raise Invalid(
            f"Upload {ids.encode(Noun.UPLOAD, uid)} is not whole, or is part of something else already. Send its file "
            "again."
        )
    return row
