"""How far a transfer is: counters that several threads add to, and snapshots for whoever shows them.

The counters know no terminal: the CLI draws bars from snapshots, a notebook prints them, the daemon sends them on.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["OnProgress", "Progress", "Tally"]


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a transfer.

    Args:
        phase: `scan`, `hash`, `upload`, `commit`, `list`, `download`, `verify` or `import`.
        bytes_done: Bytes of this phase that are dealt with, sent or found to be there already.
        bytes_total: None while it is not known yet.
        bytes_moved: Of those, the ones that really went over the network or through the hash.
        rate_bps: Bytes moved a second, over the last few seconds.
        file_name: The path that was worked on last; None between files.
    """

    phase: str
    bytes_done: int = 0
    bytes_total: int | None = None
    bytes_moved: int = 0
    files_done: int = 0
    files_total: int | None = None
    rate_bps: float = 0.0
    file_name: str | None = None

    @property
    def percent(self) -> float | None:
        """0 to 100; None while the total is unknown. Files count where there are no bytes."""
        if self.bytes_total:
            return min(100.0, 100.0 * self.bytes_done / self.bytes_total)
        if self.files_total is not None and self.bytes_total is not None:
            return 100.0 if not self.files_total else min(100.0, 100.0 * self.files_done / self.files_total)
        return None

    @property
    def eta_s(self) -> float | None:
        """Seconds left at the present rate; None while that is a guess."""
        if self.bytes_total is None or self.rate_bps <= 0:
            return None
        return max(0.0, (self.bytes_total - self.bytes_done) / self.rate_bps)


OnProgress: TypeAlias = Callable[[Progress], None]

#: How far back the rate looks, and how often a callback is called at most.
_WINDOW_S = 5.0
_EVERY_S = 0.1
#: Moments closer together than this are one to the rate: ten thousand small files are no ten thousand samples.
_SAMPLE_S = 0.05


class Tally:
    """The counters of one phase after another. Methods may be called from any thread.

    The callback runs in the thread that added something, one call at a time. What it raises ends the transfer: that
    is how a caller cancels, and what was sent so far stays usable for the next attempt.
    """

    def __init__(self, on_progress: OnProgress | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._on_progress = on_progress
        self._clock = clock
        self._lock = threading.RLock()
        self._phase = "scan"
        self._bytes_total: int | None = None
        self._files_total: int | None = None
        # Plain numbers: `add` is called for every small file, and a new value each time took longer than hashing some.
        self._done = self._moved = self._files = 0
        self._file_name: str | None = None
        self._samples: deque[tuple[float, int]] = deque()
        self._told_at = float("-inf")

    @property
    def snapshot(self) -> Progress:
        with self._lock:
            return Progress(
                self._phase,
                bytes_done=self._done,
                bytes_total=self._bytes_total,
                bytes_moved=self._moved,
                files_done=self._files,
                files_total=self._files_total,
                rate_bps=self._rate(),
                file_name=self._file_name,
            )

    def begin(self, phase: str, *, bytes_total: int | None = None, files_total: int | None = None) -> None:
        with self._lock:
            self._phase, self._bytes_total, self._files_total = phase, bytes_total, files_total
            self._done = self._moved = self._files = 0
            self._file_name = None
            self._samples.clear()
            self._samples.append((self._clock(), 0))
            self._tell(always=True)

    def add(self, moved: int = 0, *, skipped: int = 0, files: int = 0, file_name: str | None = None) -> None:
        """Count bytes that moved, bytes that need not move, and finished files. A retry gives bytes back: negative."""
        with self._lock:
            self._done += moved + skipped
            self._moved += moved
            self._files += files
            if file_name:
                self._file_name = file_name
            now = self._clock()
            samples = self._samples
            # The first of a phase stays as it is, and so does the one before the last.
            if len(samples) > 1 and now - samples[-2][0] < _SAMPLE_S:
                samples[-1] = (now, self._moved)
            else:
                samples.append((now, self._moved))
                while len(samples) > 2 and now - samples[0][0] > _WINDOW_S:
                    samples.popleft()
            if self._on_progress is not None and now - self._told_at >= _EVERY_S:
                self._tell()

    def end(self) -> None:
        """Show the last state, whatever was shown before."""
        with self._lock:
            self._file_name = None
            self._tell(always=True)

    def _rate(self) -> float:
        if len(self._samples) < 2:
            return 0.0
        (start, before), (end, after) = self._samples[0], self._samples[-1]
        return max(0.0, (after - before) / (end - start)) if end > start else 0.0

    def _tell(self, *, always: bool = False) -> None:
        if self._on_progress is None:
            return
        at = self._clock()
        if always or at - self._told_at >= _EVERY_S:
            self._told_at = at
            self._on_progress(self.snapshot)
