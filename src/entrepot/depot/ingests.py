"""Ingests: giving a version content that must be checked first.

    empty ──► receiving ──► processing ──► ready
                                      └──► failed (stage transfer or content, with a report)

The check runs in the worker. Only what it found good becomes a revision, in the transaction that also ends the task;
a later ingest that fails leaves the last ready revision readable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from entrepot.catalog import datasets as dataset_rows
from entrepot.catalog import entries as entry_rows
from entrepot.catalog import ingests as rows
from entrepot.catalog import leaving, queue
from entrepot.catalog import projects as project_rows
from entrepot.catalog import tasks as task_rows
from entrepot.catalog import uploads as upload_rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.versions import Found
from entrepot.catalog.work import Work
from entrepot.depot import lines, lookup, relationships, search
from entrepot.depot.contents import ContentReader, open_content
from entrepot.depot.context import Depot
from entrepot.depot.entries import settle
from entrepot.depot.events import WORKER, tell
from entrepot.depot.lookup import Key
from entrepot.depot.uploads import FINISHED
from entrepot.depot.versions import again
from entrepot.model import names
from entrepot.model.access import Action, Actor
from entrepot.model.errors import EntrepotError, Invalid, StaleRevision, TooLarge, Trashed, Unsupported
from entrepot.model.values import Kind, Numbering, Stage, State, Task, TaskState, Version

JOB = "ingest"
QUEUE = "ingest"

#: In the detail of a slot: the version and revision that its file was taken from.
ORIGIN = "from"


@dataclass(frozen=True, slots=True)
class Part:
    """One file that came: its name and a reader of its bytes."""

    name: str
    content: int
    size: int
    reader: ContentReader


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a checker says of all parts together.

    Args:
        accepted: Whether they become a revision.
        report: What people read: counts, and every bad row or line when refused. JSON values only.
        item_count: Rows, lines; None when the kind does not count.
        declared: The schema as found or enforced, kept on the version.
        media_types: By part name.
        also: Written with the revision, in its transaction, which may run more than once.
        instead: Likewise; answers, by part name, the path and content that are published in a part's place.
    """

    accepted: bool
    report: Mapping[str, Any]
    item_count: int | None = None
    declared: Any = None
    media_types: Mapping[str, str] = field(default_factory=dict)
    data_type: str | None = None
    also: Callable[[Connection], None] | None = None
    instead: Callable[[Connection], Mapping[str, tuple[str, int]]] | None = None


#: Judges the parts of a version; `progress(done, total)` in bytes. Raises nothing but errors of the tree.
Checker = Callable[[Version, Sequence[Part], Callable[[int, int], None]], Verdict]


def start(depot: Depot, actor: Actor, key: Key) -> Task:
    """Begin checking what was put into the version's slots. Repeating it answers the same task, also when it ended.

    Raises:
        Invalid: Slots are still empty; `errors` names them.
        TooLarge: The caller has too many tasks that wait or run.
    """
    now = depot.now()
    return depot.catalog.write(lambda conn: start_in(conn, depot, actor, key, now))


def start_in(conn: Connection, depot: Depot, actor: Actor, key: Key, now: datetime) -> Task:
    """`start` inside the caller's transaction."""
    version = lookup.editable(lookup.hold(conn, actor, key, Action.EDIT))
    if version.kind.value not in depot.checkers and version.kind is not Kind.FILES:
        raise Unsupported(f"This server has no checker for kind {version.kind}.")
    known = task_rows.of_version(conn, version.n, JOB)
    if known is not None and version.state is not State.RECEIVING and version.state is not State.EMPTY:
        return known
    slots = upload_rows.of_version(conn, version.n, "slot")
    missing = [row.file_name for row in slots if row.state != FINISHED]
    if not slots:
        raise Invalid(f"{version.label} waits for no files, so there is nothing to start.")
    if missing:
        raise Invalid(
            f"{len(missing)} of {len(slots)} files are missing: {', '.join(str(name) for name in missing[:5])}. "
            "Upload them first.",
            errors=[{"file_name": name, "detail": "not uploaded"} for name in missing],
        )
    return begin(conn, depot, actor, version, now)


