"""Who is alive on this machine: told by locks, which a process cannot forget to let go of."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from entrepot.jobs.presence import Presence, Seen, alive, bury

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

DIE = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from entrepot.jobs.presence import Presence
Presence(Path(sys.argv[1]), sys.argv[2], datetime(2026, 1, 2, tzinfo=UTC))
os.kill(os.getpid(), 9)
"""


def die(folder: Path, name: str) -> None:
    """A worker comes, and is killed."""
    ended = subprocess.run([sys.executable, "-c", DIE, str(folder), name], check=False)
    assert ended.returncode == -9


def test_a_worker_is_seen_with_the_time_it_last_came_round(tmp_path: Path) -> None:
    one = Presence(tmp_path, "one", NOW)
    assert alive(tmp_path) == [Seen("one", NOW)]
    one.beat(NOW + timedelta(seconds=1))
    assert alive(tmp_path) == [Seen("one", NOW + timedelta(seconds=1))]
    with bury(tmp_path) as dead:
        assert dead == []
    one.close()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_worker_is_dead_at_once_and_buried_once(tmp_path: Path) -> None:
    here = Presence(tmp_path, "here", NOW)
    die(tmp_path, "gone")
    assert alive(tmp_path) == [Seen("here", NOW)]
    with bury(tmp_path) as dead, bury(tmp_path) as at_the_same_time:
        assert (dead, at_the_same_time) == (["gone"], [])
    with bury(tmp_path) as dead:
        assert dead == []
    here.close()


def test_whoever_fails_to_take_its_jobs_leaves_the_dead_to_the_next(tmp_path: Path) -> None:
    die(tmp_path, "gone")
    with pytest.raises(LookupError), bury(tmp_path):
        raise LookupError
    with bury(tmp_path) as dead:
        assert dead == ["gone"]


def test_a_folder_that_is_not_there_has_nobody(tmp_path: Path) -> None:
    assert alive(tmp_path / "missing") == []
    with bury(tmp_path / "missing") as dead:
        assert dead == []
