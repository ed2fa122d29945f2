"""Examining what was committed: recognise, check and read out every new content, behind the commit.

    commit ──► a job, in its transaction ──► for each content and type that nobody examined yet
                                                 └──► a process that can be killed reads the bytes ──► its report

Nothing is refused by it. The report stands beside the content, once for equal bytes, and what it tells of names and
columns is searched with the version. A job that is ended in the middle goes on behind what it wrote down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, Protocol

from entrepot.catalog import entries as entry_rows
from entrepot.catalog import examinations as rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.work import Work
from entrepot.depot import search
from entrepot.depot.contents import open_content
from entrepot.depot.context import Depot
from entrepot.model.data_types import Report, Standing
from entrepot.model.errors import EntrepotError
from entrepot.model.values import Kind

__all__ = ["EDITION", "JOB", "QUEUE", "Examiner", "Readable", "run"]

JOB: Final = rows.JOB
QUEUE: Final = rows.QUEUE

#: Of the checks and readers together. Raise it when they find other things than before: what an older edition said is
#: examined anew when somebody asks for a check.
EDITION: Final = 1

#: Entries that are looked up at a time.
_BATCH: Final = 200


class Readable(Protocol):
    """The bytes of one content."""

    @property
    def size(self) -> int: ...

    def read_at(self, offset: int, length: int) -> bytes: ...


class Examiner(Protocol):
    """Examines one content where it can do no harm; whatever happens there becomes a report."""

    def __call__(self, source: Readable, data_type: str | None) -> Report: ...


def run(depot: Depot, work: Work) -> None:
    """Examine what a revision brought, or with `all` in the payload everything that it shows. A job handler."""
    payload = work.payload
    with depot.catalog.read() as conn:
        found = version_rows.find(conn, asking=None, n=payload["version"])
    if found is None or found.version.trash is not None or found.version.kind is not Kind.FILES:
        return
    if depot.examiner is None:
        return
    counts = dict.fromkeys(Standing, 0)
    seen = 0
    for pairs in _batches(_pairs(depot, payload)):
        with depot.catalog.read() as conn:
            known = set() if payload.get("again") else rows.known(conn, list(pairs), EDITION)
        for content, data_type in pairs:
            work.progress(seen, None, "examining")
            seen += 1
            if (content, data_type) not in known:
                report = _examine(depot, depot.examiner, content, data_type)
                if report is not None:
                    counts[report.standing] += 1
                    _keep(depot, content, data_type, report)
    told = {standing.value: count for standing, count in counts.items()}
    work.finish(lambda conn: _finish(conn, payload, told))


def _finish(conn: Connection, payload: Mapping[str, Any], told: Mapping[str, int]) -> Mapping[str, Any]:
    version_rows.hold(conn, payload["version"])
    found = version_rows.find(conn, asking=None, n=payload["version"])
    if found is not None and found.version.trash is None:
        # What was read out is searched too.
        search.write(conn, found.version)
    return told


def _keep(depot: Depot, content: int, data_type: str | None, report: Report) -> None:
    depot.catalog.write(lambda conn: rows.put(conn, content, data_type, report, edition=EDITION, at=depot.now()))


def _examine(depot: Depot, examiner: Examiner, content: int, data_type: str | None) -> Report | None:
    try:
        with open_content(depot, content) as reader:
            return examiner(reader, data_type)
    except EntrepotError:
        # Gone meanwhile, or damaged where it is stored: that is for the scrub to tell, not for a report on the file.
        return None


def _pairs(depot: Depot, payload: Mapping[str, Any]) -> Iterator[tuple[int, str | None]]:
    """(content, type) of the entries that are meant."""
    version, revision = payload["version"], payload["revision"]
    if payload.get("all") or revision == 0:
        for row in entry_rows.iterate(depot.catalog, version, revision):
            yield row.content, row.dtype
        return
    try:
        for change in entry_rows.diff(depot.catalog, (version, revision - 1), (version, revision)):
            if change.after is not None and change.kind in ("added", "changed"):
                yield change.after.content, change.after.dtype
    except EntrepotError:
        # One of the two revisions is no longer kept: later ones had a job of their own.
        return


def _batches(pairs: Iterator[tuple[int, str | None]]) -> Iterator[dict[tuple[int, str | None], None]]:
    while batch := dict.fromkeys(islice(pairs, _BATCH)):
        yield batch
