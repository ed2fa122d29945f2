"""The page of the transfer-daemon SDK, line by line, against real processes."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

import entrepot
from entrepot.client.client import Client
from entrepot.daemon import process
from tests.e2e.conftest import Running
from tests.support.daemon import Daemon, daemon_place
from tests.support.pages import blocks
from tests.support.server import wait_until

MODES = ("non_destructive", "altering", "destructive", "in_situ", "ex_situ", "invasive", "non_invasive")


@pytest.fixture(autouse=True)
def _surrounded(surrounded: None) -> None:
    """Every test here sees the server as its daemons do."""


@pytest.fixture(scope="module")
def shared(shared_daemon: Daemon) -> Daemon:
    return shared_daemon


@pytest.fixture
def own(own_daemon: Daemon) -> Daemon:
    return own_daemon


@pytest.fixture(scope="module")
def project(server: Running) -> str:
    with Client(server.url, server.token) as client:
        return client.projects.create("Daemon tests").id


def test_the_quick_start(shared: Daemon, tmp_path: Path) -> None:
    """As on the page, with the import and the program's name changed."""
    from entrepot import DaemonClient

    data, said = tmp_path / "data.csv", []
    data.write_bytes(b"a,b\n" + b"1,2\n" * 1_000_000)
    with DaemonClient(binary_path=str(shared.binary), socket_path=str(shared.socket)) as client:
        status = client.auth_status()
        said.append(f"Logged in as {status.user_email}, token expires {status.expires_at}")
        project = client.create_project("My dataset project", description="Demo")
        said.append(f"Created project {project.project_id}")
        result = client.upload(
            str(data),
            title="My dataset",
            owner_type="project",
            owner_id=project.project_id,
            on_progress=lambda p: said.append(f"  {p.percent:.0f}%  {p.rate_mbps:.1f} MB/s"),
        )
        said.append(f"Uploaded  asset_id={result.asset_id}  content_id={result.content_id}")
        dl = client.download(result.asset_id, dest_dir=str(tmp_path / "downloads"))
        for f in dl.files:
            said.append(f"  {f.local_path}  ({f.size:,} bytes)")
        meta = client.get_metadata(result.asset_id)
        updated = client.set_metadata(result.asset_id, title="My dataset v2", tags=["csv", "demo"])
        source = client.upload(str(data), title="Raw", owner_type="project", owner_id=project.project_id)
        relationship = client.create_relationship(
            result.asset_id,
            source.asset_id,
            relationship_type="derived_from",
            analysis_mode="non_destructive",
            qualifiers={"tool": "pycroscopy"},
        )
        related_id = relationship.related_asset["id"] if relationship.related_asset else "source-asset-id"
        said.append(f"Linked via {relationship.type} to {related_id}")
    assert said[0].startswith("Logged in as admin@localhost, token expires 20")
    assert "  100%" in "".join(said)
    assert Path(dl.files[0].local_path).read_bytes() == data.read_bytes()
    assert Path(dl.files[0].local_path) == tmp_path / "downloads" / "data.csv"
    assert result.asset_id.startswith("ver_")
    assert result.content_id == f"rev_{result.asset_id.removeprefix('ver_')}_1"
    assert (meta.title, updated.title, updated.tags) == ("My dataset", "My dataset v2", ["csv", "demo"])
    assert said[-1] == f"Linked via derived_from to {source.asset_id}"


def test_progress_comes_at_the_start_for_every_chunk_and_at_the_end(
    shared: Daemon, project: str, tmp_path: Path
) -> None:
    source = tmp_path / "in" / "scan.bin"
    source.parent.mkdir()
    source.write_bytes(os.urandom((5 << 20) + 1))
    up: list[entrepot.ProgressEvent] = []
    down: list[entrepot.ProgressEvent] = []
    with shared.client() as client:
        made = client.upload(
            source, title="Chunks", owner_type="project", owner_id=project, chunk_size_mb=1, on_progress=up.append
        )
        client.download(made.asset_id, tmp_path / "out", chunk_size_mb=1, on_progress=down.append)
    for events in (up, down):
        done = [event.bytes_done for event in events]
        assert done == sorted(done)
        assert (events[0].bytes_done, events[0].percent) == (0, 0.0)
        assert (events[-1].bytes_done, events[-1].percent) == (source.stat().st_size, 100.0)
        assert {event.bytes_total for event in events} == {source.stat().st_size}
        assert {event.chunk_count for event in events} == {6}
        assert [n for n in range(6) if n not in {event.chunk_index for event in events}] == []
        assert {(event.file_index, event.file_name) for event in events} == {(0, "scan.bin")}
        assert all(event.rate_mbps == event.rate_bps / 1e6 for event in events)
    assert {event.transfer_id for event in up} == {made.transfer_id}


