"""Where each line of a good file is: item n, or a page of items, in two reads whatever n is.

    group 0 │ group 1 │ … │ footer

    group   where its first line begins (8 bytes), then the length of each of up to 64 lines (4 bytes each), without
            its newline; only the last group may have fewer
    footer  magic "ERECIX01", items (8), size of the file that it is of (8), CRC-32 of everything before it (4) and of
            the footer so far (4)

All numbers are little-endian. An index is made from the file alone and can be made again at any time. Whoever reads by
it looks whether newlines stand where it says, so that one of another file cannot pass for it.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from entrepot.model.errors import Corrupt

if TYPE_CHECKING:
    from entrepot.records.group import Lengths

GROUP: Final = 64
_START: Final = struct.Struct("<Q")
_WIDE: Final = _START.size + 4 * GROUP
_FOOTER: Final = struct.Struct("<8sQQI")
_FOOTER_SIZE: Final = _FOOTER.size + 4
_MAGIC: Final = b"ERECIX01"

ReadAt = Callable[[int, int], bytes]


class IndexWriter:
    """Collects where lines are; `drain` gives the bytes that are ready, `finish` the rest."""

    def __init__(self) -> None:
        #: Of the lines since then, and how many these are.
        self._lengths: list[Lengths] = []
        self._waiting = 0
        #: Where the first line begins that was not given out yet, and where the next one must.
        self._first = 0
        self._next = 0
        self._items = 0
        self._crc = 0

    def add(self, offset: int, lengths: Lengths) -> None:
        """Good lines that stand one behind the other from `offset`: their bytes, without newlines."""
        if offset != self._next:
            raise ValueError(f"a line at {offset} where one at {self._next} was expected")
        self._lengths.append(lengths)
        self._waiting += len(lengths)
        self._items += len(lengths)
        self._next = offset + int(lengths.sum(dtype="u8")) + len(lengths)

    def drain(self) -> bytes:
        """Whole groups."""
        return self._cut(self._waiting // GROUP * GROUP)

    def finish(self, size: int) -> bytes:
        """The last group and the footer.

        Args:
            size: Of the file, in bytes.
        """
        rest = self._cut(self._waiting)
        footer = _FOOTER.pack(_MAGIC, self._items, size, self._crc)
        return rest + footer + zlib.crc32(footer).to_bytes(4, "little")

    def _cut(self, n: int) -> bytes:
        if not n:
            return b""
        # Who answers looks lines up and never writes an index: it does without this library.
        import numpy as np

        waiting = np.concatenate(self._lengths)
        lengths, rest = waiting[:n], waiting[n:]
        self._lengths, self._waiting = [rest], len(rest)
        #: Where each of these lines begins, and the one behind them.
        begins = np.empty(n + 1, np.uint64)
        begins[0] = self._first
        np.cumsum(lengths + np.uint64(1), out=begins[1:])
        begins[1:] += np.uint64(self._first)
        whole = n // GROUP
        groups = np.empty(whole, [("start", "<u8"), ("lengths", "<u4", (GROUP,))])
        groups["start"] = begins[:n:GROUP][:whole]
        groups["lengths"] = lengths[: whole * GROUP].reshape(-1, GROUP)
        made = groups.tobytes()
        if whole * GROUP < n:
            made += _START.pack(int(begins[whole * GROUP])) + lengths[whole * GROUP :].astype("<u4").tobytes()
        self._first = int(begins[n])
        self._crc = zlib.crc32(made, self._crc)
        return made


@dataclass(frozen=True, slots=True)
class Span:
    """A line: where it begins and its bytes, without the newline."""

    offset: int
    length: int


class Index:
    """An index to look lines up in."""

    def __init__(self, read_at: ReadAt, size: int) -> None:
        """Read the footer.

        Raises:
            Corrupt: These bytes are no index.
        """
        self._read_at = read_at
        foot = read_at(size - _FOOTER_SIZE, _FOOTER_SIZE) if size >= _FOOTER_SIZE else b""
        if len(foot) != _FOOTER_SIZE or zlib.crc32(foot[:-4]).to_bytes(4, "little") != foot[-4:]:
            raise Corrupt("These bytes are not an index of lines.")
        magic, self.items, self.size, self._crc = _FOOTER.unpack(foot[:-4])
        groups, rest = divmod(self.items, GROUP)
        self._body = groups * _WIDE + (_START.size + 4 * rest if rest else 0)
        if magic != _MAGIC or self._body + _FOOTER_SIZE != size:
            raise Corrupt("These bytes are not an index of lines, or one of another kind.")

    def spans(self, first: int, count: int) -> list[Span]:
        """Where up to `count` items from `first` are, in one read of the index."""
        end = min(first + count, self.items)
        if first < 0 or first >= end:
            return []
        group = first // GROUP
        begin = group * _WIDE
        data = self._read_at(begin, min(((end - 1) // GROUP + 1) * _WIDE, self._body) - begin)
        found: list[Span] = []
        for at in range(0, len(data), _WIDE):
            (start,) = _START.unpack_from(data, at)
            lengths = array("I", data[at + _START.size : at + _WIDE])
            if sys.byteorder == "big":
                lengths.byteswap()
            for length in lengths:
                found.append(Span(start, length))
                start += length + 1
        skip = first - group * GROUP
        return found[skip : skip + end - first]

    def verify(self, blocks: Iterable[bytes]) -> bool:
        """Whether its own bytes are what was written; `blocks` are all of them in order."""
        crc, left = 0, self._body
        for block in blocks:
            crc = zlib.crc32(block[:left], crc)
            left -= min(left, len(block))
        return left == 0 and crc == int(self._crc)


def take(read_at: ReadAt, size: int, spans: Sequence[Span]) -> list[bytes]:
    """The lines at these places, which stand one behind the other, in one read of the file.

    Raises:
        Corrupt: There are no line ends around them: the index is not this file's.
    """
    if not spans:
        return []
    begin, end = spans[0].offset, spans[-1].offset + spans[-1].length
    before = 1 if begin else 0
    after = 1 if end < size else 0
    block = read_at(begin - before, before + end - begin + after) if end <= size else b""
    sound = (
        len(block) == before + end - begin + after
        and (not before or block[:1] == b"\n")
        and (not after or block[-1:] == b"\n")
    )
    base = begin - before
    lines = [block[span.offset - base : span.offset - base + span.length] for span in spans]
    if not sound or any(b"\n" in line for line in lines):
        raise Corrupt("The index of lines is not that of this file. Make it again with `entrepot records reindex`.")
    return lines
