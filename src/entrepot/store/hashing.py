"""The three checksums of a stream, block by block.

SHA-256 costs many times what the CRCs cost, so one loop in one thread computes all three, and the CRCs are chosen not
to show: both use the processor's carry-less multiplication. zlib's CRC-32 was measured at a seventh of that speed,
which beside a SHA-256 in hardware would be a third of the whole cost.

SHA-256 and the CRC-32 of a block let other threads run or are over before it matters; CRC-32C is told to keep the
interpreter (some 50 microseconds a MiB), since getting it back from a busy event loop can take milliseconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from crc32c import crc32c
from isal.isal_zlib import crc32

from entrepot.model.digests import Digests
from entrepot.store.base import Block

__all__ = ["Hasher", "digests_of", "digests_of_one"]

_KEEP_INTERPRETER: Final = 0


class Hasher:
    """Running checksums. Not for several threads at once."""

    __slots__ = ("_crc32", "_crc32c", "_sha256", "size")

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._crc32c = 0
        self._crc32 = 0
        self.size = 0
        """Bytes taken in so far."""

    def update(self, block: Block) -> None:
        """Take in the next bytes."""
        self._sha256.update(block)
        self._crc32c = crc32c(block, self._crc32c, _KEEP_INTERPRETER)
        self._crc32 = crc32(block, self._crc32)
        self.size += len(block) if not isinstance(block, memoryview) else block.nbytes

    def digests(self) -> Digests:
        """Of the bytes so far; more may follow."""
        return Digests(size=self.size, sha256=self._sha256.digest(), crc32c=self._crc32c, crc32=self._crc32)


def digests_of_one(block: Block) -> Digests:
    """What `digests_of` says of one contiguous piece, at less cost where there are many small ones."""
    size = len(block) if not isinstance(block, memoryview) else block.nbytes
    return Digests(size, hashlib.sha256(block).digest(), crc32c(block, 0, _KEEP_INTERPRETER), crc32(block, 0))


def digests_of(blocks: Iterable[Block]) -> Digests:
    """The digests of all blocks in their order."""
    hasher = Hasher()
    for block in blocks:
        hasher.update(block)
    return hasher.digests()
