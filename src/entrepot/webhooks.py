"""Signing what is sent to a webhook, and checking it where it arrives.

The scheme is that of Standard Webhooks, so that receivers in any language find a library for it:

    webhook-id          names the message; the same in every attempt and every replay, so receivers can drop repeats
    webhook-timestamp   seconds since 1970 of this attempt
    webhook-signature   v1,<base64> of HMAC-SHA-256 over "<id>.<timestamp>.<body>"; several, with spaces between them

    import entrepot
    event = entrepot.webhooks.verify(secret, request.headers, request.body)

A receiver must give the bytes of the body as they came: JSON that was parsed and written again is another text.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any, Final

from entrepot.model.errors import BadSignature, Invalid, Malformed

__all__ = ["ID", "SIGNATURE", "TIMESTAMP", "key_of", "sign", "verify"]

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"

#: A signed request is refused when it is older or newer than this, so that one that was overheard is soon worthless.
TOLERANCE_S: Final = 300.0

_SCHEME: Final = "v1"
_PREFIX: Final = "whsec_"
_LEAST, _MOST = 24, 64


def key_of(secret: str) -> bytes:
    """The key in a secret: base64 of 24 to 64 bytes, with or without `whsec_` before it.

    Raises:
        Invalid: It is none. The message does not repeat it.
    """
    try:
        key = base64.b64decode(secret.strip().removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError, AttributeError):
        key = b""
    if not _LEAST <= len(key) <= _MOST:
        raise Invalid(
            f"The secret of a webhook is base64 of {_LEAST} to {_MOST} bytes; 32 random ones are usual.",
            details={"field": "secret"},
        )
    return key


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """What the signature field holds for one key."""
    mac = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    return f"{_SCHEME},{base64.b64encode(mac).decode()}"


def verify(
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    tolerance_s: float = TOLERANCE_S,
    now: float | None = None,
) -> Any:
    """The JSON of a request that really comes from the server that shares the secret.

    The comparison takes the same time whatever is wrong.

    Args:
        headers: Of the request; names in any case.
        body: The bytes that came, unchanged.
        tolerance_s: How far the sender's clock and the way may be off.
        now: Seconds since 1970; else this machine's clock.

    Raises:
        BadSignature: A header is missing, the signature is of another secret, id, time or body, or the time is over.
        Malformed: The signature is right, the body is no JSON.
        Invalid: The secret is none.
    """
    given = {str(name).lower(): value for name, value in headers.items()}
    message_id, stamp, signatures = (given.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE))
    if not (message_id and signatures and stamp.isascii() and stamp.isdecimal() and len(stamp) <= 12):
        raise BadSignature(f"The request lacks {ID}, {TIMESTAMP} or {SIGNATURE}; it is not one of a webhook.")
    expected = sign(key_of(secret), message_id, int(stamp), body).encode()
    right = False
    for one in signatures.split():
        # All of them, so that the time tells nothing of which it was.
        right |= hmac.compare_digest(one.encode("utf-8", "surrogatepass"), expected)
    if not right:
        raise BadSignature("The signature is not of this secret and this body. Give the body as it came.")
    if abs((time.time() if now is None else now) - int(stamp)) > tolerance_s:
        raise BadSignature(f"It was signed more than {tolerance_s:.0f} s from now. Check the clocks.")
    try:
        return json.loads(body)
    except ValueError as wrong:
        raise Malformed("The body is signed, and is no JSON.") from wrong
