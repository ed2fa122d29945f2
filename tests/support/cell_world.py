"""A whole depot in one process whose store, disk and database can be broken, and what can be seen of it.

with world_of("sqlite", bucket=False, ground=ground, number=1) as world:
    with world.breaking():      every step goes through `world.faults`
        …
    world.look()                what everybody can see; every byte of it is read
"""

from __future__ import annotations

import contextlib
import hashlib
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import select

from entrepot.catalog import entries as entry_rows
from entrepot.catalog.database import Catalog
from entrepot.catalog.entries import sweep_strands
from entrepot.catalog.schema import content, dataset, object_, version
from entrepot.depot import collection, uploads
from entrepot.depot.contents import open_content
from entrepot.model.access import Actor
from entrepot.model.errors import Corrupt, Unavailable
from entrepot.store.base import ObjectStore, Staging
from entrepot.store.filesystem import FilesystemStore
from entrepot.store.memory import MemoryStore
from entrepot.store.s3 import S3Store
from entrepot.store.s3_staging import S3Staging
from entrepot.testing.faulty import Faults, FaultyStaging, FaultyStore
from entrepot.testing.faulty_catalog import faulty_catalog
from tests.support.catalogs import CHEAP_PASSWORDS, Clock, new_catalog_url
from tests.support.house import House
from tests.support.postgres import PostgresServer, PostgresUnavailable
from tests.support.proxies import LosingProxy, losing_proxy
from tests.support.s3 import S3Server, s3_server
from tests.support.small_disk import SmallDisk

__all__ = ["FILES", "NEW", "SMALL", "Ground", "Sight", "World", "file_size_limit", "ground", "world_of"]

FILES: Final = {f"birds/{n}.txt": f"bird number {n} ".encode() * (40 + n) for n in range(6)}
NEW: Final = b"what is new " * 300

#: The database of a server that has a disk of its own.
SMALL: Final = "postgresql, on a small disk"
#: Stands for the digest of a content that is known to be damaged.
DAMAGED: Final = "damaged"

Sight = tuple[Any, ...]
"""Everything that can be seen: of each version its name, number and state, and of each revision every path with its
bytes' digest."""


class Interrupted(Faults):
    """Faults that do not fail but happen: the clock jumps, the database goes away and comes back."""

    def __init__(self) -> None:
        super().__init__()
        self.happens: dict[int, Callable[[], None]] = {}

    def run(self, name: str, action: Callable[[], Any], torn: Callable[[], object] | None = None) -> Any:
        if (happen := self.happens.pop(len(self.steps) + 1, None)) is not None:
            happen()
        return super().run(name, action, torn)


@dataclass
class World:
    """A depot whose store and catalogue can be broken and mended again."""

    house: House
    who: Actor
    clock: Clock
    faults: Interrupted
    catalog: Catalog
    broken: Catalog
    store: ObjectStore
    staging: Staging
    memory: MemoryStore | None
    proxy: LosingProxy | None
    server: Callable[[], PostgresServer]
    #: The server, where it has a disk of its own.
    small: SmallDisk | None
    #: The file of an SQLite catalogue.
    file: Path | None
    #: Objects that were there before: a bucket is shared.
    others: frozenset[str]
    #: A second store, as a backup has; damage that is known may then be seen.
    second: MemoryStore | None = None
    #: Takes back what a fault did to this process.
    undo: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @contextlib.contextmanager
    def breaking(self) -> Iterator[None]:
        """Inside, every step goes through the faults."""
        depot = self.house.depot
        depot.store, depot.staging = FaultyStore(self.store, self.faults), FaultyStaging(self.staging, self.faults)
        depot.catalog = self.broken
        try:
            yield
        finally:
            self.undo.close()
            depot.store, depot.staging, depot.catalog = self.store, self.staging, self.catalog
            depot.spares.clear()
            self.faults.heal()
            self.faults.happens.clear()
            if self.memory is not None and self.faults.dead:
                self.memory.crash()

    def reconnect(self) -> None:
        """Find out about every connection that is not what it was: each is found by whoever uses it next."""
        for _ in range(4):
            for snapshot in (True, False):
                with contextlib.suppress(Unavailable), self.catalog.read(snapshot=snapshot) as conn:
                    conn.execute(select(1))
            with contextlib.suppress(Unavailable):
                self.catalog.write(lambda conn: conn.execute(select(1)))

    def look(self) -> Sight:
        """What can be seen; every byte of it is read.

        Raises:
            Corrupt: Bytes are known or found to be damaged.
        """
        seen = []
        query = (
            select(version.c.id, dataset.c.name, version.c.number, version.c.state, version.c.rev, version.c.trashed_at)
            .join_from(version, dataset)
            .order_by(dataset.c.name, version.c.id)
        )
        with self.catalog.read() as conn:
            rows = conn.execute(query).all()
            listed = [
                (row, revision, entry_rows.page(conn, row.id, revision, limit=1000))
                for row in rows
                for revision in range(row.rev + 1)
            ]
        read: dict[int, str] = {}
        trees: dict[int, list[Any]] = {}
        for row, _, found in listed:
            for entry in found:
                if entry.content not in read:
                    read[entry.content] = self._read(entry.content)
                assert read[entry.content] in (entry.sha256.hex(), DAMAGED), f"{entry.path} has other bytes"
            trees.setdefault(row.id, []).append(tuple((entry.path, read[entry.content]) for entry in found))
        for row in rows:
            seen.append((row.name, row.number, row.state, row.trashed_at is not None, tuple(trees[row.id])))
        return tuple(seen)

    def _read(self, n: int) -> str:
        try:
            with open_content(self.house.depot, n) as reader:
                return hashlib.sha256(reader.read_at(0, reader.size)).hexdigest()
        except Corrupt:
            if self.second is None:
                raise
            return DAMAGED

    def kept(self) -> tuple[str, ...]:
        """The digests of all contents. Each object that lies in the store has a row, and each row its object."""
        with self.catalog.read() as conn:
            digests = [bytes(found).hex() for found in conn.execute(select(content.c.sha256)).scalars()]
            rows = set(conn.execute(select(object_.c.key)).scalars())
        there = set(self.store.keys()) - self.others
        assert there == rows, f"objects without a row: {sorted(there - rows)}, rows without one: {sorted(rows - there)}"
        return tuple(sorted(digests))

    def log_size(self) -> int:
        """Bytes of the log that the database writes first; 0 where it cannot be full."""
        return self.catalog.wal_size() if self.small is None else self.small.log_position()

    def grow_old(self) -> None:
        """Months pass, and everything that looks after the house does so."""
        for _ in range(4):
            self.clock.move(days=30)
            uploads.sweep(self.house.depot)
            sweep_strands(self.catalog)
            collection.collect(self.house.depot)


