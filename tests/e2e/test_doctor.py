"""The doctor finds what is wrong with a folder, each with a way to mend it, and finds nothing where nothing is."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from entrepot.catalog.database import Catalog
from entrepot.depot import projects
from entrepot.depot.credentials import as_operator
from entrepot.server import compose, config, doctor
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


def found(settings: Config, what: str) -> Finding:
    (one,) = (one for one in doctor.examine(settings) if one.what == what and one.state is not State.GOOD)
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
