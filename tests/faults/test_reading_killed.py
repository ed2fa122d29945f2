"""kill -9 of what only reads: of who downloads an archive, of its server, and of what reads stored bytes again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.scripts import run_script


def test_an_archive_that_is_broken_off_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    said = run_script("killed_archives", str(tmp_path), "3", "3")
    assert said["kills"]["server, bytes"] == 3
    # How many steps a command takes depends a little on how its requests fall into packets.
    assert min(said["kills"]["server, command"], said["kills"]["client"]) >= 2, said
    assert said["ended"]["broken"] >= 2, f"the kills did not hit the download: {said}"
    assert said["ended"]["continued"] >= 1


def test_a_check_that_is_killed_is_ended_by_the_next_and_no_damage_is_forgotten(tmp_path: Path) -> None:
    said = run_script("killed_checks", str(tmp_path), "3", "4")
    assert said["verify"]["kills"] == 4
    assert said["scrub"]["kills"] >= 2
    assert said["verify"]["found before"] + said["scrub"]["found before"] > 0, f"no kill fell after a finding: {said}"


@pytest.mark.soak
@pytest.mark.parametrize("program", ["killed_archives", "killed_checks"])
def test_killed_at_any_step(tmp_path: Path, program: str) -> None:
    run_script(program, str(tmp_path), "0", "all")
