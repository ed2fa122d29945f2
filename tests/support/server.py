"""A real server as processes of its own, on a free port and a folder that is thrown away.

    with running_server(tmp_path) as server:
        server.get("/api/v1/")

Nothing sleeps for a fixed time: readiness is asked for, with a bound that only a broken server reaches.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from entrepot.model.values import Scope
from entrepot.server import commands
from tests.support.starter import Started

ADMIN_PASSWORD = "the first password"
#: Far beyond what a loaded machine takes; a server that is broken ends by itself before.
PATIENCE_S = 120.0
#: For tests in which nothing happens in the background: the process for that is a quarter of what a start takes.
NO_WORKER = ("jobs=false",)
#: Passwords of tests need not be slow to guess.
CHEAP = ("policy.password_time_cost=1", "policy.password_memory_kib=64", "policy.password_lanes=1")


def command(*arguments: str) -> list[str]:
    """The server's own command in another process."""
    return [sys.executable, "-m", "entrepot.server", *arguments]


def environ(**more: str) -> dict[str, str]:
    """What a server of a test sees of the environment: nothing that was meant for another one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENTREPOT_")}
    return {**kept, "ENTREPOT_ADMIN_PASSWORD": ADMIN_PASSWORD, **more}


@dataclass
class Server:
    """A running server."""

    data: Path
    process: subprocess.Popen[str]
    url: str
    lines: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid

    def children(self) -> list[int]:
        """Processes that it started, and what those started."""
        return descendants(self.pid)

    def token(self, user: str = "admin", scope: str = "admin") -> str:
        """Make a token beside the server, without the process that an operator takes for it."""
        settings = commands.load_config({"data": str(self.data)}, environ={})
        return commands.create_token(settings, user, Scope(scope)).text

    def operators_token(self, user: str = "admin", scope: str = "admin") -> str:
        """Make a token as an operator does."""
        arguments = ("token", "--data", str(self.data), "--user", user, "--scope", scope)
        done = subprocess.run(command(*arguments), capture_output=True, text=True, env=environ(), check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, str] = json.loads(done.stdout)
        assert re.fullmatch(r"tok_[0-9a-f]{32}", found["id"])
        assert re.fullmatch(r"[A-Za-z0-9_-]{40,}", found["token"])
        return found["token"]

    def client(self, token: str | None = None, **more: Any) -> httpx2.Client:
        """An HTTP client of this server; close it."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=PATIENCE_S, **more)

    def terminate(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


def descendants(pid: int) -> list[int]:
    """The processes below one, by /proc."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text()
                parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Any, what: str, patience_s: float = PATIENCE_S) -> None:
    """Ask again and again until it is so.

    Raises:
        AssertionError: It never was.
    """
    deadline = time.monotonic() + patience_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience_s} s in vain: {what}"
        pause.wait(0.05)


@contextlib.contextmanager
def running_server(
    data: Path,
    *,
    port: int = 0,
    settings: Sequence[str] = (),
    around: Mapping[str, str] | None = None,
    program: Callable[..., list[str]] = command,
    begin: type[subprocess.Popen[Any]] = Started,
) -> Iterator[Server]:
    """Start a server, wait until it can be used, and end it with everything that it started.

    Args:
        port: 0 takes a free one.
        settings: `NAME=VALUE` of any setting.
        around: Further environment variables.
        program: What makes a command line of the arguments.
        begin: Popen itself where it is asked how a server starts, what it imports and how large it is.
    """
    given = [word for one in (*CHEAP, *settings) for word in ("--set", one)]
    if begin is Started and not any(one.startswith("database=") for one in settings):
        move_in(data)
    process = begin(
        program("serve", "--data", str(data), "--port", str(port), *given),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environ(**(around or {})),
    )
    server = Server(data, process, "")
    reader = threading.Thread(target=_read, args=(process, server.lines), daemon=True)
    reader.start()
    started: list[int] = []
    try:
        wait_until(lambda: _address(server) or process.poll() is not None, "the server says its address")
        server.url = _address(server)
        assert server.url, f"the server ended: {''.join(server.lines)}"
        wait_until(lambda: _ready(server.url) or process.poll() is not None, "the server is ready")
        assert process.poll() is None, f"the server ended: {''.join(server.lines)}"
        started = server.children()
        yield server
    finally:
        started += [pid for pid in server.children() if pid not in started]
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in started:
            with contextlib.suppress(ProcessLookupError):
                if is_alive(pid):
                    os.kill(pid, signal.SIGKILL)
        reader.join(5)
        assert process.stdout is not None
        process.stdout.close()


def move_in(data: Path) -> None:
    """Spare the server of a folder that is new all steps from no catalogue to today's.

    A server that is started by `Popen` makes them, as every server does in `make soak`.
    """
    if os.environ.get("ENTREPOT_TEST_PROFILE") != "soak" and not (data.exists() and any(data.iterdir())):
        # Not above: it keeps connections open, which a program that forks would share with its children.
        from tests.support.catalogs import upgraded_sqlite

        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = data / "catalog.sqlite"
        place.touch(mode=0o600)
        place.write_bytes(upgraded_sqlite())


def _read(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stdout is not None
    with contextlib.suppress(ValueError):
        lines.extend(iter(process.stdout.readline, ""))


def _address(server: Server) -> str:
    for line in server.lines:
        match = re.search(r" at (http://\S+)$", line.strip())
        if match:
            return match[1]
    return ""


def _ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", timeout=10).status_code == 200
    except httpx2.HTTPError:
        return False


def free_port() -> int:
    """A port that nobody listens at, a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
