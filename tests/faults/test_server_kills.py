"""kill -9 of a server, with clients at work: nothing acknowledged lost, nothing half done, a restart goes on."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from entrepot.depot import bootstrap, entries, uploads, versions
from entrepot.depot.credentials import as_operator
from entrepot.depot.entries import Add
from entrepot.depot.uploads import NewUpload
from entrepot.depot.versions import NewVersion
from entrepot.server import commands, compose
from tests.support.examine import examine
from tests.support.kills import Campaign
from tests.support.scripts import run_script

#: What is killed, and at how many steps of it in every run.
SAMPLE = {"start": 2, "create": 1, "finish": 6, "put": 1, "commit": 3, "copy": 1} | {
    "merge": 3, "restore": 1, "trash": 1, "reinstate": 1, "purge": 3
}  # fmt: skip


def test_killed_at_steps_of_every_operation_it_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    operations = [f"{name}={points}" for name, points in SAMPLE.items()]
    said = run_script("killed_servers", str(tmp_path / "data"), "8", *operations)
    assert sum(said["kills"].values()) == sum(SAMPLE.values())
    for operation in ("finish", "commit", "merge", "purge"):
        assert said["kills"].get(operation, 0) >= 2, f"the kills did not hit a {operation}: {said}"
    assert said["seen"]["unanswered: done"] > 0, "no kill fell between a commit and its answer"
    assert said["seen"]["unanswered: not done"] > 0


@pytest.mark.soak
@pytest.mark.parametrize("operation", SAMPLE)
def test_killed_at_every_step_of_an_operation(tmp_path: Path, operation: str) -> None:
    for seed in range(3):
        run_script("killed_servers", str(tmp_path / f"data{seed}"), str(seed), f"{operation}=all")


# In every run whole processes are killed in test_processes_killed, and servers with clients at the steps above.
@pytest.mark.soak
def test_killed_with_all_its_processes_while_several_clients_work(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path / "data", seed=7, lanes=2)
    report = campaign.run(["whole server"])
    assert report.kills == {"whole server": 1}
    assert report.operations["contents read back"] > 0


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(40))
def test_killed_again_and_again(tmp_path: Path, seed: int) -> None:
    campaign = Campaign(tmp_path / "data", seed=1000 + seed)
    for _ in range(seed % 3):
        campaign.kill_a_start()
    campaign.run(["whole server", "answering process", "worker process", "supervisor"] * 2)


# Whoever looks for damage must be able to see it.


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one file in one version."""
    folder = tmp_path_factory.mktemp("sound") / "data"
    settings = commands.load_config({"data": str(folder)}, environ={})
    with compose.open_depot(settings, upgrade=True) as depot:
        bootstrap.bootstrap(depot, admin_password="administrator")
        admin = as_operator(depot, "admin")
        made = versions.create(depot, admin, None, NewVersion("penguins"))
        row = uploads.begin(depot, admin, NewUpload())
        with uploads.receive(depot, admin, row.uid, 0) as receiver:
            receiver.write(b"bytes")
            receiver.finish()
        entries.commit(depot, admin, made.n, [Add("a", upload=row.uid)])
    return folder


@pytest.fixture
def data(sound: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(sound, tmp_path / "data")


def the_object(data: Path) -> Path:
    [found] = data.glob("objects/*/*")
    found.chmod(0o600)
    return found


def test_a_sound_folder_passes(data: Path) -> None:
    assert examine(data, dead=True).contents == 1


def test_a_missing_object_is_seen(data: Path) -> None:
    the_object(data).unlink()
    with pytest.raises(AssertionError, match="fact without bytes"):
        examine(data, dead=True)


def test_changed_bytes_are_seen(data: Path) -> None:
    the_object(data).write_bytes(b"bites")
    with pytest.raises(AssertionError, match="other bytes"):
        examine(data, dead=True)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DELETE FROM live", "counts other entries"),
        ("DELETE FROM revision WHERE num = 0", "gap in its revisions"),
        ("UPDATE version SET rev = rev + 1", "newest revision is missing"),
        ("UPDATE upload SET state = 'finished', content = NULL", "finished upload without content"),
    ],
)
def test_facts_that_contradict_each_other_are_seen(data: Path, statement: str, what: str) -> None:
    with closing(sqlite3.connect(data / "catalog.sqlite")) as db, db:
        db.execute(statement)
    with pytest.raises(AssertionError, match=what):
        examine(data, dead=True)