def test_chunk_size_is_the_size_of_a_request(
    server: Running, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only of what is shown: the server's own record of the upload grows by that much."""
    from tests.support.counting_proxy import CountingProxy

    source = tmp_path / "two.bin"
    source.write_bytes(os.urandom(3 << 20))
    with CountingProxy(server.url) as proxy, daemon_place(tmp_path / "proxied") as place:
        monkeypatch.setenv("ENTREPOT_URL", proxy.url)
        with place.client() as client:
            client.upload(source, title="Two", owner_type="project", owner_id=project, chunk_size_mb=2)
    sizes = [int(length) for length in proxy.lengths_of("PATCH")]
    assert sizes == [2 << 20, 1 << 20]


def test_the_fields_of_an_upload_are_those_of_the_version(shared: Daemon, project: str, tmp_path: Path) -> None:
    source = tmp_path / "f.txt"
    source.write_text("x")
    with Client() as sdk, shared.client() as client:
        place = sdk.collections.create(project, "raw/2026")
        made = client.upload(
            source,
            title="Fields",
            owner_type="project",
            owner_id=project,
            description="what it is",
            alias="fields-alias",
            tags=["a", "b"],
            metadata={"k": [1, {"n": None}]},
            collection_id=place.id,
        )
        again = client.upload(source, title="Fields", owner_type="project", owner_id=project)
        record = sdk.versions.get(made.asset_id)
        found = client.get_metadata(made.asset_id)
    assert (record.name, record.number, record.description) == ("Fields", 1, "what it is")
    assert (record.alias, record.tags, record.custom) == ("fields-alias", ["a", "b"], {"k": [1, {"n": None}]})
    assert record.collection_path == "raw/2026"
    assert (found.description, found.alias, found.tags, found.metadata) == (
        "what it is",
        "fields-alias",
        ["a", "b"],
        {"k": [1, {"n": None}]},
    )
    assert again.asset_id != made.asset_id, "a used title is the next version"


def test_metadata_that_is_not_given_stays_and_unknown_fields_are_refused(
    shared: Daemon, project: str, tmp_path: Path
) -> None:
    source = tmp_path / "m.txt"
    source.write_text("x")
    with shared.client() as client:
        made = client.upload(
            source, title="Meta", owner_type="project", owner_id=project, tags=["t"], metadata={"a": 1}
        ).asset_id
        assert client.set_metadata(made, description="d").tags == ["t"]
        changed = client.set_metadata(made, metadata={"b": 2}, tags=[])
        assert (changed.description, changed.metadata, changed.tags) == ("d", {"b": 2}, [])
        with pytest.raises(entrepot.DaemonError, match="no field 'colour'") as refused:
            client.set_metadata(made, colour="red")
        assert refused.value.code == "invalid"
        with pytest.raises(entrepot.DaemonError) as missing:
            client.get_metadata("ver_" + "0" * 32)
        assert missing.value.code == "not_found"


def test_relationships_are_pinned_repeatable_and_never_to_oneself(shared: Daemon, project: str, tmp_path: Path) -> None:
    source = tmp_path / "r.txt"
    source.write_text("x")
    with shared.client() as client, Client() as sdk:
        one, two = (
            client.upload(source, title=title, owner_type="project", owner_id=project).asset_id
            for title in ("R1", "R2")
        )
        made = client.create_relationship(
            one,
            two,
            "analysis_of",
            qualifier_note="n",
            qualifier_time="2026-05-01T12:00:00+02:00",
            qualifiers={"t": 1},
            analysis_mode="in_situ",
        )
        assert (
            client.create_relationship(
                one,
                two,
                "analysis_of",
                qualifier_note="n",
                qualifier_time="2026-05-01T10:00:00Z",
                qualifiers={"t": 1},
                analysis_mode="in_situ",
            )
            == made
        )
        assert made.qualifier_time is not None
        assert made.qualifier_time.isoformat() == "2026-05-01T10:00:00+00:00"
        edge = sdk.relationships.get(made.relationship_id)
        assert edge.target is not None
        for mode in MODES:
            related = client.create_relationship(one, two, "v" * 255, analysis_mode=mode)
            assert (related.analysis_mode, related.type, related.related_asset) == (mode, "v" * 255, made.related_asset)
        assert (edge.verb, edge.target.version, edge.target.revision) == ("analysis_of", two, 1)
        refusals: list[tuple[dict[str, Any], str]] = [
            ({"rel_type": "same_as", "to_asset_id": one}, "itself"),
            ({"rel_type": None}, "rel_type"),
            ({"rel_type": "v" * 256}, "255"),
            ({"rel_type": "x", "analysis_mode": "rough"}, "mode"),
            ({"rel_type": "x", "qualifier_time": "yesterday"}, "ISO-8601"),
            ({"rel_type": "x", "qualifiers": {"a": object()}}, "JSON"),
            ({"rel_type": "x", "relationship_type": "y"}, "relationship_type"),
        ]
        for given, word in refusals:
            with pytest.raises(entrepot.DaemonError, match=word) as refused:
                client.create_relationship(**{"from_asset_id": one, "to_asset_id": two, **given})
            assert refused.value.code == "invalid", word


def test_one_owns_as_a_user_by_id_name_or_email_and_never_for_somebody_else(shared: Daemon, tmp_path: Path) -> None:
    source = tmp_path / "mine.txt"
    source.write_text("mine")
    with shared.client() as client, Client() as sdk:
        me = sdk.users.get()
        for owner in (me.id, me.name, me.email):
            made = client.upload(source, title=f"Mine {owner}", owner_type="user", owner_id=owner)
            assert sdk.projects.get(sdk.versions.get(made.asset_id).project).personal
        with pytest.raises(entrepot.DaemonError) as refused:
            client.upload(source, title="Not mine", owner_type="user", owner_id="ada")
        assert refused.value.code == "forbidden"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"local_path": "/nowhere/at/all.bin"}, "not_found"),
        ({"owner_id": "proj_" + "0" * 32}, "not_found"),
        ({"owner_type": "team"}, "invalid"),
        ({"title": ""}, "invalid"),
        ({"chunk_size_mb": 0}, "invalid"),
        ({"chunk_size_mb": -1}, "invalid"),
        ({"chunk_size_mb": 1 << 20}, "invalid"),
        ({"transfer_timeout_s": -1}, "invalid"),
        ({"collection_id": "coll_" + "0" * 32}, "not_found"),
        ({"tags": ["a,b"]}, "invalid_name"),
        ({"alias": "a b"}, "invalid_name"),
        ({"metadata": {"a": float("nan")}}, "invalid"),
        ({"local_path": "/dev/null"}, "invalid"),
    ],
)
def test_an_upload_that_cannot_be_is_refused_with_its_word(
    shared: Daemon, project: str, tmp_path: Path, given: dict[str, Any], code: str
) -> None:
    source = tmp_path / "s.txt"
    source.write_text("x")
    wish = {"local_path": source, "title": "Refused", "owner_type": "project", "owner_id": project, **given}
    with shared.client() as client, pytest.raises(entrepot.DaemonError) as refused:
        client.upload(wish.pop("local_path"), **wish)
    assert refused.value.code == code
    assert refused.value.message


