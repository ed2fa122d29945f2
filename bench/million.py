"""What one change and one page cost over HTTP in a version of a million files, beside one of a thousand.

    python -m bench million [--sizes 1000,1000000] [--databases sqlite,postgresql] [--times 200] [--keep]

A server as it is installed, on a fresh data folder of each database, with two versions: paths `data/part-NNNNNN/
sample-NNNNNNNNN.bin`, a hundred files a folder. The operations are asked over one kept connection, the sizes taking
turns, so that a busy moment meets both. PostgreSQL is the distribution's with fsync on; "old" is the revision that the
filling left, many revisions before the newest. Milliseconds on the wall, median and 95th percentile.

    commit      one file whose content is there already, as a revision of its own
    put         the same with 1 KiB of new bytes in the request: digest, fsync, commit
    page        the first 100 entries; deep: 100 entries from the middle
    folder      the first level with its folders collapsed, and one folder of `data`, which has ten thousand
    copy        the next version, by reference
    diff        two neighbouring revisions of one file
    rename      a folder of a hundred files
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench._house import RESULTS, Connection, House, entrepot, machine
from bench.catalog_entries import DurablePostgres

CONTENTS = 200
FOLDER = 100
PER_COMMIT = 20_000
#: Milliseconds at the 95th percentile in the largest version.
GOALS = {"commit": 25.0, "page": 15.0, "folder, top": 15.0, "folder, of 10,000": 15.0, "copy": 25.0}
OLD_GOAL = 150.0


class Site:
    """One server with a version of each size."""

    def __init__(self, house: House, sizes: list[int], seed: int = 1) -> None:
        self.link = Connection(house.server.port)
        self.bearer = house.bearer
        self.random = random.Random(seed)
        self.project = self.get(f"/api/v1/versions/{house.version}")["project"]
        self.contents = [self._content(house.version, number) for number in range(CONTENTS)]
        self.versions = {size: self._filled(size) for size in sizes}
        self.filled = {size: self.newest(version) for size, version in self.versions.items()}
        self.fresh = 0

    def ask(self, method: str, target: str, body: Any = None, fields: dict[str, str] | None = None) -> Any:
        given = {**self.bearer, **(fields or {})}
        raw = b""
        if isinstance(body, bytes):
            raw = body
        elif body is not None:
            raw, given["Content-Type"] = json.dumps(body).encode(), "application/json"
        return self.link.ask(method, target, given, raw)[2]

    def get(self, target: str) -> Any:
        return json.loads(self.ask("GET", target))

    def post(self, target: str, body: Any) -> Any:
        return json.loads(self.ask("POST", target, body))

    def _content(self, version: str, number: int) -> str:
        self.ask("PUT", f"/api/v1/versions/{version}/files/content-{number}", f"content {number}".encode() * 20)
        return str(self.get(f"/api/v1/versions/{version}/entry?path=content-{number}")["sha256"])

    def path(self, number: int) -> str:
        return f"data/part-{number // FOLDER:06}/sample-{number:09}.bin"

    def add(self, path: str) -> dict[str, str]:
        return {"op": "add", "path": path, "sha256": self.random.choice(self.contents)}

    def commit(self, version: str, changes: list[dict[str, Any]]) -> None:
        self.post(f"/api/v1/versions/{version}/commits", {"changes": changes})

    def newest(self, version: str) -> int:
        return int(self.get(f"/api/v1/versions/{version}/revisions?limit=1")["rows"][0]["number"])

    def _filled(self, size: int) -> str:
        wanted = {"project": self.project, "name": f"files-{size}", "kind": "files"}
        version = str(self.post("/api/v1/versions", wanted)["id"])
        for start in range(0, size, PER_COMMIT):
            self.commit(version, [self.add(self.path(n)) for n in range(start, min(size, start + PER_COMMIT))])
        return version

    def operations(self, size: int) -> dict[str, tuple[int, Callable[[], object]]]:
        """Name, how many times for each hundred of the others, and the call."""
        version, old = self.versions[size], self.filled[size]
        base = f"/api/v1/versions/{version}"
        middle = quote(f"data/part-{size // 2 // FOLDER:06}/")

        def one() -> str:
            self.fresh += 1
            return f"one/{self.fresh:07}.bin"

        def put() -> None:
            self.ask("PUT", f"{base}/files/{one()}", self.random.randbytes(1024))

        def diff() -> None:
            newest = self.newest(version)
            assert len(self.get(f"{base}/diff?from={newest - 1}&to={newest}")["rows"]) == 1

        def rename() -> None:
            source, target = ("data/part-000001", "moved") if rename.there else ("moved", "data/part-000001")  # type: ignore[attr-defined]
            rename.there = not rename.there  # type: ignore[attr-defined]
            self.commit(version, [{"op": "rename", "source": source, "target": target, "recursive": True}])

        rename.there = True  # type: ignore[attr-defined]
        return {
            "commit": (100, lambda: self.commit(version, [self.add(one())])),
            "put": (100, put),
            "page": (100, lambda: self.get(f"{base}/entries?limit=100")),
            "page, deep": (100, lambda: self.get(f"{base}/entries?limit=100&prefix={middle}")),
            "folder, top": (100, lambda: self.get(f"{base}/folder?path=&limit=100")),
            "folder, of 10,000": (100, lambda: self.get(f"{base}/folder?path=data&limit=100")),
            "page, old": (50, lambda: self.get(f"{base}/entries?limit=100&revision={old}")),
            "folder of 10,000, old": (50, lambda: self.get(f"{base}/folder?path=data&limit=100&revision={old}")),
            "copy": (20, lambda: self.post(f"{base}/copy", {"name": f"copy-{self.random.getrandbits(64):x}"})),
            "diff": (50, diff),
            "rename": (20, rename),
        }

    def measured(self, times: int) -> dict[str, dict[int, list[float]]]:
        plans = {size: self.operations(size) for size in self.versions}
        found: dict[str, dict[int, list[float]]] = {}
        for name, (share, _) in next(iter(plans.values())).items():
            found[name] = {size: [] for size in plans}
            for turn in range(-3, max(3, times * share // 100)):
                for size, plan in plans.items():
                    began = time.perf_counter()
                    plan[name][1]()
                    if turn >= 0:  # the first ones warm up
                        found[name][size].append((time.perf_counter() - began) * 1000)
            print(f"    {name:24} {_cells(found[name])}", flush=True)
        return found


def _p95(took: list[float]) -> float:
    return sorted(took)[min(len(took) - 1, int(len(took) * 0.95))]


def _cells(by_size: dict[int, list[float]]) -> str:
    return " | ".join(f"{statistics.median(took):.1f}, {_p95(took):.1f}" for took in by_size.values())


@contextmanager
def served(folder: Path, database: str) -> Iterator[House]:
    with ExitStack() as stack:
        settings = []
        if database == "postgresql":
            server = stack.enter_context(DurablePostgres())
            settings = [f"database={server.url(stack.enter_context(server.database()))}"]
        folder.mkdir(parents=True)
        yield stack.enter_context(entrepot(folder, *settings))


def table(database: str, found: dict[str, dict[int, list[float]]]) -> list[str]:
    sizes = list(next(iter(found.values())))
    lines = [
        f"## {database}",
        "",
        f"| milliseconds: median, p95 | {' | '.join(f'{size:,} files' for size in sizes)} | × | goal |",
        "| --- |" + " ---: |" * (len(sizes) + 1) + " --- |",
    ]
    for name, by_size in found.items():
        ratio = statistics.median(by_size[sizes[-1]]) / statistics.median(by_size[sizes[0]])
        goal = OLD_GOAL if name.endswith("old") else GOALS.get(name)
        said = ""
        if goal is not None:
            said = f"p95 ≤ {goal:g}: {'reached' if _p95(by_size[sizes[-1]]) <= goal else 'missed'}"
            if name == "commit":
                said += f"; ≤ 1.5 ×: {'reached' if ratio <= 1.5 else 'missed'}"
        lines.append(f"| {name} | {_cells(by_size)} | {ratio:.2f} | {said} |")
    return [*lines, ""]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench million")
    parser.add_argument("--sizes", default="1000,1000000")
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="where the data folders are made (default: for temporary files)")
    parser.add_argument("--keep", action="store_true", help="write the figures to bench/results/")
    options = parser.parse_args(arguments)
    sizes = [int(size) for size in options.sizes.split(",")]
    lines, kept = [], {}
    for database in options.databases.split(","):
        with tempfile.TemporaryDirectory(prefix="million-", dir=options.folder) as scratch:
            began = time.perf_counter()
            with served(Path(scratch) / database, database) as house:
                site = Site(house, sizes)
                print(f"  {database}: filled in {time.perf_counter() - began:.0f} s", flush=True)
                found = site.measured(options.times)
                disk = sum(place.stat().st_size for place in house.data.glob("catalog.sqlite*"))
        kept[database] = found
        lines += table(database, found)
        if database == "sqlite":
            lines += [f"The catalogue takes {disk / 1e6:.0f} MB.", ""]
    disk_of = os.fspath(options.folder or tempfile.gettempdir())
    about = f"{options.times} calls of the frequent ones, data in {disk_of}. {machine()}."
    text = "\n".join(lines)
    print(f"\n{text}\n{about}")
    if options.keep:
        head = f"# {(__doc__ or '').splitlines()[0]}\n\n{about} Again: `python -m bench million --keep`.\n\n"
        (RESULTS / "million.md").write_text(f"{head}{text}", encoding="utf-8")
        (RESULTS / "million.json").write_text(
            json.dumps({"about": about, "ms": kept}, indent=1) + "\n", encoding="utf-8"
        )
    return 0
