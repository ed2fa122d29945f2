"""Which run of the machine this is.

The page cache survives the death of a process and not that of the machine. Whoever records a durable offset records
this beside it; if it is the same later, the file's own size can be trusted, and otherwise only the offset.
"""

from __future__ import annotations

import functools
import uuid
from pathlib import Path

__all__ = ["boot_id"]

_SOURCE = Path("/proc/sys/kernel/random/boot_id")


@functools.cache
def boot_id() -> str:
    """A text that is the same in all processes until the machine restarts, and never again after.

    Where the system offers none it is made up per process. That errs on the safe side: every restart then counts as
    a power cut, and uploads continue from their durable offset.
    """
    return _read(_SOURCE) or f"process-{uuid.uuid4()}"


def _read(source: Path) -> str | None:
    try:
        return source.read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
