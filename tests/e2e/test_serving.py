"""A server as processes: its first start, its life, its end."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from entrepot.depot import idempotency
from entrepot.depot.credentials import as_operator
from entrepot.model.errors import InProgress
from entrepot.server import commands, compose
from tests.support import server as servers
from tests.support.server import (
    ADMIN_PASSWORD,
    NO_WORKER,
    Server,
    command,
    environ,
    free_port,
    is_alive,
    wait_until,
)

#: As people start it, with an interpreter of its own.
running_server = partial(servers.running_server, begin=subprocess.Popen)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


def test_the_first_start_makes_an_administrator_with_the_given_password(server: Server) -> None:
    with server.client() as client:
        made = client.post("/api/v1/login", json={"username": "admin", "password": ADMIN_PASSWORD})
        assert made.status_code == 201, made.text
        who = client.get("/api/v1/whoami", headers={"Authorization": f"Bearer {made.json()['token']}"}).json()
    assert (who["user"]["name"], who["staff"]) == ("admin", True)
    assert ADMIN_PASSWORD not in "".join(server.lines)


def test_a_password_that_had_to_be_made_up_is_printed_once(tmp_path: Path) -> None:
    around = environ()
    del around["ENTREPOT_ADMIN_PASSWORD"]
    for start, expected in enumerate((1, 0)):
        process = subprocess.Popen(
            command("serve", "--data", str(tmp_path), "--port", "0", "--set", "jobs=false"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=around,
        )
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if " at http" in line:
                break
        process.terminate()
        lines += process.stdout.readlines()
        assert process.wait() == 0
        process.stdout.close()
        told = re.findall(r"password of admin is (\S+)", "".join(lines))
        assert len(told) == expected, f"start {start}: {lines}"


def test_a_token_is_made_beside_a_running_server(server: Server) -> None:
    with server.client(server.operators_token(scope="read")) as client:
        who = client.get("/api/v1/whoami").json()
        assert (who["user"]["name"], who["scope"], who["staff"]) == ("admin", "read", False)
        assert client.post("/api/v1/projects", json={"name": "x"}).status_code == 403


def test_a_token_of_nobody_is_refused_in_words(server: Server) -> None:
    arguments = ("token", "--data", str(server.data), "--user", "nobody", "--scope", "read")
    done = subprocess.run(command(*arguments), capture_output=True, text=True, env=environ(), check=False)
    assert done.returncode == 1
    assert "There is no user nobody" in done.stderr


def test_a_second_server_on_the_same_folder_is_refused_in_words(server: Server) -> None:
    arguments = ("serve", "--data", str(server.data), "--port", str(free_port()))
    done = subprocess.run(command(*arguments), capture_output=True, text=True, env=environ(), check=False)
    assert done.returncode == 1
    assert str(server.data) in done.stderr
    assert f"process {server.pid}" in done.stderr
    with server.client() as client:
        assert client.get("/readyz").status_code == 200


def test_a_port_that_is_taken_is_refused_in_words(server: Server, tmp_path: Path) -> None:
    port = server.url.rpartition(":")[2]
    arguments = ("serve", "--data", str(tmp_path), "--port", port)
    done = subprocess.run(command(*arguments), capture_output=True, text=True, env=environ(), check=False)
    assert done.returncode == 1
    assert f"port {port}" in done.stderr


def test_state_is_for_the_owner_alone(server: Server) -> None:
    assert (server.data / "secret.key").stat().st_mode & 0o777 == 0o600
    assert server.data.stat().st_mode & 0o077 == 0 or server.data.parent.stat().st_mode & 0o077 == 0


def test_a_file_goes_up_is_listed_and_comes_down_whole_and_in_ranges(server: Server) -> None:
    body = os.urandom(3_000_001)
    digest = "sha256:" + hashlib.sha256(body).hexdigest()
    with server.client(server.token(scope="write")) as client:
        version = client.post("/api/v1/versions", json={"name": "penguins"}).json()["id"]
        put = client.put(f"/api/v1/versions/{version}/files/raw/a%20b.bin", content=body)
        assert put.status_code == 201, put.text
        rows = client.get(f"/api/v1/versions/{version}/entries").json()["rows"]
        assert [(row["path"], row["size"], row["sha256"]) for row in rows] == [("raw/a b.bin", len(body), digest)]
        url = f"/api/v1/versions/{version}/files/raw/a%20b.bin"
        whole = client.get(url)
        assert whole.content == body
        part = client.get(url, headers={"Range": "bytes=1000000-2000000"})
        assert (part.status_code, part.content) == (206, body[1_000_000:2_000_001])
        several = client.get(url, headers={"Range": "bytes=0-0,-1"})
        assert several.status_code == 206
        assert several.headers["content-type"].startswith("multipart/byteranges")
        assert client.get(url, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
        head = client.head(url)
        assert head.headers["content-length"] == str(len(body))
        assert head.headers["repr-digest"] == whole.headers["repr-digest"]
        archive = client.get(f"/api/v1/versions/{version}/archive?format=zip")
        assert (archive.status_code, archive.headers["content-type"]) == (200, "application/zip")


def test_sigterm_ends_everything_that_was_started(tmp_path: Path) -> None:
    with running_server(tmp_path, settings=("workers=2",)) as server:
        started = server.children()
        assert len(started) >= 2
        assert server.terminate() == 0
        # One of them, which the interpreter's library adds, ends when it sees that its parent has.
        wait_until(lambda: not any(is_alive(pid) for pid in started), "all that was started is gone", 5)


def test_a_killed_server_leaves_no_process_and_starts_again(tmp_path: Path) -> None:
    # With a short path, as the folder for temporary files has everywhere but in tests.
    with tempfile.TemporaryDirectory() as temporary:
        around = {"TMPDIR": temporary}
        with running_server(tmp_path, around=around) as server:
            token, started = server.token(), server.children()
            with server.client(token) as client:
                made = client.post("/api/v1/projects", json={"name": "Birds"}).json()["id"]
            os.kill(server.pid, signal.SIGKILL)
            server.process.wait()
            wait_until(lambda: not any(is_alive(pid) for pid in started), "children end with their parent")
        with running_server(tmp_path, around=around) as server, server.client(token) as client:
            assert client.get(f"/api/v1/projects/{made}").json()["name"] == "Birds"
            assert len(list(Path(temporary).glob("pymp-*"))) == 1, "what the killed one left is gone"
            assert server.terminate() == 0
        assert list(Path(temporary).iterdir()) == []


def test_a_key_that_is_gone_is_missed_aloud(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_server(data, settings=NO_WORKER) as first:
        assert not any("secret.key is gone" in line for line in first.lines)
    (data / "secret.key").unlink()
    with running_server(data, settings=NO_WORKER) as second:
        wait_until(lambda: any("secret.key is gone" in line for line in second.lines), "it is said")
        assert (data / "secret.key").exists()


def test_what_died_with_the_last_server_can_be_asked_again_at_once(tmp_path: Path) -> None:
    config = commands.load_config({"data": str(tmp_path / "data")}, [], environ={})

    def claim() -> object:
        with compose.open_depot(config) as depot:
            return idempotency.claim(depot, as_operator(depot, "admin"), "a-key", b"a request")

    with running_server(config.data, settings=NO_WORKER):
        assert isinstance(claim(), idempotency.Claim)
        with pytest.raises(InProgress):
            claim()
    with running_server(config.data, settings=NO_WORKER):
        assert isinstance(claim(), idempotency.Claim)
