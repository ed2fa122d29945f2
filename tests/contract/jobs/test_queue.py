"""What the queue promises, on both databases: who gets a job, and whose end of it counts."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Connection, func, select

from entrepot.catalog import queue
from entrepot.catalog.database import Catalog
from entrepot.catalog.queue import Claimed
from entrepot.catalog.schema import job
from tests.support.catalogs import Clock
from tests.support.jobs import LONG, OVER, change, claim, claimed, enqueue, row, uid


def finish(catalog: Catalog, run: Claimed, state: str = "done") -> bool:
    return catalog.write(lambda conn: queue.finish(conn, run, state=state, now=catalog.now(), result={"by": run.fence}))


def test_jobs_come_out_in_the_order_in_which_they_were_due(catalog: Catalog, clock: Clock) -> None:
    late = enqueue(catalog, due=clock.at - timedelta(seconds=1))
    first, second = enqueue(catalog, due=clock.at - timedelta(hours=1)), enqueue(catalog, due=clock.at)
    third = enqueue(catalog, due=clock.at)
    assert [claimed(catalog).n for _ in range(4)] == [first, late, second, third]
    assert claim(catalog) is None


def test_a_job_that_is_not_due_waits(catalog: Catalog, clock: Clock) -> None:
    n = enqueue(catalog, due=clock.at + timedelta(minutes=1))
    with catalog.read() as conn:
        assert queue.waiting(conn, ["work", "other"], clock.at) == set()
    assert claim(catalog) is None
    clock.move(minutes=1)
    with catalog.read() as conn:
        assert queue.waiting(conn, ["work", "other"], clock.at) == {"work"}
    assert claimed(catalog).n == n


def test_a_queue_gives_only_its_own_jobs(catalog: Catalog) -> None:
    enqueue(catalog, queue_name="other")
    assert claim(catalog) is None
    assert claim(catalog, queue_name="other") is not None


def test_a_job_goes_to_one_of_many_workers(catalog: Catalog) -> None:
    numbers = [enqueue(catalog) for _ in range(40)]

    def work(name: int) -> list[int]:
        found = []
        while (run := claim(catalog, worker=f"w{name}")) is not None:
            found.append(run.n)
        return found

    with ThreadPoolExecutor(8) as pool:
        got = [n for found in pool.map(work, range(8)) for n in found]
    assert Counter(got) == Counter(numbers)


def test_what_was_rolled_back_was_never_enqueued(catalog: Catalog) -> None:
    def work(conn: Connection) -> None:
        queue.enqueue(conn, uid=uid(), queue="work", kind="kind", payload={}, now=catalog.now())
        raise LookupError

    with pytest.raises(LookupError):
        catalog.write(work)
    assert claim(catalog) is None


def test_the_end_of_a_job_is_written_with_what_it_found(catalog: Catalog, clock: Clock) -> None:
    n = enqueue(catalog, payload={"a": [1, "é"]})
    run = claimed(catalog)
    assert (run.payload, run.attempt, run.cancel) == ({"a": [1, "é"]}, 1, False)
    clock.move(seconds=5)
    assert finish(catalog, run)
    ended = row(catalog, n)
    assert (ended.state, ended.result, ended.error, ended.lease) == ("done", {"by": run.fence}, None, None)
    assert ended.ended_at == clock.at
    assert ended.started_at == clock.at - timedelta(seconds=5)


def test_a_job_whose_lease_is_over_is_taken_back_and_its_late_end_refused(catalog: Catalog) -> None:
    n = enqueue(catalog)
    slow = claimed(catalog, worker="slow", lease=OVER)
    with catalog.read() as conn:
        assert queue.any_expired(conn, catalog.now())
    assert catalog.write(lambda conn: queue.take_back_expired(conn, catalog.now())) == 1
    quick = claimed(catalog, worker="quick")
    assert (quick.n, quick.attempt, quick.fence) == (n, 2, slow.fence + 1)
    assert not finish(catalog, slow)
    assert catalog.write(lambda conn: queue.heartbeat(conn, slow, now=catalog.now(), lease=LONG)) is None
    assert not catalog.write(lambda conn: queue.put_back(conn, slow, due=catalog.now(), error={}))
    assert finish(catalog, quick)
    assert not finish(catalog, quick), "a job ends once"
    assert row(catalog, n).result == {"by": quick.fence}


def test_a_lease_that_runs_is_nobody_elses(catalog: Catalog) -> None:
    enqueue(catalog)
    claimed(catalog, lease=LONG)
    with catalog.read() as conn:
        assert not queue.any_expired(conn, catalog.now())
    assert catalog.write(lambda conn: queue.take_back_expired(conn, catalog.now())) == 0


def test_a_heartbeat_extends_the_lease_and_brings_word_of_a_cancellation(catalog: Catalog) -> None:
    n = enqueue(catalog)
    run = claimed(catalog, lease=OVER)

    def beat() -> bool | None:
        return catalog.write(
            lambda conn: queue.heartbeat(conn, run, now=catalog.now(), lease=LONG, progress={"done": 3})
        )

    assert beat() is False
    assert row(catalog, n).progress == {"done": 3}
    assert catalog.write(lambda conn: queue.take_back_expired(conn, catalog.now())) == 0
    change(catalog, n, {"cancel": True})
    assert beat() is True
    with catalog.read() as conn:
        assert queue.look(conn, run) is True


def test_leases_follow_the_clock_of_the_machine_or_of_the_database(catalog: Catalog, clock: Clock) -> None:
    """On SQLite the injected clock, as every process on the file has it; on PostgreSQL no worker's clock counts."""
    enqueue(catalog)
    claimed(catalog, lease=timedelta(minutes=1))
    clock.move(days=400)
    with catalog.read() as conn:
        assert queue.any_expired(conn, clock.at) is (catalog.dialect == "sqlite")