def begin(
    conn: Connection,
    depot: Depot,
    actor: Actor,
    version: Version,
    now: datetime,
    further: Mapping[str, Any] | None = None,
) -> Task:
    """An attempt and the task that carries it out, for a version that the caller holds.

    Args:
        further: Of a change to a version that is ready: `files`, names and contents of what comes; `base`, the revision
            that it is made on; `keeps`, whether what is there stays, before it; `declared`.
    """
    if actor.user is not None and task_rows.count_open(conn, actor.user) >= depot.limits.tasks_per_user:
        raise TooLarge(f"You have {depot.limits.tasks_per_user} unfinished tasks. Wait for some, or cancel them.")
    n = rows.insert_ingest(conn, uid=depot.new_uid(), version=version.n, at=now)
    task = queue.enqueue(
        conn,
        uid=depot.new_uid(),
        queue=QUEUE,
        kind=JOB,
        payload={
            "version": version.n,
            "ingest": n,
            "door": actor.door,
            "user": actor.user,
            "token": actor.token,
            "node": actor.node,
            **(further or {}),
        },
        now=now,
        starter=actor.user,
        project=version.project,
        version=version.n,
    )
    rows.change(conn, n, {"job": task, "state": State.PROCESSING.value, "started_at": now})
    version_rows.change(
        conn,
        version.n,
        {"state": State.PROCESSING.value, "stage": None, "report": None, "updated_at": now},
        edited=False,
    )
    depot.catalog.after_commit(conn, lambda: depot.wake(QUEUE))
    made = task_rows.find(conn, n=task)
    assert made is not None
    return made


def run(depot: Depot, work: Work) -> None:
    """Check the parts and publish them, or fail the version with the report. A job handler."""
    with depot.catalog.read() as conn:
        found = version_rows.find(conn, asking=work.payload["user"], n=work.payload["version"])
        coming = _coming(conn, work.payload)
        details = [row.detail for row in upload_rows.of_version(conn, work.payload["version"], "slot")]
        if "files" in work.payload:
            details = []
    if found is None or found.version.trash is not None:
        work.finish(lambda conn: _cancelled(conn, depot, work.payload), state=TaskState.CANCELLED)
        return
    version = found.version
    if "declared" in work.payload:
        version = replace(version, declared=work.payload["declared"])
    with ExitStack() as opened:
        parts: list[Part] = []
        for name, content in coming:
            reader = opened.enter_context(open_content(depot, content))
            parts.append(Part(name, content, reader.size, reader))
        verdict = _judge(depot, version, parts, work)
    if verdict.accepted:
        origins = [detail[ORIGIN] for detail in details if ORIGIN in detail]
        work.finish(lambda conn: _publish(conn, depot, work, found, parts, verdict, origins))
    else:
        work.finish(
            lambda conn: fail_in(conn, depot, work.payload, Stage.CONTENT, verdict.report), state=TaskState.FAILED
        )


