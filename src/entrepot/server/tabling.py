"""The workshop: child processes that read and write tables, each within hard limits.

    READ    a few processes that stay: pages, statistics, exports
    QUERY   SQL of people: a process for each question, little memory, little time, killed when either is over
    WORK    ingests, sorted copies, comparisons: one process at a time each, of which one stays for the next

Starting one and loading what it needs takes a second of processor time. So after a query one more is started, for the
next; it answers that one and no other. A process that dies, whatever of, costs the question it was working on and
nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from entrepot.catalog.contents import Extent
from entrepot.depot.context import Limits
from entrepot.depot.tabling import Effort, Frames
from entrepot.model.errors import TooLarge, Unavailable
from entrepot.store.base import LocalFiles, ObjectStore

__all__ = ["Idle", "Processes"]

#: Processes that stay for the next question of their kind, and questions that are worked on at a time.
_STAY: Final = {Effort.READ: 2, Effort.WORK: 1, Effort.QUERY: 1}
_AT_ONCE: Final = {Effort.READ: 4, Effort.QUERY: 2, Effort.WORK: 4}
#: How long a question waits for its turn.
_TURN_S: Final = 10.0
#: Address space beyond what the work itself may take: libraries, their threads' stacks, their arenas.
_BASE: Final = 3 << 30
_WORK_MEMORY: Final = 1 << 30
#: Answers of a reader before it is replaced by a new one, so that what memory it holds on to comes back.
_ANSWERS: Final = 2_000
_READ_S: Final = 600.0
#: Until a process has loaded what it needs for a query.
_START_S: Final = 120.0


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    arguments: tuple[str, ...]
    answers: int = 0

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        self.process.kill()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self.process.wait()


class Idle:
    """Children that wait for their next question, by what they are for and what limits they have."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[Effort, tuple[str, ...]], list[_Child]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def take(self, effort: Effort, arguments: tuple[str, ...]) -> _Child | None:
        with self._lock:
            waiting = self._waiting.get((effort, arguments), [])
            while waiting:
                child = waiting.pop()
                if child.alive:
                    return child
                child.end()
        return None

    def has_room(self, effort: Effort, arguments: tuple[str, ...]) -> bool:
        with self._lock:
            return not self._closed and len(self._waiting.get((effort, arguments), ())) < _STAY[effort]

    def give(self, effort: Effort, child: _Child) -> None:
        with self._lock:
            waiting = self._waiting.setdefault((effort, child.arguments), [])
            # Who has seen one query is not there for another.
            most = 1 if effort is Effort.QUERY else _ANSWERS
            if not self._closed and child.alive and child.answers < most and len(waiting) < _STAY[effort]:
                waiting.append(child)
                return
        child.end()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for waiting in self._waiting.values():
                for child in waiting:
                    child.end()
                waiting.clear()


