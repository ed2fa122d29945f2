"""A catalogue whose process dies at a transaction: before it, in it, or once it is durable and nobody was told.

    faults = Faults()
    catalog = faulty_catalog(path, clock=clock, faults=faults)
    faults.on("catalog.write", crash("torn"), nth=2)      # everything of the second transaction is done but its commit

The plan may be shared with a faulty store or disk, so that the numbered steps of a use case run through both.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from entrepot.catalog.connection import Connection
from entrepot.catalog.database import Catalog
from entrepot.testing.faulty import Crash, Faults

__all__ = ["faulty_catalog"]


def faulty_catalog(
    url_or_path: str | Path, *, clock: Callable[[], datetime], faults: Faults, gate_dir: Path | None = None
) -> Catalog:
    """As `Catalog.open`, with a step `catalog.write` for every attempt at a write transaction.

    A torn one does all its work, and is then rolled back. After the death reads fail too.
    """
    opened = Catalog.open(url_or_path, clock=clock, gate_dir=gate_dir)
    return Catalog(_FaultyBackend(opened._backend, faults), clock)


class _FaultyBackend:
    def __init__(self, inner: Any, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults
        self.dialect: str = inner.dialect
        self.reader = inner.reader
        self.writer = inner.writer

    def read(self, snapshot: bool) -> AbstractContextManager[Connection]:
        if self._faults.dead:
            raise Crash("a read after the process died")
        found: AbstractContextManager[Connection] = self._inner.read(snapshot)
        return found

    def write(self, work: Callable[[Connection], Any], bulk: bool) -> tuple[Any, list[Callable[[], None]]]:
        def lost(conn: Connection) -> None:
            work(conn)
            raise Crash("before the commit")

        def torn() -> None:
            # Whatever it says: the fault that is due is raised by the caller.
            with suppress(Exception, Crash):
                self._inner.write(lost, bulk)

        done: tuple[Any, list[Callable[[], None]]] = self._faults.run(
            "catalog.write", lambda: self._inner.write(work, bulk), torn=torn
        )
        return done

    def alone(self) -> AbstractContextManager[None]:
        alone: AbstractContextManager[None] = self._inner.alone()
        return alone

    def listener(self, channel: str) -> Any:
        return self._inner.listener(channel)

    def copy_to(self, path: Path) -> bool:
        return bool(self._inner.copy_to(path))

    def wal_size(self) -> int:
        return int(self._inner.wal_size())

    def close(self) -> None:
        self._inner.close()
