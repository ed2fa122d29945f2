"""kill -9 of the worker in the middle of a check of records: nothing is published by half, and then all of it is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select

from entrepot.catalog.schema import derived, event, object_
from entrepot.depot import bootstrap, ingests, records, slots, tasks, versions
from entrepot.depot.context import Depot
from entrepot.depot.credentials import as_operator
from entrepot.depot.slots import NewSlot
from entrepot.depot.versions import NewVersion
from entrepot.model.access import Actor
from entrepot.model.errors import NotFound
from entrepot.model.values import Kind, State, TaskState, Version
from entrepot.server import commands, compose
from tests.support import held
from tests.support.server import ADMIN_PASSWORD, CHEAP, environ, wait_until
from tests.support.starter import Started

GOOD = b"".join(b'{"i":%d,"text":"%s"}\n' % (i, b"x" * 200) for i in range(12_000))


@contextmanager
def waiting(data: Path, content: bytes) -> Iterator[tuple[Depot, Actor, Version]]:
    """Records whose check waits for a worker."""
    settings = commands.load_config({"data": str(data)}, CHEAP, environ={})
    with compose.open_depot(settings, upgrade=True) as depot:
        bootstrap.bootstrap(depot, admin_password=ADMIN_PASSWORD)
        admin = as_operator(depot, "admin")
        new = NewVersion(name="Batch", kind=Kind.RECORDS)
        version, (slot,) = slots.create(depot, admin, None, new, [NewSlot("b.ndjson")])
        filling = slots.fill(depot, admin, slot.uid)
        filling.write(content)
        filling.finish()
        ingests.start(depot, admin, version.n)
        yield depot, admin, version


def kill_at_half(data: Path, folder: Path) -> None:
    """A worker that dies when it has checked half of the bytes."""
    before = set(folder.glob("begun-*"))
    command = held.command(folder)("worker", "--data", str(data))
    with Started(command, env=environ(), stdout=subprocess.DEVNULL) as worker:
        wait_until(lambda: set(folder.glob("begun-*")) - before, "it has checked half")
        worker.kill()


def finish(data: Path, folder: Path, depot: Depot, admin: Actor, version: Version) -> Version:
    (folder / "go").touch()
    command = held.command(folder)("worker", "--data", str(data))
    with Started(command, env=environ(), stdout=subprocess.DEVNULL) as worker:
        ended = (TaskState.DONE, TaskState.FAILED)
        task = tasks.list_tasks(depot, admin, version=version.n).rows[0].uid
        wait_until(lambda: tasks.get(depot, admin, task).state in ended, "it ends")
        worker.terminate()
        assert worker.wait() == 0
    return versions.get(depot, admin, version.n).version


@pytest.mark.parametrize(
    "content",
    [pytest.param(GOOD, id="good"), pytest.param(GOOD + b"x\n", id="bad at its end", marks=pytest.mark.soak)],
)
def test_a_check_that_is_killed_in_the_middle_begins_again(tmp_path: Path, content: bytes) -> None:
    data, folder = tmp_path / "data", tmp_path / "held"
    folder.mkdir()
    with waiting(data, content) as (depot, admin, version):
        kill_at_half(data, folder)
        seen = versions.get(depot, admin, version.n).version
        assert (seen.state, seen.revision, seen.number) == (State.PROCESSING, 0, None)
        with pytest.raises(NotFound, match="no items yet"):
            records.list_items(depot, admin, version.n)
        ended = finish(data, folder, depot, admin, version)
        told = "revision.created" if content is GOOD else "version.failed"
        with depot.catalog.read() as conn:
            count = select(func.count())
            assert conn.execute(count.where(event.c.verb == told)).scalar_one() == 1
            indexes = conn.execute(select(count.select_from(derived).scalar_subquery())).scalar_one()
            left = conn.execute(select(object_.c.key).where(object_.c.state == "placing")).scalars().all()
        if content is GOOD:
            assert (ended.state, ended.number, ended.revision, ended.item_count) == (State.READY, 1, 1, 12_000)
            assert json.loads(records.get(depot, admin, version.n, 11_999).rows[0].text)["i"] == 11_999
            assert (indexes, len(left)) == (1, 1), "what the killed check reserved is left to the sweep"
        else:
            assert (ended.state, ended.revision, indexes) == (State.FAILED, 0, 0)
            assert ended.report is not None
            assert ended.report["errors"][0]["line"] == 12_001
        assert all(depot.store.stat(key) is None for key in left), "a reserved object has bytes only once it is whole"