def test_a_folder_is_one_revision_and_comes_back_with_its_folders(shared: Daemon, project: str, tmp_path: Path) -> None:
    tree = {f"d{n % 3}/f{n}.bin": os.urandom(n * 1000) for n in range(12)} | {"top.txt": b"x"}
    for path, content in tree.items():
        (tmp_path / "in" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / path).write_bytes(content)
    events: list[entrepot.ProgressEvent] = []
    with shared.client() as client:
        made = client.upload(
            tmp_path / "in", title="Folder", owner_type="project", owner_id=project, on_progress=events.append
        )
        back = client.download(made.asset_id, tmp_path / "out")
    assert made.content_id.endswith("_1")
    assert {file.path: Path(file.local_path).read_bytes() for file in back.files} == tree
    assert events[-1].file_index == len(tree) - 1


def test_a_download_touches_no_file_that_somebody_else_put_there(shared: Daemon, project: str, tmp_path: Path) -> None:
    source = tmp_path / "k.txt"
    source.write_text("from the server")
    out = tmp_path / "out"
    out.mkdir()
    (out / "k.txt").write_text("mine")
    with shared.client() as client:
        made = client.upload(source, title="Kept", owner_type="project", owner_id=project)
        with pytest.raises(entrepot.DaemonError) as refused:
            client.download(made.asset_id, out)
    assert refused.value.code == "conflict"
    assert (out / "k.txt").read_text() == "mine"


