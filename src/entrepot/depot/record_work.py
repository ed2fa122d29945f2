"""What is asked of whole records: statistics, differences, tables of them.

    small  answered at once, by whoever asks
    large  a task: the worker reads, and the answer is kept in the task's row, or as bytes beside the first file

Revisions never change, so an answer is right for ever: whoever asks the same again gets what is kept. A question that
is under way is not begun a second time by whoever began it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from entrepot.catalog import contents as content_rows
from entrepot.catalog import derived as derived_rows
from entrepot.catalog import tasks as task_rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.entry_values import EntryRow
from entrepot.catalog.work import Work
from entrepot.depot import asking, lookup, records
from entrepot.depot.contents import ContentReader, locate, open_located
from entrepot.depot.context import Depot
from entrepot.depot.entries import pin
from entrepot.depot.lookup import Key
from entrepot.depot.records import Diff, Items, Statistics
from entrepot.model.access import Action, Actor
from entrepot.model.errors import Invalid, KindMismatch, NotFound
from entrepot.model.values import Kind, Task, TaskState, Version
from entrepot.records import arrow, tables
from entrepot.records.select import path_of

__all__ = ["Format", "Kept", "diff", "export", "run", "statistics", "told", "told_statistics"]

JOB: Final = records.JOB
QUEUE: Final = records.QUEUE

#: Bytes of lines that somebody who waits for an answer has read for them; more is a task.
AT_ONCE: Final = records.AT_ONCE
#: Bytes that a task reads for statistics.
_READ: Final = 1 << 30
#: Characters of all keys that a kept comparison tells.
_KEYS_TOLD: Final = 1 << 18

Format = Literal["csv", "arrow", "parquet"]
_MEDIA_TYPES: Final[Mapping[str, str]] = {
    "csv": "text/csv; charset=utf-8",
    "arrow": "application/vnd.apache.arrow.file",
    "parquet": "application/vnd.apache.parquet",
}

Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """A table that was made of records, open for reading; to be closed.

    Args:
        tag: No other bytes have the same.
    """

    version: Version
    revision: int
    format: Format
    media_type: str
    size: int
    tag: str
    reader: ContentReader

    @property
    def file_name(self) -> str:
        """The name to save it by."""
        return f"{self.version.slug}.{self.format}"


# Asking


def statistics(
    depot: Depot, actor: Actor, key: Key, *, most: int = 10_000, seed: int = 0, revision: int | None = None
) -> Answer | Task:
    """Which keys there are, how often, of which types and how far they reach; see `records.statistics`.

    Raises:
        Unauthenticated: It takes a task, and nobody is logged in to own it.
        TooLarge: The caller has too many tasks that wait or run.
    """
    with records.open_items(depot, actor, key, revision=revision) as items:
        wanted = max(1, min(most, records.MOST_LOOKED_AT, items.count))
        if items.size * wanted <= AT_ONCE * max(1, items.count):
            return told_statistics(records.summarised(items, wanted, seed))
        return _ask(depot, actor, items.version, items.revision, {"what": "statistics", "most": wanted, "seed": seed})


def diff(
    depot: Depot,
    actor: Actor,
    key: Key,
    by: str,
    *,
    base: int | None = None,
    revision: int | None = None,
    base_version: Key | None = None,
) -> Answer | Task:
    """Items that were added, removed or changed; see `records.diff`.

    Raises:
        Invalid: `by` is no path, or does not name each item by a value of its own.
        TooLarge: A side has more than 2,000,000 items, or the caller too many tasks.
        Unauthenticated: It takes a task, and nobody is logged in to own it.
    """
    path_of(by)
    with records.open_pair(depot, actor, key, base=base, revision=revision, base_version=base_version) as (old, new):
        if old.size + new.size <= AT_ONCE:
            return told(records.compared(old, new, by))
        asked = {"what": "diff", "by": by, "base_version": old.version.n, "base": old.revision}
        # A task is seen by those who read in the version's project: what another project holds is not for them all.
        own = old.version.project == new.version.project
        return _ask(depot, actor, new.version, new.revision, asked, shared=own)


def export(depot: Depot, actor: Actor, key: Key, form: Format, *, revision: int | None = None) -> Kept | bytes | Task:
    """The items as one table in a file. A small CSV is made at once; everything else by a task, kept beside the
    records, and found by whoever asks again.

    Raises:
        Invalid: There is no such form.
        NotFound: The version has no items yet.
    """
    if form not in get_args(Format):
        raise Invalid(f"There is no form {lookup.said(form)}. There are {', '.join(get_args(Format))}.")
    with depot.catalog.read() as conn:
        found, wanted = pin(conn, actor, key, revision, action=Action.READ_CONTENT)
        version = found.version
        if version.kind is not Kind.RECORDS:
            raise KindMismatch(f"{version.name} holds {version.kind}, not records; it has no items.")
        files = records.files_of(conn, version, wanted) if wanted else []
        if not files:
            raise NotFound(f"{version.name} has no items yet ({version.state}).")
        made = derived_rows.find(conn, [files[0].content], _name(form, files)).get(files[0].content)
        located = None if made is None else locate(conn, made)
    if located is None:
        if form == "csv" and sum(one.size for one in files) <= AT_ONCE:
            with records.items_of(depot, version, wanted) as items:
                columns = tables.columns(line.text for line in items)
                # Of many keys that few items have, most of the table is commas.
                if len(columns) * items.count <= AT_ONCE:
                    return b"".join(tables.to_csv((line.text for line in items), columns))
        asked = {"what": "export", "format": form}
        begun = _ask(depot, actor, version, wanted, asked, again=True)
        assert isinstance(begun, Task)
        return begun
    reader = open_located(depot, located)
    return Kept(version, wanted, form, _MEDIA_TYPES[form], reader.size, f"table-{located.content}", reader)


def _name(form: str, files: Sequence[EntryRow]) -> str:
    """Under which name a table is kept beside the first file: of all files, in their order."""
    if len(files) == 1:
        return f"table.{form}"
    return f"table.{form}.{hashlib.sha256(b''.join(one.sha256 for one in files)).hexdigest()}"


def _ask(
    depot: Depot,
    actor: Actor,
    version: Version,
    revision: int,
    asked: Mapping[str, Any],
    *,
    shared: bool = True,
    again: bool = False,
) -> Answer | Task:
    """What is known already, the caller's own task that is finding it out, or a new one.

    Args:
        shared: The task belongs to the version's project, so its readers may see it.
        again: What an ended task said is not the answer.
    """
    user = lookup.person(actor)
    payload = {"version": version.n, "revision": revision, **asked}

    def work(conn: Connection) -> Answer | Task:
        home = version.n if shared else None
        for task in task_rows.alike(conn, JOB, payload, version=home, starter=user):
            if task.state is TaskState.DONE and not again and task.result is not None:
                return task.result
            if task.state in (TaskState.READY, TaskState.RUNNING) and task.starter == user:
                return task
        return asking.begin(
            conn,
            depot,
            JOB,
            payload,
            on=QUEUE,
            starter=user,
            project=version.project if shared else None,
            version=home,
        )

    return depot.catalog.write(work)


# Answering


def run(depot: Depot, work: Work) -> None:
    """Find out what was asked. A job handler.

    Raises:
        Invalid: It cannot be answered: keys that do not tell items apart, items that make no table.
        NotFound: The version was purged meanwhile.
    """
    asked = work.payload
    with _open(depot, asked["version"], asked["revision"]) as items:
        if asked["what"] == "index":
            # Opening them made what was missing.
            count = items.count
            work.finish(lambda _conn: {"items": count})
            return
        if asked["what"] == "export":
            _make_table(depot, work, items, asked["format"])
            return
        if asked["what"] == "statistics":
            answer = told_statistics(
                records.summarised(items, asked["most"], asked["seed"], bytes_read=_READ, progress=work.progress)
            )
        else:
            with _open(depot, asked["base_version"], asked["base"]) as old:
                answer = told(records.compared(old, items, asked["by"], progress=work.progress))
    work.finish(lambda _conn: answer)


def _open(depot: Depot, n: int, revision: int) -> Items:
    with depot.catalog.read() as conn:
        found = version_rows.find(conn, asking=None, n=n)
    if found is None:
        raise NotFound("The version was purged before its items were read.")
    return records.items_of(depot, found.version, revision)


def _make_table(depot: Depot, work: Work, items: Items, form: Format) -> None:
    with depot.catalog.read() as conn:
        files = records.files_of(conn, items.version, items.revision)
    key = depot.new_key()
    # A row before the first byte: what is never named is swept away by it.
    number = depot.catalog.write(
        lambda conn: content_rows.reserve_object(conn, store=depot.store.name, key=key, kind="pack", at=depot.now())
    )
    digests = depot.store.put(key, _table(_counted(items, work), form))

    def facts(conn: Connection) -> Answer:
        now = depot.now()
        members = content_rows.insert_packed(conn, number, digests.size, {0: digests}, at=now)
        derived_rows.name(conn, files[0].content, _name(form, files), members[digests.sha256], at=now)
        return {"format": form, "size": digests.size, "items": items.count}

    work.finish(facts)


def _counted(items: Items, work: Work) -> Callable[[], Iterator[bytes]]:
    """Gives the lines anew each time it is called; they are read twice, for the columns and for the rows."""
    done = 0

    def lines() -> Iterator[bytes]:
        nonlocal done
        for line in items:
            if done % 1024 == 0:
                work.progress(done, 2 * items.count)
            done += 1
            yield line.text

    return lines


def _table(lines: Callable[[], Iterator[bytes]], form: Format) -> Iterator[bytes]:
    if form == "csv":
        return tables.to_csv(lines(), tables.columns(lines()))
    return arrow.to_file(lines(), arrow.schema_of(lines()), form)


# As JSON, the same at once and from a task


def told(found: Diff) -> Answer:
    """A comparison; of many long keys the first ones only."""
    rows: list[Answer] = []
    left = _KEYS_TOLD
    for one in found.rows:
        left -= len(one.key) if isinstance(one.key, str) else 20
        if left < 0:
            break
        rows.append({"change": one.what, "key": one.key, "before": one.before, "after": one.after})
    return {"added": found.added, "removed": found.removed, "changed": found.changed, "rows": rows}


def told_statistics(found: Statistics) -> Answer:
    """Statistics, but for the version that they are of, which whoever asked has named."""
    return {
        "revision": found.revision,
        "total": found.total,
        "looked_at": found.looked_at,
        "keys": [dict(key) for key in found.keys],
        "more_keys": found.more_keys,
    }
