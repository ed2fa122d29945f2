"""Catalogues for tests: both databases, a clock that the test moves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from entrepot.catalog.database import Catalog
from entrepot.depot import bootstrap
from entrepot.depot.context import Depot, Policy
from entrepot.store.memory import MemoryStore
from tests.support import compiled
from tests.support.postgres import PostgresServer

compiled.share()

ADMIN_PASSWORD = "the first password"
#: How well passwords are hashed is asked elsewhere.
CHEAP_PASSWORDS = Policy(password_time_cost=1, password_memory_kib=64, password_lanes=1)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def move(self, **by: float) -> datetime:
        self.at += timedelta(**by)
        return self.at


def _upgrade(url: str) -> None:
    catalog = Catalog.open(url, clock=Clock())
    catalog.upgrade()
    catalog.close()


def _start(url: str) -> None:
    """Upgrade it, and make what a server makes at its first start."""
    _upgrade(url)
    catalog = Catalog.open(url, clock=(clock := Clock()))
    store = MemoryStore()
    depot = Depot(
        catalog=catalog, store=store, staging=store.staging, secret=b"not used", clock=clock, policy=CHEAP_PASSWORDS
    )
    bootstrap.bootstrap(depot, admin_password=ADMIN_PASSWORD)
    catalog.close()


@cache
def _sqlite_after(prepare: Callable[[str], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.db"
        prepare(str(path))
        return path.read_bytes()


def upgraded_sqlite() -> bytes:
    """A SQLite catalogue of today's schema without a row, as a file."""
    return _sqlite_after(_upgrade)


@contextmanager
def new_catalog_url(
    kind: str, folder: Path, server: Callable[[], PostgresServer], *, started: bool = False
) -> Iterator[str | Path]:
    """Where an upgraded catalogue of this kind is; a PostgreSQL one is lent.

    Args:
        started: It is as after the first start of a server, which most tests need: the 40 rows of that, with the
            statements for them, cost more than what a small test does. Else it is empty.
    """
    prepare = _start if started else _upgrade
    if kind == "sqlite":
        path = folder / "catalog.db"
        path.write_bytes(_sqlite_after(prepare))
        yield path
        return
    with server().lent(prepare.__name__, prepare) as name:
        yield server().url(name)


@pytest.fixture
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder of this test alone, in memory where there is room: nothing in it must survive a power cut.

    Killed processes lose nothing there that they would not lose on a disk.
    """
    with memory_folder(tmp_path) as folder:
        yield folder


@contextmanager
def memory_folder(otherwise: Path | None = None) -> Iterator[Path]:
    """A new folder in memory, where the system has such a place with a gigabyte free; else below `otherwise`."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30
    with tempfile.TemporaryDirectory(prefix="entrepot-", dir=memory if roomy else otherwise) as folder:
        yield Path(folder)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, quick_folder: Path) -> Iterator[str | Path]:
    """The address of an upgraded catalogue; every test that asks for it runs on both databases.

    It is empty, but for a test that asks for a house or a world, whose server has started before.
    """

    def server() -> Any:
        return request.getfixturevalue("postgres_server")

    started = not {"house", "world"}.isdisjoint(request.fixturenames)
    with new_catalog_url(request.param, quick_folder, server, started=started) as url:
        yield url


@pytest.fixture
def catalog(catalog_url: str | Path, clock: Clock) -> Iterator[Catalog]:
    opened = Catalog.open(catalog_url, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def histories(catalog: Catalog, clock: Clock) -> Any:
    from tests.support.histories import Histories

    return Histories(catalog, clock)
