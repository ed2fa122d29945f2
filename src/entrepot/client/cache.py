"""Contents that were read before, by digest: bounded, checked at every use, shared by all programs of this user.

    contents/ab/ab34…    the content whose SHA-256 starts so; the file's time is when it was used last

A content is written beside its place and moved there whole, so a reader sees all of it or nothing, and two programs
that fetch the same content do each other no harm. What does not hash to its name any more is thrown away and fetched
anew. When the folder outgrows its bound the contents that were used longest ago go, down to nine tenths of it.

ENTREPOT_CACHE_SIZE sets the bound in bytes (`500M`, `20G`); 0 switches the cache off.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from entrepot.client.places import cache_folder
from entrepot.model.digests import parse_sha256
from entrepot.model.errors import Invalid

__all__ = ["ContentCache", "parse_size"]

DEFAULT_BOUND = 5 << 30
_VARIABLE = "ENTREPOT_CACHE_SIZE"
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:I?B)?\s*", re.IGNORECASE)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_size(text: str) -> int:
    """Bytes from `500M`, `20GiB`, `4096`; the letters are powers of 1,024.

    Raises:
        Invalid: It is no size.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise Invalid(f"{text!r} is no size. Write it as in 500M or 20G.")
    return int(float(match[1]) * _UNITS[match[2].upper()])


class ContentCache:
    """Contents by digest in a folder of this user.

    Args:
        root: By default in the user's cache folder.
        bound: Bytes; by default ENTREPOT_CACHE_SIZE, else 5 GiB. 0: nothing is kept.
    """

    def __init__(
        self, root: Path | None = None, bound: int | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.root = root or cache_folder() / "contents"
        if bound is None:
            named = os.environ.get(_VARIABLE)
            bound = DEFAULT_BOUND if named is None else parse_size(named)
        self.bound = bound
        self._clock = clock

    def get(self, sha256: str) -> bytes | None:
        """The content, hashed anew; None when it is not here (any more). For contents that fit into memory."""
        digest = parse_sha256(sha256)
        name = digest.hex()
        # Of ten thousand files that are to come none is here: asked without the objects that a path is.
        if not os.access(f"{self.root}{os.sep}{name[:2]}{os.sep}{name}", os.F_OK):
            return None
        place = self._place(sha256)
        try:
            content = place.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(content).digest() != digest:
            self._drop(place)
            return None
        # A clash with somebody who evicts it meanwhile: the content in hand is good all the same.
        with contextlib.suppress(OSError):
            now = self._clock()
            os.utime(place, (now, now))
        return content

    def put(self, sha256: str, content: bytes) -> None:
        """Keep a content that was just checked. Never fails: a full disk costs the cache, not the caller."""
        if len(content) * 4 > self.bound:
            return
        place = self._place(sha256)
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=place.parent, prefix=".new-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                now = self._clock()
                os.utime(name, (now, now))
                Path(name).replace(place)
            except BaseException:
                self._drop(Path(name))
                raise
            self._shrink()

    def _shrink(self) -> None:
        """Look at the whole folder once in a while: after about every hundredth of the bound that was added."""
        marker = self.root / ".shrunk"
        with contextlib.suppress(OSError):
            if marker.exists() and self._clock() - marker.stat().st_mtime < self._pause():
                return
            marker.touch()
            os.utime(marker, (self._clock(), self._clock()))
        self.shrink()

    def _pause(self) -> float:
        # A small bound is reached soon and its folder is quick to look at.
        return 0.0 if self.bound < 1 << 28 else 10.0

    def shrink(self) -> int:
        """Make the folder fit its bound; answers how many bytes went."""
        found: list[tuple[float, int, Path]] = []
        for folder in self._folders():
            with contextlib.suppress(OSError), os.scandir(folder) as listing:
                for member in listing:
                    with contextlib.suppress(OSError):
                        state = member.stat(follow_symlinks=False)
                        abandoned = member.name.startswith(".new-") and self._clock() - state.st_mtime > 3600
                        if abandoned:
                            self._drop(Path(member.path))
                        elif not member.name.startswith("."):
                            found.append((state.st_mtime, state.st_size, Path(member.path)))
        total = sum(size for _, size, _ in found)
        if total <= self.bound:
            return 0
        gone = 0
        for _, size, place in sorted(found):
            if total - gone <= self.bound * 9 // 10:
                break
            self._drop(place)
            gone += size
        return gone

    def _folders(self) -> list[Path]:
        try:
            return [place for place in self.root.iterdir() if place.is_dir()]
        except OSError:
            return []

    def _place(self, sha256: str) -> Path:
        name = parse_sha256(sha256).hex()
        return self.root / name[:2] / name

    @staticmethod
    def _drop(place: Path) -> None:
        # On Windows a file that somebody reads cannot go; it goes next time.
        with contextlib.suppress(OSError):
            place.unlink()
