"""Runs a program of this folder in a process of its own, and reads the JSON object that it ends with.

Programs that fork need one: a test process has threads.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.support import starter

ROOT = Path(__file__).resolve().parent.parent.parent


def run_script(name: str, *arguments: str) -> Any:
    """What `tests.support.NAME` said in its last line.

    Raises:
        AssertionError: It failed; with the end of what it said of that.
    """
    around = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    ended = starter.run(
        [sys.executable, "-m", f"tests.support.{name}", *arguments],
        capture_output=True,
        text=True,
        env=around,
        cwd=ROOT,
    )
    assert ended.returncode == 0, f"{name} {' '.join(arguments)} failed:\n{ended.stderr[-4000:]}"
    return json.loads(ended.stdout.splitlines()[-1])
