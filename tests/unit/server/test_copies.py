"""Work in a copy: its result and its errors come back, what it did to the process does not; and copies end in time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from functools import partial
from multiprocessing.connection import Connection

import pytest

from entrepot.model.errors import AlreadyRunning, Unavailable
from entrepot.server.copies import Copy, apart

PATIENCE_S = 60
_seen: list[int] = []


def _where() -> int:
    _seen.append(1)
    return os.getpid()


def _refuse() -> None:
    raise AlreadyRunning("Somebody is here.", details={"pid": 7})


def _be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _live(code: int, lifeline: Connection) -> int:
    try:
        lifeline.recv_bytes()
    except EOFError:
        return code
    raise AssertionError("nobody says anything on a lifeline")


def _do_not_listen(lifeline: Connection) -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Event().wait()
    return 0


def test_the_result_comes_back_and_nothing_else() -> None:
    assert apart(_where) != os.getpid()
    assert _seen == []


def test_an_error_comes_back_with_its_words_and_details() -> None:
    with pytest.raises(AlreadyRunning, match="Somebody is here") as caught:
        apart(_refuse)
    assert caught.value.details == {"pid": 7}


def test_being_killed_on_the_way_is_an_error_of_its_own() -> None:
    with pytest.raises(Unavailable, match="before it was done"):
        apart(_be_killed)


def test_a_copy_lives_until_its_lifeline_is_cut() -> None:
    copy = Copy("entrepot-test", partial(_live, 3))
    assert copy.poll() is None
    copy.let_go()
    copy.let_go()
    assert copy.wait(PATIENCE_S) == 3
    assert copy.poll() == 3


def test_a_copy_that_does_not_listen_is_waited_for_in_vain_and_killed() -> None:
    copy = Copy("entrepot-test", _do_not_listen)
    with pytest.raises(subprocess.TimeoutExpired):
        copy.wait(0.0)
    copy.kill()
    assert copy.wait(PATIENCE_S) == -signal.SIGKILL
    copy.let_go()


def test_a_copy_has_its_name_in_lists_of_processes() -> None:
    assert apart(_name) == "entrepot-prepar"


def _name() -> str:
    with open("/proc/self/comm") as comm:
        return comm.read().strip()


def test_the_copy_does_not_outlive_whoever_made_it() -> None:
    stay = "import os, signal, threading; os.kill({}, signal.SIGKILL); threading.Event().wait()"
    middle = (
        "import os; from functools import partial; from entrepot.server.copies import apart; "
        f"apart(partial(exec, {stay!r}.format(os.getpid())))"
    )
    done = subprocess.run([sys.executable, "-c", middle], stdout=subprocess.PIPE, timeout=PATIENCE_S, check=False)
    # The end of the pipe, which this waited for, shows that nobody holds its other end any more.
    assert done.returncode == -signal.SIGKILL
