"""The processes of a server are copies of one that has imported everything: they are there in milliseconds.

    supervisor ──starts──► mould ──fork──► preparation (ends) · answering processes · worker

The supervisor itself imports next to nothing and never forks: its threads, and the lock on the data folder that it
holds, are its own. The mould is the fork server of Python's library with `server.mould` imported. Where the system has
none each process starts anew, which takes seconds and is otherwise the same.

A copy dies with the mould (kill -9 of the mould would else leave processes that nobody can wait for) and with the
supervisor, by the lifeline that it is given.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import forkserver, util
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol, TypeVar, cast

from entrepot.model.errors import Unavailable

__all__ = ["METHOD", "Copy", "apart", "become", "warm", "without_command_line"]

T = TypeVar("T")

#: What a path in the folder for temporary files may be long: the mould is asked at a Unix socket, whose name has to fit
#: into 107 bytes, there.
_MOST_FOLDER: Final = 70


def _method() -> str:
    # Elsewhere than on Linux libraries of the system may have threads as soon as they are loaded.
    with contextlib.suppress(FileNotFoundError):
        if sys.platform == "linux" and len(os.fsencode(tempfile.gettempdir())) <= _MOST_FOLDER:
            return "forkserver"
    return "spawn"


#: How the library makes a copy here.
METHOD: Final = _method()

# Of <linux/prctl.h>.
_SET_PARENT_DEATH_SIGNAL: Final = 1
_SET_NAME: Final = 15


class _Context(Protocol):
    def Process(self, *, target: Callable[..., object], name: str) -> Any: ...
    def Pipe(self, duplex: bool = True) -> tuple[Connection, Connection]: ...


def _context() -> _Context:
    # The library's types know these methods of each kind of context, not of the one that is named at run time.
    return cast(_Context, multiprocessing.get_context(METHOD))


def warm(noted: Path) -> None:
    """Start the mould, which imports while this process goes on. Call it when the environment of copies is settled.

    Args:
        noted: A file of the caller alone, in which stands the folder with the mould's socket. The library removes that
            folder at an orderly end; what a supervisor that was killed left behind is removed by the next.
    """
    if METHOD == "forkserver":
        _remove_noted(noted)
        noted.write_text(util.get_temp_dir(), encoding="utf-8")
        forkserver.set_forkserver_preload(["entrepot.server.mould"])
        forkserver.ensure_running()


def _remove_noted(noted: Path) -> None:
    with contextlib.suppress(OSError, ValueError):
        left = Path(noted.read_text(encoding="utf-8"))
        # Whoever could write to the note could remove the folder anyway; this is against notes that are half written.
        if left.is_absolute() and left.name.startswith("pymp-") and left.lstat().st_uid == os.geteuid():
            shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def without_command_line() -> Iterator[None]:
    """Keep new processes from loading what this one was started by: they import its main module first, which is the
    command line, and they need nothing of it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def become(name: str) -> None:
    """The first thing that a copy does: its name in lists of processes, and an end with the mould.

    Args:
        name: At most 15 characters.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        library.prctl(_SET_NAME, name.encode(), 0, 0, 0)
        parent = os.getppid()
        library.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            # It died in between.
            os._exit(os.EX_TEMPFAIL)


def apart(work: Callable[[], T]) -> T:
    """What `work` returns, or raises, in a copy that ends with it; `work` and both have to survive pickling.

    The supervisor lives as long as the server and does next to nothing: what upgrading a catalogue loads would stay in
    its memory for good (60 MiB).

    Raises:
        Unavailable: The copy was killed before it had an answer.
    """
    context = _context()
    reading, writing = context.Pipe(duplex=False)
    lifeline, mine = context.Pipe(duplex=False)
    with reading, mine:
        with writing, lifeline, without_command_line():
            copy = context.Process(target=partial(_answer, work, writing, lifeline), name="prepare")
            copy.start()
        try:
            value, error = reading.recv()
        except EOFError:
            raise Unavailable(
                "The process that prepares the data folder was ended before it was done. Start again."
            ) from None
        finally:
            copy.join()
    if error is not None:
        raise error
    result: T = value
    return result


def _answer(work: Callable[[], T], writing: Connection, lifeline: Connection) -> None:
    become("entrepot-prepar")
    _end_with(lifeline)
    value: T | None = None
    error: BaseException | None = None
    try:
        value = work()
    except BaseException as raised:
        error = raised
    writing.send((value, error))


def _end_with(lifeline: Connection) -> None:
    """End at once when whoever holds the other end does: a server that is started anew a moment later comes first."""

    def watch() -> None:
        with contextlib.suppress(EOFError, OSError):
            lifeline.recv_bytes()
        os._exit(os.EX_TEMPFAIL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


class Copy:
    """A running copy, as `server.children` wants a child.

    Args:
        work: Runs in it, with its end of the lifeline; what it returns is the exit status. It has to survive pickling.
    """

    def __init__(self, name: str, work: Callable[[Connection], int]) -> None:
        context = _context()
        lifeline, self._mine = context.Pipe(duplex=False)
        self._lock = threading.Lock()
        with lifeline, without_command_line():
            self._process = context.Process(target=partial(_run, name, work, lifeline), name=name)
            self._process.start()

    @property
    def pid(self) -> int:
        pid: int = self._process.pid
        return pid

    def poll(self) -> int | None:
        # Two threads that ask the library at once would both read the one status.
        with self._lock:
            code: int | None = self._process.exitcode
            return code

    def wait(self, timeout: float | None = None) -> int:
        if not wait([self._process.sentinel], timeout):
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        code = self.poll()
        return os.EX_SOFTWARE if code is None else code

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    def let_go(self) -> None:
        self._mine.close()


def _run(name: str, work: Callable[[Connection], int], lifeline: Connection) -> None:
    become(name)
    sys.exit(work(lifeline))
