"""What the write path of the store costs beside a plain write, and whether a second thread would pay.

    python -m bench store_write [FOLDER…] [--mib 1024] [--rounds 5] [--keep]

Give a folder in memory and one on the disk that will hold the data (default: /dev/shm and the folder for temporary
files). Each round runs all cases once, in random order, in one process; blocks are of 1 MiB. Per case: MiB/s (median
and range over the rounds) and the median of the ratios to `write + fdatasync` of the same round, above 1 meaning
faster; and seconds of processor time per GiB, all threads together, which a busy machine distorts less. Compare cases
of one run only.

    write                 os.write, nothing else
    write + fdatasync     the same, durable at the end: what a careful copy does
    hash                  the three checksums, no writing
    stage                 Staging.create, Stage.write, Stage.place: written, hashed, durable, in place
    stage, writing only   the same without the time of `place`
    hash beside write     a helper thread hashes while this one writes; the prototype of what `stage` does not do
    read 256 KiB          all of the object through ObjectReader.read_at
    pread 256 KiB         the same by os.pread
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import queue
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from entrepot.store.filesystem import FilesystemStore
from entrepot.store.hashing import Hasher

MIB = 1 << 20
READ = 256 * 1024
MEMORY = Path("/dev/shm")
RESULTS = Path(__file__).parent / "results" / "store_write"
REFERENCE = "write + fdatasync"


class Took(NamedTuple):
    """Seconds on the wall, and of all processors."""

    wall: float
    processor: float


def clock() -> Took:
    return Took(time.perf_counter(), time.process_time())


def since(start: Took, end: Took | None = None) -> Took:
    end = end or clock()
    return Took(end.wall - start.wall, end.processor - start.processor)


class Bench:
    """The cases on one folder."""

    def __init__(self, folder: Path, mib: int) -> None:
        self.folder = folder
        self.mib = mib
        self.data = memoryview(os.urandom(64 * MIB))
        self.store = FilesystemStore(folder / "store")
        self.count = 0
        self.cases: dict[str, Callable[[], dict[str, Took]]] = {
            "write": lambda: self.plain("write", sync=False),
            REFERENCE: lambda: self.plain(REFERENCE, sync=True),
            "hash": self.hash_only,
            "stage": self.stage,
            "hash beside write": self.hash_beside_write,
            "read": self.read,
        }

    def blocks(self) -> Iterator[memoryview]:
        for n in range(self.mib):
            at = n % 64 * MIB
            yield self.data[at : at + MIB]

    def new_file(self) -> tuple[Path, int]:
        self.count += 1
        path = self.folder / f"plain{self.count}"
        return path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def new_key(self) -> str:
        self.count += 1
        return f"{self.count:032x}"

    def plain(self, name: str, *, sync: bool) -> dict[str, Took]:
        path, fd = self.new_file()
        start = clock()
        for block in self.blocks():
            os.write(fd, block)
        if sync:
            os.fdatasync(fd)
        took = since(start)
        os.close(fd)
        path.unlink()
        return {name: took}

    def hash_only(self) -> dict[str, Took]:
        hasher = Hasher()
        start = clock()
        for block in self.blocks():
            hasher.update(block)
        hasher.digests()
        return {"hash": since(start)}

    def stage(self) -> dict[str, Took]:
        key = self.new_key()
        start = clock()
        with self.store.staging.create(key) as stage:
            for block in self.blocks():
                stage.write(block)
            written = clock()
            stage.place()
        done = clock()
        self.store.delete(key)
        return {"stage": since(start, done), "stage, writing only": since(start, written)}

    def hash_beside_write(self) -> dict[str, Took]:
        path, fd = self.new_file()
        waiting: queue.Queue[memoryview | None] = queue.Queue(maxsize=4)
        hasher = Hasher()

        def hash_all() -> None:
            while (block := waiting.get()) is not None:
                hasher.update(block)

        helper = threading.Thread(target=hash_all)
        start = clock()
        helper.start()
        for block in self.blocks():
            waiting.put(block)
            os.write(fd, block)
        waiting.put(None)
        helper.join()
        os.fdatasync(fd)
        took = since(start)
        os.close(fd)
        path.unlink()
        return {"hash beside write": took}

    def read(self) -> dict[str, Took]:
        key = self.new_key()
        self.store.put(key, self.blocks())
        size = self.mib * MIB
        fd = os.open(self.folder / "store" / "objects" / key[:2] / key, os.O_RDONLY)

        def through_reader() -> None:
            with self.store.open(key) as reader:
                for at in range(0, size, READ):
                    reader.read_at(at, READ)

        def by_pread() -> None:
            for at in range(0, size, READ):
                os.pread(fd, READ, at)

        found: dict[str, Took] = {}
        by_pread()
        for name, case in random.sample([("read 256 KiB", through_reader), ("pread 256 KiB", by_pread)], 2):
            start = clock()
            case()
            found[name] = since(start)
        os.close(fd)
        self.store.delete(key)
        return found


def measure(folder: Path, mib: int, rounds: int) -> dict[str, list[Took]]:
    """Seconds of each case, in the order of the rounds."""
    work = Path(tempfile.mkdtemp(prefix="store-write-", dir=folder))
    times: dict[str, list[Took]] = {}
    try:
        bench = Bench(work, mib)
        for _ in range(rounds):
            for name in random.sample(list(bench.cases), len(bench.cases)):
                # What the case before left dirty would be written at this one's cost.
                os.sync()
                for case, took in bench.cases[name]().items():
                    times.setdefault(case, []).append(took)
    finally:
        shutil.rmtree(work)
    return times


def table(times: dict[str, list[Took]], mib: int) -> str:
    """The figures of one folder, as a table for people."""
    lines = [f"| case | MiB/s, median (range) | × `{REFERENCE}` | processor s/GiB |", "|---|---|---|---|"]
    for case, took in times.items():
        speeds = sorted(mib / one.wall for one in took)
        ratio = statistics.median(a.wall / b.wall for a, b in zip(times[REFERENCE], took, strict=True))
        speed = f"{statistics.median(speeds):,.0f} ({speeds[0]:,.0f} to {speeds[-1]:,.0f})"
        processor = statistics.median(one.processor for one in took) * 1024 / mib
        lines.append(f"| {case} | {speed} | {ratio:.2f} | {processor:.2f} |")
    return "\n".join(lines)


def machine() -> str:
    """What the figures were measured on."""
    cores = os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    sha = "with" if "sha_ni" in Path("/proc/cpuinfo").read_text(encoding="ascii") else "without"
    load = os.getloadavg()[0]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=RESULTS.parent, capture_output=True, text=True, check=False
    )
    return (
        f"{cores} cores {sha} SHA instructions, {memory} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load {load:.1f} at the end, commit {commit.stdout.strip() or 'unknown'}"
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="where to write; one table each")
    parser.add_argument("--mib", type=int, default=1024, help="size of the upload (default 1024)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    parser.add_argument("--keep", action="store_true", help="write the figures to bench/results/")
    options = parser.parse_args(arguments)
    folders = options.folders or [path for path in (MEMORY, Path(tempfile.gettempdir())) if path.is_dir()]
    found = {}
    pages = []
    for folder in folders:
        times = found["memory" if folder == MEMORY else "disk"] = measure(folder, options.mib, options.rounds)
        heading = "In memory (tmpfs)" if folder == MEMORY else "On disk"
        pages.append(f"## {heading}\n\n{table(times, options.mib)}\n")
        print(f"\n{pages[-1]}", flush=True)
    print(machine())
    if options.keep:
        about = f"# store_write\n\n{options.mib} MiB in blocks of 1 MiB, {options.rounds} rounds. {machine()}.\n\n"
        RESULTS.with_suffix(".md").write_text(about + "\n".join(pages), encoding="utf-8")
        RESULTS.with_suffix(".json").write_text(
            json.dumps({"machine": machine(), "mib": options.mib, "seconds": found}, indent=1) + "\n", encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
