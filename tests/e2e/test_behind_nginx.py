"""The sample for nginx is true: through it, with TLS, large bodies pass unbuffered and links lead back through it."""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from entrepot.client.client import Client
from tests.support.server import NO_WORKER, Server, running_server, wait_until

LARGE = os.urandom(9 << 20)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
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
    (tmp_path / "tls.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (tmp_path / "tls.key").write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    return tmp_path / "tls.pem"


@pytest.fixture
def nginx(tmp_path: Path, root: Path, certificate: Path) -> Iterator[tuple[Server, str, ssl.SSLContext]]:
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        pytest.skip("nginx is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"https://localhost:{port}"
    settings = ("trusted_proxies=127.0.0.1", "doors=native", *NO_WORKER)
    with running_server(tmp_path / "data", settings=settings) as server:
        sample = (root / "examples" / "deploy" / "nginx.conf").read_text()
        # Nothing but what the sample says is to be replaced: names and places.
        for old, new in (
            ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
            ("data.example.org;", "localhost;"),
            ("/etc/ssl/data.example.org.pem", str(certificate)),
            ("/etc/ssl/data.example.org.key", str(certificate.with_suffix(".key"))),
            ("http://127.0.0.1:8080", re.sub(r"localhost|\[::1\]", "127.0.0.1", server.url)),
        ):
            assert old in sample
            sample = sample.replace(old, new)
        folder = tmp_path / "nginx"
        folder.mkdir()
        user = "user root;" if os.geteuid() == 0 else ""
        temporary = " ".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"{user} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
            f"events {{}}\nhttp {{ access_log off; {temporary}\n{sample}\n}}\n"
        )
        process = subprocess.Popen([binary, "-p", str(folder), "-c", str(folder / "nginx.conf")])
        context = ssl.create_default_context(cafile=str(certificate))
        try:

            def answers() -> bool:
                with socket.socket() as asking:
                    return asking.connect_ex(("127.0.0.1", port)) == 0

            wait_until(answers, "nginx listens")
            yield server, url, context
        finally:
            process.terminate()
            process.wait()


def test_everything_goes_through_the_sample_proxy(nginx: tuple[Server, str, ssl.SSLContext], tmp_path: Path) -> None:
    server, url, context = nginx
    token = server.token(scope="write")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "large.bin").write_bytes(LARGE)
    (tmp_path / "tree" / "small.txt").write_bytes(b"small")
    with Client(url, token, transport=httpx2.HTTPTransport(verify=context)) as client:
        client.projects.create("Lab", slug="lab")
        client.data.push(tmp_path / "tree", "lab/data")
        client.data.download("lab/data", tmp_path / "copy")
    assert (tmp_path / "copy" / "large.bin").read_bytes() == LARGE
    # nginx kept nothing of it on its own disk.
    kept = [path for path in (tmp_path / "nginx").rglob("*") if path.is_file() and path.stat().st_size > 1 << 20]
    assert kept == []
    with httpx2.Client(base_url=url, verify=context, headers={"Authorization": f"Bearer {token}"}) as http:
        upload = http.post("/api/v1/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "5"})
        assert upload.headers["location"].startswith((url, "/")), "links lead back through the proxy"
