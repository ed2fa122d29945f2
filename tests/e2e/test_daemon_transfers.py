"""What one does with transfers besides waiting for them: the command line, pauses, watched folders, changed sources."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

import entrepot
from entrepot.client.client import Client
from entrepot.client.credentials import Credential, Credentials
from tests.e2e.conftest import Cli, Running, answer, make_tree
from tests.support.daemon import Daemon
from tests.support.server import wait_until


@pytest.fixture(autouse=True)
def _surrounded(surrounded: None) -> None:
    """Every test here sees the server as its daemons do."""


@pytest.fixture(scope="module")
def home(server: Running) -> str:
    with Client(server.url, server.token) as client:
        return client.projects.create("Daemon transfers", slug="daemon-transfers").id


def accepted(daemon: Daemon, source: Path, title: str, home: str, **more: Any) -> str:
    """An upload that nobody waits for."""
    return str(
        daemon.call(
            "upload", local_path=str(source), title=title, owner_type="project", owner_id=home, chunk_size_mb=1, **more
        )["transfer_id"]
    )


def state(daemon: Daemon, transfer: str) -> dict[str, Any]:
    found: dict[str, Any] = daemon.call("transfer", transfer_id=transfer)
    return found


def until(daemon: Daemon, transfer: str, wanted: str) -> dict[str, Any]:
    wait_until(lambda: state(daemon, transfer)["state"] == wanted, f"{transfer} is {wanted}")
    return state(daemon, transfer)


def test_the_command_line_shows_pauses_resumes_and_cancels(
    shared_daemon: Daemon, home: str, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{shared_daemon.binary.parent}:{os.environ['PATH']}")
    at = ("--socket", shared_daemon.socket)
    assert answer(cli("daemon", "start", *at, "--json"))["pid"] == shared_daemon.pid
    cli("daemon", "limit", "300K", *at)
    source = tmp_path / "big.bin"
    source.write_bytes(os.urandom(6 << 20))
    first = accepted(shared_daemon, source, "CLI first", home)
    second = accepted(shared_daemon, source, "CLI second", home)
    cli("daemon", "priority", second, "5", *at)
    cli("daemon", "pause", first, *at)
    wait_until(lambda: state(shared_daemon, first)["state"] == "waiting", "it holds")
    shown = answer(cli("daemon", "status", *at, "--json"))
    rows = {row["transfer_id"]: row for row in shown["transfers"]}
    assert (rows[first]["paused"], rows[second]["priority"]) == (True, 5)
    assert shown["limit_bps"] == 300 << 10
    for row in rows.values():
        assert {"transfer_id", "kind", "file_name", "state", "bytes_done", "bytes_total"} <= row.keys()
        assert row["state"] in ("queued", "running", "waiting", "done", "failed", "cancelled")
    cli("daemon", "cancel", second, *at)
    until(shared_daemon, second, "cancelled")
    # What is left goes on with the next daemon, and status needs none.
    stopped = answer(cli("daemon", "stop", *at, "--json"))
    assert stopped["stopped"]
    resting = answer(cli("daemon", "status", *at, "--json"))
    assert (resting["running"], resting["active"]) == (False, 0)
    assert {row["transfer_id"] for row in resting["transfers"]} >= {first, second}
    assert "No daemon runs" in cli("daemon", "stop", *at).stdout
    cli("daemon", "limit", "0", *at)
    cli("daemon", "resume", first, *at)
    assert until(shared_daemon, first, "done")["asset_id"].startswith("ver_")
    assert "serving" in cli("daemon", "logs", *at).stdout
    cli("daemon", "pause", first, *at, code=5)
    cli("daemon", "pause", "tr_nothing", *at, code=3)
    with Client() as sdk:
        assert [one.name for one in sdk.versions.list(project=home, name="CLI second")] == []


def test_the_unit_of_systemd_names_the_socket(cli: Cli, tmp_path: Path) -> None:
    shown = cli("daemon", "install", "--socket", tmp_path / "a b" / "s.sock", "--print").stdout
    (line,) = [line for line in shown.splitlines() if line.startswith("ExecStart=")]
    assert f'daemon run --socket "{tmp_path}/a b/s.sock" --idle 0' in line
    assert "Restart=on-failure" in shown


def test_a_lost_answer_is_asked_for_again_by_its_key(shared_daemon: Daemon, home: str, tmp_path: Path) -> None:
    source = tmp_path / "k.bin"
    source.write_bytes(b"k")
    one = accepted(shared_daemon, source, "Keyed", home, key="mine")
    assert accepted(shared_daemon, source, "Keyed", home, key="mine") == one
    with pytest.raises(entrepot.DaemonError) as refused:
        accepted(shared_daemon, source, "Other", home, key="mine")
    assert refused.value.code == "conflict"
    until(shared_daemon, one, "done")
    with Client() as sdk:
        assert len(list(sdk.versions.list(project=home, name="Keyed"))) == 1


def test_a_source_that_changes_meanwhile_is_never_mixed(shared_daemon: Daemon, home: str, tmp_path: Path) -> None:
    """Also when size and time are as before: then the digest tells."""
    old, new = os.urandom(4 << 20), os.urandom(4 << 20)
    for name, keeps_time in (("touched", False), ("stealthy", True)):
        source = tmp_path / f"{name}.bin"
        source.write_bytes(old)
        before = source.stat()
        shared_daemon.call("limit", rate_bps=1 << 20)
        transfer = accepted(shared_daemon, source, name, home)
        wait_until(lambda t=transfer: state(shared_daemon, t)["bytes_done"] > 0, "bytes are on their way")
        with source.open("r+b") as file:
            file.write(new)
        if keeps_time:
            os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
        shared_daemon.call("limit", rate_bps=None)
        row = until(shared_daemon, transfer, "done")
        with Client() as sdk:
            assert sdk.data.read_bytes(row["asset_id"], source.name) == new, name


def test_a_transfer_waits_for_the_network_and_for_a_login(
    own_daemon: Daemon, server: Running, home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accepted while nobody answers at the server's address; finished when somebody does."""
    from tests.support.counting_proxy import CountingProxy

    source = tmp_path / "w.bin"
    source.write_bytes(os.urandom(10_000))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    monkeypatch.setenv("ENTREPOT_URL", f"http://127.0.0.1:{port}")
    transfer = accepted(own_daemon, source, "Waits", home)
    row = until(own_daemon, transfer, "waiting")
    assert row["error"]["code"] == "unavailable"
    with CountingProxy(server.url, port=port):
        own_daemon.call("resume", transfer_id=transfer)
        until(own_daemon, transfer, "done")


