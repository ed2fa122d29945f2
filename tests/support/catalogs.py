"""Catalogues for tests: both databases, a clock that the test moves."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from entrepot.catalog.database import Catalog
from tests.support.postgres import PostgresServer


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


@cache
def _empty_sqlite() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.db"
        _upgrade(str(path))
        return path.read_bytes()


@contextmanager
def new_catalog_url(kind: str, folder: Path, server: Callable[[], PostgresServer]) -> Iterator[str | Path]:
    """Where an upgraded, empty catalogue of this kind is; a PostgreSQL one is lent."""
    if kind == "sqlite":
        path = folder / "catalog.db"
        path.write_bytes(_empty_sqlite())
        yield path
        return
    postgres = server()
    with postgres.lent("catalog", _upgrade) as name:
        yield postgres.url(name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | Path]:
    """The address of an upgraded, empty catalogue; every test that asks for it runs on both databases."""

    def server() -> Any:
        return request.getfixturevalue("postgres_server")

    with new_catalog_url(request.param, tmp_path, server) as url:
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
