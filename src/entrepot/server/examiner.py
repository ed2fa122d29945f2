"""The process in which contents are examined, and the copies of it that do it: one for each content.

    worker ──start──► nursery ──fork──► copy        reads one content through its own socket, says one report, ends
              ◄──────  how the copy ended ◄──

The nursery imports what checks need once, and never sees a byte of a content. A copy has hard limits on memory, time of
the processor and time on the clock, can write no file, and has nothing of the copies before it: a file that takes over
the reader of its format gains one process that holds this one file.

On the control socket the worker sends one line of JSON with the copy's end of a socket pair beside it, and gets a line
when the copy has ended. On the pair the copy sends requests and answers, each with a fixed head:

    b"R" offset (8 bytes) length (4)    the worker answers length (4) and so many bytes
    b"D" length (4) JSON                the report
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from entrepot.datatypes.examine import examine
from entrepot.datatypes.reading import Source
from entrepot.datatypes.registry import Registry, read_types
from entrepot.model.data_types import Report

__all__ = ["ANSWER", "READ", "REPORT", "serve"]

READ: Final = struct.Struct("<QI")
ANSWER: Final = struct.Struct("<I")
REPORT: Final = struct.Struct("<I")

#: Beyond the time that a check gives itself.
_GRACE_S: Final = 5.0

Work = Callable[[Source, str | None, Registry, float], Report]


class _Remote:
    """The content at the other end of the socket."""

    def __init__(self, pair: socket.socket, size: int) -> None:
        self._pair = pair
        self.size = size

    def read_at(self, offset: int, length: int) -> bytes:
        self._pair.sendall(b"R" + READ.pack(offset, length))
        return _exactly(self._pair, ANSWER.unpack(_exactly(self._pair, ANSWER.size))[0])


def _exactly(pair: socket.socket, length: int) -> bytes:
    found = bytearray(length)
    view = memoryview(found)
    at = 0
    while at < length:
        got = pair.recv_into(view[at:])
        if not got:
            raise EOFError
        at += got
    return bytes(found)


def _examine(source: Source, data_type: str | None, registry: Registry, seconds: float) -> Report:
    return examine(source, data_type, registry, seconds=seconds)


def serve(control: socket.socket, work: Work = _examine) -> None:
    """Make copies until the worker goes away.

    Args:
        work: What a copy does. Another one only in tests.
    """
    while True:
        try:
            line, places, _, _ = socket.recv_fds(control, 1 << 20, 1)
        except OSError:
            return
        if not line or not places:
            return
        told = json.loads(line)
        ready, done = os.pipe()
        child = os.fork()
        if child == 0:
            _be_copy(control, ready, socket.socket(fileno=places[0]), told, work)
        os.close(done)
        os.close(places[0])
        try:
            ended = _outlive(child, ready, control, float(told["seconds"]) + _GRACE_S)
        finally:
            os.close(ready)
        if ended is None:
            return
        control.sendall(json.dumps(ended).encode() + b"\n")


def _outlive(child: int, ready: int, control: socket.socket, seconds: float) -> dict[str, Any] | None:
    """Wait for the copy, and end it when its time is over; None when the worker is gone, and the copy with it."""
    until = time.monotonic() + seconds
    late = False
    while True:
        places = [ready, control.fileno()]
        heard, _, _ = select.select(places, [], [], max(0.0, until - time.monotonic()))
        if ready in heard:
            break
        late = not heard
        if late or control.fileno() in heard:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            break
    _, status = os.waitpid(child, 0)
    if not late and ready not in heard:
        return None
    return {"late": late, "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, "code": status >> 8 & 0xFF}


def _be_copy(control: socket.socket, ready: int, pair: socket.socket, told: Mapping[str, Any], work: Work) -> None:
    code = os.EX_OK
    try:
        # Its own end of the pipe stays open as long as it lives, which is how the nursery learns that it ended.
        os.close(ready)
        control.close()
        _limit(int(told["memory"]), float(told["seconds"]))
        registry = Registry(read_types(told["types"]))
        report = work(_Remote(pair, int(told["size"])), told["data_type"], registry, float(told["seconds"]))
        body = json.dumps(asdict(report)).encode()
        pair.sendall(b"D" + REPORT.pack(len(body)) + body)
    except MemoryError:
        code = os.EX_OSERR
    except BaseException:
        code = os.EX_SOFTWARE
    finally:
        # Nothing of the nursery may be run twice: no handlers at exit, no unwinding of what it holds.
        os._exit(code)


def _limit(memory: int, seconds: float) -> None:
    processor = int(seconds + _GRACE_S) + 1
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, processor),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        _, hard = resource.getrlimit(kind)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, least))


def main() -> None:
    """Serve the worker at the descriptor that the command line names."""
    # Whoever uploads or reads comes first: nobody waits for a report.
    os.nice(10)
    serve(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    main()
