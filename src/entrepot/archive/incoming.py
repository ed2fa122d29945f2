"""Archives that come in, of every kind alike: members one after the other, each judged before its bytes are read.

Refused as a whole, with the member named: names that are absolute, lead out, or cannot be a path here; a name that is
there twice, or is a file and a folder; too many members, too deep ones; more bytes than the archive may give; and what
the kinds refuse by themselves (`zipin`, `tarin`, `unpackers`). Folders without files are passed over. An archive inside
is a file like any other. Names that only differ in case are told, for some disks take them for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, Final

from entrepot.archive.tarin import TarIn
from entrepot.archive.unpackers import Kind, ReadAt, unwrapped
from entrepot.archive.zipin import ZipIn, ZipLimits, ZipMember
from entrepot.model import names
from entrepot.model.errors import InvalidName, TooLarge

__all__ = ["Arriving", "IncomingLimits", "Judge", "incoming", "looked_through"]

#: Faults that one error names, and clashes that are told.
_MAX_TOLD: Final = 1_000

#: Bytes that are read at a time where only headers are wanted: of small files several lie together.
_STEP: Final = 4096

#: What stands before the bytes of a member of a zip archive at least.
_LOCAL_HEADER: Final = 30


@dataclass(frozen=True, slots=True)
class IncomingLimits:
    """What an archive may ask for.

    Args:
        members: How many it may have, folders too.
        ratio: So many times its own size may come out of it, or `free` bytes if that is more.
        total: Bytes that may come out at all.
        depth: Names in one path.
    """

    members: int = 100_000
    ratio: int = 200
    free: int = 1 << 30
    total: int | None = None
    depth: int = 64

    def most(self, size: int) -> int:
        """How many bytes may come out of an archive of this size."""
        most = max(self.free, size * self.ratio)
        return most if self.total is None else min(most, self.total)


@dataclass(frozen=True, slots=True)
class Arriving:
    """A file whose turn it is; its `blocks` are read before the next one is asked for."""

    path: str
    size: int
    blocks: Callable[[], Iterator[bytes]]


@dataclass(slots=True)
class Judge:
    """Sees every name of one archive.

    Args:
        most: Bytes that may come out.
    """

    limits: IncomingLimits
    most: int
    members: int = 0
    given: int = 0
    clashes: list[list[str]] = field(default_factory=list)
    _files: set[str] = field(default_factory=set)
    _folders: set[str] = field(default_factory=set)
    _folded: dict[str, str] = field(default_factory=dict)

    def folder(self, name: str) -> None:
        """A folder: counted, and its name is looked at, though nothing is made of it.

        Raises:
            InvalidName, TooLarge
        """
        self._count(name)
        if name.replace("\\", "/").strip("/") not in (".", ""):
            names.member_path(name)

    def file(self, name: str, size: int) -> str:
        """Where a file goes.

        Raises:
            InvalidName, TooLarge
        """
        self._count(name)
        self.given += size
        if self.given > self.most:
            raise TooLarge(
                f"The archive holds more than {self.most} bytes unpacked, at {name[:100]!r}; that is beyond the limit "
                "for its size. Send the files one by one."
            )
        path = names.member_path(name)
        parts = path.split("/")
        if len(parts) > self.limits.depth:
            raise InvalidName(
                f"{name[:100]!r} lies {len(parts)} levels deep; {self.limits.depth} are allowed. Pack it less deep."
            )
        if path in self._files:
            raise InvalidName(f"{name[:100]!r} is in the archive twice. Give one of them another name.")
        above = {"/".join(parts[:i]) for i in range(1, len(parts))}
        if path in self._folders or not above.isdisjoint(self._files):
            raise InvalidName(f"{name[:100]!r} is both a file and a folder in the archive. Give one another name.")
        self._files.add(path)
        self._folders |= above
        known = self._folded.setdefault(names.folded(path), path)
        if known != path and len(self.clashes) < _MAX_TOLD:
            self.clashes.append([known, path])
        return path

    def _count(self, name: str) -> None:
        self.members += 1
        if self.members > self.limits.members:
            raise TooLarge(
                f"The archive has more than {self.limits.members} members, at {name[:100]!r}. Send it in parts."
            )


def incoming(kind: Kind, read_at: ReadAt, size: int, judge: Judge) -> Iterator[Arriving]:
    """The files of an archive in order.

    Raises:
        Malformed, Invalid, InvalidName, TooLarge: It is refused; what came before counts for nothing.
    """
    return _of_zip(read_at, size, judge) if kind == "zip" else _of_tar(kind, read_at, size, judge)


def looked_through(kind: Kind, read_at: ReadAt, size: int, judge: Judge, *, most: int) -> bool:
    """Judge the members by the directory or the headers alone, before any of their bytes are unpacked.

    Args:
        most: Bytes that are taken out of a wrapping at most.

    Returns:
        Whether all members were seen. What their bytes are worth is found out by unpacking them.

    Raises:
        Malformed, Invalid, InvalidName, TooLarge: It is refused.
    """
    if kind == "zip":
        _directory(read_at, size, judge)
        return True
    if kind == "tar":
        steps = _Steps(read_at, size)
        archive = TarIn(steps, steps.leap)
    else:
        archive = TarIn(_until(_bounded(unwrapped(kind, read_at, size), judge), most))
    try:
        for member in archive.members():
            if member.is_folder:
                judge.folder(member.name)
            else:
                judge.file(member.name, member.size)
    except _Enough:
        return False
    return True


class _Enough(Exception):
    """So much was taken out of the wrapping as was to be."""


def _until(blocks: Iterator[bytes], most: int) -> Iterator[bytes]:
    for block in blocks:
        most -= len(block)
        if most < 0:
            raise _Enough
        yield block


class _Steps:
    """The bytes of a plain archive where its headers are; what lies between them is leapt over."""

    def __init__(self, read_at: ReadAt, size: int) -> None:
        self._read_at = read_at
        self._size = size
        self._at = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._at >= self._size:
            raise StopIteration
        block = self._read_at(self._at, min(_STEP, self._size - self._at))
        self._at += len(block)
        return block

    def leap(self, count: int) -> int:
        passed = min(count, self._size - self._at)
        self._at += passed
        return passed


def _of_zip(read_at: ReadAt, size: int, judge: Judge) -> Iterator[Arriving]:
    archive, targets = _directory(read_at, size, judge)
    for member, target in zip(archive.members(), targets, strict=True):
        if target is not None:
            yield Arriving(target, member.size, partial(archive.blocks, member))


def _directory(read_at: ReadAt, size: int, judge: Judge) -> tuple[ZipIn, list[str | None]]:
    """The archive, and where each of its members goes: None for folders."""
    limits = judge.limits
    archive = ZipIn(read_at, size, ZipLimits(limits.members, limits.ratio, min(limits.free, judge.most)))
    # The directory tells every name, so all that are wrong are told together, before anything is unpacked.
    faults: list[dict[str, Any]] = []
    places: list[tuple[int, int, str]] = []
    targets: list[str | None] = []
    for member in archive.members():
        targets.append(_judged(judge, member, faults))
        if not member.is_folder:
            places.append((member.offset, member.offset + _LOCAL_HEADER + member.packed, member.name))
    if faults:
        more = f" ({len(faults) - 1} more, see errors)" if len(faults) > 1 else ""
        raise InvalidName(f"{faults[0]['detail']}{more}", errors=faults)
    _require_apart(places)
    return archive, targets


def _judged(judge: Judge, member: ZipMember, faults: list[dict[str, Any]]) -> str | None:
    try:
        if not member.is_folder:
            return judge.file(member.name, member.size)
        judge.folder(member.name)
    except InvalidName as error:
        if len(faults) < _MAX_TOLD:
            faults.append({"path": member.name[:200], "code": error.code, "detail": str(error)})
    return None


def _require_apart(places: list[tuple[int, int, str]]) -> None:
    """No two members share bytes: that is how a small archive becomes a bomb that no ratio of one member shows.

    Raises:
        InvalidName
    """
    places.sort()
    for (_, end, name), (start, _, other) in pairwise(places):
        if start < end:
            raise InvalidName(
                f"Members {name[:100]!r} and {other[:100]!r} lie over each other in the archive. Pack it again.",
                errors=[{"path": name[:200], "code": InvalidName.code, "detail": "overlaps"}],
            )


def _of_tar(kind: Kind, read_at: ReadAt, size: int, judge: Judge) -> Iterator[Arriving]:
    archive = TarIn(_bounded(unwrapped(kind, read_at, size), judge))
    for member in archive.members():
        if member.is_folder:
            judge.folder(member.name)
        else:
            yield Arriving(judge.file(member.name, member.size), member.size, archive.blocks)


def _bounded(blocks: Iterator[bytes], judge: Judge) -> Iterator[bytes]:
    """What comes out of a wrapping, headers and padding too: an archive of nothing but headers is a bomb as well."""
    come = 0
    # A header and padding for each member stand beside the bytes.
    most = judge.most + (judge.limits.members + 2) * 2048
    for block in blocks:
        come += len(block)
        if come > most:
            raise TooLarge(
                f"More than {most} bytes come out of the archive, which is beyond the limit for its size. Send the "
                "files one by one."
            )
        yield block
