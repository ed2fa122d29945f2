"""Kills a process that gives back bytes, at chosen steps, and looks what is left of what is used and of what is not.

    python -m tests.support.killed_collections FOLDER SEED POINTS

Some contents are only in purged versions, some in others too. After each kill nothing may be missing of what is used;
a collection that is left alone then ends what was begun. The last line is a JSON object of what was counted.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path

from entrepot.catalog.entries import sweep_strands
from entrepot.depot import bootstrap, collection, entries, trash, uploads, versions
from entrepot.depot.context import wall_clock
from entrepot.depot.credentials import as_operator
from entrepot.depot.entries import Add
from entrepot.depot.uploads import NewUpload
from entrepot.depot.versions import NewVersion
from entrepot.server import commands, compose
from entrepot.server.config import Config
from tests.support.examine import examine
from tests.support.forked import Forked, Steps
from tests.support.server import ADMIN_PASSWORD, CHEAP

#: Files by version; the last one stays.
FILES = (("a", "b", "shared"), ("c", "shared"), ("d", "shared"))


def main(folder: str, seed: str, points: str) -> None:
    data, chance, steps = Path(folder) / "data", random.Random(seed), Steps()
    prepare(settings(data))
    assert collect(data, steps, 0, keep=True) == 0
    total = steps.made
    many = total if points == "all" else int(points)
    for n in range(many):
        at = chance.randint(n * total // many + 1, (n + 1) * total // many)
        assert collect(data, steps, at, keep=False) == -signal.SIGKILL, f"it was not killed at step {at} of {total}"
    print(json.dumps({"kills": many, "steps": total}))


def settings(data: Path) -> Config:
    return commands.load_config({"data": str(data)}, CHEAP, environ={})


def prepare(config: Config) -> None:
    with compose.open_depot(config, upgrade=True) as depot:
        bootstrap.bootstrap(depot, admin_password=ADMIN_PASSWORD)
        admin = as_operator(depot, "admin")
        for number, files in enumerate(FILES):
            made = versions.create(depot, admin, None, NewVersion(f"birds {number}"))
            adds = []
            for name in files:
                row = uploads.begin(depot, admin, NewUpload())
                with uploads.receive(depot, admin, row.uid, 0) as receiver:
                    receiver.write(f"what is in {name}".encode())
                    receiver.finish()
                adds.append(Add(name, upload=row.uid))
            entries.commit(depot, admin, made.n, adds)
            if files is not FILES[-1]:
                trash.trash(depot, admin, made.n)
                trash.purge(depot, admin, made.n)


def collect(data: Path, steps: Steps, at: int, *, keep: bool) -> int | None:
    """Collect in a copy of the folder with a process that dies at its n-th step, and then with one that lives."""
    copy = data.with_name(f"step{at}")
    shutil.copytree(data, copy)
    ended = run(copy, steps, at)
    found = examine(copy, dead=True)
    assert found.contents >= len(FILES[-1])
    if not keep:
        assert run(copy, steps, 0) == 0
    left = {place.read_bytes() for place in copy.glob("objects/*/*")}
    assert left == {f"what is in {name}".encode() for name in FILES[-1]}, f"after a kill at {at}: {left}"
    assert examine(copy, dead=True).contents == len(FILES[-1])
    shutil.rmtree(copy)
    return ended


def run(data: Path, steps: Steps, at: int) -> int | None:
    """Condemn, and after the grace delete: a month lies between, and one before, so that nothing is held by uploads."""
    steps.arm(at)

    def work() -> None:
        steps.watch()
        for days in (30, 60):

            def later(days: int = days) -> datetime:
                return wall_clock() + timedelta(days=days)

            with compose.open_depot(settings(data), clock=later) as depot:
                uploads.sweep(depot)
                sweep_strands(depot.catalog)
                collection.collect(depot)

    process = Forked(work)
    assert process.wait()
    return process.status


if __name__ == "__main__":
    main(*sys.argv[1:])
