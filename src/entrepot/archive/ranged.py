"""Archives that are known before they exist: exact size, any range, no byte held.

What stands where in an archive of stored (not compressed) members follows from their names, sizes, checksums and
times alone. So the layout is computed in one pass over the members, and any range of bytes can be made afterwards by
opening only the members that lie in it:

    | head 0 | bytes 0 | padding 0 | head 1 | bytes 1 | padding 1 | … | index (zip) or end marks (tar) |

Memory: for every `MARK_EVERY`-th member 16 bytes and the name before it; with a million members of 40 characters
about 0.25 MB, whatever their sizes. Everything else is asked for again from the source, a page at a time.

A layout belongs to a fixed list of members. Should the source tell another story the second time, or a member's bytes
be fewer, more or other than announced, reading raises and the response breaks: an archive is whole or it is no
archive.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from array import array
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, TypeAlias

from isal import isal_zlib

from entrepot.model.errors import Corrupt

#: How many members may have to be passed over before the first wanted one: about one page of a listing.
MARK_EVERY = 512
BLOCK_SIZE = 256 * 1024

Bytes: TypeAlias = bytes | bytearray | memoryview

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive.

    Args:
        name: An entry path: relative, `/` between folders, which need no members of their own.
        size: Bytes of the content.
        crc32: Of the content, as zip wants it.
        mtime: Aware.
        key: By what `open_member` finds the content; part of the entity tag, so it should name the content.
    """

    name: str
    size: int
    crc32: int
    mtime: datetime
    key: int | str | bytes | None = None


#: Gives the members after the one of this name, or all for None, always in the same order, each name once.
MemberSource: TypeAlias = Callable[[str | None], Iterable[Member]]
#: Gives the bytes [start, end) of a member in blocks of any size. Closed after use if it can be.
OpenMember: TypeAlias = Callable[[Member, int, int], Iterable[Bytes]]


def listed(members: Sequence[Member]) -> MemberSource:
    """A source for members that are in memory anyway. Names must differ."""
    places = {member.name: place for place, member in enumerate(members)}
    if len(places) != len(members):
        raise ValueError("An archive cannot hold two members of one name.")

    def after(name: str | None) -> Iterator[Member]:
        for place in range(0 if name is None else places[name] + 1, len(members)):
            yield members[place]

    return after


