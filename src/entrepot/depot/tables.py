"""Reading tables: rows by number, what fits a condition, another order, exports, statistics, differences, SQL.

Rows are numbered from 0 through all files of a revision, in the order in which the files were named, and stay where
they are for as long as the revision does. They are read from the canonical form beside each file; one that is missing
is made again by the first who asks.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from entrepot.catalog import derived as derived_rows
from entrepot.catalog import entries as entry_rows
from entrepot.catalog import ingests as ingest_rows
from entrepot.catalog import tasks as task_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.work import Work
from entrepot.depot import asking, lookup, paging, table_checks
from entrepot.depot.contents import open_content
from entrepot.depot.context import Depot
from entrepot.depot.entries import pin
from entrepot.depot.ingests import Part
from entrepot.depot.lookup import Key
from entrepot.depot.table_checks import FORM, REJECTS
from entrepot.depot.tabling import Effort, answer, ask, data_of, files_of
from entrepot.depot.uploads import blocks_of
from entrepot.model.access import Action, Actor
from entrepot.model.columns import Column, rules_of
from entrepot.model.errors import Corrupt, InProgress, Invalid, KindMismatch, NotFound, TooLarge, Unavailable
from entrepot.model.values import Kind, State, Task, TaskState, Version

__all__ = [
    "Pinned",
    "Queried",
    "Schema",
    "begin_in",
    "diff",
    "export",
    "pin_revision",
    "query",
    "rejects",
    "rows",
    "schema",
    "statistics",
]

SORT_JOB: Final = "table.sort"
SORT_QUEUE: Final = "ingest"

Format = Literal["csv", "ndjson", "arrow", "parquet"]

MEDIA_TYPES: Final[Mapping[Format, str]] = {
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}

#: Differences that are told.
_TOLD: Final = 1000
#: Tables that one query may name, and characters of it.
_TABLES, _SQL = 20, 100_000
#: Rows of an answer to a query that is JSON, and bytes of its values.
_JSON_ROWS: Final = 10_000
_JSON_BYTES: Final = 16 << 20
#: How long nobody begins again what failed.
_FAILED_FOR: Final = timedelta(minutes=10)
_ALIAS: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Pinned:
    """A revision of a table: its files, and the form by which they are read."""

    version: Version
    revision: int
    sources: tuple[int, ...]
    form: str | None
    files: tuple[int, ...]
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class Schema:
    """What a revision's columns are, and how many rows it has."""

    version: Version
    revision: int
    rows: int
    columns: tuple[Column, ...]


def pin_revision(depot: Depot, actor: Actor, key: Key, revision: int | None) -> Pinned:
    """What a revision of a table is read from; one whose canonical form is missing gets it again.

    Raises:
        KindMismatch: It is no table.
        NotFound: It has no rows yet, or no such revision.
    """
    with depot.catalog.read() as conn:
        found, wanted = pin(conn, actor, key, revision, action=Action.READ_CONTENT)
        version = found.version
        if version.kind is not Kind.TABLE:
            raise KindMismatch(f"{version.name} holds {version.kind}, no table; it has no rows.")
        if wanted == 0:
            raise NotFound(f"{version.name} has no rows yet ({version.state}).")
        listed: list[entry_rows.EntryRow] = []
        while page := entry_rows.page_by_position(
            conn, version.n, wanted, after=listed[-1].pos if listed else -1, limit=1000
        ):
            listed += page
        sources = tuple(row.content for row in listed)
        form, files, columns = _form(conn, version, wanted, sources)
    made = Pinned(version, wanted, sources, form, files, columns)
    return made if form is not None else _made_again(depot, made, [row.path for row in listed])


def _form(
    conn: Connection, version: Version, revision: int, sources: Sequence[int]
) -> tuple[str | None, tuple[int, ...], tuple[Column, ...]]:
    """The form that all files of a revision have, and where each is in it.

    Files may have several forms: when a column became wider, all were made anew, and earlier revisions are still read
    as they were.
    """
    known = derived_rows.kinds(conn, sources, FORM)
    common = set.intersection(*(set(known.get(one, ())) for one in sources)) if sources else set()
    if not common:
        return None, (), ()
    wanted: str | None = None
    columns: object = None
    for row in ingest_rows.of_version(conn, version.n, 1000):
        report = row.report or {}
        made = FORM + str(report.get("form"))
        if row.state == State.READY.value and report.get("revision", 0) <= revision and made in common:
            wanted, columns = made, report.get("columns")
            break
    if wanted is None:
        # A copy has no ingests of its own; what its source declared came with it.
        declared = version.declared if isinstance(version.declared, Mapping) else {}
        own = FORM + str(declared.get("form"))
        wanted = own if own in common else min(common)
        columns = declared.get("columns") if own == wanted else None
    told = rules_of({"columns": columns}).columns or ()
    return wanted.removeprefix(FORM), tuple(known[one][wanted] for one in sources), told


