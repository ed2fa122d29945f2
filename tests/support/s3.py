"""Servers of the S3 protocol for tests, in an environment of their own: moto and nanio.

moto refuses a conditional request whose condition does not hold, and believes every signature; nanio checks signatures
and ignores conditions. What passes on both holds where both are done.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from entrepot.store.s3 import S3Address
from tests.support.server import free_port, wait_until

BIN = Path(__file__).resolve().parent.parent.parent / ".env-clients" / "s3" / "bin"
KEY_ID, SECRET, BUCKET = "AKIDOFATESTATHOME", "a secret of a test", "entrepot-test"

_numbers = itertools.count(1)


@dataclass(frozen=True)
class S3Server:
    """A running server with one bucket."""

    kind: str
    endpoint: str
    process: subprocess.Popen[bytes]

    def address(self) -> S3Address:
        """A place in the bucket that nobody has used."""
        return S3Address(
            f"s3://{BUCKET}/place-{next(_numbers)}",
            endpoint=self.endpoint,
            key_id=KEY_ID,
            secret=SECRET,
            timeout=timedelta(seconds=30),
        )

    def wrong_secret(self) -> S3Address:
        return replace(self.address(), secret="not the secret")


@contextlib.contextmanager
def s3_server(kind: str, folder: Path) -> Iterator[S3Server]:
    """One that ends with the block; skips where the environment is missing."""
    if not (BIN / "nanio").exists():
        pytest.skip("the servers of the S3 protocol are not installed: scripts/client-env s3")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    environ = {**os.environ, "NANIO_ACCESS_KEY": KEY_ID, "NANIO_SECRET_KEY": SECRET}
    command = {
        "moto": [str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(port)],
        "nanio": [
            *(str(BIN / "nanio"), "serve", "--host", "127.0.0.1", "--port", str(port), "--no-access-log"),
            *("--data-dir", str(folder)),
        ],
    }[kind]
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "nanio":
        (folder / BUCKET).mkdir()
    with (folder.parent / f"{kind}.log").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=environ)
    try:
        wait_until(lambda: process.poll() is not None or _answers(endpoint), f"{kind} answers")
        assert process.poll() is None, (folder.parent / f"{kind}.log").read_text()
        if kind == "moto":
            # Any signature will do, but there must be one.
            scope = f"Credential={KEY_ID}/20260101/us-east-1/s3/aws4_request"
            made = urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT")
            made.add_header("Authorization", f"AWS4-HMAC-SHA256 {scope}")
            urllib.request.urlopen(made, timeout=30).read()
        yield S3Server(kind, endpoint, process)
    finally:
        process.terminate()
        process.wait()


def _answers(endpoint: str) -> bool:
    try:
        urllib.request.urlopen(endpoint, timeout=5).read()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
