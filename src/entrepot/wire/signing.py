"""Signed URLs of bytes: a link that carries one narrow right, for clients that have no other credentials.

    /objects/<payload>.<mac>[/<name>]

    payload   base64url of JSON: [1, method, target, issuer, constraints, expires]
    mac       base64url of HMAC-SHA-256 over every other character after "/objects/"
    name      what a person should see in the link; decoration, yet signed

- What is signed is text as it stands on the wire, before any percent-decoding, and the MAC is compared as text too.
  So there is exactly one spelling of a link: another way to write the same bytes is another text and is refused.
- A link narrows the right of whoever asked for it and grants nothing by itself: it names its issuer, and the depot
  asks at use whether that issuer still may.
- Only the standard library, because the client wing may look at links too.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from entrepot.model.errors import BadSignature, Invalid

__all__ = ["PREFIX", "Grant", "sign", "verify"]

PREFIX: Final = "/objects/"

#: Keeps a MAC made for another purpose with the same key from ever passing here.
_DOMAIN: Final = b"entrepot object link 1\0"
_VERSION: Final = 1
#: As long as the digest: shorter keys weaken it.
_MIN_KEY_BYTES: Final = 32
#: Links are some 300 characters; nothing longer than this is worth a MAC.
_MAX_LINK: Final = 8192
_METHODS: Final = frozenset({"GET", "PUT"})


@dataclass(frozen=True, slots=True)
class Grant:
    """What a link allows, until when, and on whose behalf. All mappings hold JSON values only.

    Args:
        method: "GET" or "PUT". A GET link also answers HEAD; nothing else crosses over.
        target: Which bytes or which slot, in the depot's own words.
        issuer: The user, and the token if there was one, whose right is asked again at use.
        expires_at: From this instant on the link is refused. Aware; kept in whole seconds.
        constraints: What the depot should hold the use to, such as a size or a range.
    """

    method: str
    target: Mapping[str, Any]
    issuer: Mapping[str, Any]
    expires_at: datetime
    constraints: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method not in _METHODS:
            raise Invalid(f"A link is made for GET or PUT, not for {self.method!r}.")
        if self.expires_at.tzinfo is None:
            raise Invalid("The end of a link's life needs a time zone.")
        object.__setattr__(self, "expires_at", self.expires_at.astimezone(UTC).replace(microsecond=0))


def sign(key: bytes, grant: Grant, name: str | None = None) -> str:
    """The path of a link: URL-safe ASCII, to be put behind the server's own address as it is.

    Args:
        key: At least 32 bytes, known to every server of the installation.
        name: Shown at the end of the link. Only its last segment is used, and none at all if that is a dot or two:
            clients would fold those away and so break the signature.

    Raises:
        Invalid: The key is too short.
    """
    values = [
        _VERSION,
        grant.method,
        grant.target,
        grant.issuer,
        grant.constraints,
        int(grant.expires_at.timestamp()),
    ]
    payload = _encode(json.dumps(values, separators=(",", ":"), sort_keys=True, allow_nan=False).encode())
    segment = (name or "").rpartition("/")[2]
    # Only unreserved characters stay as they are: everything else clients and proxies like to rewrite.
    tail = "" if segment in ("", ".", "..") else "/" + quote(segment, safe="", errors="replace")
    return f"{PREFIX}{payload}.{_mac(key, payload, tail)}{tail}"


def verify(key: bytes, path: str, method: str, now: datetime) -> Grant:
    """What the link allows, if it is one of ours, unchanged, in time and for this method.

    Args:
        path: The raw path of the request, not percent-decoded, from `/objects/` on. A query belongs to it, with its
            question mark: we sign none, so any is a change.
        method: Of the request; HEAD passes on a GET link.

    Raises:
        BadSignature: Anything else. The message never holds the link.
        Invalid: The key is too short.
    """
    if not path.startswith(PREFIX) or len(path) > _MAX_LINK or not path.isascii():
        raise _changed()
    opaque, slash, name = path.removeprefix(PREFIX).partition("/")
    payload, _, mac = opaque.partition(".")
    if not hmac.compare_digest(_mac(key, payload, slash + name).encode(), mac.encode()):
        raise _changed()
    try:
        version, allowed, target, issuer, constraints, expires = json.loads(_decode(payload))
        grant = Grant(allowed, target, issuer, datetime.fromtimestamp(expires, UTC), constraints)
    except (ValueError, TypeError, OverflowError, OSError, Invalid) as error:
        # Signed with our key, yet not a link as this version writes them.
        raise _changed() from error
    if version != _VERSION:
        raise _changed()
    if method != grant.method and not (method == "HEAD" and grant.method == "GET"):
        raise BadSignature(f"This link is for {grant.method}, not for {method[:20]}. Ask for a link of the right kind.")
    if now >= grant.expires_at:
        raise BadSignature(f"This link was good until {grant.expires_at:%Y-%m-%dT%H:%M:%SZ}. Ask for a new one.")
    return grant


def _changed() -> BadSignature:
    return BadSignature("This link was changed or does not come from this server. Ask for a new one, and use it as is.")


def _mac(key: bytes, payload: str, tail: str) -> str:
    if len(key) < _MIN_KEY_BYTES:
        raise Invalid(f"The key that signs links has {len(key)} bytes; it needs at least {_MIN_KEY_BYTES}.")
    return _encode(hmac.digest(key, _DOMAIN + payload.encode() + tail.encode(), "sha256"))


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
