"""Bytes that arrive in one piece: a file of a version in one request, an upload in one request, a chunk with a digest.

A restartable upload stands behind each of them, because every byte that is stored needs a row that knows of it. What is
different is the end: either everything that was sent counts, or nothing of it is left.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeVar
from uuid import UUID

from entrepot.catalog import entries as entry_rows
from entrepot.catalog import uploads as upload_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.entries import EntryRow
from entrepot.catalog.uploads import UploadRow
from entrepot.catalog.versions import Found
from entrepot.depot import entries, lookup, refusing, spares, uploads
from entrepot.depot.contents import open_content
from entrepot.depot.context import Depot
from entrepot.depot.entries import Add, Committed, Condition, entry_of
from entrepot.depot.lookup import Key
from entrepot.depot.recognising import Head
from entrepot.depot.uploads import NewUpload, Receiver
from entrepot.model import names
from entrepot.model.access import Action, Actor
from entrepot.model.errors import DigestMismatch, Gone, LengthMismatch, PathTaken
from entrepot.model.values import Entry, Kind, Version
from entrepot.store.base import Block
from entrepot.store.hashing import Hasher

#: A chunk with a digest is held in memory up to this, and beyond it put aside on disk, until the digest is right.
HELD = 4 << 20

Algorithm = Literal["sha1", "sha256", "crc32c"]
ALGORITHMS: tuple[Algorithm, ...] = ("sha1", "sha256", "crc32c")

#: Looks at the entry that is at the path now, None if there is none, and raises if it is not what the caller saw.
Check = Callable[[Entry | None], None]


class Sink(Protocol):
    """Where the blocks of one body go: `write` each, then `finish`, or `close` to leave nothing behind."""

    def write(self, block: Block) -> None: ...

    def close(self) -> None: ...


S = TypeVar("S", bound=Sink)
T = TypeVar("T")


def put_whole(sink: S, body: Block, finish: Callable[[S], T]) -> T:
    """A whole body at once, then `finish`; whatever goes wrong, nothing of it is left."""
    try:
        if body:
            sink.write(body)
        return finish(sink)
    except BaseException:
        sink.close()
        raise


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file of a version that comes as one body.

    Args:
        length: Bytes, if announced.
        sha256: 32 bytes, compared before anything counts.
        condition: What must be at the path before.
        metadata: None keeps the text that is there.
        expected: The revision that the caller saw; None applies the change to the head.
        once: When the same bytes are there already, described in the same way, nothing is changed: a request that is
            repeated because its answer was lost is carried out once.
    """

    path: str
    length: int | None = None
    sha256: bytes | None = None
    media_type: str | None = None
    data_type: str | None = None
    metadata: str | None = None
    condition: Condition = "any"
    expected: int | None = None
    message: str = ""
    once: bool = False


class FilePut:
    """A file on its way into a version. `role` is that of the caller in the team that owns the version."""

    def __init__(
        self,
        depot: Depot,
        actor: Actor,
        into: Found,
        new: NewFile,
        row: UploadRow,
        check: Check | None,
        refuses: bool = False,
    ) -> None:
        self._depot = depot
        self._actor = actor
        self._version = into.version
        self.role = into.role
        self._new = new
        self._row = row
        self._check = check
        self._receiver = uploads.receive_first(depot, row)
        self._head = Head()
        self._refuses = refuses
        self._done = False

    def write(self, block: Block) -> None:
        self._head.take(block)
        self._receiver.write(block)

    @property
    def path(self) -> str:
        """Where it goes, in the form that is stored."""
        return self._new.path

    def sha256(self) -> bytes:
        """Of what was written so far; to be asked before `finish`."""
        return self._receiver.digests().sha256

    def finish(self) -> tuple[Committed, bool]:
        """Name the bytes and make the revision, in one transaction; says too whether the entry is a new one.

        Raises:
            DigestMismatch, LengthMismatch: The bytes are not the announced ones.
            PreconditionFailed: By `check`: somebody else was faster.
            Invalid: The file is bad, and its project refuses such files.
            As `entries.commit`.
        """
        depot, actor, new, now = self._depot, self._actor, self._new, self._depot.now()
        dtype = new.data_type or self._head.guess(depot, new.path)
        if self._refuses:
            refusing.require_good(depot, new.path, self._receiver, dtype)

        def commit(conn: Connection, content: int) -> tuple[Committed, bool]:
            found = lookup.hold(conn, actor, self._version.n, Action.EDIT)
            before = lookup.writable(found, kind=Kind.FILES)
            if self._check is not None or new.once:
                there = entry_rows.get(conn, before.n, before.revision, new.path)
                if self._check is not None:
                    self._check(None if there is None else entry_of(there))
                if there is not None and self._changes_nothing(before, there, dtype):
                    return entries.unchanged(conn, found), False
            put = entry_rows.Put(
                path=new.path,
                content=content,
                media=new.media_type,
                dtype=dtype,
                meta=new.metadata,
                pos=None,
                condition=new.condition,
            )
            done = entries.publish(conn, actor, found, [put], expected=new.expected, message=new.message, now=now)
            return done, done.revision.n_entries > before.n_entries

        # The entry holds the content from here on; the row did its work, and serves another body.
        renewed, made = self._receiver.finish(commit, over=spares.renewal(depot))
        self._done = True
        spares.give(depot, renewed)
        committed: tuple[Committed, bool] = made
        return committed

    def _changes_nothing(self, before: Version, there: EntryRow, dtype: str | None) -> bool:
        new = self._new
        return (
            new.once
            and new.condition != "absent"
            and new.expected in (None, before.revision)
            # An edit by whoever may decide accepts a proposal, whatever it writes.
            and not before.is_proposal
            and there.sha256 == self._receiver.digests().sha256
            and (there.media, there.dtype) == (new.media_type, dtype)
            and new.metadata in (None, there.meta)
        )

    def close(self) -> None:
        """Give up: nothing of it is kept. After `finish` this does nothing that counts."""
        if self._done:
            return
        self._receiver.close()
        row, values = self._row, {"state": uploads.ABORTED, "expires_at": self._depot.now(), "content": None}
        # Its key too: who gives up may not know that the row was renewed, and for whom.
        self._depot.catalog.write(lambda conn: upload_rows.change(conn, row.n, values, key=row.key))
        self._depot.staging.discard(row.key)