def test_odd_files_go_and_come_and_odd_names_are_refused_before_the_first_byte(
    shared: Daemon, project: str, tmp_path: Path
) -> None:
    """Nothing at all, a folder without files, a path whose bytes are no UTF-8; and a line break in a name."""
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller"))
    odd.mkdir()
    (odd / "empty.bin").touch()
    (odd / "a\nb").touch()
    (tmp_path / "bare" / "inner").mkdir(parents=True)
    events: list[entrepot.ProgressEvent] = []
    with shared.client() as client:
        made = client.upload(
            odd / "empty.bin", title="Empty", owner_type="project", owner_id=project, on_progress=events.append
        )
        back = client.download(made.asset_id, odd / "out")
        assert (made.size, made.file_count, events[-1].percent, events[-1].chunk_count) == (0, 1, 100.0, 1)
        assert [(file.local_path, file.size) for file in back.files] == [(str(odd / "out" / "empty.bin"), 0)]
        assert (odd / "out" / "empty.bin").read_bytes() == b""
        bare = client.upload(tmp_path / "bare", title="Bare", owner_type="project", owner_id=project)
        assert (bare.size, bare.file_count) == (0, 0)
        for name in ("a\nb", "M\udcfc"):
            (odd / name).touch()
            with pytest.raises(entrepot.DaemonError) as refused:
                client.upload(odd / name, title="Odd", owner_type="project", owner_id=project)
            assert refused.value.code == "invalid_name"


