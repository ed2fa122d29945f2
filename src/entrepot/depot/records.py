"""Reading records: item n, pages of items, what fits a condition, samples, statistics, differences, tables.

Items are numbered from 0 through all files of a revision, in the order in which they were added, and stay where they
are for as long as the revision does. An index beside each file leads to any item in two reads; one that is missing is
made again: at once beside a small file, by a task beside a large one.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from entrepot.catalog import derived as derived_rows
from entrepot.catalog import entries as entry_rows
from entrepot.catalog import tasks as task_rows
from entrepot.catalog.connection import Connection
from entrepot.depot import asking, paging
from entrepot.depot.contents import ContentReader, open_content
from entrepot.depot.context import Depot
from entrepot.depot.entries import pin
from entrepot.depot.lookup import Key
from entrepot.depot.record_checks import LINES, build_index
from entrepot.model.access import Action, Actor
from entrepot.model.errors import Corrupt, InProgress, Invalid, KindMismatch, NotFound, TooLarge
from entrepot.model.values import Kind, Task, TaskState, Version
from entrepot.records import compare
from entrepot.records.index import Index, take
from entrepot.records.reference import parse
from entrepot.records.select import Condition, path_of
from entrepot.records.summary import Summary

__all__ = [
    "Diff",
    "Items",
    "Line",
    "LinePage",
    "Statistics",
    "compared",
    "diff",
    "files_of",
    "filter_items",
    "get",
    "items_of",
    "list_items",
    "open_items",
    "open_pair",
    "sample",
    "statistics",
    "summarised",
]

#: The job of questions about records that are not answered at once.
JOB: Final = "records"
QUEUE: Final = "records"
#: Bytes of lines that somebody who waits for an answer has read for them; more is a task.
AT_ONCE: Final = 8 << 20

#: Bytes of lines that one page holds at most, unless its first line alone is longer.
_PAGE_BYTES: Final = 8 << 20
#: Bytes that one question reads before it answers with what it found so far.
_SCAN_BYTES: Final = 16 << 20
#: Items that statistics look at unless told otherwise, and at most.
_LOOKED_AT, MOST_LOOKED_AT = 10_000, 100_000
#: Items on either side of a comparison, and differences that are told.
_COMPARED, _TOLD = 2_000_000, 1000
#: Lines that one read of a scan takes, and after which progress is told.
_STEP: Final = 1024


def _silent(_done: int, _total: int) -> None:
    """Nobody wants to know how far it is."""


@dataclass(frozen=True, slots=True)
class Line:
    """One item: its number and its text as it was sent, without the newline."""

    n: int
    text: bytes


@dataclass(frozen=True, slots=True)
class LinePage:
    """Some items of one revision.

    Args:
        total: Items of the revision.
        next: The number to go on from; None at the end.
    """

    version: Version
    revision: int
    total: int
    rows: tuple[Line, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class _Part:
    content: int
    first: int
    count: int


class Items:
    """All items of one revision, to be closed after use. Not for several threads at once.

    Args:
        asker: Who waits for it, so that a large index that is missing is made by a task; None for a task.
    """

    def __init__(
        self, depot: Depot, version: Version, revision: int, contents: Sequence[int], *, asker: Actor | None = None
    ) -> None:
        self._depot = depot
        self._asker = asker
        self.version = version
        self.revision = revision
        self._open: tuple[int, ContentReader, ContentReader, Index] | None = None
        self._parts: list[_Part] = []
        self.count = 0
        #: Bytes of all files.
        self.size = 0
        try:
            for i, content in enumerate(contents):
                self._parts.append(_Part(content, self.count, 0))
                index = self._at(i)[1]
                self._parts[i] = _Part(content, self.count, index.items)
                self.count += index.items
                self.size += index.size
        except BaseException:
            self.close()
            raise
        self._firsts = [part.first for part in self._parts]

    def _at(self, i: int) -> tuple[ContentReader, Index]:
        if self._open is not None and self._open[0] == i:
            return self._open[1], self._open[3]
        self.close()
        content = self._parts[i].content
        with self._depot.catalog.read() as conn:
            place = derived_rows.find(conn, [content], LINES).get(content)
        if place is None:
            self._must_be_small(content)
            place = build_index(self._depot, content)
        if place is None:
            raise Corrupt(f"Content {content} is not made of good lines. Run `entrepot verify`.")
        lines = open_content(self._depot, place)
        try:
            index = Index(lines.read_at, lines.size)
            data = open_content(self._depot, content)
        except BaseException:
            lines.close()
            raise
        self._open = (i, data, lines, index)
        return data, index

    def _must_be_small(self, content: int) -> None:
        """
        Raises:
            InProgress: Somebody waits, and the index that is missing is that of a large file. A task makes it.
        """
        if self._asker is None:
            return
        with open_content(self._depot, content) as reader:
            if reader.size <= AT_ONCE:
                return
        task = _begin_indexing(self._depot, self._asker, self.version, self.revision)
        raise InProgress(
            f"The lines of {self.version.label} are being numbered again. Ask again in a moment.",
            details={"task": task.uid.hex, "retry_after_s": 1},
        )

    def lines(self, first: int, count: int, *, most: int = _PAGE_BYTES) -> list[bytes]:
        """Up to `count` lines from number `first`, and no more than `most` bytes of them after the first one.

        Raises:
            Corrupt: The index is not that of the file, or stored bytes are damaged.
        """
        found: list[bytes] = []
        while count > 0 and 0 <= first < self.count:
            i = bisect_right(self._firsts, first) - 1
            data, index = self._at(i)
            spans = index.spans(first - self._parts[i].first, count)
            fitting, size = 0, 0
            for span in spans:
                size += span.length + 1
                if size > most and (found or fitting):
                    break
                fitting += 1
            found += take(data.read_at, data.size, spans[:fitting])
            most -= size
            first, count = first + fitting, count - fitting
            if fitting < len(spans):
                break
        return found

    def __iter__(self) -> Iterator[Line]:
        return self.scan()

    def scan(self, first: int = 0) -> Iterator[Line]:
        """Every line from number `first` on, in memory that does not depend on how many there are."""
        while first < self.count:
            found = self.lines(first, _STEP, most=1 << 20)
            for text in found:
                yield Line(first, text)
                first += 1

    def close(self) -> None:
        """May be repeated."""
        if self._open is not None:
            _, data, lines, _ = self._open
            self._open = None
            data.close()
            lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_items(depot: Depot, actor: Actor, key: Key, *, revision: int | None = None) -> Items:
    """The items of a version, pinned to a revision: the newest when none is named.

    Raises:
        KindMismatch: It is no version of records.
        NotFound: It has no content yet, or no such revision.
        InProgress: The index of a large file is missing and is being made; `details` names the task.
    """
    with depot.catalog.read() as conn:
        found, wanted = pin(conn, actor, key, revision, action=Action.READ_CONTENT)
        version = found.version
        if version.kind is not Kind.RECORDS:
            raise KindMismatch(f"{version.name} holds {version.kind}, not records; it has no items.")
        if wanted == 0:
            raise NotFound(f"{version.name} has no items yet ({version.state}).")
        rows = files_of(conn, version, wanted)
    return Items(depot, version, wanted, [row.content for row in rows], asker=actor)


def _begin_indexing(depot: Depot, actor: Actor, version: Version, revision: int) -> Task:
    """The task that makes what indexes a revision lacks, which may have been begun already."""
    payload = {"version": version.n, "revision": revision, "what": "index"}

    def work(conn: Connection) -> Task:
        for task in task_rows.alike(conn, JOB, payload, version=version.n, starter=0):
            if task.state in (TaskState.READY, TaskState.RUNNING):
                return task
        return asking.begin(
            conn,
            depot,
            JOB,
            payload,
            on=QUEUE,
            starter=actor.user,
            project=version.project,
            version=version.n,
        )

    return depot.catalog.write(work)


def files_of(conn: Connection, version: Version, revision: int) -> list[entry_rows.EntryRow]:
    """The files of a revision, in the order of their items."""
    rows: list[entry_rows.EntryRow] = []
    while page := entry_rows.page_by_position(
        conn, version.n, revision, after=rows[-1].pos if rows else -1, limit=1000
    ):
        rows += page
    return rows


def items_of(depot: Depot, version: Version, revision: int) -> Items:
    """`open_items` for whoever was judged before: a task that goes on with what was asked."""
    with depot.catalog.read() as conn:
        rows = files_of(conn, version, revision)
    return Items(depot, version, revision, [row.content for row in rows])


def get(depot: Depot, actor: Actor, key: Key, n: int, *, revision: int | None = None) -> LinePage:
    """Item `n`, as a page of one.

    Raises:
        NotFound: There are not so many.
    """
    page = list_items(depot, actor, key, first=n, limit=1, revision=revision)
    if not page.rows:
        raise NotFound(f"{page.version.label} has {page.total} items, numbered from 0; there is no item {n}.")
    return page


def list_items(
    depot: Depot, actor: Actor, key: Key, *, first: int = 0, limit: int = 100, revision: int | None = None
) -> LinePage:
    """Items from number `first` on; fewer than asked for where they are large."""
    size = paging.size(depot, limit)
    with open_items(depot, actor, key, revision=revision) as items:
        found = items.lines(first, size)
        rows = tuple(Line(first + i, text) for i, text in enumerate(found))
        end = first + len(rows)
        return LinePage(items.version, items.revision, items.count, rows, end if rows and end < items.count else None)


def filter_items(
    depot: Depot, actor: Actor, key: Key, where: str, *, first: int = 0, limit: int = 100, revision: int | None = None
) -> LinePage:
    """Items from number `first` on that fit a condition.

    Reads a bounded part of the file: a page may have few rows, or none, and still a `next` to go on from.

    Args:
        where: See `entrepot.records.select`.

    Raises:
        Invalid: The condition cannot be read; it says from where on.
    """
    size, condition = paging.size(depot, limit), Condition(where)
    with open_items(depot, actor, key, revision=revision) as items:
        rows: list[Line] = []
        read = kept = 0
        end = max(first, 0)
        for line in items.scan(end):
            if len(rows) == size or read > _SCAN_BYTES or kept > _PAGE_BYTES:
                break
            read += len(line.text)
            if condition(parse(line.text)):
                rows.append(line)
                kept += len(line.text)
            end = line.n + 1
        following = end if end < items.count else None
        return LinePage(items.version, items.revision, items.count, tuple(rows), following)


def sample(
    depot: Depot, actor: Actor, key: Key, *, count: int = 10, seed: int = 0, revision: int | None = None
) -> LinePage:
    """Different items drawn at random, in their order; the same seed draws the same ones of the same revision."""
    size = paging.size(depot, count)
    with open_items(depot, actor, key, revision=revision) as items:
        rows: list[Line] = []
        left = _PAGE_BYTES
        for n in _drawn(items.count, size, seed):
            if left < 0:
                break
            (text,) = items.lines(n, 1)
            rows.append(Line(n, text))
            left -= len(text)
        return LinePage(items.version, items.revision, items.count, tuple(rows), None)


def _drawn(of: int, count: int, seed: int) -> list[int]:
    # Not for secrets: that it can be drawn again is the point.
    return sorted(random.Random(seed).sample(range(of), min(count, of)))  # noqa: S311


@dataclass(frozen=True, slots=True)
class Statistics:
    """Keys and types of the items of a revision.

    Args:
        looked_at: Items that were looked at: all of them, or a sample.
        keys: One row for each path, see `entrepot.records.summary`.
        more_keys: There are more different keys than are told.
    """

    version: Version
    revision: int
    total: int
    looked_at: int
    keys: Sequence[Mapping[str, Any]]
    more_keys: bool


def statistics(
    depot: Depot, actor: Actor, key: Key, *, most: int = _LOOKED_AT, seed: int = 0, revision: int | None = None
) -> Statistics:
    """Which keys there are, how often, of which types and how far they reach.

    Args:
        most: Items to look at, at most 100,000; of more than that a sample is looked at.
    """
    with open_items(depot, actor, key, revision=revision) as items:
        return summarised(items, most, seed)


def summarised(
    items: Items, most: int, seed: int, *, bytes_read: int = _SCAN_BYTES, progress: Callable[[int, int], None] = _silent
) -> Statistics:
    """`statistics` of items that are open.

    Args:
        bytes_read: After so many of lines it is enough.
    """
    summary = Summary()
    wanted = min(items.count, max(1, min(most, MOST_LOOKED_AT)))
    for text in _looked_at(items, wanted, seed):
        if bytes_read < 0:
            break
        if summary.items % _STEP == 0:
            progress(summary.items, wanted)
        summary.add(parse(text))
        bytes_read -= len(text)
    return Statistics(items.version, items.revision, items.count, summary.items, summary.keys(), summary.more_keys)


def _looked_at(items: Items, wanted: int, seed: int) -> Iterator[bytes]:
    if items.count <= wanted:
        yield from (line.text for line in items)
        return
    for n in _drawn(items.count, wanted, seed):
        yield items.lines(n, 1)[0]


@dataclass(frozen=True, slots=True)
class Diff:
    """What differs between two revisions: exact counts, and the first differences."""

    added: int
    removed: int
    changed: int
    rows: tuple[compare.Difference, ...]


def diff(
    depot: Depot,
    actor: Actor,
    key: Key,
    by: str,
    *,
    base: int | None = None,
    revision: int | None = None,
    base_version: Key | None = None,
) -> Diff:
    """Items that were added, removed or changed, told apart by the value at the path `by`.

    Args:
        base: The revision to compare with; the one before by default, or the newest of `base_version`.
        base_version: Another version to compare with; this one by default.

    Raises:
        Invalid: `by` is no path, or does not name each item by a value of its own.
        TooLarge: A side has more than 2,000,000 items.
    """
    with open_pair(depot, actor, key, base=base, revision=revision, base_version=base_version) as (old, new):
        return compared(old, new, by)


@contextmanager
def open_pair(
    depot: Depot,
    actor: Actor,
    key: Key,
    *,
    base: int | None = None,
    revision: int | None = None,
    base_version: Key | None = None,
) -> Iterator[tuple[Items, Items]]:
    """Both sides of a comparison, the older first; see `diff`."""
    with open_items(depot, actor, key, revision=revision) as new:
        if base is None and base_version is None:
            if new.revision == 1:
                raise Invalid(f"{new.version.label} has one revision only. Name another version to compare it with.")
            base = new.revision - 1
        with open_items(depot, actor, key if base_version is None else base_version, revision=base) as old:
            if max(new.count, old.count) > _COMPARED:
                raise TooLarge(f"At most {_COMPARED} items can be compared; get both and compare them locally.")
            yield old, new


def compared(old: Items, new: Items, by: str, *, progress: Callable[[int, int], None] = _silent) -> Diff:
    """`diff` of items that are open.

    Raises:
        Invalid: See `diff`.
    """
    counts = {"added": 0, "removed": 0, "changed": 0}
    rows: list[compare.Difference] = []
    larger = max(old.count, new.count)
    total = (old.count + new.count) * compare.readings(larger)
    done = 0

    def lines(items: Items) -> compare.Lines:
        def read() -> Iterator[tuple[int, bytes]]:
            nonlocal done
            for line in items:
                if done % _STEP == 0:
                    progress(done, total)
                done += 1
                yield line.n, line.text

        return read

    for one in compare.differences(path_of(by), lines(old), lines(new), larger):
        counts[one.what] += 1
        if len(rows) < _TOLD:
            rows.append(one)
    return Diff(counts["added"], counts["removed"], counts["changed"], tuple(rows))
