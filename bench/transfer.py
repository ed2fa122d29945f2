"""1 GiB up and down through the whole server, beside nginx and `rclone serve webdav`, and the memory it takes.

    python -m bench transfer [FOLDER …] [--mib 1024] [--rounds 5] [--keep]

Each round runs every case once, in random order, on each folder; by default one in memory and one on a disk. Everything
is started here, on loopback: our server as it is installed (SHA-256 of every byte, compared with the announced one; two
fsyncs; rights, catalogue, log), nginx (DAV PUT, sendfile GET: no digest, no fsync), rclone (neither).

    PUT entrepot        one request into a version; the answer comes when the revision is durable
    tus entrepot        creation, then PATCHes of 64 MiB on one connection; the last answer comes when all is named
    PUT nginx, rclone   the same bytes in one request
    GET entrepot, nginx, rclone   the whole file
    ranges entrepot, nginx        the same bytes in ranges of 64 MiB on one connection

Every upload has other bytes, so that nothing is saved by knowing them already. After each the size is looked at, and
ours also says the digest. Ratios are those of the times within one round; above 1 is faster than the other server.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench._house import RESULTS, Connection, House, Server, entrepot, machine, middle, rclone
from bench.http_bytes import MIB, Process, nginx

CHUNK = 64
MEMORY = Path("/dev/shm")
#: What is compared with what: our case, theirs, and the least ratio wished for in memory and on disk.
RATIOS = (
    ("PUT entrepot", "PUT nginx", 0.45, 1.0),
    ("tus entrepot", "PUT nginx", None, None),
    ("PUT entrepot", "PUT rclone", 3.0, 3.0),
    ("GET entrepot", "GET nginx", 0.95, 0.95),
    ("ranges entrepot", "ranges nginx", 0.95, 0.95),
    ("GET entrepot", "GET rclone", None, None),
)
MOST_MEMORY = 128 * MIB


class Bytes:
    """One content after another, all but for their last block the same, so that the digest of each costs little."""

    def __init__(self, mib: int) -> None:
        self.mib = mib
        self.block = os.urandom(MIB)
        self._sha256 = hashlib.sha256()
        for _ in range(mib - 1):
            self._sha256.update(self.block)

    def fresh(self) -> tuple[bytes, bytes]:
        """A last block nobody has seen, and the SHA-256 of the content that ends with it."""
        last = os.urandom(MIB)
        sha256 = self._sha256.copy()
        sha256.update(last)
        return last, sha256.digest()

    def send(self, link: Connection, last: bytes, start: int, end: int) -> None:
        """The MiB [start, end) of a content."""
        for at in range(start, end):
            link.body(last if at == self.mib - 1 else self.block)


@dataclass(slots=True)
class Figures:
    """Seconds of the clock and of the server's processors, by case and round; bytes of memory."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    idle: list[int] = field(default_factory=list)
    peak: dict[str, list[int]] = field(default_factory=dict)


