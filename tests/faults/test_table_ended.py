"""`scripts/fault-table` is ended in the middle: what it started is ended with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import descendants, is_alive, wait_until


@pytest.mark.soak
def test_a_table_that_is_told_to_end_leaves_no_server_behind(root: Path) -> None:
    # --row leaves the page as it is.
    command = [sys.executable, str(root / "scripts" / "fault-table"), "--only", "http", "--row", "trash"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert "round 1" in said, said + process.stdout.read()
        started = descendants(process.pid)
        assert len(started) >= 3
        process.terminate()
        process.stdout.read()
    assert process.returncode == 128 + 15
    wait_until(lambda: not any(is_alive(pid) for pid in started), "all that it started has ended")
