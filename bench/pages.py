"""How long pages of the web interface take of a dataset with 100,000 files and of a table with 10,000,000 rows.

    python -m bench pages [--files 100000] [--rows 10000000] [--times 9] [--folder DIR] [--keep]

A server as it is installed, on a fresh data folder (SQLite), filled through its own doors: every file has bytes of its
own, half of them lie in one folder and half in folders of a hundred, and they came in revisions of a thousand, with
sixty of one file behind them; the table was Parquet of seven columns. Somebody signed in asks for each page over
one kept connection, the pages taking turns, so that a busy moment meets all of them; the first round warms up and does
not count. Told are milliseconds on the wall, median and range, and milliseconds of processor time of all processes of
the server together, the mean.

The goal is a second of the server for each page, and is judged by the processor time: how long somebody waits depends
on what else the machine does, which the load at the end tells. What takes longer than that is begun by the page and
shown when it is there; of that the seconds until then are told, once.
"""

from __future__ import annotations

import argparse
import hashlib
import html
import json
import os
import random
import re
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import numpy
import pyarrow as pa
import pyarrow.parquet as pq

from bench._house import PASSWORD, Connection, House, Server, entrepot, keep_parts, machine, middle
from entrepot.client.client import Client
from entrepot.wire import frames

GOAL_MS = 1000.0
BYTES = 100
#: Files of a revision, and revisions of one file.
STEP, SINGLES = 1000, 60
NOBODY = 'name == "nobody"'


