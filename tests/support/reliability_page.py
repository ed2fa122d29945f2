"""Writes what a run has counted into its part of docs/reliability.md, and leaves the other parts alone."""

from __future__ import annotations

from pathlib import Path

__all__ = ["replace_part"]

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "reliability.md"


def replace_part(heading: str, body: str) -> None:
    """Put `body`, which begins with this heading of the second level, in the place of the part that has it now."""
    text = PAGE.read_text(encoding="utf-8")
    before, found, rest = text.partition(f"\n## {heading}\n")
    _, following, after = rest.partition("\n## ") if found else ("", "", "")
    PAGE.write_text(f"{before.rstrip()}\n\n{body.rstrip()}\n{following}{after}", encoding="utf-8")
