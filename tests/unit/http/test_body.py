"""Bodies: every byte in order, in blocks, off the event loop, and nothing after the first thing that goes wrong."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect
from starlette.types import Message

from entrepot.http.body import ClientGone, drain, parse_json, pump, read_all, read_json, read_small
from entrepot.model.errors import Malformed, OffsetMismatch, TooLarge
from tests.support.asgi import Client, messages, pieces, run, sends


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=12), st.integers(1, 120), st.integers(1, 3))
def test_every_byte_arrives_once_in_order_in_blocks(body: bytes, cuts: list[int], size: int, in_flight: int) -> None:
    blocks: list[bytes] = []
    parts = pieces(body, cuts)
    assert run(pump(sends(*parts), blocks.append, block_size=size, in_flight=in_flight)) == len(body)
    assert b"".join(blocks) == body
    assert all(len(block) >= size for block in blocks[:-1])
    assert all(0 < len(block) < size + max(map(len, parts)) for block in blocks)


def test_large_messages_are_written_as_they_came_and_small_ones_together() -> None:
    large, small = b"l" * (64 << 10), b"s" * 1000
    parts = [small, small, large, large, small, small, small, large, small]
    blocks: list[bytes] = []
    run(pump(sends(*parts), blocks.append, block_size=1 << 20))
    assert blocks == [small * 2, large, large, small * 3, large, small]
    assert blocks[1] is large


def test_an_empty_body_writes_nothing() -> None:
    blocks: list[bytes] = []
    assert run(pump(sends(), blocks.append)) == 0
    assert blocks == []


def test_a_message_without_a_body_is_an_empty_one() -> None:
    client = Client([{"type": "http.request", "more_body": True}, {"type": "http.request", "body": b"x"}])
    blocks: list[bytes] = []
    assert run(pump(client.receive, blocks.append)) == 1


def test_writing_happens_off_the_event_loop_one_block_at_a_time() -> None:
    writing = threading.Lock()
    threads = set()

    def write(block: bytes) -> None:
        assert writing.acquire(blocking=False), "two blocks at once"
        threads.add(threading.current_thread())
        writing.release()

    with ThreadPoolExecutor(4) as executor:
        run(pump(sends(*[b"x" * 10] * 100), write, block_size=10, in_flight=3, executor=executor))
    assert threading.current_thread() not in threads


def test_the_callable_sees_the_context_of_the_request() -> None:
    request_id = contextvars.ContextVar("request_id", default="none")
    seen = []

    async def upload() -> None:
        request_id.set("r-1")
        await pump(sends(b"ab", b"cd"), lambda block: seen.append(request_id.get()), block_size=2)

    run(upload())
    assert seen == ["r-1", "r-1"]


class Held:
    """A `write` that stands still until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.release = threading.Event()
        self.blocks: list[bytes] = []

    def __call__(self, block: bytes) -> None:
        self.entered.set()
        assert self.release.wait(60)
        self.blocks.append(block)


async def reached(client: Client, held: Held) -> None:
    """Wait until a block is being written and the client is no longer asked for more."""
    await asyncio.to_thread(held.entered.wait, 60)
    before = -1
    while before != client.received:
        before = client.received
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.mark.parametrize("in_flight", [1, 2, 5])
def test_a_full_queue_reads_nothing_more(in_flight: int) -> None:
    async def upload() -> None:
        client, held = Client(messages(*[b"x" * 10] * 50)), Held()
        task = asyncio.create_task(pump(client.receive, held, block_size=10, in_flight=in_flight))
        await reached(client, held)
        assert client.received == in_flight + 1
        held.release.set()
        assert await task == 500

    run(upload())


def test_no_thread_is_held_while_the_client_is_silent() -> None:
    """One thread serves any number of bodies that are under way."""

    async def upload() -> None:
        gates = [asyncio.Event() for _ in range(20)]
        written: list[bytes] = []

        def slow_client(gate: asyncio.Event) -> Any:
            waiting = messages(b"a" * 10, b"b" * 10)

            async def receive() -> Message:
                if len(waiting) == 2:
                    await gate.wait()
                return waiting.pop(0)

            return receive

        with ThreadPoolExecutor(1) as executor:
            slow = [
                asyncio.create_task(pump(slow_client(gate), written.append, block_size=10, executor=executor))
                for gate in gates
            ]
            while len(written) < 20:
                await asyncio.sleep(0)
            # All twenty are half done and wait for their clients: the only thread must be free for this one.
            assert await pump(sends(b"quick"), written.append, executor=executor) == 5
            for gate in gates:
                gate.set()
            assert await asyncio.gather(*slow) == [20] * 20

    run(upload())


