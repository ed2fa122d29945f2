"""A proxy between a client and a server that loses answers, holds requests back, or answers itself that there is no
service now."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

__all__ = ["LosingProxy", "losing_proxy"]

_BLOCK = 1 << 16


class LosingProxy:
    """Passes bytes on, both ways. `lose` makes it swallow the next answers to requests that begin so."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._begins = b""
        self._left = 0
        self._says: int | None = None
        self._instead: int | None = None
        self._apart, self._seen = 1, 0
        self._waits = 0.0
        self._closed = threading.Event()
        #: First lines of the requests whose answers were lost or were the proxy's own.
        self.lost: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def lose(self, begins: bytes, times: int = 1, *, apart: int = 1, instead: int | None = None) -> None:
        """The request arrives; where its answer would begin the connection is cut.

        Args:
            begins: As `POST /projects/`.
            apart: 2 loses every second of these answers, beginning with the first.
            instead: The client gets this status, as from a gateway that stopped waiting when the work was done.
        """
        self._plan(begins, times, apart=apart, instead=instead)

    def slow(self, begins: bytes, seconds: float, times: int = 1) -> None:
        """Such a request lies in the proxy for a while before it goes on."""
        self._plan(begins, times, waits=seconds)

    def refuse(self, begins: bytes, status: int, times: int = 1) -> None:
        """Such a request never arrives; the proxy answers with this status."""
        self._plan(begins, times, says=status)

    def _plan(
        self,
        begins: bytes,
        times: int,
        *,
        apart: int = 1,
        instead: int | None = None,
        says: int | None = None,
        waits: float = 0.0,
    ) -> None:
        with self._lock:
            self._begins, self._left, self._says, self._waits = begins, times, says, waits
            self._instead, self._apart, self._seen = instead, apart, 0

    def _takes(self, block: bytes) -> bool:
        with self._lock:
            if not self._left or not block.startswith(self._begins):
                return False
            self._seen += 1
            if (self._seen - 1) % self._apart:
                return False
            self._left -= 1
            self.lost.append(block.partition(b"\r\n")[0])
            return True

    def serve(self) -> None:
        """Until it is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def close(self) -> None:
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _pass(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            server = socket.create_connection(self._target)
            loses = threading.Event()
            with server:
                back = threading.Thread(target=self._answer, args=(server, client, loses), daemon=True)
                back.start()
                while block := client.recv(_BLOCK):
                    if self._takes(block):
                        if self._waits:
                            self._closed.wait(self._waits)
                            server.sendall(block)
                            continue
                        loses.set()
                        if self._says is not None:
                            client.sendall(_answer_of_its_own(self._says))
                            break
                    server.sendall(block)
                with contextlib.suppress(OSError):
                    server.shutdown(socket.SHUT_WR)
                back.join()

    def _answer(self, server: socket.socket, client: socket.socket, loses: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while block := server.recv(_BLOCK):
                if loses.is_set():
                    if self._instead is not None:
                        client.sendall(_answer_of_its_own(self._instead))
                    break
                client.sendall(block)
        # Whoever waits for the rest of the answer is told that there is none.
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


def _answer_of_its_own(status: int) -> bytes:
    return f"HTTP/1.1 {status} Later\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}".encode()


@contextlib.contextmanager
def losing_proxy(url: str) -> Iterator[LosingProxy]:
    """A proxy to the server at an address, until the block ends."""
    proxy = LosingProxy(url)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
