"""A server that comes back in a tenth of a second, for tests that have threads and so cannot fork it themselves.

    python -m tests.support.forked_house DATA

Says `URL TOKEN PID`, and after each line on its input, which asks for the next one, `URL TOKEN PID` again: whoever
asks has killed the one before. Ends with its input.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.scripts import ROOT
from tests.support.starter import Started


class ForkedHouse:
    """One in a process of its own. `pids` are those to kill; `restart` comes after that."""

    def __init__(self, data: Path) -> None:
        self._process = Started(
            [sys.executable, "-m", "tests.support.forked_house", str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._listen()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the server does not start"
        self.url, self.token, pid = line.split()
        self.pids = [int(pid)]

    def restart(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("again\n")
        self._process.stdin.flush()
        self._listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def main(data: str) -> None:
    from tests.support.forked import ForkedServer

    server = ForkedServer(Path(data))
    while True:
        running = server.start()
        print(server.url, server.token, running.pid, flush=True)
        if not sys.stdin.readline():
            server.close()
            return
        assert running.wait(), "nobody killed it"


if __name__ == "__main__":
    main(*sys.argv[1:])
