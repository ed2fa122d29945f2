"""A proxy that knows where a request and its answer begin and end, and harms the one of them that it was told to.

    plan.at(2, "answer lost")      the second request from now is carried out, and nobody is told

It passes a message on when it has the whole of it, each request over a connection of its own; so what arrives at the
server is exactly what the plan says. Several proxies may share a plan, and count together.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

__all__ = ["HARMS", "Harm", "MessageProxy", "Plan", "message_proxy"]

_BLOCK: Final = 1 << 18
#: Far beyond what an answer takes.
_PATIENCE_S: Final = 120.0

#: What can happen to a request, in the words of the table.
HARMS: Final = (
    "request lost",
    "request cut",
    "answer lost",
    "answer cut",
    "request doubled",
    "doubled at once",
    "request late",
    "request slow",
    "gateway: 503",
    "gateway: 504 after",
    "a stranger answers",
)


@dataclass(frozen=True)
class Harm:
    """What is done to one request.

    Args:
        kind: One of HARMS; empty for nothing but `first`.
        where: Which part of a message arrives before it is cut, from 0 to 1.
        first: Called before the request goes on; it may take somebody's right away.
        instead: An answer of the proxy's own; the request is not passed on.
    """

    kind: str = ""
    where: float = 0.5
    first: Callable[[], None] = lambda: None
    instead: bytes | None = None


@dataclass
class Plan:
    """Counts requests and knows which is to be harmed. Safe for several threads."""

    lines: list[str] = field(default_factory=list)
    """The first line of each request since the beginning."""
    struck: list[str] = field(default_factory=list)
    #: By the path of an upload, the offset that its sender was told.
    acknowledged: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._at: dict[int, Harm] = {}
        self._late: list[Callable[[], None]] = []

    def begin(self) -> None:
        """Count from one again, with nothing planned."""
        with self._lock:
            self.lines.clear()
            self.struck.clear()
            self.acknowledged.clear()
            self._at.clear()

    def at(self, number: int, harm: Harm) -> None:
        with self._lock:
            self._at[number] = harm

    def next(self, line: str) -> Harm | None:
        with self._lock:
            self.lines.append(line)
            harm = self._at.pop(len(self.lines), None)
            if harm is not None:
                self.struck.append(line)
            return harm

    def acknowledge(self, path: str, offset: int) -> None:
        with self._lock:
            self.acknowledged[path] = max(offset, self.acknowledged.get(path, 0))

    def hold(self, deliver: Callable[[], None]) -> None:
        with self._lock:
            self._late.append(deliver)

    def release(self) -> None:
        """Let everything that was held back arrive."""
        with self._lock:
            held, self._late = self._late, []
        for deliver in held:
            with contextlib.suppress(OSError):
                deliver()


@dataclass(frozen=True)
class _Message:
    head: bytes
    body: bytes

    @property
    def line(self) -> str:
        return self.head.partition(b"\r\n")[0].decode("latin-1")

    def value(self, name: str) -> str | None:
        for line in self.head.split(b"\r\n")[1:]:
            key, _, found = line.partition(b":")
            if key.strip().lower() == name.encode():
                return found.strip().decode("latin-1")
        return None

    @property
    def whole(self) -> bytes:
        return self.head + self.body


class _Wire:
    """Messages off a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._held = b""

    def request(self) -> _Message | None:
        head = self._head()
        return None if head is None else self._framed(head, answers=None)

    def answer(self, to: _Message) -> _Message | None:
        """The answer to a request; None if the server said nothing."""
        while True:
            head = self._head()
            if head is None:
                return None
            if not head.startswith(b"HTTP/1.1 1"):
                return self._framed(head, answers=to)

    def _head(self) -> bytes | None:
        while b"\r\n\r\n" not in self._held:
            if not self._more():
                return None
        head, _, self._held = self._held.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def _framed(self, head: bytes, answers: _Message | None) -> _Message:
        found = _Message(head, b"")
        if answers is not None:
            status = int(found.line.split()[1])
            if answers.line.startswith("HEAD ") or status in (204, 304):
                return found
        if "chunked" in (found.value("transfer-encoding") or "").lower():
            return _Message(head, self._chunks())
        length = found.value("content-length")
        if length is not None:
            return _Message(head, self._exactly(int(length)))
        if answers is None:
            return found
        while self._more():
            pass
        body, self._held = self._held, b""
        return _Message(head, body)

    def _chunks(self) -> bytes:
        """As they are on the wire."""
        found = []
        while True:
            line = self._line()
            found.append(line)
            size = int(line.split(b";")[0], 16) if line.strip() else 0
            if not line.endswith(b"\r\n"):
                break
            found.append(self._exactly(size + 2))
            if not size:
                break
        return b"".join(found)

    def _line(self) -> bytes:
        while b"\r\n" not in self._held:
            if not self._more():
                found, self._held = self._held, b""
                return found
        line, _, self._held = self._held.partition(b"\r\n")
        return line + b"\r\n"

    def _exactly(self, size: int) -> bytes:
        """Fewer only where it was cut off."""
        parts, have = [self._held], len(self._held)
        while have < size:
            block = self._receive()
            if not block:
                break
            parts.append(block)
            have += len(block)
        whole = b"".join(parts)
        self._held = whole[size:]
        return whole[:size]

    def _more(self) -> bool:
        block = self._receive()
        self._held += block
        return bool(block)

    def _receive(self) -> bytes:
        try:
            return self.sock.recv(_BLOCK)
        except ConnectionError:
            return b""


