"""Commits against collectors that are killed: no entry ever loses its bytes, and what nobody names goes."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from entrepot.catalog import entries
from entrepot.catalog.schema import content, event, extent, live, object_, past
from tests.support import collector_stress
from tests.support.histories import Histories
from tests.support.starter import Started


def start(root: Path, *arguments: object) -> Any:
    command = [sys.executable, "-m", "tests.support.collector_stress", *map(str, arguments)]
    return Started(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stress(root: Path, h: Histories, url: object, store: Path, *, users: int, operations: int, seed: int) -> None:
    store.mkdir()
    versions = [h.version() for _ in range(users)]
    h.write(lambda conn: conn.execute(insert(event), {"at": h.clock(), "verb": "x", "door": "test"}))
    chosen = random.Random(seed)
    working = [start(root, "user", url, store, v, seed * 100 + v, operations) for v in versions]
    sweeping = start(root, "sweeper", url, store, seed)
    sweeping_too = start(root, "sweeper", url, store, seed + 1)
    kills = 0
    while any(user.poll() is None for user in working):
        # One of the two is killed again and again, wherever it is.
        try:
            sweeping.wait(chosen.uniform(0.2, 1.2))
        except subprocess.TimeoutExpired:
            sweeping.send_signal(signal.SIGKILL)
            sweeping.communicate()
            kills += 1
            sweeping = start(root, "sweeper", url, store, seed + 10 + kills)
        else:
            raise AssertionError(sweeping.communicate()[1])
    assert sweeping_too.poll() is None, sweeping_too.communicate()[1]
    for one in (sweeping, sweeping_too):
        one.send_signal(signal.SIGKILL)
        one.communicate()
    brought = 0
    for user in working:
        out, err = user.communicate()
        assert user.returncode == 0, err
        brought += int(out)
    # The same few contents were brought again and again: they really ended in between.
    assert brought > len(collector_stress.TEXTS)

    with h.catalog.read() as conn:
        named = set(conn.execute(select(live.c.content)).scalars()) | set(
            conn.execute(select(past.c.content)).scalars()
        )
        rows = conn.execute(
            select(content.c.id, content.c.sha256, object_.c.key, object_.c.state)
            .join_from(content, extent, content.c.id == extent.c.content, isouter=True)
            .join(object_, extent.c.object == object_.c.id, isouter=True)
        ).all()
    places = {row.id: row for row in rows}
    assert named <= places.keys()
    for row in rows:
        assert row.state == "placed"
        assert collector_stress.digests((store / row.key).read_text()).sha256 == bytes(row.sha256)

    for v in versions:
        h.purge(v)
    for _ in range(3):
        collector_stress.collect(h.catalog, store, timedelta(0))
    assert h.rows(content, extent, object_) == 0
    # What is left are objects whose placing was never named: a transaction that was run again under another key.
    assert h.rows() == 0
    assert entries.sweep_strands(h.catalog) == 0


@pytest.mark.parametrize("catalog_url", ["sqlite", "postgresql"], indirect=True)
def test_no_entry_loses_its_bytes_to_a_collector(
    root: Path, histories: Histories, catalog_url: object, tmp_path: Path
) -> None:
    stress(root, histories, catalog_url, tmp_path / "store", users=2, operations=80, seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("catalog_url", ["sqlite", "postgresql"], indirect=True)
def test_no_entry_loses_its_bytes_to_a_collector_for_long(
    root: Path, histories: Histories, catalog_url: object, tmp_path: Path, seed: int
) -> None:
    stress(root, histories, catalog_url, tmp_path / "store", users=4, operations=5_000, seed=10 + seed)