def _coming(conn: Connection, payload: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Name and content of every file that is checked together, in their order."""
    if "files" not in payload:
        slots = upload_rows.of_version(conn, payload["version"], "slot")
        return [(row.file_name or "", row.content) for row in slots if row.content is not None]
    found: list[tuple[str, int]] = []
    if payload["keeps"]:
        held: list[entry_rows.EntryRow] = []
        while page := entry_rows.page_by_position(
            conn, payload["version"], payload["base"], after=held[-1].pos if held else -1, limit=1000
        ):
            held += page
        found += [(row.path, row.content) for row in held]
    return found + [(name, content) for name, content in payload["files"]]


def _judge(depot: Depot, version: Version, parts: Sequence[Part], work: Work) -> Verdict:
    checker = depot.checkers.get(version.kind.value)
    if checker is None:
        return Verdict(False, {"message": f"This server has no checker for kind {version.kind}."})
    try:
        return checker(version, parts, lambda done, total: work.progress(done, total))
    except EntrepotError as error:
        if error.retryable:
            raise
        return Verdict(False, {"message": str(error), "errors": error.errors})


def _actor(payload: Mapping[str, Any]) -> Actor:
    door = payload.get("door") or WORKER.door
    return Actor(user=payload["user"], token=payload.get("token"), node=payload.get("node"), door=door)


def _publish(
    conn: Connection,
    depot: Depot,
    work: Work,
    found: Found,
    parts: Sequence[Part],
    verdict: Verdict,
    origins: Sequence[Mapping[str, Any]],
) -> Mapping[str, Any]:
    now, actor = depot.now(), _actor(work.payload)
    if origins and project_rows.hold_names(conn, [found.version.project]):
        # In the order in which everybody holds several: what it was made of is not purged in between.
        for n in sorted({found.version.n, *(one["version"] for one in origins)}):
            version_rows.hold(conn, n)
    current = lookup.hold_due(conn, found.version.n, asking=actor.user)
    if current is None or current.version.trash is not None or current.version.project_trashed:
        # Nothing is published; what the job leaves is cleared up as that of any other that fails.
        raise Trashed("The version was deleted while its content was checked.")
    version = current.version
    values: dict[str, Any] = {
        "state": State.READY.value,
        "stage": None,
        "report": dict(verdict.report),
        "item_count": verdict.item_count,
    }
    if verdict.declared is not None:
        values["declared"] = verdict.declared
    if version.number is None:
        line = dataset_rows.find(conn, n=version.dataset)
        assert line is not None
        # Only now is it a version that others see: attempts that failed before it ate no number.
        values["number"] = lines.number_for(conn, line, Numbering.NEXT, ready=True, but=version.n)
        values["ready_at"] = now
    version_rows.change(conn, version.n, values, edited=False)
    if work.payload.get("base", version.revision) != version.revision:
        raise StaleRevision(
            f"{version.label} was changed while its rows were checked. Repeat the change on top.",
            details={"revision": version.revision},
        )
    event = tell(
        conn,
        actor,
        "revision.created",
        version,
        now,
        revision=version.revision + 1,
        detail={"ingest": work.payload["ingest"]},
    )
    keeps = bool(work.payload.get("keeps"))
    puts: list[entry_rows.RowChange] = (
        [entry_rows.Remove("", recursive=True, condition="any")] if version.n_entries and not keeps else []
    )
    # What stays keeps its place, its times and its texts.
    new = {name for name, _ in work.payload["files"]} if keeps else None
    placed = {} if verdict.instead is None else verdict.instead(conn)
    standing = [(part, *placed.get(part.name, (part.name, part.content))) for part in parts]
    puts += [
        entry_rows.Put(
            path=names.entry_path(path),
            content=content,
            media=verdict.media_types.get(part.name),
            dtype=verdict.data_type,
        )
        for part, path, content in standing
        if new is None or part.name in new
    ]
    if verdict.also is not None:
        verdict.also(conn)
    entry_rows.commit(conn, version.n, puts, expected=None, author=actor.user, at=now, message="Ingest", event=event)
    rows.change(
        conn, work.payload["ingest"], {"state": State.READY.value, "report": dict(verdict.report), "ended_at": now}
    )
    # Its columns are searched too.
    search.write(conn, again(conn, actor, version.n))
    done = settle(conn, actor, current, now)
    for origin in {one["version"]: one for one in origins}.values():
        relationships.made_from(conn, depot, actor, done.version, origin["version"], origin["revision"])
    return {"version": done.version.uid.hex, "revision": done.version.revision, "item_count": verdict.item_count}


def abandoned(depot: Depot, conn: Connection, payload: Mapping[str, Any], error: Mapping[str, Any]) -> None:
    """The check itself could not be done, or somebody stopped it: the version fails with that as its report."""
    if error.get("code") == "cancelled":
        _cancelled(conn, depot, payload)
        return
    fail_in(conn, depot, payload, Stage.CONTENT, {"message": "The content could not be checked.", "cause": dict(error)})


def _cancelled(conn: Connection, depot: Depot, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    report = {"message": "The check of the content was cancelled."}
    return {**fail_in(conn, depot, payload, Stage.CONTENT, report), "code": "cancelled"}


def fail_transfer(
    conn: Connection, depot: Depot, actor: Actor, version: Version, report: Mapping[str, Any], now: datetime
) -> None:
    """What was to come does not come any more: the slots close, and a version that was never ready fails.

    The caller holds the version.
    """
    leaving.close_slots(conn, [version.n], now)
    stage = leaving.fail_attempts(conn, [version.n], now, report).get(version.n)
    if stage is not None:
        # The attempt that there was, for whoever looks at the version's attempts.
        n = rows.insert_ingest(conn, uid=depot.new_uid(), version=version.n, at=version.created_at)
        rows.change(
            conn, n, {"state": State.FAILED.value, "stage": stage.value, "report": dict(report), "ended_at": now}
        )
        tell(conn, actor, "version.failed", version, now, detail={"stage": stage.value})


def fail_in(
    conn: Connection, depot: Depot, payload: Mapping[str, Any], stage: Stage, report: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Mark the ingest as failed; a version that was ready before stays ready. Answers the task's error.

    What ended meanwhile otherwise, because the version was deleted, stays as that left it.
    """
    now, actor = depot.now(), _actor(payload)
    version_rows.hold(conn, payload["version"])
    found = version_rows.find(conn, asking=actor.user, n=payload["version"])
    if found is not None and found.version.state is State.PROCESSING:
        version = found.version
        state = State.READY if version.revision > 0 else State.FAILED
        values = {
            "state": state.value,
            "stage": None if state is State.READY else stage.value,
            "report": dict(report),
            "updated_at": now,
        }
        version_rows.change(conn, version.n, values, edited=False)
        tell(conn, actor, "version.failed", version, now, detail={"stage": stage.value})
        ended = {"state": State.FAILED.value, "stage": stage.value, "report": dict(report), "ended_at": now}
        rows.change(conn, payload["ingest"], ended)
    return {"code": "invalid", "detail": str(report.get("message", "The content was refused.")), "report": dict(report)}
