"""Tags as one text with commas between them, as some doors write them, beside the list that the product keeps.

The text is kept as it was sent and shown while it still means the tags: edited elsewhere, the list wins. What it meant
is kept with it, so that a database can tell whether that is still so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["MEANT", "TEXT", "joined", "kept", "shown", "split"]

#: The properties of a version that hold the text, and the list that it meant.
TEXT: Final = "ufdl.tags"
MEANT: Final = "ufdl.tagged"
SEPARATOR: Final = ", "


def split(text: str) -> tuple[str, ...]:
    """The tags in a text: cut at commas, trimmed, without empty ones and repeats."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def joined(tags: Sequence[str]) -> str:
    return SEPARATOR.join(tags)


def kept(text: str, tags: Sequence[str]) -> dict[str, Any]:
    """The properties to keep beside the tags; none where the text is what the tags are shown as anyway."""
    return {TEXT: None, MEANT: None} if text == joined(tags) else {TEXT: text, MEANT: list(tags)}


def shown(tags: Sequence[str], properties: Mapping[str, Any]) -> str:
    """The text of a version's tags."""
    text = properties.get(TEXT)
    return text if isinstance(text, str) and properties.get(MEANT) == list(tags) else joined(tags)