def _made_again(depot: Depot, pinned: Pinned, names: Sequence[str]) -> Pinned:
    """Make the canonical form of files that lost it, by what the version declares."""
    rules = rules_of(pinned.version.declared)
    with ExitStack() as opened:
        parts = []
        for name, content in zip(names, pinned.sources, strict=True):
            reader = opened.enter_context(open_content(depot, content))
            parts.append(Part(name, content, reader.size, reader))
        done = table_checks.convert(depot, parts, rules, lambda _read: None)
    if not done.said["good"]:
        raise Corrupt(f"{pinned.version.label} cannot be read as the table that it was. Run `entrepot verify`.")
    columns = rules_of({"columns": done.said["columns"]}).columns or ()
    form = table_checks.form_of(columns, rules)
    made = [(pinned.sources[i], one) for i, one in done.files.items()]
    depot.catalog.write(lambda conn: table_checks.keep(conn, made=made, form=form, at=depot.now()))
    with depot.catalog.read() as conn:
        known = derived_rows.find(conn, pinned.sources, FORM + form)
    files = tuple(known[one] for one in pinned.sources)
    return Pinned(pinned.version, pinned.revision, pinned.sources, form, files)


def schema(depot: Depot, actor: Actor, key: Key, *, revision: int | None = None) -> Schema:
    """The columns of a revision.

    Raises:
        KindMismatch: It is no table.
        NotFound: It has no rows yet, or no such revision.
    """
    pinned = pin_revision(depot, actor, key, revision)
    with ExitStack() as stack:
        paths = files_of(depot, pinned.files, stack)
        abouts = [answer(depot, {"do": "about", "paths": [path]}, Effort.READ)[0] for path in paths]
    # What is written in a file is what was known of that file: whether values are missing is said of all together.
    columns = pinned.columns or rules_of({"columns": abouts[0]["columns"]}).columns or ()
    return Schema(pinned.version, pinned.revision, sum(one["rows"] for one in abouts), tuple(columns))


@dataclass(frozen=True, slots=True)
class RowPage:
    """Some rows, as JSON: `columns`, `total`, `rows` (each with `n` and `values`), `next`."""

    version: Version
    revision: int
    body: bytes


def rows(
    depot: Depot,
    actor: Actor,
    key: Key,
    *,
    first: int = 0,
    limit: int = 100,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    sort: str | None = None,
    revision: int | None = None,
) -> RowPage:
    """Rows from number `first` on; in the table's own order one read of a part of one file, wherever it is.

    Args:
        where: Only rows that fit, see `entrepot.tabular.reading`. A page may then have few rows and still a next.
        sort: A column, with `-` before it from the greatest on; nulls come last. `first` then counts in that order.
            The first who asks for an order starts the task that makes it.

    Raises:
        Invalid: There is no such column, or the condition cannot be read.
        InProgress: The order is being made; `details` names the task.
    """
    size = paging.size(depot, limit)
    pinned = pin_revision(depot, actor, key, revision)
    files: Sequence[int] = pinned.files
    if sort is not None:
        files = [_in_order(depot, actor, pinned, sort)]
    with ExitStack() as stack:
        request = {
            "do": "page",
            "paths": files_of(depot, files, stack),
            "first": first,
            "limit": size,
            "columns": None if columns is None else list(columns),
            "where": where,
        }
        return RowPage(pinned.version, pinned.revision, answer(depot, request, Effort.READ)[1])


# --- another order ----------------------------------------------------------------------------------------------------


def _order_kind(pinned: Pinned, sort: str) -> str:
    said = json.dumps([pinned.form, pinned.sources, sort])
    return "order-" + hashlib.sha256(said.encode()).hexdigest()[:24]


def _in_order(depot: Depot, actor: Actor, pinned: Pinned, sort: str) -> int:
    """The content that holds the table in this order, or the task that makes it."""
    kind = _order_kind(pinned, sort)
    with depot.catalog.read() as conn:
        found = derived_rows.find(conn, [pinned.sources[0]], kind).get(pinned.sources[0])
    if found is not None:
        return found
    column = sort.removeprefix("-")
    with ExitStack() as stack:
        # What cannot be sorted is refused now, not by a task.
        paths = files_of(depot, pinned.files[:1], stack)
        about = answer(depot, {"do": "about", "paths": paths}, Effort.READ)[0]
    known = {one["name"]: one for one in about["columns"]}
    if column not in known:
        raise Invalid(f"There is no column {column[:200]!r} to sort by.")
    if known[column]["list"] or known[column]["type"] == "JSON":
        raise Invalid(f"Column {column!r} holds {known[column]['type']} values; they have no order.")

    task = depot.catalog.write(lambda conn: begin_in(conn, depot, actor, pinned, SORT_JOB, kind, {"sort": sort}))
    raise InProgress(
        f"The rows of {pinned.version.label} are being put in the order of {sort!r}. Ask again in a moment.",
        details={"task": task.uid.hex, "retry_after_s": 1},
    )


