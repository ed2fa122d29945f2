"""Records in a house of tests: sent, checked, and there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial

from entrepot.catalog.work import JobKind
from entrepot.depot import ingests, record_work, slots, versions
from entrepot.depot.slots import NewSlot
from entrepot.depot.versions import NewVersion
from entrepot.jobs.runner import Runner
from entrepot.model.access import Actor
from entrepot.model.values import Kind, Numbering, Version
from tests.support.house import House


def work(house: House) -> None:
    """Run every ingest that waits, and every question about records."""
    kinds = {
        ingests.JOB: JobKind(partial(ingests.run, house.depot), partial(ingests.abandoned, house.depot)),
        record_work.JOB: JobKind(partial(record_work.run, house.depot)),
    }
    for queue in (ingests.QUEUE, record_work.QUEUE):
        runner = Runner(house.depot.catalog, kinds, queue=queue, worker="test")
        while runner.step():
            pass


def sent(house: House, who: Actor, *files: bytes, declared: object = None, name: str = "Batch") -> Version:
    """A version of records whose files came and whose check waits."""
    new = NewVersion(name=name, kind=Kind.RECORDS, numbering=Numbering.NEXT, declared=declared)
    wanted = [NewSlot(f"part{i}.ndjson") for i in range(len(files))]
    version, made = slots.create(house.depot, who, None, new, wanted)
    for slot, data in zip(made, files, strict=True):
        filling = slots.fill(house.depot, who, slot.uid)
        filling.write(data)
        filling.finish()
    ingests.start(house.depot, who, version.n)
    return version


def checked(house: House, who: Actor, *files: bytes, name: str = "Batch") -> Version:
    """The same, and the check was done."""
    version = sent(house, who, *files, name=name)
    work(house)
    return versions.get(house.depot, who, version.n).version


def lines(rows: Iterable[object]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
