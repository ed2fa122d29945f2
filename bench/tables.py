"""Tables: a CSV becomes one beside DuckDB alone and pandas, and pages, SQL and differences of large ones.

    python -m bench tables [convert] [read] [beside] [--mib 2048] [--rows 10000000] [--rounds 3] [--seconds 600]
                           [--folder DIR] [--keep]

Without a part named, all are run. Once `--seconds` have passed no further part and no further round is begun; what was
left out is named. With `--keep`, parts that were kept before and not run now stay. Cases of `convert` run in random
order in each round, each in a process of its own, whose peak memory is shown.

convert   a CSV of seven typed columns, from the page cache, to Parquet: seconds, processor seconds, peak memory
    entrepot            entrepot.tabular.convert, as a worker's child runs it: every value checked, pages cut by content
    duckdb              COPY (SELECT * FROM read_csv(…)) TO … (zstd), two threads, 512 MB: the reference
    pandas              read_csv and to_parquet, of a tenth of the file (all of it would not fit)
read      a canonical table of --rows rows, asked through warm children: milliseconds
    page 1, page 1,000,000, both again in the order of another column, an aggregate by SQL, a difference by key of
    1,000,000 rows; and once how long it took to put all rows in that order
beside    p50 and p99 of a small request to a server while it takes in the CSV
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench._house import keep_parts, machine

MIB = 1 << 20
CASES = ("entrepot", "duckdb", "pandas")
PAGE = 10
PARTS = ("convert", "read", "beside")
#: Small requests of which a hundredth can be told.
LEAST = 500
#: Rows that are written at a time.
BLOCK = 100_000


@functools.lru_cache(maxsize=10)
def values_of(block: int) -> list[str]:
    """What stands behind the ids of `BLOCK` rows."""
    chance = random.Random(block)
    return [
        f",2024-{i % 12 + 1:02d}-{i % 28 + 1:02d}T10:{i % 60:02d}:00Z,name_{i % 5000},{chance.random():.6f},"
        f"{chance.randrange(10**6)},{'true' if i % 2 else 'false'},Zürich\n"
        for i in range(BLOCK)
    ]


def rows_of(first: int, count: int) -> str:
    """So many rows, at most `BLOCK`; `first` is a multiple of it."""
    values = values_of(first // BLOCK % 10)
    return "".join([f"{i}{rest}" for i, rest in zip(range(first, first + count), values, strict=False)])


HEADER = "id,at,name,score,count,ok,city\n"


def write(path: Path, *, size: int | None = None, rows: int | None = None) -> Path:
    """A CSV of so many bytes or rows; values of a million rows are repeated with new ids."""
    at, i = 0, 0
    with path.open("w", encoding="utf-8") as file:
        at += file.write(HEADER)
        while (size is not None and at < size) or (rows is not None and i < rows):
            count = BLOCK if rows is None else min(BLOCK, rows - i)
            at += file.write(rows_of(i, count))
            i += count
    return path


class Nowhere:
    """A sink that counts."""

    closed = False

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self.size += size
        return size

    def tell(self) -> int:
        return self.size

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False


class Discarding:
    """An output of conversions whose bytes go nowhere, or into files of a folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def begin(self, part: int) -> Any:
        return Nowhere() if self._folder is None else (self._folder / f"{part}.parquet").open("wb")

    def end(self, part: int, rows: int) -> None: ...

    def again(self) -> None: ...

    def progress(self, done: int) -> None: ...


def convert(path: Path, folder: Path | None = None) -> None:
    from entrepot.model.columns import TableRules
    from entrepot.tabular.bytesin import Source, Span
    from entrepot.tabular.convert import convert as converted

    size = path.stat().st_size
    done = converted([Source(path.name, size, (Span(str(path), 0, size),))], TableRules(), Discarding(folder))
    assert done.good, done.rejects.told[:3]