class Reader:
    """Somebody with a browser: one connection, and the cookie of a session."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.cookie = _signed_in(house.server.port)

        self.again()

    def again(self) -> None:
        """Connect anew: the server ends what was silent for long."""
        self.link = Connection(self.house.server.port)

    def page(self, path: str) -> str:
        body = self.link.ask("GET", path, {"Cookie": self.cookie, "Accept": "text/html"})[2]
        return body.decode()

    def until(self, path: str, word: str) -> float:
        """Load a page until it no longer says the word; seconds."""
        self.again()
        began = time.perf_counter()
        while word in self.page(path):
            time.sleep(0.25)
        return time.perf_counter() - began


def used_s(server: Server) -> float:
    """Seconds of processor time of a server and all that it started, of those too that are over."""
    while True:
        ticks, waiting = 0, [server.process.pid]
        try:
            while waiting:
                pid = waiting.pop()
                ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
                for task in Path(f"/proc/{pid}/task").iterdir():
                    waiting += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            # One ended in between.
            continue
        return ticks / os.sysconf("SC_CLK_TCK")


def _signed_in(port: int) -> str:
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as browser:
        form = browser.get("/ui/sign-in").text
        found = re.search(r'name="csrf" value="([^"]*)"', form)
        assert found is not None
        fields = {"csrf": html.unescape(found[1]), "user": "admin", "password": PASSWORD}
        browser.post("/ui/sign-in", data=fields, follow_redirects=False)
        return "; ".join(f"{one.name}={one.value}" for one in browser.cookies.jar)


def filled(house: House, project: str, files: int) -> tuple[str, str]:
    """The ids of a version with so many files, and of a copy of it that has a file more."""
    chance = random.Random(files)
    link = Connection(house.server.port)

    def post(target: str, body: object) -> dict[str, Any]:
        given = {**house.bearer, "Content-Type": "application/json"}
        found: dict[str, Any] = json.loads(link.ask("POST", target, given, json.dumps(body).encode())[2])
        return found

    def commit(version: str, some: dict[str, bytes]) -> None:
        digests = {path: hashlib.sha256(body).digest() for path, body in some.items()}
        pack = b"".join(frames.header(path, len(body), digests[path]) + body for path, body in some.items())
        given = {**house.bearer, "Content-Type": "application/vnd.entrepot.frames"}
        upload = json.loads(link.ask("PUT", f"/api/v1/packs?project={project}", given, pack)[2])["upload"]["id"]
        adds = [
            {"op": "add", "path": path, "sha256": f"sha256:{digest.hex()}", "upload": upload}
            for path, digest in digests.items()
        ]
        post(f"/api/v1/versions/{version}/commits", {"changes": adds})

    made = str(post("/api/v1/versions", {"project": project, "name": "Many files", "kind": "files"})["id"])
    for start in range(0, files, STEP):
        paths = [
            f"flat/sample-{n:07}.bin" if n % 2 else f"tree/part-{n // 200:05}/sample-{n:07}.bin"
            for n in range(start, min(files, start + STEP))
        ]
        commit(made, {path: chance.randbytes(BYTES) for path in paths})
    for n in range(SINGLES):
        commit(made, {f"notes/{n:03}.txt": b"note %d" % n})
    copied = str(post(f"/api/v1/versions/{made}/copy", {})["id"])
    commit(copied, {"README.md": b"# One more\n"})
    link.close()
    return made, copied


def written(path: Path, rows: int) -> Path:
    """Parquet of so many rows: an id, a time, one of 5,000 names, two numbers, a truth, a word."""
    block = min(rows, 1_000_000)
    chance = numpy.random.default_rng(1)
    names = pa.array([f"name_{n}" for n in range(5000)])
    began = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
    writer = None
    for start in range(0, rows, block):
        ids = numpy.arange(start, min(rows, start + block), dtype=numpy.int64)
        some = pa.table(
            {
                "id": ids,
                "at": pa.array(began + ids, pa.timestamp("s", "UTC")),
                "name": names.take(pa.array(chance.integers(0, 5000, len(ids)))),
                "score": chance.random(len(ids)),
                "count": chance.integers(0, 1_000_000, len(ids)),
                "ok": pa.array(ids % 2 == 0),
                "city": pa.repeat("Zürich", len(ids)),
            }
        )
        writer = writer or pq.ParquetWriter(path, some.schema)
        writer.write_table(some)
    assert writer is not None
    writer.close()
    return path


def pages_of_files(version: str, copied: str, files: int) -> dict[str, str]:
    base = f"/ui/versions/{version}"
    some = f"flat/sample-{files // 2 | 1:07}.bin"
    return {
        "dataset": base,
        "files, top": f"{base}/files",
        "files, the folder of half of them": f"{base}/files?path=flat",
        "files, as of revision 1": f"{base}/files?path=flat&revision=1",
        "one file": f"{base}/file?path={quote(some)}",
        "history": f"{base}/history",
        "difference, first to last": f"{base}/diff?from=0",
        "difference, of two versions": f"/ui/versions/{copied}/diff?other={version}",
        "use it": f"{base}/use",
        "provenance": f"{base}/graph",
        "add files": f"{base}/upload",
        "describe": f"{base}/edit",
        "copy": f"{base}/copy",
        "bring back revision 1": f"{base}/restore?to=1",
        "trash": f"{base}/trash",
        "remove for good": f"{base}/purge",
        "remove for good, a further part": f"{base}/frees?part=1&parts={max(2, -(-files // 10_000))}&so_far=1000",
        "search": "/ui/search?q=many",
        "suggestions": "/ui/suggest?q=ma",
        "home": "/ui/",
        "activity": "/ui/activity",
        "administration": "/ui/admin",
    }


def pages_of_rows(version: str, rows: int) -> dict[str, str]:
    base = f"/ui/versions/{version}"
    return {
        "table": f"{base}/table",
        "table, the last rows": f"{base}/table?first={rows - 50}",
        "table, a condition that nothing fits": f"{base}/table?where={quote(NOBODY)}",
        "table, one row by its id": f"{base}/table?where={quote(f'id == {rows - 5}')}",
        "table, a condition that half fits": f"{base}/table?where={quote('ok == true and score > 0.5')}",
        "table, in another order": f"{base}/table?sort=-score",
        "table, in another order, the middle": f"{base}/table?sort=-score&first={rows // 2}",
        "columns": f"{base}/table/columns",
        "SQL, the form": f"{base}/table/sql",
        "SQL, an aggregate": f"{base}/table/sql?sql={quote('SELECT city, count(*) FROM t GROUP BY 1')}",
        "check": f"{base}/table/rejects",
        "dataset of the table": base,
        "history of the table": f"{base}/history",
    }


def measured(reader: Reader, plan: dict[str, str], times: int) -> dict[str, Any]:
    reader.again()
    took: dict[str, list[float]] = {name: [] for name in plan}
    used: dict[str, float] = dict.fromkeys(plan, 0.0)
    sizes: dict[str, int] = {}
    for turn in range(-1, times):
        for name, path in plan.items():
            before, began = used_s(reader.house.server), time.perf_counter()
            body = reader.page(path)
            passed = (time.perf_counter() - began) * 1000
            if turn >= 0:
                took[name].append(passed)
                used[name] += (used_s(reader.house.server) - before) * 1000 / times
            sizes[name] = len(body)
    return {name: {"ms": took[name], "processor_ms": used[name], "bytes": sizes[name]} for name in plan}


def table(found: dict[str, Any]) -> list[str]:
    lines = ["| page | ms | processor ms | KB | a second |", "| --- | ---: | ---: | ---: | --- |"]
    for name, one in found.items():
        kept = "kept" if one["processor_ms"] <= GOAL_MS else "missed"
        size = f"{one['bytes'] / 1000:.0f}"
        lines.append(f"| {name} | {middle(one['ms'], '.0f')} | {one['processor_ms']:.0f} | {size} | {kept} |")
    return [*lines, ""]


def run(house: House, folder: Path, files: int, rows: int, times: int) -> tuple[dict[str, str], dict[str, Any]]:
    """What was measured, as pages of the kept result and as figures, by part."""
    told: dict[str, str] = {}
    kept: dict[str, Any] = {}
    reader = Reader(house)
    with Client(f"http://127.0.0.1:{house.server.port}", house.token) as client:
        project = client.versions.get(house.version).project

        def timed(what: str, work: Callable[[], Any]) -> Any:
            began = time.perf_counter()
            done = work()
            print(f"  {what}: {time.perf_counter() - began:.0f} s", flush=True)
            return done

        if files:
            ids = timed(f"{files:,} files sent", lambda: filled(house, project, files))
            kept["files"] = measured(reader, pages_of_files(*ids, files), times)
            told["files"] = "\n".join([f"A dataset of {files:,} files, {times} rounds.", "", *table(kept["files"])])
            print(told["files"], flush=True)
        if rows:
            place = written(folder / "rows.parquet", rows)
            made = timed(
                f"{rows:,} rows checked",
                lambda: client.tables.create_from_file("Many rows", place, project=project, timeout_s=3600),
            )
            plan = pages_of_rows(made.id, rows)
            waits = {
                "the order": timed("an order", lambda: reader.until(plan["table, in another order"], "data-busy")),
                "the columns": timed("the columns", lambda: reader.until(plan["columns"], "being counted")),
            }
            kept["rows"] = {"pages": measured(reader, plan, times), "waits": waits}
            once = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in waits.items())
            lines = [f"A table of {rows:,} rows of seven columns, {times} rounds.", "", *table(kept["rows"]["pages"])]
            told["rows"] = "\n".join([*lines, f"Made once by a task, and then kept: {once}."])
            print(told["rows"], flush=True)
    return told, kept


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench pages")
    parser.add_argument("--files", type=int, default=100_000, help="0 leaves them out")
    parser.add_argument("--rows", type=int, default=10_000_000, help="0 leaves them out")
    parser.add_argument("--times", type=int, default=9)
    parser.add_argument("--folder", type=Path, help="where the data folder is made (default: for temporary files)")
    parser.add_argument("--keep", action="store_true", help="write the figures to bench/results/")
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="pages-", dir=options.folder) as scratch,
        entrepot(Path(scratch)) as house,
    ):
        told, kept = run(house, Path(scratch), options.files, options.rows, options.times)
    print(machine())
    if options.keep:
        keep_parts("pages", (__doc__ or "").splitlines()[0], ("files", "rows"), told, kept)
    return 0
