"""Whom a client of TLS trusts is read from the disk once, and not for every client: that takes a tenth of a second.

Tests make thousands of clients, for servers on loopback without TLS. A context that somebody asks for by name, or with
other authorities than the usual ones, is made as ever.
"""

from __future__ import annotations

import os
import ssl
from functools import cache
from typing import Any

from httpx2 import _config
from httpx2._transports import default

__all__ = ["share"]

_usual = _config.create_ssl_context


@cache
def _shared(_authorities: tuple[str | None, ...]) -> ssl.SSLContext:
    return _usual()


def _create(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    if verify is True and cert is None and trust_env:
        return _shared((os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")))
    return _usual(verify=verify, cert=cert, trust_env=trust_env)


def share() -> None:
    """From now on, for every client of this process."""
    _config.create_ssl_context = default.create_ssl_context = _create
