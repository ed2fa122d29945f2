"""What can be wrong with a line, and how it is told.

Every bad line is counted; the first ones are told with their number, the place of the fault and a piece of the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

#: Bytes of a bad line that are shown, and how many of them stand before the fault.
_SHOWN, _BEFORE = 120, 40


class Reason(StrEnum):
    """Why a line is refused. The words are part of the report's format."""

    EMPTY = "empty"
    NOT_UTF8 = "not_utf8"
    BYTE_ORDER_MARK = "byte_order_mark"
    NOT_JSON = "not_json"
    NOT_A_NUMBER = "not_a_number"
    NUMBER_OUT_OF_RANGE = "number_out_of_range"
    DUPLICATE_KEY = "duplicate_key"
    LONE_SURROGATE = "lone_surrogate"
    TOO_DEEP = "too_deep"
    TOO_LONG = "too_long"
    NOT_AN_OBJECT = "not_an_object"
    SCHEMA = "schema"
    COMPRESSED = "compressed"
    ENCODING = "encoding"
    ROW = "row"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one line, seen from inside it.

    Args:
        at: The byte of the line where it shows, from 0; None if it is nowhere in particular.
        detail: A clause that goes on after "Line 7": "is not JSON: …".
    """

    reason: Reason
    detail: str
    at: int | None = None


@dataclass(frozen=True, slots=True)
class BadLine:
    """A refused line.

    Args:
        line: Its number, from 1.
        offset: Where it begins in the file, in bytes.
        excerpt: The text around the fault, made readable; never more than a few words.
    """

    line: int
    offset: int
    fault: Fault
    excerpt: str

    def told(self, where: str = "Line {line}") -> str:
        """The sentence that people read."""
        return f"{where.format(line=self.line)} {self.fault.detail}"

    def as_json(self, part: str, where: str = "Line {line}") -> Mapping[str, Any]:
        """One row of the report: `offset` is that of the line in its file, `at` that of the fault in its line."""
        return {
            "part": part,
            "line": self.line,
            "offset": self.offset,
            "at": self.fault.at,
            "reason": self.fault.reason.value,
            "detail": self.told(where),
            "excerpt": self.excerpt,
        }


def excerpt(line: bytes, at: int | None) -> str:
    """A readable piece of the line around byte `at`; what is cut off is shown as `…`."""
    start = max((at or 0) - _BEFORE, 0)
    piece = line[start : start + _SHOWN]
    shown = readable(piece.decode("utf-8", "backslashreplace"))
    return ("…" if start else "") + shown + ("…" if start + _SHOWN < len(line) else "")


def readable(text: str) -> str:
    """Without characters that steer a terminal or that a database refuses (NUL): they stand there as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