class Round:
    """The cases, on servers that run."""

    def __init__(self, folder: Path, content: Bytes, house: House, other: Process | None, dav: Server | None) -> None:
        self.content = content
        self._folder = folder
        self._house = house
        self._nginx = other
        self._dav = dav
        self._kept = house.data / "objects"
        self._down: set[Path] = set()
        self.cases: dict[str, tuple[Process, Callable[[], float]]] = {
            "PUT entrepot": (house.server, self.put),
            "tus entrepot": (house.server, self.tus),
            "GET entrepot": (house.server, lambda: self._get(house.server, self._file("down.bin"), house.bearer)),
            "ranges entrepot": (
                house.server,
                lambda: self._ranges(house.server, self._file("down.bin"), house.bearer),
            ),
        }
        if other is not None:
            self.cases["PUT nginx"] = other, lambda: self._plain_put(other, "/up.bin", folder / "up.bin")
            self.cases["GET nginx"] = other, lambda: self._get(other, "/down.bin", {})
            self.cases["ranges nginx"] = other, lambda: self._ranges(other, "/down.bin", {})
        if dav is not None:
            self.cases["PUT rclone"] = dav, lambda: self._plain_put(dav, "/up.bin", folder / "rclone" / "up.bin")
            self.cases["GET rclone"] = dav, lambda: self._get(dav, "/down.bin", {})
        self.put("down.bin")
        self._down = set(self._kept.glob("*/*"))
        (stored,) = self._down
        shutil.copyfile(stored, folder / "down.bin")
        if dav is not None:
            shutil.copyfile(stored, folder / "rclone" / "down.bin")

    def _file(self, name: str) -> str:
        return f"/api/v1/versions/{self._house.version}/files/{name}"

    @property
    def size(self) -> int:
        return self.content.mib * MIB

    def put(self, name: str = "up.bin") -> float:
        last, sha256 = self.content.fresh()
        digest = base64.b64encode(sha256).decode()
        fields = {"Content-Length": str(self.size), "Repr-Digest": f"sha-256=:{digest}:", **self._house.bearer}
        start = time.perf_counter()
        with Connection(self._house.server.port) as link:
            link.head("PUT", self._file(name), fields)
            self.content.send(link, last, 0, self.content.mib)
            status, _, body = link.answer()
        took = time.perf_counter() - start
        if status // 100 != 2:
            raise RuntimeError(f"PUT: {status} {body[:500]!r}")
        self._check(name, digest)
        return took

    def _check(self, name: str, digest: str) -> None:
        with Connection(self._house.server.port) as link:
            asked = {"Range": f"bytes={self.size - 1}-", **self._house.bearer}
            head = link.ask("GET", self._file(name), asked)[1]
        if head["repr-digest"] != f"sha-256=:{digest}:" or not head["content-range"].endswith(f"/{self.size}"):
            raise RuntimeError(f"what was stored is something else: {head}")

    def tus(self) -> float:
        last, sha256 = self.content.fresh()
        meta = base64.b64encode(f"sha256:{sha256.hex()}".encode()).decode()
        common = {"Tus-Resumable": "1.0.0", **self._house.bearer}
        start = time.perf_counter()
        with Connection(self._house.server.port) as link:
            created = {"Upload-Length": str(self.size), "Upload-Metadata": f"sha256 {meta}", **common}
            target = link.ask("POST", "/api/v1/uploads", created)[1]["location"]
            for at in range(0, self.content.mib, CHUNK):
                end = min(at + CHUNK, self.content.mib)
                fields = {
                    "Content-Type": "application/offset+octet-stream",
                    "Upload-Offset": str(at * MIB),
                    "Content-Length": str((end - at) * MIB),
                    **common,
                }
                link.head("PATCH", target, fields)
                self.content.send(link, last, at, end)
                status, head, body = link.answer()
                if status != 204 or int(head["upload-offset"]) != end * MIB:
                    raise RuntimeError(f"PATCH: {status} {head} {body[:500]!r}")
        return time.perf_counter() - start

    def _plain_put(self, server: Process, target: str, stored: Path) -> float:
        last, _ = self.content.fresh()
        start = time.perf_counter()
        with Connection(server.port) as link:
            link.head("PUT", target, {"Content-Length": str(self.size)})
            self.content.send(link, last, 0, self.content.mib)
            status, _, body = link.answer()
        took = time.perf_counter() - start
        if status // 100 != 2 or stored.stat().st_size != self.size:
            raise RuntimeError(f"PUT: {status} {body[:500]!r}")
        return took

    def _get(self, server: Process, target: str, fields: dict[str, str]) -> float:
        start = time.perf_counter()
        with Connection(server.port) as link:
            link.ask("GET", target, fields, keep=False)
        return time.perf_counter() - start

    def _ranges(self, server: Process, target: str, fields: dict[str, str]) -> float:
        start = time.perf_counter()
        with Connection(server.port) as link:
            for at in range(0, self.size, CHUNK * MIB):
                end = min(at + CHUNK * MIB, self.size)
                link.ask("GET", target, {"Range": f"bytes={at}-{end - 1}", **fields}, keep=False)
        return time.perf_counter() - start

    def tidy(self) -> None:
        """Free what was uploaded: ten rounds would not fit. Behind the server's back, which nobody does but a bench."""
        for path in set(self._kept.glob("*/*")) - self._down:
            path.unlink()
        for path in (self._folder / "up.bin", self._folder / "rclone" / "up.bin"):
            path.unlink(missing_ok=True)


