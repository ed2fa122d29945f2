"""kill -9 of the processes of a server with a job under way: it is done, its facts are there once, nobody is left."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from entrepot.catalog.schema import event, job
from entrepot.depot import bootstrap, ingests, slots, tasks, versions
from entrepot.depot.context import Depot
from entrepot.depot.credentials import as_operator
from entrepot.depot.ingests import Verdict
from entrepot.depot.slots import NewSlot
from entrepot.depot.versions import NewVersion
from entrepot.model.access import Actor
from entrepot.model.values import Numbering, Task, TaskState, Version
from entrepot.server import commands, compose
from tests.support import held
from tests.support.server import ADMIN_PASSWORD, CHEAP, environ, is_alive, running_server, wait_until
from tests.support.starter import Started


@dataclass
class Job:
    """An ingest that is held in the middle, and who has begun it so far."""

    depot: Depot
    admin: Actor
    version: Version
    task: Task
    folder: Path

    def begun(self) -> list[int]:
        """Processes that have begun it, each once."""
        return [int(place.name.rpartition("-")[2]) for place in self.folder.glob("begun-*")]

    def begun_by_another(self, *known: int) -> int:
        wait_until(lambda: set(self.begun()) - set(known), "somebody takes the job over")
        [found] = set(self.begun()) - set(known)
        return found

    def let_go(self) -> None:
        """Let whoever has it end it, and see that it counts once, however often it was begun."""
        (self.folder / "go").touch()
        wait_until(lambda: tasks.get(self.depot, self.admin, self.task.uid).state is not TaskState.RUNNING, "it ends")
        assert tasks.get(self.depot, self.admin, self.task.uid).state is TaskState.DONE
        ready = versions.get(self.depot, self.admin, self.version.n).version
        assert (ready.number, ready.revision, ready.n_entries) == (1, 1, 1)
        with self.depot.catalog.read() as conn:
            told = select(func.count()).where(event.c.verb == "revision.created")
            runs = select(job.c.fence).where(job.c.kind == ingests.JOB)
            assert conn.execute(told).scalar_one() == 1
            assert conn.execute(runs).scalar_one() == len(self.begun())


@contextmanager
def a_job(data: Path, folder: Path) -> Iterator[Job]:
    """Content that is to be checked."""
    folder.mkdir()
    settings = commands.load_config({"data": str(data)}, CHEAP, environ={})
    with compose.open_depot(settings, upgrade=True) as depot:
        bootstrap.bootstrap(depot, admin_password=ADMIN_PASSWORD)
        # Here it is only asked whether there is one.
        depot.checkers = {held.KIND.value: lambda *_: Verdict(False, {})}
        admin = as_operator(depot, "admin")
        new = NewVersion(name="Birds", kind=held.KIND, numbering=Numbering.NEXT)
        version, (slot,) = slots.create(depot, admin, None, new, [NewSlot("a.csv")])
        filling = slots.fill(depot, admin, slot.uid)
        filling.write(b"1,2,3")
        filling.finish()
        yield Job(depot, admin, version, ingests.start(depot, admin, version.n), folder)


@contextmanager
def a_worker(data: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One that somebody started by hand."""
    command = held.command(folder)("worker", "--data", str(data))
    with Started(command, env=environ(), stdout=subprocess.DEVNULL) as started:
        try:
            yield started
        finally:
            started.kill()


def test_the_worker_and_then_the_server_are_killed_and_the_job_is_done_once(tmp_path: Path) -> None:
    with a_job(tmp_path / "data", tmp_path / "held") as job:
        with running_server(tmp_path / "data", program=held.command(job.folder)) as server:
            first = job.begun_by_another()
            assert first in server.children()
            os.kill(first, signal.SIGKILL)
            second = job.begun_by_another(first)
            assert second in server.children(), "the supervisor did not start another worker"
            started = [server.pid, *server.children()]
            os.kill(server.pid, signal.SIGKILL)
            server.process.wait()
            wait_until(lambda: not any(is_alive(pid) for pid in started), "nobody outlives the supervisor")
        with a_worker(tmp_path / "data", job.folder) as worker:
            assert job.begun_by_another(first, second) == worker.pid
            job.let_go()


def test_one_of_two_workers_is_killed_and_the_other_goes_on_with_its_job(tmp_path: Path) -> None:
    with (
        a_job(tmp_path / "data", tmp_path / "held") as job,
        a_worker(tmp_path / "data", job.folder) as one,
        a_worker(tmp_path / "data", job.folder) as another,
    ):
        workers = {one.pid: one, another.pid: another}
        first = job.begun_by_another()
        workers.pop(first).kill()
        [second] = workers
        assert job.begun_by_another(first) == second
        job.let_go()
        workers[second].terminate()
        assert workers[second].wait() == 0
