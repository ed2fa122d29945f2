"""Work apart: its result and its errors come back, what it did to the process does not."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from entrepot.model.errors import AlreadyRunning, Unavailable
from entrepot.server.apart import apart

_seen: list[int] = []


def test_the_result_comes_back_and_nothing_else() -> None:
    def work() -> dict[str, int]:
        _seen.append(1)
        return {"pid": os.getpid()}

    assert apart(work)["pid"] != os.getpid()
    assert _seen == []


def test_an_error_comes_back_with_its_words_and_details() -> None:
    def work() -> None:
        raise AlreadyRunning("Somebody is here.", details={"pid": 7})

    with pytest.raises(AlreadyRunning, match="Somebody is here") as caught:
        apart(work)
    assert caught.value.details == {"pid": 7}


def test_being_killed_on_the_way_is_an_error_of_its_own() -> None:
    with pytest.raises(Unavailable, match="before it was done"):
        apart(lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_with_threads_it_runs_in_place() -> None:
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        assert apart(os.getpid) == os.getpid()
    finally:
        stop.set()
        other.join()


def test_the_copy_does_not_outlive_whoever_made_it() -> None:
    reading, writing = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.close(reading)
        apart(lambda: os.kill(os.getppid(), signal.SIGKILL) or signal.pause())
        os._exit(os.EX_OK)
    os.close(writing)
    os.waitpid(middle, 0)
    # The end of the pipe shows that nobody holds its other end any more.
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b""
