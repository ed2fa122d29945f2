"""What was found out about entries: their reports, saying what they are, and asking for a new check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from entrepot.catalog import entries as entry_rows
from entrepot.catalog import examinations as rows
from entrepot.catalog import queue
from entrepot.catalog import tasks as task_rows
from entrepot.catalog.connection import Connection
from entrepot.depot import entries, lookup, paging
from entrepot.depot.context import Depot
from entrepot.depot.entries import Add, Committed
from entrepot.depot.lookup import Key
from entrepot.model.access import Action, Actor
from entrepot.model.data_types import Report, Standing
from entrepot.model.errors import KindMismatch, TooLarge, Unavailable
from entrepot.model.values import Entry, Kind, Page, Task, Version

__all__ = ["EntryReport", "check", "declare", "list_reports", "report"]

#: Entries that a page of reports looks through at most when only some standings are asked for.
_LOOKED_THROUGH = 10_000


@dataclass(frozen=True, slots=True)
class EntryReport:
    """An entry and what was found out about its bytes.

    Args:
        report: None until they were examined.
        examined_at: None likewise.
    """

    entry: Entry
    report: Report | None
    examined_at: datetime | None


def report(
    depot: Depot, actor: Actor, key: Key, path: str, *, revision: int | None = None
) -> tuple[Version, int, EntryReport]:
    """The report of one entry.

    Raises:
        EntryNotFound: The revision has none at this path.
    """
    with depot.catalog.read() as conn:
        found, wanted = entries.pin(conn, actor, key, revision, action=Action.READ_CONTENT)
        entry = entries.stamped(conn, [entries.entry_at(conn, found.version, wanted, path)])[0]
        return found.version, wanted, _with_reports(conn, [entry])[0]


def list_reports(
    depot: Depot,
    actor: Actor,
    key: Key,
    *,
    revision: int | None = None,
    standings: Sequence[Standing] = (),
    data_type: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> tuple[Version, int, Page[EntryReport]]:
    """Entries with their reports in path order; the pages stay with the revision of the first.

    With `standings` or `data_type` only such are shown. A page looks through a bounded number of entries, so it may be
    short, or empty, and still have another one behind it.
    """
    size = paging.size(depot, limit)
    chosen = tuple(sorted(one.value for one in standings))
    question = f"reports:{key}:{chosen}:{data_type}"
    last = paging.after(cursor, question, int, str)
    with depot.catalog.read() as conn:
        asked, after = (revision, None) if last is None else last
        found, wanted = entries.pin(conn, actor, key, asked, action=Action.READ_CONTENT)
        shown: list[EntryReport] = []
        looked = 0
        while True:
            page = entry_rows.page(conn, found.version.n, wanted, after=after, limit=size + 1)
            listed = _with_reports(conn, entries.stamped(conn, page))
            looked += len(listed)
            fitting = [one for one in listed if _fits(one, standings, data_type)]
            shown += fitting
            after = page[-1].path if page else after
            if len(page) <= size or len(shown) > size or looked >= _LOOKED_THROUGH:
                break
    result = paging.page(shown, size, question, lambda one: (wanted, one.entry.path))
    if result.cursor is None and len(page) > size and after is not None:
        # Nothing more fits here, but not everything was looked through.
        marker = EntryReport(entries.entry_of(page[-1]), None, None)
        result = Page(
            result.rows, paging.page([marker, marker], 1, question, lambda one: (wanted, one.entry.path)).cursor
        )
    return found.version, wanted, result


def _fits(one: EntryReport, standings: Sequence[Standing], data_type: str | None) -> bool:
    if data_type is not None and one.entry.data_type != data_type:
        return False
    return not standings or (one.report is not None and one.report.standing in standings)


def _with_reports(conn: Connection, listed: Sequence[Entry]) -> list[EntryReport]:
    known = rows.find_many(conn, [(entry.content, entry.data_type) for entry in listed])
    out = []
    for entry in listed:
        found, at = known.get((entry.content, entry.data_type), (None, None))
        out.append(EntryReport(entry, found, at))
    return out


def declare(
    depot: Depot,
    actor: Actor,
    key: Key,
    types: Mapping[str, str],
    *,
    expected: int | None = None,
    message: str = "",
) -> Committed:
    """Say what entries are, by path, as one revision; what they were taken for before does not count.

    Raises:
        Invalid: There is no such type.
        EntryNotFound: There is no such entry.
        StaleRevision: `expected` is not the newest revision.
    """
    changes = [
        Add(path, source=(key, expected, path), data_type=kind, condition="present") for path, kind in types.items()
    ]
    return entries.commit(depot, actor, key, changes, expected=expected, message=message or "Say what files are")


def check(depot: Depot, actor: Actor, key: Key) -> Task:
    """Examine everything that a version shows once more, as a task.

    Raises:
        KindMismatch: Tables and records are checked when they are taken in.
        Unavailable: Nobody examines files on this server.
        TooLarge: The caller has too many tasks that wait or run.
    """
    now = depot.now()

    def work(conn: Connection) -> Task:
        version = lookup.hold(conn, actor, key, Action.EDIT).version
        if depot.examiner is None:
            raise Unavailable("This server examines no files: it runs on a system without the means.")
        if version.kind is not Kind.FILES:
            raise KindMismatch(f"{version.label} is of kind {version.kind}, which is checked when it is taken in.")
        if actor.user is not None and task_rows.count_open(conn, actor.user) >= depot.limits.tasks_per_user:
            raise TooLarge(f"You have {depot.limits.tasks_per_user} unfinished tasks. Wait for some, or cancel them.")
        n = queue.enqueue(
            conn,
            uid=depot.new_uid(),
            queue=rows.QUEUE,
            kind=rows.JOB,
            payload={
                "version": version.n,
                "revision": version.revision,
                "all": True,
                "again": True,
                "door": actor.door,
                "token": actor.token,
                "node": actor.node,
            },
            now=now,
            starter=actor.user,
            project=version.project,
            version=version.n,
        )
        depot.catalog.after_commit(conn, lambda: depot.wake(rows.QUEUE))
        made = task_rows.find(conn, n=n)
        assert made is not None
        return made

    return depot.catalog.write(work)
