"""Opening stored bytes: a content is an ordered list of extents in immutable objects, read as one.

Whoever reads a content from its first byte to its last in order gets it checked: its CRC-32C is computed on the way,
and on a mismatch the last block is not given. A download that would end in bytes that changed on the disk breaks off
instead. CRC-32C, because SHA-256 would cost several times what sending does, and against accidents it is as good.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from crc32c import crc32c

from entrepot.catalog import contents as rows
from entrepot.catalog.connection import Connection
from entrepot.depot.context import Depot
from entrepot.model.errors import Corrupt, EntrepotError, NotFound
from entrepot.store.base import ObjectReader


class ContentReader:
    """Random reads over the extents of one content; the same promise as an object's reader."""

    def __init__(
        self, depot: Depot, content: int, size: int, extents: list[rows.Extent], crc32c: int | None = None
    ) -> None:
        self._depot = depot
        self._content = content
        self.size = size
        self._extents = extents
        self._starts: list[int] = []
        at = 0
        for extent in extents:
            self._starts.append(at)
            at += extent.length
        if at != size:
            raise Corrupt(f"Content {content} has {size} bytes, but its extents hold {at}. Run `entrepot verify`.")
        self._readers: dict[str, ObjectReader] = {}
        self._wanted = crc32c
        self._crc = 0
        #: How far the content was read in order; None once it was not.
        self._checked: int | None = None if crc32c is None else 0

    def warm(self) -> None:
        """Open the first object, so that `read_now` may find it open. What goes wrong is left to `read_at`."""
        with suppress(EntrepotError):
            if self._extents:
                self._reader(self._extents[0])

    def _reader(self, extent: rows.Extent) -> ObjectReader:
        reader = self._readers.get(extent.key)
        if reader is None:
            reader = self._depot.store.open(extent.key)
            self._readers[extent.key] = reader
        return reader

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, never fewer inside the content.

        Raises:
            Corrupt: The bytes are not there, although the catalogue says so; or with this block the whole content was
                read in order, and it is not what was stored.
        """
        block = self._gather(offset, min(offset + length, self.size))
        self._check(offset, block)
        return block

    def read_now(self, offset: int, length: int, spare: bytearray | None = None) -> bytes | bytearray | None:
        """`read_at` if that needs no waiting, else None.

        Args:
            spare: As of an object's reader.

        Raises:
            Corrupt: With this block the whole content was read in order, and it is not what was stored.
        """
        if offset < 0 or length <= 0 or offset + length > self.size:
            return None
        i = bisect_right(self._starts, offset) - 1
        extent, inside = self._extents[i], offset - self._starts[i]
        reader = self._readers.get(extent.key)
        if reader is None or inside + length > extent.length:
            return None
        block = reader.read_now(extent.offset + inside, length, spare)
        if block is not None:
            self._check(offset, block)
        return block

    def _check(self, offset: int, block: bytes | bytearray) -> None:
        if self._checked is None or not block:
            return
        if offset != self._checked:
            self._checked = None
            return
        # Keeping the interpreter: a few microseconds a block, and getting it back could take longer.
        self._crc = crc32c(block, self._crc, 0)
        self._checked += len(block)
        if self._checked == self.size and self._crc != self._wanted:
            raise Corrupt(
                f"The stored bytes of content {self._content} are not those that were received. Run `entrepot verify`, "
                "then restore them from a backup."
            )

    def _gather(self, offset: int, end: int) -> bytes:
        if offset >= end:
            return b""
        i = bisect_right(self._starts, offset) - 1
        extent = self._extents[i]
        inside = offset - self._starts[i]
        if inside + (end - offset) <= extent.length:
            return self._read(extent, inside, end - offset)
        parts: list[bytes] = []
        while offset < end:
            extent = self._extents[i]
            inside = offset - self._starts[i]
            take = min(extent.length - inside, end - offset)
            parts.append(self._read(extent, inside, take))
            offset += take
            i += 1
        return b"".join(parts)

    def _read(self, extent: rows.Extent, inside: int, length: int) -> bytes:
        try:
            block = self._reader(extent).read_at(extent.offset + inside, length)
        except NotFound:
            # Compaction may have moved the bytes since the catalogue was asked: ask it once more.
            return self._moved(extent, inside, length)
        if len(block) != length:
            raise Corrupt(f"Object {extent.key} ends before content {self._content} does. Run `entrepot verify`.")
        return block

    def _moved(self, extent: rows.Extent, inside: int, length: int) -> bytes:
        with self._depot.catalog.read() as conn:
            fresh = rows.extents(conn, self._content)
        at = next(i for i, known in enumerate(self._extents) if known == extent)
        if len(fresh) != len(self._extents) or fresh[at] == extent:
            raise Corrupt(f"Object {extent.key} of content {self._content} is missing. Run `entrepot verify`.")
        self._extents = fresh
        return self._read(fresh[at], inside, length)

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Located:
    """What the catalogue knows of one content: what it should be, and where its bytes are."""

    content: int
    measures: rows.Measures
    extents: list[rows.Extent]


def locate(conn: Connection, content: int) -> Located:
    """Where a content is, by its number; for a caller who has other questions in the same look at the catalogue."""
    found = rows.located(conn, content)
    if found is None:
        raise Corrupt(f"Content {content} is named but unknown. Run `entrepot verify`.")
    return Located(content, *found)


def locate_many(conn: Connection, contents: Sequence[int]) -> dict[int, Located]:
    """`locate` for many at once."""
    found = locate_those(conn, contents)
    for content in contents:
        if content not in found:
            raise Corrupt(f"Content {content} is named but unknown. Run `entrepot verify`.")
    return found


def locate_those(conn: Connection, contents: Sequence[int]) -> dict[int, Located]:
    """`locate_many` of those that there are, for a caller who looked at what names them a while ago."""
    numbers = list(set(contents))
    measures, extents = rows.measures_many(conn, numbers), rows.extents_many(conn, numbers)
    return {n: Located(n, measures[n], extents[n]) for n in numbers if n in measures}


def refuse_damaged(found: Located) -> None:
    """
    Raises:
        Corrupt: Its bytes are known to be damaged.
    """
    measures = found.measures
    if measures.damaged_at is not None:
        raise Corrupt(
            f"The stored bytes of content {found.content} are known to be damaged since "
            f"{measures.damaged_at.isoformat()}. They are not served. Send the same bytes again, or run `entrepot "
            "verify --repair-from` with a backup.",
            details={"damaged_at": measures.damaged_at.isoformat()},
        )


def open_located(depot: Depot, found: Located) -> ContentReader:
    """
    Raises:
        Corrupt: Its bytes are known to be damaged.
    """
    refuse_damaged(found)
    reader = ContentReader(depot, found.content, found.measures.size, found.extents, found.measures.crc32c)
    reader.warm()
    return reader


def open_content(depot: Depot, content: int) -> ContentReader:
    """A reader of one content, by its number in the catalogue. The caller has asked the judge."""
    with depot.catalog.read() as conn:
        found = locate(conn, content)
    return open_located(depot, found)
