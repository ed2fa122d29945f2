"""Real server processes on loopback, and a client that writes and reads bytes itself."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
READY = re.compile(r"Started worker-1|Uvicorn running on")
PATIENCE_S = 120


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def command(server: str, application: str, port: int) -> list[str]:
    if server == "uvicorn":
        return [sys.executable, "-m", "uvicorn", application, "--port", str(port), "--no-access-log"]
    return [
        sys.executable,
        "-m",
        "granian",
        application,
        "--interface",
        "asgi",
        "--port",
        str(port),
        "--http1-buffer-size",
        str(4 << 20),
        "--loop",
        "uvloop",
        "--no-ws",
    ]


@dataclass
class Server:
    port: int
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    _news: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)

    def follow(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            self._news.put(line)

    def wait_for_line(self, pattern: re.Pattern[str]) -> None:
        while pattern.search(self._news.get(timeout=PATIENCE_S)) is None:
            pass

    def wait_for_socket(self) -> None:
        """The server says that its worker started a moment before that worker listens."""
        ended = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S).close()
                return
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.monotonic() > ended:
                    raise
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)

    def connect(self) -> Connection:
        return Connection(socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S))

    def ask(self, method: str, target: str, body: bytes = b"", **fields: str) -> Answered:
        """One request on a connection of its own."""
        with self.connect() as connection:
            return connection.ask(method, target, body, **fields)


@contextmanager
def serving(server: str, application: str) -> Iterator[Server]:
    """The application, served by granian as the product runs it, or by uvicorn."""
    port = free_port()
    process = subprocess.Popen(
        command(server, application, port),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "PYTHONUNBUFFERED": "1"},
    )
    running = Server(port, process)
    follower = threading.Thread(target=running.follow)
    follower.start()
    try:
        running.wait_for_line(READY)
        running.wait_for_socket()
        yield running
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        follower.join()
        assert process.stdout is not None
        process.stdout.close()


@dataclass
class Answered:
    """An answer as it was on the wire. `complete` says whether it ended as HTTP has it, or was cut off."""

    status: int
    fields: dict[str, str]
    body: bytes
    complete: bool


class Connection:
    """HTTP/1.1 by hand: it sends what it is told, and sees where an answer really ends."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._buffer = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send_head(self, method: str, target: str, **fields: str) -> None:
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def ask(self, method: str, target: str, body: bytes = b"", **fields: str) -> Answered:
        if body or method in ("PUT", "POST"):
            fields.setdefault("content_length", str(len(body)))
        self.send_head(method, target, **fields)
        self.socket.sendall(body)
        return self.read(method)

    def read_head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                raise EOFError(f"no answer, only {self._buffer!r}")
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) if line.startswith("E") else line.split(": ", 1) for line in lines)
        return int(first.split()[1]), {name.lower(): value for name, value in fields.items()}

    def read(self, method: str = "GET") -> Answered:
        status, fields = self.read_head()
        if method == "HEAD" or status in (204, 304):
            return Answered(status, fields, b"", True)
        if "chunked" in fields.get("transfer-encoding", "").lower():
            return Answered(status, fields, *self._chunks())
        length = int(fields["content-length"])
        complete = self._at_least(length)
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Answered(status, fields, body, complete)

    def _chunks(self) -> tuple[bytes, bool]:
        body = b""
        while True:
            while b"\r\n" not in self._buffer:
                if not self._more():
                    return body, False
            size, _, self._buffer = self._buffer.partition(b"\r\n")
            length = int(size, 16)
            if not self._at_least(length + 2):
                return body + self._buffer[:length], False
            body, self._buffer = body + self._buffer[:length], self._buffer[length + 2 :]
            if not length:
                return body, True

    def _at_least(self, length: int) -> bool:
        parts, held = [self._buffer], len(self._buffer)
        while held < length:
            self._buffer = b""
            if not self._more():
                break
            parts.append(self._buffer)
            held += len(self._buffer)
        self._buffer = b"".join(parts)
        return held >= length

    def _more(self) -> bool:
        try:
            received = self.socket.recv(1 << 20)
        except ConnectionResetError:
            return False
        self._buffer += received
        return bool(received)
