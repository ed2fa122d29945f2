"""The one answer with bytes for every door: whole or in ranges, conditional, never short without anybody noticing.

    send_content   bytes that can be read anywhere: files, members of an archive whose layout is known
    send_stream    bytes that come in order only: an archive that is made while it is sent

- Nothing is read ahead of the client: one block is in memory, and the next is read when the server took the last.
- The first block is read before the head is sent, so whatever is wrong by then still gets an answer of its own.
- Whatever goes wrong later is raised, and the server breaks the connection. A body that ends early looks complete
  to many clients, so fewer bytes than announced are an error too, even if the source does not call them one.
- A client that left is noticed between blocks, because servers take whatever is sent to nobody.

How bytes are read, measured with 256 MiB on two shared cores (CPU ms, warm): on the event loop 52, through `read_now`
60, in threads by 256 KiB 160, by 1 MiB 82. So `read_now` is asked where there is one, and a thread reads 1 MiB where
it says that it would have to wait. Frameworks' own file responses were 2 to 10 times slower than any of these and
answer conditional requests wrongly. Reading again into the memory of a block that was sent, and pausing after some
blocks instead of each, took another seventh off the whole.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from sys import getrefcount
from typing import Final, Protocol, TypeAlias

from starlette.types import Receive, Scope, Send

from entrepot.http import conditional, ranges
from entrepot.http.body import ClientGone
from entrepot.http.conditional import Outcome
from entrepot.http.fields import encode_fields, field
from entrepot.http.threads import in_thread
from entrepot.model.errors import Corrupt
from entrepot.model.ranges import ByteRange

__all__ = ["SANDBOX", "ReadsNow", "Representation", "Source", "send_content", "send_stream"]

#: Read at once when nothing has to be waited for; larger blocks gain nothing and cost memory.
_NEAR: Final = 256 << 10
#: Read at once by a thread, whose hand-over costs as much as reading 256 KiB.
_FAR: Final = 1 << 20
#: Blocks that are sent without a pause of our own.
_PAUSE: Final = 8
#: Blocks of a stream are gathered to about this much before they leave their thread.
_GATHER: Final = 256 << 10

#: What people store may be a page with scripts; opened from this server it must be able to do nothing.
SANDBOX: Final = "default-src 'none'; sandbox"


class Source(Protocol):
    """Bytes of a known size, open for reading. Used by one thread at a time, not always the same."""

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, never fewer; asked only for bytes inside the content."""
        ...

    def close(self) -> None:
        """Give it back. Called once, when the last read has returned, and on the event loop: nothing to wait for."""
        ...


class ReadsNow(Protocol):
    """What a source can do besides, if its bytes may be in memory already."""

    def read_now(self, offset: int, length: int, spare: bytearray | None) -> bytes | bytearray | None:
        """`read_at` if that needs no waiting for a disk or a network; None otherwise. Called on the event loop.

        Args:
            spare: May be read into and answered: nobody needs its bytes any more. A bytearray that is answered is
                given away; whoever answered it writes to it no more, unless it comes back so.
        """
        ...


ReadNow: TypeAlias = Callable[[int, int, bytearray | None], bytes | bytearray | None]


@dataclass(frozen=True, slots=True)
class Representation:
    """What the head of the answer says of the bytes, besides their size.

    Args:
        media_type: As it goes into Content-Type.
        etag: Strong and with its quotes; made of the digest if there is none.
        sha256: 32 bytes: of the whole content, also when only a range of it is sent.
        disposition: From `entrepot.http.disposition`; None leaves it to the client what to do.
        headers: More fields of the answers that carry content. One of a name that is set here anyway replaces it.
    """

    media_type: str = "application/octet-stream"
    etag: str | None = None
    sha256: bytes | None = None
    last_modified: datetime | None = None
    disposition: str | None = None
    headers: Sequence[tuple[str, str]] = ()

    @property
    def tag(self) -> str | None:
        """The entity tag, given or made."""
        return self.etag or (conditional.sha256_etag(self.sha256) if self.sha256 is not None else None)


