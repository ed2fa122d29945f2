"""A bound on bytes a second for all transfers together, shared fairly: each gets as much as the others, while it asks.

Start-time fair queueing: a transfer's next block is due where its last one ended on a common scale, so who moved least
comes next, however many streams another has. Unused shares go to the others.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable

from entrepot.client.parallel import Stop

__all__ = ["Limiter"]


_CREDIT_S = 0.1


class Limiter:
    """Blocks wait in `take` until they may go. Without a limit nobody waits.

    Args:
        rate: Bytes a second; None for no limit.
    """

    def __init__(self, rate: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._ready = threading.Condition()
        self._waiting: list[tuple[float, int]] = []
        self._reached: dict[str, float] = {}
        self._floor = 0.0
        self._free_at = 0.0
        self._number = 0

    @property
    def rate(self) -> float | None:
        return self._rate

    @rate.setter
    def rate(self, rate: float | None) -> None:
        with self._ready:
            self._rate = rate
            self._free_at = self._clock()
            self._ready.notify_all()

    def take(self, transfer: str, size: int, stop: Stop) -> None:
        """Wait for room for `size` bytes.

        Raises:
            Stopped: The transfer was told to stop meanwhile.
        """
        if self.rate is None or size <= 0:
            return
        with self._ready:
            start = max(self._floor, self._reached.get(transfer, 0.0))
            self._reached[transfer] = start + size
            self._number += 1
            ticket = (start, self._number)
            heapq.heappush(self._waiting, ticket)
            try:
                while True:
                    stop.check()
                    rate = self.rate
                    if not rate:
                        return
                    now = self._clock()
                    if self._waiting[0] == ticket and now >= self._free_at:
                        # Who wakes a little late has not lost that time: the rate would be a fifth less for it.
                        self._free_at = max(now - _CREDIT_S, self._free_at) + size / rate
                        self._floor = start
                        return
                    # Also looks now and then whether it was told to stop.
                    self._ready.wait(min(0.25, max(0.001, self._free_at - now)))
            finally:
                self._waiting.remove(ticket)
                heapq.heapify(self._waiting)
                self._ready.notify_all()

    def forget(self, transfer: str) -> None:
        with self._ready:
            self._reached.pop(transfer, None)