def begin_in(
    conn: Connection, depot: Depot, actor: Actor, pinned: Pinned, job: str, kind: str, further: Mapping[str, Any]
) -> Task:
    """The task that makes something of a whole revision, begun now or by somebody before.

    Args:
        kind: The name under which what it makes is kept beside the first file.

    Raises:
        Unavailable: It failed a moment ago.
        TooLarge: The caller has too many tasks that wait or run.
    """
    waiting = _waiting(conn, depot, pinned.version.n, job, kind)
    if waiting is not None:
        return waiting
    payload = {
        "version": pinned.version.n,
        "kind": kind,
        "sources": list(pinned.sources),
        "files": list(pinned.files),
        **further,
    }
    return asking.begin(
        conn,
        depot,
        job,
        payload,
        on=SORT_QUEUE,
        starter=actor.user,
        project=pinned.version.project,
        version=pinned.version.n,
    )


def _waiting(conn: Connection, depot: Depot, version: int, job: str, kind: str) -> Task | None:
    task = task_rows.of_version(conn, version, job)
    if task is None or task.state in (TaskState.DONE, TaskState.CANCELLED):
        return None
    about = task_rows.about(conn, task.n)
    if about is None or about.payload.get("kind") != kind:
        return None
    if task.state is not TaskState.FAILED:
        return task
    if task.ended_at is None or task.ended_at < depot.now() - _FAILED_FOR:
        return None
    # Whoever waits asks every second: what failed a moment ago would fail again and again.
    why = (task.error or {}).get("message") or (task.error or {}).get("detail") or "The work failed."
    raise Unavailable(f"{why} It is tried again on request after {_FAILED_FOR.seconds // 60} minutes.")


def sort(depot: Depot, work: Work) -> None:
    """Make a table in another order. A job handler."""
    said = work.payload
    descending = said["sort"].startswith("-")
    with ExitStack() as stack:
        request = {
            "do": "sort",
            "paths": files_of(depot, said["files"], stack),
            "column": said["sort"].removeprefix("-"),
            "descending": descending,
        }
        frames = stack.enter_context(ask(depot, request, Effort.WORK))
        made = table_checks.put_object(depot, data_of(frames))
    source = said["sources"][0]

    def facts(conn: Connection) -> Mapping[str, Any]:
        table_checks.name_derived(conn, made, source, said["kind"], depot.now())
        return {"sort": said["sort"]}

    work.finish(facts)


# --- exports, statistics, differences ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Exported:
    """A table in another form, streamed; close what was begun."""

    version: Version
    revision: int
    format: Format
    file_name: str
    blocks: Iterator[bytes]


def export(
    depot: Depot,
    actor: Actor,
    key: Key,
    *,
    format: Format = "csv",
    columns: Sequence[str] | None = None,
    revision: int | None = None,
) -> Exported:
    """All rows as CSV, Parquet, an Arrow stream or NDJSON. An error in the middle is raised there."""
    pinned = pin_revision(depot, actor, key, revision)
    suffix = "parquet" if format == "parquet" else format
    name = f"{pinned.version.slug}.{suffix}"

    def blocks() -> Iterator[bytes]:
        with ExitStack() as stack:
            request = {
                "do": "export",
                "paths": files_of(depot, pinned.files, stack),
                "format": format,
                "columns": None if columns is None else list(columns),
            }
            yield from data_of(stack.enter_context(ask(depot, request, Effort.READ)))

    return Exported(pinned.version, pinned.revision, format, name, blocks())


def statistics(
    depot: Depot, actor: Actor, key: Key, *, columns: Sequence[str] | None = None, revision: int | None = None
) -> tuple[Pinned, Mapping[str, Any]]:
    """Of each column: nulls, different values, bounds, mean, a histogram, the most frequent values."""
    pinned = pin_revision(depot, actor, key, revision)
    with ExitStack() as stack:
        request = {
            "do": "statistics",
            "paths": files_of(depot, pinned.files, stack),
            "columns": None if columns is None else list(columns),
        }
        return pinned, answer(depot, request, Effort.READ)[0]


