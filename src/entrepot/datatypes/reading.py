"""How checks read: whatever the bytes are, in bounded memory, until the time is over.

Source       bytes by place, given by whoever has them          Check       what one check reads from and writes into
blocks       the content, what is compressed read through        lines       of text, with a bound
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from entrepot.datatypes import peek
from entrepot.model.data_types import Finding

__all__ = ["BGZF_EOF", "LISTED", "MAX_LINE", "Check", "OutOfTime", "Source", "Stop"]

#: Findings that are kept; all are counted.
LISTED: Final = 100
#: Bytes of a line. What is longer is no text that anybody reads line by line.
MAX_LINE: Final = 32 << 20
#: Characters of what a file says that are repeated in a message.
_SAID: Final = 60
BLOCK: Final = 1 << 20

#: The empty block that ends a BGZF file: SAM/BAM format specification, section 4.1.2.
BGZF_EOF: Final = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


class Source(Protocol):
    """The stored bytes of one content."""

    @property
    def size(self) -> int: ...

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`; fewer only at the end."""
        ...


class Stop(Exception):
    """Nothing more can be made of this file; what is wrong was written down."""


class OutOfTime(Exception):
    """The time for this check is over."""


class Check:
    """One check of one content: where it reads, what it found wrong, what it read out.

    Args:
        until: By `time.monotonic`; reading raises `OutOfTime` afterwards.
    """

    def __init__(self, source: Source, *, until: float = float("inf"), clock: Callable[[], float] = time.monotonic):
        self._source = source
        self._until = until
        self._clock = clock
        self.size = source.size
        self.found = 0
        self.findings: list[Finding] = []
        self.facts: dict[str, Any] = {}
        self.used: list[str] = []
        #: How far the stored bytes were read.
        self.reached = 0
        head = self.read(0, min(self.size, 64))
        self.compression = peek.compression(head)

    # What is wrong

    def wrong(
        self, code: str, message: str, *, line: int | None = None, record: int | None = None, offset: int | None = None
    ) -> None:
        self.found += 1
        if len(self.findings) < LISTED:
            self.findings.append(Finding(code, message, line, record, offset))

    def stop(self, code: str, message: str, **where: int | None) -> Stop:
        """Write it down, and end: `raise check.stop(...)`."""
        self.wrong(code, message, **where)
        return Stop()

    # Reading

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` stored bytes from `offset`.

        Raises:
            OutOfTime
        """
        if self._clock() > self._until:
            raise OutOfTime
        if offset >= self.size or length <= 0:
            return b""
        block = self._source.read_at(offset, min(length, self.size - offset))
        self.reached = max(self.reached, offset + len(block))
        return block

    def exactly(self, offset: int, length: int, what: str) -> bytes:
        """`length` stored bytes.

        Raises:
            Stop: The file ends before; `what` is what was to be there.
        """
        block = self.read(offset, length)
        if len(block) != length:
            raise self.stop("truncated", f"The file ends at byte {self.size}, inside {what}.", offset=self.size)
        return block

    def stored(self, start: int = 0, block: int = BLOCK) -> Iterator[bytes]:
        at = start
        while at < self.size:
            piece = self.read(at, block)
            at += len(piece)
            yield piece

    def blocks(self) -> Iterator[bytes]:
        """The content in blocks, decompressed where it is gzip or BGZF. Damage is written down and ends it."""
        if self.compression is None:
            yield from self.stored()
            return
        yield from self._inflated()
        if self.compression == "bgzf" and self.read(self.size - 28, 28) != BGZF_EOF:
            self.wrong(
                "no_eof_block",
                "The last block is not the empty one that ends a BGZF file. The end of the file is missing.",
                offset=self.size,
            )

    def _inflated(self) -> Iterator[bytes]:
        engine = zlib.decompressobj(wbits=31)
        at = 0
        ended = False
        for piece in self.stored():
            at += len(piece)
            rest = piece
            while rest:
                if ended:
                    if not rest.strip(b"\x00"):
                        break
                    if rest[:1] != b"\x1f":
                        self.wrong(
                            "rubbish",
                            f"Something that is not gzip follows at byte {at - len(rest)}.",
                            offset=at - len(rest),
                        )
                        return
                    engine, ended = zlib.decompressobj(wbits=31), False
                try:
                    out = engine.decompress(rest, BLOCK)
                except zlib.error as error:
                    where = at - len(rest)
                    self.wrong(
                        "damaged_gzip", f"The compressed data is damaged near byte {where}: {error}.", offset=where
                    )
                    return
                if out:
                    yield out
                if engine.eof:
                    rest, ended = engine.unused_data, True
                else:
                    rest = engine.unconsumed_tail
        if not ended:
            self.wrong("truncated", f"The compressed data ends in the middle, at byte {self.size}.", offset=self.size)

    def line_groups(self) -> Iterator[list[bytes]]:
        """The lines without their ends (LF or CR LF), as many at a time as come; the last one may lack its end.

        Raises:
            Stop: A line is longer than `MAX_LINE`.
        """
        begun: list[bytes] = []
        size = 0
        for block in self.blocks():
            end = block.rfind(b"\n")
            if end < 0:
                begun.append(block)
                size += len(block)
                if size > MAX_LINE:
                    raise self.stop("long_line", f"A line is longer than {MAX_LINE} bytes. This is no text.")
                continue
            whole = b"".join((*begun, block[: end + 1]))
            begun, size = [block[end + 1 :]], len(block) - end - 1
            if b"\r" in whole:
                whole = whole.replace(b"\r\n", b"\n")
            lines = whole.split(b"\n")
            lines.pop()
            yield lines
        if rest := b"".join(begun):
            yield [rest.removesuffix(b"\r")]

    def lines(self) -> Iterator[bytes]:
        """The lines one by one, as `line_groups` has them."""
        for group in self.line_groups():
            yield from group

    def whole(self, most: int, what: str) -> bytes:
        """All of a small content.

        Raises:
            Stop: It has more than `most` bytes.
        """
        found = bytearray()
        for block in self.blocks():
            found += block
            if len(found) > most:
                raise self.stop("too_large", f"{what} of more than {most} bytes is not checked.")
        return bytes(found)


def said(data: bytes | str) -> str:
    """What a file says, cut, for a message."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    return repr(text if len(text) <= _SAID else text[:_SAID] + "…")
