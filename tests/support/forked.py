"""Servers that are forked from one process which has everything imported, and killed at a chosen step.

The application is the product's own; what serves it is uvicorn, because that may be forked. A restart costs a tenth of
a second instead of several, so that a sample of kills fits into every test run. Kills of the real processes, with their
supervisor, are `tests.support.kills`.

A *step* is a call that others may see the effect of: a system call that changes a file, a statement that changes the
database, an answer on its way. The process dies before it; after it is before the next. Where the steps lie does not
depend on how fast the machine is.
"""

from __future__ import annotations

import asyncio
import ctypes
import mmap
import os
import select
import signal
import socket
import sqlite3
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import uvicorn
from starlette.types import ASGIApp

from entrepot.depot import bootstrap
from entrepot.model.values import Scope
from entrepot.server import commands, compose
from entrepot.server.config import Config
from entrepot.server.house import assemble
from tests.support.server import ADMIN_PASSWORD, CHEAP, PATIENCE_S

# Of <linux/prctl.h>.
_SET_PARENT_DEATH_SIGNAL = 1

_FILES = ("chmod", "fchmod", "fdatasync", "fsync", "ftruncate", "link", "mkdir", "pwrite", "rename", "replace")
_MORE_FILES = ("rmdir", "truncate", "unlink", "utime", "write", "writev")
_NETWORK = ("send", "sendall", "sendmsg", "sendto")


_SHARED = struct.Struct("<qq16s")


class Steps:
    """How far a forked process is, and where it dies: counted in memory that it shares with its parent."""

    def __init__(self) -> None:
        # Steps left until the end (0: lives on), steps made, and the one name that counts (blank: all).
        self._shared = mmap.mmap(-1, _SHARED.size)

    def _get(self) -> tuple[int, int, str]:
        left, made, only = _SHARED.unpack(self._shared[:])
        return left, made, only.rstrip(b"\0").decode()

    @property
    def made(self) -> int:
        return self._get()[1]

    def arm(self, step: int, only: str = "") -> None:
        """Let the process die at its n-th step from now on; 0 lets it live.

        Args:
            only: Count only calls of this name.
        """
        self._shared[:] = _SHARED.pack(step, 0, only.encode())

    def watch(self) -> None:
        """Count the steps of this process from here on. Never in the parent: it changes the library for good."""
        for name in (*_FILES, *_MORE_FILES):
            setattr(os, name, self._counted(getattr(os, name)))
        os.open = self._counted(os.open, but=_makes_nothing)
        for name in _NETWORK:
            setattr(socket.socket, name, self._counted(getattr(socket.socket, name), but=_is_wake_up))
        psycopg.Cursor.execute = self._counted(psycopg.Cursor.execute, but=_is_question)  # type: ignore[method-assign]
        psycopg.Connection.commit = self._counted(psycopg.Connection.commit)  # type: ignore[method-assign]
        sqlite3.dbapi2.connect = partial(sqlite3.connect, factory=self._connection())  # type: ignore[attr-defined]

    def _counted(
        self, call: Callable[..., Any], but: Callable[..., bool] = lambda *_, **_named: False
    ) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            if not but(*given, **named):
                self.step(call.__name__)
            return call(*given, **named)

        return counted

    def _connection(self) -> type[sqlite3.Connection]:
        # The driver's classes are of C: their methods cannot be replaced, only inherited.
        class Cursor(sqlite3.Cursor):
            execute = self._counted(sqlite3.Cursor.execute, but=_is_question)
            executemany = self._counted(sqlite3.Cursor.executemany)

        class Connection(sqlite3.Connection):
            execute = self._counted(sqlite3.Connection.execute, but=_is_question)
            commit = self._counted(sqlite3.Connection.commit)

            def cursor(self, factory: type[sqlite3.Cursor] = Cursor) -> Any:
                return super().cursor(factory)

        return Connection

    def step(self, name: str) -> None:
        """Here it may end. In any thread."""
        left, made, only = self._get()
        if only not in ("", name):
            return
        self._shared[:] = _SHARED.pack(max(left - 1, 0), made + 1, only.encode())
        if left == 1:
            os.kill(os.getpid(), signal.SIGKILL)


