"""Which workers of this machine are alive: a lock file each, `NAME.alive`, that the kernel lets go of when one dies.

    locked       the worker runs; the file's time says when its loop last came round
    not locked   it was killed: its jobs are taken back at once, without waiting for their leases to end

Leases remain the truth. A worker on another machine, or one whose file somebody deleted, is waited for as long as its
lease says.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_SUFFIX = ".alive"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker that runs on this machine, and when it last said so."""

    name: str
    at: datetime


class Presence:
    """This worker's own mark.

    Args:
        folder: Must exist; shared by all workers on one catalogue and one machine.
        name: Never used twice.
    """

    def __init__(self, folder: Path, name: str, now: datetime) -> None:
        self._path = folder / f"{name}{_SUFFIX}"
        # Locked under another name first: whoever lists the folder never sees a mark that is not locked yet.
        unseen = folder / f".{name}"
        self._fd = os.open(unseen, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.beat(now)
        unseen.rename(self._path)

    def beat(self, now: datetime) -> None:
        """Say that the loop came round."""
        at = (now - _EPOCH) // _MICROSECOND * 1000
        os.utime(self._fd, ns=(at, at))

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._fd)


def alive(folder: Path) -> list[Seen]:
    """The workers of this machine that run."""
    found = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        with _tried(path) as (fd, dead):
            if fd is not None and not dead:
                at = _EPOCH + timedelta(microseconds=os.fstat(fd).st_mtime_ns // 1000)
                found.append(Seen(path.name.removesuffix(_SUFFIX), at))
    return found


@contextlib.contextmanager
def bury(folder: Path) -> Iterator[list[str]]:
    """The workers that died here. When the block ends without an error they are forgotten.

    Of several that look at once each dead worker is given to one.
    """
    with contextlib.ExitStack() as held:
        dead: list[Path] = []
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            fd, is_dead = held.enter_context(_tried(path))
            if fd is not None and is_dead:
                dead.append(path)
        yield [path.name.removesuffix(_SUFFIX) for path in dead]
        for path in dead:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _tried(path: Path) -> Iterator[tuple[int | None, bool]]:
    """(descriptor, whether nobody held its lock, which is held now); no descriptor when the file vanished."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None, False
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield fd, False
        else:
            yield fd, True
    finally:
        os.close(fd)
