"""A daemon goes on whatever is said to its socket, and talks to nobody but its owner. No server is needed for that."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import entrepot
from entrepot.daemon import listener, process, protocol
from tests.e2e.conftest import run_here
from tests.support.daemon import Daemon, daemon_place
from tests.support.server import wait_until


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(home))
        patch.setenv("ENTREPOT_URL", "http://127.0.0.1:9")
        patch.setenv("ENTREPOT_TOKEN", "a" * 40)
        with daemon_place(home / "place") as place:
            place.call("ping")
            assert place.pid
            yield place


class Raw:
    """A connection that says what it likes."""

    def __init__(self, daemon: Daemon, *, hello: bool = True) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(daemon.socket))
        self.socket.settimeout(60)
        self._lines = self.socket.makefile("rb")
        if hello:
            self.say({"jsonrpc": "2.0", "id": 0, "method": "hello", "params": {"protocol": 1}})
            assert self.heard()["result"]["protocol"] == 1

    def say(self, message: dict[str, Any]) -> None:
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def heard(self) -> Any:
        line = self._lines.readline()
        return json.loads(line) if line else None

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


def ask(number: int, method: str = "ping", **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def alive(daemon: Daemon) -> None:
    """It answers somebody new, and is still the same process."""
    # A call would start a new one if the daemon had died, so it is asked for by its process too.
    assert daemon.call("ping") == {}
    assert [daemon.pid] == daemon.pids


def test_bad_lines_are_answered_and_the_connection_goes_on(daemon: Daemon) -> None:
    raw = Raw(daemon)
    half = b'{"id":"\\ud800","jsonrpc":'
    lines = (
        b"{",
        b"\xff\xff",
        b"[]",
        b"null",
        b'{"jsonrpc":"2.0","id":5}',
        b"[" * 90_000,
        b'{"a":' * 9000,
        half + b"1}",
    )
    for line in lines:
        raw.socket.sendall(line + b"\n")
        assert raw.heard()["error"]["code"] in (protocol.UNREADABLE, protocol.NO_REQUEST)
    raw.say(ask(1, "no_such_method"))
    assert raw.heard()["error"]["code"] == protocol.NO_METHOD
    for method, odd in {
        "upload": {"local_path": 7},
        "download": {"asset_id": "ver_1", "dest_dir": "/\0"},
        "get_metadata": {"asset_id": "\ud800"},
        "limit": {"rate_bps": 10**300},
        "pause": {"transfer_id": "\ud800"},
        "prioritise": {"transfer_id": "tr_1"},
        "watch": {"folder": "/tmp/\udcff", "to": "a/b"},
    }.items():
        raw.say(ask(2, method, **odd))
        assert raw.heard()["error"]["data"]["code"] == "invalid", method
    raw.say({**ask(2), "id": "\ud800"})
    assert raw.heard() == {"jsonrpc": "2.0", "id": "\ud800", "result": {}}
    raw.socket.sendall(b'{"jsonrpc":"2.0","id":1,"method":"limit","params":{"rate_bps":1e999}}\n')
    assert raw.heard()["error"]["code"] == protocol.UNREADABLE
    raw.say(ask(2, "status"))
    assert raw.heard()["result"]["limit_bps"] is None
    raw.socket.sendall(b"\n \n")
    raw.say(ask(3))
    assert raw.heard() == {"jsonrpc": "2.0", "id": 3, "result": {}}
    raw.close()


def test_a_line_without_end_ends_its_connection_and_no_other(daemon: Daemon) -> None:
    other, raw = Raw(daemon), Raw(daemon)
    block = b"x" * 65536
    with pytest.raises(OSError):
        raw.socket.sendall(block * 200)
    other.say(ask(1))
    assert other.heard()["result"] == {}
    other.close()
    raw.close()


def test_who_speaks_another_protocol_or_says_no_hello_is_told(daemon: Daemon) -> None:
    raw = Raw(daemon, hello=False)
    raw.say(ask(1))
    assert "hello" in raw.heard()["error"]["message"]
    raw.say(ask(2, "hello", protocol=99))
    error = raw.heard()["error"]
    assert (error["data"]["code"], error["data"]["details"]) == ("unsupported", {"protocols": [1]})
    raw.close()


def test_half_messages_and_sudden_ends_are_nobodys_trouble(daemon: Daemon) -> None:
    for part in (b"", b"{", json.dumps(ask(1, "status")).encode(), json.dumps(ask(1, "status")).encode() + b"\n"):
        raw = Raw(daemon)
        raw.socket.sendall(part)
        raw.close()
    slow = Raw(daemon)
    for byte in json.dumps(ask(9)).encode() + b"\n":
        slow.socket.sendall(bytes([byte]))
    assert slow.heard()["id"] == 9
    slow.close()
    alive(daemon)


def test_thousands_of_connections_leave_room_for_the_next(daemon: Daemon) -> None:
    kept = []
    for _ in range(listener.MAX_CONNECTIONS + 40):
        kept.append(Raw(daemon, hello=False))
    wait_until(lambda: any(_was_refused(raw) for raw in kept[-40:]), "those above the bound are told")
    for raw in kept:
        raw.close()
    for _ in range(2000):
        made = socket.socket(socket.AF_UNIX)
        made.connect(str(daemon.socket))
        made.close()
    alive(daemon)


def _was_refused(raw: Raw) -> bool:
    raw.socket.settimeout(0.2)
    try:
        said = raw.heard()
    except OSError:
        return False
    return said is not None and said["error"]["data"]["code"] == "unavailable"


def test_many_questions_at_once_are_all_answered(daemon: Daemon) -> None:
    raw = Raw(daemon)
    count = 500
    thread = threading.Thread(target=lambda: [raw.say(ask(n, "status")) for n in range(1, count + 1)])
    thread.start()
    assert {raw.heard()["id"] for _ in range(count)} == set(range(1, count + 1))
    thread.join()
    raw.close()


def test_who_never_reads_is_hung_up_on(daemon: Daemon) -> None:
    raw = Raw(daemon)
    # An answer repeats the id of its question, so what is not read soon passes what is kept for a connection.
    line = b'{"jsonrpc":"2.0","method":"ping","id":"' + b"x" * 60_000 + b'"}\n'
    with pytest.raises(OSError):
        raw.socket.sendall(line * 1000)
    raw.close()
    alive(daemon)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can speak as somebody else")
def test_a_process_of_another_user_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when somebody has opened the socket's mode for all."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        monkeypatch.setenv("XDG_STATE_HOME", str(place / "state"))
        with daemon_place(place / "d") as daemon:
            daemon.call("ping")
            assert daemon.pid
            for part in (place, place / "d", place / "d" / "run"):
                part.chmod(0o755)
            daemon.socket.chmod(0o666)
            script = (
                "import os, socket, sys\nos.setgid(65534); os.setuid(65534)\ns = socket.socket(socket.AF_UNIX)\n"
                "s.settimeout(30)\ns.connect(sys.argv[1])\n"
                "try:\n    s.sendall(b'{}\\n'); print(s.recv(100))\nexcept OSError: print(b'')\n"
            )
            command = [sys.executable, "-c", script, str(daemon.socket)]
            said = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
            assert said.stdout.strip() == "b''"
            alive(daemon)
            assert "uid 65534" in daemon.log()


def test_a_long_path_and_a_folder_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    with daemon_place(tmp_path / "place") as place:
        place.socket = deep / "s.sock"
        with place.client() as client:
            assert client.socket_path == deep / "s.sock"
        place.stop()
        assert process.holder(place.socket) is None
        open_to_all = tmp_path / "open"
        open_to_all.mkdir()
        open_to_all.chmod(0o777)
        place.socket = open_to_all / "s.sock"
        done = subprocess.run(
            [place.binary, "daemon", "run", "--socket", place.socket], capture_output=True, text=True, check=False
        )
        assert done.returncode == 4
        assert "Others may change" in done.stderr


def test_a_file_of_somebody_is_never_taken_for_an_old_socket(tmp_path: Path) -> None:
    with daemon_place(tmp_path / "place") as place:
        place.socket = tmp_path / "results.csv"
        place.socket.write_text("years of work")
        with pytest.raises(entrepot.DaemonError, match=r"could not begin: .*results\.csv.* no socket"):
            place.client().connect()
        assert place.socket.read_text() == "years of work"
        assert "no socket" in run_here(["daemon", "logs", "--socket", str(place.socket)]).stdout


def test_without_a_place_for_the_journal_it_is_a_daemons_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(entrepot.DaemonError, match="cannot be made"):
        entrepot.DaemonClient(socket_path=tmp_path / "s.sock").connect()
    with pytest.raises(entrepot.DaemonError, match="too long"):
        entrepot.DaemonClient(socket_path=tmp_path / ("s" * 120)).connect()
    for name in ("start_timeout_s", "request_timeout_s"):
        with pytest.raises(entrepot.DaemonError, match=name):
            entrepot.DaemonClient(**{name: -1.0})


def test_a_client_connects_anew_after_its_daemon_was_killed_and_in_a_child(daemon: Daemon) -> None:
    """A child of a fork has the parent's connection in hand, and would take its answers."""
    with daemon_place(daemon.folder / "anew") as place, place.client(request_timeout_s=float("inf")) as client:
        pid = os.fork()
        if not pid:
            status = 1
            try:
                client._call("ping")
            except ConnectionError:
                client.connect()
                status = 0 if client._call("ping") == {} else 2
            client.close()
            os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert client._call("ping") == {}
        place.kill()
        with pytest.raises(ConnectionError):
            client._call("ping")
        client.connect()
        assert client._call("ping") == {}
        # Somebody tidied the folder: an end that systemd takes for none.
        process_of = subprocess.Popen([place.binary, "daemon", "run", "--socket", place.folder / "tidied.sock"])
        wait_until(lambda: process.answers(place.folder / "tidied.sock"), "it serves")
        (place.folder / "tidied.sock").unlink()
        assert process_of.wait(60) == 75
