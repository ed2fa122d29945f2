"""Tables in a house of tests: sent, checked by real child processes, and there."""

from __future__ import annotations

import atexit
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrepot.catalog.contents import Extent
from entrepot.catalog.work import JobKind
from entrepot.depot import ingests, slots, table_checks, table_summaries, tables, versions
from entrepot.depot.slots import NewSlot
from entrepot.depot.tabling import Effort, Frames
from entrepot.depot.versions import NewVersion
from entrepot.jobs.runner import Runner
from entrepot.model.access import Actor
from entrepot.model.values import Kind, Numbering, Version
from entrepot.server.tabling import Idle, Processes
from tests.support.house import House
from tests.support.starter import Started

if TYPE_CHECKING:
    from tests.support.site import Site

#: Children of all tests of this process. They end with their standard input.
_IDLE = Idle()
atexit.register(_IDLE.close)


def equip(house: House | Site, folder: Path) -> Processes:
    """Give the house a workshop."""
    workshop = Processes(house.depot.store, folder, house.depot.limits, idle=_IDLE, begin=Started)
    house.depot.workshop = workshop
    house.depot.checkers = {**house.depot.checkers, Kind.TABLE.value: table_checks.checker(house.depot)}
    return workshop


class Canned:
    """A workshop that answers every question at once with the same words: for questions about rights only."""

    folder = ""

    @contextmanager
    def ask(self, request: Mapping[str, Any], effort: Effort) -> Iterator[Frames]:
        told: dict[str, Any] = {"rows": 1, "more": False, "columns": [{"name": "a", "type": "Int"}]}
        frames: list[tuple[str, bytes]] = [("R", json.dumps(told).encode())]
        if request["do"] == "convert":
            told |= {"good": True, "rows": [1], "notes": [], "formats": ["csv"]}
            told |= {"rejects": {"rejected_rows": 0, "faults": 0, "by_rule": {}, "listed": 0, "errors": []}}
            frames = [("B", b"0"), ("D", b"PAR1"), ("E", b"[0, 1]"), ("R", json.dumps(told).encode())]
        yield iter(frames)

    def file_of(self, extent: Extent) -> str | None:
        return extent.key

    @contextmanager
    def spool(self, blocks: Iterator[bytes]) -> Iterator[str]:
        yield ""


def work(house: House) -> None:
    """Run every ingest, every sorting and every counting that waits."""
    depot = house.depot
    kinds = {
        ingests.JOB: JobKind(partial(ingests.run, depot), partial(ingests.abandoned, depot)),
        tables.SORT_JOB: JobKind(partial(tables.sort, depot)),
        table_summaries.JOB: JobKind(partial(table_summaries.run, depot)),
    }
    runner = Runner(depot.catalog, kinds, queue=ingests.QUEUE, worker="test")
    while runner.step():
        pass


def sent(house: House, who: Actor, files: dict[str, bytes], name: str = "Table", **more: Any) -> Version:
    """A table whose files came and whose check waits."""
    new = NewVersion(name=name, kind=Kind.TABLE, numbering=Numbering.NEXT, **more)
    version, made = slots.create(house.depot, who, None, new, [NewSlot(one) for one in files])
    for slot, data in zip(made, files.values(), strict=True):
        filling = slots.fill(house.depot, who, slot.uid)
        filling.write(data)
        filling.finish()
    ingests.start(house.depot, who, version.n)
    return version


def checked(house: House, who: Actor, files: dict[str, bytes], **more: Any) -> Version:
    """The same, and the check was done."""
    version = sent(house, who, files, **more)
    work(house)
    return versions.get(house.depot, who, version.n).version
