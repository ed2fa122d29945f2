"""An archive whose members become files of a version: one body, one revision, all of it or nothing.

    receive the archive ─► read its directory, gate every name ─► store the members ─► one transaction names them all

The archive is transport: its members are the originals, and its own bytes go once nothing waits for them. Small members
lie together in one object (a pack), because a file of its own for each costs a true sync each; large ones get an object
of their own, so that their room comes back when they alone are removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from entrepot.archive.zipin import ZipIn, ZipLimits
from entrepot.catalog import contents as content_rows
from entrepot.catalog import entries as entry_rows
from entrepot.catalog import uploads as upload_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.versions import Found
from entrepot.depot import lookup, uploads
from entrepot.depot.contents import open_content
from entrepot.depot.context import Depot
from entrepot.depot.entries import Committed, publish, unchanged
from entrepot.depot.lookup import Key
from entrepot.depot.putting import UploadPut, put_upload
from entrepot.depot.recognising import Head
from entrepot.depot.refusing import Waiting, require_good_files
from entrepot.depot.uploads import NewUpload, UploadRow
from entrepot.model import names
from entrepot.model.access import Action, Actor
from entrepot.model.digests import Digests
from entrepot.model.errors import InvalidName
from entrepot.model.values import Kind, Version
from entrepot.store.base import Block, ObjectReader
from entrepot.store.hashing import Hasher

__all__ = [
    "ArchivePut",
    "Item",
    "Stored",
    "StoredFile",
    "Storing",
    "Unpacked",
    "name_contents",
    "put_archive",
    "waiting",
]

#: Members up to this share objects.
PACKED = 4 << 20
#: A pack is closed once it has this much.
PACK = 64 << 20

#: Faults that one error names.
_MAX_FAULTS = 1000


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What became of an archive.

    Args:
        added: (path, SHA-256) in the order of the archive's directory.
    """

    committed: Committed
    added: tuple[tuple[str, bytes], ...]


@dataclass(slots=True)
class _Pack:
    """An object that several members share, and what lies where in it."""

    key: str
    number: int
    size: int = 0
    members: dict[int, Digests] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A member on its way: where it goes, and its bytes once they are stored.

    Args:
        is_folder: `path` is a folder, in which an empty file with a number for its name is made.
    """

    path: str
    is_folder: bool
    sha256: bytes
    data_type: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A member whose turn it is.

    Args:
        blocks: Its bytes, `size` of them; asked for once, before the next item is.
    """

    path: str
    is_folder: bool
    size: int
    blocks: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Stored:
    """Every member's bytes, durable; nothing refers to them yet.

    Args:
        files: In the order of the archive.
        finished: Of those that have an object of their own.
    """

    files: Sequence[StoredFile]
    packs: Sequence[_Pack]
    finished: Sequence[UploadRow]


class Storing:
    """Stores members one after the other: small ones together, large ones by themselves."""

    def __init__(self, depot: Depot, actor: Actor) -> None:
        self._depot = depot
        self._actor = actor
        self._large: list[UploadPut] = []

    def store(self, items: Iterator[Item]) -> Stored:
        """
        Raises:
            Whatever reading the items does.
        """
        files: list[StoredFile] = []
        finished: list[UploadRow] = []
        packs: list[_Pack] = []
        waiting = next(items, None)
        while waiting is not None:
            if waiting.size > PACKED:
                head = Head()
                row = self._store_large(waiting, head)
                assert row.content_sha256 is not None
                finished.append(row)
                files.append(StoredFile(waiting.path, False, row.content_sha256, head.guess(self._depot, waiting.path)))
                waiting = next(items, None)
                continue
            pack = self._reserve()
            packs.append(pack)
            left: list[Item | None] = [waiting]
            self._depot.store.put(pack.key, _packed(self._depot, pack, left, items, files))
            waiting = left[0]
        return Stored(files, packs, finished)

    def _store_large(self, item: Item, head: Head) -> UploadRow:
        sink = put_upload(self._depot, self._actor, NewUpload(length=item.size, purpose="attempt"))
        self._large.append(sink)
        for block in item.blocks():
            head.take(block)
            sink.write(block)
        return sink.finish()

    def _reserve(self) -> _Pack:
        """A row before the first byte: what is never named is swept away by it."""
        depot, key = self._depot, self._depot.new_key()
        number = depot.catalog.write(
            lambda conn: content_rows.reserve_object(conn, store=depot.store.name, key=key, kind="pack", at=depot.now())
        )
        return _Pack(key, number)

    def close(self) -> None:
        """Give up: nothing of it is kept. After what was stored has been named this does nothing that counts."""
        for sink in self._large:
            sink.close()


