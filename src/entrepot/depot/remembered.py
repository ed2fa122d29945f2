"""What the files of batches were taken for as they came, so that their commit need not read their beginnings again.

In the memory of the process that received them, and bounded: what is not remembered any more, or came to another
process, is read. Only whoever sent a batch is told, for what a commit takes by a batch must be theirs anyway; so nobody
learns from it, not even by the time that it saves, what others have.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final, TypeAlias
from uuid import UUID

__all__ = ["Remembered", "Types", "last_part"]

#: By the SHA-256 and the last part of the path, which is all of a path that a type depends on; None is no known type.
Types: TypeAlias = Mapping[tuple[bytes, str], str | None]

#: What one file takes in memory at most beside its name, and what a character of that does.
_EACH: Final = 350
_LETTER: Final = 4


def last_part(path: str) -> str:
    return path.rpartition("/")[2]


class Remembered:
    """Types by batch and owner, the latest batches. Safe to share between threads.

    Args:
        most: Bytes of memory, about.
    """

    def __init__(self, most: int = 8 << 20) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: dict[UUID, tuple[int, int | None, Types]] = {}
        self._size = 0

    def keep(self, upload: UUID, owner: int | None, types: Types) -> None:
        size = sum(_EACH + _LETTER * len(name) for _, name in types)
        if size > self._most:
            return
        with self._lock:
            self._size += size - self._kept.pop(upload, (0, None, {}))[0]
            self._kept[upload] = size, owner, types
            while self._size > self._most:
                # The first that was put in.
                self._size -= self._kept.pop(next(iter(self._kept)))[0]

    def of(self, upload: UUID, owner: int | None) -> Types:
        """What is known of a batch that this user sent; nothing of anybody else's."""
        found = self._kept.get(upload)
        return found[2] if found is not None and found[1] == owner else {}
