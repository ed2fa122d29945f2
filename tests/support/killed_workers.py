"""Workers that are killed again and again until all jobs are done; says what became of each job.

    python killed_workers.py URL FOLDER SEED JOBS KILLS

Each job writes one event in the transaction that ends it. Some handlers are slower than their lease and do not extend
it, so that others take their job over while they still work. The last line is a JSON object: how many workers were
killed, how many runs came too late, and for each job its state and how many events it wrote.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select

from entrepot.catalog import events, queue
from entrepot.catalog.database import Catalog
from entrepot.catalog.schema import event, job
from entrepot.catalog.work import JobKind, Work
from entrepot.depot.context import wall_clock
from entrepot.jobs.housekeeping import Housekeeper
from entrepot.jobs.presence import Presence
from entrepot.jobs.run import LEASE
from entrepot.jobs.runner import Runner
from tests.support.nursery import Fate, raise_children

WORKERS = 3
#: Long enough for a handler that hurries, too short for one that dawdles.
SHORT = timedelta(milliseconds=60)


def work_on(url: str, folder: Path, fate: Fate) -> None:
    """One worker, until every job has ended."""
    catalog = Catalog.open(url, clock=wall_clock)
    name = f"w{fate.chance.getrandbits(60):x}"
    presence = Presence(folder, name, catalog.now())
    fate.point()
    # Some go by a short lease that nobody extends; the others are missed because they are dead. Those that live to the
    # end are careful, or on a slow machine none might ever finish in time.
    careless = fate.is_mortal and fate.chance.random() < 0.5
    runner = Runner(
        catalog,
        {"count": JobKind(lambda work: handle(catalog, work, fate, careless))},
        queue="work",
        worker=name,
        lease=SHORT if careless else LEASE,
        look_every_s=3600 if careless else 0.02,
    )
    house = Housekeeper(catalog, new_uid=lambda: UUID(int=fate.chance.getrandbits(128)), folder=folder)
    while left(catalog):
        house.take_back()
        if not runner.step():
            # Others have the rest; look again soon.
            time.sleep(0.005)
        fate.point()
    presence.close()
    catalog.close()


def handle(catalog: Catalog, work: Work, fate: Fate, careless: bool) -> None:
    fate.point()
    if careless and fate.chance.random() < 0.5:
        # Dawdle until another worker has taken the job.
        until = time.monotonic() + 3 * SHORT.total_seconds()
        while time.monotonic() < until:
            work.progress(1)
    fate.point()

    def facts(conn: Connection) -> Mapping[str, Any]:
        events.append(conn, "job.done", at=catalog.now(), actor=None, door="test", subject=str(work.payload["n"]))
        fate.point()
        return {"n": work.payload["n"]}

    work.finish(facts)
    fate.point()


def left(catalog: Catalog) -> int:
    with catalog.read() as conn:
        return conn.execute(
            select(func.count()).select_from(job).where(job.c.state.in_(["ready", "running"]))
        ).scalar_one()


def main(url: str, folder: str, seed: str, jobs: str, kills: str) -> None:
    catalog = Catalog.open(url, clock=wall_clock)
    for n in range(int(jobs)):
        now = catalog.now()
        catalog.write(
            lambda conn, n=n, now=now: queue.enqueue(
                conn, uid=UUID(int=n + 1), queue="work", kind="count", payload={"n": n}, now=now, max_attempts=1000
            )
        )
    # No thread and no connection may live while others are forked.
    catalog.close()
    killed = raise_children(
        [lambda fate: work_on(url, Path(folder), fate)] * WORKERS, seed=int(seed), kills=int(kills), longest=30
    )
    catalog = Catalog.open(url, clock=wall_clock)
    with catalog.read() as conn:
        rows = conn.execute(select(job.c.payload, job.c.state, job.c.fence)).all()
        written = Counter(int(n) for n in conn.execute(select(event.c.subject)).scalars())
    catalog.close()
    print(
        json.dumps(
            {
                "killed": killed,
                "runs": sum(row.fence for row in rows),
                "states": sorted({row.state for row in rows}),
                "jobs": len(rows),
                "events": sorted(Counter(written[row.payload["n"]] for row in rows).items()),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
