"""A program for tests: users that put and remove a handful of contents while collectors take away what nobody names.

    python -m tests.support.collector_stress user URL STORE VERSION SEED OPERATIONS
    python -m tests.support.collector_stress sweeper URL STORE SEED

STORE is a folder with one file for each object, named by its key. A user ends after its operations and prints how many
contents it brought; a sweeper goes on until it is killed. The grace is nothing or a few milliseconds: all that the
protocol allows to meet, meets.
"""

from __future__ import annotations

import hashlib
import random
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection

from entrepot.catalog import collecting, contents, entries
from entrepot.catalog.database import Catalog
from entrepot.catalog.entries import Put, Remove
from entrepot.model.digests import Digests
from entrepot.model.errors import Gone, NotFound

TEXTS = [f"content {n}" for n in range(12)]
PATHS = [f"p{n}" for n in range(6)]


def now() -> datetime:
    return datetime.now(UTC)


def digests(text: str) -> Digests:
    data = text.encode()
    return Digests(len(data), hashlib.sha256(data).digest(), 0, 0)


class User:
    """Works on one version of its own and looks at what the others have."""

    def __init__(self, url: str, store: Path, version: int, seed: int) -> None:
        self.catalog = Catalog.open(url, clock=now)
        self.store = store
        self.version = version
        self.random = random.Random(seed)
        self.brought = 0

    def run(self, operations: int) -> None:
        for _ in range(operations):
            self.random.choices([self.put, self.remove, self.trim, self.look], [8, 5, 4, 4])[0]()
        self.catalog.close()
        print(self.brought, flush=True)

    def put(self) -> None:
        text, path = self.random.choice(TEXTS), self.random.choice(PATHS)
        while True:
            if self.catalog.write(partial(self.point_at, text=text, path=path)):
                return
            # Bytes first, facts second.
            key = UUID(int=self.random.getrandbits(128)).hex
            (self.store / key).write_text(text)
            self.brought += 1
            try:
                self.catalog.write(partial(self.name, text=text, path=path, key=key))
            except Gone:
                continue
            return

    def point_at(self, conn: Connection, text: str, path: str) -> bool:
        found = contents.dedupe_hit(conn, [digests(text).sha256], at=now())
        for n in found.values():
            self.commit(conn, Put(path, n))
        return bool(found)

    def name(self, conn: Connection, text: str, path: str, key: str) -> None:
        self.commit(conn, Put(path, contents.insert_placed(conn, digests(text), store="s", key=key, at=now())))

    def commit(self, conn: Connection, change: entries.RowChange) -> None:
        entries.commit(conn, self.version, [change], expected=None, author=None, at=now(), message="", event=1)

    def remove(self) -> None:
        path = self.random.choice(PATHS)
        self.catalog.write(lambda conn: self.commit(conn, Remove(path, condition="any")))

    def trim(self) -> None:
        """Forget the past, so that contents really lose their last reference."""
        self.catalog.write(lambda conn: entries.trim(conn, self.version, before=2**30))

    def look(self) -> None:
        """Whatever a revision shows can be read; if it cannot, the revision must be gone by now."""
        version = self.random.randrange(1, 5)
        for _ in range(3):
            with self.catalog.read() as conn:
                rev = conn.exec_driver_sql(f"SELECT rev FROM version WHERE id = {version}").scalar()
                if rev is None:
                    return
                try:
                    page = entries.page(conn, version, rev, limit=20)
                except NotFound:
                    return
                places = {row.path: (row.sha256, contents.extents(conn, row.content)) for row in page}
            try:
                for sha256, extents in places.values():
                    (extent,) = extents
                    text = (self.store / extent.key).read_text()
                    assert digests(text).sha256 == sha256, "the bytes of somebody else"
            except FileNotFoundError:
                with self.catalog.read() as conn:
                    newest = conn.exec_driver_sql(f"SELECT rev FROM version WHERE id = {version}").scalar()
                assert newest != rev, "a revision names bytes that are gone"
                continue
            return


def sweeper(url: str, store: Path, seed: int) -> None:
    catalog = Catalog.open(url, clock=now)
    chosen = random.Random(seed)
    while True:
        collect(catalog, store, timedelta(milliseconds=chosen.choice([0, 0, 1, 2])))


def collect(catalog: Catalog, store: Path, grace: timedelta) -> int:
    """One round; how many contents ended."""
    entries.sweep_strands(catalog)
    ended = 0
    with catalog.read() as conn:
        found, _ = collecting.unreferenced(conn, before=now() - grace, after=0, limit=1000)
    catalog.write(lambda conn: collecting.condemn(conn, found, before=now() - grace, at=now()))
    time.sleep(grace.total_seconds())
    with catalog.read() as conn:
        doomable = collecting.doomable(conn, before=now() - grace, limit=1000)
    for n in doomable:
        ended += catalog.write(partial(collecting.doom, content=n, before=now() - grace))
    with catalog.read() as conn:
        doomed = collecting.doomed_objects(conn, limit=1000)
    for one in doomed:
        (store / one.key).unlink(missing_ok=True)
        catalog.write(partial(collecting.forget_object, n=one.n))
    return ended


if __name__ == "__main__":
    # The grace of this program is far below an hour.
    contents.TOUCH_EVERY = timedelta(0)
    if sys.argv[1] == "user":
        User(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])).run(int(sys.argv[6]))
    else:
        sweeper(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
