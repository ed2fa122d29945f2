"""Refusing files that are not what they should be, in projects whose setting `refuse_invalid` says so.

Off, which it is unless somebody sets it, a check refuses nothing: what it finds stands in the report. On, files are
examined before the transaction that would name them, and one that is bad makes the request fail with everything that
was found. What cannot be judged in time is let in, and its report says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, Final

from entrepot.catalog import examinations as rows
from entrepot.catalog import projects as project_rows
from entrepot.catalog.connection import Connection
from entrepot.depot.changes import Add, Brought, Change
from entrepot.depot.contents import open_content
from entrepot.depot.context import Depot
from entrepot.depot.examining import EDITION, Readable
from entrepot.depot.recognising import HEAD, contents_of, guess
from entrepot.model.access import Actor
from entrepot.model.data_types import Report, Standing
from entrepot.model.errors import Invalid

__all__ = [
    "SETTING",
    "Waiting",
    "is_on",
    "require_good",
    "require_good_arrival",
    "require_good_changes",
    "require_good_files",
]

#: Of a project.
SETTING: Final = "refuse_invalid"

#: Findings of one file that a refusal repeats, and files of which it does.
_TOLD: Final = 20
_FILES: Final = 100


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file that is stored, and named by nothing yet.

    Args:
        read: Its bytes, to be asked for once.
    """

    path: str
    data_type: str | None
    read: Callable[[], AbstractContextManager[Readable]]


def is_on(conn: Connection, depot: Depot, project: int) -> bool:
    """Whether files of this project are refused when they are bad."""
    if depot.examiner is None:
        return False
    return project_rows.settings(conn, project).get(SETTING) is True


def require_good(depot: Depot, path: str, source: Readable, data_type: str | None) -> None:
    """Examine one file that is on its way into a project that refuses bad ones.

    Raises:
        Invalid: It is bad; `errors` has what was found.
    """
    assert depot.examiner is not None
    _raise_for([(path, depot.examiner(source, data_type))])


def require_good_arrival(depot: Depot, project: int | None, path: str, source: Readable, data_type: str | None) -> None:
    """Examine a file that came, if the project that it goes to refuses bad ones.

    Args:
        data_type: As it was declared; None is what its bytes and its name say.

    Raises:
        Invalid: It is bad; `errors` has what was found.
    """
    if depot.examiner is None or project is None:
        return
    with depot.catalog.read() as conn:
        if not is_on(conn, depot, project):
            return
    kind = data_type or guess(depot, path, source.read_at(0, HEAD), source.size)
    require_good(depot, path, source, kind)


def require_good_files(depot: Depot, project: int, files: Iterable[Waiting]) -> None:
    """Examine files that are stored and wait to be named, if the project that they go to refuses bad ones.

    Raises:
        Invalid: Files are bad; `errors` has what was found.
    """
    with depot.catalog.read() as conn:
        if not is_on(conn, depot, project):
            return
    assert depot.examiner is not None
    judged: list[tuple[str, Report]] = []
    for one in files:
        with one.read() as source:
            report = depot.examiner(source, one.data_type)
        # Of many files only the bad ones are worth remembering.
        if report.standing is Standing.BAD and len(judged) < _FILES:
            judged.append((one.path, report))
    _raise_for(judged)


def require_good_changes(
    depot: Depot, actor: Actor, home: Callable[[Connection], int | None], changes: Sequence[Change]
) -> None:
    """Examine what a commit adds, unless it was examined before.

    Args:
        home: The number of the project that it goes to; None if that cannot be told, which the commit itself refuses.

    Raises:
        Invalid: Files are bad; `errors` has what was found.
    """
    if depot.examiner is None:
        return
    with depot.catalog.read() as conn:
        project = home(conn)
        if project is None or not is_on(conn, depot, project):
            return
        adds = [one for one in changes if isinstance(one, Add) and one.source is None]
        contents = contents_of(conn, actor, adds)
        wanted = {one.path: (contents.get((one.upload, one.sha256)), one.data_type) for one in adds}
        for one in changes:
            if isinstance(one, Brought):
                wanted |= {put.path: (put.content, put.dtype) for put in one.files}
        known = rows.find_many(conn, [(n, kind) for n, kind in wanted.values() if n is not None], edition=EDITION)
    judged: list[tuple[str, Report]] = []
    for path, (content, kind) in wanted.items():
        if content is None:
            continue
        if (content, kind) not in known:
            report = _examine(depot, content, kind)
            known[content, kind] = report, depot.now()
        judged.append((path, known[content, kind][0]))
    _raise_for(judged)


def _examine(depot: Depot, content: int, data_type: str | None) -> Report:
    assert depot.examiner is not None
    with ExitStack() as opened:
        report = depot.examiner(opened.enter_context(open_content(depot, content)), data_type)
    depot.catalog.write(lambda conn: rows.put(conn, content, data_type, report, edition=EDITION, at=depot.now()))
    return report


def _raise_for(judged: Sequence[tuple[str, Report]]) -> None:
    bad = [(path, report) for path, report in judged if report.standing is Standing.BAD]
    if not bad:
        return
    path, report = bad[0]
    first = report.findings[0].message if report.findings else "It is bad."
    more = f" {len(bad) - 1} more files are bad; see errors." if len(bad) > 1 else ""
    raise Invalid(
        f"{path!r} is no good {report.examined_as}: {first}{more} This project refuses such files.",
        details={"files": len(bad)},
        errors=[fault for where, one in bad for fault in _faults(where, one)],
    )


def _faults(path: str, report: Report) -> list[dict[str, Any]]:
    told = []
    for one in report.findings[:_TOLD]:
        places = {"line": one.line, "record": one.record, "offset": one.offset}
        found = {name: place for name, place in places.items() if place is not None}
        told.append({"path": path, "code": one.code, "detail": one.message, **found})
    return told
