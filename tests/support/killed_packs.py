"""Kills a process that takes in a batch of small files or rewrites a pack, at chosen steps, and looks what is left.

    python -m tests.support.killed_packs FOLDER SEED POINTS

*In*: a batch is sent and committed. After a kill all of it is there or nothing; the whole thing done again succeeds.
*Again*: a pack is rewritten, because most of it was purged. After a kill nothing that is needed is missing; left alone,
collection ends what was begun, and one pack with the needed files is all that stays. The last line is a JSON object of
what was counted.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from entrepot.catalog.entries import sweep_strands
from entrepot.depot import bootstrap, collection, entries, packing, trash, uploads, versions
from entrepot.depot.context import Depot, wall_clock
from entrepot.depot.credentials import as_operator
from entrepot.depot.entries import Add
from entrepot.depot.versions import NewVersion
from entrepot.model.access import Actor
from entrepot.server import commands, compose
from entrepot.server.config import Config
from entrepot.wire import frames
from tests.support.examine import examine
from tests.support.forked import Forked, Steps
from tests.support.server import ADMIN_PASSWORD, CHEAP

FILES = {f"f{n:02}": f"what is in {n}".encode() * (n + 5) for n in range(30)}
KEPT = ("f03", "f17")


def main(folder: str, seed: str, points: str) -> None:
    counted = {}
    for name, prepare, act, check in (("in", empty, take_in, taken_in), ("again", mostly_purged, tidy, tidied)):
        data = Path(folder) / name / "data"
        with compose.open_depot(settings(data), upgrade=True) as depot:
            bootstrap.bootstrap(depot, admin_password=ADMIN_PASSWORD)
            prepare(depot)
        counted[name] = kill_at_steps(data, act, check, random.Random(seed), points)
    print(json.dumps(counted))


def kill_at_steps(
    data: Path, act: Callable[[Path], None], check: Callable[[Path], None], chance: random.Random, points: str
) -> dict[str, int]:
    steps = Steps()
    assert attempt(data, act, check, steps, 0) == 0
    total = steps.made
    many = total if points == "all" else int(points)
    for n in range(many):
        at = chance.randint(n * total // many + 1, (n + 1) * total // many)
        assert attempt(data, act, check, steps, at) == -signal.SIGKILL, f"it was not killed at step {at} of {total}"
    return {"kills": many, "steps": total}


def attempt(
    data: Path, act: Callable[[Path], None], check: Callable[[Path], None], steps: Steps, at: int
) -> int | None:
    """Act in a copy of the folder with a process that dies at its n-th step, and then with one that lives."""
    copy = data.with_name(f"step{at}")
    shutil.copytree(data, copy)
    ended = run(copy, act, steps, at)
    examine(copy, dead=True)
    if at:
        assert run(copy, act, steps, 0) == 0
        examine(copy, dead=True)
    check(copy)
    shutil.rmtree(copy)
    return ended


def run(data: Path, act: Callable[[Path], None], steps: Steps, at: int) -> int | None:
    steps.arm(at)

    def work() -> None:
        steps.watch()
        act(data)

    process = Forked(work)
    assert process.wait()
    return process.status


def settings(data: Path) -> Config:
    return commands.load_config({"data": str(data)}, CHEAP, environ={})


# A batch comes in


def empty(depot: Depot) -> None:
    versions.create(depot, as_operator(depot, "admin"), None, NewVersion("birds"))


def take_in(data: Path) -> None:
    with compose.open_depot(settings(data)) as depot:
        put(depot, as_operator(depot, "admin"), 1)


def put(depot: Depot, who: Actor, version: int) -> None:
    """As a client does it that has heard nothing: the batch again, and the commit again."""
    sink = packing.put_batch(depot, who)
    sink.write(b"".join(frames.header(path, len(data), digest(data)) + data for path, data in FILES.items()))
    upload = sink.finish().upload.uid
    adds = [Add(path, upload=upload, sha256=digest(data)) for path, data in FILES.items()]
    entries.commit(depot, who, version, adds)


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def taken_in(data: Path) -> None:
    assert examine(data, dead=True).contents == len(FILES)
    collect(data)
    assert examine(data, dead=True).contents == len(FILES)
    assert len(list(data.glob("objects/*/*"))) == 1, "bytes that nobody needs are left"
    assert list(data.glob("staging/*")) == []


# A pack is rewritten


def mostly_purged(depot: Depot) -> None:
    who = as_operator(depot, "admin")
    whole = versions.create(depot, who, None, NewVersion("birds"))
    put(depot, who, whole.n)
    kept = versions.create(depot, who, None, NewVersion("few birds"))
    entries.commit(depot, who, kept.n, [Add(path, source=(whole.n, None, path)) for path in KEPT])
    trash.trash(depot, who, whole.n)
    trash.purge(depot, who, whole.n)


def tidy(data: Path) -> None:
    collect(data)


def collect(data: Path) -> None:
    """Condemn; end and rewrite; delete what was rewritten. A month lies between: no upload holds a thing."""
    for days in (30, 60, 90):

        def later(days: int = days) -> datetime:
            return wall_clock() + timedelta(days=days)

        with compose.open_depot(settings(data), clock=later) as depot:
            uploads.sweep(depot)
            sweep_strands(depot.catalog)
            collection.collect(depot)


def tidied(data: Path) -> None:
    collect(data)
    assert examine(data, dead=True).contents == len(KEPT)
    (place,) = data.glob("objects/*/*")
    stored = place.read_bytes()
    assert all(FILES[path] in stored for path in KEPT)
    assert FILES["f04"] not in stored
    assert list(data.glob("staging/*")) == []


if __name__ == "__main__":
    main(*sys.argv[1:])