class RangedArchive(ABC):
    """The layout of one archive; make it once, read ranges of it as often as wanted, from any thread.

    Making it passes once over all members.
    """

    #: Name and version of the byte layout: part of the entity tag, to be raised whenever other bytes come out.
    FORMAT: ClassVar[str]

    def __init__(self, members: MemberSource) -> None:
        self._source = members
        self._mark_offsets = array("Q")
        self._mark_index_offsets = array("Q")
        self._mark_names: list[str | None] = []
        offset = index_size = count = 0
        previous: str | None = None
        tag = hashlib.sha256(self.FORMAT.encode())
        for member in members(None):
            if count % MARK_EVERY == 0:
                self._mark_offsets.append(offset)
                self._mark_index_offsets.append(index_size)
                self._mark_names.append(previous)
            if member.size < 0 or not 0 <= member.crc32 < 2**32 or not member.name:
                raise ValueError(f"{member!r} cannot be a member of an archive.")
            when = (member.mtime - _EPOCH) // _SECOND
            tag.update(f"\0{member.name}\0{member.size}\0{member.crc32}\0{when}\0{member.key!r}".encode())
            index_size += self._index_size(member, offset)
            offset += self._head_size(member) + member.size + self._padding(member)
            previous = member.name
            count += 1
        self._count = count
        self._body_size = offset
        self._index_total = index_size
        self._end = self._end_marks()
        self._tag = tag.digest()

    @property
    def count(self) -> int:
        """How many members there are."""
        return self._count

    @property
    def size(self) -> int:
        """The length of the archive in bytes, exactly."""
        return self._body_size + self._index_total + len(self._end)

    def etag_material(self) -> bytes:
        """32 bytes that differ when the archive's bytes differ.

        CRC-32 is no proof of content, so this is strong only where each member's `key` names its content, or beside
        the id of an immutable revision.
        """
        return self._tag

    def read(
        self, start: int, end: int, open_member: OpenMember, *, block_size: int = BLOCK_SIZE
    ) -> Generator[bytes, None, None]:
        """The bytes [start, end), in blocks of 1 to `block_size` bytes.

        Raises:
            ValueError: At once, when the range does not lie within the archive.
            Corrupt: While reading, when a member's bytes are not the announced ones. What `open_member` raises goes
                through as well. Either way, what was handed out before is not an archive and must not end well.
        """
        if not 0 <= start <= end <= self.size:
            raise ValueError(f"The range {start}-{end} does not lie within {self.size} bytes.")
        return in_blocks(self._pieces(start, end, open_member), block_size)

    # --- what a format decides ---

    @abstractmethod
    def _head_size(self, member: Member) -> int: ...

    @abstractmethod
    def _head(self, member: Member) -> bytes:
        """What stands before a member's bytes; `_head_size` long."""

    @abstractmethod
    def _padding(self, member: Member) -> int:
        """How many zero bytes follow a member's bytes."""

    @abstractmethod
    def _index_size(self, member: Member, offset: int) -> int: ...

    @abstractmethod
    def _index_record(self, member: Member, offset: int) -> bytes:
        """What the index behind the members says of one whose head is at `offset`; `_index_size` long."""

    @abstractmethod
    def _end_marks(self) -> bytes:
        """What ends the archive. Called once, when all sizes are known."""

    # --- how a range is made ---

    def _pieces(self, start: int, end: int, open_member: OpenMember) -> Iterator[Bytes]:
        if start < min(end, self._body_size):
            yield from self._body(start, min(end, self._body_size), open_member)
        index_start, index_end = self._body_size, self._body_size + self._index_total
        if max(start, index_start) < min(end, index_end):
            yield from self._index(max(start, index_start) - index_start, min(end, index_end) - index_start)
        yield _within(self._end, index_end, start, end)

    def _body(self, start: int, end: int, open_member: OpenMember) -> Iterator[Bytes]:
        with closing(self._walk(bisect_right(self._mark_offsets, start) - 1)) as walk:
            for member, offset, _ in walk:
                if offset >= end:
                    return
                first = offset + self._head_size(member)
                last = first + member.size
                after = last + self._padding(member)
                if after <= start:
                    continue
                if start < first:
                    yield _within(self._head(member), offset, start, end)
                if start < last and first < end and member.size:
                    yield from _contents(member, max(start - first, 0), min(end - first, member.size), open_member)
                if last < end:
                    yield _within(bytes(after - last), last, start, end)

    def _index(self, start: int, end: int) -> Iterator[bytes]:
        with closing(self._walk(bisect_right(self._mark_index_offsets, start) - 1)) as walk:
            for member, offset, at in walk:
                if at >= end:
                    return
                if at + self._index_size(member, offset) > start:
                    yield _within(self._index_record(member, offset), at, start, end)

    def _walk(self, mark: int) -> Generator[tuple[Member, int, int], None, None]:
        """Members from a mark on, each with the offset of its head and of its record in the index."""
        offset, at = self._mark_offsets[mark], self._mark_index_offsets[mark]
        place = mark * MARK_EVERY
        members = iter(self._source(self._mark_names[mark]))
        try:
            for member in members:
                if place >= self._count or (
                    place % MARK_EVERY == 0 and self._mark_offsets[place // MARK_EVERY] != offset
                ):
                    raise _changed()
                yield member, offset, at
                at += self._index_size(member, offset)
                offset += self._head_size(member) + member.size + self._padding(member)
                place += 1
            if place != self._count or offset != self._body_size or at != self._index_total:
                raise _changed()
        finally:
            close(members)


def in_blocks(pieces: Iterable[Bytes], block_size: int = BLOCK_SIZE) -> Generator[bytes, None, None]:
    """The same bytes in blocks of 1 to `block_size`: small pieces joined, large ones cut, middling ones as they are.

    Closing it closes the pieces, so that a reader who goes away leaves nothing open.
    """
    if block_size < 1:
        raise ValueError("A block has at least one byte.")
    enough = max(block_size // 2, 1)
    pending = bytearray()
    try:
        for piece in pieces:
            if len(piece) < enough and len(pending) + len(piece) <= block_size:
                pending += piece
                if len(pending) >= enough:
                    yield bytes(pending)
                    pending.clear()
                continue
            if pending:
                yield bytes(pending)
                pending.clear()
            view = memoryview(piece)
            for start in range(0, len(piece), block_size):
                yield bytes(view[start : start + block_size]) if len(piece) > block_size else bytes(piece)
        if pending:
            yield bytes(pending)
    finally:
        close(pieces)


def _contents(member: Member, start: int, end: int, open_member: OpenMember) -> Iterator[Bytes]:
    """The member's bytes [start, end): just as many, and the right ones where all of them are read."""
    blocks = iter(open_member(member, start, end))
    missing = end - start
    crc = 0
    whole = missing == member.size
    try:
        for block in blocks:
            missing -= len(block)
            if missing < 0:
                raise Corrupt(f"{member.name!r} has more bytes than its {member.size}. Verify the version it is from.")
            if whole:
                # Tar has no checksum of its own; at 20 GB/s this is not felt.
                crc = isal_zlib.crc32(block, crc)
            yield block
    finally:
        close(blocks)
    if missing:
        raise Corrupt(f"{member.name!r} ends {missing} bytes too early. Verify the version it is from.")
    if whole and crc != member.crc32:
        raise Corrupt(f"{member.name!r} is damaged: its CRC-32 is not the recorded one. Verify the version it is from.")


def _within(piece: bytes, at: int, start: int, end: int) -> bytes:
    """The part of a piece standing at `at` that lies in [start, end)."""
    return piece[max(start - at, 0) : max(end - at, 0)]


def close(iterator: object) -> None:
    """End what may be a generator or hold a file; other iterables have nothing to close."""
    end = getattr(iterator, "close", None)
    if end is not None:
        end()


def _changed() -> Corrupt:
    return Corrupt("The members of the archive changed while it was being read. Ask for a fixed revision.")
