"""A process that belongs to the server: started with it, started again when it dies, ended with it."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)

FIRST_RETRY_S, LAST_RETRY_S = 0.5, 30.0
#: A child that lived this long did its work; its next death is news again.
SETTLED_S = 60.0


class Child(Protocol):
    """A process that was started. It has a lifeline: a pipe whose other end only this process holds."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Until it has ended; raises subprocess.TimeoutExpired."""

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    def let_go(self) -> None:
        """Cut the lifeline. May be repeated."""


class Program(subprocess.Popen[bytes]):
    """A program whose standard input is its lifeline."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        super().__init__(command, stdin=subprocess.PIPE, env=environ)

    def let_go(self) -> None:
        if self.stdin is not None:
            with contextlib.suppress(OSError):
                self.stdin.close()


class ManagedProcess:
    """Keeps one child running until `terminate`.

    Args:
        name: What log lines call it.
        begin: Starts a child.
        sleep: Waits so many seconds or until the flag is set; tests give one that does not wait.
    """

    def __init__(
        self,
        name: str,
        begin: Callable[[], Child],
        *,
        sleep: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        self._name = name
        self._begin = begin
        self._sleep = sleep
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._keeper = threading.Thread(target=self._keep, name=f"keeper-{name}", daemon=True)

    @property
    def pid(self) -> int | None:
        """Of the child that runs now."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    def start(self) -> None:
        self._spawn()
        self._keeper.start()

    def _spawn(self) -> Child | None:
        with self._lock:
            if self._ending.is_set():
                return None
            self._child = self._begin()
            log.info("process started", process=self._name, pid=self._child.pid)
            return self._child

    def _keep(self) -> None:
        pause, child = FIRST_RETRY_S, self._child
        while child is not None:
            since = time.monotonic()
            code = child.wait()
            if self._ending.is_set():
                return
            pause = FIRST_RETRY_S if time.monotonic() - since > SETTLED_S else min(pause * 2, LAST_RETRY_S)
            log.error("process ended by itself; starting it again", process=self._name, code=code, after_s=pause)
            child.let_go()
            self._sleep(self._ending, pause)
            try:
                child = self._spawn()
            except OSError as error:
                log.error("process cannot be started", process=self._name, error=str(error))

    def terminate(self) -> None:
        """Ask the child to end. Returns at once; may be repeated."""
        with self._lock:
            self._ending.set()
            if self._child is not None:
                self._child.let_go()
                with contextlib.suppress(ProcessLookupError):
                    self._child.terminate()

    def wait(self, timeout_s: float) -> None:
        """Until the child has ended; a child that does not end in time is killed."""
        self.terminate()
        child = self._child
        if child is None:
            return
        try:
            child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            log.warning("process did not end in time and is killed", process=self._name, pid=child.pid)
            child.kill()
            child.wait()
