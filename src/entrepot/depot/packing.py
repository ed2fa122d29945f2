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
from entrepot.catalog import uploads as upload_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.entry_values import Put
from entrepot.catalog.placed import Placed, placed
from entrepot.catalog.uploads import UploadRow
from entrepot.depot import brought, lines, lookup, spares, uploads
from entrepot.depot.brought import PackedFile
from entrepot.depot.changes import Fault
from entrepot.depot.contents import locate_many, open_content, refuse_damaged
from entrepot.depot.context import Depot
from entrepot.depot.entries import pin
from entrepot.depot.lookup import Key
from entrepot.depot.recognising import guess_small
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
        self._guesses: list[str | None] = []
        self._contents: dict[bytes, int] = {}
        #: As a commit of the whole batch would put them, and those that it could not put anywhere.
        self._paths: list[str] = []
        self._unfit: list[Fault] = []
        self._faults: list[dict[str, Any]] = []
        self._wrong = 0
        self._received = 0
        self._done = False
        #: The row that was written for the next batch.
        self._spare: UploadRow | None = None

    def write(self, block: Block) -> None:
        """
        Raises:
            Malformed, TooLarge: This is no batch, or not one that is taken here.
            DiskFull: Nothing of it is kept.
        """
        self._received += len(block)
        if self._received > frames.BATCH_BYTES:
            raise TooLarge(f"A batch may have {frames.BATCH_BYTES} bytes. Send several.")
        found, pieces = self._frames.feed(block)
        limit = self._depot.limits.upload_size
        members, types = self._members, self._types
        for name, sha256, offset, head, body in found:
            size = len(body)
            if limit is not None and size > limit:
                raise TooLarge(f"An upload may have {limit} bytes here; {lookup.said(name)!r} has {size}.")
            members[offset] = digests = digests_of_one(body)
            if digests.sha256 != sha256:
                self._fault(len(self._files), name, sha256, digests.sha256)
            last = last_part(name)
            types[digests.sha256, last] = kind = guess_small(self._depot, last, body)
            self._guesses.append(kind)
            self._heads.append(head)
            self._files.append(PackedFile(name, size, digests.sha256))
        if len(self._files) > frames.BATCH_FILES:
            raise TooLarge(f"A batch may have {frames.BATCH_FILES} files. Send several.")
        if not self._wrong:
            for piece in pieces:
                self._stage.write(piece)

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
        self._paths, self._unfit = brought.paths_of(file.name for file in self._files)
        packed = self._known() or self._placed()
        self._done = True
        if self._spare is not None:
            spares.give(self._depot, self._spare)
        upload = packed.upload
        self._depot.remembered.keep(upload.uid, upload.owner, self._types, self._puts())
        return packed

    def _puts(self) -> list[Put] | None:
        """The files as a commit takes all of them; None where one has a name that no entry can have."""
        if self._unfit:
            return None
        contents, named = self._contents, zip(self._paths, self._files, self._guesses, strict=True)
        return [Put(path, contents[file.sha256], None, kind) for path, file, kind in named]

    def _known(self) -> Packed | None:
        """The batch without its bytes, if all of them are here already."""
        unique = list({file.sha256 for file in self._files})
        with self._depot.catalog.read() as conn:
            # The first nearly always tells: a batch is new, or was sent before.
            if content_rows.find(conn, unique[0]) is None or len(content_rows.find_many(conn, unique)) < len(unique):
                return None

        def work(conn: Connection) -> UploadRow | None:
            found = content_rows.dedupe_hit(conn, unique, at=self._depot.now())
            return self._named(conn, found, stays=False) if len(found) == len(unique) else None

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
            return self._named(conn, found, stays=content_rows.pack_stays(conn, made))

        return Packed(depot.catalog.write(work, bulk=len(self._files) > 2000), tuple(self._files))

    def _named(self, conn: Connection, contents: dict[bytes, int], *, stays: bool) -> UploadRow:
        """Let the upload have its contents.

        Args:
            stays: Whether the pack will be there, and tell the names of its files, as long as the upload is.
        """
        self._contents = contents
        now, row, size = self._depot.now(), self._row, self._frames.whole
        expires = now + (row.expires_at - row.touched_at)
        values = {
            "owner": row.owner,
            "purpose": uploads.BATCH,
            "state": uploads.FINISHED,
            "received": size,
            "length": size,
            "detail": brought.detail(self._files, self._paths, self._unfit, self._guesses, named=not stays),
            "created_at": row.created_at,
            "touched_at": now,
            "expires_at": expires,
        }
        if not upload_rows.change(conn, row.n, values, state=uploads.OPEN, key=row.key):
            raise Gone(f"Upload {ids.encode(Noun.UPLOAD, row.uid)} was ended meanwhile. Send the batch again.")
        upload_rows.hold_members(conn, row.n, list(contents.values()))
        self._spare = spares.ahead(conn, self._depot)
        return replace(row, state=uploads.FINISHED, received=size, length=size, touched_at=now, expires_at=expires)

    def close(self) -> None:
        """Give up: nothing of it is kept. After `finish` this does nothing."""
        if self._done:
            return
        try:
            self._stage.discard()
        finally:
            n, key, values = self._row.n, self._row.key, {"state": uploads.ABORTED, "expires_at": self._depot.now()}
            self._depot.catalog.write(lambda conn: upload_rows.change(conn, n, values, state=uploads.OPEN, key=key))


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
    return PackPut(depot, actor, _row(depot, actor, NewUpload(purpose=uploads.BATCH, project=project)))


