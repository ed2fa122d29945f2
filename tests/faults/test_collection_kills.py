"""kill -9 of the process that gives back bytes: what is used stays, and what is not used goes in the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.scripts import run_script


def test_a_killed_collection_takes_nothing_that_is_used_and_is_ended_by_the_next(tmp_path: Path) -> None:
    said = run_script("killed_collections", str(tmp_path), "4", "10")
    assert said["kills"] == 10


@pytest.mark.soak
def test_a_collection_that_is_killed_at_any_step(tmp_path: Path) -> None:
    run_script("killed_collections", str(tmp_path), "0", "all")
