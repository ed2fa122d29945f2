"""A daemon's process: one for each socket however many are started, from its lock to its orderly end.

    lock      PATH.lock, held until the process ends, whatever ends it
    journal   opened, and what the last daemon left is queued again
    socket    bound beside its place with mode 0600 and moved there: a stale file is replaced, and nobody ever finds
              a socket that does not listen yet
    serve     until it is told to stop, or was idle for long enough

Who finds the lock taken waits until that daemon answers, and ends; so two programs that start a daemon at the same
moment both get the one that won.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import logging.handlers
import os
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from entrepot.daemon import places
from entrepot.daemon.accounts import Accounts
from entrepot.daemon.journal import Journal
from entrepot.daemon.listener import Listener
from entrepot.daemon.service import Service
from entrepot.model.errors import AlreadyRunning, Invalid

__all__ = ["IDLE_S", "IDLE_VARIABLE", "Options", "run"]

log = logging.getLogger(__name__)

IDLE_VARIABLE = "ENTREPOT_DAEMON_IDLE_S"
IDLE_S = 900.0
#: How long to wait for a daemon that holds the lock to answer or to go.
_TAKEOVER_S = 15.0
_LOG_BYTES = 2 << 20
#: How often what ended long ago is forgotten, by a daemon that runs for months.
_TIDY_S = 3600.0
#: `EX_TEMPFAIL` of sysexits.
_TRY_AGAIN = 75


@dataclass(frozen=True, slots=True)
class Options:
    """How to run.

    Args:
        idle_s: Seconds without a connection or work after which it ends; 0 never.
        rate: Bytes a second for all transfers; None keeps what was set before, 0 takes it away.
        slots: How many transfers run at once.
    """

    idle_s: float = IDLE_S
    rate: float | None = None
    slots: int | None = None


def idle_from_environment() -> float:
    text = os.environ.get(IDLE_VARIABLE, "")
    try:
        found = float(text) if text else IDLE_S
    except ValueError:
        found = -1.0
    if not 0 <= found < 1e9:
        raise Invalid(f"{IDLE_VARIABLE} is a number of seconds, not {text!r}.")
    return found


def run(path: Path, options: Options) -> None:
    """Serve the socket; returns when the daemon has ended.

    Raises:
        AlreadyRunning: Another daemon serves it.
    """
    places.private_folder(path.parent)
    home = places.home_of(path)
    places.private_folder(home)
    with _locked(path):
        _write_log(home / "daemon.log")
        _Daemon(path, home, options).serve()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    """The lock of a socket. The file stays: to remove it would let two hold locks of the same name."""
    place = places.lock_of(path)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        handle = os.open(place, flags, 0o600)
    except OSError as error:
        raise Invalid(f"The lock {str(place)!r} cannot be opened: {error.strerror or error}.") from error
    with os.fdopen(handle, "r+b") as file:
        deadline = time.monotonic() + _TAKEOVER_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if answers(path):
                    raise AlreadyRunning(f"A daemon serves {path} already.") from None
                if time.monotonic() > deadline:
                    raise AlreadyRunning(
                        f"A daemon holds {place} and does not answer. `entrepot daemon logs` says more; end it first."
                    ) from None
                time.sleep(0.05)
        file.truncate(0)
        file.write(f"{os.getpid()}\n".encode())
        file.flush()
        yield file


def holder(path: Path) -> int | None:
    """The pid of the daemon that holds the lock of a socket; None when nobody does."""
    place = places.lock_of(path)
    try:
        with place.open("r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read(20).strip()
                return int(text) if text.isdigit() else 0
    except OSError:
        return None
    return None


def answers(path: Path) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2.0)
        try:
            with places.short(path) as address:
                probe.connect(address)
        except OSError:
            return False
    return True


def _require_free(path: Path) -> None:
    """
    Raises:
        Invalid: What lies there is no socket, so it was not left by a daemon, and is not ours to replace.
    """
    try:
        state = path.lstat()
    except OSError:
        return
    if not stat.S_ISSOCK(state.st_mode):
        raise Invalid(f"{str(path)!r} is there already, and no socket. Name a path for the socket that is free.")


def _write_log(place: Path) -> None:
    handler = logging.handlers.RotatingFileHandler(place, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    own = logging.getLogger("entrepot.daemon")
    own.handlers[:] = [handler]
    own.setLevel(logging.INFO)
    own.propagate = False


class _Daemon:
    def __init__(self, path: Path, home: Path, options: Options) -> None:
        self._path = path
        self._home = home
        self._options = options
        self._stopped = threading.Event()
        self._listener: Listener | None = None
        self._idle_since = time.monotonic()
        self._tidied_at = time.monotonic()
        self._status = 0

    def serve(self) -> None:
        _require_free(self._path)
        journal = Journal(self._home / "journal.sqlite3")
        if journal.damaged is not None:
            log.error("the journal was damaged; it is kept as %s, and a new one is begun", journal.damaged)
        accounts = Accounts()
        service = Service(self._path, journal, accounts, self._stop, slots=self._options.slots)
        if self._options.rate is not None:
            service.set_rate(self._options.rate or None)
        listening, inode = self._bound()
        self._listener = Listener(listening, service.answer, service.gone)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        log.info("serving %s as process %d", self._path, os.getpid())
        try:
            service.engine.start()
            service.watcher.start()
            self._listener.run(lambda: self._look(service))
        except Exception:
            # Threads would outlive it, so it has to be said here; and who looks after us has to know.
            log.exception("ended by what nobody foresaw")
            self._status = 1
        finally:
            # First nobody finds us any more, then the work is put down.
            self._unlink(inode)
            listening.close()
            service.watcher.stop()
            service.engine.stop()
            with contextlib.suppress(Exception):
                log.info("ended; %d transfers are left for the next daemon", journal.unfinished())
            logging.shutdown()
            # Threads that wait for a slow server would keep the process; the journal needs no farewell.
            sys.stdout.flush()
            os._exit(self._status)

    def _bound(self) -> tuple[socket.socket, int]:
        beside = self._path.with_name(f".{self._path.name[:60]}.{os.getpid()}")
        beside.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        try:
            with places.short(beside) as address:
                listening.bind(address)
        finally:
            os.umask(before)
        beside.chmod(0o600)
        listening.listen(1024)
        beside.replace(self._path)
        return listening, self._path.stat().st_ino

    def _unlink(self, inode: int) -> None:
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == inode:
                self._path.unlink()

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._listener is not None:
            self._listener.stop()

    def _look(self, service: Service) -> None:
        """Each second: is there anything left to be here for?"""
        assert self._listener is not None
        now = time.monotonic()
        if self._listener.connections or service.engine.busy or service.watcher.busy:
            self._idle_since = now
        elif self._options.idle_s and now - self._idle_since >= self._options.idle_s:
            log.info("idle for %.0f s", self._options.idle_s)
            self._stop()
        if now - self._tidied_at >= _TIDY_S:
            self._tidied_at = now
            service.forget_old()
        if not os.path.lexists(self._path):
            # Somebody tidied the folder. Nobody can reach us any more; the next daemon goes on with the journal, and
            # systemd starts that one for an end that was no success.
            log.warning("%s is gone", self._path)
            self._status = _TRY_AGAIN
            self._stop()