async def send_content(
    scope: Scope,
    receive: Receive,
    send: Send,
    source: Source,
    size: int,
    representation: Representation,
    *,
    accept_ranges: bool = True,
    executor: Executor | None = None,
    boundary: Callable[[], str] = lambda: secrets.token_hex(16),
) -> None:
    """Answer with the bytes of `source`, or with what the request's conditions and ranges make of them.

    Conditions and ranges count for GET and HEAD. Other methods get the whole content, for doors whose download is a
    POST. 412 and 416 go out without a body, whatever the door: they are answers to a program.

    Args:
        source: Closed when this returns or raises.
        size: Of the content, in bytes.
        accept_ranges: False for doors whose clients were never told of ranges.
        executor: Where waiting reads run; the event loop's own by default.
        boundary: Makes the text between several ranges. Must not be foreseeable.

    Raises:
        ClientGone: The client left. Nothing is to be answered.
        Corrupt: The source gave fewer bytes than `size` promised.
        Exception: Whatever the source raised. If the answer had begun, whoever catches it must let it through.
    """
    # Not `isinstance`, which for a protocol takes as long as reading a small content does.
    now: ReadNow | None = getattr(source, "read_now", None)
    try:
        head = _fields(representation)
        if accept_ranges:
            head["accept-ranges"] = "bytes"
        wanted: list[ByteRange] | None = None
        if scope["method"] in ("GET", "HEAD"):
            if status := _by_conditions(scope, representation):
                await _send_empty(send, status, _kept(head))
                return
            if accept_ranges and scope["method"] == "GET":
                try:
                    wanted = _wanted(scope, size, representation)
                except ranges.Unsatisfiable:
                    head = _kept(head) | {"content-range": ranges.unsatisfied(size)}
                    await _send_empty(send, 416, head)
                    return
        reader = _Reader(source.read_at, now, executor)
        if wanted is None and now is not None and scope["method"] != "HEAD" and 0 < size <= _NEAR:
            # A small content in one piece, without what looks after a long answer.
            block = now(0, size, None)
            if block is not None:
                if len(block) != size:
                    raise Corrupt(f"Content ended after {len(block)} bytes, {size} were expected. Verify it.")
                head["content-length"] = str(size)
                await send({"type": "http.response.start", "status": 200, "headers": encode_fields(head.items())})
                await send({"type": "http.response.body", "body": block})
                return
        if wanted is None:
            pieces, length, status = reader.read(ByteRange(0, size)), size, 200
        elif len(wanted) == 1:
            pieces, length, status = reader.read(wanted[0]), wanted[0].length, 206
            head["content-range"] = ranges.content_range(wanted[0], size)
        else:
            frame = ranges.frame(wanted, size, head["content-type"], boundary())
            pieces, length, status = reader.read_framed(frame), frame.length, 206
            head["content-type"] = frame.media_type
        await _send(scope, receive, send, status, head, length, pieces)
    finally:
        source.close()


async def send_stream(
    scope: Scope,
    receive: Receive,
    send: Send,
    blocks: Iterator[bytes],
    representation: Representation,
    *,
    size: int | None = None,
    executor: Executor | None = None,
) -> None:
    """Answer with the bytes of an iterator, which runs in worker threads. Conditions count, ranges do not.

    Args:
        blocks: Of a known bound each. A generator is closed when this returns or raises.
        size: Of all blocks together, if known in advance. Without it the answer is sent in chunks.

    Raises:
        ClientGone: The client left. Nothing is to be answered.
        Corrupt: There were fewer or more bytes than `size`.
        Exception: Whatever the iterator raised. If the answer had begun, whoever catches it must let it through.
    """
    try:
        head = _fields(representation)
        head["accept-ranges"] = "none"
        if scope["method"] in ("GET", "HEAD") and (status := _by_conditions(scope, representation)):
            await _send_empty(send, status, _kept(head))
            return
        await _send(scope, receive, send, 200, head, size, _gathered(blocks, executor))
    finally:
        if (close := getattr(blocks, "close", None)) is not None:
            await in_thread(executor, close)


def _fields(representation: Representation) -> dict[str, str]:
    head = {
        "content-type": representation.media_type,
        # Without this a proxy may keep what only some may read; with it everybody asks again, and gets 304.
        "cache-control": "private, no-cache",
        "x-content-type-options": "nosniff",
        "content-security-policy": SANDBOX,
    }
    if representation.tag is not None:
        head["etag"] = representation.tag
    if representation.last_modified is not None:
        head["last-modified"] = conditional.http_date(representation.last_modified)
    if representation.sha256 is not None:
        head["repr-digest"] = f"sha-256=:{base64.b64encode(representation.sha256).decode()}:"
    if representation.disposition is not None:
        head["content-disposition"] = representation.disposition
    return head | {name.lower(): value for name, value in representation.headers}


def _kept(head: dict[str, str]) -> dict[str, str]:
    """What of the head still belongs to an answer without content (RFC 9110 §15.4.5)."""
    kept = {"cache-control", "etag", "vary", "accept-ranges", "x-content-type-options"}
    if "etag" not in head:
        kept.add("last-modified")
    return {name: value for name, value in head.items() if name in kept}


