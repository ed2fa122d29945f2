"""A process that belongs to the server: started with it, started again when it dies, ended with it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

log = structlog.get_logger(__name__)

FIRST_RETRY_S, LAST_RETRY_S = 0.5, 30.0
#: A child that lived this long did its work; its next death is news again.
SETTLED_S = 60.0


class ManagedProcess:
    """Keeps one child running until `terminate`.

    The child's standard input is its lifeline: a pipe whose other end only this process holds.

    Args:
        name: What log lines call it.
        command: Program and arguments.
        sleep: Waits so many seconds or until the flag is set; tests give one that does not wait.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environ: Mapping[str, str] | None = None,
        sleep: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        self._name = name
        self._command = list(command)
        self._environ = dict(os.environ if environ is None else environ)
        self._sleep = sleep
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._keeper = threading.Thread(target=self._keep, name=f"keeper-{name}", daemon=True)

    @property
    def pid(self) -> int | None:
        """Of the child that runs now."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    def start(self) -> None:
        self._spawn()
        self._keeper.start()

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._ending.is_set():
                return None
            self._child = subprocess.Popen(self._command, stdin=subprocess.PIPE, env=self._environ)
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
            self._close_lifeline(child)
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
                self._close_lifeline(self._child)
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

    @staticmethod
    def _close_lifeline(child: subprocess.Popen[bytes]) -> None:
        if child.stdin is not None:
            with contextlib.suppress(OSError):
                child.stdin.close()


def python_command(*arguments: str) -> list[str]:
    """Our own program in another process: the same interpreter, never whatever PATH finds."""
    return [sys.executable, "-m", "entrepot", *arguments]
