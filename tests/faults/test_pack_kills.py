"""kill -9 of a process that takes in a batch or rewrites a pack: all of it or nothing, and nothing needed is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.scripts import run_script


def test_a_killed_batch_and_a_killed_compaction_are_ended_by_the_next(tmp_path: Path) -> None:
    said = run_script("killed_packs", str(tmp_path), "5", "2")
    assert (said["in"]["kills"], said["again"]["kills"]) == (2, 2)


@pytest.mark.soak
def test_a_batch_and_a_compaction_that_are_killed_at_any_step(tmp_path: Path) -> None:
    run_script("killed_packs", str(tmp_path), "0", "all")
