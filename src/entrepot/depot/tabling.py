"""Tables, seen from those who have the right to ask: the seam to the processes that read and write them.

The use cases import neither DuckDB nor Arrow. They ask a workshop, which the composition root puts into the depot; it
answers with frames (see `entrepot.tabular.child`), each in the order in which it was made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from enum import Enum
from typing import Any, NoReturn, Protocol

from entrepot.catalog.contents import Extent
from entrepot.depot.contents import Located, locate, open_located
from entrepot.depot.context import Depot
from entrepot.depot.uploads import blocks_of
from entrepot.model.errors import Corrupt, Unsupported, from_code

__all__ = [
    "Effort",
    "Frame",
    "Frames",
    "Workshop",
    "answer",
    "ask",
    "data_of",
    "files_of",
    "lend",
    "refuse",
    "workshop",
]

Frame = tuple[str, bytes]
Frames = Iterator[Frame]


class Effort(Enum):
    """What a question may take: a page is read by processes that are there already, each of the others has its own."""

    READ = "read"
    QUERY = "query"
    WORK = "work"


class Workshop(Protocol):
    """Reads and writes tables in processes of their own."""

    def ask(self, request: Mapping[str, Any], effort: Effort) -> AbstractContextManager[Frames]:
        """The frames of the answer, up to and with the last one. Leaving early stops the work.

        Raises:
            Unavailable: There are too many questions already.
            TooLarge: It took longer, or more, than its effort may. Raised while the frames are read.
        """
        ...

    def file_of(self, extent: Extent) -> str | None:
        """Where the object of an extent lies on this machine, if it does."""
        ...

    def spool(self, blocks: Iterator[bytes]) -> AbstractContextManager[str]:
        """The path of a file with these bytes, for as long as the context lasts."""
        ...

    @property
    def folder(self) -> str:
        """Where files may be spilled to, for as long as the process lives."""
        ...


def workshop(depot: Depot) -> Workshop:
    """
    Raises:
        Unsupported: This process has none.
    """
    if depot.workshop is None:
        raise Unsupported("This server reads no tables: it was started without what that needs.")
    return depot.workshop


def lend(depot: Depot, contents: Sequence[int], stack: ExitStack) -> list[dict[str, Any]]:
    """Each content as files that a child can read: `{"size", "crc32c", "spans": [[path, offset, length]]}`.

    Raises:
        Corrupt: Its bytes are known to be damaged.
    """
    with depot.catalog.read() as conn:
        found = [locate(conn, one) for one in contents]
    return [_lent(depot, one, stack) for one in found]


def _lent(depot: Depot, found: Located, stack: ExitStack, *, whole: bool = False) -> dict[str, Any]:
    # Opening it refuses what is damaged, and finds what was moved a moment ago.
    with open_located(depot, found) as reader:
        paths = [workshop(depot).file_of(extent) for extent in found.extents]
        # Objects of several members, or of several pieces, are no files by themselves.
        apart = whole and (len(paths) != 1 or found.extents[0].offset or not _fills(depot, found))
        if not apart and all(path is not None for path in paths):
            spans = [[path, e.offset, e.length] for path, e in zip(paths, found.extents, strict=True)]
        else:
            path = stack.enter_context(workshop(depot).spool(blocks_of(reader.read_at, 0, reader.size)))
            spans = [[path, 0, reader.size]]
    return {"size": found.measures.size, "crc32c": found.measures.crc32c, "spans": spans}


def files_of(depot: Depot, contents: Sequence[int], stack: ExitStack) -> list[str]:
    """Each content as one file; canonical forms mostly are one already."""
    with depot.catalog.read() as conn:
        found = [locate(conn, one) for one in contents]
    paths = []
    for one in found:
        (span,) = _lent(depot, one, stack, whole=True)["spans"]
        paths.append(str(span[0]))
    return paths


def _fills(depot: Depot, found: Located) -> bool:
    """Whether a content is all of its object."""
    return depot.store.stat(found.extents[0].key) == found.measures.size


def ask(depot: Depot, request: Mapping[str, Any], effort: Effort) -> AbstractContextManager[Frames]:
    return workshop(depot).ask(request, effort)


def answer(depot: Depot, request: Mapping[str, Any], effort: Effort) -> tuple[Any, bytes]:
    """The whole answer at once: what it says, and the data that came with it. For answers of a known bound."""
    data: list[bytes] = []
    with ask(depot, request, effort) as frames:
        for letter, body in frames:
            if letter == "D":
                data.append(body)
            elif letter == "R":
                return json.loads(body), b"".join(data)
            elif letter == "X":
                refuse(body)
    raise Corrupt("The process that reads tables ended without an answer.")


def refuse(body: bytes) -> NoReturn:
    """Raise the error that a child told of."""
    said = json.loads(body)
    raise from_code(said["code"])(said["detail"], details=said.get("details"), errors=said.get("errors", ()))


def data_of(
    frames: Frames, done: Callable[[Any], None] | None = None, progress: Callable[[int], None] | None = None
) -> Iterator[bytes]:
    """The data of an answer as a stream; its end is the end of the answer.

    Args:
        done: Told what the answer says.
        progress: Told how much of what is read was dealt with.
    """
    for letter, body in frames:
        if letter == "D":
            yield body
        elif letter == "P" and progress is not None:
            progress(json.loads(body))
        elif letter == "X":
            refuse(body)
        elif letter == "R":
            if done is not None:
                done(json.loads(body))
            return
    raise Corrupt("The process that reads tables ended without an answer.")
