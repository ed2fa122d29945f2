"""What entries cost in versions of 1 000, 100 000 and 1 000 000 entries, on SQLite and PostgreSQL.

    python -m bench catalog_entries [--sizes 1000,100000,…] [--databases sqlite,postgresql] [--folder DIR] [--keep]

Every operation goes through `Catalog.read` and `Catalog.write`, as the depot's do: transaction, event row and commit
are in the figures. Per operation: milliseconds on the wall, median and 95th percentile; the mean of this process's
processor time, which a busy machine distorts less; and the number of calls. SQLite runs with synchronous=FULL in DIR
(default: the folder for temporary files); PostgreSQL is the distribution's, with fsync on and its data in /tmp.
"Waits" is how long one-file commits to another version took beside an operation in slices.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, text

from entrepot.catalog import entries, strands
from entrepot.catalog.database import Catalog
from entrepot.catalog.entries import Put, Rename
from entrepot.catalog.schema import content
from entrepot.catalog.schema.types import to_micros
from tests.support.catalogs import Clock
from tests.support.histories import Histories
from tests.support.postgres import PostgresServer

RESULTS = Path(__file__).parent / "results" / "catalog_entries"
CONTENTS = 5_000
FOLDER = 100


#: What the server of the tests does without. It must start anew for them, and gets its options on the command line.
DURABLE = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "autovacuum_naptime": "1min",
}


class DurablePostgres(PostgresServer):
    """The server of the tests with the settings that an installation has."""

    def _start_on(self, port: int) -> None:
        popen = subprocess.Popen

        def with_settings(command: list[Any], **options: Any) -> Any:
            more = [part for name, value in DURABLE.items() for part in ("-c", f"{name}={value}")]
            return popen([*command, *more], **options)

        subprocess.Popen = with_settings  # type: ignore[misc,assignment]
        try:
            super()._start_on(port)
        finally:
            subprocess.Popen = popen  # type: ignore[misc]


class Bench:
    """One version of `size` entries on one database, and the operations on it."""

    def __init__(self, catalog: Catalog, size: int) -> None:
        self.catalog = catalog
        self.size = size
        self.h = Histories(catalog, Clock())
        self.numbers = catalog.write(self._contents, bulk=True)
        self.random = random.Random(size)
        self.figures: dict[str, dict[str, float]] = {}
        self.version = self.h.version()
        self.fresh = 0
        for start in range(0, size, 10_000):
            self._commit([self._put(n) for n in range(start, min(size, start + 10_000))])
        if catalog.dialect == "postgresql":
            with catalog._backend.writer.connect() as conn:
                conn.execute(text("ANALYZE"))
                conn.commit()

    def _contents(self, conn: Connection) -> list[int]:
        now = self.h.clock()
        rows = [
            {
                "sha256": n.to_bytes(32, "big"),
                "size": 100 + n,
                "crc32c": n,
                "crc32": n,
                "state": 0,
                "touched": now,
                "created_at": now,
            }
            for n in range(CONTENTS)
        ]
        conn.execute(insert(content), rows)
        return [row[0] for row in conn.execute(content.select().with_only_columns(content.c.id))]

    def path(self, n: int) -> str:
        return f"data/part-{n // FOLDER:06}/sample-{n:09}.bin"

    def _put(self, n: int, path: str | None = None) -> Put:
        return Put(path or self.path(n), self.numbers[self.random.randrange(CONTENTS)])

    def _commit(self, changes: list[Any], version: int | None = None) -> entries.RevisionRow:
        def work(conn: Connection) -> entries.RevisionRow:
            at = datetime.now(UTC)
            added = conn.exec_driver_sql(*_event(conn, at)).scalar_one()
            return entries.commit(
                conn,
                version or self.version,
                changes,
                expected=None,
                author=self.h.author,
                at=at,
                message="",
                event=added,
            )

        return self.catalog.write(work, bulk=len(changes) > 2_000)

    def new_paths(self, count: int) -> list[Any]:
        self.fresh += 1
        return [self._put(n, f"new/{self.fresh:04}/{n:06}.bin") for n in range(count)]

    def measure(self, name: str, times: int, call: Callable[[int], object]) -> None:
        took = []
        processor = time.process_time()
        for i in range(times):
            began = time.perf_counter()
            call(i)
            took.append((time.perf_counter() - began) * 1000)
        self.note(name, took, (time.process_time() - processor) * 1000 / times)

    def note(self, name: str, took: list[float], processor: float | None = None) -> None:
        took = sorted(took)
        p50, p95 = statistics.median(took), took[min(len(took) - 1, int(len(took) * 0.95))]
        self.figures[name] = {"p50": p50, "p95": p95, "max": took[-1], "processor": processor, "calls": len(took)}
        spent = "" if processor is None else f"{processor:9.2f}"
        print(f"    {name:50} {p50:9.2f} {p95:9.2f} {spent:>9}   {len(took)}", flush=True)

    def run(self) -> None:
        many = min(10_000, self.size)
        first = self.h.newest(self.version)
        self.measure("commit 1 new file", 200, lambda i: self._commit([self._put(i, f"one/{i:05}.bin")]))
        ones = self.h.newest(self.version)
        self.measure("commit 1 replaced file", 200, lambda i: self._commit([self._put(0, self.any_path())]))
        self.measure(f"commit {many} new paths", 3, lambda i: self._commit(self.new_paths(many)))
        before = self.h.newest(self.version)
        self.measure(
            f"commit {many} random replacements",
            3,
            lambda i: self._commit([self._put(0, p) for p in {self.any_path() for _ in range(many)}]),
        )
        self.measure(
            f"rename a folder of {many}",
            2,
            lambda i: self._commit(
                [Rename("new/0001" if i == 0 else "moved", "moved" if i == 0 else "new/0001", recursive=True)]
            ),
        )
        newest = self.h.newest(self.version)
        middle = self.path(self.size // 2)
        self.reads("at newest", newest, middle)
        self.reads("at an old revision", first, middle)
        self.measure("diff of 100 one-file revisions", 20, lambda i: self.diff(ones - 100, ones))
        self.measure(f"diff of one revision of {many}", 3, lambda i: self.diff(before, before + 1))
        copies: list[int] = [self.h.version() for _ in range(20)]
        self.measure("copy by reference", 20, lambda i: self.h.copy(self.version, newest, copies[i]))
        self._commit([self._put(0, "one/continued.bin")])
        self.beside("first commit to a copy (fork)", lambda: self._commit([self._put(0, "one/forked.bin")], copies[0]))
        self.measure("restore", 1, lambda i: self.h.restore(self.version, first))
        self.beside(
            "purge of a copy of its own, swept", lambda: (self.h.purge(copies[0]), entries.sweep_strands(self.catalog))
        )

    def any_path(self) -> str:
        return self.path(self.random.randrange(self.size))

    def reads(self, where: str, rev: int, middle: str) -> None:
        def page(after: str | None) -> None:
            with self.catalog.read() as conn:
                assert len(entries.page(conn, self.version, rev, after=after, limit=100)) == 100

        def one(_: int) -> None:
            with self.catalog.read() as conn:
                entries.get(conn, self.version, rev, self.any_path())

        def level(folder: str) -> None:
            with self.catalog.read() as conn:
                assert entries.folder(conn, self.version, rev, folder, limit=100)

        def by_position(_: int) -> None:
            with self.catalog.read() as conn:
                entries.page_by_position(conn, self.version, rev, after=self.size // 2, limit=100)

        self.measure(f"page of 100, first, {where}", 200, lambda i: page(None))
        self.measure(f"page of 100, middle, {where}", 200, lambda i: page(middle))
        self.measure(f"page of 100 by position, {where}", 100, by_position)
        self.measure(f"one path, {where}", 500, one)
        self.measure(f"folder level of 100 folders, {where}", 100, lambda i: level("data"))

    def diff(self, a: int, b: int) -> None:
        for _ in entries.diff(self.catalog, (self.version, a), (self.version, b)):
            pass

    def beside(self, name: str, call: Callable[[], object]) -> None:
        """Measure one long operation, and how long others wait beside it."""
        other = self.h.version()
        waits: list[float] = []
        done = threading.Event()

        def write_on() -> None:
            i = 0
            while not done.is_set():
                began = time.perf_counter()
                self._commit([self._put(0, f"f{i}")], other)
                waits.append((time.perf_counter() - began) * 1000)
                i += 1
                done.wait(0.005)

        thread = threading.Thread(target=write_on)
        thread.start()
        self.measure(name, 1, lambda i: call())
        done.set()
        thread.join()
        self.note(f"  waits beside it: {name}", waits)


def _event(conn: Connection, at: datetime) -> tuple[str, Any]:
    mark = "?" if conn.dialect.name == "sqlite" else "%s"
    sql = f"INSERT INTO event (at, verb, door) VALUES ({mark}, {mark}, {mark}) RETURNING id"
    return sql, (to_micros(at), "revision.created", "bench")


@contextmanager
def databases(names: list[str], folder: Path) -> Iterator[Iterator[tuple[str, Callable[[], Any]]]]:
    server: list[DurablePostgres] = []

    def each() -> Iterator[tuple[str, Callable[[], Any]]]:
        for name in names:
            if name == "sqlite":
                yield name, lambda: _sqlite(folder)
            else:
                if not server:
                    server.append(DurablePostgres())
                yield name, lambda: _postgres(server[0])

    try:
        yield each()
    finally:
        for one in server:
            one.close()


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    place = Path(tempfile.mkdtemp(dir=folder))
    try:
        yield str(place / "catalog.db")
    finally:
        shutil.rmtree(place)


@contextmanager
def _postgres(server: PostgresServer) -> Iterator[str]:
    with server.database() as name:
        yield server.url(name)


def table(kept: dict[str, Any]) -> str:
    """The figures for people: p50 / p95 in milliseconds."""
    figures: dict[str, Any] = kept["figures"]
    names: list[str] = list(dict.fromkeys(_any_size(name) for found in figures.values() for name in found))
    lines = [f"# Entries of the catalogue\n\n{kept['machine']}. Milliseconds on the wall, median / 95th percentile.\n"]
    lines.append("| | " + " | ".join(figures) + " |\n|---|" + "---|" * len(figures))
    for name in names:
        cells = []
        for found in figures.values():
            one = next((values for key, values in found.items() if _any_size(key) == name), None)
            cells.append("–" if one is None else f"{one['p50']:.2f} / {one['p95']:.2f}")
        lines.append(f"| {name.strip()} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _any_size(name: str) -> str:
    return re.sub(r"\b(1000|10000)\b", "10 000 (or all)", name)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench catalog_entries", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sizes", default="1000,100000,1000000")
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--keep", action="store_true", help="write bench/results/catalog_entries.json")
    options = parser.parse_args(arguments)
    kept: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, {platform.python_version()}",
        "inline": strands.INLINE,
        "slice": strands.SLICE,
        "figures": {},
    }
    with databases(options.databases.split(","), options.folder) as each:
        for name, place in each:
            for size in (int(n) for n in options.sizes.split(",")):
                with place() as url:
                    catalog = Catalog.open(url, clock=lambda: datetime.now(UTC))
                    catalog.upgrade()
                    print(f"  {name}, {size} entries {'':20} p50       p95  processor  calls", flush=True)
                    began = time.perf_counter()
                    bench = Bench(catalog, size)
                    print(f"    filled in {time.perf_counter() - began:.1f} s", flush=True)
                    bench.run()
                    kept["figures"][f"{name} {size}"] = bench.figures
                    catalog.close()
    if options.keep:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.with_suffix(".json").write_text(json.dumps(kept, indent=1) + "\n")
        RESULTS.with_suffix(".md").write_text(table(kept))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