def _is_question(_self: object, statement: object, *_: object, **_named: object) -> bool:
    # What psycopg composes are its own questions.
    return not isinstance(statement, str) or statement == "BEGIN" or statement.lstrip().startswith(("SELECT", "WITH"))


def _makes_nothing(_path: object, flags: int, *_: object, **_named: object) -> bool:
    return not flags & os.O_CREAT


def _is_wake_up(_self: object, sent: bytes, *_: object, **_named: object) -> bool:
    """What a thread of the event loop sends to the loop itself."""
    return sent == b"\0"


class Forked:
    """A process that was forked, and that is waited for."""

    def __init__(self, work: Callable[[], object]) -> None:
        assert threading.active_count() == 1, f"a process with threads cannot be forked: {threading.enumerate()}"
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                # Nobody else knows of it: a test that fails must not leave it behind.
                ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
                assert os.getppid() == parent
                work()
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
            os._exit(0)
        self._fd = os.pidfd_open(self.pid)
        self.status: int | None = None

    # The two of `threading.Event` that a lane asks of a fuse.

    def is_set(self) -> bool:
        """Whether it has ended."""
        return self.wait(0)

    def wait(self, timeout_s: float = PATIENCE_S) -> bool:
        """Wait for its end; whether it came."""
        if self.status is None and select.select([self._fd], [], [], timeout_s)[0]:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self._fd)
        return self.status is not None

    def wait_or(self, other: Forked) -> None:
        """Wait until one of the two has ended."""
        if self.status is None and other.status is None:
            select.select([self._fd, other._fd], [], [], PATIENCE_S)

    def kill(self) -> None:
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            assert self.wait()


class ForkedServer:
    """A server on a data folder of its own, started again on the same port after each death.

    Args:
        data: Made if it is not there.
    """

    def __init__(self, data: Path, *more: str) -> None:
        self.data = data
        self.steps = Steps()
        # Holds the port and does not listen: while no server runs, clients are refused.
        self._port = _tcp()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._port.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._port.getsockname()[1]}"
        self.config: Config = commands.load_config({"data": str(data)}, (*CHEAP, *more), environ={})
        with compose.open_depot(self.config, upgrade=True) as depot:
            bootstrap.bootstrap(depot, admin_password=ADMIN_PASSWORD)
        # The doors are put up once: that takes longer than everything else of a start. Each process opens its own
        # catalogue and store, which no process may inherit. The executor starts its threads when it is first used.
        self._depot = depot
        self._house = assemble(self.config, depot, ThreadPoolExecutor(8))
        asyncio.run(_ask_for_nothing(self._house.app))
        self.token = commands.create_token(self.config, "admin", Scope.ADMIN).text
        self.process: Forked | None = None

    def start(self) -> Forked:
        """Serve in a new process; connections are taken from now on."""
        assert self.process is None or self.process.status is not None
        listening, told = os.pipe()
        self.process = Forked(lambda: self._serve(told))
        os.close(told)
        with os.fdopen(listening, "rb") as line:
            assert line.read(1) or self.process.wait(), "the server neither listens nor ends"
        return self.process

    def _serve(self, told: int) -> None:
        self.steps.watch()
        # With the protocol named, asyncio sends small answers at once instead of waiting 40 ms for more.
        with _tcp() as listener, compose.open_depot(self.config, upgrade=True) as opened:
            depot = self._depot
            depot.catalog, depot.store, depot.staging = opened.catalog, opened.store, opened.staging
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(self._port.getsockname())
            listener.listen(100)
            os.write(told, b"!")
            os.close(told)
            quiet = uvicorn.Config(self._house.app, log_config=None, lifespan="off", ws="none", loop="asyncio")
            uvicorn.Server(quiet).run(sockets=[listener])

    def client(self) -> httpx2.Client:
        """An HTTP client of the administrator; close it."""
        headers = {"Authorization": f"Bearer {self.token}"}
        # No TLS here, and reading the certificates of the authorities takes a tenth of a second.
        return httpx2.Client(base_url=self.url, headers=headers, timeout=PATIENCE_S, verify=False)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
        self._port.close()


async def _ask_for_nothing(app: ASGIApp) -> None:
    """A request that no route takes: to know that, all of them are made ready."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1") as http:
        assert (await http.get("/api/v1/nothing")).status_code == 404


def _tcp() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
