"""The header fields of tus, read strictly: what cannot be read is refused and never guessed at."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from entrepot.depot.putting import ALGORITHMS, Algorithm
from entrepot.dialects.native.routing import PREFIX
from entrepot.model.errors import Malformed

_NUMBER = re.compile(r"[0-9]{1,18}")
_DIGEST_SIZE: Final[Mapping[Algorithm, int]] = {"sha1": 20, "sha256": 32, "crc32c": 4}
#: Anything longer has no place in a header field.
_MAX_FIELD: Final = 16 << 10


@dataclass(frozen=True, slots=True)
class Concatenation:
    """What `Upload-Concat` says. `parts` are the ids of a final upload's parts, or None on a part itself."""

    text: str
    parts: tuple[str, ...] | None


def parse_number(name: str, text: str | None) -> int | None:
    """A non-negative integer.

    Raises:
        Malformed
    """
    if text is None:
        return None
    if _NUMBER.fullmatch(text.strip()) is None:
        raise Malformed(f"{name} is a whole number of bytes, not {text[:40]!r}.")
    return int(text)


def parse_metadata(text: str | None) -> dict[str, bytes]:
    """The pairs of `Upload-Metadata`: keys, and values that travel as base64.

    Raises:
        Malformed: An empty or repeated key, or a value that is not base64.
    """
    found: dict[str, bytes] = {}
    if text is None or not text.strip():
        return found
    if len(text) > _MAX_FIELD:
        raise Malformed(f"Upload-Metadata has {len(text)} characters; {_MAX_FIELD} are allowed.")
    for pair in text.split(","):
        key, _, value = pair.strip().partition(" ")
        if not key or not key.isascii():
            raise Malformed("Upload-Metadata has a pair without a key. Write it as `filename bmFtZQ==,filetype …`.")
        if key in found:
            raise Malformed(f"Upload-Metadata names {key[:40]!r} twice.")
        try:
            found[key] = base64.b64decode(value.strip(), validate=True)
        except (binascii.Error, ValueError) as wrong:
            raise Malformed(f"The value of {key[:40]!r} in Upload-Metadata is not base64.") from wrong
    return found


def text_of(metadata: Mapping[str, bytes], key: str) -> str | None:
    """A value as text; an empty one counts as not given.

    Raises:
        Malformed: It is not UTF-8.
    """
    value = metadata.get(key)
    if not value:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError as wrong:
        raise Malformed(f"The value of {key!r} in Upload-Metadata is not UTF-8.") from wrong


def parse_checksum(text: str | None) -> tuple[Algorithm, bytes] | None:
    """Algorithm and digest of `Upload-Checksum`.

    Raises:
        Malformed: Another algorithm (400, as the protocol says), or no digest of it.
    """
    if text is None:
        return None
    name, _, value = text.strip().partition(" ")
    algorithm = next((one for one in ALGORITHMS if one == name), None)
    if algorithm is None:
        raise Malformed(f"The checksum algorithm {name[:40]!r} is not known here; use one of {', '.join(ALGORITHMS)}.")
    try:
        digest = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _DIGEST_SIZE[algorithm]:
        raise Malformed(f"Upload-Checksum holds no {algorithm}: base64 of {_DIGEST_SIZE[algorithm]} bytes.")
    return algorithm, digest


def parse_concat(text: str | None) -> Concatenation | None:
    """What `Upload-Concat` says.

    Raises:
        Malformed: Neither `partial` nor `final;` with addresses of uploads.
    """
    if text is None:
        return None
    clean = text.strip()
    if clean == "partial":
        return Concatenation(clean, None)
    word, semicolon, urls = clean.partition(";")
    if word != "final" or not semicolon or not urls.split() or len(clean) > _MAX_FIELD:
        raise Malformed("Upload-Concat is `partial`, or `final;` and the addresses of the parts, in their order.")
    return Concatenation(clean, tuple(_part(url) for url in urls.split()))


def _part(url: str) -> str:
    path = unquote(urlsplit(url).path)
    prefix = f"{PREFIX}/uploads/"
    if not path.startswith(prefix):
        raise Malformed(f"Upload-Concat names {path[:80]!r}, which is no upload of this server.")
    return path.removeprefix(prefix)
