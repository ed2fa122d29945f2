"""Samples from a public archive of reads, by their accessions: fetched by a worker, all of them or none.

    accessions ─► file report of the archive ─► each file, its MD5 compared ─► one transaction makes every sample

The archive is where the operator says. Its report is that of the European Nucleotide Archive: a table with a header,
in which `fastq_ftp` and `fastq_md5` hold addresses and sums with semicolons between them. A file that is here stays
until its import ends, so a worker that takes over goes on with the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from entrepot.catalog import entries as entry_rows
from entrepot.catalog import queue
from entrepot.catalog import tasks as task_rows
from entrepot.catalog import uploads as upload_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.uploads import UploadRow
from entrepot.catalog.work import Work
from entrepot.depot import entries, lookup, projects, tasks, uploads, versions
from entrepot.depot.contents import open_content
from entrepot.depot.context import Depot
from entrepot.depot.events import WORKER
from entrepot.depot.finishing import ABORTED, FINISHED, OPEN
from entrepot.depot.refusing import Waiting, require_good_files
from entrepot.depot.uploads import NewUpload
from entrepot.depot.versions import NewVersion
from entrepot.model import names
from entrepot.model.access import Action, Actor
from entrepot.model.endpoints import Endpoint, parse_endpoint
from entrepot.model.errors import DigestMismatch, EntrepotError, Gone, Invalid, NotFound, TooLarge, Unsupported
from entrepot.model.values import Numbering, Scope, Task, TaskState

__all__ = ["JOB", "NewImport", "get", "run", "start"]

JOB = "sample-import"
QUEUE = "import"
#: Of uploads that hold what was fetched.
FETCHED: Final = "fetched"

#: Accessions of one import.
MOST: Final = 500
_ACCESSION: Final = re.compile(r"[EDS]RR[0-9]{6,12}")
_MD5: Final = re.compile(r"[0-9a-f]{32}")
#: Of a file report, in bytes: a run has a handful of files.
_MAX_REPORT: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class NewImport:
    """One run that becomes a sample.

    Args:
        name: Of the version; None takes the accession.
        project: By number; None is the caller's default project.
    """

    accession: str
    name: str | None
    project: int | None
    custom: Mapping[str, Any]
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _File:
    """A file of a run, as the report tells it."""

    address: str
    md5: str

    @property
    def name(self) -> str:
        return self.address.rpartition("/")[2]


def start(depot: Depot, actor: Actor, wanted: Sequence[NewImport]) -> Task:
    """Begin to fetch them.

    Raises:
        Unsupported: The operator named no archive.
        Invalid: An accession is none, or there are none or too many.
        Forbidden: A project takes no versions of the caller.
    """
    if depot.policy.sample_source is None:
        raise Unsupported(
            "This server fetches no runs: its operator has set no address of a file report. The setting is "
            "policy.sample_source."
        )
    if not 0 < len(wanted) <= MOST:
        raise Invalid(f"Name 1 to {MOST} accessions, not {len(wanted)}.")
    faults = [
        {"index": i, "detail": f"{lookup.said(one.accession)!r} is no accession of a run, such as ERR1160845."}
        for i, one in enumerate(wanted)
        if _ACCESSION.fullmatch(one.accession) is None
    ]
    if faults:
        raise Invalid(f"Nothing was begun: {faults[0]['detail']}", errors=faults)
    uploads.may_send(depot, actor, NewUpload())
    now, user = depot.now(), lookup.person(actor)

    def work(conn: Connection) -> Task:
        if task_rows.count_open(conn, user) >= depot.limits.tasks_per_user:
            raise TooLarge(f"You have {depot.limits.tasks_per_user} unfinished tasks. Wait for some, or cancel them.")
        imports: list[dict[str, Any]] = []
        for one in wanted:
            key = projects.default_in(conn, actor).n if one.project is None else one.project
            home = lookup.active_project(conn, actor, key, Action.CREATE).project
            imports.append(
                {
                    "accession": one.accession,
                    "name": names.dataset_name(one.name or one.accession),
                    "project": home.n,
                    "custom": dict(one.custom),
                    "properties": dict(one.properties),
                }
            )
        n = queue.enqueue(
            conn,
            uid=depot.new_uid(),
            queue=QUEUE,
            kind=JOB,
            payload={"imports": imports, "door": actor.door, "user": actor.user, "token": actor.token},
            now=now,
            starter=actor.user,
            project=imports[0]["project"],
        )
        depot.catalog.after_commit(conn, lambda: depot.wake(QUEUE))
        made = task_rows.find(conn, n=n)
        assert made is not None
        return made

    return depot.catalog.write(work)


def get(depot: Depot, actor: Actor, n: int) -> tuple[Task, list[str]]:
    """An import and its accessions.

    Raises:
        NotFound
    """
    with depot.catalog.read() as conn:
        task = tasks.seen(conn, actor, n)
        about = task_rows.about(conn, task.n)
    if task.kind != JOB or about is None:
        raise NotFound(f"There is no import {lookup.said(n)}, or it is not yours.")
    return task, [str(one["accession"]) for one in about.payload["imports"]]


# The work


def run(depot: Depot, work: Work) -> None:
    """Fetch every file, then make every sample. A job handler."""
    payload, job = work.payload, work.mark[0]
    actor = Actor(
        user=payload["user"], token=payload.get("token"), door=payload.get("door") or WORKER.door, scope=Scope.WRITE
    )
    source = depot.policy.sample_source
    if source is None or depot.fetcher is None:
        error = {"code": "unsupported", "detail": "The setting policy.sample_source is gone."}
        work.finish(lambda _conn: error, state=TaskState.FAILED)
        return
    samples: list[list[UploadRow]] = []
    try:
        for i, one in enumerate(payload["imports"]):
            work.progress(i, len(payload["imports"]), one["accession"])
            files = _report(depot, source, one["accession"])
            samples.append([])
            for file in files:
                samples[-1].append(_fetch(depot, actor, work, job, file, source))
            require_good_files(depot, one["project"], [_waiting(depot, row) for row in samples[-1]])
        work.finish(lambda conn: _publish(conn, depot, actor, payload["imports"], samples))
    except EntrepotError as error:
        # Sums that do not fit may fit the next time for an upload; a file that an archive serves wrongly stays wrong.
        if error.retryable and not isinstance(error, DigestMismatch):
            raise
        told = {"code": error.code, "detail": str(error), "errors": error.errors}
        work.finish(lambda conn: _give_up(conn, samples, told, depot.now()), state=TaskState.FAILED)


def _give_up(
    conn: Connection, samples: Sequence[Sequence[UploadRow]], told: Mapping[str, Any], now: datetime
) -> Mapping[str, Any]:
    """Let go of what was fetched: another import begins with nothing of it."""
    for row in {row.n: row for files in samples for row in files}.values():
        upload_rows.change(conn, row.n, {"state": ABORTED, "content": None, "expires_at": now})
    return told


def _path(row: UploadRow) -> str:
    return (row.file_name or "").partition("/")[2].partition("/")[2]


def _waiting(depot: Depot, row: UploadRow) -> Waiting:
    assert row.content is not None
    return Waiting(_path(row), "fastq", partial(open_content, depot, row.content))


def _report(depot: Depot, source: str, accession: str) -> list[_File]:
    """The files of a run.

    Raises:
        Invalid: The archive knows no such run, or says what cannot be understood.
    """
    asked = {
        "accession": accession,
        "result": "read_run",
        "fields": "run_accession,fastq_ftp,fastq_md5",
        "format": "tsv",
    }
    got = bytearray()
    assert depot.fetcher is not None
    depot.fetcher.fetch(_address(f"{source}?{urlencode(asked, safe=',')}"), got.extend, limit=_MAX_REPORT)
    lines = bytes(got).decode("utf-8", "replace").splitlines()
    header = lines[0].split("\t") if lines else []
    for line in lines[1:]:
        row = dict(zip(header, line.split("\t"), strict=False))
        if row.get("run_accession") != accession:
            continue
        addresses = [one for one in row.get("fastq_ftp", "").split(";") if one]
        sums = [one.lower() for one in row.get("fastq_md5", "").split(";") if one]
        if not addresses:
            raise Invalid(f"Run {accession} has no files of reads in the archive.")
        if len(sums) != len(addresses) or not all(_MD5.fullmatch(one) for one in sums):
            raise Invalid(f"The archive tells no MD5 for each file of run {accession}.")
        return [_File(one, md5) for one, md5 in zip(addresses, sums, strict=True)]
    raise Invalid(f"The archive knows no run {accession}.")


def _address(text: str) -> Endpoint:
    return parse_endpoint(text)


def _fetch(depot: Depot, actor: Actor, work: Work, job: int, file: _File, source: str) -> UploadRow:
    """One file, fetched or here already from an earlier attempt.

    Raises:
        DigestMismatch: Its bytes are not those of the report.
        Invalid, Unavailable: It cannot be fetched.
    """
    mark = f"{job}/{file.md5}/{names.file_name(file.name)}"
    with depot.catalog.read() as conn:
        known = upload_rows.named(conn, actor.user or 0, FETCHED, mark)
    if known is not None and known.state == FINISHED and known.expires_at > depot.now():
        return known
    if known is not None and known.state == OPEN:
        # Begun by a worker that died: nobody writes to it any more, and it counts against what its owner may begin.
        with contextlib.suppress(Gone):
            uploads.abort(depot, actor, known.uid)
    # Reports leave out how a file is reached: as the report itself is.
    scheme = parse_endpoint(source).scheme
    address = file.address if "://" in file.address else f"{scheme}://{file.address}"
    row = uploads.begin(depot, actor, NewUpload(file_name=mark, purpose=FETCHED))
    sums, done = hashlib.md5(usedforsecurity=False), 0
    receiver = uploads.receive(depot, actor, row.uid, 0)
    try:

        def write(block: bytes) -> None:
            nonlocal done
            work.progress(done, None, file.name)
            sums.update(block)
            receiver.write(block)
            done += len(block)

        assert depot.fetcher is not None
        depot.fetcher.fetch(_address(address), write, limit=depot.limits.upload_size)
        if sums.hexdigest() != file.md5:
            raise DigestMismatch(f"{file.name} has the MD5 {sums.hexdigest()}; the archive announces {file.md5}.")
        return receiver.finish()[0]
    except BaseException:
        receiver.close()
        uploads.abort(depot, actor, row.uid)
        raise


def _publish(
    conn: Connection,
    depot: Depot,
    actor: Actor,
    imports: Sequence[Mapping[str, Any]],
    samples: Sequence[Sequence[UploadRow]],
) -> Mapping[str, Any]:
    now, made = depot.now(), []
    for one, files in zip(imports, samples, strict=True):
        made.append(_sample(conn, depot, actor, one, files, now))
    for row in {row.n: row for files in samples for row in files}.values():
        upload_rows.change(conn, row.n, {"state": ABORTED, "content": None, "expires_at": now})
    return {"versions": made}


def _sample(
    conn: Connection, depot: Depot, actor: Actor, one: Mapping[str, Any], files: Sequence[UploadRow], now: datetime
) -> int:
    new = NewVersion(name=one["name"], numbering=Numbering.NEXT, custom=one["custom"], properties=one["properties"])
    version = versions.create_in(conn, depot, actor, one["project"], new, now)
    puts: list[entry_rows.RowChange] = []
    for row in files:
        assert row.content is not None
        puts.append(entry_rows.Put(path=_path(row), content=row.content, dtype="fastq", condition="absent"))
    found = lookup.hold(conn, actor, version.n, Action.EDIT)
    entries.publish(conn, actor, found, puts, expected=None, message=f"Import {one['accession']}", now=now)
    return version.n
