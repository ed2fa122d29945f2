"""The worker's side of examining: starts the nursery, gives copies the bytes that they ask for, takes their reports.

Whatever a copy says is taken as the words of a stranger: it may have been taken over by the file that it read.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from entrepot.depot.examining import Readable
from entrepot.model.data_types import Finding, Report, Standing
from entrepot.server.examiner import ANSWER, READ, REPORT

log = structlog.get_logger(__name__)

__all__ = ["ChildExaminer"]

#: Bytes of a report, and of one answer to a copy.
_MOST_REPORT: Final = 8 << 20
_MOST_READ: Final = 8 << 20
#: How long a socket may be silent beyond the time of a check, before the nursery itself is taken for dead.
_SILENCE_S: Final = 30.0


#: What of our environment goes along; the rest may hold passwords and keys, and copies read the files of strangers.
_ENVIRONMENT: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "MALLOC_ARENA_MAX")


class _Broken(Exception):
    """The copy ended, or said what no copy says."""


class ChildExaminer:
    """Examines contents in processes of their own, one at a time. Started at its first use.

    Args:
        types: The types that settings add, as JSON values.
        memory: Address space of a copy, in bytes.
        seconds: On the clock, for one content.
        command: What the nursery is; tests give one that misbehaves. Its last argument is a descriptor.
    """

    def __init__(
        self,
        types: Sequence[Mapping[str, Any]] = (),
        *,
        memory: int = 2 << 30,
        seconds: float = 300.0,
        command: Sequence[str] = (sys.executable, "-m", "entrepot.server.examiner"),
    ) -> None:
        self._types = list(types)
        self._memory = memory
        self._seconds = seconds
        self._command = list(command)
        self._lock = threading.Lock()
        self._nursery: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def __call__(self, source: Readable, data_type: str | None) -> Report:
        with self._lock:
            try:
                return self._examine(source, data_type)
            except (OSError, EOFError) as error:
                # The nursery itself is gone; the next content gets a new one.
                log.warning("the process that examines files was lost", error=str(error))
                self._end()
                return _ended(data_type, "the process that examines files was lost")

    def close(self) -> None:
        with self._lock:
            self._end()

    def _start(self) -> socket.socket:
        if self._control is not None and self._nursery is not None and self._nursery.poll() is None:
            return self._control
        self._end()
        ours, theirs = socket.socketpair()
        with theirs:
            self._nursery = subprocess.Popen(
                [*self._command, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            )
        self._control = ours
        return ours

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._nursery is not None:
            # It ends when its socket does, with the copy that it waits for.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._nursery.wait(5)
            if self._nursery.poll() is None:
                self._nursery.kill()
                self._nursery.wait()
        self._control = self._nursery = None

    def _examine(self, source: Readable, data_type: str | None) -> Report:
        control = self._start()
        request = {
            "data_type": data_type,
            "size": source.size,
            "types": self._types,
            "memory": self._memory,
            "seconds": self._seconds,
        }
        ours, theirs = socket.socketpair()
        with ours:
            ours.settimeout(self._seconds + _SILENCE_S)
            control.settimeout(self._seconds + _SILENCE_S)
            with theirs:
                socket.send_fds(control, [json.dumps(request).encode() + b"\n"], [theirs.fileno()])
            report: Report | None = None
            with contextlib.suppress(_Broken, ConnectionError):
                report = self._listen(ours, source)
        ended = self._how_it_ended(control)
        if report is not None:
            return report
        return _ended(data_type, _why(ended, self._memory, self._seconds))

    def _listen(self, pair: socket.socket, source: Readable) -> Report:
        """Give the copy what it asks for, until it says its report."""
        while True:
            kind = pair.recv(1)
            if kind == b"R":
                offset, length = READ.unpack(_exactly(pair, READ.size))
                if length > _MOST_READ or offset > source.size:
                    raise _Broken
                block = source.read_at(offset, min(length, source.size - offset))
                pair.sendall(ANSWER.pack(len(block)) + block)
            elif kind == b"D":
                length = REPORT.unpack(_exactly(pair, REPORT.size))[0]
                if length > _MOST_REPORT:
                    raise _Broken
                return _report(_exactly(pair, length))
            else:
                raise _Broken

    def _how_it_ended(self, control: socket.socket) -> Mapping[str, Any]:
        line = b""
        while not line.endswith(b"\n"):
            block = control.recv(4096)
            if not block:
                raise EOFError("it closed its socket")
            line += block
        told: Mapping[str, Any] = json.loads(line)
        return told


def _exactly(pair: socket.socket, length: int) -> bytes:
    found = bytearray()
    while len(found) < length:
        block = pair.recv(min(1 << 20, length - len(found)))
        if not block:
            raise _Broken
        found += block
    return bytes(found)


def _why(ended: Mapping[str, Any], memory: int, seconds: float) -> str:
    if ended["late"] or ended["signal"] == 24:
        return f"reading it took longer than {seconds:g} s"
    if ended["code"] == 71:
        return f"reading it took more than {memory >> 20} MiB of memory"
    return f"reading it ended the process (signal {ended['signal']}, code {ended['code']})"


def _ended(data_type: str | None, why: str) -> Report:
    finding = Finding("check_ended", f"The check was ended: {why}.")
    return Report(Standing.UNFINISHED, None, data_type, None, 1, (finding,))


def _report(body: bytes) -> Report:
    """What a copy said, taken apart and put together again by us.

    Raises:
        _Broken: It is no report.
    """
    try:
        told = json.loads(body)
        return Report(
            Standing(told["standing"]),
            _word(told["recognised"]),
            _word(told["examined_as"]),
            _word(told["compression"]),
            max(0, min(int(told["found"]), 1 << 60)),
            tuple(_finding(one) for one in told["findings"][:100]),
            dict(told["facts"]),
            tuple(str(one)[:100] for one in told["checked_with"][:20]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise _Broken from None


def _word(given: object) -> str | None:
    return None if given is None else str(given)[:100]


def _finding(told: Mapping[str, Any]) -> Finding:
    places = (told.get(name) for name in ("line", "record", "offset"))
    line, record, offset = (None if place is None else max(0, min(int(place), 1 << 62)) for place in places)
    message = "".join(char if char.isprintable() else " " for char in str(told["message"])[:1000])
    return Finding(str(told["code"])[:60], message, line, record, offset)
