"""The server is killed while somebody pushes; when it is back, the push goes on by itself."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import httpx2

from entrepot.client.client import Client
from tests.e2e.conftest import Counting, Running, make_tree, read_tree, start_server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_push_goes_on_when_the_server_is_back(counting: Counting, tmp_path: Path) -> None:
    port = free_port()
    first = start_server(tmp_path / "server" / "data", port, worker=False)
    replaced: list[Running] = []

    def restart() -> None:
        os.killpg(first.process.pid, signal.SIGKILL)
        first.process.wait()
        assert first.process.stdout is not None
        first.process.stdout.close()
        replaced.append(start_server(tmp_path / "server" / "data", port, worker=False))

    restarting = threading.Thread(target=restart)

    def before(request: httpx2.Request) -> None:
        if request.method == "PUT" and sum(method == "PUT" for method, _ in counting.calls) == 8:
            restarting.start()

    counting.before = before
    # Too large to travel together.
    files = {f"f{n}": os.urandom(300 << 10) for n in range(20)} | {"large": os.urandom(12 << 20)}
    try:
        with Client(first.url, first.token, transport=counting) as client:
            client.projects.create("Kills", slug="kills")
            client.data.push(make_tree(tmp_path / "tree", files), "kills/data")
            restarting.join()
            client.data.download("kills/data", tmp_path / "copy")
            assert client.versions.get("kills/data").revision == 1
        assert read_tree(tmp_path / "copy") == files
    finally:
        if restarting.ident is not None:
            restarting.join()
        for running in [first, *replaced]:
            if running.process.poll() is None:
                running.stop()
            assert running.process.stdout is not None
            running.process.stdout.close()
