"""Archives that are unpacked in the background, each into one revision: all of its files or none.

    upload is whole ─► start: a task ─► read, judge and store member by member ─► one transaction names them all
                                     └► refused: the task fails with the report, and a version that waited for it too

The archive is transport. What it was called, how long it was and its digest stay with the version as facts; its bytes
go with its upload. A worker that dies begins again: until the last transaction there is nothing to be seen.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from entrepot.archive.incoming import Arriving, IncomingLimits, Judge, incoming, looked_through
from entrepot.archive.unpackers import KINDS, Kind, kind_of
from entrepot.catalog import datasets as dataset_rows
from entrepot.catalog import entries as entry_rows
from entrepot.catalog import ingests as ingest_rows
from entrepot.catalog import queue
from entrepot.catalog import tasks as task_rows
from entrepot.catalog import uploads as upload_rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.work import Work
from entrepot.depot import ingests, lines, lookup, refusing, search, uploads, versions
from entrepot.depot.contents import open_content
from entrepot.depot.context import Depot
from entrepot.depot.entries import settle
from entrepot.depot.events import WORKER, tell
from entrepot.depot.examining import Readable
from entrepot.depot.finishing import ABORTED, FINISHED
from entrepot.depot.lookup import Key
from entrepot.depot.unpacking import Item, Stored, Storing, name_contents, waiting
from entrepot.depot.versions import NewVersion, again
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor
from entrepot.model.digests import sha256_text
from entrepot.model.errors import EntrepotError, Invalid, NotFound, TooLarge, Trashed, Unsupported, WrongState
from entrepot.model.ids import Noun
from entrepot.model.values import Kind as VersionKind
from entrepot.model.values import Numbering, Scope, Stage, State, Task, TaskState, Version

__all__ = ["JOB", "Crate", "abandoned", "add", "create", "kind_for", "look_through", "run", "start_in"]

JOB = "unpack"
QUEUE = "unpack"

#: Bytes that come out of a wrapping while somebody waits: some seconds, for bzip2 half a minute.
_LOOKED_AT = 1 << 30


@dataclass(frozen=True, slots=True)
class Crate:
    """An archive that is here.

    Args:
        name: As it was called: its end tells the kind.
        content: Its bytes.
        upload: The row that holds them until they are unpacked.
    """

    name: str
    content: int
    upload: int


def kind_for(name: str) -> Kind:
    """The kind of an archive of this name.

    Raises:
        Unsupported: It ends like none that is read here.
    """
    kind = kind_of(name)
    if kind is None:
        raise Unsupported(
            f"{lookup.said(name)!r} is no archive that is unpacked here. Its name has to end in "
            f"{', '.join(suffix for suffix, _ in KINDS)}.",
            details={"field": "File name"},
        )
    return kind


def look_through(depot: Depot, name: str, source: Readable) -> None:
    """Judge the members of an archive by its directory or its headers, which is quick whatever they hold.

    Of one that is wrapped only so much is looked at as can be unwrapped while somebody waits; the worker sees the rest.

    Raises:
        Malformed, Invalid, InvalidName, TooLarge: It is refused.
    """
    limits = _limits(depot)
    judge = Judge(limits, limits.most(source.size))
    looked_through(kind_for(name), source.read_at, source.size, judge, most=_LOOKED_AT)


def _limits(depot: Depot) -> IncomingLimits:
    return IncomingLimits(
        members=depot.limits.entries_per_commit,
        ratio=depot.limits.unpacked_ratio,
        total=depot.limits.unpacked_size,
        depth=depot.limits.unpacked_depth,
    )


def create(
    depot: Depot, actor: Actor, project: Key | str | None, new: NewVersion, upload: UUID, *, name: str | None = None
) -> tuple[Version, Task]:
    """A version of the files of an archive that was uploaded; nobody sees it as ready before it is unpacked.

    Args:
        upload: A finished upload of the caller's.
        name: What the archive is called; None takes the name that the upload was told.

    Raises:
        NotFound, WrongState: There is no such upload, or it is not whole.
        Unsupported: The name is that of no archive.
        As `versions.create`.
    """
    now = depot.now()
    if new.kind is not VersionKind.FILES:
        raise Invalid(f"An archive becomes files, not a version of kind {new.kind.value}.")

    def work(conn: Connection) -> tuple[Version, Task]:
        crate = _crate(conn, depot, actor, upload, name)
        made = versions.create_in(conn, depot, actor, project, replace(new, awaits_content=True), now)
        task = start_in(conn, depot, actor, made.n, crate, now)
        return again(conn, actor, made.n), task

    return depot.catalog.write(work)


def add(depot: Depot, actor: Actor, key: Key, upload: UUID, *, name: str | None = None) -> Task:
    """Add the files of an archive that was uploaded to a version, as one revision.

    Raises:
        NotFound, WrongState: There is no such upload, or it is not whole.
        Frozen, Trashed, KindMismatch: The version takes no such change.
    """
    now = depot.now()

    def work(conn: Connection) -> Task:
        found = lookup.hold(conn, actor, key, Action.EDIT)
        version = lookup.writable(found, kind=VersionKind.FILES)
        return start_in(conn, depot, actor, version.n, _crate(conn, depot, actor, upload, name), now)

    return depot.catalog.write(work)


def _crate(conn: Connection, depot: Depot, actor: Actor, uid: UUID, name: str | None) -> Crate:
    row = upload_rows.find(conn, uid=uid)
    if row is None or actor.user is None or row.owner != actor.user or row.purpose != "content":
        raise NotFound(f"There is no upload {ids.encode(Noun.UPLOAD, uid)}, or it is not yours.")
    uploads.require_alive(depot, row)
    if row.state != FINISHED or row.content is None:
        raise WrongState(f"Upload {ids.encode(Noun.UPLOAD, uid)} is not complete. Send the rest first.")
    called = row.file_name if name is None else name
    if called is None:
        raise Invalid("Tell what the archive is called: the end of its name says which kind it is.")
    return Crate(names.file_name(called), row.content, row.n)


def start_in(conn: Connection, depot: Depot, actor: Actor, version: int, crate: Crate, now: datetime) -> Task:
    """Begin unpacking in the caller's transaction, who has asked the judge and holds the version.

    Raises:
        Unsupported, TooLarge
    """
    kind = kind_for(crate.name)
    if actor.user is not None and task_rows.count_open(conn, actor.user) >= depot.limits.tasks_per_user:
        raise TooLarge(f"You have {depot.limits.tasks_per_user} unfinished tasks. Wait for some, or cancel them.")
    found = version_rows.find(conn, asking=actor.user, n=version)
    assert found is not None
    n = ingest_rows.insert_ingest(conn, uid=depot.new_uid(), version=version, at=now)
    task = queue.enqueue(
        conn,
        uid=depot.new_uid(),
        queue=QUEUE,
        kind=JOB,
        payload={
            "version": version,
            "ingest": n,
            "door": actor.door,
            "user": actor.user,
            "token": actor.token,
            "node": actor.node,
            "kind": kind,
            "name": crate.name,
            "content": crate.content,
            "upload": crate.upload,
        },
        now=now,
        starter=actor.user,
        project=found.version.project,
        version=version,
    )
    ingest_rows.change(conn, n, {"job": task, "state": State.PROCESSING.value, "started_at": now})
    if found.version.number is None:
        over = {"state": State.PROCESSING.value, "stage": None, "report": None, "updated_at": now}
        version_rows.change(conn, version, over, edited=False)
    depot.catalog.after_commit(conn, lambda: depot.wake(QUEUE))
    made = task_rows.find(conn, n=task)
    assert made is not None
    return made


# The work


def run(depot: Depot, work: Work) -> None:
    """Unpack, and publish what came out or say why not. A job handler."""
    payload = work.payload
    with depot.catalog.read() as conn:
        found = version_rows.find(conn, asking=payload["user"], n=payload["version"])
        row = upload_rows.find(conn, n=payload["upload"])
    if found is None or found.version.trash is not None or row is None or row.content != payload["content"]:
        gone = {"message": "What was to be unpacked, or where it was to go, is gone."}
        work.finish(lambda conn: _fail(conn, depot, payload, gone), state=TaskState.CANCELLED)
        return
    storing = Storing(depot, _actor(payload))
    limits = _limits(depot)
    try:
        with open_content(depot, payload["content"]) as reader:
            judge = Judge(limits, limits.most(reader.size))
            arriving = incoming(payload["kind"], reader.read_at, reader.size, judge)
            items = _items(arriving, work, judge)
            with closing(items):
                stored = storing.store(items)
            refusing.require_good_files(depot, found.version.project, _watched(waiting(depot, stored), work))
        facts = {
            "name": payload["name"],
            "size": row.content_size,
            "digest": sha256_text(row.content_sha256 or b""),
            "members": judge.members,
        }
        report: dict[str, Any] = {"message": f"{len(stored.files)} files were unpacked."}
        if judge.clashes:
            told = " and ".join(repr(one) for one in judge.clashes[0])
            report["message"] += f" Some disks take {told} for one name."
            report["case_clashes"] = judge.clashes
        work.finish(lambda conn: _publish(conn, depot, work, stored, facts, report))
    except EntrepotError as error:
        storing.close()
        if error.retryable:
            raise
        told_error = {"message": str(error), "code": error.code, "errors": error.errors}
        work.finish(lambda conn: _fail(conn, depot, payload, told_error), state=TaskState.FAILED)
    except BaseException:
        storing.close()
        raise


def _items(arriving: Iterator[Arriving], work: Work, judge: Judge) -> Generator[Item, None, None]:
    for one in arriving:
        work.progress(judge.given, None, f"{judge.members} members")
        yield Item(one.path, False, one.size, one.blocks)


def _watched(files: Iterator[refusing.Waiting], work: Work) -> Iterator[refusing.Waiting]:
    for seen, one in enumerate(files):
        work.progress(seen, None, "examining")
        yield one


def _actor(payload: Mapping[str, Any]) -> Actor:
    door = payload.get("door") or WORKER.door
    # Judged when it was asked for; what it may do now is asked again when it is published.
    return Actor(
        user=payload["user"], token=payload.get("token"), node=payload.get("node"), door=door, scope=Scope.WRITE
    )


def _publish(
    conn: Connection,
    depot: Depot,
    work: Work,
    stored: Stored,
    facts: Mapping[str, Any],
    report: Mapping[str, Any],
) -> Mapping[str, Any]:
    now, payload, actor = depot.now(), work.payload, _actor(work.payload)
    current = lookup.hold_due(conn, payload["version"], asking=actor.user)
    if current is None or current.version.trash is not None or current.version.project_trashed:
        raise Trashed("The version was deleted while the archive was unpacked.")
    # One that waits for this has no content yet, and takes none but this.
    waits = current.version.number is None
    version = lookup.editable(current) if waits else lookup.writable(current, kind=VersionKind.FILES)
    values: dict[str, Any] = {"report": dict(report)}
    if version.number is None:
        line = dataset_rows.find(conn, n=version.dataset)
        assert line is not None
        values |= {
            "state": State.READY.value,
            "stage": None,
            "number": lines.number_for(conn, line, Numbering.NEXT, ready=True, but=version.n),
            "ready_at": now,
        }
    if version.n_entries == 0:
        # With files of its own it is more than what came out of an archive.
        values["unpacked_from"] = dict(facts)
    version_rows.change(conn, version.n, values, edited=False)
    contents = name_contents(conn, stored, now)
    event = tell(
        conn,
        actor,
        "revision.created",
        version,
        now,
        revision=version.revision + 1,
        detail={"ingest": payload["ingest"], "message": f"Unpack {payload['name']}"},
    )
    puts: list[entry_rows.RowChange] = [
        entry_rows.Put(path=one.path, content=contents[one.sha256], dtype=one.data_type, condition="absent")
        for one in stored.files
    ]
    message = f"Unpack {payload['name']}"
    entry_rows.commit(conn, version.n, puts, expected=None, author=actor.user, at=now, message=message, event=event)
    ended = {"state": State.READY.value, "report": dict(report), "ended_at": now}
    ingest_rows.change(conn, payload["ingest"], ended)
    for row in stored.finished:
        # They did their work; the entries hold the contents from here on.
        upload_rows.change(conn, row.n, {"state": ABORTED, "content": None, "expires_at": now})
    # So did the archive.
    upload_rows.change(conn, payload["upload"], {"content": None})
    search.write(conn, again(conn, actor, version.n))
    done = settle(conn, actor, current, now)
    return {
        "version": done.version.uid.hex,
        "revision": done.version.revision,
        "files": len(stored.files),
        "report": dict(report),
    }


def _fail(conn: Connection, depot: Depot, payload: Mapping[str, Any], report: Mapping[str, Any]) -> Mapping[str, Any]:
    told = ingests.fail_in(conn, depot, payload, Stage.CONTENT, report)
    # Also where the version had files before and stays as it was.
    over = {"state": State.FAILED.value, "stage": Stage.CONTENT.value, "report": dict(report), "ended_at": depot.now()}
    ingest_rows.change(conn, payload["ingest"], over)
    return {**told, "code": report.get("code", told["code"])}


def abandoned(depot: Depot, conn: Connection, payload: Mapping[str, Any], error: Mapping[str, Any]) -> None:
    """It could not be unpacked, or somebody stopped it: a version that waited for it fails with that."""
    stopped = error.get("code") == "cancelled"
    said = "Unpacking was cancelled." if stopped else "The archive could not be unpacked."
    _fail(conn, depot, payload, {"message": said, "cause": dict(error)})
