"""Bytes to send: from a file or from memory, read as often as a connection breaks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from entrepot.client.tree import BLOCK, SMALL, LocalFile, read_blocks, read_small

__all__ = ["BytesSource", "FileSource", "Source"]


class Source(Protocol):
    """Bytes that can be read more than once, with what is known of them."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def sha256(self) -> bytes: ...

    def blocks(self, start: int, end: int) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class FileSource:
    """A local file in the state that it was hashed in; in any other state it refuses to be read."""

    file: LocalFile
    sha256: bytes

    @property
    def name(self) -> str:
        return self.file.path

    @property
    def size(self) -> int:
        return self.file.size

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        if start == 0 and end == self.file.size <= SMALL:
            return iter((read_small(self.file),))
        return read_blocks(self.file, start, end)


@dataclass(frozen=True, slots=True)
class BytesSource:
    name: str
    content: bytes
    sha256: bytes

    @property
    def size(self) -> int:
        return len(self.content)

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        if start == 0 and end == self.size <= BLOCK:
            yield self.content
            return
        view = memoryview(self.content)[start:end]
        for at in range(0, len(view), BLOCK):
            yield bytes(view[at : at + BLOCK])
