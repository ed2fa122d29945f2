"""What the entry functions take and give. Versions and contents are named by their numbers here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from entrepot.model.errors import EntrepotError, EntryNotFound, Invalid, PathTaken

Condition = Literal["any", "absent", "present"]


class EntryRow(NamedTuple):
    """One path of one revision, joined to its content.

    A named tuple and not a frozen dataclass: listings make them by the thousand, and those cost five times as much.

    Args:
        content: The number of the content.
        media: Media type.
        dtype: Data type.
        meta: Metadata text; None is none.
        pos: Order of first addition in its version; survives replacing and renaming.
        added: The event that put this content here; survives renaming and describing.
    """

    path: str
    content: int
    media: str | None
    dtype: str | None
    meta: str | None
    pos: int
    added: int
    sha256: bytes
    size: int
    crc32c: int
    crc32: int


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """One state of a version's entries.

    Args:
        data_type: What all entries are, if that is one type; told of a revision that was just made, None otherwise.
    """

    version: int
    num: int
    author: int | None
    at: datetime
    message: str
    n_entries: int
    n_bytes: int
    data_type: str | None = None


@dataclass(frozen=True, slots=True)
class FolderItem:
    """One name inside a folder: a file with its entry, or a folder with something below it."""

    name: str
    entry: EntryRow | None
    is_folder: bool


class Put(NamedTuple):
    """Content at a path.

    A named tuple, as `EntryRow` is and for the same reason.

    Args:
        meta: None keeps the text of the entry that is replaced; "" is no text.
        pos: None keeps the position of the entry that is replaced, or gives the next free one; a number must never
            have been given out in this version.
        condition: `absent`: no entry remains at the path. `present`: one is there already.
    """

    path: str
    content: int
    media: str | None = None
    dtype: str | None = None
    meta: str | None = None
    pos: int | None = None
    condition: Condition = "any"


@dataclass(frozen=True, slots=True)
class Remove:
    """An entry goes; with `recursive` also a folder and all below it ("" is everything).

    Args:
        condition: `any`: it is no error if nothing is there.
    """

    path: str
    recursive: bool = False
    condition: Literal["any", "present"] = "present"


@dataclass(frozen=True, slots=True)
class Rename:
    """An entry gets another path; with `recursive` also a folder with all below it ("" is everything)."""

    source: str
    target: str
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class Describe:
    """The metadata text of the entry that is at `path` after the commit; "" or None is none."""

    path: str
    meta: str | None


@dataclass(frozen=True, slots=True)
class DescribeAll:
    """The metadata text of every entry that was there before the commit; "" or None is none."""

    meta: str | None


RowChange = Put | Remove | Rename | Describe | DescribeAll


@dataclass(frozen=True, slots=True)
class EntryChange:
    """One difference between two revisions.

    Args:
        path: Where the entry is now; where it was, if it was removed.
        before: None for `added`.
        after: None for `removed`.
    """

    kind: Literal["added", "removed", "changed", "renamed"]
    path: str
    before: EntryRow | None
    after: EntryRow | None


#: Faults that one error names; more are only counted.
MAX_FAULTS = 1000


class Faults:
    """Everything that is wrong with one commit, so that all of it is reported and not only the first."""

    def __init__(self) -> None:
        self._found: list[tuple[type[EntrepotError], str, str]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def taken(self, path: str, message: str) -> None:
        self._found.append((PathTaken, path, message))

    def missing(self, path: str, message: str) -> None:
        self._found.append((EntryNotFound, path, message))

    def wrong(self, path: str, message: str) -> None:
        self._found.append((Invalid, path, message))

    def check(self) -> None:
        """Raise if there is any: the class of the first one, with all of them in `errors`."""
        if not self._found:
            return
        kind, _, message = self._found[0]
        if len(self._found) > 1:
            message = f"{message} {len(self._found) - 1} more changes cannot be made either; see errors."
        raise kind(
            message,
            details={"count": len(self._found)},
            errors=[{"path": path, "code": k.code, "detail": text} for k, path, text in self._found[:MAX_FAULTS]],
        )
