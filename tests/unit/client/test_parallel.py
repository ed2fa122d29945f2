"""Several threads, one outcome: everything was done, or the reason why not."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from entrepot.client.parallel import Stop, Stopped, each


def test_every_job_is_done_once_and_at_once() -> None:
    done: list[int] = []
    both = threading.Barrier(3, timeout=60)

    def work(job: int) -> None:
        if job < 3:
            both.wait()
        done.append(job)

    each(work, range(100), workers=3, stop=Stop())
    assert sorted(done) == list(range(100))


def test_the_first_failure_ends_the_others_and_is_raised() -> None:
    started: list[int] = []
    stop = Stop()

    def work(job: int) -> None:
        started.append(job)
        if job == 5:
            raise ValueError("job 5")
        stop.check()

    with pytest.raises(ValueError, match="job 5"):
        each(work, range(10_000), workers=4, stop=stop)
    assert len(started) < 10_000


def test_jobs_are_taken_only_when_a_thread_is_free() -> None:
    taken: list[int] = []

    def jobs() -> Iterator[int]:
        for job in range(1000):
            taken.append(job)
            yield job

    seen: list[int] = []

    def work(job: int) -> None:
        seen.append(len(taken) - job)

    each(work, jobs(), workers=2, stop=Stop())
    assert max(seen) <= 3


def test_a_run_that_was_stopped_from_outside_is_not_taken_for_done() -> None:
    stop = Stop()

    def work(job: int) -> None:
        if job == 3:
            stop.set()

    with pytest.raises(Stopped):
        each(work, range(100), workers=1, stop=stop)
    with pytest.raises(Stopped):
        each(work, range(100), workers=2, stop=stop)


def test_a_wait_ends_with_the_run() -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        stop.wait(3600)


def test_nothing_to_do_is_done() -> None:
    each(lambda _: None, [], workers=4, stop=Stop())
