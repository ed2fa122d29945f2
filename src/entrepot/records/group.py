"""A few lines of text, and what is counted in their bytes all at once.

The library that counts is loaded by whoever checks lines, and not by who only reads them: this module is imported where
it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: Bytes of lines, one behind the other.
Lengths: TypeAlias = NDArray[np.uint32]
_Bytes: TypeAlias = NDArray[np.uint8]
_Marks: TypeAlias = NDArray[np.bool_]

_NEWLINE, _RETURN, _SPACE, _QUOTE, _COLON, _BACKSLASH = b'\n\r ":\\'
_OPENS, _CLOSES, _OPENS_LIST = b"{}["
_BLANKS: Final = b" \t\r"


@dataclass(frozen=True)
class Lines:
    """One line or more, whole ones.

    Args:
        text: With newlines between them; the last one need not end with one.
        lengths: Of each line, without its newline.
    """

    text: bytes
    lengths: Lengths

    @classmethod
    def of(cls, text: bytes) -> Self:
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == _NEWLINE)
        if not text.endswith(b"\n"):
            ends = np.append(ends, len(text))
        lengths = np.empty(len(ends), np.uint32)
        lengths[0] = ends[0]
        np.subtract(ends[1:], ends[:-1] + 1, out=lengths[1:], casting="unsafe")
        return cls(text, lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def longest(self) -> int:
        return int(self.lengths.max())

    @cached_property
    def _bytes(self) -> _Bytes:
        return np.frombuffer(self.text, np.uint8)

    @cached_property
    def _colons(self) -> _Marks:
        marks: _Marks = self._bytes == _COLON
        return marks

    def each(self) -> list[bytes]:
        """The lines without their newlines."""
        lines = self.text.split(b"\n")
        return lines if lines[-1] else lines[:-1]

    def stand_alone(self) -> bool:
        """Whether every line but the last one ends with a bracket that closes an object, and the next one begins with
        one that opens an object.
        """
        # No object is shorter; what is looked at below stands in the line itself.
        if self.lengths.min() < len(b"{}"):
            return False
        found = self._bytes
        ends = np.cumsum(self.lengths[:-1], dtype=np.int64) + np.arange(len(self) - 1)
        if (found[ends + 1] != _OPENS).any():
            return False
        last = found[ends - 1]
        if (last == _CLOSES).all():
            return True
        return bool((np.where(last == _RETURN, found[ends - 2], last) == _CLOSES).all())

    def colons(self) -> int:
        return int(np.count_nonzero(self._colons))

    def brackets(self) -> int:
        """How many brackets open something, in texts or outside of them."""
        return int(np.count_nonzero(self._bytes == _OPENS) + np.count_nonzero(self._bytes == _OPENS_LIST))

    def keys_written(self) -> int:
        """How many keys stand in these lines, or more: what looks like one inside a text may count too."""
        text = self.text
        # A space is common in texts but not before a colon; other blanks are rare, but for lines that end with CRLF.
        if b"\t" in text or b"\r" in text or _follow(self._bytes == _SPACE, self._colons).any():
            return _keys(np.frombuffer(text.translate(None, _BLANKS), np.uint8))
        return _keys(self._bytes, self._colons)


def _keys(found: _Bytes, colons: _Marks | None = None) -> int:
    ends = _follow(found == _QUOTE, found == _COLON if colons is None else colons)
    count = int(np.count_nonzero(ends))
    escapes = found == _BACKSLASH
    if escapes.any():
        # A quote that is escaped ends nothing, but for one behind a backslash that is escaped itself.
        count -= int(np.count_nonzero(_follow(escapes, ends)))
        count += int(np.count_nonzero(_follow(_follow(escapes, escapes), ends[1:])))
    return count


def _follow(one: _Marks, other: _Marks) -> _Marks:
    """Where a byte of one sort is followed by one of another."""
    n = min(len(one), len(other) - 1) if len(other) else 0
    return one[:n] & other[1 : n + 1]
