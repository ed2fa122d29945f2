"""Children that end with their parent, however it ends.

The parent holds the only writing end of a pipe, each child a reading end. The system closes the writing end when the
parent dies, kill -9 included, so a child that waits for the end of the pipe learns of it at once, on any system. The
parent also closes it on purpose, as the first step of an orderly end: children then stop to wait on behalf of clients.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection


class Lifeline:
    """The parent's end. Hand `child_end` to processes that multiprocessing spawns."""

    def __init__(self) -> None:
        self.child_end: Connection
        self.child_end, self._mine = multiprocessing.Pipe(duplex=False)

    def cut(self) -> None:
        """Tell every child that the end begins. May be repeated."""
        self._mine.close()


def follow(wait: Callable[[], object], *, on_cut: Callable[[], None], grace_s: float) -> None:
    """End this process when its parent ends, in a thread of its own.

    Args:
        wait: Returns, or raises EOFError or OSError, when the line is cut.
        on_cut: What to do first.
        grace_s: How long this process may take over SIGTERM before it ends hard.
    """

    def watch() -> None:
        with contextlib.suppress(EOFError, OSError):
            wait()
        on_cut()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_s)
        os._exit(os.EX_TEMPFAIL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
