"""Full-text search."""

from __future__ import annotations

from pydantic import Field

from entrepot.wire.messages.base import Answer
from entrepot.wire.messages.versions import Version


class SearchRow(Answer):
    version: Version
    score: float = Field(description="Comparable within one answer only; larger is better.")


class SearchPage(Answer):
    rows: list[SearchRow]
    next: str | None = None
