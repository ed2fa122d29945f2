"""kill -9 of a start while it makes or upgrades the tables: one whole schema is left, and the next start goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.scripts import run_script


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without any table."""
    return str(tmp_path / "c.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def test_a_migration_that_is_killed_is_done_wholly_or_not_at_all(empty_url: str) -> None:
    said = run_script("killed_migrations", empty_url, "5", "2")
    assert set(said["kills"]) == {"None", *said["older"]}, f"the kills did not hit every revision: {said}"


@pytest.mark.soak
def test_a_migration_that_is_killed_at_any_step(empty_url: str) -> None:
    run_script("killed_migrations", empty_url, "0", "all")
