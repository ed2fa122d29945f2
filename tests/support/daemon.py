"""The transfer daemon as processes of its own, on a socket of the test: the real program, as users start it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import entrepot
from entrepot.daemon import places, process
from entrepot.daemon.link import Link
from tests.support.server import is_alive, wait_until

PATIENCE_S = 60.0


@dataclass
class Daemon:
    """A place for one daemon after another. Nothing runs until a client asks for it."""

    folder: Path
    socket: Path
    binary: Path
    pids: list[int] = field(default_factory=list)

    def client(self, **more: Any) -> entrepot.DaemonClient:
        given = {
            "socket_path": self.socket,
            "binary_path": self.binary,
            "start_timeout_s": PATIENCE_S,
            "request_timeout_s": PATIENCE_S,
            **more,
        }
        return entrepot.DaemonClient(**given)

    def link(self) -> Link:
        """A bare connection to the daemon that runs, or to a new one."""
        with self.client():
            pass
        return Link(self.socket, PATIENCE_S)

    def call(self, method: str, **params: Any) -> Any:
        link = self.link()
        try:
            return link.call(method, params, PATIENCE_S)
        finally:
            link.close()

    @property
    def pid(self) -> int | None:
        """The process that holds the lock."""
        found = process.holder(self.socket)
        if found and found not in self.pids:
            self.pids.append(found)
        return found

    def running(self) -> set[int]:
        """Every process that was started for the socket, also one that has yet to find out that it is one too many."""
        wanted = b"\0".join([b"daemon", b"run", b"--socket", str(self.socket).encode()]) + b"\0"
        found = set()
        for place in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if wanted in place.read_bytes():
                    found.add(int(place.parent.name))
        return found

    def settle(self) -> None:
        """Wait until those started beside the daemon have ended: one of them could take a killed one's place."""
        wait_until(lambda: self.running() == {self.pid}, "only the daemon is left of those that were started")

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.settle()
        pid = self.pid
        assert pid, "no daemon runs"
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(pid) and process.holder(self.socket) is None, "the killed daemon is gone")

    def stop(self) -> None:
        """An orderly end, if one runs."""
        with contextlib.suppress(ConnectionError, entrepot.DaemonError):
            link = Link(self.socket, PATIENCE_S)
            link.call("shutdown", {}, PATIENCE_S)
            link.close()
        wait_until(lambda: process.holder(self.socket) is None, "the daemon has ended")

    def log(self) -> str:
        return "".join(
            place.read_text(encoding="utf-8")
            for place in sorted(places.home_of(self.socket).glob("daemon.*"))
            if place.is_file()
        )


@contextlib.contextmanager
def daemon_place(folder: Path) -> Iterator[Daemon]:
    """A socket, a program to start a daemon with, and an end for whatever was started."""
    folder.mkdir(parents=True, exist_ok=True)
    binary = folder / "entrepot"
    binary.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m entrepot.cli.main "$@"\n')
    binary.chmod(0o755)
    daemon = Daemon(folder, folder / "run" / "d.sock", binary)
    try:
        yield daemon
    finally:
        daemon.stop()
