"""What a running transfer tells of itself: bytes done that never fall, chunks, files, rate; and where it is held back.

It takes the place of the SDK's tally, which every block goes through in the thread that moves it. So this is also where
a block waits for its share of the rate limit.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from entrepot.client.parallel import Stop
from entrepot.client.progress import Tally
from entrepot.daemon.limiter import Limiter

__all__ = ["Counter", "Snapshot"]

#: How far back the rate looks.
_WINDOW_S = 5.0
_MOVING = frozenset({"upload", "download"})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The parameters of a `progress` notification.

    Args:
        chunk_index: The chunk that is under way, from 0 to `chunk_count` - 1.
        rate_bps: Bytes a second over the last few seconds.
        file_index: The file that is under way, from 0.
        file_name: Its base name.
    """

    transfer_id: str
    bytes_done: int
    bytes_total: int
    chunk_index: int
    chunk_count: int
    rate_bps: float
    file_index: int
    file_name: str

    def plain(self) -> dict[str, Any]:
        return asdict(self)


class Counter(Tally):
    """The tally of one attempt.

    Args:
        tell: Called at the start, when a chunk is complete, and by `tick`; never with fewer bytes than before.
        floor: Bytes that an earlier attempt has shown as done.

    `moving_since` is when the first byte of this attempt moved; before that it hashed, listed and read again.
    """

    def __init__(
        self,
        transfer_id: str,
        file_name: str,
        *,
        chunk: int,
        tell: Callable[[Snapshot], None],
        limiter: Limiter,
        stop: Stop,
        floor: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(None, clock)
        self._id = transfer_id
        self._name = file_name
        self._chunk = chunk
        self._say = tell
        self._limiter = limiter
        self._stopping = stop
        self._ticks = clock
        self._moving = False
        self._total = 0
        self._expected = False
        self._files = 1
        self._files_done = 0
        self._done = 0
        self._shown = floor
        self._moved = 0
        self.moving_since: float | None = None
        self._window: deque[tuple[float, int]] = deque([(clock(), 0)])
        self._said = -1
        self._guard = threading.Lock()

    def expect(self, size: int, files: int) -> None:
        """What the whole transfer amounts to; the start of what is shown."""
        self._amounts_to(size, files)
        self.tick()

    def _amounts_to(self, size: int, files: int) -> None:
        with self._guard:
            self._total, self._files, self._expected = size, max(1, files), True
            self._shown = min(self._shown, size)

    def begin(self, phase: str, *, bytes_total: int | None = None, files_total: int | None = None) -> None:
        if phase == "verify" and bytes_total is not None:
            # The listing of a download: what all of it amounts to.
            self._amounts_to(bytes_total, files_total or 1)
        with self._guard:
            self._moving = phase in _MOVING
            if self._moving:
                # What is not among the bytes of the phase is there already.
                self._done = self._total - (self._total if bytes_total is None else bytes_total)
                self._files_done = self._files - (self._files if files_total is None else files_total)
        if phase == "download":
            self.tick()

    def add(self, moved: int = 0, *, skipped: int = 0, files: int = 0, file_name: str | None = None) -> None:
        if not self._moving:
            self._stopping.check()
            if file_name:
                self._name = file_name.rpartition("/")[2]
            return
        if moved > 0:
            self._limiter.take(self._id, moved, self._stopping)
        with self._guard:
            self._done += moved + skipped
            self._moved += moved
            if moved > 0 and self.moving_since is None:
                self.moving_since = self._ticks()
            self._files_done += files
            self._shown = max(self._shown, min(self._done, self._total))
            if file_name:
                self._name = file_name.rpartition("/")[2]
            now = self._ticks()
            if moved:
                self._window.append((now, self._moved))
            while len(self._window) > 2 and now - self._window[0][0] > _WINDOW_S:
                self._window.popleft()
            crossed = self._shown // self._chunk != self._said // self._chunk or self._said < 0
            found = self._snapshot() if crossed and self._shown < self._total else None
        if found is not None:
            self._say(found)

    def end(self) -> None:
        """A phase is over; what follows it is told by the engine."""

    @property
    def file_name(self) -> str:
        return self._name

    @property
    def shown(self) -> int:
        return self._shown

    @property
    def total(self) -> int:
        return self._total

    def tick(self) -> None:
        """Show how things are, whether they moved or not; nothing before it is known how much there is."""
        with self._guard:
            found = self._snapshot() if self._expected else None
        if found is not None:
            self._say(found)

    def snapshot_now(self) -> Snapshot | None:
        with self._guard:
            return self._snapshot() if self._expected else None

    def complete(self) -> None:
        """The end: all of it."""
        with self._guard:
            self._shown = self._total
            self._files_done = self._files
            found = self._snapshot()
        self._say(found)

    def _snapshot(self) -> Snapshot:
        count = max(1, -(-self._total // self._chunk))
        (start, before), (end, after) = self._window[0], self._window[-1]
        now = max(end, self._ticks())
        self._said = self._shown
        return Snapshot(
            self._id,
            self._shown,
            self._total,
            min(self._shown // self._chunk, count - 1),
            count,
            max(0.0, (after - before) / (now - start)) if now > start else 0.0,
            min(max(0, self._files_done), self._files - 1),
            self._name,
        )
