"""Many small files in one body, up and down: a file of its own for each would cost a sync and two requests a file.

Up:    row ──► frames checked, one by one, into one staging file ──► one sync ──► one transaction names all of them

All or nothing: a batch in which one file is wrong, or which is cut off, leaves nothing, and the answer names every file
that is wrong. Which contents came in it is written down with its upload, and a commit refers to them by upload and
digest. A batch that is sent again, because its answer was lost, stores nothing: all of it is here already.

Down:  the entries that were asked for, in that order, as the same frames, each compared before it is sent. What lies
side by side in a pack is read at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from crc32c import crc32c

from entrepot.catalog import contents as content_rows
from entrepot.catalog import entries as entry_rows
from entrepot.catalog import uploads as upload_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.contents import Extent
from entrepot.catalog.entries import EntryRow
from entrepot.catalog.uploads import UploadRow
from entrepot.depot import lookup, uploads
from entrepot.depot.contents import Located, locate_many, open_content, refuse_damaged
from entrepot.depot.context import Depot
from entrepot.depot.entries import pin
from entrepot.depot.lookup import Key
from entrepot.depot.recognising import HEAD, guess
from entrepot.depot.remembered import last_part
from entrepot.depot.uploads import NewUpload
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor
from entrepot.model.digests import Digests, sha256_text
from entrepot.model.errors import (
    Corrupt,
    DigestMismatch,
    EntrepotError,
    EntryNotFound,
    Gone,
    Invalid,
    InvalidName,
    NotFound,
    TooLarge,
)
from entrepot.model.ids import Noun
from entrepot.model.values import Version
from entrepot.store.base import Block, ObjectReader
from entrepot.store.hashing import digests_of_one
from entrepot.wire import frames
from entrepot.wire.frames import Frames

__all__ = ["Framed", "PackPut", "Packed", "PackedFile", "open_batch", "put_batch"]

#: Wrong files that are named in a refusal.
_NAMED: Final = 100
#: Bytes that are read at once where contents lie side by side, and what may lie between two of them.
_READ, _GAP = 1 << 20, 16 << 10
#: Given out at once.
_GATHER: Final = 256 << 10


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file of a batch as it arrived."""

    name: str
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Packed:
    """A batch that is here, durable and named; a commit may refer to any of its files."""

    upload: UploadRow
    files: tuple[PackedFile, ...]


