"""Processes that belong to the server: started again when they die, ended when it does."""

from __future__ import annotations

import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path

from entrepot.server.children import ManagedProcess, Program

#: Says that it is there, then lives until its lifeline is cut or it is told to end.
LIVES = "import sys, pathlib; pathlib.Path(sys.argv[1]).open('a').write('x'); sys.stdin.read()"
#: Does not listen.
STUBBORN = (
    "import sys, signal, pathlib, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "pathlib.Path(sys.argv[1]).write_text('x'); time.sleep(600)"
)
PATIENCE_S = 60


def at_once(flag: threading.Event, _seconds: float) -> None:
    flag.wait(0)


def marked(path: Path, times: int) -> None:
    """Wait until as many processes have said that they are there."""
    pause = threading.Event()
    for _ in range(PATIENCE_S * 100):
        if path.exists() and len(path.read_text()) >= times:
            return
        pause.wait(0.01)
    raise AssertionError(f"fewer than {times} processes came")


def test_a_process_that_dies_is_started_again(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    child = ManagedProcess("worker", partial(Program, [sys.executable, "-c", LIVES, str(mark)]), sleep=at_once)
    child.start()
    for times in (1, 2, 3):
        marked(mark, times)
        first = child.pid
        assert first is not None
        if times < 3:
            os.kill(first, signal.SIGKILL)
    child.wait(PATIENCE_S)
    assert child.pid is None
    assert len(mark.read_text()) == 3


def test_the_end_comes_by_lifeline_and_signal_and_may_be_repeated(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    child = ManagedProcess("worker", partial(Program, [sys.executable, "-c", LIVES, str(mark)]))
    child.start()
    marked(mark, 1)
    child.terminate()
    child.terminate()
    child.wait(PATIENCE_S)
    assert child.pid is None


def test_a_process_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    child = ManagedProcess("worker", partial(Program, [sys.executable, "-c", STUBBORN, str(mark)]))
    child.start()
    marked(mark, 1)
    child.wait(0.01)
    assert child.pid is None


def test_nothing_is_started_after_the_end() -> None:
    child = ManagedProcess("worker", partial(Program, [sys.executable, "-c", "pass"]))
    child.wait(1)
    assert child.pid is None