def test_settled_files_of_a_watched_folder_become_revisions(
    own_daemon: Daemon, home: str, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{own_daemon.binary.parent}:{os.environ['PATH']}")
    at = ("--socket", own_daemon.socket)
    folder = make_tree(tmp_path / "instrument", {"run1/a.bin": b"1", "b.txt": b"2"})
    # What cannot be stored is named, and holds nothing back.
    os.mkfifo(folder / "pipe")
    cli("daemon", "watch", folder, "--to", "daemon-transfers/watched", "--settle", "0", *at)
    with Client() as sdk:

        def files() -> dict[str, bytes]:
            try:
                return {
                    e.path: sdk.data.read_bytes("daemon-transfers/watched", e.path)
                    for e in sdk.data.list("daemon-transfers/watched")
                }
            except entrepot.NotFound:
                return {}

        wait_until(lambda: files() == {"run1/a.bin": b"1", "b.txt": b"2"}, "the folder was pushed")
        # Killed and started again it still watches; what goes here stays there.
        own_daemon.kill()
        (folder / "b.txt").unlink()
        (folder / "c.txt").write_bytes(b"3")
        own_daemon.call("ping")
        wait_until(lambda: files() == {"run1/a.bin": b"1", "b.txt": b"2", "c.txt": b"3"}, "what came was added")
        revision = sdk.versions.get("daemon-transfers/watched").revision
    (shown,) = answer(cli("daemon", "watch", "--json", *at))
    assert (shown["to"], revision) == ("daemon-transfers/watched", 2)
    wait_until(lambda: "'pipe' is not pushed" in str(answer(cli("daemon", "watch", "--json", *at))), "it is named")
    cli("daemon", "watch", folder, "--remove", *at)
    assert answer(cli("daemon", "watch", "--json", *at)) == []


def test_several_daemons_of_one_user_never_take_each_others_transfers(
    own_daemon: Daemon, shared_daemon: Daemon, home: str, tmp_path: Path
) -> None:
    source = tmp_path / "same.bin"
    source.write_bytes(os.urandom(3 << 20))
    done: list[str] = []

    def work(daemon: Daemon, title: str) -> None:
        with daemon.client() as client:
            done.append(client.upload(source, title=title, owner_type="project", owner_id=home).asset_id)

    threads = [
        threading.Thread(target=work, args=(own_daemon, "A")),
        threading.Thread(target=work, args=(shared_daemon, "B")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(done)) == 2
    assert own_daemon.pid != shared_daemon.pid
    mine = {row["title"] for row in own_daemon.call("status")["transfers"]}
    assert mine == {"A"}


def test_a_download_is_pinned_to_what_was_newest_when_it_began(
    shared_daemon: Daemon, home: str, tmp_path: Path
) -> None:
    source = tmp_path / "p.bin"
    old = os.urandom(3 << 20)
    source.write_bytes(old)
    with shared_daemon.client() as client, Client() as sdk:
        made = client.upload(source, title="Pinned", owner_type="project", owner_id=home)
        shared_daemon.call("limit", rate_bps=1 << 20)
        written = threading.Event()

        def write(event: entrepot.ProgressEvent) -> None:
            if event.bytes_done and not written.is_set():
                written.set()
                sdk.data.write(made.asset_id, b"newer", "p.bin")
                shared_daemon.call("limit", rate_bps=None)

        found = client.download(made.asset_id, tmp_path / "out", chunk_size_mb=1, on_progress=write)
        assert written.is_set()
        assert found.content_id == made.content_id
        assert Path(found.files[0].local_path).read_bytes() == old
        assert client.get_metadata(made.asset_id).content_id != made.content_id


def test_a_login_that_ends_in_the_middle_is_waited_for(
    own_daemon: Daemon, server: Running, home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Revoked while bytes are on their way; the next `entrepot login` is enough."""
    monkeypatch.delenv("ENTREPOT_TOKEN")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    source = tmp_path / "l.bin"
    source.write_bytes(os.urandom(3 << 20))
    with Client(server.url, server.token) as sdk:
        first, second = (sdk.tokens.create(f"daemon {n}", scope="write") for n in (1, 2))
        Credentials().store(Credential(server.url, first.token))
        own_daemon.call("limit", rate_bps=1 << 20)
        transfer = accepted(own_daemon, source, "Logged out", home)
        wait_until(lambda: state(own_daemon, transfer)["bytes_done"] > 0, "bytes are on their way")
        sdk.tokens.revoke(first.id)
        row = until(own_daemon, transfer, "waiting")
        assert row["error"]["code"] == "bad_credentials"
        assert "entrepot login" in row["error"]["message"]
        with own_daemon.client() as client, pytest.raises(entrepot.DaemonError, match="entrepot login"):
            client.auth_status()
        Credentials().store(Credential(server.url, second.token))
        own_daemon.call("limit", rate_bps=None)
        own_daemon.call("resume", transfer_id=transfer)
        asset = until(own_daemon, transfer, "done")["asset_id"]
        assert sdk.data.read_bytes(asset, "l.bin") == source.read_bytes()


def test_a_relationship_needs_write_at_its_source_and_read_at_its_target(
    own_daemon: Daemon, server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "s.txt"
    source.write_text("x")
    with Client() as sdk:
        sdk.users.create("daemon-bob", password="long enough")
        team = sdk.teams.create("Daemon team")
        sdk.teams.set_member(team.id, "daemon-bob", "read")
        theirs = sdk.projects.create("Daemon team's", team=team.id).id
        shown, hidden = (
            sdk.data.from_file(source, title, project=where).id
            for title, where in (("Shown", theirs), ("Hidden", sdk.projects.create("Not for daemon-bob").id))
        )
        monkeypatch.setenv("ENTREPOT_TOKEN", sdk.tokens.create("t", scope="write", user="daemon-bob").token)
    with own_daemon.client() as client:
        own = client.upload(source, title="Own", owner_type="user", owner_id="daemon-bob").asset_id
        made = client.create_relationship(own, shown, "made_from")
        assert made.related_asset is not None
        assert made.related_asset["id"] == shown
        for one, other, code in ((shown, own, "forbidden"), (own, hidden, "not_found"), (hidden, own, "not_found")):
            with pytest.raises(entrepot.DaemonError) as refused:
                client.create_relationship(one, other, "made_from")
            assert refused.value.code == code, (one, other)
        with pytest.raises(entrepot.DaemonError) as refused:
            client.upload(source, title="T", owner_type="project", owner_id=theirs)
        assert refused.value.code == "forbidden"


def test_what_is_purged_while_it_is_fetched_fails_and_what_is_trashed_arrives(
    shared_daemon: Daemon, home: str, tmp_path: Path
) -> None:
    source = tmp_path / "p.bin"
    source.write_bytes(os.urandom(3 << 20))
    with shared_daemon.client() as client, Client() as sdk:
        for title, purged in (("Trashed meanwhile", False), ("Purged meanwhile", True)):
            asset = client.upload(source, title=title, owner_type="project", owner_id=home).asset_id
            shared_daemon.call("limit", rate_bps=1 << 20)
            into = tmp_path / title
            transfer = shared_daemon.call("download", asset_id=asset, dest_dir=str(into))["transfer_id"]
            wait_until(lambda t=transfer: state(shared_daemon, t)["bytes_done"] > 0, "bytes are on their way")
            shared_daemon.call("pause", transfer_id=transfer)
            until(shared_daemon, transfer, "waiting")
            sdk.versions.trash(asset, "test")
            if purged:
                sdk.versions.purge(asset)
            shared_daemon.call("limit", rate_bps=None)
            shared_daemon.call("resume", transfer_id=transfer)
            if purged:
                assert until(shared_daemon, transfer, "failed")["error"]["code"] in ("not_found", "gone")
                assert not (into / "p.bin").exists()
            else:
                until(shared_daemon, transfer, "done")
                assert (into / "p.bin").read_bytes() == source.read_bytes()