class PackPut:
    """A batch on its way in. `write` runs in worker threads, one at a time."""

    def __init__(self, depot: Depot, actor: Actor, row: UploadRow) -> None:
        self._depot = depot
        self._actor = actor
        self._row = row
        self._stage = depot.staging.create(row.key, hashed=False)
        self._frames = Frames()
        self._heads: list[bytes] = []
        self._files: list[PackedFile] = []
        self._members: dict[int, Digests] = {}
        self._types: dict[tuple[bytes, str], str | None] = {}
        self._faults: list[dict[str, Any]] = []
        self._wrong = 0
        self._received = 0
        self._done = False

    def write(self, block: Block) -> None:
        """
        Raises:
            Malformed, TooLarge: This is no batch, or not one that is taken here.
            DiskFull: Nothing of it is kept.
        """
        self._received += len(block)
        if self._received > frames.BATCH_BYTES:
            raise TooLarge(f"A batch may have {frames.BATCH_BYTES} bytes. Send several.")
        found, raw = self._frames.feed(block)
        limit = self._depot.limits.upload_size
        for frame in found:
            size = len(frame.body)
            if limit is not None and size > limit:
                raise TooLarge(f"An upload may have {limit} bytes here; {lookup.said(frame.name)!r} has {size}.")
            digests = digests_of_one(frame.body)
            if digests.sha256 != frame.sha256:
                self._fault(len(self._files), frame.name, frame.sha256, digests.sha256)
            self._members[frame.offset] = digests
            name = last_part(frame.name)
            self._types[digests.sha256, name] = guess(self._depot, name, bytes(frame.body[:HEAD]), size)
            self._heads.append(frame.head)
            self._files.append(PackedFile(frame.name, size, digests.sha256))
        if len(self._files) > frames.BATCH_FILES:
            raise TooLarge(f"A batch may have {frames.BATCH_FILES} files. Send several.")
        if found and not self._wrong:
            self._stage.write(raw)

    def _fault(self, index: int, name: str, wanted: bytes, found: bytes) -> None:
        self._wrong += 1
        if len(self._faults) < _NAMED:
            detail = f"{sha256_text(wanted)} was announced, the bytes have {sha256_text(found)}"
            self._faults.append(
                {"index": index, "name": lookup.said(name), "code": DigestMismatch.code, "detail": detail}
            )

    def finish(self) -> Packed:
        """Make the bytes durable and name them all in one transaction.

        Raises:
            DigestMismatch: Files are not the announced ones; `errors` names them.
            Malformed: The batch ends in the middle of a file.
            Gone: It was ended meanwhile.
        """
        self._frames.finish()
        if self._wrong:
            first = self._faults[0]
            more = f", and so are {self._wrong - 1} more" if self._wrong > 1 else ""
            raise DigestMismatch(
                f"{first['name']!r} is not what was announced{more}. Nothing was kept; send the batch again.",
                errors=self._faults,
            )
        if not self._files:
            raise Invalid("A batch has at least one file.")
        packed = self._known() or self._placed()
        self._done = True
        self._depot.remembered.keep(packed.upload.uid, packed.upload.owner, self._types)
        return packed

    def _known(self) -> Packed | None:
        """The batch without its bytes, if all of them are here already."""
        unique = list({file.sha256 for file in self._files})
        with self._depot.catalog.read() as conn:
            # The first nearly always tells: a batch is new, or was sent before.
            if content_rows.find(conn, unique[0]) is None or len(content_rows.find_many(conn, unique)) < len(unique):
                return None

        def work(conn: Connection) -> UploadRow | None:
            found = content_rows.dedupe_hit(conn, unique, at=self._depot.now())
            return self._named(conn, list(found.values())) if len(found) == len(unique) else None

        row = self._depot.catalog.write(work)
        if row is None:
            return None
        self._stage.discard()
        return Packed(row, tuple(self._files))

    def _placed(self) -> Packed:
        depot = self._depot
        self._stage.write(frames.footer(self._heads))
        size = self._stage.seal()

        def work(conn: Connection) -> UploadRow:
            now = depot.now()
            # The upload's row knew the key before there was a byte; from here on the object has a row of its own.
            made = content_rows.reserve_object(conn, store=depot.store.name, key=self._row.key, kind="pack", at=now)
            found = content_rows.insert_packed(conn, made, size, self._members, at=now)
            return self._named(conn, list(found.values()))

        return Packed(depot.catalog.write(work, bulk=len(self._files) > 2000), tuple(self._files))

    def _named(self, conn: Connection, contents: Sequence[int]) -> UploadRow:
        now, row, size = self._depot.now(), self._row, self._frames.whole
        expires = now + (row.expires_at - row.touched_at)
        values = {
            "state": uploads.FINISHED,
            "received": size,
            "length": size,
            "touched_at": now,
            "expires_at": expires,
        }
        if not upload_rows.change(conn, row.n, values, state=uploads.OPEN):
            raise Gone(f"Upload {ids.encode(Noun.UPLOAD, row.uid)} was ended meanwhile. Send the batch again.")
        upload_rows.hold_members(conn, row.n, contents)
        return replace(row, state=uploads.FINISHED, received=size, length=size, touched_at=now, expires_at=expires)

    def close(self) -> None:
        """Give up: nothing of it is kept. After `finish` this does nothing."""
        if self._done:
            return
        try:
            self._stage.discard()
        finally:
            values = {"state": uploads.ABORTED, "expires_at": self._depot.now()}
            self._depot.catalog.write(lambda conn: upload_rows.change(conn, self._row.n, values, state=uploads.OPEN))


def put_batch(depot: Depot, actor: Actor, *, length: int | None = None, project: Key | str | None = None) -> PackPut:
    """Begin to receive a batch of small files.

    Args:
        length: Bytes of the whole body, if announced.
        project: Where they are meant for: a full one refuses them before they are sent.

    Raises:
        TooLarge, QuotaExceeded: As `uploads.begin`.
    """
    if length is not None and length > frames.BATCH_BYTES:
        raise TooLarge(f"A batch may have {frames.BATCH_BYTES} bytes, not {lookup.said(length)}. Send several.")
    row = uploads.begin(depot, actor, NewUpload(purpose=uploads.BATCH, project=project))
    return PackPut(depot, actor, row)


# Down


@dataclass(frozen=True, slots=True)
class Framed:
    """Entries of a revision as one body.

    Args:
        size: Of the body, in bytes.
    """

    version: Version
    revision: int
    size: int
    _depot: Depot
    _items: tuple[tuple[EntryRow, Located], ...]
    _heads: tuple[bytes, ...]

    def blocks(self) -> Iterator[bytes]:
        """The frames in the order that was asked for.

        Raises:
            Corrupt: Stored bytes are not those that were received. What was given out by then is right.
        """
        window = _Window(self._depot, [located for _, located in self._items])
        parts: list[bytes] = []
        gathered = 0
        try:
            for i, (row, _) in enumerate(self._items):
                body = window.read(i)
                if crc32c(body, 0, 0) != row.crc32c:
                    raise Corrupt(
                        f"The stored bytes of {row.path!r} are not those that were received. Run `entrepot verify`, "
                        "then restore them from a backup."
                    )
                parts += (self._heads[i], body)
                gathered += row.size
                if gathered >= _GATHER:
                    yield b"".join(parts)
                    parts, gathered = [], 0
        except EntrepotError:
            # What is right reaches who asked, before the answer breaks off.
            if parts:
                yield b"".join(parts)
            raise
        finally:
            window.close()
        if parts:
            yield b"".join(parts)


