"""An application of nothing but what all HTTP doors share, to be run by a real server: `byte_routes:app`.

PUT  /upload[?limit=N]   pump; answers with the digest of what `write` got
PUT  /form               the same for the one file of a form
PUT  /refuse             Conflict before a byte is read
GET  /content/SIZE[?now] SIZE bytes of a pattern; with `now` it offers to read at once
GET  /broken/SIZE/AT     the same, but the source fails at AT
GET  /stream/SIZE[?at=N] in chunks from a generator, which fails at N
GET  /fault              an exception that nobody expects
GET  /objects/…          checks the signature
GET  /seen               what became of the others, as JSON
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from entrepot.http.body import ClientGone, pump
from entrepot.http.content import Representation, send_content, send_stream
from entrepot.http.doors import door, send_answer
from entrepot.http.errors import Answer, ErrorTable, Failure
from entrepot.http.fields import field
from entrepot.http.middleware import Edge
from entrepot.http.multipart import unwrap_file
from entrepot.model.errors import Conflict, Unavailable
from entrepot.wire import problem
from entrepot.wire.signing import verify

KEY = b"k" * 32
NOW = datetime(2026, 3, 1, tzinfo=UTC)
PATTERN = bytes(range(251)) * 4400

# One thread only: whatever holds it while it waits for a client stops everybody else.
EXECUTOR = ThreadPoolExecutor(1)
SEEN: dict[str, Any] = {"received": 0, "gone": [], "closed": 0, "read": 0}


def pattern(offset: int, length: int) -> bytes:
    """The content of every route that sends: byte `n` is `n % 251`."""
    start = offset % 251
    copies = (start + length) // len(PATTERN) + 1
    return (PATTERN * copies)[start : start + length]


class Source:
    def __init__(self, fails_at: int | None = None) -> None:
        self.fails_at = fails_at

    def read_at(self, offset: int, length: int) -> bytes:
        if self.fails_at is not None and offset + length > self.fails_at:
            raise Unavailable("The disk is away.")
        SEEN["read"] += length
        return pattern(offset, length)

    def close(self) -> None:
        SEEN["closed"] += 1


class ReadySource(Source):
    def read_now(self, offset: int, length: int, spare: bytearray | None) -> bytearray:
        """Into the memory of the block before wherever that is free: whether it is depends on the server."""
        block = bytearray(length) if spare is None or len(spare) != length else spare
        block[:] = self.read_at(offset, length)
        return block


def query(scope: Scope, name: str) -> int | None:
    found = parse_qs(scope["query_string"].decode()).get(name)
    return int(found[0]) if found else None


async def take(receive: Receive, send: Send, limit: int | None = None) -> None:
    hasher = hashlib.sha256()

    def write(block: bytes) -> None:
        hasher.update(block)
        SEEN["received"] += len(block)

    SEEN["received"] = 0
    try:
        await pump(receive, write, limit=limit, block_size=64 << 10, executor=EXECUTOR)
    except ClientGone as gone:
        SEEN["gone"].append(gone.received)
        raise
    await send_answer(send, Answer(200, hasher.hexdigest().encode(), "text/plain"))


class Upload:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await take(receive, send, query(scope, "limit"))


class Form:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        part = await unwrap_file(receive, field(scope, b"content-type") or "")
        await take(part.receive, send)


class Refuse:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise Conflict("This slot is full.")


class Content:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size, at = scope["path_params"]["size"], scope["path_params"].get("at")
        source = ReadySource(at) if scope["query_string"] == b"now" else Source(at)
        about = Representation("application/x-pattern", etag=f'"{size}"', last_modified=NOW)
        await send_content(scope, receive, send, source, size, about, executor=EXECUTOR)


class Stream:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size, fails_at = scope["path_params"]["size"], query(scope, "at")

        def blocks() -> Iterator[bytes]:
            try:
                for offset in range(0, size, 100_000):
                    if fails_at is not None and offset >= fails_at:
                        raise Unavailable("Member 7 cannot be read.")
                    yield pattern(offset, min(100_000, size - offset))
            finally:
                SEEN["closed"] += 1

        await send_stream(scope, receive, send, blocks(), Representation(), executor=EXECUTOR)


class Fault:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("hunter2")


class Signed:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            raw += "?" + scope["query_string"].decode("latin-1")
        grant = verify(KEY, raw, scope["method"], NOW)
        await send_answer(send, Answer(200, json.dumps(dict(grant.target)).encode()))


class Seen:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_answer(send, Answer(200, json.dumps(SEEN).encode()))


def encode(failure: Failure) -> Answer:
    document = problem.to_problem(failure.error, status=failure.status, request_id=failure.request_id)
    return Answer(failure.status, json.dumps(document).encode(), problem.MEDIA_TYPE)


ROUTES = door(
    "bytes",
    [
        Route("/upload", Upload(), methods=["PUT"]),
        Route("/form", Form(), methods=["PUT"]),
        Route("/refuse", Refuse(), methods=["PUT"]),
        Route("/content/{size:int}", Content(), methods=["GET"]),
        Route("/broken/{size:int}/{at:int}", Content(), methods=["GET"]),
        Route("/stream/{size:int}", Stream(), methods=["GET"]),
        Route("/fault", Fault(), methods=["GET"]),
        Route("/objects/{rest:path}", Signed(), methods=["GET"]),
        Route("/seen", Seen(), methods=["GET"]),
    ],
    table=ErrorTable(problem.STATUS),
    encode=encode,
)
_ids = itertools.count(1)
EDGE = Edge(ROUTES, new_id=lambda: f"request-{next(_ids)}")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await EDGE(scope, receive, send)


if __name__ == "__main__":
    sys.exit("Run me with granian or uvicorn.")