class MessageProxy:
    """One address in front of a server."""

    def __init__(self, url: str, plan: Plan) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.plan = plan
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closed = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

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
        with client, contextlib.suppress(OSError):
            wire = _Wire(client)
            while (request := wire.request()) is not None:
                answer, goes_on = self._answered(request)
                client.sendall(answer)
                if not goes_on:
                    break
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _answered(self, request: _Message) -> tuple[bytes, bool]:
        """What the client gets, and whether its connection lives on."""
        harm = self.plan.next(request.line)
        if harm is None:
            return self._done(request), True
        harm.first()
        if harm.instead is not None:
            return harm.instead, False
        answer: bytes = b""
        match harm.kind:
            case "request lost":
                pass
            case "request cut":
                whole = request.whole
                self._send(whole[: max(1, int(len(whole) * harm.where))])
            case "answer lost":
                self._exchange(request)
            case "answer cut":
                whole = self._exchange(request).whole
                return whole[: max(1, int(len(whole) * harm.where))], False
            case "request doubled":
                self._exchange(request)
                return self._done(request), True
            case "doubled at once":
                other = threading.Thread(target=self._try, args=(request,))
                other.start()
                answer = self._done(request)
                other.join()
                return answer, True
            case "request late":
                self.plan.hold(lambda: self._try(request))
            case "request slow":
                self._closed.wait(0.2 * harm.where)
                return self._done(request), True
            case "gateway: 503":
                return _page(503, "Try again later."), False
            case "gateway: 504 after":
                self._exchange(request)
                return _page(504, "It took too long."), False
            case "a stranger answers":
                return _page(200, "Please log in to this network."), False
            case _:
                return self._done(request), True
        return answer, False

    def _done(self, request: _Message) -> bytes:
        """An answer that reaches the client; whatever was held back arrives after it."""
        answer = self._exchange(request)
        offset = answer.value("upload-offset")
        if request.line.startswith("PATCH ") and answer.line.split()[1].startswith("2") and offset is not None:
            self.plan.acknowledge(request.line.split()[1], int(offset))
        self.plan.release()
        return answer.whole

    def _exchange(self, request: _Message) -> _Message:
        """
        Raises:
            ConnectionError: The server said nothing.
        """
        with socket.create_connection(self._target, timeout=_PATIENCE_S) as server:
            # Whoever refuses a body may not read it to its end, and says why before it hangs up.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                server.sendall(request.whole)
            answer = _Wire(server).answer(request)
        if answer is None:
            raise ConnectionResetError("the server said nothing")
        return answer

    def _try(self, request: _Message) -> None:
        with contextlib.suppress(OSError):
            self._exchange(request)

    def _send(self, part: bytes) -> None:
        """A part of a request, after which the connection ends; until the server has noticed."""
        with contextlib.suppress(OSError), socket.create_connection(self._target, timeout=_PATIENCE_S) as server:
            server.sendall(part)
            server.shutdown(socket.SHUT_WR)
            while server.recv(_BLOCK):
                pass


def _page(status: int, text: str) -> bytes:
    """As somebody answers who is not the server."""
    body = f"<!doctype html><title>{status}</title><p>{text}".encode()
    head = f"HTTP/1.1 {status} Page\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@contextlib.contextmanager
def message_proxy(url: str, plan: Plan) -> Iterator[MessageProxy]:
    """A proxy to the server at an address, until the block ends."""
    proxy = MessageProxy(url, plan)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
