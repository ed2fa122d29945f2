"""Request bodies: large ones pushed in blocks into a callable, small ones read whole within a limit.

The way of a large body:

    network → messages of the server (16 KiB to a few MiB) → gathered until there is a block → queue → worker thread

- A thread is held only while it writes. A client that sends slowly costs memory for what it sent, never a thread.
- Writing and receiving overlap: while a worker writes a block, the next one is gathered. The queue is short, and when
  it is full nothing more is read, so the network slows the sender down.
- One body's blocks are written in order and one at a time, though not always by the same thread.

Measured against a thread of its own for each upload and against one hand-over a block (CPU of 256 MiB in 1 MiB blocks,
and of one body of 10 KiB, on two shared cores): this queue 39 ms and 120 µs; own thread 27 ms and 309 µs, and it is
held while the network is waited for; `anyio.to_thread` 62 ms and 204 µs; `run_in_executor` 43 ms and 134 µs.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import json
import math
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from entrepot.http.fields import content_length
from entrepot.model.errors import Malformed, TooLarge

__all__ = [
    "BLOCK_SIZE",
    "IDLE_S",
    "ClientGone",
    "drain",
    "parse_json",
    "pump",
    "read_all",
    "read_json",
    "read_small",
    "too_large",
]

BLOCK_SIZE: Final = 1 << 20
#: What is shorter comes with the head of its request, or right behind it.
_SMALL: Final = 64 << 10
_NOT_AT_ONCE: Final = frozenset({b"expect", b"transfer-encoding"})
#: A client that vanished without a word (a laptop put to sleep) is given up after this, so that it can resume.
IDLE_S: Final = 60.0
#: Messages from this size on are written as they came; smaller ones together.
_APART: Final = 64 << 10
#: How many blocks a worker writes before other bodies have their turn.
_TURN: Final = 8

Write = Callable[[bytes], object]


class ClientGone(ClientDisconnect):
    """The client left, or sent nothing for too long, before its body was complete.

    A signal, not an error of the tree: there is nobody to answer. What had arrived has been written.

    Args:
        received: Bytes that arrived and were written.
    """

    def __init__(self, received: int) -> None:
        super().__init__(f"The client left after {received} bytes.")
        self.received = received


async def pump(
    receive: Receive,
    write: Write,
    *,
    block_size: int = BLOCK_SIZE,
    limit: int | None = None,
    in_flight: int = 2,
    idle_s: float | None = IDLE_S,
    executor: Executor | None = None,
) -> int:
    """Push a request's body through `write`, block by block, and return its length in bytes.

    `write` runs in worker threads, never twice at once, and has seen every byte when this returns. When this raises,
    it has returned and will not be called again. It sees the context variables of the caller.

    Args:
        block_size: Bytes that are handed over at once, at least, but for the last time. `write` gets large messages of
            the server as they came, and small ones that follow each other together.
        limit: The longest body to take. Blocks before the one that goes over it may have been written.
        in_flight: Blocks written or waiting while the next one is gathered; with that one, the bound on memory.
        idle_s: Give the client up when nothing arrives for so long; None waits for ever.
        executor: Where `write` runs; the event loop's own by default.

    Raises:
        ClientGone: The body did not arrive as a whole; what did arrive has been written.
        TooLarge: The body is longer than `limit`.
        Exception: Whatever `write` raised; it is not called again after that.
    """
    queue = _Queue(write, in_flight=in_flight, executor=executor)
    parts: list[bytes] = []
    gathered = received = 0
    whole = False
    try:
        async with _Silence(idle_s) as silence:
            while not whole:
                message = await silence.until(receive())
                if message["type"] != "http.request":
                    break
                part = message.get("body", b"")
                whole = not message.get("more_body", False)
                received += len(part)
                if limit is not None and received > limit:
                    raise too_large(limit)
                if part:
                    parts.append(part)
                    gathered += len(part)
                if gathered >= block_size:
                    await queue.put(parts)
                    parts, gathered = [], 0
        if parts:
            await queue.put(parts)
        await queue.settled()
    except BaseException:
        # Nobody may close what `write` writes to while it still runs, not even because this task is cancelled.
        await queue.abandon()
        raise
    if not whole:
        raise ClientGone(received)
    return received


class _Silence:
    """Waits for messages, but not for ever; leaves its block quietly when nothing came for too long."""

    def __init__(self, longest_s: float | None) -> None:
        self._longest_s = longest_s
        self._timeout = asyncio.timeout(None)
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> _Silence:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> bool:
        try:
            await self._timeout.__aexit__(*raised)
        except TimeoutError:
            return True
        return False

    async def until(self, message: Awaitable[Any]) -> Any:
        if self._longest_s is None:
            return await message
        self._timeout.reschedule(self._loop.time() + self._longest_s)
        found = await message
        # Writing may take as long as it likes: only the client's silence counts.
        self._timeout.reschedule(None)
        return found


class _Queue:
    """Blocks on their way to `write`, in order, one at a time, on whatever worker thread is free.

    A worker goes on as long as there are blocks and leaves when there are none: at full speed there is one hand-over
    for many blocks, and between the blocks of a slow client no thread is held.
    """

    def __init__(self, write: Write, *, in_flight: int, executor: Executor | None) -> None:
        self._write = write
        self._in_flight = in_flight
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        # Seen by the loop only:
        self._open = 0
        self._waiter: asyncio.Future[None] | None = None
        # Seen by the worker too:
        self._lock = threading.Lock()
        self._blocks: deque[list[bytes]] = deque()
        self._working = False
        self._error: BaseException | None = None

    async def put(self, parts: list[bytes]) -> None:
        """Hand a block over; waits while the queue is full. Raises what an earlier block's `write` raised."""
        while self._open >= self._in_flight:
            await self._something_done()
        if self._error is not None:
            raise self._error
        self._open += 1
        with self._lock:
            self._blocks.append(parts)
            if self._working:
                return
            self._working = True
        self._loop.run_in_executor(self._executor, self._work)

    async def settled(self) -> None:
        """Wait until every block is written. Raises what `write` raised."""
        while self._open:
            await self._something_done()
        if self._error is not None:
            raise self._error

    async def abandon(self) -> None:
        """Let go of waiting blocks and wait for the one being written, whatever happens meanwhile."""
        with self._lock:
            self._open -= len(self._blocks)
            self._blocks.clear()
        while self._open:
            try:
                await self._something_done()
            except asyncio.CancelledError:
                # The caller is about to raise anyway; a thread cannot be cancelled, only waited for.
                continue

    async def _something_done(self) -> None:
        self._waiter = self._loop.create_future()
        await self._waiter

    def _done(self) -> None:
        self._open -= 1
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _work(self) -> None:
        for _ in range(_TURN):
            with self._lock:
                if not self._blocks:
                    self._working = False
                    return
                parts = self._blocks.popleft()
            try:
                if self._error is None:
                    self._context.run(self._write_block, parts)
            except BaseException as error:
                # Raised again by the loop, where the block came from.
                self._error = error
            del parts
            self._loop.call_soon_threadsafe(self._done)
        self._loop.call_soon_threadsafe(self._loop.run_in_executor, self._executor, self._work)

    def _write_block(self, parts: list[bytes]) -> None:
        # Large messages as they are: a copy into fresh memory would cost as much as writing them.
        at = 0
        while at < len(parts):
            end = at + 1
            if len(parts[at]) < _APART:
                while end < len(parts) and len(parts[end]) < _APART:
                    end += 1
            self._write(parts[at] if end == at + 1 else b"".join(parts[at:end]))
            at = end


