"""The three checksums of a stream, block by block.

SHA-256 costs many times what the CRCs cost, so one loop in one thread computes all three, and the CRCs are chosen not
to show: both use the processor's carry-less multiplication. zlib's CRC-32 was measured at a seventh of that speed,
which beside a SHA-256 in hardware would be a third of the whole cost.

SHA-256 and the CRC-32 of a block let other threads run or are over before it matters; CRC-32C is told to keep the
interpreter (some 50 microseconds a MiB), since getting it back from a busy event loop can take milliseconds.

Of a long stream the SHA-256 is computed `beside` whoever writes it, a few blocks behind: that hides all other work, and
what an upload takes is what its slowest part takes.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import count
from typing import Final

from crc32c import crc32c
from isal.isal_zlib import crc32

from entrepot.model.digests import Digests
from entrepot.store.base import Block

__all__ = ["Hasher", "digests_of", "digests_of_one"]

_KEEP_INTERPRETER: Final = 0
#: Handing a block to another thread costs as much as hashing some 20 KiB of it.
_WORTH_IT: Final = 64 << 10
#: Bytes of a stream before it counts as long.
_BEGUN: Final = 2 << 20
#: Blocks that wait for their hash, with the one that is being hashed.
_WAITING: Final = 3
#: Blocks of one stream before others have their turn.
_TURN: Final = 8
_SEVERAL: Final = (os.cpu_count() or 1) > 1


@cache
def _threads() -> ThreadPoolExecutor:
    """Made by the first stream and not before: processes are copied."""
    return ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 1), thread_name_prefix="hash")


class _Beside:
    """Feeds blocks to a hash in order, on whatever thread is free, as long as there are any."""

    __slots__ = ("_changed", "_hash", "_waiting", "_working")

    def __init__(self, hash_: hashlib._Hash) -> None:
        self._hash = hash_
        self._waiting: deque[bytes] = deque()
        self._working = False
        self._changed = threading.Condition(threading.Lock())

    def update(self, block: bytes) -> None:
        """Hand over a block; waits while too many wait."""
        with self._changed:
            while len(self._waiting) >= _WAITING:
                self._changed.wait()
            self._waiting.append(block)
            if self._working:
                return
            self._working = True
        if not self._goes_on():
            self._work()

    def settle(self) -> None:
        with self._changed:
            while self._working:
                self._changed.wait()

    def _work(self) -> None:
        for turn in count(1):
            self._hash.update(self._waiting[0])
            with self._changed:
                self._waiting.popleft()
                self._working = bool(self._waiting)
                self._changed.notify_all()
                if not self._working:
                    return
            if turn % _TURN == 0 and self._goes_on():
                return

    def _goes_on(self) -> bool:
        """Whether another thread will work; none begins anything while the process ends."""
        try:
            _threads().submit(self._work)
        except RuntimeError:
            return False
        return True


class Hasher:
    """Running checksums. Not for several threads at once.

    Args:
        beside: Compute the SHA-256 of large blocks in another thread. They are held until that has seen them.
    """

    __slots__ = ("_beside", "_crc32", "_crc32c", "_sha256", "size")

    def __init__(self, *, beside: bool = False) -> None:
        self._sha256 = hashlib.sha256()
        self._beside = _Beside(self._sha256) if beside and _SEVERAL else None
        self._crc32c = 0
        self._crc32 = 0
        self.size = 0
        """Bytes taken in so far."""

    def update(self, block: Block) -> None:
        """Take in the next bytes."""
        if self._beside is None:
            self._sha256.update(block)
        elif isinstance(block, bytes) and len(block) >= _WORTH_IT and self.size >= _BEGUN:
            self._beside.update(block)
        else:
            self._beside.settle()
            self._sha256.update(block)
        self._crc32c = crc32c(block, self._crc32c, _KEEP_INTERPRETER)
        self._crc32 = crc32(block, self._crc32)
        self.size += len(block) if not isinstance(block, memoryview) else block.nbytes

    def settle(self) -> None:
        """Wait until nothing is computed beside the caller any more."""
        if self._beside is not None:
            self._beside.settle()

    def digests(self) -> Digests:
        """Of the bytes so far; more may follow."""
        self.settle()
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
