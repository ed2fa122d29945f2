"""The answer with bytes: right whatever is asked, and never short without breaking."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from entrepot.http.body import ClientGone
from entrepot.http.content import SANDBOX, Representation, send_content, send_stream
from entrepot.http.ranges import Unsatisfiable, parse_range
from entrepot.model.errors import Corrupt, Unavailable
from tests.support.asgi import Client, Recorded, messages, request, run, sends

CONTENT = bytes(range(256)) * 16
DIGEST = hashlib.sha256(CONTENT).digest()
ETAG = f'"sha256-{DIGEST.hex()}"'
MODIFIED = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
DATE = "Sun, 01 Mar 2026 12:00:00 GMT"
ABOUT = Representation("text/csv", sha256=DIGEST, last_modified=MODIFIED, disposition='attachment; filename="a.csv"')
HUGE = 3 << 20


@dataclass
class Bytes:
    """A source over bytes; `limit` of them can be read."""

    content: bytes
    limit: int | None = None
    error: Exception | None = None
    closed: int = 0
    reads: list[tuple[int, int]] = field(default_factory=list)
    threads: set[threading.Thread] = field(default_factory=set)

    def read_at(self, offset: int, length: int) -> bytes:
        assert not self.closed, "read after close"
        assert 0 <= offset < offset + length <= len(self.content)
        self.reads.append((offset, length))
        self.threads.add(threading.current_thread())
        if self.limit is not None and offset + length > self.limit:
            if self.error is not None:
                raise self.error
            return self.content[offset : self.limit]
        return self.content[offset : offset + length]

    def close(self) -> None:
        self.closed += 1


@dataclass
class Cached(Bytes):
    """A source of which some stretches are in memory."""

    warm: Callable[[int], bool] = lambda offset: True
    now: list[tuple[int, int]] = field(default_factory=list)

    def read_now(self, offset: int, length: int, spare: bytearray | None) -> bytes | None:
        assert threading.current_thread() is threading.main_thread()
        if not self.warm(offset):
            return None
        self.now.append((offset, length))
        return self.content[offset : offset + length]


def get(method: str = "GET", *, source: Bytes | None = None, about: Representation = ABOUT, **fields: str) -> Recorded:
    source = source or Bytes(CONTENT)
    recorded = Recorded()
    scope = request(method, **fields)
    options: dict[str, Any] = {"boundary": lambda: "b0undary"}
    run(send_content(scope, sends(), recorded.send, source, len(source.content), about, **options))
    assert source.closed == 1
    assert recorded.complete
    return recorded


def test_the_whole_content() -> None:
    answer = get()
    assert (answer.status, answer.body) == (200, CONTENT)
    assert dict(answer.headers) == {
        b"content-type": b"text/csv",
        b"content-length": b"4096",
        b"accept-ranges": b"bytes",
        b"etag": ETAG.encode(),
        b"last-modified": DATE.encode(),
        b"repr-digest": b"sha-256=:" + base64.b64encode(DIGEST) + b":",
        b"content-disposition": b'attachment; filename="a.csv"',
        b"cache-control": b"private, no-cache",
        b"x-content-type-options": b"nosniff",
        b"content-security-policy": SANDBOX.encode(),
    }


@pytest.mark.parametrize("fields", [{}, {"range": "bytes=0-1"}, {"range": "bytes=9999-"}])
def test_head_says_what_get_would_of_the_whole(fields: dict[str, str]) -> None:
    source = Bytes(CONTENT)
    answer = get("HEAD", source=source, **fields)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers == get().headers
    assert source.reads == []


def test_a_digest_is_not_needed_and_a_tag_of_one_s_own_goes_first() -> None:
    answer = get(about=Representation())
    assert answer["content-type"] == "application/octet-stream"
    assert not {b"etag", b"repr-digest", b"last-modified", b"content-disposition"} & {
        name for name, _ in answer.headers
    }
    assert get(about=Representation(etag='"3.17"', sha256=DIGEST))["etag"] == '"3.17"'


def test_more_fields_are_sent_and_replace_ours() -> None:
    answer = get(about=Representation(headers=[("Cache-Control", "public, max-age=60"), ("X-Linked-Size", "4096")]))
    assert answer["cache-control"] == "public, max-age=60"
    assert answer["x-linked-size"] == "4096"


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=-1", 4095, 4095),
        ("bytes=0-", 0, 4095),
        ("bytes=5-9,7-20", 5, 20),
    ],
)
def test_one_range(header: str, first: int, last: int) -> None:
    answer = get(range=header)
    assert (answer.status, answer.body) == (206, CONTENT[first : last + 1])
    assert answer["content-range"] == f"bytes {first}-{last}/4096"
    assert answer["content-length"] == str(last + 1 - first)
    assert answer["content-type"] == "text/csv"
    assert answer["etag"] == ETAG
    assert answer["repr-digest"].startswith("sha-256=:"), "of the whole, so it belongs to a part as well"


def test_several_ranges() -> None:
    answer = get(range="bytes=0-1,4094-,100-103")
    assert answer.status == 206
    assert answer["content-type"] == "multipart/byteranges; boundary=b0undary"
    assert int(answer["content-length"]) == len(answer.body)
    assert answer.get("content-range") is None
    head = f"Content-Type: {answer['content-type']}\r\n\r\n".encode()
    parts = list(email.message_from_bytes(head + answer.body, policy=email.policy.HTTP).iter_parts())
    assert [part["Content-Range"] for part in parts] == ["bytes 0-1/4096", "bytes 4094-4095/4096", "bytes 100-103/4096"]
    assert {part["Content-Type"] for part in parts} == {"text/csv"}
    assert b"\r\n\r\nde" + b"fg\r\n--b0undary--\r\n" in answer.body


@given(st.integers(1, 300), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=6))
def test_any_ranges_come_out_as_the_bytes_they_name(size: int, pairs: list[tuple[int, int]]) -> None:
    header = "bytes=" + ",".join(f"{min(pair)}-{max(pair)}" for pair in pairs)
    answer = get(source=Bytes(CONTENT[:size]), range=header)
    try:
        wanted = parse_range(header, size)
    except Unsatisfiable:
        assert (answer.status, answer.body, answer["content-range"]) == (416, b"", f"bytes */{size}")
        return
    assert wanted is not None
    assert int(answer["content-length"]) == len(answer.body)
    rest = answer.body
    for one in wanted if len(wanted) > 1 else []:
        mark = f"Content-Range: bytes {one.start}-{one.end - 1}/{size}\r\n\r\n".encode()
        rest = rest.partition(mark)[2]
        assert rest.startswith(CONTENT[one.start : one.end] + b"\r\n--b0undary")
    if len(wanted) == 1:
        assert rest == CONTENT[wanted[0].start : wanted[0].end]


def test_a_range_behind_the_end() -> None:
    answer = get(range="bytes=4096-")
    assert (answer.status, answer.body) == (416, b"")
    assert answer["content-range"] == "bytes */4096"
    assert answer["content-length"] == "0"
    assert answer["etag"] == ETAG
    assert answer.get("content-type") is None
    assert answer.get("content-disposition") is None


def test_content_of_nothing() -> None:
    for fields in ({}, {"range": "bytes=-5"}):
        answer = get(source=Bytes(b""), **fields)
        assert (answer.status, answer.body, answer["content-length"]) == (200, b"", "0")
    assert get(source=Bytes(b""), range="bytes=0-").status == 416


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"if_none_match": ETAG}, 304),
        ({"if_none_match": ETAG, "range": "bytes=0-0"}, 304),
        ({"if_modified_since": DATE}, 304),
        ({"if_match": '"other"'}, 412),
        ({"if_match": '"other"', "range": "bytes=9999-"}, 412),
        ({"if_match": ETAG}, 200),
        ({"if_match": ETAG, "range": "bytes=0-0"}, 206),
        ({"if_range": ETAG, "range": "bytes=0-0"}, 206),
        ({"if_range": '"other"', "range": "bytes=0-0"}, 200),
        ({"if_range": '"other"', "range": "bytes=9999-"}, 200),
        ({"if_range": DATE, "range": "bytes=0-0"}, 206),
        ({"range": "lines=0-0"}, 200),
    ],
)
def test_conditions(fields: dict[str, str], status: int) -> None:
    source = Bytes(CONTENT)
    answer = get(source=source, **fields)
    assert answer.status == status
    if status in (304, 412):
        assert (answer.body, source.reads) == (b"", [])
        assert answer["etag"] == ETAG
        assert answer["cache-control"] == "private, no-cache"
        assert answer.get("content-type") is None
        # A length with 304 would be that of the content it does not send.
        assert answer.get("content-length") == (None if status == 304 else "0")


def test_a_download_by_post_knows_no_conditions_and_no_ranges() -> None:
    answer = get("POST", if_none_match=ETAG, range="bytes=0-0")
    assert (answer.status, answer.body) == (200, CONTENT)


def test_ranges_can_be_switched_off() -> None:
    source, recorded = Bytes(CONTENT), Recorded()
    scope = request("GET", range="bytes=0-0")
    run(send_content(scope, sends(), recorded.send, source, len(CONTENT), ABOUT, accept_ranges=False))
    assert (recorded.status, recorded.body, recorded.get("accept-ranges")) == (200, CONTENT, None)


def test_waiting_reads_happen_off_the_event_loop_and_in_order() -> None:
    source = Bytes(CONTENT * 768)
    answer = get(source=source)
    assert answer.body == source.content
    assert source.reads == [(0, 1 << 20), (1 << 20, 1 << 20), (2 << 20, 1 << 20)]
    assert threading.current_thread() not in source.threads


def test_what_is_in_memory_is_read_at_once_and_only_the_rest_waited_for() -> None:
    source = Cached(CONTENT * 768, warm=lambda offset: not 1 << 20 <= offset < 2 << 20)
    answer = get(source=source)
    assert answer.body == source.content
    assert source.reads == [(1 << 20, 1 << 20)]
    assert len(source.now) == 8
    assert all(length == 256 << 10 for _, length in source.now)


@dataclass
class Filling(Bytes):
    """A source that reads into memory, its own or what it is offered; remembers which, without holding it."""

    used: list[int] = field(default_factory=list)

    def read_now(self, offset: int, length: int, spare: bytearray | None) -> bytearray:
        block = bytearray(length) if spare is None or len(spare) != length else spare
        block[:] = self.content[offset : offset + length]
        self.used.append(id(block))
        return block


@pytest.mark.parametrize("fields", [{}, {"range": f"bytes=0-{HUGE - 1}"}])
def test_the_memory_of_a_block_that_was_taken_serves_the_next(fields: dict[str, str]) -> None:
    source, taken = Filling(CONTENT * 768), hashlib.sha256()

    async def send(message: Message) -> None:
        taken.update(message.get("body", b""))

    run(send_content(request("GET", **fields), sends(), send, source, HUGE, ABOUT))
    assert taken.digest() == hashlib.sha256(source.content).digest()
    assert len(source.used) > 2
    assert len(set(source.used)) == 1


@pytest.mark.parametrize("kept", [lambda block: block, memoryview], ids=["itself", "a view"])
def test_memory_that_the_server_still_needs_is_never_written_to_again(kept: Callable[[Any], Any]) -> None:
    """A server may put a block into a queue instead of copying it."""
    source, queue = Filling(CONTENT[:-1] * 769), []
    size = len(source.content)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            queue.append(kept(message["body"]))

    run(send_content(request(), sends(), send, source, size, ABOUT))
    assert b"".join(queue) == source.content


@pytest.mark.parametrize("error", [None, OSError("disk"), Unavailable("the store is away")])
@pytest.mark.parametrize("fields", [{}, {"range": "bytes=10-"}, {"range": f"bytes=0-9,100-{HUGE}"}])
def test_a_source_that_breaks_after_the_first_block_breaks_the_answer(fields, error: Exception | None) -> None:
    source, recorded = Bytes(CONTENT * 768, limit=(2 << 20) + 5, error=error), Recorded()
    with pytest.raises(type(error) if error else Corrupt):
        run(send_content(request("GET", **fields), sends(), recorded.send, source, HUGE, ABOUT))
    assert recorded.status in (200, 206)
    assert not recorded.complete
    assert len(recorded.body) < int(recorded["content-length"])
    assert source.closed == 1


def test_nothing_is_sent_behind_bytes_that_are_missing() -> None:
    class Gap(Bytes):
        def read_at(self, offset: int, length: int) -> bytes:
            block = super().read_at(offset, length)
            return block[:-1] if offset == 1 << 20 else block

    source, recorded = Gap(CONTENT * 768), Recorded()
    with pytest.raises(Corrupt, match="ended after 2097151 bytes"):
        run(send_content(request(), sends(), recorded.send, source, HUGE, ABOUT))
    assert recorded.body == source.content[: 1 << 20]
    assert not recorded.complete


@pytest.mark.parametrize("fields", [{}, {"range": "bytes=10-"}, {"range": "bytes=0-9,100-200"}])
def test_a_source_that_breaks_at_once_leaves_room_for_an_answer(fields: dict[str, str]) -> None:
    source, recorded = Bytes(CONTENT, limit=5, error=Unavailable("the store is away")), Recorded()
    with pytest.raises(Unavailable):
        run(send_content(request("GET", **fields), sends(), recorded.send, source, len(CONTENT), ABOUT))
    assert recorded.status == 0
    assert source.closed == 1


@pytest.mark.parametrize("fields", [{}, {"range": "bytes=0-9,2000000-2000005"}])
def test_nothing_is_read_before_the_server_took_the_last_block(fields: dict[str, str]) -> None:
    source = Cached(CONTENT * 768)
    taken = 0

    async def send(message: Message) -> None:
        nonlocal taken
        if message["type"] == "http.response.body" and message["body"]:
            taken += 1
            assert len(source.now) in (taken, taken - 1), "read ahead"

    run(send_content(request("GET", **fields), sends(), send, source, HUGE, ABOUT))
    assert taken


def test_a_client_that_left_is_read_for_no_longer() -> None:
    async def download() -> None:
        source, client, recorded = Cached(CONTENT * 768), Client(messages()), Recorded()

        async def send(message: Message) -> None:
            await recorded.send(message)
            if len(recorded.blocks) == 2:
                client.leaves.set()
                for _ in range(10):
                    await asyncio.sleep(0)

        with pytest.raises(ClientGone):
            await send_content(request(), client.receive, send, source, HUGE, ABOUT)
        assert len(source.now) == 2
        assert not recorded.complete
        assert source.closed == 1
        assert len(asyncio.all_tasks()) == 1, "a task was left behind"

    run(download())


def test_a_small_answer_asks_nothing_of_the_client() -> None:
    async def receive() -> Message:
        raise AssertionError("nobody asked")

    recorded = Recorded()
    run(send_content(request(), receive, recorded.send, Bytes(CONTENT), len(CONTENT), ABOUT))
    assert recorded.complete


def test_a_cancelled_answer_closes_the_source_after_its_last_read() -> None:
    async def download() -> None:
        entered, release = threading.Event(), threading.Event()

        class Held(Bytes):
            def read_at(self, offset: int, length: int) -> bytes:
                entered.set()
                assert release.wait(60)
                return super().read_at(offset, length)

        source = Held(CONTENT)
        task = asyncio.create_task(send_content(request(), sends(), Recorded().send, source, len(CONTENT), ABOUT))
        await asyncio.to_thread(entered.wait, 60)
        task.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        assert source.closed == 0
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert source.closed == 1

    run(download())


@dataclass
class Blocks:
    """An iterator of blocks that knows whether it was closed and where it ran."""

    waiting: list[bytes]
    error: Exception | None = None
    closed: int = 0
    taken: int = 0
    threads: set[threading.Thread] = field(default_factory=set)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.threads.add(threading.current_thread())
        if self.waiting:
            self.taken += 1
            return self.waiting.pop(0)
        if self.error is not None:
            raise self.error
        raise StopIteration

    def close(self) -> None:
        self.closed += 1


def stream(blocks: Blocks, method: str = "GET", *, size: int | None = None, **fields: str) -> Recorded:
    recorded = Recorded()
    try:
        run(send_stream(request(method, **fields), sends(), recorded.send, blocks, ABOUT, size=size))
    finally:
        assert blocks.closed == 1
        assert threading.current_thread() not in blocks.threads
    return recorded


@given(st.lists(st.binary(max_size=20)), st.booleans())
def test_a_stream_comes_out_as_it_is(parts: list[bytes], sized: bool) -> None:
    total = sum(map(len, parts))
    answer = stream(Blocks(list(parts)), size=total if sized else None)
    assert (answer.status, answer.body, answer.complete) == (200, b"".join(parts), True)
    assert answer.get("content-length") == (str(total) if sized else None)
    assert answer["accept-ranges"] == "none"


def test_a_stream_knows_no_ranges_but_conditions() -> None:
    assert stream(Blocks([b"abc"]), range="bytes=0-0").status == 200
    blocks = Blocks([b"abc"])
    assert stream(blocks, if_none_match=ETAG).status == 304
    assert stream(Blocks([b"abc"]), "POST", if_none_match=ETAG).status == 200
    assert blocks.taken == 0


def test_head_of_a_stream_makes_nothing() -> None:
    blocks = Blocks([b"abc"])
    answer = stream(blocks, "HEAD", size=3)
    assert (answer.body, answer["content-length"], blocks.taken) == (b"", "3", 0)


def test_small_blocks_of_a_stream_leave_together() -> None:
    answer = stream(Blocks([b"x" * 1000] * 1000))
    assert len(answer.body) == 1_000_000
    assert len(answer.blocks) == 4


@pytest.mark.parametrize("size", [None, 600_000])
def test_a_stream_that_breaks_breaks_the_answer(size: int | None) -> None:
    recorded, blocks = Recorded(), Blocks([b"x" * 300_000], error=Corrupt("member 7 is damaged"))
    with pytest.raises(Corrupt, match="member 7"):
        run(send_stream(request(), sends(), recorded.send, blocks, ABOUT, size=size))
    assert (recorded.status, recorded.complete, blocks.closed) == (200, False, 1)


def test_a_stream_that_breaks_at_once_leaves_room_for_an_answer() -> None:
    recorded = Recorded()
    with pytest.raises(Unavailable):
        run(send_stream(request(), sends(), recorded.send, Blocks([], error=Unavailable("away")), ABOUT))
    assert recorded.status == 0


@pytest.mark.parametrize("size", [1, 299_999, 300_001, 10**9])
def test_a_stream_of_another_length_than_announced_breaks_the_answer(size: int) -> None:
    recorded = Recorded()
    with pytest.raises(Corrupt, match="announced"):
        run(send_stream(request(), sends(), recorded.send, Blocks([b"x" * 300_000]), ABOUT, size=size))
    assert not recorded.complete
    assert len(recorded.body) <= size


def test_a_generator_is_closed() -> None:
    closed = []

    def members() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 300_000
        finally:
            closed.append(threading.current_thread())

    async def download() -> None:
        client = Client(messages())
        client.leaves.set()
        with pytest.raises(ClientGone):
            await send_stream(request(), client.receive, Recorded().send, members(), ABOUT)

    run(download())
    assert len(closed) == 1
