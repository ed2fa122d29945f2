"""Any order of the depot's use cases, with deaths and power cuts in the middle of them, against plain dicts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.depot_life import STEPS
from tests.support.depot_machine import DepotMachine
from tests.support.machines import run_machine
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inhabited")


def test_the_depot_behaves_like_dicts_on_sqlite(shared: Path) -> None:
    run_machine(DepotMachine, 0.1, STEPS, server=None, shared=shared)


def test_the_depot_behaves_like_dicts_on_postgresql(postgres_server: PostgresServer, shared: Path) -> None:
    run_machine(DepotMachine, 0.06, STEPS, server=postgres_server, shared=shared)


@pytest.mark.soak
def test_the_depot_behaves_like_dicts_on_sqlite_for_long(shared: Path) -> None:
    run_machine(DepotMachine, 0.05, STEPS, server=None, shared=shared)


@pytest.mark.soak
def test_the_depot_behaves_like_dicts_on_postgresql_for_long(postgres_server: PostgresServer, shared: Path) -> None:
    run_machine(DepotMachine, 0.015, STEPS, server=postgres_server, shared=shared)