def _row(depot: Depot, actor: Actor, new: NewUpload) -> UploadRow:
    """The row under whose key the bytes will lie: one that waits for some, else a new one.

    One that waited is nobody's until the batch is named. The project is judged all the same, and not written down: it
    may end before the batch does.
    """
    user = uploads.may_send(depot, actor, new)
    spare = spares.take(depot)
    if spare is None:
        return uploads.begin(depot, actor, new)
    try:
        if new.project is not None:
            with depot.catalog.read() as conn:
                home = lookup.active_project(conn, actor, new.project, Action.CREATE).project
                lines.look_for_room(conn, home, 0)
    except BaseException:
        spares.give(depot, spare)
        raise
    return replace(spare, owner=user, purpose=new.purpose, created_at=depot.now())


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
    _items: tuple[Placed, ...]
    _heads: tuple[bytes, ...]

    def blocks(self) -> Iterator[bytes]:
        """The frames in the order that was asked for.

        Raises:
            Corrupt: Stored bytes are not those that were received. What was given out by then is right.
        """
        made = _Body(self._depot, self._items, self._heads)
        try:
            while made.at < len(self._items):
                made.go_on()
                if made.gathered >= _GATHER:
                    yield made.take()
        except EntrepotError:
            # What is right reaches who asked, before the answer breaks off.
            if made.pieces:
                yield made.take()
            raise
        finally:
            made.close()
        if made.pieces:
            yield made.take()


