"""What is wrong with rows that were refused, and with stored tables that changed where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["DAMAGED", "EXCERPT", "BadCell", "Reject", "Rejects", "is_damage"]

#: Characters of a value that are told.
EXCERPT: Final = 80
#: Bytes of the file of rejects; what comes after is counted only.
_FILE_BYTES: Final = 32 << 20


DAMAGED: Final = (
    "The stored bytes of this table are damaged, so its rows are not given. Run `entrepot verify`, then restore them "
    "from a backup, or send the files of the table again."
)


def is_damage(error: BaseException) -> bool:
    """Whether a library stumbled over a page that is not what was written. Only its words tell."""
    return "could not verify page integrity" in str(error)


class BadCell(Exception):
    """A text that is no value of its column's type.

    Args:
        rule: A short name that programs can compare.
        why: A clause that goes on after the value: "is no whole number".
    """

    def __init__(self, rule: str, why: str) -> None:
        super().__init__(rule, why)
        self.rule = rule
        self.why = why


@dataclass(frozen=True, slots=True)
class Reject:
    """One bad row, or one bad cell of it.

    Args:
        part: The file.
        row: Of the file, from 1; the header does not count.
        column: None when the row as a whole is bad.
        rule: What it breaks.
        detail: A sentence for people.
        excerpt: The beginning of what stands there.
    """

    part: str
    row: int
    column: str | None
    rule: str
    detail: str
    excerpt: str

    def as_json(self) -> dict[str, Any]:
        return {
            "part": self.part,
            "row": self.row,
            "column": self.column,
            "rule": self.rule,
            "detail": self.detail,
            "excerpt": self.excerpt,
        }


@dataclass(slots=True)
class Rejects:
    """All bad rows of a run: counted exactly, told up to a bound.

    Args:
        most: How many are told at all.
    """

    most: int = 100_000
    rows: int = 0
    faults: int = 0
    told: list[Reject] = field(default_factory=list)
    by_rule: dict[str, int] = field(default_factory=dict)
    _size: int = 0

    def add(self, reject: Reject) -> None:
        self.faults += 1
        self.by_rule[reject.rule] = self.by_rule.get(reject.rule, 0) + 1
        if len(self.told) < self.most and self._size < _FILE_BYTES:
            self.told.append(reject)
            self._size += 160 + len(reject.excerpt) + len(reject.detail)

    def as_json(self, listed: int) -> Mapping[str, Any]:
        return {
            "rejected_rows": self.rows,
            "faults": self.faults,
            "by_rule": dict(sorted(self.by_rule.items())),
            "listed": min(listed, len(self.told)),
            "errors": [one.as_json() for one in self.told[:listed]],
        }


def excerpt(value: object) -> str:
    """The beginning of a value, as text that any terminal and database can hold."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: EXCERPT + 1])
    return text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…"
