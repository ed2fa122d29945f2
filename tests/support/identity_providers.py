"""Providers of identities: one that is real, in an environment of its own, and one that says what a test wants.

The real one knows nothing of attacks; what a hostile or broken one may send is made here, with a key of the test's own.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.support.server import free_port, wait_until

BIN = Path(__file__).resolve().parent.parent.parent / ".env-clients" / "oidc" / "bin" / "oidc-provider-mock"


@contextlib.contextmanager
def real_provider(folder: Path, *people: dict[str, Any]) -> Iterator[str]:
    """The issuer of one that runs until the block ends; skips where the environment is missing."""
    if not BIN.exists():
        pytest.skip("the provider of OpenID Connect is not installed: scripts/client-env oidc")
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    command = [str(BIN), "--port", str(port), "--require-nonce", "true"]
    for one in people:
        command += ["--user-claims", json.dumps(one)]
    with (folder / "provider.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1"}
        )
        try:
            wait_until(lambda: _answers(issuer), "the provider answers")
            yield issuer
        finally:
            process.terminate()
            process.wait(20)


def _answers(issuer: str) -> bool:
    try:
        return httpx2.get(f"{issuer}/.well-known/openid-configuration").status_code == 200
    except httpx2.HTTPError:
        return False


def agree(url: str, subject: str) -> str:
    """What somebody does at the real provider: they say who they are; where that leads them."""
    answer = httpx2.post(url, data={"sub": subject}, follow_redirects=False)
    assert answer.status_code == 302, answer.text
    return str(answer.headers["location"])


@dataclass
class Liar:
    """A provider that answers with whatever claims it is given, signed with the key that it is given."""

    issuer: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}))
    claims: dict[str, Any] = field(default_factory=dict)
    #: What the token is made with; None is `key` with RS256.
    forge: tuple[str, Any] | None = None
    asked: list[str] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def agree(self, url: str) -> dict[str, str]:
        """The parameters of the way back, after somebody agreed."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        code = f"code-{len(self._codes)}"
        self._codes[code] = query
        return {"code": code, "state": query["state"]}

    def token(self, query: dict[str, str]) -> str:
        now = int(datetime.now(UTC).timestamp())
        claims = {
            "iss": self.issuer,
            "aud": query["client_id"],
            "sub": "subject-1",
            "iat": now,
            "exp": now + 300,
            "nonce": query["nonce"],
            "preferred_username": "liese",
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.forge is None:
            return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)
        algorithm, key = self.forge
        if not isinstance(key, RSAKey):
            signed = ".".join(_coded(json.dumps(one).encode()) for one in ({"alg": algorithm, "kid": "one"}, claims))
            # As if everybody's knowledge of the public key were a secret.
            known = hmac.digest(self.key.as_pem(private=False), signed.encode(), "sha256")
            return f"{signed}.{'' if algorithm == 'none' else _coded(known)}"
        return jwt.encode({"alg": algorithm, "kid": "one"}, claims, key, algorithms=[algorithm])

    def answer(self, path: str, body: str) -> tuple[int, dict[str, Any]]:
        self.asked.append(path)
        if path.endswith("/.well-known/openid-configuration"):
            return 200, {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
            }
        if path == "/jwks":
            return 200, {"keys": [self.key.as_dict(private=False)]}
        form = {name: values[0] for name, values in parse_qs(body).items()}
        query = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if query is None or _coded(digest) != query["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        return 200, {"id_token": self.token(query), "access_token": "x", "token_type": "Bearer"}


def _coded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


@contextlib.contextmanager
def lying_provider() -> Iterator[Liar]:
    liar = Liar()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            status, said = liar.answer(self.path, body)
            told = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_POST = _do

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    liar.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield liar
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
