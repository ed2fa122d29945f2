"""What is known of some bytes: their length and three checksums, and the ways each is written down.

SHA-256 is the identity of content. CRC-32C is what object stores and resumable clients announce. CRC-32 is what a zip
archive needs in front of a member, so that an archive can be sized and served by ranges without reading its members.

    sha256   32 raw bytes inside the program, `sha256:<64 hex>` in every text we write,
             base64 in the HTTP digest fields
    crc32c   an int; base64 of its four bytes, most significant first, in object-store headers
    crc32    an int; only archives see it
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import NamedTuple, Self

from entrepot.model.errors import Invalid

__all__ = [
    "EMPTY",
    "Digests",
    "crc32c_base64",
    "parse_crc32c_base64",
    "parse_sha256",
    "parse_sha256_base64",
    "sha256_base64",
    "sha256_text",
]

_PREFIX = "sha256:"
_CRC_LIMIT = 1 << 32


class _Values(NamedTuple):
    size: int
    sha256: bytes
    crc32c: int
    crc32: int


class Digests(_Values):
    """The length in bytes and the checksums of the same bytes, computed together in one pass.

    A tuple and not a frozen dataclass: small files come by the ten thousand, and those cost five times as much.

    Raises:
        Invalid: A value that no bytes can have: a negative size, a digest of another length, a CRC beyond 32 bits.
    """

    __slots__ = ()

    def __new__(cls, size: int, sha256: bytes, crc32c: int, crc32: int) -> Self:
        # One look where all is well.
        if size >= 0 and len(sha256) == 32 and 0 <= crc32c < _CRC_LIMIT and 0 <= crc32 < _CRC_LIMIT:
            return tuple.__new__(cls, (size, sha256, crc32c, crc32))
        if size < 0:
            raise Invalid(f"A size is zero or more bytes, not {size}.")
        if len(sha256) != 32:
            raise Invalid(f"A SHA-256 has 32 bytes, not {len(sha256)}.")
        name, value = ("CRC-32", crc32) if 0 <= crc32c < _CRC_LIMIT else ("CRC-32C", crc32c)
        raise Invalid(f"A {name} is an unsigned number of 32 bits, not {value}.")

    @property
    def sha256_text(self) -> str:
        """`sha256:<hex>`, lower case: the one form in messages, JSON and files."""
        return sha256_text(self.sha256)

    @property
    def sha256_base64(self) -> str:
        """Standard base64 with padding, as `Repr-Digest: sha-256=:…:` holds it."""
        return sha256_base64(self.sha256)

    @property
    def crc32c_base64(self) -> str:
        """Eight characters: base64 of the four bytes, most significant first, as `x-goog-hash: crc32c=…` holds it."""
        return crc32c_base64(self.crc32c)


EMPTY = Digests(size=0, sha256=hashlib.sha256(b"").digest(), crc32c=0, crc32=0)
"""The digests of no bytes at all."""


def sha256_text(digest: bytes) -> str:
    """`sha256:<hex>` for 32 raw bytes."""
    return _PREFIX + digest.hex()


def parse_sha256(text: str, *, bare: bool = False) -> bytes:
    """The 32 bytes that `sha256:<hex>` names; upper-case hex is understood too.

    Args:
        bare: Also accept the 64 digits without the prefix, for dialects whose clients write them so.

    Raises:
        Invalid: It is something else. The message shows at most the first 80 characters.
    """
    prefixed = text.startswith(_PREFIX)
    digits = text[len(_PREFIX) :] if prefixed else text
    if (prefixed or bare) and len(digits) == 64:
        try:
            found = bytes.fromhex(digits)
        except ValueError:
            found = b""
        # Shorter where white space stood between digits, which the function passes over.
        if len(found) == 32:
            return found
    form = (
        "sha256: and 64 hexadecimal digits" if not bare else "64 hexadecimal digits, with or without sha256: in front"
    )
    raise Invalid(f"{_excerpt(text)} is not a SHA-256. Write {form}.")


def sha256_base64(digest: bytes) -> str:
    """Standard base64 with padding of 32 raw bytes."""
    return base64.b64encode(digest).decode("ascii")


def parse_sha256_base64(text: str) -> bytes:
    """The 32 bytes behind `sha256_base64`.

    Raises:
        Invalid: Not base64, or not of 32 bytes.
    """
    return _parse_base64(text, 32, "SHA-256")


def crc32c_base64(value: int) -> str:
    """Base64 of the four bytes of a CRC-32C, most significant first."""
    return base64.b64encode(value.to_bytes(4, "big")).decode("ascii")


def parse_crc32c_base64(text: str) -> int:
    """The CRC-32C behind `crc32c_base64`.

    Raises:
        Invalid: Not base64, or not of four bytes.
    """
    return int.from_bytes(_parse_base64(text, 4, "CRC-32C"), "big")


def _parse_base64(text: str, length: int, what: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid(f"{_excerpt(text)} is not base64. Write the {what} as standard base64 with padding.") from error
    if len(raw) != length:
        raise Invalid(f"{_excerpt(text)} is base64 of {len(raw)} bytes; a {what} has {length}.")
    return raw


def _excerpt(text: str) -> str:
    shown = text if len(text) <= 80 else text[:80] + "…"
    return repr(shown)
