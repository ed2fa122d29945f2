"""Records: the items of a version, and what can be learned of them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from entrepot.wire.messages.base import Answer, Json
from entrepot.wire.messages.versions import Version


class Item(Answer):
    """One line."""

    n: int = Field(description="Its number in the revision, from 0.")
    item: Json


class ItemPage(Answer):
    """Items of one revision, each as it was sent."""

    version: str
    revision: int
    total: int = Field(description="Items of the revision.")
    rows: list[Item]
    next: int | None = Field(default=None, description="The number to go on from; null at the end.")


class KeyStatistics(Answer):
    """What stands at one path of the items."""

    path: str
    items: int = Field(description="Items that have it.")
    types: dict[str, int] = Field(description="Values by type, in the words of JSON Schema.")
    min: float | None
    max: float | None
    longest: int | None = Field(description="Characters of the longest text, members of the longest list.")
    examples: list[str]


class Statistics(Answer):
    """Keys and types of the items of a revision."""

    version: str
    revision: int
    total: int
    looked_at: int = Field(description="Items that were looked at: all of them, or a sample.")
    keys: list[KeyStatistics]
    more_keys: bool = Field(description="There are more different keys than are told.")


class ItemDifference(Answer):
    """One key on which two revisions differ, and the number of the item in either."""

    change: Literal["added", "removed", "changed"]
    key: Any
    before: int | None
    after: int | None


class ItemDiff(Answer):
    """What differs between two revisions; the counts are exact, of the differences the first ones are told."""

    added: int
    removed: int
    changed: int
    rows: list[ItemDifference]


class BadLine(Answer):
    """A line that was refused."""

    part: str = Field(description="The file.")
    line: int = Field(description="From 1.")
    offset: int = Field(description="Where the line begins in the file, in bytes.")
    at: int | None = Field(description="Where the fault is in the line, in bytes.")
    reason: str
    detail: str
    excerpt: str


class Rejects(Answer):
    """Why the newest check refused its lines; no bad lines when it did not."""

    version: str
    message: str
    items: int
    bad_lines: int = Field(description="All of them; of these the first are told.")
    errors: list[BadLine]


class RecordsPage(Answer):
    """Versions of records, newest first, with the ways to both sides."""

    rows: list[Version]
    next: str | None = None
    previous: str | None = None