def diff(
    depot: Depot,
    actor: Actor,
    key: Key,
    *,
    by: Sequence[str] = (),
    base: int | None = None,
    base_version: Key | None = None,
    revision: int | None = None,
    limit: int = _TOLD,
) -> Mapping[str, Any]:
    """Rows that were added, removed or changed, and columns.

    Args:
        by: Columns that tell rows apart; without any, whole rows are compared, and none is changed.
        base: The revision to compare with; the one before by default, or the newest of `base_version`.

    Raises:
        Invalid: A key is no column of both, or does not name each row.
    """
    new = pin_revision(depot, actor, key, revision)
    if base is None and base_version is None:
        if new.revision == 1:
            raise Invalid(f"{new.version.label} has one revision only. Name another version to compare it with.")
        base = new.revision - 1
    old = pin_revision(depot, actor, key if base_version is None else base_version, base)
    with ExitStack() as stack:
        request = {
            "do": "difference",
            "old": files_of(depot, old.files, stack),
            "new": files_of(depot, new.files, stack),
            "by": list(by),
            "limit": max(0, min(limit, _TOLD)),
        }
        found: Mapping[str, Any] = answer(depot, request, Effort.WORK)[0]
    return found


# --- SQL --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Queried:
    """An answer to SQL.

    Args:
        body: An Arrow stream, or JSON: `columns`, `rows`, `more`.
        more: There are more rows than were given.
    """

    rows: int
    more: bool
    body: bytes


def query(
    depot: Depot,
    actor: Actor,
    sql: str,
    tables: Mapping[str, tuple[Key, int | None]],
    *,
    limit: int | None = None,
    arrow: bool = True,
) -> Queried:
    """Answer one SELECT over tables that the caller may read.

    Runs in a process of its own that can open no file and no connection, with little memory and little time.

    Args:
        tables: By the name that the query calls them: version and revision.
        arrow: Answer with an Arrow stream; else with JSON, of at most 10,000 rows.

    Raises:
        Invalid: It is no SELECT that can be understood, or names a table that was not given.
        Unsupported: It is several statements, or no SELECT, or wants files.
        TooLarge: It takes more time or memory than a query may.
    """
    if len(sql) > _SQL:
        raise TooLarge(f"A query has at most {_SQL} characters.")
    if len(tables) > _TABLES:
        raise TooLarge(f"A query names at most {_TABLES} tables.")
    for name in tables:
        if not _ALIAS.fullmatch(name):
            raise Invalid(f"{name[:80]!r} cannot be the name of a table in a query: letters, digits and _ only.")
    # As JSON every value is an object of this process for a moment.
    bound = depot.limits.query_rows if arrow else min(depot.limits.query_rows, _JSON_ROWS)
    most = bound if limit is None else max(1, min(limit, bound))
    with ExitStack() as stack:
        lent: dict[str, list[str]] = {}
        for name, (key, revision) in tables.items():
            lent[name] = files_of(depot, pin_revision(depot, actor, key, revision).files, stack)
        size = depot.limits.query_bytes if arrow else min(depot.limits.query_bytes, _JSON_BYTES)
        request = {"do": "query", "sql": sql, "tables": lent, "limit": most, "size": size, "arrow": arrow}
        said, data = answer(depot, request, Effort.QUERY)
    return Queried(said["rows"], said["more"], data)


# --- what was refused -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rejected:
    """What the newest check said; `blocks` is the list of bad rows as NDJSON, longer than that of the report."""

    version: Version
    report: Mapping[str, Any]
    blocks: Iterator[bytes]


def rejects(depot: Depot, actor: Actor, key: Key) -> Rejected:
    """The bad rows of the newest check.

    Raises:
        NotFound: Nothing was checked yet.
    """
    with depot.catalog.read() as conn:
        version = lookup.version(conn, actor, key, Action.READ_CONTENT).version
        if version.kind is not Kind.TABLE:
            raise KindMismatch(f"{version.name} holds {version.kind}, no table; it has no rows.")
        ended = (State.READY.value, State.FAILED.value)
        newest = next((row for row in ingest_rows.of_version(conn, version.n, 1000) if row.state in ended), None)
        if newest is None:
            raise NotFound(f"Nothing was checked yet of {version.name}.")
        report: Mapping[str, Any] = newest.report or {}
        kind, source = report.get("rejects"), report.get("rejects_of")
        known = None
        if isinstance(kind, str) and kind.startswith(REJECTS) and isinstance(source, int):
            known = derived_rows.find(conn, [source], kind).get(source)

    def blocks() -> Iterator[bytes]:
        if known is None:
            for one in report.get("errors", ()):
                yield json.dumps(one, ensure_ascii=False).encode() + b"\n"
            return
        with open_content(depot, known) as reader:
            yield from blocks_of(reader.read_at, 0, reader.size)

    return Rejected(version, {k: v for k, v in report.items() if k != "rejects_of"}, blocks())
