"""The server side of `http_bytes`: what all doors share, on bare routes, and the plainest loops that do as much."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.types import Receive, Scope, Send

from entrepot.http.body import pump
from entrepot.http.content import Representation, send_content
from entrepot.http.doors import send_answer
from entrepot.http.errors import Answer
from entrepot.http.middleware import Edge

FOLDER = Path(os.environ["HTTP_BYTES_FOLDER"])
BLOCK = 256 << 10
HOT = os.urandom(BLOCK)


class File:
    """A source over a file; waits in threads."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDONLY)

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self.fd, length, offset)

    def close(self) -> None:
        os.close(self.fd)


class CachedFile(File):
    """A source over a file that reads at once what is in the page cache."""

    nowait = True

    def read_now(self, offset: int, length: int) -> bytes | bytearray | None:
        if not CachedFile.nowait:
            return os.pread(self.fd, length, offset)
        buffer = bytearray(length)
        try:
            got = os.preadv(self.fd, [buffer], offset, os.RWF_NOWAIT)
        except BlockingIOError:
            return None
        except OSError:
            # tmpfs of older kernels: all of it is memory, so reading never waits.
            CachedFile.nowait = False
            return os.pread(self.fd, length, offset)
        return buffer if got == length else None


class Sink:
    def __init__(self, *, file: bool, digest: bool) -> None:
        self.fd = os.open(FOLDER / "up.bin", os.O_WRONLY | os.O_CREAT | os.O_TRUNC) if file else None
        self.hasher = hashlib.sha256() if digest else None

    def write(self, block: bytes) -> None:
        if self.hasher is not None:
            self.hasher.update(block)
        if self.fd is not None:
            os.write(self.fd, block)

    def close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)


async def plain_put(receive: Receive, write: Callable[[bytes], Any]) -> None:
    more = True
    while more:
        message = await receive()
        write(message["body"])
        more = message["more_body"]


async def plain_get(send: Send, size: int, read: Callable[[int, int], bytes]) -> None:
    head = [(b"content-length", str(size).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    for at in range(0, size, BLOCK):
        more = at + BLOCK < size
        await send({"type": "http.response.body", "body": read(at, min(BLOCK, size - at)), "more_body": more})


async def put(case: str, receive: Receive, send: Send) -> None:
    sink = Sink(file="file" in case, digest="sha" in case)
    if case.startswith("plain"):
        await plain_put(receive, sink.write)
    else:
        await pump(receive, sink.write)
    await asyncio.to_thread(sink.close)
    await send_answer(send, Answer(200))


async def get(case: str, scope: Scope, receive: Receive, send: Send) -> None:
    path = FOLDER / "down.bin"
    size = path.stat().st_size
    if case == "plain_hot":
        await plain_get(send, size, lambda at, length: HOT[:length])
    elif case == "plain_read":
        file = File(path)
        await plain_get(send, size, file.read_at)
        file.close()
    else:
        source = CachedFile(path) if case == "now" else File(path)
        await send_content(scope, receive, send, source, size, Representation(etag='"x"'))


async def routes(scope: Scope, receive: Receive, send: Send) -> None:
    case = scope["path"].removeprefix("/")
    if scope["method"] == "PUT":
        await put(case, receive, send)
    else:
        await get(case, scope, receive, send)


_edge = Edge(routes, new_id=lambda: "bench", access_log=False)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    # The plain loops go without the edge: they are what everything else is measured against.
    await (routes if "plain" in scope["path"] else _edge)(scope, receive, send)
