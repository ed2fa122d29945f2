"""kill -9 of the worker in the middle of a check of a table: nothing is published by half, and then all of it is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import func, select

from entrepot.catalog.schema import derived, event
from entrepot.depot import bootstrap, ingests, slots, tables, tasks, versions
from entrepot.depot.credentials import as_operator
from entrepot.depot.slots import NewSlot
from entrepot.depot.versions import NewVersion
from entrepot.model.errors import NotFound
from entrepot.model.values import Kind, State, TaskState
from entrepot.server import commands, compose
from tests.support import held
from tests.support.server import ADMIN_PASSWORD, CHEAP, environ, wait_until
from tests.support.starter import Started

#: So large that its check tells of its progress on the way.
ROWS = 250_000
DATA = b"id,text\n" + b"".join(b"%d,%s\n" % (i, b"x" * 90) for i in range(ROWS))


def test_a_worker_killed_in_a_check_publishes_nothing_and_the_next_one_everything(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "held"
    folder.mkdir()
    (folder / "real").touch()
    settings = commands.load_config({"data": str(data)}, CHEAP, environ={})
    command = held.command(folder)("worker", "--data", str(data))
    with compose.open_depot(settings, upgrade=True) as depot:
        bootstrap.bootstrap(depot, admin_password=ADMIN_PASSWORD)
        admin = as_operator(depot, "admin")
        version, (slot,) = slots.create(
            depot, admin, None, NewVersion(name="Table", kind=Kind.TABLE), [NewSlot("t.csv")]
        )
        filling = slots.fill(depot, admin, slot.uid)
        filling.write(DATA)
        filling.finish()
        ingests.start(depot, admin, version.n)

        with Started(command, env=environ(), stdout=subprocess.DEVNULL) as worker:
            wait_until(lambda: list(folder.glob("begun-*")), "it has checked half")
            worker.kill()
        found = versions.get(depot, admin, version.n).version
        assert (found.state, found.revision) == (State.PROCESSING, 0)
        with pytest.raises(NotFound):
            tables.rows(depot, admin, version.n)
        with depot.catalog.read() as conn:
            assert conn.execute(select(func.count()).select_from(derived)).scalar() == 0

        (folder / "go").touch()
        with Started(command, env=environ(), stdout=subprocess.DEVNULL) as worker:
            task = tasks.list_tasks(depot, admin, version=version.n).rows[0].uid
            wait_until(lambda: tasks.get(depot, admin, task).state is TaskState.DONE, "it is checked")
            worker.terminate()
            worker.wait(30)
        found = versions.get(depot, admin, version.n).version
        assert (found.state, found.revision, found.item_count) == (State.READY, 1, ROWS)
        last = json.loads(tables.rows(depot, admin, version.n, first=ROWS - 1).body)
        assert last["rows"][0]["values"][0] == ROWS - 1
        with depot.catalog.read() as conn:
            assert conn.execute(select(func.count()).select_from(derived)).scalar() == 1
            made = select(func.count()).select_from(event).where(event.c.verb == "revision.created")
            assert conn.execute(made).scalar() == 1