def put_file(depot: Depot, actor: Actor, key: Key, new: NewFile, *, check: Check | None = None) -> FilePut:
    """Begin to receive a file of a version.

    Everything that can be refused before the first byte is refused here; `finish` judges again.

    Raises:
        Frozen, Trashed, KindMismatch: The version takes no such change.
        StaleRevision: `expected` is not the newest revision.
        PreconditionFailed: By `check`.
        PathTaken: There is an entry already, and the condition is that there is none.
        TooLarge: Beyond a limit.
    """
    # Which upload is not known yet; that there is one is all that the gate looks at.
    clean = entries.clean_change(
        depot,
        Add(
            new.path,
            upload=UUID(int=0),
            media_type=new.media_type,
            data_type=new.data_type,
            metadata=new.metadata,
            condition=new.condition,
        ),
    )
    assert isinstance(clean, Add)
    message = names.text(new.message, max_length=10_000, field="message")
    with depot.catalog.read() as conn:
        found = lookup.version(conn, actor, key, Action.EDIT)
        version = lookup.writable(found, kind=Kind.FILES)
        entries.require_newest(version, new.expected)
        _look(conn, version, clean.path, new.condition, check)
        refuses = refusing.is_on(conn, depot, version.project)
    row = _row(depot, actor, NewUpload(length=new.length, sha256=new.sha256, purpose="attempt"))
    wanted = NewFile(
        path=clean.path,
        length=new.length,
        sha256=new.sha256,
        media_type=clean.media_type,
        data_type=clean.data_type,
        metadata=clean.metadata,
        condition=new.condition,
        expected=new.expected,
        message=message,
        once=new.once,
    )
    return FilePut(depot, actor, found, wanted, row, check, refuses)


def _row(depot: Depot, actor: Actor, new: NewUpload) -> UploadRow:
    """The row under whose key the bytes will lie: one that waits for some, else a new one."""
    uploads.may_send(depot, actor, new)
    spare = spares.take(depot)
    if spare is None:
        return uploads.begin(depot, actor, new)
    return replace(spare, length=new.length, sha256=new.sha256)


def _look(conn: Connection, version: Version, path: str, condition: Condition, check: Check | None) -> None:
    """Judge what is at the path before a byte is read for it; the commit judges again."""
    if check is None and condition != "absent":
        return
    there = _entry_at(conn, version, path)
    if check is not None:
        check(there)
    if condition == "absent" and there is not None:
        said = f"There is an entry {path!r} already."
        raise PathTaken(said, errors=[{"path": path, "code": PathTaken.code, "detail": said}])


def _entry_at(conn: Connection, version: Version, path: str) -> Entry | None:
    row = entry_rows.get(conn, version.n, version.revision, path)
    return None if row is None else entry_of(row)


# Whole uploads


class UploadPut:
    """An upload that comes as one body."""

    def __init__(self, depot: Depot, actor: Actor, row: UploadRow) -> None:
        self._depot = depot
        self._actor = actor
        self._row = row
        self._receiver = uploads.receive(depot, actor, row.uid, 0, whole=True)

    def write(self, block: Block) -> None:
        self._receiver.write(block)

    def finish(self) -> UploadRow:
        """Check and name the bytes."""
        return self._receiver.finish()[0]

    def close(self) -> None:
        """Give up: nothing of it is kept. After it was ended, by what it became or by time, this does nothing."""
        self._receiver.close()
        with contextlib.suppress(Gone):
            uploads.abort(self._depot, self._actor, self._row.uid)


