"""The files of batches as they came, and what they were taken for, so that their commit need not look again.

In the memory of the process that received them, and bounded: what is not remembered any more, or came to another
process, is read. Only whoever sent a batch is told, for what a commit takes by a batch must be theirs anyway; so nobody
learns from it, not even by the time that it saves, what others have.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

from entrepot.catalog.entry_values import Put

__all__ = ["Remembered", "Types", "last_part"]

#: By the SHA-256 and the last part of the path, which is all of a path that a type depends on; None is no known type.
Types: TypeAlias = Mapping[tuple[bytes, str], str | None]

#: What a type and what a file take in memory at most beside their names, and what a character of those does.
_TYPE: Final = 350
_FILE: Final = 200
_LETTER: Final = 4


def last_part(path: str) -> str:
    return path.rpartition("/")[2]


class _Kept(NamedTuple):
    size: int
    owner: int | None
    types: Types
    files: Sequence[Put] | None


_NOTHING: Final = _Kept(0, None, {}, None)


class Remembered:
    """Files and types by batch and owner, the latest batches. Safe to share between threads.

    Args:
        most: Bytes of memory, about.
    """

    def __init__(self, most: int = 16 << 20) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: dict[UUID, _Kept] = {}
        self._size = 0

    def keep(self, upload: UUID, owner: int | None, types: Types, files: Sequence[Put] | None = None) -> None:
        """
        Args:
            files: All of them as a commit puts them; None if that cannot be done with every one.
        """
        size = sum([_TYPE + _LETTER * len(name) for _, name in types])
        size += sum([_FILE + _LETTER * len(file.path) for file in files or ()])
        if size > self._most:
            return
        with self._lock:
            self._size += size - self._kept.pop(upload, _NOTHING).size
            self._kept[upload] = _Kept(size, owner, types, files)
            while self._size > self._most:
                # The first that was put in.
                self._size -= self._kept.pop(next(iter(self._kept))).size

    def of(self, upload: UUID, owner: int | None) -> Types:
        """What is known of a batch that this user sent; nothing of anybody else's."""
        found = self._kept.get(upload, _NOTHING)
        return found.types if found.owner == owner else {}

    def files(self, upload: UUID, owner: int | None) -> Sequence[Put] | None:
        """All files of a batch that this user sent, if that is known."""
        found = self._kept.get(upload, _NOTHING)
        return found.files if found.owner == owner else None
