"""Full-text search."""

from __future__ import annotations

from pydantic import Field

from entrepot.wire.messages.base import Answer
from entrepot.wire.messages.versions import Version


class SearchRow(Answer):
    version: Version
    snippet: str | None = Field(default=None, description="Where the words were found.")


class SearchPage(Answer):
    rows: list[SearchRow]
    next: str | None = None
