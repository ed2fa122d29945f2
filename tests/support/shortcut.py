"""A bucket in memory that clients are sent to, on the clock of the test; and the way to it, on which anything happens.

    shortcut.harms = [answers(403), cut(5000)]     the next two requests that reach the bucket, in this order

The server's application and the bucket are both reached by `Ways`, without a socket.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import httpx2

from entrepot.model.errors import NotFound
from entrepot.store.memory import MemoryStore
from tests.support.catalogs import Clock

__all__ = ["Shortcut", "Ways", "answers", "breaks", "cut", "flips", "loses", "unreachable"]

HOST: Final = "bucket.test"

Carry = Callable[[httpx2.Request], httpx2.Response]
Harm = Callable[[httpx2.Request, Carry], httpx2.Response]


class Body(httpx2.SyncByteStream):
    """An answer's body, as it comes from a network; `cut` breaks it off behind these bytes."""

    def __init__(self, body: bytes, *, cut: bool = False) -> None:
        self._body = body
        self._cut = cut

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._body), 1 << 20):
            yield self._body[start : start + (1 << 20)]
        if self._cut:
            raise httpx2.ReadError("connection reset")


class Shortcut(MemoryStore):
    """A store in memory with addresses of its own."""

    largest_arrival = 1 << 30

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.arrivals: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.harms: list[Harm] = []
        #: For every request for which no harm is planned.
        self.always: Harm | None = None

    # --- what the server does -----------------------------------------------------------------------------------------

    def sign_read(self, key: str, lifetime: timedelta) -> str:
        return self._address("objects", key, lifetime)

    def sign_arrival(self, key: str, lifetime: timedelta) -> str:
        return self._address("arrivals", key, lifetime)

    def _address(self, kind: str, key: str, lifetime: timedelta) -> str:
        return str(httpx2.URL(f"http://{HOST}/{kind}/{key}", params={"until": (self._clock() + lifetime).isoformat()}))

    def arrived(self, key: str) -> int | None:
        return len(self.arrivals[key]) if key in self.arrivals else None

    def take(self, arrival: str, key: str) -> None:
        if arrival not in self.arrivals:
            raise NotFound("Nothing arrived.")
        self.add(key, self.arrivals[arrival])

    def forget_arrival(self, key: str) -> None:
        self.arrivals.pop(key, None)

    # --- what clients do ----------------------------------------------------------------------------------------------

    def carry(self, request: httpx2.Request) -> httpx2.Response:
        """A request that reaches it."""
        self.asked.append(request.method)
        harm = self.harms.pop(0) if self.harms else self.always
        return self.serve(request) if harm is None else harm(request, self.serve)

    def serve(self, request: httpx2.Request) -> httpx2.Response:
        assert "authorization" not in request.headers, "a credential of ours went to the store"
        if datetime.fromisoformat(request.url.params["until"]) <= self._clock():
            return refusal(403, "AccessDenied", "Request has expired")
        _, kind, key = request.url.path.split("/", 2)
        if request.method == "PUT":
            assert kind == "arrivals"
            self.arrivals[key] = request.read()
            return httpx2.Response(200, request=request)
        with self.open(key) as reader:
            body = bytes(reader.read_at(0, reader.size))
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if asked is None:
            return httpx2.Response(200, stream=Body(body))
        start = int(asked[1])
        told = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
        return httpx2.Response(206, headers=told, stream=Body(body[start:]))


def refusal(status: int, code: str, text: str) -> httpx2.Response:
    """As servers of the S3 protocol say no."""
    body = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>".encode()
    return httpx2.Response(status, stream=Body(body))


@dataclass
class Ways(httpx2.BaseTransport):
    """Requests by host: to the bucket, or to the application."""

    bucket: Shortcut
    application: httpx2.BaseTransport
    #: What the application was asked for, and how many bytes of bodies passed it.
    asked: list[tuple[str, str]] = field(default_factory=list)
    passed: int = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.host == HOST:
            return self.bucket.carry(request)
        self.asked.append((request.method, request.url.path))
        body = request.read()
        answer = self.application.handle_request(request)
        self.passed += len(body) + len(answer.read())
        return httpx2.Response(answer.status_code, headers=answer.headers, stream=Body(answer.content))


# What happens on the way


def answers(status: int, code: str = "AccessDenied", text: str = "No.") -> Harm:
    return lambda request, carry: refusal(status, code, text)


def unreachable() -> Harm:
    def harm(request: httpx2.Request, carry: Carry) -> httpx2.Response:
        raise httpx2.ConnectError("connection refused", request=request)

    return harm


def breaks(error: type[httpx2.TransportError]) -> Harm:
    """Nothing arrives."""

    def harm(request: httpx2.Request, carry: Carry) -> httpx2.Response:
        raise error("it broke", request=request)

    return harm


def loses() -> Harm:
    """It is done, and nobody is told."""

    def harm(request: httpx2.Request, carry: Carry) -> httpx2.Response:
        carry(request)
        raise httpx2.ReadError("connection reset", request=request)

    return harm


def cut(after: int) -> Harm:
    """So many bytes pass, of the body or of the answer's."""

    def harm(request: httpx2.Request, carry: Carry) -> httpx2.Response:
        if request.method == "PUT":
            assert isinstance(request.stream, httpx2.SyncByteStream)
            passed = 0
            for block in request.stream:
                passed += len(block)
                if passed >= after:
                    break
            raise httpx2.WriteError("broken pipe", request=request)
        answer = carry(request)
        return httpx2.Response(answer.status_code, headers=answer.headers, stream=Body(answer.read()[:after], cut=True))

    return harm


def flips() -> Harm:
    """One bit changes on the way, and every answer looks good."""

    def harm(request: httpx2.Request, carry: Carry) -> httpx2.Response:
        if request.method == "PUT":
            body = bytearray(request.read())
            body[len(body) // 2] ^= 1
            return carry(httpx2.Request("PUT", request.url, content=bytes(body)))
        answer = carry(request)
        body = bytearray(answer.read())
        body[len(body) // 2] ^= 1
        return httpx2.Response(answer.status_code, headers=answer.headers, stream=Body(bytes(body)))

    return harm
