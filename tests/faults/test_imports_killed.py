"""kill -9 of the worker between the files of an import: no sample is seen, and then all of them, each once."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import func, select

from entrepot.catalog.schema import content, event, job, upload
from entrepot.depot import browse, entries, projects, tasks
from entrepot.depot.browse import Wanted
from entrepot.depot.credentials import as_operator
from entrepot.depot.sample_imports import FETCHED, JOB, QUEUE, NewImport, start
from entrepot.model.values import State, TaskState
from tests.support.reads_archive import reads_archive
from tests.support.server import command, environ, wait_until
from tests.support.starter import Started
from tests.support.workers import own_depot

RUNS = {
    "ERR1160845": {"ERR1160845_1.fastq.gz": b"one" * 50_000, "ERR1160845_2.fastq.gz": b"two" * 60_000},
    "SRR999999": {"SRR999999.fastq.gz": b"single" * 30_000},
}
FILES = {name: body for files in RUNS.values() for name, body in files.items()}
FIRST, SECOND, LAST = FILES


@pytest.mark.parametrize(
    ("at", "sent"),
    [
        (SECOND, 0),
        pytest.param(FIRST, 0, marks=pytest.mark.soak),
        pytest.param(SECOND, 70_001, marks=pytest.mark.soak),
        pytest.param(SECOND, len(FILES[SECOND]) - 1, marks=pytest.mark.soak),
        pytest.param(LAST, 0, marks=pytest.mark.soak),
        pytest.param(LAST, 99_999, marks=pytest.mark.soak),
    ],
)
def test_a_worker_killed_while_it_imports_leaves_nothing_and_the_next_one_everything(
    tmp_path: Path, at: str, sent: int
) -> None:
    """The archive has sent so many bytes of that file when the worker dies; the files before it are here."""
    before = list(FILES)[: list(FILES).index(at)]
    with reads_archive() as archive, own_depot(tmp_path, f"policy.sample_source={archive.report}") as (depot, words):
        worker_command = command("worker", *words, "--queues", QUEUE)
        archive.runs, archive.stalls = RUNS, {at: sent}
        admin = as_operator(depot, "admin")
        home = projects.default(depot, admin).n
        task = start(depot, admin, [NewImport(one, None, None, {}, {}) for one in RUNS])

        with Started(worker_command, env=environ(), stdout=subprocess.DEVNULL) as worker:
            wait_until(archive.stalled.is_set, "the archive was asked for the file")
            worker.kill()
        assert not browse.list_versions(depot, admin, Wanted(project=home)).rows
        with depot.catalog.read() as conn:
            whole = select(upload.c.file_name).where(upload.c.purpose == FETCHED)
            here = conn.execute(whole.where(upload.c.state == "finished")).scalars().all()
        assert [(one or "").rpartition("/")[2] for one in here] == before

        archive.stalls = {}
        archive.go.set()
        with Started(worker_command, env=environ(), stdout=subprocess.DEVNULL) as worker:
            wait_until(lambda: tasks.get(depot, admin, task.uid).state is TaskState.DONE, "it is imported")
            worker.terminate()
            worker.wait(30)
        found = {one.version.name: one.version for one in browse.list_versions(depot, admin, Wanted(project=home)).rows}
        assert set(found) == set(RUNS)
        for run, files in RUNS.items():
            version = found[run]
            assert (version.state, version.number, version.revision) == (State.READY, 1, 1)
            assert (version.n_entries, version.n_bytes) == (len(files), sum(map(len, files.values())))
            for path, body in files.items():
                assert entries.get(depot, admin, version.n, path)[2].sha256 == hashlib.sha256(body).digest()
        # What was here was not asked for again, and what was half here was, from its beginning.
        asked = [one.rpartition("/")[2] for one in archive.asked if one.startswith("/vol1/")]
        assert {name: asked.count(name) for name in FILES} == {name: 1 + (name == at) for name in FILES}
        assert projects.usage(depot, admin, home) == sum(map(len, FILES.values()))
        with depot.catalog.read() as conn:
            told = select(func.count()).where(event.c.verb == "revision.created")
            assert conn.execute(told).scalar_one() == len(RUNS)
            assert conn.execute(select(func.count()).select_from(content)).scalar_one() == len(FILES)
            # Neither the half one nor those that became samples hold anything back.
            left = select(upload.c.state, upload.c.content).where(upload.c.purpose == FETCHED)
            assert {tuple(one) for one in conn.execute(left)} == {("aborted", None)}
            assert conn.execute(select(job.c.fence).where(job.c.kind == JOB)).scalar_one() == 2