def put_upload(depot: Depot, actor: Actor, new: NewUpload) -> UploadPut:
    """Begin to receive an upload as one body.

    Raises:
        TooLarge, QuotaExceeded: As `uploads.begin`.
    """
    return UploadPut(depot, actor, uploads.begin(depot, actor, new))


# Chunks


class Chunk:
    """A piece of a restartable upload. What arrives counts at once, unless a digest was announced for the piece.

    With a digest the bytes are kept apart until they are right: were they written to the upload and cut off again
    when they turn out wrong, a crash in between would leave them there for good ones.
    """

    def __init__(
        self, depot: Depot, actor: Actor, receiver: Receiver, announced: tuple[Algorithm, bytes] | None
    ) -> None:
        self._depot = depot
        self._actor = actor
        self._receiver = receiver
        self._announced = announced
        self._hash = None if announced is None else _Hash(announced[0])
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._aside: UploadPut | None = None
        self.received = 0

    @property
    def row(self) -> UploadRow:
        return self._receiver.row

    @property
    def offset(self) -> int:
        """Where the upload goes on, as far as bytes count already."""
        return self._receiver.offset

    def write(self, block: Block) -> None:
        self.received += len(block)
        if self._hash is None:
            self._receiver.write(block)
            return
        self._hash.update(block)
        length = self.row.length
        if length is not None and self._receiver.offset + self.received > length:
            raise LengthMismatch(
                f"The upload was announced with {length} bytes; this chunk would make it longer.",
                details={"offset": self._receiver.offset, "length": length},
            )
        if self._aside is None and self._held_bytes + len(block) <= HELD:
            self._held.append(bytes(block))
            self._held_bytes += len(block)
            return
        if self._aside is None:
            self._aside = put_upload(self._depot, self._actor, NewUpload(purpose="attempt"))
            for held in self._held:
                self._aside.write(held)
            self._held.clear()
        self._aside.write(block)

    def settle(self) -> int:
        """Compare the digest, let the bytes count, and answer the new offset.

        Raises:
            DigestMismatch: The chunk is not the announced one; nothing of it is kept.
        """
        if self._announced is not None and self._hash is not None:
            algorithm, wanted = self._announced
            if self._hash.digest() != wanted:
                raise DigestMismatch(
                    f"The {algorithm} of this chunk is not the announced one. It was thrown away; send it again from "
                    f"{self._receiver.offset}.",
                    details={"offset": self._receiver.offset},
                )
            if self._aside is not None:
                # Small chunks are what digests are used for; a large one is written twice.
                self._move(self._aside.finish())
            for held in self._held:
                self._receiver.write(held)
            self._held.clear()
        return self._receiver.offset

    def _move(self, aside: UploadRow) -> None:
        assert aside.content is not None
        with open_content(self._depot, aside.content) as reader:
            for block in uploads.blocks_of(reader.read_at, 0, reader.size):
                self._receiver.write(block)

    def finish(self) -> UploadRow:
        """The upload has all its bytes: check and name them."""
        return self._receiver.finish()[0]

    def row_at(self, offset: int) -> UploadRow:
        """The upload as it is after this chunk."""
        now = self._depot.now()
        row = self.row
        return replace(row, received=offset, expires_at=now + (row.expires_at - row.touched_at))

    def close(self) -> int:
        """Let go; what counts is kept. Answers the offset."""
        self._held.clear()
        if self._aside is not None:
            self._aside.close()
            self._aside = None
        return self._receiver.close()


class _Hash:
    """The digest of a chunk."""

    def __init__(self, algorithm: Algorithm) -> None:
        self._algorithm = algorithm
        # SHA-1 is what the protocol asks every server for; it guards against accidents here, not against people.
        self._sha1 = hashlib.sha1(usedforsecurity=False) if algorithm == "sha1" else None
        self._hasher = None if algorithm == "sha1" else Hasher()

    def update(self, block: Block) -> None:
        if self._sha1 is not None:
            self._sha1.update(block)
        elif self._hasher is not None:
            self._hasher.update(block)

    def digest(self) -> bytes:
        if self._sha1 is not None:
            return self._sha1.digest()
        assert self._hasher is not None
        found = self._hasher.digests()
        return found.sha256 if self._algorithm == "sha256" else found.crc32c.to_bytes(4, "big")


def receive_chunk(
    depot: Depot,
    actor: Actor,
    uid: UUID,
    offset: int,
    *,
    announced: tuple[Algorithm, bytes] | None = None,
) -> Chunk:
    """Become the writer of an upload for one chunk that begins at `offset`.

    Raises:
        As `uploads.receive`.
    """
    return Chunk(depot, actor, uploads.receive(depot, actor, uid, offset), announced)
