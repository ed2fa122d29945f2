"""A data folder with clients at work whose server is killed, and what must be true of it afterwards.

    Campaign ─┬─ Lane, Lane, Lane    each a client with a project of its own, one operation at a time
              ├─ Fuse                burns with every block sent and every answer; then it kills
              └─ examine             looks into the data folder itself

Where a kill hits depends on how threads take turns, so a seed gives the same plan and not the same instants.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from tests.support.examine import Examined, examine, snapshot
from tests.support.lanes import API, Fuse, Lane
from tests.support.reckoning import check
from tests.support.server import (
    ADMIN_PASSWORD,
    CHEAP,
    Server,
    command,
    descendants,
    environ,
    is_alive,
    running_server,
    wait_until,
)

#: What a first start makes in all, as `_steps` counts: a kill falls somewhere before.
STEPS = 420


@dataclass
class Report:
    """What was done and found; every number is counted, none is computed."""

    kills: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    examined: Examined = field(default_factory=Examined)

    def add(self, other: Report) -> None:
        self.kills += other.kills
        self.operations += other.operations
        self.examined.contents += other.examined.contents
        self.examined.bytes += other.examined.bytes


def kill_tree(server: Server) -> None:
    """kill -9 of a server and of everything it started."""
    pids = [server.pid, *server.children()]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    server.process.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in pids), "killed processes are gone")


def kill_supervisor(server: Server) -> None:
    """kill -9 of the parent alone; the others end because it is gone, some of them with a request under way."""
    pids = [server.pid, *server.children()]
    server.process.kill()
    server.process.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in pids), "nobody outlives the supervisor")


def kill_answering(server: Server) -> None:
    """kill -9 of the processes that answer; their parent starts others."""
    assert _kill_children(server, "entrepot-answer")


def kill_worker(server: Server) -> None:
    """kill -9 of the process for background work; its parent starts another, and nobody who asks notices."""
    if _kill_children(server, "entrepot-worker"):
        # It may be between two of them just now.
        wait_until(lambda: _children(server, "entrepot-worker"), "another worker is started")


def _children(server: Server, name: str) -> list[int]:
    found = []
    for pid in server.children():
        with contextlib.suppress(OSError):
            if (Path("/proc") / str(pid) / "comm").read_text().strip() == name:
                found.append(pid)
    return found


def _kill_children(server: Server, name: str) -> list[int]:
    found = _children(server, name)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return found


#: Kills after which there is no server, and those that it lives through.
ENDINGS = {"whole server": kill_tree, "supervisor": kill_supervisor}
INTERRUPTIONS = {"answering process": kill_answering, "worker process": kill_worker}


class Campaign:
    """A data folder with clients at work, killed again and again.

    Args:
        data: The folder of the server; it need not exist.
    """

    def __init__(self, data: Path, seed: int, *, lanes: int = 3) -> None:
        self.data = data
        self.chance = random.Random(seed)
        self.lanes = [Lane(number, seed * 100 + number) for number in range(lanes)]
        self.report = Report()
        self._token = ""

    def kill_a_start(self) -> None:
        """Kill the very first start somewhere between its first file and the last step of its migrations."""
        steps = self.chance.randrange(1, STEPS)
        self.data.mkdir(exist_ok=True)
        said = self.data / "first-start.log"
        given = [word for one in CHEAP for word in ("--set", one)]
        with said.open("wb") as out:
            process = subprocess.Popen(
                command("serve", "--data", str(self.data), "--port", "0", *given),
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environ(),
            )
        pause = threading.Event()
        while process.poll() is None and _steps(self.data) < steps and b" at http" not in said.read_bytes():
            pause.wait(0.001)
        # The parent first: it would end by itself, with an error, if it saw its child die.
        for pid in [process.pid, *descendants(process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, said.read_text()
        self.report.kills["first start"] += 1
        if (self.data / "catalog.sqlite").exists():
            with (
                tempfile.TemporaryDirectory() as folder,
                contextlib.closing(snapshot(self.data, Path(folder), dead=True)) as db,
            ):
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    def run(self, rounds: list[str], *, until: float = math.inf) -> Report:
        """Serve and kill, and check after each kill; ends with a server that lives.

        Args:
            rounds: A name of `ENDINGS` or `INTERRUPTIONS` for each kill.
            until: By the monotonic clock: from then on no further round begins.
        """
        waiting = list(rounds)
        while True:
            if time.monotonic() > until:
                waiting.clear()
            with running_server(self.data) as server:
                self._check(server)
                while waiting and waiting[0] in INTERRUPTIONS:
                    self._round(server, waiting[0], INTERRUPTIONS[waiting.pop(0)])
                    wait_until(lambda url=server.url: _answers(url), "a process answers")
                    self._examine(dead=False)
                    self._check(server)
                if not waiting:
                    self._collect()
                    return self.report
                self._round(server, waiting[0], ENDINGS[waiting.pop(0)])
            self._examine(dead=True)

    def _examine(self, *, dead: bool) -> None:
        found = examine(self.data, dead=dead)
        self.report.examined.contents += found.contents
        self.report.examined.bytes += found.bytes

    def _collect(self) -> None:
        for lane in self.lanes:
            self.report.operations += lane.counts

    def _client(self, server: Server) -> httpx2.Client:
        if not self._token:
            with server.client() as http:
                answer = http.post(f"{API}/login", json={"username": "admin", "password": ADMIN_PASSWORD})
                assert answer.is_success, answer.text
                self._token = answer.json()["token"]
        return server.client(self._token)

    def _check(self, server: Server) -> None:
        with self._client(server) as http:
            for lane in self.lanes:
                if not lane.project:
                    made = http.post(f"{API}/projects", json={"name": f"Lane {lane.tag}"})
                    assert made.status_code == 201, made.text
                    lane.project = made.json()["id"]
                check(lane, http)

    def _round(self, server: Server, name: str, kill: Callable[[Server], None]) -> None:
        """All lanes at work until the fuse has burnt down."""
        fuse = Fuse(self.chance, self.chance.randrange(30, 400), lambda: kill(server))
        wrong: list[BaseException] = []

        def work(lane: Lane) -> None:
            try:
                with self._client(server) as http:
                    lane.work(http, fuse)
            except BaseException as error:
                wrong.append(error)

        threads = [threading.Thread(target=work, args=(lane,)) for lane in self.lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if wrong:
            raise wrong[0]
        self.report.kills[name] += 1


def _steps(data: Path) -> int:
    """How far a first start is: what it has made so far, and pages written."""
    steps = 0
    for name in ("serve.lock", "secret.key", "catalog.sqlite", "staging"):
        steps += (data / name).exists()
    with contextlib.suppress(OSError):
        steps += (data / "catalog.sqlite-wal").stat().st_size // 4096
    with contextlib.suppress(OSError):
        steps += sum(1 for _ in (data / "objects").iterdir())
    return steps


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", timeout=10).status_code == 200
    except httpx2.HTTPError:
        return False
