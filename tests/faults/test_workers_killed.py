"""kill -9 of workers at random moments: every job is done, and none twice."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import starter

SCRIPT = Path(__file__).resolve().parent.parent / "support" / "killed_workers.py"


def survive(url: str | Path, folder: Path, root: Path, seed: int, *, jobs: int, kills: int) -> dict[str, Any]:
    folder.mkdir()
    arguments = [str(url), str(folder), str(seed), str(jobs), str(kills)]
    ended = starter.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])},
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    said: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    assert said["states"] == ["done"], said
    assert said["events"] == [[1, jobs]], f"each job wrote its facts once: {said}"
    return said


def test_every_job_is_done_and_none_twice(catalog_url: str | Path, tmp_path: Path, root: Path) -> None:
    said = survive(catalog_url, tmp_path / "run", root, 7, jobs=25, kills=10)
    assert said["killed"] > 2
    assert said["runs"] > said["jobs"], "the kills hit nothing: no job was begun twice"


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_every_job_is_done_and_none_twice_for_long(
    catalog_url: str | Path, tmp_path: Path, root: Path, seed: int
) -> None:
    survive(catalog_url, tmp_path / "run", root, seed, jobs=1000, kills=300)
