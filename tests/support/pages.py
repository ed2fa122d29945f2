"""What the documentation shows, so that tests can run it."""

from __future__ import annotations

import re
from pathlib import Path


def blocks(page: Path) -> list[str]:
    """The indented blocks of a page, in order."""
    found = re.findall(r"(?:^(?: {4}.*|)\n)+", page.read_text(encoding="utf-8"), re.MULTILINE)
    return ["\n".join(line[4:] for line in block.strip("\n").splitlines()) for block in found if block.strip()]
