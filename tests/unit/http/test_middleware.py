"""The edge: an id for every request, one honest log line, numbers, and answers that clients get to read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from starlette.types import Message, Receive, Scope, Send

from entrepot.http.body import ClientGone, pump, read_all
from entrepot.http.hosts import Hosts
from entrepot.http.metrics import HttpMetrics
from entrepot.http.middleware import SECURITY_FIELDS, Edge, request_id, shown_path
from entrepot.wire.signing import PREFIX
from tests.support.asgi import Client, Recorded, call, messages, request, run, sends

App = Callable[[Scope, Receive, Send], Awaitable[None]]


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


def refuses(status: int) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"no"})

    return app


def edge(app: App = hello, **options: Any) -> Edge:
    ticks = iter(range(1000))
    return Edge(app, new_id=lambda: "made-id-1", clock=lambda: next(ticks) * 0.5, **options)


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as captured:
        yield captured


@pytest.mark.parametrize("brought", ["abcdefgh", "9f8e7d6c-1234.A_b", "a" * 128])
def test_a_sane_id_is_taken_over(brought: str) -> None:
    answer = run(call(edge(), request(x_request_id=brought)))
    assert answer["x-request-id"] == brought


@pytest.mark.parametrize("brought", ["", "short", "a" * 129, "-leading-hyphen", "a b c d e f", "abcdefgh\n", "é" * 10])
def test_any_other_request_gets_one(brought: str) -> None:
    answer = run(call(edge(), request(x_request_id=brought)))
    assert answer["x-request-id"] == "made-id-1"


def test_the_id_is_known_to_the_application_and_to_every_log_line(lines: list[Any]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert request_id(scope) == "made-id-1"
        await asyncio.to_thread(structlog.get_logger().info, "from a thread")
        await hello(scope, receive, send)

    run(call(edge(app), request()))
    assert [line["request_id"] for line in lines] == ["made-id-1"] * 2
    assert "request_id" not in structlog.contextvars.get_contextvars()


def test_one_line_says_what_happened(lines: list[Any]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_all(receive, 100)
        await hello(scope, receive, send)

    around = edge(app, door_of=lambda path: path.split("/")[1], hosts=Hosts(proxies=["127.0.0.1"]))
    scope = request("PUT", "/v1/x", query=b"token=secret", x_forwarded_for="203.0.113.9", body=b"abcdef")
    run(call(around, scope, b"abc", b"def"))
    (line,) = lines
    assert line == {
        "event": "request",
        "log_level": "info",
        "request_id": "made-id-1",
        "method": "PUT",
        "path": "/v1/x",
        "status": 200,
        "outcome": "answered",
        "seconds": 0.5,
        "received": 6,
        "sent": 5,
        "door": "v1",
        "client": "203.0.113.9",
    }


def test_the_log_can_be_switched_off(lines: list[Any]) -> None:
    run(call(edge(access_log=False), request()))
    assert lines == []


SECRET = "eyJhbGciOi" * 30


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v1/datasets/7", "/v1/datasets/7"),
        (f"{PREFIX}{SECRET}/reads.csv", "/objects/..."),
        (f"/{PREFIX}{SECRET}", "//objects/..."),
        (f"/Objects/{SECRET}", "/Objects/..."),
        (f"/ objects/{SECRET}", "/%20objects/..."),
        (f"http://host/objects/{SECRET}", "http://host/objects/..."),
        (f"/objetcs/{SECRET}/reads.csv", "/objetcs/.../reads.csv"),
        ("/objects", "/objects"),
        ("/a\r\nb\x1b[0m", "/a%0D%0Ab%1B%5B0m"),
        ("/é", "/%C3%A9"),
        ("/ab" * 200, "/ab" * 133 + "/..."),
    ],
)
def test_paths_are_shown_without_links_and_control_characters(path: str, shown: str) -> None:
    assert shown_path(request(path=path)) == shown


@given(st.text(), st.text(min_size=1))
def test_nothing_behind_objects_is_ever_shown(before: str, link: str) -> None:
    text = shown_path(request() | {"path": f"/{before}/objects/{link}"})
    assert text.isascii()
    assert text.isprintable()
    assert text.endswith("...")


def test_numbers_by_door_method_and_status() -> None:
    registry = CollectorRegistry()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert 'in_flight{door="native",method="PUT"} 1.0' in generate_latest(registry).decode()
        await read_all(receive, 100)
        await hello(scope, receive, send)

    around = edge(app, door_of=lambda path: "native", metrics=HttpMetrics(registry))
    run(call(around, request("PUT", "/secret/path", body=b"abc"), b"abc"))
    text = generate_latest(registry).decode()
    assert 'entrepot_http_requests_total{door="native",method="PUT",status="200"} 1.0' in text
    assert 'entrepot_http_requests_in_flight{door="native",method="PUT"} 0.0' in text
    assert 'entrepot_http_received_bytes_total{door="native",method="PUT"} 3.0' in text
    assert 'entrepot_http_sent_bytes_total{door="native",method="PUT"} 5.0' in text
    assert 'entrepot_http_request_seconds_sum{door="native",method="PUT"} 0.5' in text
    assert "secret" not in text


def test_methods_of_a_client_s_own_are_one_series() -> None:
    registry = CollectorRegistry()
    around = edge(metrics=HttpMetrics(registry))
    for method in ("BREW", "MAKE", "get"):
        run(call(around, request(method)))
    assert 'requests_total{door="none",method="other",status="200"} 3.0' in generate_latest(registry).decode()


def test_security_fields_are_added_where_the_application_says_nothing_else() -> None:
    answer = run(call(edge(), request()))
    assert {name: answer[name] for name in SECURITY_FIELDS} == dict(SECURITY_FIELDS)

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        policy = (b"Content-Security-Policy", b"default-src 'self'")
        await send({"type": "http.response.start", "status": 200, "headers": [policy]})
        await send({"type": "http.response.body"})

    answer = run(call(edge(page, fields={**SECURITY_FIELDS, "x-frame-options": ""}), request()))
    assert answer["content-security-policy"] == "default-src 'self'"
    assert answer.get("x-frame-options") is None


async def received_before_the_head(app: App, scope: Scope, *parts: bytes, limit: int = 1000) -> int:
    """How many messages were taken from the client when the head of the answer went out."""
    client, recorded = Client(messages(*parts)), Recorded()
    taken: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            taken.append(client.received)
        await recorded.send(message)

    await edge(app, drain_limit=limit)(scope, client.receive, send)
    assert recorded.complete
    return taken[0]


def test_a_refused_body_is_read_first_so_that_the_client_reads_the_answer() -> None:
    parts = [b"x" * 100] * 5
    scope = request("PUT", body=b"x" * 500)
    assert run(received_before_the_head(refuses(412), scope, *parts)) == 6
    chunked = request("PUT", transfer_encoding="chunked")
    assert run(received_before_the_head(refuses(412), chunked, *parts)) == 6


def test_an_answer_that_is_no_refusal_waits_for_nothing() -> None:
    assert run(received_before_the_head(hello, request("PUT", body=b"x" * 500), b"x" * 500)) == 0


def test_a_refused_body_is_read_within_bounds() -> None:
    assert run(received_before_the_head(refuses(413), request("PUT", body=b"x" * 1001), b"x" * 1001)) == 0
    endless = request("PUT", transfer_encoding="chunked")
    assert run(received_before_the_head(refuses(413), endless, *[b"x" * 100] * 50)) == 11


def test_who_asks_before_sending_is_not_asked_to_send() -> None:
    scope = request("PUT", expect="100-continue", body=b"x" * 500)
    assert run(received_before_the_head(refuses(412), scope, b"x" * 500)) == 0


def test_a_request_without_a_body_or_with_one_that_was_read_is_not_drained() -> None:
    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        await read_all(receive, 1000)
        await refuses(400)(scope, receive, send)

    assert run(received_before_the_head(refuses(404), request())) == 0
    assert run(received_before_the_head(reads, request("PUT", body=b"abc"), b"abc")) == 2


def test_a_client_that_left_is_noted_and_nothing_is_raised(lines: list[Any]) -> None:
    registry = CollectorRegistry()

    async def upload(scope: Scope, receive: Receive, send: Send) -> None:
        await pump(receive, lambda block: None)

    recorded = Recorded()
    around = edge(upload, metrics=HttpMetrics(registry))
    run(around(request("PUT", body=b"x" * 10), sends(b"abc", cut=True), recorded.send))
    # Should it still listen, it learns that this connection is of no use.
    assert (recorded.status, recorded["connection"], recorded.complete) == (408, "close", True)
    assert (lines[0]["status"], lines[0]["outcome"], lines[0]["received"]) == (499, "gone", 3)
    assert 'status="499"} 1.0' in generate_latest(registry).decode()


def test_a_client_that_left_in_the_middle_of_an_answer_gets_no_end_of_it(lines: list[Any]) -> None:
    async def download(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        raise ClientGone(3)

    recorded = Recorded()
    run(edge(download)(request(), sends(), recorded.send))
    assert not recorded.complete
    assert (lines[0]["status"], lines[0]["outcome"], lines[0]["sent"]) == (200, "gone", 3)


def test_what_nobody_answers_goes_on_to_the_server_and_is_counted(lines: list[Any]) -> None:
    registry = CollectorRegistry()

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("x")

    with pytest.raises(RuntimeError):
        run(call(edge(broken, metrics=HttpMetrics(registry)), request()))
    assert (lines[0]["status"], lines[0]["outcome"]) == (500, "broken")
    assert 'in_flight{door="none",method="GET"} 0.0' in generate_latest(registry).decode()


def test_what_is_not_http_passes_through() -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    run(edge(app)({"type": "lifespan"}, sends(), Recorded().send))
    assert seen == ["lifespan"]
