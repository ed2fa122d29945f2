"""A remote entry as a file object: seekable, read in blocks by ranges, without the whole ever being in memory.

Readers of columnar files jump about: a block that was read lately is kept, and reading on in order fetches larger and
larger stretches. Small entries are fetched whole, through the content cache.
"""

from __future__ import annotations

import hashlib
import io
from collections import OrderedDict

from entrepot.client.cache import ContentCache
from entrepot.client.download import Wanted, fetch_bytes, mismatch
from entrepot.client.transport import Transport
from entrepot.model.digests import parse_sha256
from entrepot.model.errors import Unavailable

__all__ = ["WHOLE", "EntryReader", "read_range"]

#: Up to this size an entry is fetched at once, checked by its digest, and kept in the cache.
WHOLE = 8 << 20
_BLOCK = 1 << 20
_LARGEST = 8 << 20
_KEPT = 16


def read_range(transport: Transport, wanted: Wanted, start: int, end: int) -> bytes:
    """The bytes `start` up to `end` of an entry. The server checks what it reads; a part has no digest of its own.

    Raises:
        Unavailable: Fewer bytes came.
        DigestMismatch: Others came, from somebody who knows no ranges.
    """
    start, end = max(0, start), min(end, wanted.size)
    if start >= end:
        return b""
    headers = {"Range": f"bytes={start}-{end - 1}", "Accept": "*/*", "Accept-Encoding": "identity"}
    answer = transport.send("GET", wanted.address, params={"revision": wanted.revision}, headers=headers)
    content = answer.content
    if answer.status_code != 206:
        # Somebody in between knows no ranges and sent everything; or it is a page of theirs.
        if hashlib.sha256(content).digest() != parse_sha256(wanted.sha256):
            raise mismatch(wanted)
        content = content[start:end]
    if len(content) != end - start:
        raise Unavailable(f"{len(content)} of {end - start} bytes of {wanted.path!r} came. Try again.")
    return content


class EntryReader(io.RawIOBase):
    """Reads one entry of a pinned revision. Not for use by several threads at once, like any file object."""

    def __init__(self, transport: Transport, wanted: Wanted, cache: ContentCache | None) -> None:
        super().__init__()
        self.wanted = wanted
        self._transport = transport
        self._cache = cache
        self._at = 0
        self._whole: bytes | None = None
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._expected = -1
        self._stretch = _BLOCK

    @property
    def name(self) -> str:
        return self.wanted.path

    @property
    def size(self) -> int:
        return self.wanted.size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"There is nothing before the first byte of {self.name!r}.")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        found = self._some(self._at, len(view))
        view[: len(found)] = found
        self._at += len(found)
        return len(found)

    def readall(self) -> bytes:
        parts = []
        while block := self.read(_LARGEST):
            parts.append(block)
        return b"".join(parts)

    def _some(self, at: int, size: int) -> bytes:
        """At least one byte from `at` on, at most `size`, as far as they lie in one block."""
        if at >= self.size or size <= 0:
            return b""
        if self.size <= WHOLE:
            return self._all()[at : at + size]
        start = at - at % _BLOCK
        block = self._block(start)
        return block[at - start : at - start + size]

    def _all(self) -> bytes:
        if self._whole is None:
            self._whole = whole(self._transport, self.wanted, self._cache)
        return self._whole

    def _block(self, start: int) -> bytes:
        known = self._blocks.get(start)
        if known is not None:
            self._blocks.move_to_end(start)
            return known
        # In order: twice as much as last time. Anywhere else one block: a jump is rarely followed by its neighbour.
        self._stretch = min(_LARGEST, self._stretch * 2) if start == self._expected else _BLOCK
        content = read_range(self._transport, self.wanted, start, start + self._stretch)
        for offset in range(0, len(content), _BLOCK):
            self._blocks[start + offset] = content[offset : offset + _BLOCK]
        self._expected = start + len(content)
        while len(self._blocks) > _KEPT:
            self._blocks.popitem(last=False)
        return self._blocks[start]


def whole(transport: Transport, wanted: Wanted, cache: ContentCache | None) -> bytes:
    """All bytes of a small entry, from the cache if they are there."""
    if cache is not None and (known := cache.get(wanted.sha256)) is not None:
        return known
    content = fetch_bytes(transport, wanted)
    if cache is not None:
        cache.put(wanted.sha256, content)
    return content
