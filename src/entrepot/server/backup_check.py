"""Reading a folder of backups: is every byte of it still what was put there?

Copying looks at what is new alone, so a medium that rots is found out here, or on the day when it is needed.
"""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from entrepot.catalog import contents, snapshots
from entrepot.catalog.connection import Connection
from entrepot.catalog.snapshots import Stored
from entrepot.depot.checking import difference
from entrepot.depot.context import Clock
from entrepot.model.errors import Corrupt
from entrepot.server.backup_folder import (
    SUSPECTS,
    Lost,
    Step,
    Tally,
    alone,
    fault,
    listed,
    opened,
    snapshot_file,
    tell,
    write_whole,
)
from entrepot.store.base import ObjectStore
from entrepot.store.verifying import LastOpened

__all__ = ["Checked", "check"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What reading a whole folder found.

    Args:
        backups: Those whose objects were read.
        damaged: Their names whose catalogue is missing or wrong: nothing can be put back from these.
        lost: Objects that are missing or wrong here, at most 1000 of them.
    """

    backups: tuple[str, ...]
    objects: int
    n_bytes: int
    damaged: tuple[str, ...]
    lost: tuple[Lost, ...]
    lost_count: int


def check(folder: Path, store: ObjectStore, clock: Clock, *, step: Step | None = None) -> Checked:
    """Read every object that a backup of this folder names, and compare.

    What is wrong is written down, where the folder can be written, and copied again by the next backup.

    Args:
        store: That of the folder.

    Raises:
        AlreadyRunning: Somebody makes a backup in this folder.
    """
    tally, whole, damaged, seen, bad = Tally(), [], [], set[str](), set[str]()
    can_write = os.access(folder, os.W_OK)
    with alone(folder) if can_write else nullcontext():
        for backup in listed(folder):
            try:
                path = snapshot_file(folder, backup)
            except Corrupt:
                damaged.append(backup.name)
                continue
            with opened(path, clock) as snapshot, snapshot.read() as conn:
                totals = snapshots.totals(conn)
                for page in snapshots.objects(conn):
                    for one in page:
                        if one.key not in seen:
                            seen.add(one.key)
                            reason = _reason(conn, store, one)
                            tally.objects += 1
                            tally.n_bytes += one.size
                            if reason is not None:
                                bad.add(one.key)
                                tally.lose(one.key, one.size, reason)
                        tell(step, tally, totals)
            whole.append(backup.name)
        if bad and can_write:
            write_whole(folder / SUSPECTS, json.dumps(sorted(bad)).encode())
    return Checked(tuple(whole), tally.objects, tally.n_bytes, tuple(damaged), tuple(tally.lost), tally.lost_count)


def _reason(conn: Connection, store: ObjectStore, one: Stored) -> str | None:
    reason = fault(store, one)
    if reason is None and one.digests is None:
        expected = snapshots.digests_of(conn, one.contents)
        with LastOpened(store) as opened:
            faults = (difference(opened, contents.extents(conn, n), expected[n]) for n in one.contents)
            reason = next((found for found in faults if found is not None), None)
    return reason