async def drain(receive: Receive, *, limit: int, longest_s: float) -> bool:
    """Read and forget the rest of a body, so that a client which sends before it listens gets to see the answer.

    Returns:
        Whether the body has ended; False when it is longer than `limit` or takes longer than `longest_s`.
    """
    read = 0
    try:
        async with asyncio.timeout(longest_s):
            while read <= limit:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return True
                read += len(message.get("body", b""))
    except TimeoutError:
        pass
    return False


async def read_all(receive: Receive, limit: int, *, idle_s: float | None = IDLE_S) -> bytes:
    """A small body as a whole, of at most `limit` bytes.

    Raises:
        TooLarge: It is longer.
        ClientGone: It did not arrive as a whole.
    """
    parts: list[bytes] = []
    received = 0
    async with _Silence(idle_s) as silence:
        while True:
            message = await silence.until(receive())
            if message["type"] != "http.request":
                break
            parts.append(message.get("body", b""))
            received += len(parts[-1])
            if received > limit:
                raise too_large(limit)
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)
    raise ClientGone(received)


async def read_small(scope: Scope, receive: Receive) -> bytes | None:
    """The body, if it is announced to be small and its sender does not wait to be asked for it; else None.

    For routes that otherwise work in a thread before, while and after a body is read. When it is short, most of what
    they take is going to threads and coming back; with the body at hand they go once.

    Raises:
        Malformed: Its length cannot be read.
        ClientGone: It did not arrive as a whole.
    """
    length = content_length(scope)
    if length is None or length > _SMALL or any(name in _NOT_AT_ONCE for name, _ in scope["headers"]):
        return None
    return await read_all(receive, length)


