"""kill -9 of the worker in the middle of an archive: nothing of it is seen, and then all of it, in one revision."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from sqlalchemy import func, select

from entrepot.catalog.schema import event, job
from entrepot.depot import crates, entries, putting, tasks, versions
from entrepot.depot.credentials import as_operator
from entrepot.depot.putting import NewFile
from entrepot.depot.uploads import NewUpload
from entrepot.depot.versions import NewVersion
from entrepot.model.values import State, TaskState
from tests.support import held
from tests.support.hostile_archives import zipped
from tests.support.server import environ, wait_until
from tests.support.starter import Started
from tests.support.workers import own_depot

#: The first one is stored by itself before the worker is killed, the others would share an object.
MEMBERS = {"large.bin": bytes(range(256)) * 20_000, "a.txt": b"a", "b/c.txt": b"c"}


def test_a_worker_killed_while_it_unpacks_leaves_nothing_and_the_next_one_everything(tmp_path: Path) -> None:
    folder = tmp_path / "held"
    folder.mkdir()
    with own_depot(tmp_path) as (depot, words):
        command = held.command(folder)("worker", *words)
        admin = as_operator(depot, "admin")

        def archive() -> putting.UploadRow:
            sink = putting.put_upload(depot, admin, NewUpload(file_name="all.zip"))
            sink.write(zipped(MEMBERS, 0))
            return sink.finish()

        made, task = crates.create(depot, admin, None, NewVersion("unpacked"), archive().uid)
        there = versions.create(depot, admin, None, NewVersion("there"))
        first = putting.put_file(depot, admin, there.n, NewFile("before.txt"))
        first.write(b"x")
        first.finish()

        with Started(command, env=environ(), stdout=subprocess.DEVNULL) as worker:
            wait_until(lambda: list(folder.glob("begun-*")), "it has stored the first member")
            worker.kill()
        found = versions.get(depot, admin, made.n).version
        assert (found.state, found.number, found.n_entries) == (State.PROCESSING, None, 0)
        # Another one waits behind it, for a version that has files.
        added = crates.add(depot, admin, there.n, archive().uid)

        (folder / "go").touch()
        with Started(command, env=environ(), stdout=subprocess.DEVNULL) as worker:
            for one in (task, added):
                wait_until(
                    lambda one=one: tasks.get(depot, admin, one.uid).state is TaskState.DONE,  # type: ignore[misc]
                    "it is unpacked",
                )
            worker.terminate()
            worker.wait(30)
        for version, revision, more in ((made.n, 1, 0), (there.n, 2, 1)):
            found = versions.get(depot, admin, version).version
            assert (found.state, found.revision, found.n_entries) == (State.READY, revision, len(MEMBERS) + more)
            for path, content in MEMBERS.items():
                assert entries.get(depot, admin, version, path)[2].sha256 == hashlib.sha256(content).digest()
        with depot.catalog.read() as conn:
            told = select(func.count()).where(event.c.verb == "revision.created", event.c.version == made.n)
            assert conn.execute(told).scalar_one() == 1
            assert sorted(conn.execute(select(job.c.fence).where(job.c.kind == crates.JOB)).scalars()) == [1, 2]