def test_a_body_that_never_pauses_lets_others_have_their_turn() -> None:
    async def upload() -> None:
        order: list[str] = []
        client, held = Client(messages(*[b"x"] * 100)), Held()

        def greedily(block: bytes) -> None:
            held(block)
            order.append("greedy")

        with ThreadPoolExecutor(1) as executor:
            greedy = asyncio.create_task(
                pump(client.receive, greedily, block_size=1, in_flight=100, executor=executor),
            )
            await reached(client, held)
            modest = asyncio.create_task(pump(sends(b"x"), lambda block: order.append("modest"), executor=executor))
            while executor._work_queue.empty():
                await asyncio.sleep(0)
            held.release.set()
            await asyncio.gather(greedy, modest)
        assert len(order) == 101
        assert order.index("modest") < 50

    run(upload())


@given(st.binary(min_size=1, max_size=100), st.lists(st.integers(0, 100), max_size=6), st.integers(1, 120))
def test_what_arrived_before_the_client_left_is_written(body: bytes, cuts: list[int], size: int) -> None:
    blocks: list[bytes] = []
    with pytest.raises(ClientGone) as caught:
        run(pump(sends(*pieces(body, cuts), cut=True), blocks.append, block_size=size))
    assert b"".join(blocks) == body
    assert caught.value.received == len(body)


def test_a_client_that_left_is_one_for_the_framework_too() -> None:
    assert issubclass(ClientGone, ClientDisconnect)


def test_a_silent_client_is_given_up_and_what_it_sent_is_written() -> None:
    client, blocks = Client(messages(b"abc")[:1]), []
    with pytest.raises(ClientGone) as caught:
        run(pump(client.receive, blocks.append, idle_s=0))
    assert caught.value.received == 3
    assert blocks == [b"abc"]


def test_slow_writing_is_not_the_client_s_silence() -> None:
    async def upload() -> None:
        client, held = Client(messages(*[b"x" * 10] * 10)), Held()
        task = asyncio.create_task(pump(client.receive, held, block_size=10, in_flight=1, idle_s=0))
        await reached(client, held)
        held.release.set()
        assert await task == 100

    run(upload())


@pytest.mark.parametrize("size", [1, 5, 100])
def test_a_body_beyond_the_limit_is_refused_and_its_end_not_written(size: int) -> None:
    blocks: list[bytes] = []
    with pytest.raises(TooLarge, match="10 bytes") as caught:
        run(pump(sends(b"12345", b"67890", b"!"), blocks.append, limit=10, block_size=size))
    assert caught.value.details == {"limit": 10}
    assert b"1234567890".startswith(b"".join(blocks))
    assert run(pump(sends(b"12345", b"67890"), blocks.append, limit=10, block_size=size)) == 10


def test_nothing_is_written_after_an_error_and_the_error_passes_through() -> None:
    seen = []

    def write(block: bytes) -> None:
        seen.append(block)
        if len(seen) == 3:
            raise OffsetMismatch("Upload is at 7.", details={"offset": 7})

    client = Client(messages(*[b"%d" % at for at in range(10)] * 50))
    with pytest.raises(OffsetMismatch) as caught:
        run(pump(client.receive, write, block_size=1))
    assert caught.value.details == {"offset": 7}
    assert seen == [b"0", b"1", b"2"]
    assert client.waiting, "the rest of the body is left where it is"


def test_blocks_that_wait_when_one_fails_are_not_written() -> None:
    async def upload() -> None:
        client, held = Client(messages(*[b"x"] * 50)), Held()

        def write(block: bytes) -> None:
            held(block)
            raise OffsetMismatch("Upload is at 7.")

        task = asyncio.create_task(pump(client.receive, write, block_size=1, in_flight=5))
        await reached(client, held)
        held.release.set()
        with pytest.raises(OffsetMismatch):
            await task
        assert len(held.blocks) == 1

    run(upload())


def test_an_error_of_the_last_block_is_raised_too() -> None:
    def write(block: bytes) -> None:
        raise TimeoutError("the disk, not the client")

    with pytest.raises(TimeoutError, match="the disk"):
        run(pump(sends(b"x"), write))
    with pytest.raises(TimeoutError, match="the disk"):
        run(pump(sends(b"x", cut=True), write))