def measured(folder: Path, mib: int, rounds: int, only: str) -> Figures:
    figures = Figures()
    with ExitStack() as stack:
        house = stack.enter_context(entrepot(folder))
        other, dav = stack.enter_context(nginx(folder)), stack.enter_context(rclone(folder))
        figures.idle = list(house.server.now().values())
        house.server.reset_memory()
        one = Round(folder, Bytes(mib), house, other, dav)
        todo = [name for name in one.cases if name.startswith(only)]
        for _ in range(rounds):
            for name in random.sample(todo, len(todo)):
                server, run = one.cases[name]
                # What the case before left dirty would be written at this one's cost.
                os.sync()
                cpu = server.cpu_s()
                took = run()
                figures.seconds.setdefault(name, []).append(took)
                figures.cpu.setdefault(name, []).append(server.cpu_s() - cpu)
                print(f"  {name:16} {mib / took:7.0f} MiB/s", flush=True)
                one.tidy()
        figures.peak = {"entrepot": sorted(house.server.memory().values(), reverse=True)}
    return figures


def table(figures: Figures, mib: int, *, in_memory: bool) -> str:
    lines = ["| case | MiB/s, median (range) | server's CPU ms/GiB |", "|---|---|---|"]
    for name, seconds in sorted(figures.seconds.items()):
        cpu = statistics.median(figures.cpu[name]) * 1000 * 1024 / mib
        lines.append(f"| {name} | {middle([mib / one for one in seconds], '.0f')} | {cpu:.0f} |")
    lines += ["", "| ratio | median (range) | goal |", "|---|---|---|"]
    for ours, theirs, memory_goal, disk_goal in RATIOS:
        if ours in figures.seconds and theirs in figures.seconds:
            ratios = [b / a for a, b in zip(figures.seconds[ours], figures.seconds[theirs], strict=True)]
            goal = memory_goal if in_memory else disk_goal
            said = "" if goal is None else f"{goal} {'reached' if statistics.median(ratios) >= goal else 'missed'}"
            lines.append(f"| {ours} / {theirs} | {middle(ratios)} | {said} |")
    peak = figures.peak["entrepot"]
    said = "reached" if peak[0] <= MOST_MEMORY else "missed"
    shown = ", ".join(f"{one / MIB:.0f}" for one in peak)
    idle = ", ".join(f"{one / MIB:.0f}" for one in sorted(figures.idle, reverse=True))
    lines += [
        "",
        f"Peak memory of our processes (VmHWM, MiB, largest is the answering one): {shown}; "
        f"goal for that one 128, {said}. Idle: {idle}.",
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench transfer")
    parser.add_argument("folders", nargs="*", type=Path, help="where to work; one table each")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="cases whose names begin so")
    parser.add_argument("--keep", action="store_true", help="write the figures to bench/results/")
    options = parser.parse_args(arguments)
    folders = options.folders or [path for path in (MEMORY, Path(tempfile.gettempdir())) if path.is_dir()]
    pages, found = [], {}
    for folder in folders:
        in_memory = folder == MEMORY
        with tempfile.TemporaryDirectory(dir=folder, prefix="transfer-") as scratch:
            figures = measured(Path(scratch), options.mib, options.rounds, options.only)
        found["memory" if in_memory else "disk"] = {
            "seconds": figures.seconds,
            "cpu_seconds": figures.cpu,
            "peak_bytes": figures.peak,
            "idle_bytes": figures.idle,
        }
        heading = "In memory (tmpfs)" if in_memory else "On disk"
        pages.append(f"## {heading}\n\n{table(figures, options.mib, in_memory=in_memory)}\n")
        about = f"{options.mib} MiB, {options.rounds} rounds, interleaved in random order. {machine()}."
        print(f"\n{pages[-1]}\n{about}", flush=True)
        if options.keep:
            # After each folder: an hour of figures must not be lost with the last one.
            head = f"# {(__doc__ or '').splitlines()[0]}\n\n{about} Again: `python -m bench transfer --keep`.\n\n"
            (RESULTS / "transfer.md").write_text(head + "\n".join(pages), encoding="utf-8")
            (RESULTS / "transfer.json").write_text(
                json.dumps({"about": about, "mib": options.mib, "figures": found}, indent=1) + "\n", encoding="utf-8"
            )
    return 0
