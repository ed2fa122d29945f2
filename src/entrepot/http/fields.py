"""Header fields of a request and of an answer, as ASGI carries them: lists of byte pairs, names in lower case."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import Scope

from entrepot.model.errors import Malformed

__all__ = ["content_length", "encode_fields", "field", "prefers_minimal"]


def field(scope: Scope, name: bytes) -> str | None:
    """The value of a request's field, or None. Several lines of one name are one list (RFC 9110 §5.3).

    Args:
        name: In lower case.
    """
    found = [value for key, value in scope["headers"] if key == name]
    if not found:
        return None
    value: bytes = found[0] if len(found) == 1 else b", ".join(found)
    return value.decode("latin-1")


def content_length(scope: Scope) -> int | None:
    """How many bytes the request's body has, or None if it comes in chunks.

    Raises:
        Malformed: Not a number, or several that differ.
    """
    found = {value.strip() for key, value in scope["headers"] if key == b"content-length"}
    if not found:
        return None
    text = found.pop()
    if found or not text.isdigit() or len(text) > 18:
        raise Malformed("Content-Length is not one number of bytes.")
    return int(text)


def prefers_minimal(scope: Scope) -> bool:
    """Whether the client says that it needs no more of the answer than that it is one (RFC 7240 §4.2)."""
    for preference in (field(scope, b"prefer") or "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "return":
            # Of several the first counts.
            return value.strip().strip('"').lower() == "minimal"
    return False


def encode_fields(fields: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Fields of an answer for `http.response.start`.

    Raises:
        Malformed: A value holds a line break or a character outside Latin-1: it would end the head early or be sent
            as something else. Whoever makes values out of names encodes them before.
    """
    encoded = []
    for name, value in fields:
        try:
            raw = value.encode("latin-1")
        except UnicodeEncodeError as error:
            raise Malformed(f"The value of {name} has characters that a header field cannot carry.") from error
        if b"\r" in raw or b"\n" in raw or b"\0" in raw:
            raise Malformed(f"The value of {name} has control characters.")
        encoded.append((name.lower().encode("latin-1"), raw))
    return encoded
