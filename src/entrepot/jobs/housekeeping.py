"""What keeps the queue itself going: periodic jobs are enqueued, jobs of workers that are gone are taken back.

Every worker does both. Whoever is first wins, by a unique mark per slot of time, and by the update that only one makes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

import structlog

from entrepot.catalog import queue
from entrepot.catalog.database import Catalog
from entrepot.catalog.work import Periodic
from entrepot.jobs.presence import bury

log = structlog.get_logger(__name__)


class Housekeeper:
    """For one thread.

    Args:
        folder: Where the workers of this machine mark that they are alive; None to go by leases alone.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        new_uid: Callable[[], UUID],
        periodic: Sequence[Periodic] = (),
        folder: Path | None = None,
    ) -> None:
        self._catalog = catalog
        self._new_uid = new_uid
        self._periodic = tuple(periodic)
        self._folder = folder
        self._done: dict[str, int] = {}

    def keep(self) -> None:
        """One round; cheap when there is nothing to do.

        Raises:
            Unavailable: The catalogue is out of reach.
        """
        self.take_back()
        self.schedule()

    def take_back(self) -> int:
        """Return jobs of dead workers to the queue; answers how many."""
        taken = 0
        if self._folder is not None:
            with bury(self._folder) as dead:
                if dead:
                    taken += self._catalog.write(lambda conn: queue.take_back_from(conn, dead))
        now = self._catalog.now()
        with self._catalog.read(snapshot=False) as conn:
            over = queue.any_expired(conn, now)
        if over:
            taken += self._catalog.write(lambda conn: queue.take_back_expired(conn, now))
        if taken:
            log.info("took jobs back from a lost worker", jobs=taken)
        return taken

    def schedule(self) -> int:
        """Enqueue each periodic job whose slot has begun; answers how many this call enqueued.

        Slots that passed while nobody was there are not made up for.
        """
        now = self._catalog.now()
        made = 0
        for one in self._periodic:
            slot = int(now.timestamp() // one.every.total_seconds())
            if self._done.get(one.kind) == slot:
                continue
            dedupe = f"{one.kind}@{slot}"
            with self._catalog.read(snapshot=False) as conn:
                known = queue.known(conn, dedupe)
            if not known:
                made += self._enqueue(one, dedupe)
            self._done[one.kind] = slot
        return made

    def _enqueue(self, one: Periodic, dedupe: str) -> bool:
        uid, now = self._new_uid(), self._catalog.now()
        return self._catalog.write(
            lambda conn: queue.enqueue_once(
                conn, uid=uid, queue=one.queue, kind=one.kind, dedupe=dedupe, now=now, max_attempts=3
            )
        )
