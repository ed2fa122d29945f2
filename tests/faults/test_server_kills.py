"""kill -9 of a server and all its processes, with clients at work: nothing acknowledged lost, nothing half done."""

from __future__ import annotations

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
from tests.support.kills import Campaign, examine

#: Real kills take minutes on a busy machine; their sample joins the quick tier once it was timed on a quiet one.
pytestmark = pytest.mark.soak


def test_killed_at_its_first_start_and_at_work_it_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path / "data", seed=7)
    campaign.kill_a_start()
    report = campaign.run(["answering", "tree"])
    assert sum(report.kills.values()) == 3
    assert report.operations["contents read back"] > 0


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(40))
def test_killed_again_and_again(tmp_path: Path, seed: int) -> None:
    campaign = Campaign(tmp_path / "data", seed=1000 + seed)
    for _ in range(seed % 3):
        campaign.kill_a_start()
    campaign.run(["tree", "answering"] * 4)


# Whoever looks for damage must be able to see it.


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with one file in one version."""
    settings = commands.load_config({"data": str(tmp_path / "data")}, environ={})
    with compose.open_depot(settings, upgrade=True) as depot:
        bootstrap.bootstrap(depot, admin_password="administrator")
        admin = as_operator(depot, "admin")
        made = versions.create(depot, admin, None, NewVersion("penguins"))
        row = uploads.begin(depot, admin, NewUpload())
        with uploads.receive(depot, admin, row.uid, 0) as receiver:
            receiver.write(b"bytes")
            receiver.finish()
        entries.commit(depot, admin, made.n, [Add("a", upload=row.uid)])
    return tmp_path / "data"


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
