"""A way to a server on which everything is counted: plain TCP, so that no retry and no repeated byte stays unseen."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_HEAD = re.compile(rb"(GET|HEAD|PUT|POST|PATCH|DELETE) (\S+) HTTP/1\.1\r\n(.*?)\r\n\r\n", re.DOTALL)


class CountingProxy:
    """Passes connections on to a server, and counts what goes each way.

    Args:
        after: Called with the bytes so far (up, down) whenever some have passed; may kill somebody.
    """

    def __init__(self, url: str, after: Callable[[int, int], None] | None = None, *, port: int = 0) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.target = (parts.hostname, parts.port)
        self.up = 0
        self.down = 0
        self.after = after
        self._heads: list[bytes] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listening = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def lengths_of(self, method: str) -> list[str]:
        """The Content-Length of each request of a method, in the order of arrival."""
        found = []
        for block in self._heads:
            for head in _HEAD.finditer(block):
                length = re.search(rb"content-length: (\d+)", head[3], re.IGNORECASE)
                if head[1] == method.encode() and length:
                    found.append(length[1].decode())
        return found

    def reset(self) -> None:
        with self._lock:
            self.up = self.down = 0

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                try:
                    far = socket.create_connection(self.target, timeout=10)
                except OSError:
                    # The server is down; whoever asked notices by the end of the connection.
                    near.close()
                    continue
                far.settimeout(None)
                self._open |= {near, far}
                threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, upward: bool) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(1 << 16):
                if upward and b" HTTP/1.1\r\n" in block:
                    self._heads.append(block[:4096])
                # What is on its way has been sent, whether it arrives or not.
                with self._lock:
                    if upward:
                        self.up += len(block)
                    else:
                        self.down += len(block)
                sink.sendall(block)
                if self.after is not None:
                    self.after(self.up, self.down)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for end in self._open:
            end.close()