class ArchivePut:
    """An archive on its way into a version."""

    def __init__(self, depot: Depot, actor: Actor, version: Version, archive: UploadPut) -> None:
        self._depot = depot
        self._actor = actor
        self._version = version.n
        self._project = version.project
        self._archive = archive
        self._storing = Storing(depot, actor)

    def write(self, block: Block) -> None:
        self._archive.write(block)

    def finish(self) -> Unpacked:
        """Unpack it and make the revision.

        Raises:
            Malformed: It is no zip archive.
            Invalid: A member is damaged, or is nothing that can be stored here.
            InvalidName: A member's name is not good, or there twice; `errors` names all of them.
            PathTaken: There is an entry of that name already; `errors` names all of them.
            Invalid: A member is bad, and the project refuses such files.
            TooLarge, QuotaExceeded, Frozen, Trashed, KindMismatch: As `entries.commit`.
        """
        depot = self._depot
        received = self._archive.finish()
        assert received.content is not None
        with open_content(depot, received.content) as reader:
            archive = ZipIn(reader.read_at, reader.size, ZipLimits(members=depot.limits.entries_per_commit))
            targets = _targets(archive)
            items = (
                Item(path, member.is_folder, member.size, partial(archive.blocks, member))
                for path, member in zip(targets, archive.members(), strict=True)
            )
            stored = self._storing.store(items)
        require_good_files(depot, self._project, waiting(depot, stored))
        done = [received, *stored.finished]

        def work(conn: Connection) -> Unpacked:
            return _commit(conn, depot, self._actor, self._version, stored, done)

        return depot.catalog.write(work, bulk=len(stored.files) > 2000)

    def close(self) -> None:
        """Give up: nothing of it is kept. After `finish` this does nothing that counts."""
        self._storing.close()
        self._archive.close()


def put_archive(depot: Depot, actor: Actor, key: Key) -> ArchivePut:
    """Begin to receive a zip archive whose members are added to a version, under the names that they have in it.

    A member that is a folder becomes an empty file in it that is named by the first free number.

    Raises:
        Frozen, Trashed, KindMismatch: The version takes no such change.
    """
    with depot.catalog.read() as conn:
        version = lookup.writable(lookup.version(conn, actor, key, Action.EDIT), kind=Kind.FILES)
    return ArchivePut(depot, actor, version, put_upload(depot, actor, NewUpload(purpose="attempt")))


def _targets(archive: ZipIn) -> list[str]:
    """Where each member goes, in order; all bad names are told together.

    Raises:
        InvalidName
    """
    targets: list[str] = []
    seen: set[str] = set()
    faults: list[dict[str, str]] = []
    for member in archive.members():
        try:
            path = names.member_path(member.name)
            if not member.is_folder and path in seen:
                raise InvalidName(f"{member.name[:100]!r} is in the archive twice. Give one of them another name.")
            seen.add(path)
            targets.append(path)
        except InvalidName as error:
            if len(faults) < _MAX_FAULTS:
                faults.append({"path": member.name[:200], "code": error.code, "detail": str(error)})
    if faults:
        more = f" ({len(faults) - 1} more, see errors)" if len(faults) > 1 else ""
        raise InvalidName(f"Nothing was added: {faults[0]['detail']}{more}", errors=faults)
    return targets


def _packed(
    depot: Depot, pack: _Pack, left: list[Item | None], items: Iterator[Item], files: list[StoredFile]
) -> Iterator[bytes]:
    """The bytes of one pack: members one behind the other, as long as they are small and there is room.

    Args:
        left: The first member of this pack; afterwards the first that is not in it.
        files: Those that are in it are added here.
    """
    empty: Digests | None = None
    waiting = left[0]
    while waiting is not None and waiting.size <= PACKED and pack.size < PACK:
        start, hasher, head = pack.size, Hasher(), Head()
        for block in waiting.blocks():
            hasher.update(block)
            head.take(block)
            pack.size += len(block)
            yield block
        digests = hasher.digests()
        if digests.size:
            pack.members[start] = digests
        else:
            empty = digests
        kind = None if waiting.is_folder else head.guess(depot, waiting.path)
        files.append(StoredFile(waiting.path, waiting.is_folder, digests.sha256, kind))
        waiting = next(items, None)
    left[0] = waiting
    if empty is not None:
        # Behind everything: places are told apart by their offset, and nothing else begins there.
        pack.members[pack.size] = empty