class _Body:
    """The frames of some entries, made stretch by stretch of what lies together in an object.

    A pack has the frames that its files came in. Where these are the ones that are asked for, which they are when what
    was pushed is pulled, they go out as they lie there: compared, but neither taken apart nor put together again.
    """

    def __init__(self, depot: Depot, items: Sequence[Placed], heads: Sequence[bytes]) -> None:
        self._depot = depot
        self._items = items
        self._heads = heads
        self._key: str | None = None
        self._reader: ObjectReader | None = None
        self.at = 0
        """The next that is wanted."""
        self.pieces: list[bytes | memoryview] = []
        self.gathered = 0

    def go_on(self) -> None:
        """Add the next entry, and those behind it that can be read with it.

        Raises:
            Corrupt: Stored bytes are not those that were received; the entries before are added.
        """
        first = self._items[self.at]
        if first.key is None:
            self._add_alone(first)
            return
        # With its header in front, if it has one.
        start = max(first.offset - len(self._heads[self.at]), 0)
        stop, end = self._reach(self.at, start)
        try:
            data = self._open(first.key).read_at(start, end - start)
        except NotFound:
            # Compaction moved it since the catalogue was asked; whoever opens it by itself asks again.
            self._add_alone(first)
            return
        self._add_stretch(data, start, stop)

    def _reach(self, at: int, start: int) -> tuple[int, int]:
        """How many of what is wanted next, and how many bytes, can be read at once from `start`."""
        items = self._items
        key, end = items[at].key, items[at].offset + items[at].size
        for n in range(at + 1, len(items)):
            follows = items[n]
            reach = follows.offset + follows.size
            if follows.key != key or not end <= follows.offset <= end + _GAP or reach - start > _READ:
                return n, end
            end = reach
        return len(items), end

    def _add_stretch(self, data: bytes, start: int, stop: int) -> None:
        """Add the entries up to `stop`, which lie in `data`, the bytes of their object from `start`."""
        view = memoryview(data)
        begin = end = 0
        try:
            for n in range(self.at, stop):
                item, head = self._items[n], self._heads[n]
                body = item.offset - start
                behind = body + item.size
                self._compare(item, view[body:behind])
                before = body - len(head)
                if before >= 0 and data[before:body] == head:
                    if before != end:
                        self._add(data, begin, end)
                        begin = before
                else:
                    # It came under another name, or not in a pack.
                    self._add(data, begin, end)
                    self.pieces.append(head)
                    self.gathered += len(head)
                    begin = body
                end = behind
                self.at = n + 1
        finally:
            self._add(data, begin, end)

    def _add(self, data: bytes, begin: int, end: int) -> None:
        if begin < end:
            self.pieces.append(data if end - begin == len(data) else memoryview(data)[begin:end])
            self.gathered += end - begin

    def _add_alone(self, item: Placed) -> None:
        with open_content(self._depot, item.content) as reader:
            body = reader.read_at(0, reader.size)
        self._compare(item, body)
        self.pieces += (self._heads[self.at], body)
        self.gathered += len(self._heads[self.at]) + len(body)
        self.at += 1

    def _compare(self, item: Placed, body: bytes | memoryview) -> None:
        if len(body) != item.size or crc32c(body, 0, 0) != item.crc32c:
            raise Corrupt(
                f"The stored bytes of {item.path!r} are not those that were received. Run `entrepot verify`, "
                "then restore them from a backup."
            )

    def _open(self, key: str) -> ObjectReader:
        if key != self._key or self._reader is None:
            self.close()
            self._reader = self._depot.store.open(key)
            self._key = key
        return self._reader

    def take(self) -> bytes:
        """What was added since the last time."""
        pieces, self.pieces, self.gathered = self.pieces, [], 0
        return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], bytes) else b"".join(pieces)

    def close(self) -> None:
        reader, self._reader, self._key = self._reader, None, None
        if reader is not None:
            reader.close()


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
        rows = placed(conn, found.version.n, wanted, list(dict.fromkeys(asked)))
        if len(rows) < len(set(asked)):
            # Written in another form of Unicode than they are kept in, perhaps.
            asked = [path if path in rows else _clean(path) for path in asked]
            rows |= placed(conn, found.version.n, wanted, list({path for path in asked if path not in rows}))
        missing = [path for path in asked if path not in rows]
        if missing:
            raise EntryNotFound(
                f"{found.version.label} has no entry {lookup.said(missing[0])!r}{_and_more(missing)} "
                f"at revision {wanted}.",
                errors=[{"path": lookup.said(path)} for path in missing[:_NAMED]],
            )
        items = tuple([rows[path] for path in asked])
        large = [one.path for one in items if one.size > frames.MEMBER_BYTES]
        if large:
            raise TooLarge(
                f"{large[0]!r}{_and_more(large)} is too large for a batch, which takes files of {frames.MEMBER_BYTES} "
                "bytes. Ask for it by itself.",
                errors=[{"path": path} for path in large[:_NAMED]],
            )
        _refuse_damaged(conn, [one for one in items if one.is_damaged])
    heads = tuple([frames.header(one.path, one.size, one.sha256) for one in items])
    size = sum(map(len, heads)) + sum([one.size for one in items])
    if size > frames.BATCH_BYTES:
        raise TooLarge(f"A batch may have {frames.BATCH_BYTES} bytes, and these have {size}. Ask for several.")
    return Framed(found.version, wanted, size, depot, items, heads)


def _refuse_damaged(conn: Connection, items: Sequence[Placed]) -> None:
    """
    Raises:
        Corrupt: There are any: their bytes are known to be damaged.
    """
    if not items:
        return
    located = locate_many(conn, [one.content for one in items])
    faults: list[dict[str, Any]] = []
    for one in items:
        try:
            refuse_damaged(located[one.content])
        except Corrupt as error:
            faults.append({"path": one.path, "code": error.code, "detail": error.message})
    if faults:
        raise Corrupt(f"{faults[0]['path']!r}: {faults[0]['detail']}", errors=faults[:_NAMED])


def _clean(path: str) -> str:
    try:
        return names.entry_path(path)
    except InvalidName:
        # No path of any entry; it is told as missing.
        return path


def _and_more(several: Sequence[str]) -> str:
    return f" and {len(several) - 1} more" if len(several) > 1 else ""
