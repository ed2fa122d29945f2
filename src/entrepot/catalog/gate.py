"""Fair turns for processes that write to one SQLite file.

SQLite's busy handler sleeps and polls, so a process that writes without pause starves the others (seen: 96 turns to 4).
Two lock files make a queue of it: take T, take W, release T, write, release W. Whoever holds T is next in line, and the
kernel grants `flock` in the order of asking closely enough that the turns come out even.

It is fairness only: SQLite's own lock stays the truth, so a tool that writes without the gate is safe, merely impolite.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Gate", "locked_file"]


class Gate:
    """The turn of this process. Used by one thread at a time."""

    def __init__(self, folder: Path, name: str) -> None:
        self._turn = _open(folder / f"{name}.turn")
        self._write = _open(folder / f"{name}.write")

    def enter(self) -> None:
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._write, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def leave(self) -> None:
        fcntl.flock(self._write, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._turn)
        os.close(self._write)


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Hold `path` alone; waits as long as another process has it. A killed holder lets go."""
    fd = _open(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
