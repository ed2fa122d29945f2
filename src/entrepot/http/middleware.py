"""Around every request: an id, one log line, metrics, security fields, and an answer that the client gets to read.

Plain ASGI and once around the whole application, because each layer costs every message of a large body a call.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entrepot.http.body import drain
from entrepot.http.fields import field
from entrepot.http.hosts import Hosts
from entrepot.http.metrics import HttpMetrics

__all__ = ["GONE", "SECURITY_FIELDS", "Edge", "request_id", "shown_path"]

#: The status that log and metrics give a request whose client left before there was an answer; nobody receives it.
GONE: Final = 499

#: Of every answer that does not say otherwise itself. Pages of the web door and stored content do.
SECURITY_FIELDS: Final[Mapping[str, str]] = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,127}", re.ASCII)
#: Clients send their body to the end before they look for an answer, and a closed connection is an exception to them.
#: So a refused body is read this far; a longer one is not worth it.
_DRAIN_LIMIT: Final = 64 << 20
_DRAIN_S: Final = 30.0

#: A signed link's own segment is longer; names of files that are lose nothing but this line.
_MAX_SEGMENT: Final = 128
_MAX_PATH: Final = 400

_log = structlog.get_logger("entrepot.http")


def request_id(scope: Scope) -> str | None:
    """The id of a request that passed the edge: what to quote to the operator."""
    found: str | None = scope.get("state", {}).get("request_id")
    return found


def shown_path(scope: Scope) -> str:
    """The path of a request as it may be logged: escaped, bounded, and nothing of it that is a signed link.

    A link is cut off wherever `objects` stands as a segment, however it is spelled, and very long segments are left out
    everywhere, because a mistyped link is still somebody's secret. So may be the query, which is not part of this.
    """
    segments = scope["path"].split("/")
    for at, segment in enumerate(segments):
        if segment.strip().lower() == "objects" and segments[at + 1 :]:
            segments[at + 1 :] = ["..."]
            break
        if len(segment) > _MAX_SEGMENT:
            segments[at] = "..."
    text = quote("/".join(segments), safe="/:@!$&'()*+,;=~", errors="replace")
    return text if len(text) <= _MAX_PATH else text[:_MAX_PATH] + "..."


class Edge:
    """The outermost layer of the application.

    Args:
        door_of: Names the door that a path belongs to, for log and metrics; a small fixed set of names.
        new_id: Makes ids for requests that bring none.
        access_log: Whether each request writes a line.
        fields: Security fields; empty values are left out.
        clock: Seconds that only go forward.
        drain_limit, drain_s: How many bytes and how long a refused body is still read.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        new_id: Callable[[], str],
        door_of: Callable[[str], str] = lambda _: "none",
        metrics: HttpMetrics | None = None,
        hosts: Hosts | None = None,
        access_log: bool = True,
        fields: Mapping[str, str] = SECURITY_FIELDS,
        clock: Callable[[], float] = time.perf_counter,
        drain_limit: int = _DRAIN_LIMIT,
        drain_s: float = _DRAIN_S,
    ) -> None:
        self._app = app
        self._new_id = new_id
        self._door_of = door_of
        self._metrics = metrics
        self._hosts = hosts or Hosts()
        self._access_log = access_log
        self._fields = {name.encode(): value.encode("latin-1") for name, value in fields.items() if value}
        self._clock = clock
        self._drain_limit = drain_limit
        self._drain_s = drain_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock()
        brought = field(scope, b"x-request-id") or ""
        scope.setdefault("state", {})["request_id"] = one = (
            brought if _REQUEST_ID.fullmatch(brought) else self._new_id()
        )
        door, method = self._door_of(scope["path"]), scope["method"]
        watched = _Watched(self, scope, receive, send, one)
        if self._metrics is not None:
            self._metrics.begin(door, method)
        outcome = "broken"
        with structlog.contextvars.bound_contextvars(request_id=one):
            try:
                await self._app(scope, watched.receive, watched.send)
                outcome = "answered"
            except ClientDisconnect:
                # Nobody to answer. But a client that was only silent for too long may still listen.
                outcome = "gone"
                if not watched.status:
                    await watched.refuse(408)
                    watched.status = GONE
            finally:
                seconds = self._clock() - began
                status = watched.status or 500
                if self._metrics is not None:
                    self._metrics.end(door, method, status, seconds, watched.received, watched.sent)
                if self._access_log:
                    _log.info(
                        "request",
                        method=method[:20],
                        path=shown_path(scope),
                        status=status,
                        outcome=outcome,
                        seconds=round(seconds, 6),
                        received=watched.received,
                        sent=watched.sent,
                        door=door,
                        client=self._hosts.client(scope),
                    )


class _Watched:
    """Both directions of one request, counted."""

    def __init__(self, edge: Edge, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self._edge = edge
        self._receive = receive
        self._send = send
        self._request_id = request_id.encode()
        # Without a length and without chunks there is no body (RFC 9112 §6.3).
        names = {name for name, _ in scope["headers"]}
        self._body_left = bool(names & {b"content-length", b"transfer-encoding"})
        self._announced = next((int(v) for n, v in scope["headers"] if n == b"content-length" and v.isdigit()), 0)
        # Who asks before sending has sent nothing, and reading would be asking for it.
        self._asks_first = b"expect" in names
        self.status = 0
        self.received = 0
        self.sent = 0

    async def receive(self) -> Message:
        self._asks_first = False
        message = await self._receive()
        if message["type"] == "http.request":
            self.received += len(message.get("body", b""))
            self._body_left = self._body_left and message.get("more_body", False)
        else:
            self._body_left = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.status >= 400 and self._is_worth_draining():
                await drain(self.receive, limit=self._edge._drain_limit, longest_s=self._edge._drain_s)
            message = {**message, "headers": self._with_fields(message.get("headers", ()))}
        elif message["type"] == "http.response.body":
            self.sent += len(message.get("body", b""))
        await self._send(message)

    def _is_worth_draining(self) -> bool:
        left = self._announced - self.received
        return self._body_left and not self._asks_first and left <= self._edge._drain_limit

    async def refuse(self, status: int) -> None:
        """An answer without a body, for a connection that is of no further use."""
        head: dict[str, Any] = {"headers": [(b"content-length", b"0"), (b"connection", b"close")]}
        self._body_left = False
        await self.send({"type": "http.response.start", "status": status, **head})
        await self.send({"type": "http.response.body", "body": b""})

    def _with_fields(self, given: Any) -> list[tuple[bytes, bytes]]:
        fields = [(bytes(name).lower(), value) for name, value in given]
        names = {name for name, _ in fields}
        fields += [(name, value) for name, value in self._edge._fields.items() if name not in names]
        fields.append((b"x-request-id", self._request_id))
        return fields
