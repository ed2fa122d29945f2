"""Small files are for one thread at a time, unless it mostly waits.

Reading or writing a small file is half a dozen calls of the system, at each of which threads hand the interpreter to
and fro. Measured on two cores, for 10 KiB: read and hashed, 34 µs by one thread and 58 by two, which compute for 73;
received and written, 115 µs where eight take turns and 128 where they do not, computing for 98 and for 132.

Where each call waits for a computer far away, or for a disk to have the bytes for good, several threads wait together.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Turns"]

#: Whoever computes for less than this part of the time waits. A local disk whose files are not in memory leaves a
#: reader busy for more than half of it.
_BUSY = 0.2
#: Seconds of turns after which that is decided.
_JUDGED_AFTER_S = 0.02


class Turns:
    """The turns of one transfer.

    Args:
        clock, processor: Seconds, and seconds that the calling thread has computed.
    """

    def __init__(
        self, clock: Callable[[], float] = time.perf_counter, processor: Callable[[], float] = time.thread_time
    ) -> None:
        self._clock = clock
        self._processor = processor
        self._lock = threading.Lock()
        self._took = self._computed = 0.0
        self._judged = False
        self.several = False
        """Whether several threads may work at once."""

    @contextmanager
    def one(self, *, wait: bool = True) -> Iterator[bool]:
        """Whether it is the caller's turn; always, if it waits for that."""
        if self.several:
            yield True
            return
        if not self._lock.acquire(blocking=wait):
            yield False
            return
        try:
            if self._judged:
                yield True
                return
            clock, processor = self._clock(), self._processor()
            yield True
            self._took += self._clock() - clock
            self._computed += self._processor() - processor
            if self._took >= _JUDGED_AFTER_S:
                self._judged, self.several = True, self._computed < _BUSY * self._took
        finally:
            self._lock.release()
