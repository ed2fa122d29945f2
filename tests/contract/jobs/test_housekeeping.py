"""Periodic jobs come once in a slot, and jobs of workers that are gone come back, whoever keeps house."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from entrepot.catalog.database import Catalog
from entrepot.catalog.schema import job
from entrepot.catalog.work import Periodic
from entrepot.jobs.housekeeping import Housekeeper
from entrepot.jobs.presence import Presence
from tests.support.catalogs import Clock
from tests.support.jobs import OVER, claim, claimed, enqueue, row, uid

MINUTE = Periodic("sweep", timedelta(minutes=1))
HOUR = Periodic("collect", timedelta(hours=1), queue="collection")


def keeper(catalog: Catalog, *periodic: Periodic, folder: Path | None = None) -> Housekeeper:
    return Housekeeper(catalog, new_uid=uid, periodic=periodic, folder=folder)


def count(catalog: Catalog, kind: str) -> int:
    with catalog.read() as conn:
        return conn.execute(select(func.count()).select_from(job).where(job.c.kind == kind)).scalar_one()


def test_a_periodic_job_comes_once_in_each_slot(catalog: Catalog, clock: Clock) -> None:
    one, other = keeper(catalog, MINUTE, HOUR), keeper(catalog, MINUTE, HOUR)
    for _ in range(2):
        one.keep()
        other.keep()
    assert (count(catalog, "sweep"), count(catalog, "collect")) == (1, 1)
    for _ in range(3):
        clock.move(minutes=1)
        other.keep()
        one.keep()
    assert (count(catalog, "sweep"), count(catalog, "collect")) == (4, 1)


def test_slots_that_passed_while_nobody_was_there_are_not_made_up_for(catalog: Catalog, clock: Clock) -> None:
    one = keeper(catalog, MINUTE)
    assert one.schedule() == 1
    clock.move(hours=5)
    assert one.schedule() == 1


def test_a_worker_that_starts_anew_in_the_same_slot_enqueues_nothing(catalog: Catalog) -> None:
    assert keeper(catalog, MINUTE).schedule() == 1
    assert keeper(catalog, MINUTE).schedule() == 0


def test_each_kind_goes_to_its_queue_and_is_no_task(catalog: Catalog) -> None:
    keeper(catalog, MINUTE, HOUR).keep()
    sweep, collect = claimed(catalog, queue_name="upkeep"), claimed(catalog, queue_name="collection")
    assert (sweep.kind, collect.kind) == ("sweep", "collect")
    assert not row(catalog, sweep.n).shown


def test_a_slot_longer_than_a_day_is_refused() -> None:
    """Its row could be forgotten while the slot lasts, and the job would run twice."""
    with pytest.raises(ValueError, match="at most a day"):
        Periodic("yearly", timedelta(days=365))


def test_a_job_whose_lease_is_over_comes_back(catalog: Catalog) -> None:
    n = enqueue(catalog)
    claimed(catalog, lease=OVER)
    assert keeper(catalog).take_back() == 1
    assert claimed(catalog).n == n
    assert keeper(catalog).take_back() == 0


def test_a_job_of_a_worker_that_died_on_this_machine_comes_back_at_once(catalog: Catalog, tmp_path: Path) -> None:
    n = enqueue(catalog)
    claimed(catalog, worker="w")
    here = Presence(tmp_path, "w", catalog.now())
    assert keeper(catalog, folder=tmp_path).take_back() == 0
    here.close()
    (tmp_path / "w.alive").touch()
    assert keeper(catalog, folder=tmp_path).take_back() == 1
    assert claimed(catalog).n == n
    assert claim(catalog) is None
    assert not (tmp_path / "w.alive").exists()
