"""What a job goes through in a worker, on both databases: finishing, failing, being cancelled, being taken over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy import Connection, insert, select
from structlog.contextvars import bound_contextvars, get_contextvars

from entrepot.catalog import queue, tasks
from entrepot.catalog.database import Catalog
from entrepot.catalog.schema import word
from entrepot.catalog.work import Cancelled, JobKind, Later, Work
from entrepot.jobs.runner import FIRST_RETRY, LAST_RETRY, Runner, retry_after
from entrepot.model.errors import Invalid, Unavailable
from entrepot.model.values import TaskState
from entrepot.testing.faulty import Faults, fails
from entrepot.testing.faulty_catalog import faulty_catalog
from tests.support.catalogs import Clock
from tests.support.jobs import LONG, OVER, change, enqueue, enqueue_in, in_thread, row, until


def runner(catalog: Catalog, run: Callable[[Work], None], *, lease: timedelta = LONG, **hooks: Any) -> Runner:
    return Runner(catalog, {"kind": JobKind(run, **hooks)}, queue="work", worker="w", lease=lease, look_every_s=0.01)


def facts(text: str) -> Callable[[Connection], Mapping[str, Any]]:
    def write(conn: Connection) -> Mapping[str, Any]:
        conn.execute(insert(word).values(text=text))
        return {"text": text}

    return write


def words(catalog: Catalog) -> list[str]:
    with catalog.read() as conn:
        return list(conn.execute(select(word.c.text).order_by(word.c.id)).scalars())


def abandoned(conn: Connection, payload: Mapping[str, Any], error: Mapping[str, Any]) -> None:
    conn.execute(insert(word).values(text=f"abandoned {payload['name']}: {error['code']}"))


def test_a_jobs_facts_and_its_end_are_one_transaction(catalog: Catalog) -> None:
    def run(work: Work) -> None:
        work.progress(5, 10, "half")
        work.finish(facts(work.payload["name"]))

    n = enqueue(catalog, payload={"name": "a"})
    assert runner(catalog, run).step()
    ended = row(catalog, n)
    assert (ended.state, ended.result) == ("done", {"text": "a"})
    assert ended.progress == {"done": 5, "total": 10, "message": "half"}
    assert words(catalog) == ["a"]


def test_nothing_due_is_no_step(catalog: Catalog) -> None:
    assert not runner(catalog, lambda work: None).step()


def test_a_handler_that_has_nothing_to_write_is_done_when_it_returns(catalog: Catalog) -> None:
    n = enqueue(catalog)
    runner(catalog, lambda work: None).step()
    assert row(catalog, n).state == "done"


def test_a_handler_may_end_its_job_as_failed(catalog: Catalog) -> None:
    """It found the content wrong: nobody tries again, and the report is the error."""
    n = enqueue(catalog, payload={"name": "report"})
    runner(catalog, lambda work: work.finish(facts("report"), state=TaskState.FAILED), abandoned=abandoned).step()
    ended = row(catalog, n)
    assert (ended.state, ended.result, ended.error) == ("failed", None, {"text": "report"})
    assert words(catalog) == ["report"]


def test_what_may_pass_is_tried_again_later_and_later(catalog: Catalog, clock: Clock) -> None:
    def run(work: Work) -> None:
        raise Unavailable("the store is away")

    n = enqueue(catalog, payload={"name": "a"}, max_attempts=3)
    one = runner(catalog, run, abandoned=abandoned)
    assert one.step()
    waiting = row(catalog, n)
    assert (waiting.state, waiting.due) == ("ready", clock.at + FIRST_RETRY)
    assert waiting.error == {"code": "unavailable", "detail": "the store is away", "attempt": 1}
    assert not one.step(), "not before its time"
    clock.move(seconds=2)
    assert one.step()
    assert row(catalog, n).due == clock.at + FIRST_RETRY * 2
    clock.move(seconds=4)
    assert one.step()
    ended = row(catalog, n)
    assert (ended.state, ended.attempt, ended.error["code"]) == ("failed", 3, "unavailable")
    assert words(catalog) == ["abandoned a: unavailable"], "only the last failure gives up"


def test_the_wait_before_a_retry_doubles_up_to_ten_minutes() -> None:
    assert [retry_after(n) for n in (1, 2, 3)] == [FIRST_RETRY, FIRST_RETRY * 2, FIRST_RETRY * 4]
    assert retry_after(1000) == LAST_RETRY


def test_a_retry_that_succeeds_leaves_no_error(catalog: Catalog, clock: Clock) -> None:
    tries: list[int] = []

    def run(work: Work) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise Unavailable("away")
        work.finish(facts("a"))

    n = enqueue(catalog)
    one = runner(catalog, run)
    one.step()
    clock.move(minutes=1)
    one.step()
    assert (row(catalog, n).state, row(catalog, n).error) == ("done", None)


def test_what_will_never_work_is_given_up_at_once(catalog: Catalog) -> None:
    def run(work: Work) -> None:
        raise Invalid("no such column")

    n = enqueue(catalog, payload={"name": "a"})
    runner(catalog, run, abandoned=abandoned).step()
    assert (row(catalog, n).state, row(catalog, n).attempt) == ("failed", 1)
    assert words(catalog) == ["abandoned a: invalid"]


def test_a_mistake_of_ours_is_tried_again_and_told_without_its_inside(catalog: Catalog) -> None:
    def run(work: Work) -> None:
        raise KeyError("secret")

    n = enqueue(catalog, payload={"name": "a"}, max_attempts=1)
    runner(catalog, run, abandoned=abandoned).step()
    assert row(catalog, n).error["code"] == "internal"
    assert "secret" not in str(row(catalog, n).error)
    assert words(catalog) == ["abandoned a: internal"]


def test_facts_that_cannot_be_written_fail_the_job_and_leave_nothing(catalog: Catalog) -> None:
    def run(work: Work) -> None:
        def write(conn: Connection) -> None:
            conn.execute(insert(word).values(text="half"))
            raise Invalid("the project has no room")

        work.finish(write)

    n = enqueue(catalog)
    runner(catalog, run).step()
    assert (row(catalog, n).state, row(catalog, n).error["detail"]) == ("failed", "the project has no room")
    assert words(catalog) == []


def test_clearing_up_that_fails_does_not_keep_the_job_alive(catalog: Catalog) -> None:
    def broken(conn: Connection, payload: Mapping[str, Any], error: Mapping[str, Any]) -> None:
        conn.execute(insert(word).values(text="half"))
        raise KeyError("mistake")

    def run(work: Work) -> None:
        raise Invalid("bad")

    n = enqueue(catalog)
    runner(catalog, run, abandoned=broken).step()
    assert row(catalog, n).state == "failed"
    assert words(catalog) == []


def test_every_end_of_a_job_is_told_in_its_transaction(catalog: Catalog, clock: Clock) -> None:
    told: list[tuple[int, TaskState]] = []

    def ended(conn: Connection, n: int, state: TaskState) -> None:
        assert conn.in_transaction()
        told.append((n, state))

    def run(work: Work) -> None:
        if work.payload["name"] == "bad":
            raise Invalid("bad")
        work.finish(facts(work.payload["name"]))

    good, bad = enqueue(catalog, payload={"name": "good"}), enqueue(catalog, payload={"name": "bad"})
    one = runner(catalog, run, ended=ended)
    one.step()
    one.step()
    assert told == [(good, TaskState.DONE), (bad, TaskState.FAILED)]


def test_a_run_finishes_once(catalog: Catalog) -> None:
    def run(work: Work) -> None:
        work.finish(facts("a"))
        work.finish(facts("b"))

    n = enqueue(catalog)
    runner(catalog, run).step()
    assert row(catalog, n).state == "done", "what goes wrong after the end does not undo it"
    assert words(catalog) == ["a"]


def test_a_late_finisher_is_fenced_off_with_all_its_facts(catalog: Catalog) -> None:
    """The lease of the first run ends while its handler is still at work; another worker does the job meanwhile."""
    second = runner(catalog, lambda work: work.finish(facts("second")))
    stopped: list[type[BaseException]] = []

    def slow(work: Work) -> None:
        catalog.write(lambda conn: queue.take_back_expired(conn, catalog.now()))
        assert second.step()
        try:
            work.finish(facts("first"))
        except Cancelled:
            stopped.append(Cancelled)
            raise

    n = enqueue(catalog)
    # Looks rarely, so that it does not renew the lease that this test takes to be over.
    late = Runner(catalog, {"kind": JobKind(slow)}, queue="work", worker="late", lease=OVER, look_every_s=3600)
    late.step()
    assert stopped == [Cancelled]
    assert words(catalog) == ["second"]
    assert (row(catalog, n).state, row(catalog, n).result) == ("done", {"text": "second"})


def test_a_run_that_lost_its_job_hears_of_it_while_it_works(catalog: Catalog) -> None:
    def run(work: Work) -> None:
        change(catalog, n, {"fence": 99, "worker": "other"})
        until(work, threading.Event())

    n = enqueue(catalog, payload={"name": "a"})
    runner(catalog, run, abandoned=abandoned).step()
    assert (row(catalog, n).state, row(catalog, n).worker) == ("running", "other"), "it is left to its owner"
    assert words(catalog) == []


def test_a_handler_that_tells_nothing_keeps_its_lease(catalog: Catalog, clock: Clock) -> None:
    """It computes without a pause and never calls `progress`: the lease is extended beside it."""

    def run(work: Work) -> None:
        for _ in range(3):
            before = row(catalog, n).lease
            clock.move(seconds=1)
            while row(catalog, n).lease == before:
                sum(i * i for i in range(1000))

    n = enqueue(catalog)
    runner(catalog, run, lease=timedelta(milliseconds=40)).step()
    assert row(catalog, n).state == "done"


def test_progress_is_written_down_while_the_handler_works(catalog: Catalog) -> None:
    seen = threading.Event()

    def run(work: Work) -> None:
        work.progress(7, 10, "rows")
        while row(catalog, n).progress != {"done": 7, "total": 10, "message": "rows"}:
            pass
        seen.set()

    n = enqueue(catalog)
    runner(catalog, run).step()
    assert seen.is_set()


def test_a_running_job_is_cancelled_at_its_next_step(catalog: Catalog) -> None:
    let_go: list[bool] = []

    def run(work: Work) -> None:
        catalog.write(lambda conn: tasks.ask_to_stop(conn, n, catalog.now()))
        try:
            until(work, threading.Event())
        finally:
            let_go.append(True)

    n = enqueue(catalog, payload={"name": "a"})
    runner(catalog, run, abandoned=abandoned).step()
    assert let_go == [True]
    ended = row(catalog, n)
    assert (ended.state, ended.error["code"]) == ("cancelled", "cancelled")
    assert words(catalog) == ["abandoned a: cancelled"]


def test_a_cancelled_job_whose_worker_died_is_not_begun_again(catalog: Catalog) -> None:
    def run(work: Work) -> None:
        raise AssertionError("nobody wants it any more")

    n = enqueue(catalog, payload={"name": "a"})
    catalog.write(lambda conn: queue.claim(conn, "work", worker="dead", now=catalog.now(), lease=LONG))
    catalog.write(lambda conn: tasks.ask_to_stop(conn, n, catalog.now()))
    catalog.write(lambda conn: queue.take_back_from(conn, ["dead"]))
    runner(catalog, run, abandoned=abandoned).step()
    assert row(catalog, n).state == "cancelled"
    assert words(catalog) == ["abandoned a: cancelled"]


def test_a_job_that_kills_its_workers_is_given_up(catalog: Catalog) -> None:
    """It was taken over as often as it may be tried: something in it is deadly."""
    n = enqueue(catalog, payload={"name": "a"}, max_attempts=2)
    for worker in ("first", "second"):
        catalog.write(lambda conn, w=worker: queue.claim(conn, "work", worker=w, now=catalog.now(), lease=LONG))
        catalog.write(lambda conn, w=worker: queue.take_back_from(conn, [w]))
    runner(catalog, lambda work: pytest.fail("not again"), abandoned=abandoned).step()
    assert (row(catalog, n).state, row(catalog, n).error["code"]) == ("failed", "worker_lost")
    assert words(catalog) == ["abandoned a: worker_lost"]


def test_a_kind_that_this_worker_does_not_know_is_left_for_a_newer_one(catalog: Catalog, clock: Clock) -> None:
    n = enqueue(catalog, "from the future", max_attempts=2)
    one = runner(catalog, lambda work: None)
    assert one.step()
    assert (row(catalog, n).state, row(catalog, n).due) == ("ready", clock.at + LAST_RETRY)
    clock.move(minutes=10)
    assert one.step()
    assert (row(catalog, n).state, row(catalog, n).error["code"]) == ("failed", "unsupported")


def test_what_is_logged_of_a_job_has_the_id_of_the_request_that_asked_for_it(catalog: Catalog) -> None:
    """Also of a job that a job asks for; and nothing of it stays with the next."""
    seen: list[Any] = []

    def run(work: Work) -> None:
        seen.append(get_contextvars().get("request_id"))
        if work.payload:
            work.finish(lambda conn: enqueue_in(conn, catalog) and None)

    with bound_contextvars(request_id="0123456789"):
        enqueue(catalog, payload={"asks": "for another"})
    enqueue(catalog)
    one = runner(catalog, run)
    while one.step():
        pass
    assert seen == ["0123456789", None, "0123456789"]
    assert get_contextvars() == {}


def test_a_worker_that_ends_puts_its_job_back_as_if_it_had_not_begun(catalog: Catalog) -> None:
    def run(work: Work) -> None:
        one.ask_to_end()
        until(work, threading.Event())

    n = enqueue(catalog, payload={"name": "a"})
    one = runner(catalog, run, abandoned=abandoned)
    one.step()
    back = row(catalog, n)
    assert (back.state, back.attempt, back.worker) == ("ready", 0, None)
    assert words(catalog) == []
    assert not one.step(), "it takes nothing more"
    assert runner(catalog, lambda work: work.finish(facts("next"))).step()
    assert words(catalog) == ["next"]


def test_a_handler_that_does_not_stop_loses_its_job(catalog: Catalog) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def deaf(work: Work) -> None:
        begun.set()
        go_on.wait()
        work.finish(facts("late"))

    n = enqueue(catalog)
    one = runner(catalog, deaf)
    lane = in_thread(one.step)
    begun.wait()
    one.ask_to_end()
    one.hand_back()
    assert (row(catalog, n).state, row(catalog, n).attempt) == ("ready", 0)
    go_on.set()
    lane.join()
    assert words(catalog) == []
    assert row(catalog, n).state == "ready"


def test_a_job_that_goes_on_later_lies_in_the_queue_and_keeps_its_attempts(catalog: Catalog, clock: Clock) -> None:
    begun = []

    def run(work: Work) -> None:
        begun.append(work.mark)
        if len(begun) < 3:
            raise Later(timedelta(seconds=5))

    n = enqueue(catalog, max_attempts=1)
    one = runner(catalog, run)
    assert one.step()
    assert not one.step(), "not yet"
    waiting = row(catalog, n)
    assert (waiting.state, waiting.attempt, waiting.error, waiting.lease) == ("ready", 0, None, None)
    for _ in range(2):
        clock.move(seconds=5)
        assert one.step()
    assert row(catalog, n).state == "done"
    assert len(set(begun)) == 3, "every run has a mark of its own"


@pytest.mark.parametrize(("when", "left"), [("before", "ready"), ("after", "done")])
def test_a_job_that_outlived_its_catalogue_goes_back_when_that_is_there_again(
    catalog_url: str | Path, clock: Clock, when: Literal["before", "after"], left: str
) -> None:
    """Nobody waits for the end of a lease that a living worker holds. And what was done although nobody was told of it
    is not done again.
    """
    faults = Faults()
    catalog = faulty_catalog(catalog_url, clock=clock, faults=faults)
    attempts: list[int] = []

    def run(work: Work) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            faults.on("catalog.write", fails(Unavailable("the database is away"), when), times=2)
        work.finish(facts("done"))

    try:
        n = enqueue(catalog)
        one = runner(catalog, run)
        with pytest.raises(Unavailable):
            one.step()
        assert not one.step()
        assert row(catalog, n).state == left
        if left == "ready":
            assert row(catalog, n).due == clock.at + FIRST_RETRY
            clock.move(seconds=2)
            assert one.step()
        assert (row(catalog, n).state, words(catalog)) == ("done", ["done"])
    finally:
        catalog.close()
