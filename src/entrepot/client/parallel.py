"""Doing one thing to many files with a few threads: the first failure, or Ctrl-C, stops them all between two blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["Stop", "Stopped", "each"]

T = TypeVar("T")


class Stopped(Exception):
    """Raised in the other threads once one has failed or the caller has cancelled."""


class Stop:
    """Tells the threads of one run to end. Cheap enough to be asked for every block."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """
        Raises:
            Stopped: Somebody wants the run to end.
        """
        if self._event.is_set():
            raise Stopped

    def wait(self, seconds: float) -> None:
        """Sleep, but not longer than the run goes on.

        Raises:
            Stopped: The run ended meanwhile.
        """
        if self._event.wait(seconds):
            raise Stopped


def each(work: Callable[[T], None], jobs: Iterable[T], *, workers: int, stop: Stop) -> None:
    """Call `work` once for every job, in order of their start, from at most `workers` threads.

    Jobs are taken from the iterable only when a thread is free, so a million of them cost no memory.

    Raises:
        BaseException: What the first failing call raised, after all threads have ended.
        Stopped: Somebody else wanted the run to end.
    """
    source = iter(jobs)
    lock = threading.Lock()
    failures: list[BaseException] = []

    def take() -> Iterator[T]:
        while True:
            with lock:
                stop.check()
                try:
                    job = next(source)
                except StopIteration:
                    return
            yield job

    def run() -> None:
        try:
            for job in take():
                work(job)
        except Stopped:
            pass
        except BaseException as error:
            with lock:
                failures.append(error)
            stop.set()

    threads = [threading.Thread(target=run, name=f"entrepot-{n}", daemon=True) for n in range(workers)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            # On Windows a wait without a limit cannot be interrupted.
            while thread.is_alive():
                thread.join(0.2)
    except BaseException:
        stop.set()
        for thread in threads:
            thread.join()
        raise
    if failures:
        raise failures[0]
    # Nobody failed, and yet not every job was done: whoever called must not take that for success.
    stop.check()
