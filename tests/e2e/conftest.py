"""A real server as a process, and clients of it: the SDK in this process, the command line as others."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from entrepot.cli import main
from entrepot.client.client import Client
from tests.support import starter
from tests.support.daemon import Daemon, daemon_place
from tests.support.server import move_in
from tests.support.starter import Started

PASSWORD = "correct-horse"
START_S = 60
COMMAND = [sys.executable, "-m", "entrepot.cli.main"]


@dataclass
class Running:
    """A server that answers.

    `commands` starts the command line with the administrator's token; `stop` ends the server in order.
    """

    data: Path
    url: str
    token: str
    process: subprocess.Popen[str]

    def stop(self, how: int = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(30)


def environment(**more: str) -> dict[str, str]:
    """Without anything of ours from outside; the folders of the test are in it already."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ENTREPOT_")}
    return {**clean, **more}


def start_server(data: Path, port: int = 0, *, worker: bool = True) -> Running:
    data.parent.mkdir(parents=True, exist_ok=True)
    move_in(data)
    log = (data.parent / "server.log").open("a")
    process = Started(
        [*COMMAND, "serve", "--data", str(data), "--port", str(port), "--set", f"jobs={str(worker).lower()}"],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env=environment(ENTREPOT_ADMIN_PASSWORD=PASSWORD),
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if " serves " in line:
            url = line.rsplit(" ", 1)[-1].strip()
            break
    else:
        raise AssertionError((data.parent / "server.log").read_text())
    transport = httpx2.HTTPTransport(retries=50)
    with httpx2.Client(transport=transport, timeout=START_S) as client:
        while client.get(f"{url}/readyz").status_code != 200:
            assert process.poll() is None
    made = run_here(["token", "create", "--data", str(data), "--user", "admin", "--scope", "admin", "--json"])
    assert made.returncode == 0, made.stderr
    return Running(data, url, json.loads(made.stdout)["token"], process)


def run(arguments: list[str], cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """One command line as a process of its own."""
    return starter.run(
        [*COMMAND, *arguments], capture_output=True, text=True, env=environment(**more), cwd=cwd, timeout=300
    )


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests of this process; each makes a project of its own."""
    running = start_server(tmp_path_factory.mktemp("server") / "data")
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.terminate()
            try:
                running.process.wait(30)
            except subprocess.TimeoutExpired:
                running.process.kill()
        assert running.process.stdout is not None
        running.process.stdout.close()


Cli = Callable[..., subprocess.CompletedProcess[str]]


def run_here(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """One command line in this process: the same without the second that a process of its own takes to start."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main.run(arguments)
    out.flush()
    assert isinstance(out.buffer, io.BytesIO)
    return subprocess.CompletedProcess(arguments, code, out.buffer.getvalue().decode(), err.getvalue())


@pytest.fixture
def cli(server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line as the administrator, in the test's own folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path, code: int | None = 0, **more: str) -> subprocess.CompletedProcess[str]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {"ENTREPOT_URL": server.url, "ENTREPOT_TOKEN": server.token, **more}.items():
                patch.setenv(name, value)
            done = run_here([str(argument) for argument in arguments])
        assert code is None or done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return call


@dataclass
class Counting(httpx2.BaseTransport):
    """The real network, and what went over it: how often each call was made, and bytes of bodies sent."""

    network: httpx2.BaseTransport = field(default_factory=httpx2.HTTPTransport)
    calls: list[tuple[str, str]] = field(default_factory=list)
    sent: int = 0
    #: Called with each request before it goes out.
    before: Callable[[httpx2.Request], None] | None = None
    #: Files break off after so many bytes, as when a cable is pulled; and so does the next body that is sent.
    cut_after: int | None = None
    cut_upload_after: int | None = None

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.calls.append((request.method, request.url.path.removeprefix("/api/v1")))
        if self.before is not None:
            self.before(request)
        body = request.stream
        if isinstance(body, httpx2.SyncByteStream) and request.url.path.startswith(
            ("/api/v1/uploads", "/api/v1/packs")
        ):
            request.stream = _Counted(body, self)
        response = self.network.handle_request(request)
        if self.cut_after is not None and ("/files/" in request.url.path or request.url.path.endswith("/batch")):
            assert isinstance(response.stream, httpx2.SyncByteStream)
            response.stream = _Cut(response.stream, self.cut_after)
        return response

    def uploads(self) -> int:
        """How many calls carried bytes of files."""
        return sum(
            method in ("PUT", "PATCH") and path.startswith(("/uploads", "/packs")) for method, path in self.calls
        )

    def close(self) -> None:
        self.network.close()


class _Counted(httpx2.SyncByteStream):
    def __init__(self, body: httpx2.SyncByteStream, counting: Counting) -> None:
        self._body = body
        self._counting = counting

    def __iter__(self) -> Iterator[bytes]:
        left, self._counting.cut_upload_after = self._counting.cut_upload_after, None
        for block in self._body:
            self._counting.sent += len(block)
            yield block
            if left is not None:
                left -= len(block)
                if left <= 0:
                    raise httpx2.WriteError("connection reset by peer")


class _Cut(httpx2.SyncByteStream):
    def __init__(self, body: httpx2.SyncByteStream, after: int) -> None:
        self._body = body
        self._left = after

    def __iter__(self) -> Iterator[bytes]:
        for block in self._body:
            yield block[: self._left]
            self._left -= len(block)
            if self._left <= 0:
                raise httpx2.ReadError("connection reset by peer")

    def close(self) -> None:
        self._body.close()


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def client(server: Running, counting: Counting) -> Iterator[Client]:
    """The SDK as the administrator, with everything counted."""
    with Client(server.url, server.token, transport=counting) as opened:
        yield opened


@pytest.fixture
def project(client: Client, request: pytest.FixtureRequest) -> str:
    """The slug of a project of this test alone."""
    return client.projects.create(request.node.name[:200]).slug


def make_tree(root: Path, files: Mapping[str, bytes]) -> Path:
    for path, content in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return root


def read_tree(root: Path) -> dict[str, bytes]:
    return {
        place.relative_to(root).as_posix(): place.read_bytes() for place in sorted(root.rglob("*")) if place.is_file()
    }


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    """The one JSON value that a command printed."""
    return json.loads(done.stdout)


# --- the transfer daemon ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def daemon_surroundings(server: Running, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the daemons of a module see: the server, the administrator's token, and a home of their own."""
    home = tmp_path_factory.mktemp("home")
    names = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("CONFIG", "CACHE", "DATA", "STATE")}
    return {**names, "ENTREPOT_URL": server.url, "ENTREPOT_TOKEN": server.token}


@pytest.fixture
def surrounded(daemon_surroundings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in daemon_surroundings.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def shared_daemon(daemon_surroundings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for the tests of a module that do not end it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in daemon_surroundings.items():
            patch.setenv(name, value)
        with daemon_place(tmp_path_factory.mktemp("shared")) as place:
            yield place


@pytest.fixture
def own_daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon of one test alone."""
    with daemon_place(tmp_path / "own") as place:
        yield place
