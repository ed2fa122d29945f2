"""nginx and Caddy with the samples of examples/deploy, on a free port of localhost, and a server behind that says what
it got and answers what it is told.

Nothing of a sample is replaced but names, addresses and places; a sample in which one of them is not found is refused.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.server import PATIENCE_S, free_port, wait_until

__all__ = ["Front", "Upstream", "caddy_version", "certificate", "front"]

_SAMPLES = Path(__file__).resolve().parent.parent.parent / "examples" / "deploy"


@dataclass(frozen=True)
class Front:
    """A proxy that runs.

    Args:
        context: Believes its certificate.
        log: What it wrote about requests.
    """

    kind: str
    port: int
    context: ssl.SSLContext
    folder: Path
    log: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        return self.context.wrap_socket(plain, server_hostname="localhost")


def certificate(folder: Path) -> Path:
    """For localhost, by itself; beside it the key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tls.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "tls.key").write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    return folder / "tls.pem"


@contextlib.contextmanager
def front(kind: str, folder: Path, tls: Path, upstream: str) -> Iterator[Front]:
    """Start `nginx` or `caddy` before `upstream` (an address and a port); skips where it is not installed."""
    binary = shutil.which(kind) or shutil.which(kind, path="/usr/sbin")
    if binary is None:
        pytest.skip(f"{kind} is not installed: apt-get install {'nginx-light' if kind == 'nginx' else kind}")
    folder.mkdir(parents=True)
    port = free_port()
    command, log = (_nginx if kind == "nginx" else _caddy)(binary, folder, port, tls, upstream)
    homes = {f"XDG_{name}_HOME": str(folder) for name in ("CONFIG", "DATA")}
    said = folder / "said"
    with said.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env={**os.environ, **homes}
        )
    try:
        wait_until(lambda: process.poll() is not None or _listens(port), f"{kind} listens")
        assert process.poll() is None, said.read_text()
        yield Front(kind, port, ssl.create_default_context(cafile=str(tls)), folder, log)
    finally:
        process.terminate()
        process.wait()


def caddy_version() -> tuple[int, ...]:
    said = subprocess.run(["caddy", "version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", said)
    assert found, said
    return tuple(int(number) for number in found.groups())


def _nginx(binary: str, folder: Path, port: int, tls: Path, upstream: str) -> tuple[list[str], Path]:
    log = folder / "access.log"
    sample = _sample(
        "nginx.conf",
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("data.example.org;", "localhost;"),
        ("/etc/ssl/data.example.org.pem", str(tls)),
        ("/etc/ssl/data.example.org.key", str(tls.with_suffix(".key"))),
        ("/var/log/nginx/entrepot.log", str(log)),
        ("proxy_pass http://127.0.0.1:8080;", f"proxy_pass http://{upstream};"),
    )
    user = "user root;" if os.geteuid() == 0 else ""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ {temporary}\n{sample}\n}}\n"
    )
    return [binary, "-p", str(folder), "-c", str(folder / "nginx.conf")], log


def _caddy(binary: str, folder: Path, port: int, tls: Path, upstream: str) -> tuple[list[str], Path]:
    # Without a port for administration, without redirects from port 80, and nothing of it in anybody's home.
    told = f"{{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system {folder}"
    sample = _sample(
        "Caddyfile",
        ("reverse_proxy 127.0.0.1:8080 {", f"reverse_proxy {upstream} {{"),
        ("\n{\n", f"\n{told}\n"),
        (
            "\ndata.example.org {\n",
            f"\nhttps://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls {tls} {tls.with_suffix('.key')}\n",
        ),
    )
    (folder / "Caddyfile").write_text(sample)
    return [binary, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"], folder / "said"


def _sample(name: str, *replaced: tuple[str, str]) -> str:
    text = (_SAMPLES / name).read_text()
    for old, new in replaced:
        assert old in text, f"{name} has no {old!r}"
        text = text.replace(old, new, 1)
    return text


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


class Upstream:
    """What is behind the proxy: it takes one connection at a time, and does what the test says."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(PATIENCE_S)
        self.place = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def accept(self) -> Conversation:
        connection, _ = self._socket.accept()
        connection.settimeout(PATIENCE_S)
        return Conversation(connection)

    def close(self) -> None:
        self._socket.close()


class Conversation:
    """One request as it arrives. `line` is its first line, `fields` the rest of its head, with lower-case names."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        head = until(connection, b"\r\n\r\n").decode().split("\r\n")
        self.line = head[0]
        self.fields: dict[str, str] = {}
        for line in head[1:-2]:
            name, _, value = line.partition(":")
            assert name.lower() not in self.fields, f"{name} comes twice"
            self.fields[name.lower()] = value.strip()

    def read(self, size: int) -> bytes:
        return exactly(self._connection, size)

    def say(self, *blocks: bytes) -> None:
        for block in blocks:
            self._connection.sendall(block)

    def close(self) -> None:
        self._connection.close()


def exactly(connection: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        block = connection.recv(size - len(got))
        assert block, f"the connection ended after {len(got)} of {size} bytes"
        got += block
    return bytes(got)


def until(connection: socket.socket, end: bytes) -> bytes:
    """What comes up to and with `end`, and not a byte more."""
    got = bytearray()
    while not got.endswith(end):
        got += exactly(connection, 1)
    return bytes(got)


def request(method: str, address: str, fields: Sequence[tuple[str, str]] = (), host: str = "localhost") -> bytes:
    lines = [f"{method} {address} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join([*lines, "", ""]).encode()
