"""Work whose imports should not stay: done in a copy of this process that ends with it.

The supervisor of a server lives as long as the server and does next to nothing. Upgrading the catalogue and the first
start load the database, its migrations and the hashing of passwords, which would stay in its memory for good (60 MiB).
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from entrepot.model.errors import Unavailable

T = TypeVar("T")

# Of <linux/prctl.h>.
_SET_PARENT_DEATH_SIGNAL: Final = 1


def apart(work: Callable[[], T]) -> T:
    """What `work` returns, or raises; both have to survive pickling.

    A process that has threads must not be copied: there `work` runs in place.

    Raises:
        Unavailable: The copy was killed before it had an answer.
    """
    if threading.active_count() > 1:
        return work()
    parent = os.getpid()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            _end_with(parent)
            _answer(work, writing)
            status = os.EX_OK
        except BaseException:
            status = os.EX_SOFTWARE
        # Nothing of the parent may be run twice: no handlers at exit, no unwinding of what it holds.
        os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    if not said:
        raise Unavailable("The process that prepares the data folder was ended before it was done. Start again.")
    value, error = pickle.loads(said)  # noqa: S301 - written by ourselves a moment ago
    if error is not None:
        raise error
    result: T = value
    return result


def _end_with(parent: int) -> None:
    """Have this copy killed when its parent dies: it shares the lock on the data folder, and a server that is started
    anew a moment later must find it free. Where the system cannot do that, the copy ends by itself soon after.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        # It died in between.
        os._exit(os.EX_TEMPFAIL)


def _answer(work: Callable[[], T], writing: int) -> None:
    value: T | None = None
    error: BaseException | None = None
    try:
        value = work()
    except BaseException as raised:
        error = raised
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(pickle.dumps((value, error)))
