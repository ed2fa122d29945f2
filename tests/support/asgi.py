"""ASGI without a server: scopes, a client that sends given messages, and what an application answered."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope


def request(
    method: str = "GET", path: str = "/", *, query: bytes = b"", body: bytes | None = None, **fields: str
) -> Scope:
    """A scope; header fields as keywords with underscores for hyphens."""
    headers = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in fields.items()]
    if body is not None:
        headers.append((b"content-length", str(len(body)).encode()))
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query,
        "headers": headers,
        "scheme": "http",
        "http_version": "1.1",
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8080),
        "state": {},
    }


def messages(*parts: bytes, cut: bool = False) -> list[Message]:
    """A body in these messages; `cut` ends it with a disconnect in place of the last part's end."""
    found: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if cut:
        return [*found, {"type": "http.disconnect"}]
    return [*found, {"type": "http.request", "body": b"", "more_body": False}]


@dataclass
class Client:
    """Hands out messages, then waits for ever like a client that listens, unless it `leaves`."""

    waiting: list[Message]
    received: int = 0
    leaves: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self) -> Message:
        if self.waiting:
            self.received += 1
            return self.waiting.pop(0)
        await self.leaves.wait()
        return {"type": "http.disconnect"}


def sends(*parts: bytes, cut: bool = False) -> Receive:
    return Client(messages(*parts, cut=cut)).receive


@dataclass
class Recorded:
    """What an application answered."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    blocks: list[bytes] = field(default_factory=list)
    complete: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.blocks)

    def __getitem__(self, name: str) -> str:
        (value,) = [value for key, value in self.headers if key == name.lower().encode()]
        return value.decode("latin-1")

    def get(self, name: str) -> str | None:
        return self[name] if any(key == name.lower().encode() for key, _ in self.headers) else None

    async def send(self, message: Message) -> None:
        assert not self.complete, "a message after the end"
        if message["type"] == "http.response.start":
            assert not self.status, "two heads"
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            assert self.status, "a body without a head"
            if message.get("body"):
                self.blocks.append(bytes(message["body"]))
            self.complete = not message.get("more_body", False)


async def call(app: ASGIApp, scope: Scope, *parts: bytes) -> Recorded:
    """The complete answer of an application to one request."""
    recorded = Recorded()
    await app(scope, sends(*parts), recorded.send)
    return recorded


def pieces(body: bytes, cuts: Iterable[int]) -> Sequence[bytes]:
    """The body cut at these places."""
    places = [0, *sorted({cut for cut in cuts if 0 < cut < len(body)}), len(body)]
    return [body[a:b] for a, b in itertools.pairwise(places)]


def run(awaitable: Any) -> Any:
    """Run a coroutine to its end."""
    return asyncio.run(awaitable)
