"""An archive whose members become files of a version: one body, one revision, all of it or nothing.

    receive the archive ─► read its directory, gate every name ─► store the members ─► one transaction names them all

The archive is transport: its members are the originals, and its own bytes go once nothing waits for them. Small members
lie together in one object (a pack), because a file of its own for each costs a true sync each; large ones get an object
of their own, so that their room comes back when they alone are removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from entrepot.archive.zipin import ZipIn, ZipLimits, ZipMember
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
from entrepot.depot.uploads import NewUpload, UploadRow
from entrepot.model import names
from entrepot.model.access import Action, Actor
from entrepot.model.digests import Digests
from entrepot.model.errors import InvalidName
from entrepot.model.values import Kind
from entrepot.store.base import Block
from entrepot.store.hashing import Hasher

__all__ = ["ArchivePut", "Unpacked", "put_archive"]

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
class _File:
    """A member on its way: where it goes, and its bytes once they are stored.

    Args:
        is_folder: `path` is a folder, in which an empty file with a number for its name is made.
    """

    path: str
    is_folder: bool
    sha256: bytes


class ArchivePut:
    """An archive on its way into a version."""

    def __init__(self, depot: Depot, actor: Actor, version: int, archive: UploadPut) -> None:
        self._depot = depot
        self._actor = actor
        self._version = version
        self._archive = archive
        self._large: list[UploadPut] = []

    def write(self, block: Block) -> None:
        self._archive.write(block)

    def finish(self) -> Unpacked:
        """Unpack it and make the revision.

        Raises:
            Malformed: It is no zip archive.
            Invalid: A member is damaged, or is nothing that can be stored here.
            InvalidName: A member's name is not good, or there twice; `errors` names all of them.
            PathTaken: There is an entry of that name already; `errors` names all of them.
            TooLarge, QuotaExceeded, Frozen, Trashed, KindMismatch: As `entries.commit`.
        """
        depot = self._depot
        received = self._archive.finish()
        assert received.content is not None
        with open_content(depot, received.content) as reader:
            archive = ZipIn(reader.read_at, reader.size, ZipLimits(members=depot.limits.entries_per_commit))
            files, packs, finished = self._store(archive, _targets(archive))
        done = [received, *finished]

        def work(conn: Connection) -> Unpacked:
            return _commit(conn, depot, self._actor, self._version, files, packs, done)

        return depot.catalog.write(work, bulk=len(files) > 2000)

    def _store(self, archive: ZipIn, targets: Sequence[str]) -> tuple[list[_File], list[_Pack], list[UploadRow]]:
        """Every member's bytes, durable; nothing refers to them yet."""
        members = enumerate(archive.members())
        files: list[_File | None] = [None] * len(targets)
        finished: list[UploadRow] = []
        packs: list[_Pack] = []
        waiting = next(members, None)
        while waiting is not None:
            place, member = waiting
            if member.size > PACKED:
                row = self._store_large(archive, member)
                assert row.content_sha256 is not None
                finished.append(row)
                files[place] = _File(targets[place], False, row.content_sha256)
                waiting = next(members, None)
                continue
            pack = self._reserve()
            packs.append(pack)
            left: list[tuple[int, ZipMember] | None] = [waiting]
            self._depot.store.put(pack.key, _packed(archive, pack, left, members, files, targets))
            waiting = left[0]
        return [one for one in files if one is not None], packs, finished

    def _store_large(self, archive: ZipIn, member: ZipMember) -> UploadRow:
        sink = put_upload(self._depot, self._actor, NewUpload(length=member.size, purpose="attempt"))
        self._large.append(sink)
        for block in archive.blocks(member):
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
        """Give up: nothing of it is kept. After `finish` this does nothing that counts."""
        for sink in (*self._large, self._archive):
            sink.close()


def put_archive(depot: Depot, actor: Actor, key: Key) -> ArchivePut:
    """Begin to receive a zip archive whose members are added to a version, under the names that they have in it.

    A member that is a folder becomes an empty file in it that is named by the first free number.

    Raises:
        Frozen, Trashed, KindMismatch: The version takes no such change.
    """
    with depot.catalog.read() as conn:
        version = lookup.writable(lookup.version(conn, actor, key, Action.EDIT), kind=Kind.FILES)
    return ArchivePut(depot, actor, version.n, put_upload(depot, actor, NewUpload(purpose="attempt")))


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
    archive: ZipIn,
    pack: _Pack,
    left: list[tuple[int, ZipMember] | None],
    members: Iterator[tuple[int, ZipMember]],
    files: list[_File | None],
    targets: Sequence[str],
) -> Iterator[bytes]:
    """The bytes of one pack: members one behind the other, as long as they are small and there is room.

    Args:
        left: The first member of this pack; afterwards the first that is not in it.
    """
    empty: Digests | None = None
    waiting = left[0]
    while waiting is not None and waiting[1].size <= PACKED and pack.size < PACK:
        place, member = waiting
        start, hasher = pack.size, Hasher()
        for block in archive.blocks(member):
            hasher.update(block)
            pack.size += len(block)
            yield block
        digests = hasher.digests()
        if digests.size:
            pack.members[start] = digests
        else:
            empty = digests
        files[place] = _File(targets[place], member.is_folder, digests.sha256)
        waiting = next(members, None)
    left[0] = waiting
    if empty is not None:
        # Behind everything: places are told apart by their offset, and nothing else begins there.
        pack.members[pack.size] = empty


def _commit(
    conn: Connection,
    depot: Depot,
    actor: Actor,
    key: int,
    files: Sequence[_File],
    packs: Sequence[_Pack],
    done: Sequence[UploadRow],
) -> Unpacked:
    now = depot.now()
    found = lookup.hold(conn, actor, key, Action.EDIT)
    lookup.writable(found, kind=Kind.FILES)
    contents: dict[bytes, int] = {}
    for pack in packs:
        contents |= content_rows.insert_packed(conn, pack.number, pack.size, pack.members, at=now)
    for row in done:
        if row.content_sha256 is not None and row.content is not None:
            contents[row.content_sha256] = row.content
    paths = _paths(conn, found, files)
    puts = [
        entry_rows.Put(path=path, content=contents[one.sha256], condition="absent")
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


def _paths(conn: Connection, found: Found, files: Sequence[_File]) -> list[str]:
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
