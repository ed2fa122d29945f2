"""A client of UFDL, in an environment of its own, walks through a real server.

The Python client itself is on no package index; `client.py` sends what it sends, with the library that it sends with.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import PostgresServer
from tests.support.server import ADMIN_PASSWORD, NO_WORKER, Server, running_server

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".env-clients" / "ufdl" / "bin" / "python"
WALK = Path(__file__).with_name("walk.py")

#: What a process that answers may take more for a large file than for small ones, whatever its size.
MOST_GROWTH = 40 << 20
#: What the largest process of the server may take at all.
MOST_RESIDENT = 128 << 20


@pytest.fixture(scope="module")
def python() -> Path:
    if not PYTHON.exists():
        pytest.skip("the environment of the UFDL client is missing: scripts/client-env ufdl")
    return PYTHON


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, python: Path) -> Iterator[Server]:
    """On one database with every change, on the other before a release: what differs between them is tested below."""
    with contextlib.ExitStack() as stack:
        settings = list(NO_WORKER)
        if request.param == "postgresql":
            databases: PostgresServer = request.getfixturevalue("postgres_server")
            settings.append(f"database={databases.url(stack.enter_context(databases.database()))}")
        yield stack.enter_context(running_server(tmp_path_factory.mktemp("server"), settings=settings))


def walk(python: Path, server: Server, name: str, folder: Path, **environment: str) -> None:
    done = subprocess.run(
        [str(python), str(WALK), name, server.url, str(folder), ADMIN_PASSWORD],
        env={**os.environ, "PYTHONPATH": "", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("name", ["seed_page", "everybody", "stale_tokens", "names_of_files", "many_at_once"])
def test_a_client_is_content(python: Path, server: Server, tmp_path: Path, name: str) -> None:
    walk(python, server, name, tmp_path)


def resident(pid: int, what: str) -> int:
    found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) << 10 if found else 0


@pytest.mark.parametrize("size", [96 << 20, pytest.param(5 << 30, marks=pytest.mark.soak)])
def test_no_file_is_ever_whole_in_memory(python: Path, tmp_path: Path, size: int) -> None:
    with running_server(tmp_path / "data", settings=NO_WORKER) as server:
        walk(python, server, "seed_page", tmp_path)
        processes = (server.pid, *server.children())
        before = {pid: resident(pid, "VmRSS") for pid in processes}
        walk(python, server, "large", tmp_path, WALK_SIZE=str(size))
        peaks = {pid: resident(pid, "VmHWM") for pid in processes}
    assert max(peaks[pid] - before[pid] for pid in processes) <= MOST_GROWTH, (before, peaks)
    if size > 1 << 30:
        # The modules alone take most of that; how much more differs by a few MiB from run to run.
        assert max(peaks.values()) <= MOST_RESIDENT, peaks
