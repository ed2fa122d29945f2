"""Stretches of bytes, start inclusive and end exclusive, everywhere below the doors.

HTTP writes inclusive ends; that form is read and written at the HTTP floor and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

from entrepot.model.errors import Invalid

__all__ = ["ByteRange"]


@dataclass(frozen=True, slots=True, order=True)
class ByteRange:
    """The bytes `start` up to but not including `end`. May be empty: content of no bytes has the range 0 to 0.

    Raises:
        Invalid: A negative start, or an end before the start.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.start < 0 or self.end < self.start:
            raise Invalid(f"Bytes {self.start} to {self.end} are no range: 0 <= start <= end must hold.")

    @property
    def length(self) -> int:
        """How many bytes it covers."""
        return self.end - self.start