def _commit(
    conn: Connection,
    depot: Depot,
    actor: Actor,
    key: int,
    stored: Stored,
    done: Sequence[UploadRow],
) -> Unpacked:
    now, files = depot.now(), stored.files
    found = lookup.hold(conn, actor, key, Action.EDIT)
    lookup.writable(found, kind=Kind.FILES)
    contents = name_contents(conn, stored, now)
    paths = _paths(conn, found, files)
    puts = [
        entry_rows.Put(path=path, content=contents[one.sha256], dtype=one.data_type, condition="absent")
        for path, one in zip(paths, files, strict=True)
    ]
    if puts:
        committed = publish(conn, actor, found, puts, expected=None, message=f"Add {len(puts)} files", now=now)
    else:
        committed = unchanged(conn, found)
    for row in done:
        # They did their work; the entries hold the contents from here on.
        upload_rows.change(conn, row.n, {"state": uploads.ABORTED, "content": None, "expires_at": now})
    return Unpacked(committed, tuple((path, one.sha256) for path, one in zip(paths, files, strict=True)))


def waiting(depot: Depot, stored: Stored) -> Iterator[Waiting]:
    """The files that were stored, to be looked into before they are named; equal ones of one type once."""
    packed = {
        digests.sha256: (pack.key, offset, digests.size)
        for pack in stored.packs
        for offset, digests in pack.members.items()
    }
    alone = {row.content_sha256: row.content for row in stored.finished}
    seen: set[tuple[bytes, str | None]] = set()
    for one in stored.files:
        if one.is_folder or (one.sha256, one.data_type) in seen:
            continue
        seen.add((one.sha256, one.data_type))
        content = alone.get(one.sha256)
        if content is not None:
            yield Waiting(one.path, one.data_type, partial(open_content, depot, content))
        else:
            yield Waiting(one.path, one.data_type, partial(_open_packed, depot, *packed[one.sha256]))


@contextmanager
def _open_packed(depot: Depot, key: str, offset: int, size: int) -> Iterator[_Packed]:
    if not size:
        yield _Packed(None, 0, 0)
        return
    reader = depot.store.open(key)
    try:
        yield _Packed(reader, offset, size)
    finally:
        reader.close()


@dataclass(frozen=True, slots=True)
class _Packed:
    """One member of a pack."""

    _reader: ObjectReader | None
    _start: int
    size: int

    def read_at(self, offset: int, length: int) -> bytes:
        most = min(length, self.size - offset)
        return self._reader.read_at(self._start + offset, most) if self._reader is not None and most > 0 else b""


def name_contents(conn: Connection, stored: Stored, now: datetime) -> dict[bytes, int]:
    """Give what was stored its place in the catalogue; answers the contents by their SHA-256."""
    contents: dict[bytes, int] = {}
    for pack in stored.packs:
        contents |= content_rows.insert_packed(conn, pack.number, pack.size, pack.members, at=now)
    for row in stored.finished:
        if row.content_sha256 is not None and row.content is not None:
            contents[row.content_sha256] = row.content
    return contents


def _paths(conn: Connection, found: Found, files: Sequence[StoredFile]) -> list[str]:
    """The path of each file; those of folders by the first number that is free in it, before and beside the others."""
    version = found.version
    taken = {one.path for one in files if not one.is_folder}
    paths: list[str] = []
    for one in files:
        path, number = one.path, 0
        while one.is_folder and (not number or path in taken or _is_there(conn, version.n, version.revision, path)):
            number += 1
            path = f"{one.path}/{number}"
        taken.add(path)
        paths.append(path)
    return paths


def _is_there(conn: Connection, version: int, revision: int, path: str) -> bool:
    if entry_rows.get(conn, version, revision, path) is not None:
        return True
    return bool(entry_rows.page(conn, version, revision, limit=1, prefix=path))