def _by_conditions(scope: Scope, representation: Representation) -> int | None:
    outcome = conditional.evaluate(scope, etag=representation.tag, last_modified=representation.last_modified)
    return None if outcome is Outcome.PROCEED else outcome.value


def _wanted(scope: Scope, size: int, representation: Representation) -> list[ByteRange] | None:
    if not conditional.range_applies(scope, etag=representation.tag, last_modified=representation.last_modified):
        return None
    return ranges.parse_range(field(scope, b"range"), size)


class _Reader:
    """Reads a source in blocks, on the event loop where that needs no waiting."""

    def __init__(
        self,
        read_at: Callable[[int, int], bytes],
        read_now: ReadNow | None,
        executor: Executor | None,
    ) -> None:
        self._read_at = read_at
        self._read_now = read_now
        self._executor = executor

    async def read(self, wanted: ByteRange) -> AsyncIterator[bytes | bytearray]:
        """The bytes of one range, in blocks. A block that its taker forgot by the next one is read into again."""
        at = wanted.start
        spare: bytearray | None = None
        while at < wanted.end:
            asked = min(_NEAR, wanted.end - at)
            block = self._read_now(at, asked, spare) if self._read_now is not None else None
            spare = None
            if block is None:
                asked = min(_FAR, wanted.end - at)
                block = await in_thread(self._executor, self._read_at, at, asked)
            if len(block) != asked:
                raise Corrupt(f"Content ended after {at + len(block)} bytes, {wanted.end} were expected. Verify it.")
            # Counted here and behind the hand-over: in between, whoever still needs the bytes has come to hold them.
            holders = getrefcount(block)
            yield block
            at += asked
            if isinstance(block, bytearray) and getrefcount(block) <= holders:
                spare = block

    async def read_framed(self, frame: ranges.Multipart) -> AsyncIterator[bytes | bytearray]:
        for head, wanted in frame.parts:
            async for block in self.read(wanted):
                # Together, so that nothing is sent before the first bytes are there, and in fewer messages.
                yield head + block if head else block
                head = b""
        yield frame.tail


async def _gathered(blocks: Iterator[bytes], executor: Executor | None) -> AsyncIterator[bytes | bytearray]:
    """The stream in fewer, larger blocks: archives come in many small ones, and each hand-over costs."""

    def some() -> bytes:
        parts: list[bytes] = []
        gathered = 0
        for block in blocks:
            parts.append(block)
            gathered += len(block)
            if gathered >= _GATHER:
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    while block := await in_thread(executor, some):
        yield block


async def _send(
    scope: Scope,
    receive: Receive,
    send: Send,
    status: int,
    head: dict[str, str],
    length: int | None,
    pieces: AsyncIterator[bytes | bytearray],
) -> None:
    """Send the head and all pieces; `length` is checked against what really came."""
    if length is not None:
        head["content-length"] = str(length)
    start = {"type": "http.response.start", "status": status, "headers": encode_fields(head.items())}
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(pieces.aclose)  # type: ignore[attr-defined]  # all of ours are generators
        if scope["method"] == "HEAD" or length == 0:
            await send(start)
            await send({"type": "http.response.body", "body": b""})
            return
        block = await anext(pieces, b"")
        await send(start)
        sent = count = 0
        departure: asyncio.Task[None] | None = None
        while block:
            sent += len(block)
            if length is not None and sent > length:
                raise Corrupt(f"Content is longer than the {length} bytes that were announced. Verify it.")
            await send({"type": "http.response.body", "body": block, "more_body": sent != length})
            if sent == length:
                return
            # A server may take a block without pausing, granian does so for a client that has left: without this pause
            # nothing else would run until the content ends, not even whoever notices the departure. Not after each
            # block, since it is a turn of the loop, and servers do pause for whoever is there.
            count += 1
            if count % _PAUSE == 0:
                await asyncio.sleep(0)
            if departure is None:
                departure = asyncio.create_task(_departure(receive))
                stack.push_async_callback(_stop, departure)
            elif departure.done():
                departure.result()
                raise ClientGone(sent)
            # Let go of it first, so that its memory can take the next.
            block = b""
            block = await anext(pieces, b"")
        if length is not None:
            raise Corrupt(f"Content ended after {sent} bytes, {length} were announced. Verify it.")
        await send({"type": "http.response.body", "body": b""})


async def _departure(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] == "http.request":
        pass


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _send_empty(send: Send, status: int, head: dict[str, str]) -> None:
    if status != 304:
        head["content-length"] = "0"
    await send({"type": "http.response.start", "status": status, "headers": encode_fields(head.items())})
    await send({"type": "http.response.body", "body": b""})
