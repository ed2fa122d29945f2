"""The server's own commands, whose checks of content are held until a test lets them go.

    python -m tests.support.held FOLDER serve --data DIR --port P …
    python -m tests.support.held FOLDER worker --data DIR [--managed]

A check makes the file `begun-PID` in FOLDER and goes on when there is a file `go`: that of tables does nothing else,
that of records does so when half of the bytes are checked, and so does that of tables if there is a file `real`. An
archive that is unpacked waits in the same way when its first member is stored.
Everything else is the product's.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from entrepot.depot import crates, record_checks, table_checks
from entrepot.depot.context import Depot
from entrepot.depot.ingests import Checker, Part, Verdict
from entrepot.model.values import Kind, Version
from entrepot.server import __main__ as program
from entrepot.server import commands, compose
from entrepot.server.config import Config

open_depot = compose.open_depot

#: What is checked here.
KIND = Kind.TABLE


def command(folder: Path) -> Callable[..., list[str]]:
    """What makes a command line of the server's arguments."""
    return lambda *arguments: [sys.executable, "-m", "tests.support.held", str(folder), *arguments]


def main(folder: Path, arguments: list[str]) -> int:
    def wait(progress: Callable[[int, int], None], done: int, total: int) -> None:
        (folder / f"begun-{os.getpid()}").touch()
        pause = threading.Event()
        while not (folder / "go").exists():
            progress(done, total)
            pause.wait(0.01)

    def hold(_version: Version, parts: Sequence[Part], progress: Callable[[int, int], None]) -> Verdict:
        wait(progress, 0, len(parts))
        return Verdict(True, {"message": "good"})

    def half(check: Checker) -> Checker:
        def halting(version: Version, parts: Sequence[Part], progress: Callable[[int, int], None]) -> Verdict:
            def told(done: int, total: int) -> None:
                if done * 2 >= total:
                    wait(progress, done, total)
                progress(done, total)

            return check(version, parts, told)

        return halting

    @contextlib.contextmanager
    def with_checker(config: Config, **more: Any) -> Iterator[Depot]:
        with open_depot(config, **more) as depot:
            checks = half(record_checks.checker(depot))
            tables = half(table_checks.checker(depot)) if (folder / "real").exists() else hold
            depot.checkers = {KIND.value: tables, Kind.RECORDS.value: checks}
            yield depot

    def serve(settings: Config) -> int:
        from entrepot.server import process

        return process.serve(settings, job_worker=command(folder)("worker", "--managed"))

    def members(read: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def halting(arriving: Iterator[Any], work: Any, judge: Any) -> Iterator[Any]:
            for i, one in enumerate(read(arriving, work, judge)):
                if i == 1:
                    wait(lambda done, total: work.progress(done, total), i, i)
                yield one

        return halting

    # What is there of the product is wrapped, never replaced.
    crates._items = members(crates._items)  # type: ignore[assignment]
    compose.open_depot, commands.serve = with_checker, serve
    return program.main(arguments)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