class _Window:
    """What was read of an object last: small contents that were stored together are asked for together."""

    def __init__(self, depot: Depot, wanted: Sequence[Located]) -> None:
        self._depot = depot
        self._wanted = wanted
        self._key = ""
        self._start = 0
        self._bytes = b""
        self._reader: ObjectReader | None = None

    def read(self, i: int) -> bytes:
        """All bytes of the content that is wanted as the `i`-th."""
        located = self._wanted[i]
        if len(located.extents) != 1:
            return self._slowly(located)
        extent = located.extents[0]
        if not self._holds(extent):
            try:
                self._fill(extent, i)
            except NotFound:
                # Compaction moved it since the catalogue was asked; whoever opens it by itself asks again.
                return self._slowly(located)
        at = extent.offset - self._start
        body = self._bytes[at : at + extent.length]
        if len(body) != extent.length:
            raise Corrupt(f"Object {extent.key} ends before content {located.content} does. Run `entrepot verify`.")
        return body

    def _holds(self, extent: Extent) -> bool:
        end = self._start + len(self._bytes)
        return extent.key == self._key and self._start <= extent.offset and extent.offset + extent.length <= end

    def _fill(self, extent: Extent, i: int) -> None:
        """Read it, and what is wanted next as far as that lies behind it."""
        end = extent.offset + extent.length
        for n in range(i + 1, len(self._wanted)):
            follows = self._wanted[n].extents
            if len(follows) != 1 or follows[0].key != extent.key:
                break
            reach = follows[0].offset + follows[0].length
            if not end <= follows[0].offset <= end + _GAP or reach - extent.offset > _READ:
                break
            end = reach
        if extent.key != self._key:
            self.close()
        if self._reader is None:
            self._reader = self._depot.store.open(extent.key)
            self._key = extent.key
        self._start, self._bytes = extent.offset, b""
        self._bytes = self._reader.read_at(extent.offset, end - extent.offset)

    def _slowly(self, located: Located) -> bytes:
        with open_content(self._depot, located.content) as reader:
            return reader.read_at(0, reader.size)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader, self._key, self._bytes = None, "", b""


def open_batch(depot: Depot, actor: Actor, key: Key, paths: Sequence[str], *, revision: int | None = None) -> Framed:
    """Small entries of one revision, by path, as one body.

    Raises:
        EntryNotFound: The revision lacks some of them; `errors` names them.
        TooLarge: Too many, or some that are too large for a batch; `errors` names those.
        Corrupt: The bytes of some are known to be damaged; `errors` names them.
    """
    if not paths:
        raise Invalid("Name at least one path.")
    if len(paths) > frames.BATCH_FILES:
        raise TooLarge(f"A batch may have {frames.BATCH_FILES} files, not {len(paths)}. Ask for several.")
    asked = list(paths)
    with depot.catalog.read() as conn:
        found, wanted = pin(conn, actor, key, revision, action=Action.READ_CONTENT)
        rows = entry_rows.get_many(conn, found.version.n, wanted, list(dict.fromkeys(asked)))
        if len(rows) < len(set(asked)):
            # Written in another form of Unicode than they are kept in, perhaps.
            asked = [path if path in rows else _clean(path) for path in asked]
            rows |= entry_rows.get_many(
                conn, found.version.n, wanted, list({path for path in asked if path not in rows})
            )
        missing = [path for path in asked if path not in rows]
        if missing:
            raise EntryNotFound(
                f"{found.version.label} has no entry {lookup.said(missing[0])!r}{_and_more(missing)} "
                f"at revision {wanted}.",
                errors=[{"path": lookup.said(path)} for path in missing[:_NAMED]],
            )
        large = [path for path in asked if rows[path].size > frames.MEMBER_BYTES]
        if large:
            raise TooLarge(
                f"{large[0]!r}{_and_more(large)} is too large for a batch, which takes files of {frames.MEMBER_BYTES} "
                "bytes. Ask for it by itself.",
                errors=[{"path": path} for path in large[:_NAMED]],
            )
        located = locate_many(conn, [row.content for row in rows.values()])
    faults: list[dict[str, Any]] = []
    for path in asked:
        try:
            refuse_damaged(located[rows[path].content])
        except Corrupt as error:
            faults.append({"path": path, "code": error.code, "detail": error.message})
    if faults:
        raise Corrupt(f"{faults[0]['path']!r}: {faults[0]['detail']}", errors=faults[:_NAMED])
    items = tuple((rows[path], located[rows[path].content]) for path in asked)
    heads = tuple(frames.header(row.path, row.size, row.sha256) for row, _ in items)
    size = sum(map(len, heads)) + sum(row.size for row, _ in items)
    if size > frames.BATCH_BYTES:
        raise TooLarge(f"A batch may have {frames.BATCH_BYTES} bytes, and these have {size}. Ask for several.")
    return Framed(found.version, wanted, size, depot, items, heads)


def _clean(path: str) -> str:
    try:
        return names.entry_path(path)
    except InvalidName:
        # No path of any entry; it is told as missing.
        return path


def _and_more(several: Sequence[str]) -> str:
    return f" and {len(several) - 1} more" if len(several) > 1 else ""
