"""Work whose imports should not stay: done in a copy of this process that ends with it.

The supervisor of a server lives as long as the server and does next to nothing. Upgrading the catalogue and the first
start load the database, its migrations and the hashing of passwords, which would stay in its memory for good (60 MiB).
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable
from typing import TypeVar

from entrepot.model.errors import Unavailable

T = TypeVar("T")


def apart(work: Callable[[], T]) -> T:
    """What `work` returns, or raises; both have to survive pickling.

    A process that has threads must not be copied: there `work` runs in place.

    Raises:
        Unavailable: The copy was killed before it had an answer.
    """
    if threading.active_count() > 1:
        return work()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
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


def _answer(work: Callable[[], T], writing: int) -> None:
    value: T | None = None
    error: BaseException | None = None
    try:
        value = work()
    except BaseException as raised:
        error = raised
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(pickle.dumps((value, error)))
