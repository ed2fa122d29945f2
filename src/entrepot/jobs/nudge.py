"""Waking workers of this machine at once: a datagram that says "look".

A hint and nothing more. A worker that misses it looks by itself within a second; a nudge for nothing costs one look.
Each worker binds a Unix socket of its own in a folder of the data directory, so any number may be woken.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

#: How long a worker sleeps when nobody wakes it.
LOOK_EVERY_S = 0.5


class Nudges:
    """The sleeping place of one worker."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{name}.wake"
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        # Socket addresses hold about 100 bytes and data folders may lie deep: bind through the folder's descriptor.
        here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._socket.bind(f"/proc/self/fd/{here}/{self._path.name}")
        except OSError:
            self._socket.bind(str(self._path))
        finally:
            os.close(here)
        self._socket.settimeout(LOOK_EVERY_S)

    def wait(self) -> None:
        """Return when somebody nudges, or after a while."""
        with contextlib.suppress(TimeoutError, InterruptedError):
            self._socket.recv(64)

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)


def nudge(folder: Path) -> None:
    """Wake every worker that sleeps in the folder; those that are gone are tidied away."""
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.setblocking(False)
    try:
        here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        sender.close()
        return
    try:
        for place in folder.glob("*.wake"):
            try:
                sender.sendto(b"look", f"/proc/self/fd/{here}/{place.name}")
            except ConnectionRefusedError:
                place.unlink(missing_ok=True)
            except OSError:
                # Its buffer is full, so it will look anyway.
                continue
    finally:
        os.close(here)
        sender.close()
