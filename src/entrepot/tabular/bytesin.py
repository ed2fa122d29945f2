"""The bytes of a file as they come from the store: whole and checked, unpacked, and as UTF-8.

    spans in objects ──► blocks (CRC-32C compared at the end) ──gzip, zstd──► blocks ──► UTF-8

Nothing holds more than a few blocks. Formats that must be read at any place (Parquet, workbooks) get a file object.
"""

from __future__ import annotations

import codecs
import io
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, cast

import numpy as np
import pyarrow as pa
from crc32c import crc32c

from entrepot.model.errors import Corrupt, Invalid

__all__ = ["Source", "Span", "as_utf8", "unpacked"]

BLOCK: Final = 4 << 20

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a file of the store: bytes [offset, offset + length) of `path`."""

    path: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a table.

    Args:
        crc32c: What the whole should have; None is not compared.
    """

    name: str
    size: int
    spans: tuple[Span, ...]
    crc32c: int | None = None

    @classmethod
    def of(cls, said: dict[str, Any]) -> Source:
        """From what a request of a child process says."""
        return cls(said["name"], said["size"], tuple(Span(*one) for one in said["spans"]), said.get("crc32c"))

    def blocks(self) -> Iterator[bytes]:
        """All bytes in order.

        Raises:
            Corrupt: There are fewer, or they are others than were stored.
        """
        crc, size = 0, 0
        for span in self.spans:
            with Path(span.path).open("rb", buffering=0) as file:
                at = span.offset
                while at < span.offset + span.length:
                    block = os.pread(file.fileno(), min(BLOCK, span.offset + span.length - at), at)
                    if not block:
                        break
                    at += len(block)
                    size += len(block)
                    crc = crc32c(block, crc)
                    yield block
        if size != self.size or (self.crc32c is not None and crc != self.crc32c):
            raise Corrupt(f"The stored bytes of {self.name} are not those that were received. Run `entrepot verify`.")

    def open(self) -> io.BufferedReader:
        """For formats that are read at any place; the whole is compared first."""
        for _ in self.blocks():
            pass
        return io.BufferedReader(_Spans(self), BLOCK)


class _Spans(io.RawIOBase):
    """Spans as one file."""

    def __init__(self, source: Source) -> None:
        self._size = source.size
        self._at = 0
        self._files = [(os.open(one.path, os.O_RDONLY), one) for one in source.spans]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        start = 0
        for fd, span in self._files:
            if start <= self._at < start + span.length:
                inside = self._at - start
                data = os.pread(fd, min(len(buffer), span.length - inside), span.offset + inside)
                buffer[: len(data)] = data
                self._at += len(data)
                return len(data)
            start += span.length
        return 0

    def close(self) -> None:
        if not self.closed:
            for fd, _ in self._files:
                os.close(fd)
        super().close()