class Processes:
    """`Workshop` on this machine.

    Args:
        folder: For files that are spilled or spooled; made if missing.
        idle: Shared with others of the same limits; tests do that.
        begin: `subprocess.Popen`, or what does the same quicker.
    """

    def __init__(
        self,
        store: ObjectStore,
        folder: Path,
        limits: Limits,
        *,
        idle: Idle | None = None,
        begin: Callable[..., subprocess.Popen[bytes]] | None = None,
    ) -> None:
        self._store = store
        self._folder = folder
        self._limits = limits
        self._idle = idle or Idle()
        self._begin = begin
        self._turns = {effort: threading.Semaphore(count) for effort, count in _AT_ONCE.items()}
        self._closed = False

    @property
    def folder(self) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        return str(self._folder)

    def file_of(self, extent: Extent) -> str | None:
        if isinstance(self._store, LocalFiles) and extent.store == self._store.name:
            return self._store.path_of(extent.key)
        return None

    @contextlib.contextmanager
    def spool(self, blocks: Iterator[bytes]) -> Iterator[str]:
        fd, path = tempfile.mkstemp(prefix="spool-", dir=self.folder)
        try:
            with os.fdopen(fd, "wb") as file:
                for block in blocks:
                    file.write(block)
            yield path
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108 - never was a Path

    @contextlib.contextmanager
    def ask(self, request: Mapping[str, Any], effort: Effort) -> Iterator[Frames]:
        if not self._turns[effort].acquire(timeout=_TURN_S):
            raise Unavailable(
                "Too many questions about tables are being worked on. Ask again in a moment.",
                details={"retry_after_s": 5},
            )
        child = None
        late = _Late()
        try:
            child = self._take(effort)
            seconds = {Effort.QUERY: _START_S, Effort.READ: _READ_S}.get(effort)
            if seconds is not None:
                late.after(seconds, child)
            whole = [False]
            yield self._frames(child, self._bounded(request, effort), effort, late, whole)
            if whole[0]:
                self._idle.give(effort, child)
                child = None
        finally:
            late.cancel()
            if child is not None:
                child.end()
            self._turns[effort].release()
            if effort is Effort.QUERY:
                self._prepare()

    def _bounded(self, request: Mapping[str, Any], effort: Effort) -> dict[str, Any]:
        memory = self._limits.query_memory if effort is not Effort.WORK else _WORK_MEMORY
        return {"memory": memory // 2, "spill": self.folder if effort is Effort.WORK else "", **request}

    def _frames(
        self, child: _Child, request: Mapping[str, Any], effort: Effort, late: _Late, whole: list[bool]
    ) -> Frames:
        stdin, stdout = child.process.stdin, child.process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
            while True:
                head = _exactly(stdout, 5)
                letter, size = head[:1].decode(), struct.unpack(">I", head[1:])[0]
                body = _exactly(stdout, size)
                if letter == "P" and effort is Effort.QUERY:
                    # It has loaded what it needs: the time of the query itself begins.
                    late.after(self._limits.query_seconds, child)
                if letter in "RX":
                    child.answers += 1
                    whole[0] = True
                    yield letter, body
                    return
                yield letter, body
        except (EOFError, BrokenPipeError) as error:
            code = child.process.wait()
            if late.over or code == -signal.SIGXCPU:
                raise TooLarge(
                    f"This took longer than {self._limits.query_seconds} s and was stopped. Ask for less at a time."
                ) from error
            if code == -signal.SIGABRT:
                # What libraries do that are refused memory.
                raise TooLarge("This needs more memory than it may take. Send or ask for less at a time.") from error
            if effort is Effort.QUERY:
                raise TooLarge("The query took more than it may have and was stopped. Ask for less.") from error
            raise Unavailable("The process that reads tables was ended. Try again.") from error

    def _take(self, effort: Effort) -> _Child:
        if self._closed:
            raise Unavailable("The server is ending.")
        return self._idle.take(effort, self._arguments(effort)) or self._spawn(effort)

    def _prepare(self) -> None:
        """Start the process of the next query; it loads what it needs while nobody waits for it."""
        if self._closed or not self._idle.has_room(Effort.QUERY, self._arguments(Effort.QUERY)):
            return
        with contextlib.suppress(Unavailable):
            self._idle.give(Effort.QUERY, self._spawn(Effort.QUERY))

    def _arguments(self, effort: Effort) -> tuple[str, ...]:
        if effort is Effort.WORK:
            return str(_WORK_MEMORY + _BASE), "0", "work"
        cpu = self._limits.query_seconds * 2 if effort is Effort.QUERY else 0
        return str(self._limits.query_memory + _BASE), str(cpu), effort.value

    def _spawn(self, effort: Effort) -> _Child:
        arguments = self._arguments(effort)
        # Nothing of our environment: it may hold secrets, and queries may ask for variables.
        environ = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        environ["PYTHONPATH"] = str(Path(__file__).parents[2])
        environ |= {"OMP_NUM_THREADS": "2", "ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2"}
        try:
            process = (self._begin or subprocess.Popen)(
                [sys.executable, "-m", "entrepot.tabular.child", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environ,
                cwd="/",
            )
        except OSError as error:
            raise Unavailable(f"No process could be started to read tables: {error.strerror}.") from error
        return _Child(process, arguments)

    def close(self) -> None:
        """End those that wait. Whoever is asking still is answered, or not."""
        self._closed = True
        self._idle.close()


class _Late:
    """Kills a child when its time is over; whoever waits for it asks whether that was why it ended."""

    def __init__(self) -> None:
        self.over = False
        self._timer: threading.Timer | None = None

    def after(self, seconds: float, child: _Child) -> None:
        """So long from now; what was said before does not count any more."""
        self.cancel()
        self._timer = threading.Timer(seconds, self._stop, (child,))
        self._timer.daemon = True
        self._timer.start()

    def _stop(self, child: _Child) -> None:
        self.over = True
        child.process.kill()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError
    return data


def clear(folder: Path) -> None:
    """Remove what processes that were killed left behind. Only while nobody else uses the folder."""
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir():
            with contextlib.suppress(OSError):
                path.unlink()
