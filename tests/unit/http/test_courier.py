"""Sending outside: what is judged is what is connected to, and whatever a receiver does is over in time."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from entrepot.http.courier import MAX_EXCERPT, NetworkCourier
from entrepot.model.endpoints import AddressRules, Endpoint, IpAddress, parse_endpoint
from entrepot.model.errors import Invalid

LOOPBACK = ipaddress.ip_address("127.0.0.1")
HERE = AddressRules(networks=(ipaddress.ip_network("127.0.0.0/8"),), ports=((1, 65535),))

Behave = Callable[[socket.socket], None]


@contextlib.contextmanager
def receiver(behave: Behave) -> Iterator[int]:
    """Somebody who listens here; what was asked is read whole, and then answered as `behave` does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ended = threading.Event()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, contextlib.suppress(OSError):
                        behave(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        ended.set()
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def request_of(connection: socket.socket) -> bytes:
    got = b""
    while b"\r\n\r\n" not in got or len(got.partition(b"\r\n\r\n")[2]) < 4:
        more = connection.recv(65536)
        if not more:
            break
        got += more
    return got


def answering(answer: bytes, asked: list[bytes] | None = None) -> Behave:
    def behave(connection: socket.socket) -> None:
        got = request_of(connection)
        if asked is not None:
            asked.append(got)
        connection.sendall(answer)

    return behave


def resolving(*answers: Sequence[str]) -> tuple[Callable[[str, int], list[IpAddress]], list[str]]:
    """A resolver that says something else each time, and whom it was asked for."""
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[IpAddress]:
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        if not found:
            raise OSError("no such name")
        return [ipaddress.ip_address(one) for one in found]

    return resolve, asked


def courier(rules: AddressRules = HERE, timeout_s: float = 5.0, *answers: Sequence[str]) -> NetworkCourier:
    return NetworkCourier(rules, timeout_s=timeout_s, resolve=resolving(*(answers or (["127.0.0.1"],)))[0])


def at(port: int, host: str = "receiver.example.org", target: str = "/hook?key=1") -> Endpoint:
    return Endpoint("http", host, port, target)


def test_a_request_is_sent_as_it_is_meant_and_its_answer_told() -> None:
    asked: list[bytes] = []
    with receiver(answering(b"HTTP/1.1 202 Accepted\r\nContent-Length: 6\r\n\r\nthanks", asked)) as port:
        answered = courier().post(at(port), {"webhook-id": "dlv_1"}, b"body")
    assert (answered.status, answered.excerpt, answered.error, answered.taken) == (202, "thanks", None, True)
    head, _, body = asked[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /hook?key=1 HTTP/1.1"
    assert f"host: receiver.example.org:{port}".encode() in lines
    assert {b"webhook-id: dlv_1", b"content-length: 4", b"connection: close"} <= set(lines)
    assert body == b"body"


# Where it goes


def test_a_name_is_resolved_once_and_what_was_judged_is_connected_to() -> None:
    """A second answer, after the check, changes nothing: nobody asks for one."""
    resolve, asked = resolving(["127.0.0.1"], ["127.0.0.2"])
    with receiver(answering(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        sender = NetworkCourier(HERE, timeout_s=5, resolve=resolve)
        assert sender.post(at(port), {}, b"body").status == 200
    assert asked == ["receiver.example.org"]


def test_an_answer_that_changes_after_the_webhook_was_made_is_judged_anew() -> None:
    resolve, _ = resolving(["93.184.216.34"], ["127.0.0.1"])
    with receiver(answering(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        sender = NetworkCourier(AddressRules(ports=((1, 65535),)), timeout_s=5, resolve=resolve)
        sender.check(at(port))
        answered = sender.post(at(port), {}, b"body")
    assert answered.status is None
    assert "does not send to" in str(answered.error)
    assert "key=1" not in str(answered.error)


@pytest.mark.parametrize(
    "answers", [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["169.254.169.254"]]
)
def test_a_name_that_leads_inside_is_refused_at_both_ends(answers: list[str]) -> None:
    sender = courier(AddressRules(), 5.0, answers)
    with pytest.raises(Invalid):
        sender.check(at(443))
    assert sender.post(at(443), {}, b"body").status is None


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://[::1]/", "http://[::ffff:7f00:1]/", "http://10.0.0.1/"])
def test_an_address_is_judged_without_asking_anybody(url: str) -> None:
    resolve, asked = resolving(["93.184.216.34"])
    sender = NetworkCourier(AddressRules(), timeout_s=5, resolve=resolve)
    with pytest.raises(Invalid):
        sender.check(parse_endpoint(url))
    assert sender.post(parse_endpoint(url), {}, b"").status is None
    assert asked == []


def test_a_port_is_judged_before_anything_is_sent() -> None:
    with receiver(answering(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        rules = AddressRules(networks=HERE.networks)
        assert "port" in str(courier(rules).post(at(port), {}, b"body").error)


def test_a_name_that_cannot_be_resolved_is_taken_when_it_is_given_and_fails_when_it_is_used() -> None:
    sender = courier(AddressRules(), 5.0, [])
    sender.check(at(443))
    assert sender.post(at(443), {}, b"body").error == "receiver.example.org has no address."


def test_a_resolver_that_hangs_is_not_waited_for() -> None:
    ended = threading.Event()

    def resolve(_host: str, _port: int) -> list[IpAddress]:
        ended.wait(60)
        return [LOOPBACK]

    sender = NetworkCourier(HERE, timeout_s=0.05, resolve=resolve)
    assert "not resolved within" in str(sender.post(at(443), {}, b"").error)
    ended.set()


# What comes back


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    asked: list[bytes] = []
    answer = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://169.254.169.254/\r\n\r\n"
    with receiver(answering(answer, asked)) as port:
        answered = courier().post(at(port), {}, b"body")
    assert (answered.status, answered.taken, len(asked)) == (307, False, 1)


def endless(connection: socket.socket) -> None:
    request_of(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def test_a_body_without_end_is_left_where_it_is() -> None:
    with receiver(endless) as port:
        answered = courier().post(at(port), {}, b"body")
    assert (answered.status, answered.excerpt) == (200, "x" * MAX_EXCERPT)


def silent(connection: socket.socket) -> None:
    connection.recv(1 << 20)
    connection.recv(1)


def dripping(connection: socket.socket) -> None:
    """One byte of a head now and then: each alone is in time."""
    connection.recv(1 << 20)
    pause = threading.Event()
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000:
        connection.sendall(bytes([byte]))
        pause.wait(0.02)


@pytest.mark.parametrize("behave", [silent, dripping])
def test_who_does_not_answer_in_time_has_not_answered(behave: Behave) -> None:
    with receiver(behave) as port:
        answered = courier(HERE, 0.15).post(at(port), {}, b"body")
    assert (answered.status, answered.error) == (None, "receiver.example.org did not answer within 0.15 s.")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "did not answer"),
        (b"HTTP/1.1 200", "did not answer"),
        (b"HTTP/1.1 200 OK\r\nX: y", "did not answer"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\n", "longer than"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 9, "never came to its end"),
    ],
)
def test_what_is_no_answer_is_told_as_such(answer: bytes, told: str) -> None:
    with receiver(answering(answer)) as port:
        answered = courier().post(at(port), {}, b"body")
    assert answered.status is None
    assert told in str(answered.error)


def test_nobody_there_is_told(free_port: int) -> None:
    answered = courier().post(at(free_port), {}, b"body")
    assert answered.error == "receiver.example.org did not answer: connection refused."


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("answer", "excerpt"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhi", "hi"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3;x=y\r\n ho\r\n0\r\n\r\n", "hi ho"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz", ""),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n\x00\xff\x1b", "\ufffd\ufffd\ufffd"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhi", "hi"),
    ],
)
def test_an_excerpt_is_text_that_anything_can_hold(answer: bytes, excerpt: str) -> None:
    with receiver(answering(answer)) as port:
        answered = courier().post(at(port), {}, b"body")
    assert (answered.status, answered.excerpt) == (200, excerpt)


# TLS


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate of its own for a name, and its key."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert, private


@pytest.mark.parametrize(("host", "trusted"), [("receiver.example.org", True), ("other.example.org", False)])
def test_the_certificate_is_judged_by_the_name_and_not_by_the_address(tmp_path: Path, host: str, trusted: bool) -> None:
    cert, private = certificate(tmp_path, "receiver.example.org")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(cert, private)
    seen: list[str | None] = []
    serving.sni_callback = lambda _connection, name, _context: seen.append(name)

    def behave(connection: socket.socket) -> None:
        with contextlib.suppress(ssl.SSLError), serving.wrap_socket(connection, server_side=True) as secure:
            answering(b"HTTP/1.1 200 OK\r\n\r\n")(secure)

    with receiver(behave) as port:
        sender = NetworkCourier(
            HERE,
            timeout_s=5,
            resolve=resolving(["127.0.0.1"])[0],
            tls=lambda: ssl.create_default_context(cafile=str(cert)),
        )
        answered = sender.post(Endpoint("https", host, port, "/"), {}, b"body")
    assert seen == [host]
    assert answered.taken == trusted
    assert trusted or "No trusted connection" in str(answered.error)
