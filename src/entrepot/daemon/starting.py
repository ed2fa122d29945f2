"""Finding a running daemon or starting one, from the side of whoever wants to talk to it.

A daemon that is started outlives its starter: a session of its own, nothing shared but the log.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from entrepot.daemon import places
from entrepot.daemon.errors import DaemonError, DaemonTimeoutError
from entrepot.daemon.link import Link
from entrepot.model.errors import EntrepotError

__all__ = ["connected", "program"]

_PAUSE_S = 0.02
_SEE = "`entrepot daemon logs --socket {}` shows more."
_MOST_SAID = 1 << 20


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
        DaemonError: It speaks another protocol, or cannot be started; the message is what the program said.
    """
    deadline = time.monotonic() + timeout_s
    try:
        return Link(path, max(0.1, timeout_s))
    except ConnectionError as error:
        if not auto_start:
            raise ConnectionRefusedError(
                f"No daemon answers on {path}. Start it with `entrepot daemon start`."
            ) from error
    try:
        started, said = _spawn(path, binary, options)
    except EntrepotError as error:
        raise DaemonError(error.code, error.message) from error
    while True:
        try:
            return Link(path, max(0.1, deadline - time.monotonic()))
        except ConnectionError as error:
            status = started.poll()
            if status is not None and status > 0:
                # One that finds another serving ends without an error, so this one could not begin.
                raise DaemonError(
                    "unavailable", f"The daemon could not begin: {said()} (status {status}). {_SEE.format(path)}"
                ) from error
            if time.monotonic() >= deadline:
                ended = "" if status is None else f" The program ended: {said()}."
                raise DaemonTimeoutError(
                    f"The daemon did not answer on {path} within {timeout_s:g} s.{ended} {_SEE.format(path)}"
                ) from error
            time.sleep(_PAUSE_S)


def _spawn(
    path: Path, binary: str | os.PathLike[str] | None, options: Sequence[str]
) -> tuple[subprocess.Popen[bytes], Callable[[], str]]:
    """The process, and a way to ask for the last that it said: a program that ended has said why."""
    command = [*program(binary), "daemon", "run", "--socket", str(path), *options]
    place = places.said_of(path)
    places.private_folder(place.parent)
    try:
        # Nobody else writes to it for long, so it may begin anew when it has grown.
        grown = place.exists() and place.stat().st_size > _MOST_SAID
        with place.open("wb" if grown else "ab") as file:
            before = file.tell()
            started = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, cwd="/"
            )
    except OSError as error:
        what = f"The program {command[0]!r} cannot be started" if error.filename != str(place) else "It cannot be noted"
        raise DaemonError("unavailable", f"{what}: {error.strerror or error}.") from error

    def said() -> str:
        with contextlib.suppress(OSError), place.open("rb") as file:
            file.seek(before)
            lines = file.read(1 << 16).decode(errors="replace").strip().splitlines()
            if lines:
                return lines[-1].removeprefix("entrepot: ").rstrip(".")
        return "it said nothing"

    return started, said