def test_a_cancelled_body_waits_for_the_block_being_written_and_writes_no_other() -> None:
    async def upload() -> None:
        client, held = Client(messages(*[b"x" * 10] * 50)), Held()
        task = asyncio.create_task(pump(client.receive, held, block_size=10, in_flight=3))
        await reached(client, held)
        for _ in range(3):
            task.cancel()
            for _ in range(20):
                await asyncio.sleep(0)
            assert not task.done(), "it returned while `write` was still running"
        held.release.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert held.blocks == [b"x" * 10]

    run(upload())


def test_small_bodies_are_read_whole() -> None:
    assert run(read_all(sends(b"ab", b"", b"c"), 3)) == b"abc"
    assert run(read_all(sends(), 0)) == b""
    with pytest.raises(TooLarge, match="2 bytes"):
        run(read_all(sends(b"ab", b"c"), 2))
    with pytest.raises(ClientGone):
        run(read_all(sends(b"ab", cut=True), 9))
    with pytest.raises(ClientGone):
        run(read_all(Client(messages(b"ab")[:1]).receive, 9, idle_s=0))


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"null", None),
        (b' {"a": [1, 2.5, "\xc3\xa9", true]} ', {"a": [1, 2.5, "é", True]}),
        (b"\xef\xbb\xbf[]", []),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"[[[[[[[[[[[["', "[[[[[[[[[[[["),
        (b"-0.0", 0.0),
        (b"1e308", 1e308),
    ],
)
def test_json_values(body: bytes, value: Any) -> None:
    assert run(read_json(sends(body), depth=3)) == value


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "line 1, column 1"),
        (b"{", "line 1, column 2"),
        (b'{"a": 1}\n x', "line 2, column 2"),
        (b"{'a': 1}", "column 2"),
        (b"[1,]", "not JSON"),
        (b"\xff", "byte 0 is 0xff"),
        ("[]".encode("utf-16"), "not UTF-8"),
        (b"NaN", "cannot be read"),
        (b"[-Infinity]", "cannot be read"),
        (b"1e999", "cannot be read"),
        (b"9" * 5000, "cannot be read"),
        (b'"\\ud800"', "surrogate"),
        (b'[{"a\\uDC00": 1}]', "surrogate"),
        (b"[" * 100_000, "deeper than 64 levels"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "deeper than 64 levels"),
    ],
)
def test_what_is_no_json_is_malformed(body: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        parse_json(body)


@pytest.mark.parametrize("depth", [0, 1, 2, 5])
def test_the_depth_is_exact(depth: int) -> None:
    fits = b"[" * depth + b"]" * depth if depth else b"1"
    parse_json(fits, depth=depth)
    parse_json(b'{"x": ' * depth + b"1" + b"}" * depth, depth=depth)
    with pytest.raises(Malformed, match="deeper"):
        parse_json(b"[" + fits + b"]", depth=depth)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert len(parse_json(b"[" + b"[]," * 500 + b"[]]", depth=2)) == 501


def test_no_body_is_none_where_that_is_allowed() -> None:
    assert run(read_json(sends(b" \n"), empty=True)) is None
    with pytest.raises(Malformed):
        run(read_json(sends(b" \n")))


def test_the_rest_of_a_body_is_drained_within_bounds() -> None:
    async def drained(*parts: bytes, limit: int, ends: bool = True, longest_s: float = 60) -> bool:
        waiting = messages(*parts) if ends else messages(*parts)[:-1]
        return await drain(Client(waiting).receive, limit=limit, longest_s=longest_s)

    assert run(drained(b"abc", b"def", limit=6))
    assert not run(drained(b"abc", b"def", b"g", limit=5))
    assert not run(drained(b"abc", limit=5, ends=False, longest_s=0))
    assert run(drain(sends(b"abc", cut=True), limit=9, longest_s=60))


def test_a_body_that_is_announced_to_be_small_is_read_at_once_and_no_other_is_touched() -> None:
    def head(**fields: str) -> dict[str, Any]:
        return {"headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]}

    async def untouched() -> Message:
        raise AssertionError("nobody asked for this body")

    assert run(read_small(head(content_length="3"), sends(b"ab", b"c"))) == b"abc"
    assert run(read_small(head(content_length="0"), sends())) == b""
    for fields in ({}, {"content_length": "70000"}, {"content_length": "3", "expect": "100-continue"}):
        assert run(read_small(head(**fields), untouched)) is None
    with pytest.raises(ClientGone):
        run(read_small(head(content_length="3"), Client([{"type": "http.disconnect"}]).receive))