def test_a_download_that_has_no_place_says_so(shared: Daemon, project: str, tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_text("x")
    (tmp_path / "dangling").symlink_to("nowhere/at/all")
    (tmp_path / "out" / "file").mkdir(parents=True)
    with shared.client() as client:
        made = client.upload(source, title="Placeless", owner_type="project", owner_id=project)
        for place, code in ((source, "conflict"), (source / "sub", "invalid"), (tmp_path / "dangling", "conflict")):
            with pytest.raises(entrepot.DaemonError, match=r"file|dangling") as refused:
                client.download(made.asset_id, place)
            assert refused.value.code == code, place
        with pytest.raises(entrepot.DaemonError, match="is a folder"):
            client.download(made.asset_id, tmp_path / "out")


def test_what_a_callback_raises_ends_the_waiting_and_not_the_transfer(
    shared: Daemon, project: str, tmp_path: Path
) -> None:
    source = tmp_path / "c.bin"
    source.write_bytes(b"c" * 1000)
    seen: list[str] = []

    def interrupt(event: entrepot.ProgressEvent) -> None:
        seen.append(event.transfer_id)
        raise KeyboardInterrupt

    with shared.client() as client:
        with pytest.raises(KeyboardInterrupt):
            client.upload(source, title="Interrupted", owner_type="project", owner_id=project, on_progress=interrupt)
        wait_until(lambda: shared.call("transfer", transfer_id=seen[0])["state"] == "done", "it goes on to its end")
        assert len(seen) == 1
        assert client.auth_status().user_name == "admin"


def test_a_project_comes_with_its_root_collection_and_oneself_as_admin(shared: Daemon, tmp_path: Path) -> None:
    source = tmp_path / "r.txt"
    source.write_text("x")
    with shared.client() as client, Client() as sdk:
        made = client.create_project("Rooted", description="d")
        found = sdk.projects.get(made.project_id)
        assert (found.role, found.allocation, made.allocation) == ("admin", None, None)
        assert (made.name, made.description, made.slug) == ("Rooted", "d", "rooted")
        asset = client.upload(
            source,
            title="At the root",
            owner_type="project",
            owner_id=made.project_id,
            collection_id=made.root_collection_id,
        ).asset_id
        assert client.get_metadata(asset).collection_id == made.root_collection_id
        elsewhere = sdk.collections.create(client.create_project("Other root").project_id, "a")
        with pytest.raises(entrepot.DaemonError) as refused:
            client.upload(source, title="T", owner_type="project", owner_id=made.project_id, collection_id=elsewhere.id)
        assert refused.value.code == "not_found"
        with pytest.raises(entrepot.DaemonError) as taken:
            client.create_project("Rooted")
        assert taken.value.code == "name_taken"


def test_the_examples_of_the_pages(shared: Daemon, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block of Python of docs/daemon.md and of the guide, as it stands but for the paths."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENTREPOT_SOCKET", str(shared.socket))
    (tmp_path / "scan-0412.tif").write_bytes(b"scan")
    (tmp_path / "run-0412").mkdir()
    (tmp_path / "run-0412" / "a.bin").write_bytes(b"a")
    with Client() as sdk:
        lab = sdk.projects.create("Lab of the examples", slug="examples-lab")
        ran = 0
        for page in ("docs/daemon.md", "docs/how-to/upload-overnight.md"):
            for block in blocks(root / page):
                if "DaemonClient" in block:
                    text = block.replace("/data/run-0412", str(tmp_path / "run-0412")).replace(
                        '"lab"', '"examples-lab"'
                    )
                    exec(compile(text, page, "exec"), {})
                    ran += 1
        assert ran == 2
        wait_until(lambda: any(one.name == "Run 412" for one in sdk.versions.list(project=lab.id)), "it goes on")


def test_eight_clients_at_once(shared: Daemon, project: str, tmp_path: Path) -> None:
    contents = {n: os.urandom(300_000 + n) for n in range(8)}
    wrong: list[BaseException] = []

    def work(n: int) -> None:
        try:
            (tmp_path / f"{n}.bin").write_bytes(contents[n])
            with shared.client() as client:
                made = client.upload(tmp_path / f"{n}.bin", title=f"Eight {n}", owner_type="project", owner_id=project)
                back = client.download(made.asset_id, tmp_path / f"out{n}")
            assert Path(back.files[0].local_path).read_bytes() == contents[n]
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_end_of_the_patience_is_not_the_end_of_the_transfer(shared: Daemon, project: str, tmp_path: Path) -> None:
    source = tmp_path / "slow.bin"
    source.write_bytes(os.urandom(2 << 20))
    with shared.client() as client:
        shared.call("limit", rate_bps=1 << 20)
        try:
            with pytest.raises(entrepot.DaemonTimeoutError, match="It goes on"):
                client.upload(source, title="Slow", owner_type="project", owner_id=project, transfer_timeout_s=0.2)
        finally:
            shared.call("limit", rate_bps=None)
        rows = {row.get("title"): row for row in shared.call("status")["transfers"]}
        transfer = rows["Slow"]["transfer_id"]
        wait_until(lambda: shared.call("transfer", transfer_id=transfer)["state"] == "done", "it goes on to its end")


def test_many_that_start_at_once_get_one_daemon(own: Daemon) -> None:
    pids: list[int] = []

    def work() -> None:
        link = own.link()
        pids.append(link.hello["pid"])
        link.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 6
    assert set(pids) == {own.pid}
    assert stat.S_IMODE(own.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(own.socket.parent.stat().st_mode) == 0o700
    command = Path(f"/proc/{own.pid}/cmdline").read_bytes().split(b"\0")
    assert command[command.index(b"daemon") :][:4] == [b"daemon", b"run", b"--socket", str(own.socket).encode()]
    # A stale socket is what a killed daemon leaves.
    own.kill()
    assert own.socket.exists()
    with pytest.raises(ConnectionError), own.client(auto_start=False):
        pass
    with own.client() as client:
        assert client.auth_status().user_name == "admin"
    own.stop()
    assert not own.socket.exists()
    with pytest.raises(ConnectionError, match="entrepot daemon start"), own.client(auto_start=False):
        pass


def test_a_daemon_that_goes_away_is_a_connection_error(own: Daemon, project: str, tmp_path: Path) -> None:
    source = tmp_path / "gone.bin"
    source.write_bytes(os.urandom(3 << 20))
    own.call("limit", rate_bps=200_000)
    with own.client() as client:

        def kill(event: entrepot.ProgressEvent) -> None:
            if event.bytes_done:
                own.kill()

        with pytest.raises(ConnectionError):
            client.upload(
                source, title="Gone", owner_type="project", owner_id=project, chunk_size_mb=1, on_progress=kill
            )
        with pytest.raises(ConnectionError):
            client.auth_status()
    # The next daemon finishes it.
    own.call("limit", rate_bps=None)
    (row,) = [one for one in own.call("status")["transfers"] if one.get("title") == "Gone"]
    wait_until(lambda: own.call("transfer", transfer_id=row["transfer_id"])["state"] == "done", "the next one goes on")


def test_who_is_not_logged_in_is_told_how_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENTREPOT_TOKEN")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    source = tmp_path / "n.txt"
    source.write_text("x")
    with daemon_place(tmp_path / "own") as place, place.client() as client:
        for call in (
            client.auth_status,
            lambda: client.create_project("P"),
            lambda: client.upload(source, title="T", owner_type="user", owner_id="admin"),
            lambda: client.download("ver_" + "0" * 32, tmp_path / "out"),
        ):
            with pytest.raises(entrepot.DaemonError, match="entrepot login") as refused:
                call()
            assert refused.value.code == "unauthenticated"


def test_a_token_that_may_only_read_makes_nothing(
    own: Daemon, server: Running, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "r.txt"
    source.write_text("x")
    with Client() as sdk:
        monkeypatch.setenv("ENTREPOT_TOKEN", sdk.tokens.create("reader", scope="read").token)
    with own.client() as client:
        assert client.auth_status().scope == "read"
        for call in (
            lambda: client.create_project("Not made"),
            lambda: client.upload(source, title="Not made", owner_type="project", owner_id=project),
        ):
            with pytest.raises(entrepot.DaemonError) as refused:
                call()
            assert refused.value.code == "forbidden"
    monkeypatch.setenv("ENTREPOT_TOKEN", server.token)
    with Client() as sdk:
        assert list(sdk.versions.list(project=project, name="Not made")) == []


def test_an_allocation_that_would_be_passed_is_said_and_leaves_no_version(shared: Daemon, tmp_path: Path) -> None:
    source = tmp_path / "much.bin"
    source.write_bytes(os.urandom(20_000))
    with Client() as sdk, shared.client() as client:
        small = sdk.projects.create("Small").id
        sdk.projects.update(small, allocation=10_000)
        with pytest.raises(entrepot.DaemonError) as refused:
            client.upload(source, title="Too much", owner_type="project", owner_id=small)
        assert refused.value.code == "quota_exceeded"
        assert list(sdk.versions.list(project=small)) == []


def test_a_program_that_is_not_there_or_never_serves(tmp_path: Path) -> None:
    with pytest.raises(entrepot.DaemonError, match="/nowhere/entrepot"):
        entrepot.DaemonClient(socket_path=tmp_path / "s", binary_path="/nowhere/entrepot").connect()
    lazy = tmp_path / "lazy"
    lazy.write_text("#!/bin/sh\nexit 0\n")
    lazy.chmod(0o755)
    silent = entrepot.DaemonClient(socket_path=tmp_path / "s", binary_path=lazy, start_timeout_s=0.3)
    with pytest.raises(entrepot.DaemonTimeoutError, match=r"within 0\.3 s"):
        silent.connect()
    with pytest.raises(ConnectionError, match="connect"):
        silent.auth_status()


def test_it_ends_when_idle(own: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTREPOT_DAEMON_IDLE_S", "1")
    with own.client():
        pid = own.pid
    assert pid
    wait_until(lambda: process.holder(own.socket) is None, "an idle daemon ends")
    assert not own.socket.exists()
