"""Bytes in and out through real servers: the one the product runs, and the one its application must also work with."""

from __future__ import annotations

import email
import email.policy
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from entrepot.wire.signing import Grant, sign
from tests.e2e.byte_routes import KEY, NOW, pattern
from tests.support.servers import Connection, Server, serving

MIB = 1 << 20


@pytest.fixture(scope="module", params=["granian", "uvicorn"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    pytest.importorskip(request.param, reason=f"{request.param} is not installed: make setup")
    with serving(request.param, "tests.e2e.byte_routes:app") as running:
        yield running


def seen(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.ask("GET", "/seen").body)
    return found


def until(server: Server, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask the server until it has seen something; each question is the wait for the next."""
    for _ in range(20_000):
        if holds(found := seen(server)):
            return found
    raise AssertionError(f"it never came to that: {found}")


@pytest.mark.parametrize("size", [0, 1, 5000, 3 * MIB + 7])
@pytest.mark.parametrize("target", ["/content/{}", "/content/{}?now"])
def test_the_whole_content(server: Server, size: int, target: str) -> None:
    answer = server.ask("GET", target.format(size))
    assert (answer.status, answer.complete) == (200, True)
    assert answer.body == pattern(0, size)
    assert answer.fields["content-length"] == str(size)
    assert "transfer-encoding" not in answer.fields


def test_answers_without_a_body_leave_the_connection_in_order(server: Server) -> None:
    """Each answer must end exactly where the next begins, or everything behind it is garbage."""
    with server.connect() as connection:
        head = connection.ask("HEAD", "/content/5000")
        assert (head.status, head.fields["content-length"]) == (200, "5000")
        assert connection.ask("GET", "/content/5000", if_none_match='"5000"').status == 304
        assert connection.ask("GET", "/content/5000", if_match='"1"').status == 412
        refused = connection.ask("GET", "/content/5000", range="bytes=5000-")
        assert (refused.status, refused.fields["content-range"]) == (416, "bytes */5000")
        assert connection.ask("HEAD", "/content/0").fields["content-length"] == "0"
        assert connection.ask("GET", "/nothing").status == 404
        assert connection.ask("HEAD", "/nothing").status == 404
        assert connection.ask("GET", "/content/0").body == b""
        assert connection.ask("HEAD", f"/content/{3 * MIB}").status == 200
        assert connection.ask("GET", "/content/10").body == pattern(0, 10)


@pytest.mark.parametrize("target", [f"/content/{3 * MIB}", f"/content/{3 * MIB}?now"])
def test_one_range(server: Server, target: str) -> None:
    answer = server.ask("GET", target, range=f"bytes={MIB - 5}-{2 * MIB}")
    assert (answer.status, answer.fields["content-range"]) == (206, f"bytes {MIB - 5}-{2 * MIB}/{3 * MIB}")
    assert answer.body == pattern(MIB - 5, MIB + 6)


def test_several_ranges(server: Server) -> None:
    answer = server.ask("GET", f"/content/{3 * MIB}", range=f"bytes=0-9,-5,{MIB}-{2 * MIB - 1}")
    assert (answer.status, answer.complete) == (206, True)
    head = f"Content-Type: {answer.fields['content-type']}\r\n\r\n".encode()
    parts = list(email.message_from_bytes(head + answer.body, policy=email.policy.HTTP).iter_parts())
    expected = [(0, 10), (3 * MIB - 5, 5), (MIB, MIB)]
    assert [part.get_payload(decode=True) for part in parts] == [pattern(*one) for one in expected]


@pytest.mark.parametrize("at", [2 * MIB, 2 * MIB + 1, 3 * MIB - 1])
@pytest.mark.parametrize("fields", [{}, {"range": "bytes=1-"}, {"range": f"bytes=0-0,2-{3 * MIB}"}])
def test_a_source_that_breaks_breaks_the_connection(server: Server, at: int, fields: dict[str, str]) -> None:
    before = seen(server)["closed"]
    answer = server.ask("GET", f"/broken/{3 * MIB}/{at}", **fields)
    assert answer.status in (200, 206)
    assert not answer.complete
    assert len(answer.body) < int(answer.fields["content-length"])
    assert seen(server)["closed"] == before + 1


def test_a_source_that_breaks_at_once_is_an_error_answer(server: Server) -> None:
    answer = server.ask("GET", f"/broken/{3 * MIB}/1")
    assert (answer.status, answer.fields["content-type"]) == (503, "application/problem+json")
    assert json.loads(answer.body)["detail"] == "The disk is away."


def test_a_stream_comes_in_chunks(server: Server) -> None:
    answer = server.ask("GET", f"/stream/{MIB}")
    assert (answer.complete, answer.fields["transfer-encoding"].lower()) == (True, "chunked")
    assert answer.body == pattern(0, MIB)


def test_a_stream_that_breaks_has_no_last_chunk(server: Server) -> None:
    answer = server.ask("GET", f"/stream/{3 * MIB}?at={2 * MIB}")
    assert answer.status == 200
    assert not answer.complete
    assert pattern(0, 3 * MIB).startswith(answer.body)


def test_a_fault_says_nothing_of_the_inside(server: Server) -> None:
    answer = server.ask("GET", "/fault")
    assert (answer.status, answer.fields["content-type"]) == (500, "application/problem+json")
    assert b"hunter2" not in answer.body
    assert answer.fields["x-request-id"] in answer.body.decode()


def chunked(body: bytes, sizes: tuple[int, ...]) -> bytes:
    out, at = b"", 0
    for size in sizes:
        out += f"{len(body[at : at + size]):x}\r\n".encode() + body[at : at + size] + b"\r\n"
        at += size
    assert at >= len(body)
    return out + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [0, 1, 64 << 10, 5 * MIB + 3])
def test_a_body_arrives_as_it_was_sent(server: Server, size: int) -> None:
    body = pattern(3, size)
    answer = server.ask("PUT", "/upload", body)
    assert (answer.status, answer.body.decode()) == (200, hashlib.sha256(body).hexdigest())


def test_a_body_in_chunks_arrives_as_it_was_sent(server: Server) -> None:
    body = pattern(3, 2 * MIB)
    with server.connect() as connection:
        connection.send_head("PUT", "/upload", transfer_encoding="chunked")
        connection.socket.sendall(chunked(body, (1, 70_000, 2, MIB, MIB)))
        assert connection.read().body.decode() == hashlib.sha256(body).hexdigest()


def test_the_file_of_a_form_arrives_without_the_form(server: Server) -> None:
    content = pattern(3, 2 * MIB) + b"\r\n--boundar"
    head = b'--boundary\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body = head + content + b"\r\n--boundary--\r\n"
    answer = server.ask("PUT", "/form", body, content_type="multipart/form-data; boundary=boundary")
    assert (answer.status, answer.body.decode()) == (200, hashlib.sha256(content).hexdigest())
    cut = server.ask("PUT", "/form", body[:-10], content_type="multipart/form-data; boundary=boundary")
    assert cut.status == 400


def test_a_client_that_asks_first_is_told_to_go_on(server: Server) -> None:
    with server.connect() as connection:
        connection.send_head("PUT", "/upload", content_length="3", expect="100-continue")
        assert connection.read_head()[0] == 100
        connection.socket.sendall(b"abc")
        assert connection.read().body.decode() == hashlib.sha256(b"abc").hexdigest()


def test_a_client_that_asks_first_is_refused_before_it_sends(server: Server) -> None:
    with server.connect() as connection:
        connection.send_head("PUT", "/refuse", content_length=str(10 * MIB), expect="100-continue")
        assert connection.read_head()[0] == 409


@pytest.mark.parametrize("target", ["/refuse", "/upload?limit=1000"])
def test_a_client_that_sends_before_it_listens_reads_the_refusal(server: Server, target: str) -> None:
    answer = server.ask("PUT", target, b"x" * 20 * MIB)
    assert (answer.status, answer.complete) == (409 if target == "/refuse" else 413, True)


def test_what_arrived_before_the_client_left_is_written(server: Server) -> None:
    before = len(seen(server)["gone"])
    with server.connect() as connection:
        connection.send_head("PUT", "/upload", content_length=str(10 * MIB))
        connection.socket.sendall(b"x" * (3 * MIB + 5))
        # All blocks of 64 KiB that are whole by now.
        until(server, lambda found: found["received"] >= 3 * MIB - (64 << 10))
    found = until(server, lambda found: len(found["gone"]) > before)
    assert found["gone"][-1] == found["received"] == 3 * MIB + 5


def test_slow_uploads_hold_no_thread(server: Server) -> None:
    """The application has one thread. Thirty clients stop in the middle of a block; others are served meanwhile."""
    slow: list[Connection] = []
    try:
        for _ in range(30):
            connection = server.connect()
            slow.append(connection)
            connection.send_head("PUT", "/upload", content_length=str(MIB))
            connection.socket.sendall(b"x" * (100 << 10))
        body = pattern(0, 2 * MIB)
        assert server.ask("PUT", "/upload", body).body.decode() == hashlib.sha256(body).hexdigest()
        for connection in slow:
            connection.socket.sendall(b"x" * (MIB - (100 << 10)))
        expected = hashlib.sha256(b"x" * MIB).hexdigest()
        assert [connection.read().body.decode() for connection in slow] == [expected] * 30
    finally:
        for connection in slow:
            connection.socket.close()


def test_slow_downloads_hold_no_thread_and_are_not_read_ahead(server: Server) -> None:
    slow: list[Connection] = []
    size = 64 * MIB
    try:
        before = seen(server)["read"]
        for _ in range(10):
            connection = server.connect()
            slow.append(connection)
            connection.send_head("GET", f"/content/{size}")
            assert connection.read_head()[0] == 200
        assert server.ask("GET", f"/content/{2 * MIB}").complete
        assert server.ask("GET", f"/stream/{2 * MIB}").complete
        # Sockets and the server take some megabytes each; the rest waits for the clients.
        assert seen(server)["read"] - before < 10 * size / 2
    finally:
        for connection in slow:
            connection.socket.close()


@pytest.mark.parametrize("target", ["/content/{}", "/content/{}?now", "/stream/{}"])
def test_a_client_that_leaves_ends_the_reading(server: Server, target: str) -> None:
    before = seen(server)
    size = 4096 * MIB
    with server.connect() as connection:
        connection.send_head("GET", target.format(size))
        assert connection.read_head()[0] == 200
    found = until(server, lambda found: found["closed"] > before["closed"])
    assert found["read"] - before["read"] < size / 2


def test_a_signed_link_is_checked_as_it_was_sent(server: Server) -> None:
    link = sign(KEY, Grant("GET", {"entry": 9}, {"user": 7}, NOW + timedelta(hours=1)), "año/ä b%.csv")
    assert server.ask("GET", link).body == b'{"entry": 9}'
    assert server.ask("HEAD", link).status == 200
    spellings = [link + "?", link + "?x=1", link + "/", link.replace("%C3", "%c3"), link.replace(".csv", "%2Ecsv")]
    assert [server.ask("GET", one).status for one in spellings[1:]] == [403] * 4
    # Lines come through a pipe: a later request's line means that those before it are there.
    server.ask("GET", "/content/18", x_request_id="behind-the-links")
    server.wait_for_line(re.compile("behind-the-links"))
    log = "".join(server.lines)
    assert "/objects/..." in log
    assert link[9:60] not in log


def test_each_request_writes_one_line(server: Server) -> None:
    answer = server.ask("GET", "/content/17", x_request_id="find-me-in-the-log")
    assert answer.fields["x-request-id"] == "find-me-in-the-log"
    # Lines come through a pipe: a later request's line means that the earlier one's is there.
    server.ask("GET", "/content/18", x_request_id="the-one-behind-it")
    server.wait_for_line(re.compile("the-one-behind-it"))
    (line,) = [line for line in server.lines if "find-me-in-the-log" in line]
    assert "/content/17" in line
    assert "200" in line
