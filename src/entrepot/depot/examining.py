"""Examining what was committed: recognise, check and read out every new content, behind the commit.

    commit ──► a job, in its transaction ──► for each content and type that nobody examined yet
                                                 └──► a process that can be killed reads the bytes ──► its report

What is of no type and shows none is not handed on: there is no check for it, and a process for each of ten thousand
small files costs many times what storing them did.

Nothing is refused by it. The report stands beside the content, once for equal bytes, and what it tells of names and
columns is searched with the version. A job that is ended in the middle goes on behind what it wrote down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Protocol

from entrepot.catalog import entries as entry_rows
from entrepot.catalog import examinations as rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.contents import Place
from entrepot.catalog.work import Work
from entrepot.datatypes.peek import HEAD
from entrepot.depot import search
from entrepot.depot.contents import Located, locate_those, open_located
from entrepot.depot.context import Depot
from entrepot.depot.recognising import read_heads
from entrepot.model.data_types import Report, Standing
from entrepot.model.errors import EntrepotError
from entrepot.model.values import Kind

__all__ = ["EDITION", "JOB", "QUEUE", "Examiner", "Readable", "run"]

JOB: Final = rows.JOB
QUEUE: Final = rows.QUEUE

#: Of the checks and readers together. Raise it when they find other things than before: what an older edition said is
#: examined anew when somebody asks for a check.
EDITION: Final = 2

#: Entries that are looked up at a time.
_BATCH: Final = 200
#: Bytes that are examined before what was found is written down.
_MOST_AGAIN: Final = 64 << 20


class Readable(Protocol):
    """The bytes of one content."""

    @property
    def size(self) -> int: ...

    def read_at(self, offset: int, length: int) -> bytes: ...


class Examiner(Protocol):
    """Examines one content where it can do no harm; whatever happens there becomes a report."""

    def __call__(self, source: Readable, data_type: str | None) -> Report: ...


def run(depot: Depot, work: Work) -> None:
    """Examine what the revisions after `since` brought, or with `all` in the payload everything that one shows.

    A job handler.
    """
    payload = work.payload
    with depot.catalog.read() as conn:
        found = version_rows.find(conn, asking=None, n=payload["version"])
    if found is None or found.version.trash is not None or found.version.kind is not Kind.FILES:
        return
    if depot.examiner is None:
        return
    told = _Told()
    seen = 0
    for pairs in _batches(_pairs(depot, payload)):
        with depot.catalog.read() as conn:
            known = set() if payload.get("again") else rows.known(conn, list(pairs), EDITION)
            here = locate_those(conn, [pair[0] for pair in pairs if pair not in known])
        wanted = [pair for pair in pairs if pair not in known and pair[0] in here]
        unchecked = _unchecked(depot, [here[content] for content, data_type in wanted if data_type is None])
        for pair in wanted:
            work.progress(seen, None, "examining")
            seen += 1
            content, data_type = pair
            if data_type is None and content in unchecked:
                told.add(content, None, unchecked[content], here[content].measures.size)
            else:
                _examine(depot, depot.examiner, here[content], data_type, told)
            if told.is_much:
                depot.catalog.write(lambda conn: told.write(conn, depot))
                told.forget()
    work.finish(lambda conn: _finish(conn, depot, payload, told))


class _Told:
    """Reports that are not written down yet: a transaction for each would cost more than most of them."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(Standing, 0)
        self._waiting: dict[tuple[int, str | None], Report] = {}
        self._n_bytes = 0

    @property
    def is_much(self) -> bool:
        """What is lost when the process dies now is examined again."""
        return len(self._waiting) >= _BATCH or self._n_bytes >= _MOST_AGAIN

    def add(self, content: int, data_type: str | None, report: Report, size: int) -> None:
        self.counts[report.standing] += 1
        self._waiting[content, data_type] = report
        self._n_bytes += size

    def write(self, conn: Connection, depot: Depot) -> None:
        rows.put_many(conn, self._waiting, edition=EDITION, at=depot.now())

    def forget(self) -> None:
        self._waiting.clear()
        self._n_bytes = 0


def _finish(conn: Connection, depot: Depot, payload: Mapping[str, Any], told: _Told) -> Mapping[str, Any]:
    told.write(conn, depot)
    version_rows.hold(conn, payload["version"])
    found = version_rows.find(conn, asking=None, n=payload["version"])
    if found is not None and found.version.trash is None:
        # What was read out is searched too.
        search.write(conn, found.version)
    return {standing.value: count for standing, count in told.counts.items()}


def _examine(depot: Depot, examiner: Examiner, located: Located, data_type: str | None, told: _Told) -> None:
    try:
        with open_located(depot, located) as reader:
            told.add(located.content, data_type, examiner(reader, data_type), reader.size)
    except EntrepotError:
        # Gone meanwhile, or damaged where it is stored: that is for the scrub to tell, not for a report on the file.
        return


def _unchecked(depot: Depot, several: Sequence[Located]) -> dict[int, Report]:
    """The reports on those contents that show no type; the others may have to be read by the rules of theirs.

    The look at the beginnings is the one that is taken at every commit.
    """
    found: dict[int, Report] = {}
    for content, head in read_heads(depot, _places(several), HEAD):
        seen = depot.types.recognise("", head)
        if seen.data_type is None:
            found[content] = Report(Standing.UNCHECKED, None, None, seen.compression)
    return found


def _places(several: Sequence[Located]) -> dict[int, Place]:
    """Where those begin that are whole and in one piece."""
    found: dict[int, Place] = {}
    for one in several:
        if len(one.extents) == 1 and one.measures.damaged_at is None:
            (first,) = one.extents
            found[one.content] = Place(first.key, first.offset, first.length, one.measures.size)
    return found


def _pairs(depot: Depot, payload: Mapping[str, Any]) -> Iterator[tuple[int, str | None]]:
    """(content, type) of the entries that are meant."""
    version, revision = payload["version"], payload["revision"]
    if payload.get("all") or revision == 0:
        for row in entry_rows.iterate(depot.catalog, version, revision):
            yield row.content, row.dtype
        return
    # One by one, and not from the first to the last at once: a copy may show what the next revision took away again.
    for number in range(payload.get("since", revision - 1) + 1, revision + 1):
        try:
            for change in entry_rows.diff(depot.catalog, (version, number - 1), (version, number)):
                if change.after is not None and change.kind in ("added", "changed"):
                    yield change.after.content, change.after.dtype
        except EntrepotError:
            # One of the two revisions is no longer kept: the later ones are asked about themselves.
            continue


def _batches(pairs: Iterator[tuple[int, str | None]]) -> Iterator[dict[tuple[int, str | None], None]]:
    while batch := dict.fromkeys(islice(pairs, _BATCH)):
        yield batch
