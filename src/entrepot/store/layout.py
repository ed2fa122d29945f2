"""The paths of the tree that `entrepot.store.filesystem` draws; nothing else builds one."""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["FOLDERS", "Layout", "same_file"]

FOLDERS = tuple(f"{n:02x}" for n in range(256))
"""The fan-out: first two digits of a key. 256 folders keep a listing of 10 million objects at 40,000 names each."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths as text, because a Path object per call costs more than the call. Keys must have passed `check_key`."""

    root: str

    @property
    def objects(self) -> str:
        return f"{self.root}/objects"

    @property
    def staging(self) -> str:
        return f"{self.root}/staging"

    def folder(self, key: str) -> str:
        return f"{self.root}/objects/{key[:2]}"

    def object(self, key: str) -> str:
        return f"{self.root}/objects/{key[:2]}/{key}"

    def staged(self, key: str) -> str:
        return f"{self.root}/staging/{key}"

    def being_put(self, key: str) -> str:
        return f"{self.root}/staging/{key}.put"


def same_file(one: os.stat_result | None, other: os.stat_result | None) -> bool:
    """Whether both are names of one file; False when either is missing."""
    return one is not None and other is not None and (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
