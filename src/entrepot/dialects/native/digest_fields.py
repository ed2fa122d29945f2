"""Digests that a sender announces in its header fields (RFC 9530)."""

from __future__ import annotations

import re

from starlette.types import Scope

from entrepot.http.fields import field
from entrepot.model.digests import parse_sha256_base64
from entrepot.model.errors import Invalid, Malformed, Unsupported

_MEMBER = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)\s*=\s*:([A-Za-z0-9+/=]*):\s*(?:;[^,]*)?\s*(?:,|$)")


def announced_sha256(scope: Scope) -> bytes | None:
    """The SHA-256 that the body is said to have, by `Repr-Digest` or `Content-Digest`; they are the same here.

    Digests of other algorithms are ignored, as the standard asks for.

    Raises:
        Malformed: A field cannot be read, or the two differ.
        Unsupported: The body is encoded, so its digest would not be that of the content.
    """
    encoding = (field(scope, b"content-encoding") or "identity").strip().lower()
    if encoding != "identity":
        raise Unsupported(f"The body is encoded as {encoding[:40]!r}. Send it as it is.")
    found = {digest for name in (b"repr-digest", b"content-digest") if (digest := _read(scope, name)) is not None}
    if len(found) > 1:
        raise Malformed("Repr-Digest and Content-Digest announce different digests.")
    return found.pop() if found else None


def _read(scope: Scope, name: bytes) -> bytes | None:
    text = field(scope, name)
    at, wanted = 0, None
    while text is not None and at < len(text):
        member = _MEMBER.match(text, at)
        if member is None:
            raise Malformed(f"{name.decode().title()} cannot be read. Write it as sha-256=:…:, in base64.")
        if member[1] == "sha-256":
            try:
                wanted = parse_sha256_base64(member[2])
            except Invalid as wrong:
                raise Malformed(f"{name.decode().title()}: {wrong.message}") from wrong
        at = member.end()
    return wanted