def test_a_retried_job_waits_for_its_time_and_keeps_its_error(catalog: Catalog, clock: Clock) -> None:
    n = enqueue(catalog)
    run = claimed(catalog)
    due = clock.at + timedelta(seconds=30)
    assert catalog.write(lambda conn: queue.put_back(conn, run, due=due, error={"code": "unavailable"}))
    assert claim(catalog) is None
    assert row(catalog, n).error == {"code": "unavailable"}
    clock.move(seconds=30)
    again = claimed(catalog)
    assert (again.n, again.attempt) == (n, 2)


def test_an_attempt_that_a_shutdown_cut_short_does_not_count(catalog: Catalog) -> None:
    enqueue(catalog)
    run = claimed(catalog)
    assert catalog.write(lambda conn: queue.put_back(conn, run, due=catalog.now(), error={}, spent=False))
    again = claimed(catalog)
    assert again.attempt == 1
    assert again.fence == run.fence + 1, "the fence still tells the two runs apart"


def test_jobs_of_a_dead_worker_go_back_without_waiting_for_their_lease(catalog: Catalog) -> None:
    mine, theirs = enqueue(catalog), enqueue(catalog)
    assert claimed(catalog, worker="dead").n == mine
    assert claimed(catalog, worker="alive").n == theirs
    assert catalog.write(lambda conn: queue.take_back_from(conn, ["dead", "never was"])) == 1
    assert claimed(catalog, worker="alive").n == mine


def test_of_many_who_enqueue_the_same_slot_one_succeeds(catalog: Catalog) -> None:
    def schedule(slot: int) -> bool:
        return catalog.write(
            lambda conn: queue.enqueue_once(
                conn, uid=uid(), queue="work", kind="sweep", dedupe=f"sweep@{slot // 8}", now=catalog.now()
            )
        )

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(schedule, range(80))) == 10
    with catalog.read() as conn:
        assert conn.execute(select(func.count()).select_from(job)).scalar_one() == 10
        assert queue.known(conn, "sweep@3")
        assert not queue.known(conn, "sweep@99")


def test_a_slots_job_is_not_enqueued_again_after_it_ended(catalog: Catalog) -> None:
    def schedule() -> bool:
        return catalog.write(
            lambda conn: queue.enqueue_once(
                conn, uid=uid(), queue="work", kind="sweep", dedupe="sweep@1", now=catalog.now()
            )
        )

    assert schedule()
    assert finish(catalog, claimed(catalog))
    assert not schedule()


def test_health_and_metrics_see_what_waits_and_what_runs(catalog: Catalog, clock: Clock) -> None:
    with catalog.read() as conn:
        assert queue.depths(conn) == {}
        assert queue.oldest_due(conn) is None
    for due in (0, 1, 2):
        enqueue(catalog, due=clock.at - timedelta(seconds=due))
    enqueue(catalog, queue_name="other")
    finish(catalog, claimed(catalog))
    claimed(catalog)
    with catalog.read() as conn:
        assert queue.depths(conn) == {("work", "ready"): 1, ("work", "running"): 1, ("other", "ready"): 1}
        assert queue.oldest_due(conn) == clock.at
