"""Kills what reads all stored bytes again, at chosen steps, and looks whether the next one goes on and knows all.

    python -m tests.support.killed_checks FOLDER SEED POINTS

*Verify* is the operator's command, *scrub* the job in a worker of its own. Of what is stored a file and a member of a
pack are damaged. After each kill nothing that is right is accused; the next one, left alone, ends, and then both are
known with the places that they are seen at, also if it was the dead one that found them; everything was read, and
nothing is due again. The last line is a JSON object of what was counted.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from entrepot.cli import main as cli
from entrepot.depot import background, bootstrap, checking, entries, packing, uploads, versions
from entrepot.depot.contents import open_content
from entrepot.depot.context import Depot, wall_clock
from entrepot.depot.credentials import as_operator
from entrepot.depot.entries import Add
from entrepot.depot.uploads import NewUpload
from entrepot.depot.versions import NewVersion
from entrepot.model.errors import Corrupt
from entrepot.server import commands, compose, worker
from entrepot.server.config import Config
from entrepot.wire import frames
from tests.support.forked import Forked, Steps
from tests.support.server import ADMIN_PASSWORD, CHEAP, wait_until

#: Each an object of its own; and those of one pack.
FILES = {f"file {n}": f"what is in file {n} ".encode() * 900 for n in range(4)}
PACKED = {f"packed {n}": f"what is in member {n} ".encode() * 30 for n in range(6)}
DAMAGED = ("file 2", "packed 3")
#: Longer ago than what a scrub reads again.
LONG_AGO = timedelta(days=90)


def main(folder: str, seed: str, points: str) -> None:
    data, chance = Path(folder) / "data", random.Random(seed)
    prepare(data)
    counted: dict[str, Any] = {}
    for name, run in (("verify", verify), ("scrub", scrub)):
        steps = Steps()
        assert attempt(data, name, run, steps, 0) is None
        total = steps.made
        many = total if points == "all" else int(points)
        kills = found = 0
        for n in range(many):
            at = chance.randint(n * total // many + 1, (n + 1) * total // many)
            known = attempt(data, name, run, steps, at)
            # A worker may be through sooner than the first one was: what else it does depends on the time.
            kills, found = kills + (known is not None), found + (known or 0)
        counted[name] = {"kills": kills, "steps": total, "found before": found}
    print(json.dumps(counted))


def settings(data: Path) -> Config:
    return commands.load_config({"data": str(data)}, CHEAP, environ={})


def prepare(data: Path) -> None:
    """A folder of some months ago, two contents of which the disk has spoiled since."""
    with compose.open_depot(settings(data), clock=lambda: wall_clock() - LONG_AGO, upgrade=True) as depot:
        bootstrap.bootstrap(depot, admin_password=ADMIN_PASSWORD)
        admin = as_operator(depot, "admin")
        adds = []
        for path, body in FILES.items():
            row = uploads.begin(depot, admin, NewUpload())
            with uploads.receive(depot, admin, row.uid, 0) as receiver:
                receiver.write(body)
                receiver.finish()
            adds.append(Add(path, upload=row.uid))
        sink = packing.put_batch(depot, admin)
        for path, body in PACKED.items():
            sink.write(frames.header(path, len(body), digest(body)) + body)
        batch = sink.finish().upload.uid
        adds += [Add(path, upload=batch, sha256=digest(body)) for path, body in PACKED.items()]
        made = versions.create(depot, admin, None, NewVersion("birds"))
        entries.commit(depot, admin, made.n, adds)
    for path in DAMAGED:
        spoil(data, {**FILES, **PACKED}[path])


def spoil(data: Path, body: bytes) -> None:
    """One bit, where these bytes lie."""
    [place] = [place for place in data.glob("objects/*/*") if body in place.read_bytes()]
    found = bytearray(place.read_bytes())
    found[found.index(body) + len(body) // 2] ^= 4
    place.chmod(0o600)
    place.write_bytes(found)


def digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def attempt(data: Path, name: str, run: Callable[[Path, Steps, bool], int | None], steps: Steps, at: int) -> int | None:
    """Check a copy of the folder with a process that dies at its n-th step, and then with one that lives.

    Returns:
        How many damaged contents the dead one had found, None if it did not die.
    """
    copy = data.with_name(f"{name}{at}")
    shutil.copytree(data, copy)
    steps.arm(at)
    ended, known = run(copy, steps, at > 0), found(copy)
    assert known <= wrong(), f"{name}, killed at {at}, accuses what is right"
    killed = ended == -signal.SIGKILL
    if killed:
        steps.arm(0)
        assert run(copy, Steps(), False) == 0, f"after {name} was killed at {at} the next one fails"
    assert found(copy) == wrong(), f"after {name} was killed at {at} the damage is not known: {found(copy)}"
    look(copy)
    shutil.rmtree(copy)
    assert killed or ended == 0, f"{name} ended with {ended}"
    return len(known) if killed else None


def wrong() -> set[bytes]:
    return {digest({**FILES, **PACKED}[path]) for path in DAMAGED}


def found(data: Path) -> set[bytes]:
    """The digests of what is known to be damaged."""
    with contextlib.closing(sqlite3.connect(data / "catalog.sqlite")) as db:
        return {row[0] for row in db.execute("SELECT sha256 FROM content WHERE damaged_at IS NOT NULL")}


def look(data: Path) -> None:
    """Nothing is left to be read, and nothing that is wrong is served."""
    with compose.open_depot(settings(data)) as depot:
        told = checking.totals(depot)
        assert (told.contents, told.unread, told.damaged) == (len(FILES) + len(PACKED), 0, len(DAMAGED))
        assert checking.scrub(depot).contents == 0, "what was read is due again at once"
        assert served(depot) == {digest(body) for body in {**FILES, **PACKED}.values()} - wrong()


def served(depot: Depot) -> set[bytes]:
    read = set()
    for n in range(1, len(FILES) + len(PACKED) + 1):
        with contextlib.suppress(Corrupt), open_content(depot, n) as reader:
            read.add(digest(bytes(reader.read_at(0, reader.size))))
    return read


def verify(data: Path, steps: Steps, dies: bool) -> int | None:
    """The command; if it lives it must name both with their places, and end with the exit code for that."""
    said = data.with_name("said")
    said.unlink(missing_ok=True)

    def work() -> None:
        watch(steps)
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.run(["verify", "--data", str(data), "--json"])
        out.seek(0)
        said.write_text(json.dumps({"code": code, **json.loads(out.read())}))

    process = Forked(work)
    assert process.wait()
    if process.status == 0 and not dies:
        told = json.loads(said.read_text())
        assert told["code"] == 6, told
        assert {one["sha256"] for one in told["damaged"]} == {f"sha256:{one.hex()}" for one in wrong()}
        named = {place["reference"].rpartition("/")[2] for one in told["damaged"] for place in one["places"]}
        assert named == set(DAMAGED)
        assert told["contents"] == len(FILES) + len(PACKED)
    return process.status


def scrub(data: Path, steps: Steps, dies: bool) -> int | None:
    """A worker, which is told to end when the job was done."""
    if not dies and scrubbed(data):
        # The dead one was through. Another would be told to end before it listens.
        return 0

    def work() -> None:
        watch(steps)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        worker.run(settings(data), queues=[background.SCRUB])

    process = Forked(work)
    wait_until(lambda: process.is_set() or scrubbed(data), "the job is done")
    if process.status is None:
        os.kill(process.pid, signal.SIGTERM)
    assert process.wait()
    return process.status


def scrubbed(data: Path) -> bool:
    with contextlib.closing(sqlite3.connect(data / "catalog.sqlite")) as db:
        return bool(db.execute("SELECT 1 FROM job WHERE kind = 'scrub.bytes' AND state = 'done'").fetchall())


def watch(steps: Steps) -> None:
    """Reading stored bytes is a step of these, too: most of what they do is that."""
    steps.watch()
    for name in ("pread", "preadv"):
        setattr(os, name, steps._counted(getattr(os, name)))


if __name__ == "__main__":
    main(*sys.argv[1:])