@dataclass
class Ground:
    """What cells are made on: where, and with which servers."""

    folder: Path
    server: Callable[[], PostgresServer]
    bucket: Callable[[], tuple[S3Store, LosingProxy]]
    small: Callable[[], SmallDisk]


@contextlib.contextmanager
def world_of(kind: str, bucket: bool, ground: Ground, number: int) -> Iterator[World]:
    folder = ground.folder / f"cell{number}"
    folder.mkdir()
    clock, faults = Clock(), Interrupted()
    with contextlib.ExitStack() as stack:
        small = ground.small() if kind == SMALL else None
        server = ground.server if small is None else ground.small
        url = stack.enter_context(new_catalog_url(kind, folder, server, started=True))
        catalog = Catalog.open(url, clock=clock)
        stack.callback(catalog.close)
        broken = faulty_catalog(url, clock=clock, faults=faults)
        stack.callback(broken.close)
        memory, proxy = None, None
        store: ObjectStore
        staging: Staging
        if bucket:
            store, proxy = ground.bucket()
            local = FilesystemStore(folder)
            stack.callback(local.close)
            staging = S3Staging(store, local.staging)
        else:
            memory = MemoryStore()
            store, staging = memory, memory.staging
        others = frozenset(store.keys())
        house = House(catalog, store, staging, clock, policy=CHEAP_PASSWORDS)
        who = house.user("ann")
        file = url if isinstance(url, Path) else None
        yield World(
            house, who, clock, faults, catalog, broken, store, staging, memory, proxy, server, small, file, others
        )


@contextlib.contextmanager
def ground(folder: Path, postgres: Callable[[], PostgresServer]) -> Iterator[Ground]:
    """Where cells are made. Servers of its own are started for the first that wants one, and ended with the block."""
    with contextlib.ExitStack() as stack:
        started: list[tuple[S3Server, LosingProxy]] = []
        disks: list[SmallDisk] = []

        def bucket() -> tuple[S3Store, LosingProxy]:
            if not started:
                server = stack.enter_context(s3_server("moto", folder / "s3" / "data"))
                started.append((server, stack.enter_context(losing_proxy(server.endpoint))))
            server, proxy = started[0]
            proxy.lose(b"nothing any more", 0)
            # A request that takes longer than this is tried again; the slow column makes some of them so.
            address = replace(
                server.address(), endpoint=proxy.url, timeout=timedelta(seconds=5), patience=timedelta(seconds=60)
            )
            return S3Store(address), proxy

        def small() -> SmallDisk:
            if not disks:
                try:
                    disks.append(stack.enter_context(SmallDisk()))
                except PostgresUnavailable as missing:
                    pytest.skip(str(missing))
            return disks[0]

        yield Ground(folder, postgres, bucket, small)


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes: the system refuses the rest of a write, as a full disk does.

    Files of processes that are there already are not meant.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
