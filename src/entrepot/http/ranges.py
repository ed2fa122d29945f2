"""Range requests (RFC 9110 §14): what was asked, what is sent, and the frame around several ranges.

HTTP writes the last byte of a range, everything below the doors the byte after it; the two meet only here.

A server may ignore any Range it does not like and send the whole content, so that is the answer to everything odd:
another unit, broken syntax, more ranges than anybody needs. Only a well-formed request for bytes that are not there is
refused (416).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from entrepot.model.ranges import ByteRange

__all__ = ["MAX_RANGES", "Multipart", "Unsatisfiable", "content_range", "frame", "parse_range", "unsatisfied"]

#: Readers of columns and archives ask for a few dozen at most; thousands of tiny ones are an attack.
MAX_RANGES: Final = 64
#: Room for MAX_RANGES of the largest numbers a file system knows.
_MAX_HEADER: Final = 4096

_BYTES = re.compile(r"bytes=(.*)", re.IGNORECASE | re.DOTALL)
_SPEC = re.compile(r"(\d+)-(\d*)|-(\d+)", re.ASCII)


class Unsatisfiable(Exception):
    """None of the ranges has a byte in the content: answer 416. A signal of this floor, not an error of the tree."""


def parse_range(header: str | None, size: int) -> list[ByteRange] | None:
    """The ranges to send, or None for the whole content.

    Disjoint ranges come back in the order asked for. If any two overlap, all are merged and sorted, so that no byte
    is sent twice whatever was asked.

    Args:
        header: The value of Range; only that of a GET counts.
        size: Of the content, in bytes.

    Raises:
        Unsatisfiable: Well formed, but every range starts behind the end.
    """
    match = _BYTES.fullmatch(header or "")
    if match is None or len(match[1]) > _MAX_HEADER:
        return None
    found: list[ByteRange] = []
    asked = 0
    for text in match[1].split(","):
        text = text.strip(" \t")
        if not text:
            continue  # a list may have empty members (§5.6.1.2)
        spec = _SPEC.fullmatch(text)
        asked += 1
        if spec is None or asked > MAX_RANGES:
            return None
        first, last, suffix = spec[1], spec[2], spec[3]
        if suffix is not None:
            start, end = max(0, size - int(suffix)), size
            if int(suffix) and not size:
                # Satisfiable by §14.1.2, but Content-Range has no way to write a range of nothing.
                return None
        else:
            start, end = int(first), int(last) + 1 if last else size
            if last and end <= start:
                return None
            end = min(end, size)
        if start < end:
            found.append(ByteRange(start, end))
    if not asked:
        return None
    if not found:
        raise Unsatisfiable
    return _merged(found)


def _merged(ranges: list[ByteRange]) -> list[ByteRange]:
    merged: list[ByteRange] = []
    for one in sorted(ranges):
        if merged and one.start < merged[-1].end:
            merged[-1] = ByteRange(merged[-1].start, max(merged[-1].end, one.end))
        else:
            merged.append(one)
    return ranges if len(merged) == len(ranges) else merged


def content_range(one: ByteRange, size: int) -> str:
    """The value of Content-Range for one range, which must not be empty."""
    return f"bytes {one.start}-{one.end - 1}/{size}"


def unsatisfied(size: int) -> str:
    """The value of Content-Range that goes with 416."""
    return f"bytes */{size}"


@dataclass(frozen=True, slots=True)
class Multipart:
    """A multipart/byteranges body (§14.6): for each range its head, then its bytes, then the tail.

    Args:
        parts: Head and range of each part, in order.
        tail: What follows the last part.
        length: Of the whole body in bytes, exactly.
    """

    media_type: str
    parts: tuple[tuple[bytes, ByteRange], ...]
    tail: bytes
    length: int


def frame(ranges: Sequence[ByteRange], size: int, media_type: str, boundary: str) -> Multipart:
    """The frame around two ranges or more.

    Args:
        boundary: 1 to 70 letters and digits that the content does not contain: random, because whoever can foresee
            it can store content that looks like the next part.
    """
    parts: list[tuple[bytes, ByteRange]] = []
    for one in ranges:
        lead = "\r\n" if parts else ""
        fields = f"Content-Type: {media_type}\r\nContent-Range: {content_range(one, size)}\r\n\r\n"
        parts.append((f"{lead}--{boundary}\r\n{fields}".encode("latin-1"), one))
    tail = f"\r\n--{boundary}--\r\n".encode()
    length = sum(len(head) + one.length for head, one in parts) + len(tail)
    return Multipart(f"multipart/byteranges; boundary={boundary}", tuple(parts), tail, length)
