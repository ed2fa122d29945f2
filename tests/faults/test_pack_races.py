"""Batches, collection and compaction at once: what is committed stays readable, and what nobody names goes."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from entrepot.catalog import contents
from entrepot.catalog.database import Catalog
from entrepot.catalog.schema import content, extent, object_, packed
from entrepot.depot import checking
from entrepot.store.filesystem import FilesystemStore
from tests.support.catalogs import CHEAP_PASSWORDS, Clock
from tests.support.house import House
from tests.support.pack_stress import Stress, check


def stress(catalog: Catalog, clock: Clock, folder: Path, *, users: int, operations: int, seed: int) -> None:
    store = FilesystemStore(folder / "store")
    house = House(catalog, store, store.staging, clock, policy=CHEAP_PASSWORDS)
    done = Stress(house, users=users, operations=operations, seed=seed)
    done.run()
    assert done.rewritten, "no pack was ever rewritten: this run proved nothing"
    for n, version in enumerate(done.versions):
        check(house, done.who, version, done.wanted[n])
    assert not checking.verify(house.depot).damaged
    # Left alone, everything that nobody names goes, and every number is right.
    for n in range(users):
        done.forget(n, None)  # type: ignore[arg-type]
    for _ in range(5):
        done.round()
    for n, version in enumerate(done.versions):
        check(house, done.who, version, done.wanted[n])
    needed = {data for wanted in done.wanted for data in wanted.values()}
    with catalog.read() as conn:
        assert {bytes(row.sha256) for row in conn.execute(select(content.c.sha256))} == {
            house.sha256(data) for data in needed
        }
        assert conn.execute(select(func.count()).select_from(packed)).scalar_one() == 0
        live = dict(conn.execute(select(extent.c.object, func.sum(extent.c.len)).group_by(extent.c.object)).all())
        rows = conn.execute(select(object_)).all()
    assert {row.id: row.live_bytes for row in rows} == {n: int(size) for n, size in live.items()}
    assert {row.key for row in rows} == set(store.keys())
    assert all(row.live_bytes * 2 >= row.body_bytes for row in rows)
    assert list(store.staging.keys()) == []


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The grace of these tests is far below an hour."""
    monkeypatch.setattr(contents, "TOUCH_EVERY", contents.timedelta(0))


@pytest.mark.usefixtures("impatient")
def test_batches_beside_collectors(catalog: Catalog, clock: Clock, tmp_path: Path) -> None:
    stress(catalog, clock, tmp_path, users=2, operations=25, seed=1)


@pytest.mark.soak
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("seed", range(3))
def test_many_batches_beside_collectors(catalog: Catalog, clock: Clock, tmp_path: Path, seed: int) -> None:
    stress(catalog, clock, tmp_path, users=4, operations=600, seed=seed)