def unpacked(name: str, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The blocks, decompressed where they are gzip or Zstandard.

    Raises:
        Invalid: The compressed stream is damaged or ends early.
    """
    head = next(blocks, b"")
    if head.startswith(_GZIP):
        yield from _gunzipped(name, head, blocks)
    elif head.startswith(_ZSTD):
        yield from _unzstd(name, head, blocks)
    else:
        yield head
        yield from blocks


def _gunzipped(name: str, head: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    engine = zlib.decompressobj(31)
    block: bytes | None = head
    try:
        while block is not None:
            while block:
                if engine.eof:
                    if not block.strip(b"\0"):
                        # Padding, which tapes and some archivers leave.
                        break
                    # Several members one after the other are one file.
                    engine = zlib.decompressobj(31)
                piece = engine.decompress(block, BLOCK)
                if piece:
                    yield piece
                block = engine.unconsumed_tail or engine.unused_data
            block = next(blocks, None)
        while tail := engine.decompress(engine.unconsumed_tail, BLOCK):
            yield tail
    except zlib.error as error:
        raise Invalid(f"{name} is damaged: its gzip stream cannot be read ({error}).") from error
    if not engine.eof:
        raise Invalid(f"{name} ends in the middle of its gzip stream. Send it again.")


def _unzstd(name: str, head: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    # Arrow's stream says when the last frame is not whole; others give what there is and no word.
    feed = pa.PythonFile(cast(Any, _Feed(head, blocks)), mode="r")
    try:
        with pa.CompressedInputStream(feed, "zstd") as stream:
            while piece := stream.read(BLOCK):
                yield piece
    except (pa.ArrowException, OSError) as error:
        raise Invalid(f"{name} is damaged: its Zstandard stream cannot be read ({str(error)[:200]}).") from error


class _Feed(io.RawIOBase):
    """Blocks to be read by a decompressor."""

    def __init__(self, head: bytes, blocks: Iterator[bytes]) -> None:
        self._left = head
        self._blocks = blocks

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._left:
            self._left = next(self._blocks, b"")
        if size < 0:
            size = len(self._left)
        piece, self._left = self._left[:size], self._left[size:]
        return piece


class NotUtf8(Exception):
    """The bytes are no UTF-8: they have to be read anew in another encoding, `encoding`."""

    def __init__(self, encoding: str) -> None:
        super().__init__(encoding)
        self.encoding = encoding


#: Bytes that Windows-1252 gives no character.
_NOT_1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")


def encoding_of(head: bytes) -> str | None:
    """What the first bytes say of the encoding; None is UTF-8, for all that can be seen."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    some = head[: 1 << 16]
    if some.count(0) > len(some) // 4:
        # Western text in UTF-16 without a mark: every other byte is zero.
        return "utf-16-le" if some[1::2].count(0) > some[0::2].count(0) else "utf-16-be"
    return None


def as_utf8(name: str, blocks: Iterator[bytes], encoding: str | None) -> Iterator[bytes]:
    """The blocks as UTF-8 without a byte order mark, whatever they were.

    A block may end in the middle of a character.

    Raises:
        NotUtf8: No encoding was given, and it is not UTF-8; read it again as what this says.
        Invalid: It is not of the encoding that was given, or no text.
    """
    if encoding is not None and encoding.lower().replace("_", "-") not in ("utf-8", "utf8", "utf-8-sig"):
        yield from _recoded(name, blocks, encoding)
        return
    checker = _Checker()
    first = True
    for block in _with_head(blocks):
        if first:
            first = False
            if encoding is None and (found := encoding_of(block)) is not None:
                raise NotUtf8(found)
            block = block.removeprefix(codecs.BOM_UTF8)
        if b"\0" in block:
            raise Invalid(f"{name} is no text: it has zero bytes in it.")
        if (fault := checker.fault(block)) is not None:
            _not_utf8(name, encoding, checker, block, fault)
        if block:
            yield block
    if checker.rest:
        _not_utf8(name, encoding, checker, b"", f"it ends in the middle of a character, {checker.rest!r}")


def _with_head(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same; the first is long enough to see a byte order mark, however short the pieces of its compression."""
    head = b""
    for block in blocks:
        head += block
        if len(head) >= 4:
            break
    yield head
    yield from blocks


class _Checker:
    """Whether blocks that may end anywhere are UTF-8, seen without making texts of them."""

    def __init__(self) -> None:
        #: The beginning of a character, whose end comes with the next block.
        self.rest = b""
        #: There were characters of several bytes, every one right.
        self.some = False

    def fault(self, block: bytes) -> str | None:
        """What is wrong with the next block, if anything is."""
        if not self.rest and block.isascii():
            return None
        begin = 0
        if self.rest:
            wanted = _LENGTHS[self.rest[0] >> 4] - len(self.rest)
            character = self.rest + block[:wanted]
            if len(block) < wanted:
                self.rest = character
                return _fault_of(character, partly=True)
            if (fault := _fault_of(character)) is not None:
                return fault
            self.rest, self.some, begin = b"", True, wanted
        end = len(block) - _begun(block[max(begin, len(block) - 3) :])
        text = pa.py_buffer(block).slice(begin, end - begin)
        try:
            pa.Array.from_buffers(pa.large_string(), 1, [None, _ends(end - begin), text]).validate(full=True)
        except pa.ArrowInvalid:
            return _fault_of(block[begin:end]) or "it cannot be decoded"
        self.rest = block[end:]
        self.some = self.some or not (block[:end] if self.rest else block).isascii()
        return None


#: Bytes of a character, by the upper half of its first.
_LENGTHS: Final = (1,) * 8 + (2,) * 6 + (3, 4)


def _ends(size: int) -> pa.Buffer:
    return pa.py_buffer(np.array([0, size], np.int64))


def _begun(tail: bytes) -> int:
    """How many of the last bytes begin a character that they do not end."""
    for back in range(1, len(tail) + 1):
        byte = tail[-back]
        if byte >= 0xC0:
            return back if back < _LENGTHS[byte >> 4] else 0
        if byte < 0x80:
            return 0
    return 0


def _fault_of(some: bytes, *, partly: bool = False) -> str | None:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(some, final=not partly)
    except UnicodeDecodeError as error:
        return str(error)
    return None


def _not_utf8(name: str, encoding: str | None, checker: _Checker, block: bytes, fault: str) -> NoReturn:
    if encoding is not None:
        raise Invalid(f"{name} is not UTF-8, although that is what was said. Name its encoding, or leave it out.")
    seen = (checker.rest + block).decode("utf-8", "replace")
    wrong = seen.count("\ufffd")
    if checker.some or len(seen) - sum(map(str.isascii, seen)) - wrong >= wrong:
        # Read as anything else, every good letter beyond ASCII would become two others.
        raise Invalid(f"{name} is UTF-8, but not everywhere ({fault}). Mend it, or name its encoding.")
    some = set(checker.rest + block)
    if some & _NOT_1252 or any(byte < 9 for byte in some):
        raise Invalid(f"{name} is no text in UTF-8 or a Western encoding ({fault}). Name its encoding.")
    # ISO 8859-1 is read so, too: they differ in bytes that are no letters there, and what comes later may have some.
    raise NotUtf8("windows-1252")


def _recoded(name: str, blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
        # Some of them pack bytes into bytes.
        known = isinstance(decoder.decode(b"", True), str)
        decoder.reset()
    except (LookupError, ValueError, TypeError):
        known = False
    if not known:
        raise Invalid(f"There is no encoding {encoding[:60]!r}. Try utf-8, windows-1252 or utf-16.")
    start = True

    def text(block: bytes, final: bool = False) -> bytes:
        nonlocal start
        try:
            found = decoder.decode(block, final)
        except UnicodeError as error:
            raise Invalid(f"{name} is not {encoding}: {error}. Name another encoding.") from None
        if start and found:
            start = False
            found = found.removeprefix("\ufeff")
        if "\0" in found:
            raise Invalid(f"{name} is no text: it has zero bytes in it.")
        return found.encode()

    for block in blocks:
        if piece := text(block):
            yield piece
    if piece := text(b"", True):
        yield piece
