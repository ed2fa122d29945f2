"""The doctor finds what is wrong with a folder, each with a way to mend it, and finds nothing where nothing is."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from entrepot.catalog import queue
from entrepot.catalog.database import Catalog
from entrepot.depot import checking, projects, uploads
from entrepot.depot.context import Depot
from entrepot.depot.credentials import as_operator
from entrepot.depot.uploads import NewUpload
from entrepot.server import compose, config, datadir, doctor
from entrepot.server.config import Config
from entrepot.server.doctor import Finding, State
from tests.e2e.conftest import Running, run


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    return config.load({"data": str(tmp_path / "data")}, {})


@pytest.fixture
def started(settings: Config) -> Config:
    """As after the first start of a server, which has ended since."""
    with compose.open_depot(settings, upgrade=True) as depot:
        compose.first_start(depot, {"ENTREPOT_ADMIN_PASSWORD": "correct horse"})
    return settings


def found(settings: Config, what: str, **environ: str) -> Finding:
    (one,) = (one for one in doctor.examine(settings, environ) if one.what == what and one.state is not State.GOOD)
    assert one.mend
    return one


def test_a_running_server_is_well(server: Running) -> None:
    done = run(["doctor", "--data", str(server.data), "--json"])
    assert done.returncode == 0, done.stdout
    told = {one["what"]: one["state"] for one in json.loads(done.stdout)}
    assert {what for what, state in told.items() if state == "bad"} == set()
    assert (told["server"], told["worker"], told["store"], told["catalogue"]) == ("good",) * 4
    assert "good" in run(["doctor", "--data", str(server.data)]).stdout


def test_a_folder_in_which_nothing_was_started(settings: Config, tmp_path: Path) -> None:
    assert "no folder" in found(settings, "data folder").says
    settings.data.mkdir(mode=0o700)
    assert "ever started" in found(settings, "catalogue").says
    assert run(["doctor", "--data", str(tmp_path / "data")]).returncode == 6


def test_rights_that_are_too_wide(started: Config) -> None:
    started.data.chmod(0o755)
    assert found(started, "data folder").state is State.WARNING
    with compose.open_depot(started):
        pass
    (started.data / "secret.key").chmod(0o644)
    assert "make links" in found(started, "secret key").says
    (started.data / "secret.key").write_text("none")
    (started.data / "secret.key").chmod(0o600)
    assert "holds no key" in found(started, "secret key").says


def test_a_folder_that_is_somebody_elses(started: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "cannot be written" in found(started, "data folder").says


@pytest.mark.parametrize(("free", "state"), [(1 << 30, State.WARNING), (1 << 20, State.BAD)])
def test_a_disk_that_is_almost_full(started: Config, free: int, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil.disk_usage(started.data)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    (one,) = (one for one in doctor.examine(started, {}) if "GiB free" in one.says)
    assert (one.state, "gc --dry-run" in one.mend) == (state, True)


def test_a_disk_that_a_restart_empties() -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir():
        pytest.skip("this system has no /dev/shm")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        said = [one for one in doctor.examine(config.load({"data": folder}, {}), {}) if "lies on tmpfs" in one.says]
    assert [one.state for one in said] == [State.WARNING]


def test_a_variable_that_is_no_setting(started: Config) -> None:
    said = found(started, "settings", ENTREPOT_POLICY_TOKEN_LIVETIME="1d", ENTREPOT_URL="http://localhost")
    assert "POLICY_TOKEN_LIVETIME" in said.says
    assert "ENTREPOT_POLICY_TOKEN_LIFETIME" in said.mend


def send_four_bytes(depot: Depot) -> None:
    admin = as_operator(depot, "admin")
    row = uploads.begin(depot, admin, NewUpload(length=4))
    with uploads.receive(depot, admin, row.uid, 0) as receiver:
        receiver.write(b"good")
        receiver.finish()


def test_damaged_bytes(started: Config) -> None:
    with compose.open_depot(started) as depot:
        send_four_bytes(depot)
        (path,) = (one for one in (started.data / "objects").rglob("*") if one.is_file())
        path.chmod(0o600)
        path.write_bytes(b"g00d")
        checking.verify(depot)
    assert "1 of 1 contents are damaged" in found(started, "stored bytes").says


def test_bytes_that_are_not_there(started: Config) -> None:
    """As on a disk that is not mounted: what looks for them must not make the folder and find it in order."""
    with compose.open_depot(started) as depot:
        send_four_bytes(depot)
    assert not [one for one in doctor.examine(started, {}) if one.state is State.BAD]
    shutil.rmtree(started.data / "objects")
    assert "all stored bytes are missing" in found(started, "stored bytes").says
    assert not (started.data / "objects").exists()
    with compose.open_depot(started):
        pass
    assert "1 of 1 objects" in found(started, "stored bytes").says


def test_a_key_that_is_gone_is_not_made_anew_by_looking(started: Config) -> None:
    with datadir.ServerLock(started.data):
        pass
    (started.data / datadir.SECRET).unlink()
    assert "although a server ran here" in found(started, "secret key").says
    assert not (started.data / datadir.SECRET).exists()


def test_work_that_nobody_does(started: Config) -> None:
    earlier = datetime.now(UTC) - timedelta(hours=1)
    with compose.open_depot(started, clock=lambda: earlier) as depot:
        depot.catalog.write(
            lambda conn: queue.enqueue(conn, uid=depot.new_uid(), queue="q", kind="k", payload={}, now=earlier)
        )
    assert "waits since" in found(started, "background work").says
    with datadir.ServerLock(started.data):
        assert "none runs" in found(started, "worker").says


def test_a_database_that_is_not_there(started: Config) -> None:
    away = config.load({"data": str(started.data), "database": "postgresql://ann:hidden@127.0.0.1:1/entrepot"}, {})
    said = found(away, "catalogue")
    assert "cannot be reached" in said.says
    assert "hidden" not in said.says


def test_a_store_that_cannot_be_written(started: Config) -> None:
    shutil.rmtree(started.data / "staging")
    (started.data / "staging").write_text("no folder")
    assert found(started, "store").state is State.BAD


def test_a_restore_that_was_cut_off(started: Config) -> None:
    (started.data / "restoring.json").write_text("{}")
    assert "in part" in found(started, "data folder").says


@pytest.mark.parametrize(("schema", "said"), [("0001", "this program's"), ("9999", "newer Entrepot")])
def test_another_schema(started: Config, schema: str, said: str) -> None:
    with closing(Catalog.open(started.catalog, clock=lambda: datetime.now(UTC))) as catalog:
        catalog.write(lambda conn: conn.execute(text("UPDATE alembic_version SET version_num = :at"), {"at": schema}))
    assert said in found(started, "catalogue").says


def test_a_clock_that_went_back(started: Config) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    with compose.open_depot(started, clock=lambda: later) as depot:
        projects.create(depot, as_operator(depot, "admin"), "Tomorrow")
    assert "Set the clock" in found(started, "clock").mend


def test_no_server_is_only_a_warning(started: Config) -> None:
    assert found(started, "server").state is State.WARNING


def test_an_address_that_strangers_could_choose(started: Config) -> None:
    wide = config.load({"data": str(started.data), "host": "0.0.0.0"}, {})
    assert "public_url" in found(wide, "address").says
    plain = config.load({"data": str(started.data), "public_url": "http://data.example.org"}, {})
    assert "open" in found(plain, "address").says
