"""Waking the workers of this machine at once: a datagram that says "look".

A hint and nothing more. A worker that misses it looks by itself a moment later; a nudge for nothing costs one look.
Each worker binds a Unix socket of its own, `NAME.wake`, in one folder, so any number may be woken.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_SUFFIX = ".wake"


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A short name for the folder: a socket's address holds about 100 bytes, and data folders may lie deep.

    Raises:
        OSError: It is not there.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        short = f"/proc/self/fd/{fd}"
        # Without /proc a long path may be refused; nobody is woken then, and workers look by themselves.
        yield short if Path(short).is_dir() else str(folder)
    finally:
        os.close(fd)


class Nudges:
    """The sleeping place of one worker."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._path = folder / f"{name}{_SUFFIX}"
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            with _short(folder) as short:
                self._socket.bind(f"{short}/{self._path.name}")
        except OSError as error:
            log.warning("this worker cannot be woken, it looks by itself", error=str(error))

    def wait(self, timeout_s: float) -> bool:
        """Return when somebody nudges, or after a while. Answers whether somebody did; several count as one."""
        self._socket.settimeout(timeout_s)
        try:
            self._socket.recv(16)
            self._socket.setblocking(False)
            while True:
                self._socket.recv(16)
        except TimeoutError:
            return False
        except BlockingIOError:
            return True

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)


def nudge(folder: Path) -> None:
    """Wake every worker that sleeps in the folder; those that are gone are tidied away. Never raises."""
    with (
        contextlib.suppress(OSError),
        _short(folder) as short,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
    ):
        sender.setblocking(False)
        for place in folder.glob(f"*{_SUFFIX}"):
            try:
                sender.sendto(b"look", f"{short}/{place.name}")
            except ConnectionRefusedError:
                place.unlink(missing_ok=True)
            except OSError:
                # Its buffer is full, so it will look anyway; or it has just left.
                continue