def in_child(case: str, path: Path) -> None:
    """Run one case and print what it took."""
    began, used = time.perf_counter(), time.process_time()
    if case == "entrepot":
        convert(path)
    elif case == "duckdb":
        import duckdb

        connection = duckdb.connect(config={"threads": 2, "memory_limit": "512MB"})
        out = path.with_suffix(".duckdb.parquet")
        connection.execute(f"COPY (SELECT * FROM read_csv('{path}')) TO '{out}' (FORMAT parquet, COMPRESSION zstd)")
        out.unlink()
    else:
        import pandas

        frame = pandas.read_csv(path, nrows=max(1, path.stat().st_size // 900))
        out = path.with_suffix(".pandas.parquet")
        frame.to_parquet(out, compression="zstd")
        out.unlink()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps([time.perf_counter() - began, time.process_time() - used, peak]))


def measure_convert(folder: Path, mib: int, rounds: int, late: Callable[[], bool]) -> dict[str, list[list[float]]]:
    path = write(folder / "table.csv", size=mib * MIB)
    found: dict[str, list[list[float]]] = {case: [] for case in CASES}
    for turn in range(rounds):
        # A round is one of every case: where time is over, all have as many.
        if turn and late():
            break
        for case in random.sample(CASES, len(CASES)):
            command = [sys.executable, "-m", "bench", "tables", "--case", case, "--file", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[case].append(json.loads(done.stdout.splitlines()[-1]))
    path.unlink()
    return found


def convert_table(found: dict[str, list[list[float]]], mib: int) -> str:
    reference = statistics.median(wall for wall, _, _ in found["duckdb"])
    lines = [
        f"| {mib} MiB of CSV | wall, s | range | processor, s | peak, MiB | × duckdb |",
        "| --- | ---: | --- | ---: | ---: | ---: |",
    ]
    for case, runs in found.items():
        walls = [wall for wall, _, _ in runs]
        wall = statistics.median(walls)
        lines.append(
            f"| {case}{' (a tenth)' if case == 'pandas' else ''} | {wall:.2f} | {min(walls):.2f} to {max(walls):.2f} "
            f"| {statistics.median(used for _, used, _ in runs):.2f} | {max(peak for _, _, peak in runs) / MIB:.0f} "
            f"| {reference / wall:.2f} |"
        )
    return "\n".join(lines)


def measure_read(folder: Path, rows: int, rounds: int, late: Callable[[], bool]) -> dict[str, list[float]]:
    from entrepot.depot.context import Limits
    from entrepot.depot.tabling import Effort
    from entrepot.server.tabling import Processes
    from entrepot.store.memory import MemoryStore

    paths = []
    for name, count in (("large", rows), ("old", min(rows, 1_000_000)), ("new", min(rows, 1_000_000))):
        place = folder / name
        place.mkdir()
        source = write(folder / f"{name}.csv", rows=count)
        if name == "new":
            text = source.read_text(encoding="utf-8").replace(",name_7,", ",other,")
            source.write_text(text, encoding="utf-8")
        convert(source, place)
        source.unlink()
        paths.append(str(place / "0.parquet"))
    large, old, new = paths
    workshop = Processes(MemoryStore(), folder / "spill", Limits(query_seconds=600))
    ordered = folder / "ordered.parquet"
    began = time.perf_counter()
    request = {"do": "sort", "paths": [large], "column": "score", "descending": False}
    with workshop.ask(request, Effort.WORK) as frames, ordered.open("wb") as file:
        for letter, body in frames:
            assert letter != "X", body
            if letter == "D":
                file.write(body)
    took = time.perf_counter() - began
    deep = max(0, min(rows - PAGE, 999_999 * PAGE))
    page = {"do": "page", "paths": [large], "limit": PAGE, "columns": None, "where": None}
    sql = "SELECT name, count(*) AS n, avg(score) AS m FROM t WHERE ok GROUP BY name ORDER BY n DESC LIMIT 10"
    wanted: dict[str, tuple[dict[str, Any], Effort]] = {
        "page 1": ({**page, "first": 0}, Effort.READ),
        f"page {deep // PAGE + 1:,}": ({**page, "first": deep}, Effort.READ),
        "page 1, by score": ({**page, "paths": [str(ordered)], "first": 0}, Effort.READ),
        f"page {deep // PAGE + 1:,}, by score": ({**page, "paths": [str(ordered)], "first": deep}, Effort.READ),
        f"SQL over {rows:,} rows": ({"do": "query", "tables": {"t": [large]}, "sql": sql, "limit": 10}, Effort.QUERY),
        f"difference by key, {min(rows, 1_000_000):,} rows": (
            {"do": "difference", "old": [old], "new": [new], "by": ["id"], "limit": 100},
            Effort.WORK,
        ),
    }
    found: dict[str, list[float]] = {name: [] for name in wanted}
    for turn in range(rounds + 1):
        # The first starts the children, so it takes two for a figure.
        if turn > 1 and late():
            break
        for name in random.sample(list(wanted), len(wanted)):
            request, effort = wanted[name]
            began = time.perf_counter()
            with workshop.ask(request, effort) as frames:
                last = list(frames)[-1]
            assert last[0] == "R", last
            found[name].append((time.perf_counter() - began) * 1000)
    workshop.close()
    # The first of each started its process.
    return {name: times[1:] for name, times in found.items()} | {f"putting {rows:,} rows in order": [took * 1000]}


def measure_beside(folder: Path, mib: int, late: Callable[[], bool]) -> dict[str, float]:
    """Small requests, one after the other, while the server's worker takes a table in, or until time is over."""
    from entrepot.client.client import Client
    from tests.support.server import ADMIN_PASSWORD, running_server

    path = write(folder / "beside.csv", size=mib * MIB)
    times: list[float] = []
    with running_server(folder / "data") as server, Client(server.url) as client:
        client.login("admin", ADMIN_PASSWORD)
        made = client.tables.create("Beside", [path.name])
        client.tables.upload_file(made, path)
        client.tables.update(made)
        while client.versions.get(made.id).state.value == "processing":
            began = time.perf_counter()
            client.versions.get(made.id)
            times.append((time.perf_counter() - began) * 1000)
            if late() and len(times) >= LEAST:
                break
            time.sleep(0.01)
    path.unlink()
    times.sort()
    return {"requests": len(times), "p50": times[len(times) // 2], "p99": times[int(len(times) * 0.99)]}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="convert, read, beside")
    parser.add_argument("--mib", type=int, default=2048)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--seconds", type=float, default=600, help="no further part or round begins after these (default 600)"
    )
    parser.add_argument(
        "--folder", type=Path, default=None, help="where files are written; a temporary folder otherwise"
    )
    parser.add_argument("--keep", action="store_true", help="write the figures to bench/results/")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.case is not None:
        in_child(options.case, options.file)
        return 0
    found: dict[str, Any] = {}
    pages: dict[str, str] = {}
    begun = time.monotonic()

    def late() -> bool:
        return time.monotonic() - begun > options.seconds

    def part(name: str, work: Callable[[Path], Any], page: Callable[[Any], str]) -> None:
        if options.parts and name not in options.parts:
            return
        if found and late():
            print(f"{name} was left out: {options.seconds:.0f} s had passed.")
            return
        with tempfile.TemporaryDirectory(dir=options.folder, prefix="tables-") as scratch:
            found[name] = work(Path(scratch))
        pages[name] = page(found[name])
        print(pages[name] + "\n", flush=True)

    part(
        "convert",
        lambda at: measure_convert(at, options.mib, options.rounds, late),
        lambda f: convert_table(f, options.mib),
    )
    part("read", lambda at: measure_read(at, options.rows, options.rounds, late), read_table)
    part("beside", lambda at: measure_beside(at, options.mib, late), lambda f: beside_line(f, options.mib))
    print(f"{time.monotonic() - begun:.0f} s. {machine()}")
    if options.keep:
        keep_parts("tables", (__doc__ or "").splitlines()[0], PARTS, pages, found)
    return 0


def read_table(found: dict[str, list[float]]) -> str:
    lines = ["| question | median, ms | range |", "| --- | ---: | --- |"]
    for name, times in found.items():
        lines.append(f"| {name} | {statistics.median(times):.1f} | {min(times):.1f} to {max(times):.1f} |")
    return "\n".join(lines)


def beside_line(found: dict[str, float], mib: int) -> str:
    return (
        f"{found['requests']} small requests during the ingest of {mib} MiB ({os.cpu_count()} processors): "
        f"p50 {found['p50']:.1f} ms, p99 {found['p99']:.1f} ms."
    )
