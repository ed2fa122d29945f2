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
    # What is left where is the same on both databases; at every commit it is looked at on the quicker one.
    stride = 4 if "://" in empty_url else 1
    said = run_script("killed_migrations", empty_url, "5", "2", str(stride))
    hit, every = set(said["kills"]), {"None", *said["older"]}
    assert hit <= every
    assert len(hit) * stride >= len(every), f"the kills did not hit enough revisions: {said}"


@pytest.mark.soak
def test_a_migration_that_is_killed_at_any_step(empty_url: str) -> None:
    run_script("killed_migrations", empty_url, "0", "all")
