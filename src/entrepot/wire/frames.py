"""Many small files in one body: the frames that they travel in, and the pack that the server keeps them in.

    frame    magic "EnF1", length of the name (2 bytes), size (8), SHA-256 (32), name (UTF-8), CRC-32 of all this (4)
             and then the file's bytes
    batch    frames, one after the other: what a client sends, and what it gets
    pack     the same frames, their headers once more, and at the very end
             length of these headers (8) · their number (4) · CRC-32 of them (4) · magic "EnP1"

Numbers are little-endian. A reader needs nothing but the frames. The headers at the end name the files of a pack, and
where they lie, without its bodies being read, and without the catalogue.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple
from zlib import crc32

from entrepot.model.errors import Malformed, TooLarge

__all__ = [
    "BATCH_BYTES",
    "BATCH_FILES",
    "MEDIA_TYPE",
    "MEMBER_BYTES",
    "Frame",
    "Frames",
    "Member",
    "footer",
    "header",
    "read_footer",
]

MEDIA_TYPE: Final = "application/vnd.entrepot.frames"

#: The largest file that travels in a frame; what is larger goes by itself.
MEMBER_BYTES: Final = 1 << 20
#: The largest batch, with its headers, and the most files in one.
BATCH_BYTES: Final = 64 << 20
BATCH_FILES: Final = 10_000
#: Bytes of a name.
NAME_BYTES: Final = 4096

_MAGIC: Final = b"EnF1"
_END: Final = b"EnP1"
_FIXED: Final = struct.Struct("<4sHQ32s")
_CRC: Final = struct.Struct("<I")
_TAIL: Final = struct.Struct("<QII4s")
#: The CRC-32 of any bytes that end in their own CRC-32, its least significant byte first.
_CRC_WITH_ITSELF: Final = 0x2144DF1C


class Frame(NamedTuple):
    """One file. `body` lies in the reader's buffer: it is to be used before the next block is fed.

    Args:
        offset: Of the first byte of the body in the whole stream.
        head: The header as it came.
        sha256: What the header says; nobody has compared it yet.
    """

    name: str
    sha256: bytes
    offset: int
    head: bytes
    body: memoryview


class Member(NamedTuple):
    """What the end of a pack says of one file in it."""

    name: str
    sha256: bytes
    offset: int
    size: int


def header(name: str, size: int, sha256: bytes) -> bytes:
    """The header of a frame; its body follows it."""
    text = name.encode()
    fixed = _FIXED.pack(_MAGIC, len(text), size, sha256) + text
    return fixed + _CRC.pack(crc32(fixed))


class Frames:
    """Takes a stream apart, block by block. Holds one incomplete frame at most.

    Args:
        most: The largest body that is taken.
    """

    def __init__(self, *, most: int = MEMBER_BYTES) -> None:
        self._most = most
        self._rest = bytearray()
        self._missing = 0
        self._count = 0
        self.whole = 0
        """Bytes up to the end of the last whole frame."""

    def feed(self, block: bytes | bytearray | memoryview) -> tuple[list[Frame], list[memoryview]]:
        """The frames that are whole by now, and the bytes of all of them together as they came, in pieces.

        Only the frame that began in an earlier block is copied, the others are looked at where they are.

        Raises:
            Malformed: A header is no header, or not the one that was sent.
            TooLarge: A body is larger than `most`.
        """
        view = memoryview(block)
        found: list[Frame] = []
        pieces: list[memoryview] = []
        at = 0
        while self._rest:
            part = view[at : at + self._missing]
            self._rest += part
            at += len(part)
            self._missing -= len(part)
            if self._missing:
                return found, pieces
            whole = memoryview(self._rest)
            if self._take(whole, 0, found):
                pieces.append(whole)
                self._rest = bytearray()
            else:
                # Or it could not grow.
                whole.release()
        end = self._take(view, at, found)
        if end > at:
            pieces.append(view[at:end])
        self._rest = bytearray(view[end:])
        return found, pieces

    def _take(self, view: memoryview, at: int, found: list[Frame]) -> int:
        """Add the whole frames that begin at `at`; where the first begins that is not whole.

        `_missing` is then how many bytes have to come before more can be said of that one.
        """
        unpack, fixed, end = _FIXED.unpack_from, _FIXED.size, len(view)
        while True:
            body = at + fixed
            if end < body:
                self._missing = body - end
                return at
            magic, name_length, size, sha256 = unpack(view, at)
            if magic != _MAGIC or name_length > NAME_BYTES:
                raise self._damaged("does not begin with the header of a frame")
            body += name_length + _CRC.size
            if end < body:
                self._missing = body - end
                return at
            head = bytes(view[at:body])
            if crc32(head) != _CRC_WITH_ITSELF:
                raise self._damaged("has a header that changed on the way")
            if size > self._most:
                raise TooLarge(f"File {self._count} of this batch has {size} bytes; a batch takes {self._most} each.")
            stop = body + size
            if end < stop:
                self._missing = stop - end
                return at
            try:
                name = head[fixed : -_CRC.size].decode()
            except UnicodeDecodeError:
                raise self._damaged("has a name that is not UTF-8") from None
            found.append(Frame(name, sha256, self.whole + body - at, head, view[body:stop]))
            self._count += 1
            self.whole += stop - at
            at = stop

    def finish(self) -> None:
        """
        Raises:
            Malformed: The stream ended in the middle of a frame.
        """
        if self._rest:
            raise self._damaged("is not whole: the batch ends in the middle of it")

    def _damaged(self, how: str) -> Malformed:
        return Malformed(
            f"File {self._count} of this batch, at byte {self.whole}, {how}.",
            details={"index": self._count, "offset": self.whole},
        )


def footer(heads: Sequence[bytes]) -> bytes:
    """The end of a pack that begins with the frames of these headers, in this order, and has nothing between them."""
    index = b"".join(heads)
    return index + _TAIL.pack(len(index), len(heads), crc32(index), _END)


def read_footer(read_at: Callable[[int, int], bytes], size: int) -> list[Member] | None:
    """What lies in an object of `size` bytes; None if it is no pack, or its end is damaged."""
    if size < _TAIL.size:
        return None
    length, count, crc, magic = _TAIL.unpack(read_at(size - _TAIL.size, _TAIL.size))
    if magic != _END or length > size - _TAIL.size:
        return None
    index = read_at(size - _TAIL.size - length, length)
    if crc32(index) != crc:
        return None
    found: list[Member] = []
    at = offset = 0
    for _ in range(count):
        _, name_length, body, sha256 = _FIXED.unpack_from(index, at)
        head = _FIXED.size + name_length + _CRC.size
        name = index[at + _FIXED.size : at + _FIXED.size + name_length].decode()
        found.append(Member(name, sha256, offset + head, body))
        at, offset = at + head, offset + head + body
    return found
