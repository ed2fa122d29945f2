"""Opening stored bytes: a content is an ordered list of extents in immutable objects, read as one."""

from __future__ import annotations

from bisect import bisect_right
from types import TracebackType
from typing import Self

from entrepot.catalog import contents as rows
from entrepot.depot.context import Depot
from entrepot.model.errors import Corrupt, NotFound
from entrepot.store.base import ObjectReader


class ContentReader:
    """Random reads over the extents of one content; the same promise as an object's reader."""

    def __init__(self, depot: Depot, content: int, size: int, extents: list[rows.Extent]) -> None:
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

    def _reader(self, extent: rows.Extent) -> ObjectReader:
        reader = self._readers.get(extent.key)
        if reader is None:
            reader = self._depot.store.open(extent.key)
            self._readers[extent.key] = reader
        return reader

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, never fewer inside the content.

        Raises:
            Corrupt: The bytes are not there, although the catalogue says so.
        """
        end = min(offset + length, self.size)
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


def open_content(depot: Depot, content: int) -> ContentReader:
    """A reader of one content, by its number in the catalogue. The caller has asked the judge."""
    with depot.catalog.read() as conn:
        size = rows.size_of(conn, content)
        if size is None:
            raise Corrupt(f"Content {content} is named but unknown. Run `entrepot verify`.")
        extents = rows.extents(conn, content)
    return ContentReader(depot, content, size, extents)
