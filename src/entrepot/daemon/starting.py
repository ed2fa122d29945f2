"""Finding a running daemon or starting one, from the side of whoever wants to talk to it.

A daemon that is started outlives its starter: a session of its own, nothing shared but the log.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from entrepot.daemon import places
from entrepot.daemon.errors import DaemonError, DaemonTimeoutError
from entrepot.daemon.link import Link

__all__ = ["connected", "program"]

_PAUSE_S = 0.02


def program(binary: str | os.PathLike[str] | None) -> list[str]:
    """The command that is `entrepot`: the named one, else that on PATH, else this interpreter's.

    Raises:
        DaemonError: The named one does not exist, or cannot be run.
    """
    if binary is not None:
        named = os.fspath(binary)
        found = shutil.which(named)
        if found is None:
            there = Path(named).exists()
            why = "may not be run" if there else "does not exist"
            raise DaemonError(
                "forbidden" if there else "not_found",
                f"The program {named!r}, named as binary_path, {why}. Give the path of `entrepot`, or leave it out.",
            )
        return [found]
    found = shutil.which("entrepot")
    return [found] if found is not None else [sys.executable, "-m", "entrepot.cli.main"]


def connected(
    path: Path,
    *,
    binary: str | os.PathLike[str] | None = None,
    auto_start: bool = True,
    timeout_s: float = 10.0,
    options: Sequence[str] = (),
) -> Link:
    """A connection to the daemon on a socket, started first if there is none.

    Raises:
        ConnectionError: There is none, and none was to be started.
        DaemonTimeoutError: It was started, and did not answer in time.
        DaemonError: It speaks another protocol, or cannot be started.
    """
    deadline = time.monotonic() + timeout_s
    try:
        return Link(path, timeout_s)
    except ConnectionError as error:
        if not auto_start:
            raise ConnectionRefusedError(
                f"No daemon answers on {path}. Start it with `entrepot daemon start`."
            ) from error
    started = _spawn(path, binary, options)
    while True:
        try:
            return Link(path, max(0.1, deadline - time.monotonic()))
        except ConnectionError as error:
            status = started.poll()
            if status not in (None, 0) and time.monotonic() < deadline:
                # It may have met another one that was just ending: one more, while there is time.
                time.sleep(min(0.2, timeout_s))
            if time.monotonic() >= deadline:
                ended = "" if status is None else f" The program ended with status {status}."
                raise DaemonTimeoutError(
                    f"The daemon did not answer on {path} within {timeout_s:g} s.{ended} Its log is "
                    f"{str(places.log_of(path))!r}; start it with `entrepot daemon start`."
                ) from error
            time.sleep(_PAUSE_S)


def _spawn(path: Path, binary: str | os.PathLike[str] | None, options: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [*program(binary), "daemon", "run", "--socket", str(path), *options]
    home = places.home_of(path)
    places.private_folder(home)
    with (home / "daemon.err").open("ab") as said:
        try:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True, cwd="/"
            )
        except OSError as error:
            raise DaemonError(
                "unavailable", f"The program {command[0]!r} cannot be started: {error.strerror or error}."
            ) from error
