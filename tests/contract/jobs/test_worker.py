"""A whole worker in this process: it is woken, serves each queue by itself, and ends when asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from entrepot.catalog.database import Catalog
from entrepot.catalog.work import JobKind, Periodic, Work
from entrepot.jobs.nudge import nudge
from entrepot.jobs.presence import alive
from entrepot.jobs.runner import Runner
from entrepot.jobs.worker import Worker
from tests.support.catalogs import Clock
from tests.support.jobs import PATIENCE_S, enqueue, in_thread, row, uid, until


@contextmanager
def at_work(
    catalog: Catalog,
    folder: Path,
    kinds: Mapping[str, JobKind],
    *periodic: Periodic,
    grace_s: float = PATIENCE_S,
    pauses: Mapping[str, float] | None = None,
) -> Iterator[Worker]:
    worker = Worker(
        catalog,
        kinds,
        queues=("work", "upkeep"),
        name=f"w{uid().hex}",
        folder=folder,
        new_uid=uid,
        periodic=periodic,
        pauses=pauses,
    )
    thread = in_thread(lambda: worker.run(grace_s=grace_s))
    try:
        yield worker
    finally:
        worker.ask_to_end()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def test_a_nudged_worker_does_the_job(catalog: Catalog, tmp_path: Path) -> None:
    done = threading.Event()
    with at_work(catalog, tmp_path / "run", {"kind": JobKind(lambda work: done.set())}):
        n = enqueue(catalog)
        nudge(tmp_path / "run")
        assert done.wait(PATIENCE_S)
    assert row(catalog, n).state == "done"


def test_a_long_job_does_not_hold_up_another_queue(catalog: Catalog, tmp_path: Path) -> None:
    begun, swept = threading.Event(), threading.Event()

    def long(work: Work) -> None:
        begun.set()
        until(work, swept)

    kinds = {"long": JobKind(long), "sweep": JobKind(lambda work: swept.set())}
    with at_work(catalog, tmp_path, kinds):
        n = enqueue(catalog, "long")
        assert begun.wait(PATIENCE_S)
        enqueue(catalog, "sweep", queue_name="upkeep")
        assert swept.wait(PATIENCE_S)
        while row(catalog, n).state != "done":
            pass


def test_what_comes_during_a_round_waits_for_the_next_one(catalog: Catalog, clock: Clock, tmp_path: Path) -> None:
    begun, go_on, second = threading.Event(), threading.Event(), threading.Event()

    def first(work: Work) -> None:
        begun.set()
        until(work, go_on)

    kinds = {"first": JobKind(first), "second": JobKind(lambda work: second.set())}
    # A rest that outlasts the test: what is done after the first round is not done in this test.
    with at_work(catalog, tmp_path, kinds, pauses={"work": 10 * PATIENCE_S}):
        n = enqueue(catalog, "first")
        assert begun.wait(PATIENCE_S)
        clock.move(seconds=1)
        late = enqueue(catalog, "second")
        swept = enqueue(catalog, "second", queue_name="upkeep")
        go_on.set()
        while row(catalog, n).state != "done" or row(catalog, swept).state != "done":
            pass
        assert row(catalog, late).state == "ready"


def test_periodic_jobs_run_without_anybody_asking(catalog: Catalog, tmp_path: Path) -> None:
    swept = threading.Event()
    with at_work(
        catalog, tmp_path, {"sweep": JobKind(lambda work: swept.set())}, Periodic("sweep", timedelta(minutes=1))
    ):
        assert swept.wait(PATIENCE_S)


def test_a_worker_says_that_it_is_alive_and_leaves_nothing_behind(catalog: Catalog, tmp_path: Path) -> None:
    done = threading.Event()
    with at_work(catalog, tmp_path, {"kind": JobKind(lambda work: done.set())}):
        enqueue(catalog)
        assert done.wait(PATIENCE_S)
        assert [seen.at for seen in alive(tmp_path)] == [catalog.now()]
    assert alive(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir() if path.suffix in (".alive", ".wake")] == []


def test_a_worker_that_ends_gives_its_jobs_back(catalog: Catalog, tmp_path: Path) -> None:
    """One handler stops when it is asked, the other hears nothing: both jobs are for the next worker, unspent."""
    both, never = threading.Barrier(3), threading.Event()

    def polite(work: Work) -> None:
        both.wait(PATIENCE_S)
        until(work, never)

    def deaf(work: Work) -> None:
        both.wait(PATIENCE_S)
        never.wait()

    polite_n = enqueue(catalog, "polite")
    deaf_n = enqueue(catalog, "deaf", queue_name="upkeep")
    with at_work(catalog, tmp_path, {"polite": JobKind(polite), "deaf": JobKind(deaf)}, grace_s=0.2):
        both.wait(PATIENCE_S)
    for n in (polite_n, deaf_n):
        assert (row(catalog, n).state, row(catalog, n).attempt) == ("ready", 0)
    never.set()


def test_a_mistake_in_the_loop_does_not_leave_a_queue_unserved(catalog: Catalog, tmp_path: Path) -> None:
    done = threading.Event()

    class Kinds(dict[str, JobKind]):
        """Looking for a kind fails once."""

        failed = False

        def get(self, kind: str, default: JobKind | None = None) -> JobKind | None:  # type: ignore[override]
            if not self.failed:
                self.failed = True
                raise KeyError(kind)
            return super().get(kind, default)

    kinds = Kinds(kind=JobKind(lambda work: done.set()))
    with at_work(catalog, tmp_path, kinds):
        enqueue(catalog)
        enqueue(catalog)
        assert done.wait(PATIENCE_S)


def test_a_job_wakes_its_own_queue_and_no_other(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With sixteen queues every commit cost sixteen questions; now the worker asks one for all of them."""
    stepped: list[str] = []
    step = Runner.step

    def noted(runner: Runner, due_by: datetime | None = None) -> bool:
        stepped.append(runner.queue)
        return step(runner, due_by)

    monkeypatch.setattr(Runner, "step", noted)
    done = threading.Event()
    with at_work(catalog, tmp_path / "run", {"kind": JobKind(lambda work: done.set())}):
        enqueue(catalog)
        nudge(tmp_path / "run")
        assert done.wait(PATIENCE_S)
    # Once more at the end, when all are told to stop.
    assert "work" in stepped
    assert stepped.count("upkeep") <= 1