async def read_json(receive: Receive, limit: int = 1 << 20, *, depth: int = 64, empty: bool = False) -> Any:
    """A small body as a JSON value.

    Stricter than the library: UTF-8 only, no NaN or infinity under any spelling, no half surrogates (UTF-8 and
    databases refuse them later, where nobody can say what was wrong).

    Args:
        limit: In bytes.
        depth: How deep lists and objects may nest; a number alone has depth 0.
        empty: Whether no body at all is fine and means None.

    Raises:
        Malformed: It is not JSON, or nests too deep.
        TooLarge: It is longer than `limit`.
        ClientGone: It did not arrive as a whole.
    """
    body = await read_all(receive, limit)
    if empty and not body.strip():
        return None
    return parse_json(body, depth=depth)


def parse_json(body: bytes, *, depth: int = 64) -> Any:
    """`read_json` for bytes that are there already."""
    try:
        value = json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise Malformed(f"The body is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}.") from error
    except json.JSONDecodeError as error:
        raise Malformed(f"The body is not JSON: {error.msg}, line {error.lineno}, column {error.colno}.") from error
    except RecursionError as error:
        raise _too_deep(depth) from error
    except ValueError as error:
        # From below, or from the interpreter, to which reading integers of thousands of digits takes too long.
        raise Malformed("The body has a number that cannot be read: not finite, or of thousands of digits.") from error
    # Most bodies are flat, and counting brackets is cheaper than walking; so is looking for escapes.
    if body.count(b"[") + body.count(b"{") > depth or b"\\u" in body:
        _check_tree(value, depth)
    return value


def _check_tree(value: Any, depth: int) -> None:
    # Level by level and not by recursion, which depth itself could break.
    level: list[Any] = [value]
    for nested in itertools.count():
        below: list[Any] = []
        containers = False
        for one in level:
            if isinstance(one, str):
                _check_text(one)
            elif isinstance(one, list):
                containers = True
                below.extend(one)
            elif isinstance(one, dict):
                containers = True
                below.extend(one)
                below.extend(one.values())
        if not containers:
            return
        if nested >= depth:
            raise _too_deep(depth)
        level = below


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Malformed(f"The body has a text with half a surrogate pair: {text[:40]!a}.") from error


def _too_deep(depth: int) -> Malformed:
    return Malformed(f"The body nests deeper than {depth} levels.")


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(text[:40])
    return value


def too_large(limit: int) -> TooLarge:
    """The error of a body that is longer than `limit` bytes."""
    return TooLarge(f"The body is longer than {limit} bytes, which is the limit here.", details={"limit": limit})
