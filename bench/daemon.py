"""Up and down through the transfer daemon, beside the SDK alone; its memory when idle, and how fast it starts.

    python -m bench daemon [--mib 512] [--rounds 5] [--folder DIR] [--keep]

One server as it is installed, on loopback. Each round does, in random order, an upload and a download of other bytes
with `entrepot.Client` (hash, send in chunks of 64 MiB, one commit; verified pull) and the same with
`entrepot.DaemonClient` through a daemon of its own process. Both use the same parts of the SDK; what is compared is
what the socket, the journal and the other process cost. Ratios are those of one round, above 1 meaning that the daemon
was faster; at least 0.8 is wished for. Also the resident memory of the idle daemon after the last round (at most
60 MiB) and, for daemons that are started anew, the seconds that `connect` takes (at most 0.5) and their memory before
any work.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import entrepot
from bench._house import RESULTS, machine, middle
from bench._house import entrepot as serving
from bench.http_bytes import MIB
from entrepot.daemon import process
from entrepot.daemon.link import Link

STARTS = 10


@dataclass(slots=True)
class Figures:
    """Seconds by case and round; of starts; bytes of memory before and after transfers."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    starts: list[float] = field(default_factory=list)
    fresh: list[int] = field(default_factory=list)
    idle: int = 0


class Bytes:
    """A file of fresh bytes for each use: one block all over, and a last one that nobody has seen."""

    def __init__(self, folder: Path, mib: int) -> None:
        self._folder = folder
        self._mib = mib
        self._block = os.urandom(MIB)
        self._number = 0

    def file(self) -> Path:
        self._number += 1
        place = self._folder / f"source{self._number}.bin"
        with place.open("wb") as file:
            file.write(os.urandom(MIB))
            for _ in range(self._mib - 1):
                file.write(self._block)
        return place


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measured(folder: Path, mib: int, rounds: int) -> Figures:
    figures = Figures()
    for name in ("CONFIG", "CACHE", "STATE"):
        os.environ[f"XDG_{name}_HOME"] = str(folder / name.lower())
    binary = folder / "entrepot"
    binary.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m entrepot.cli.main "$@"\n')
    binary.chmod(0o755)
    path = folder / "run" / "d.sock"
    with serving(folder) as house:
        os.environ["ENTREPOT_URL"] = f"http://127.0.0.1:{house.server.port}"
        os.environ["ENTREPOT_TOKEN"] = house.token
        for _ in range(STARTS):
            _end(path)
            start = time.perf_counter()
            with entrepot.DaemonClient(socket_path=path, binary_path=binary):
                figures.starts.append(time.perf_counter() - start)
            figures.fresh.append(resident(process.holder(path) or 0))
        content = Bytes(folder, mib)
        with entrepot.Client() as sdk, entrepot.DaemonClient(socket_path=path, binary_path=binary) as client:
            project = sdk.projects.create("Bench").id
            for number in range(rounds):
                _round(figures, number, content, folder, sdk, client, project)
        figures.idle = resident(process.holder(path) or 0)
        _end(path)
    return figures


def _round(
    figures: Figures,
    number: int,
    content: Bytes,
    folder: Path,
    sdk: entrepot.Client,
    client: entrepot.DaemonClient,
    project: str,
) -> None:
    assets: dict[str, str] = {}
    digests: dict[str, str] = {}

    def up(who: str) -> None:
        source = content.file()
        with source.open("rb") as file:
            digests[who] = hashlib.file_digest(file, "sha256").hexdigest()

        def by_sdk() -> None:
            assets[who] = sdk.data.from_file(source, f"sdk {number}", project=project).id

        def by_daemon() -> None:
            assets[who] = client.upload(
                source, title=f"daemon {number}", owner_type="project", owner_id=project
            ).asset_id

        _timed(figures, f"upload {who}", by_sdk if who == "SDK" else by_daemon)
        source.unlink()

    def down(who: str) -> None:
        into = folder / f"out {who}"

        def by_sdk() -> None:
            sdk.data.download(assets[who], into)

        def by_daemon() -> None:
            client.download(assets[who], into)

        _timed(figures, f"download {who}", by_sdk if who == "SDK" else by_daemon)
        (arrived,) = into.iterdir()
        with arrived.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digests[who]:
                raise RuntimeError(f"{who} brought other bytes")
        arrived.unlink()

    for step in (up, down):
        for who in random.sample(("SDK", "daemon"), 2):
            step(who)


def _timed(figures: Figures, name: str, work: Callable[[], None]) -> None:
    start = time.perf_counter()
    work()
    figures.seconds.setdefault(name, []).append(time.perf_counter() - start)


def _end(path: Path) -> None:
    try:
        link = Link(path, 10.0)
    except ConnectionError:
        return
    link.call("shutdown", {}, 10.0)
    link.close()
    while process.holder(path) is not None:
        time.sleep(0.01)


def table(figures: Figures, mib: int) -> str:
    lines = ["| Case | seconds, median (range) | MB/s |", "| --- | --- | --- |"]
    for name, took in figures.seconds.items():
        rate = mib * MIB / 1e6 / statistics.median(took)
        lines.append(f"| {name} | {middle(took)} | {rate:.0f} |")
    lines += ["", "| Of what | found | goal |", "| --- | --- | --- |"]
    for way in ("upload", "download"):
        pairs = zip(figures.seconds[f"{way} SDK"], figures.seconds[f"{way} daemon"], strict=True)
        lines.append(f"| {way} through the daemon / by the SDK | {middle([a / b for a, b in pairs])} | 0.8 |")
    lines.append(f"| start, seconds | {middle(figures.starts)} | 0.5 |")
    fresh = [size / MIB for size in figures.fresh]
    lines.append(f"| memory of a daemon that was just started, MiB | {middle(fresh)} | 60 |")
    lines.append(f"| memory of the idle daemon after the transfers, MiB | {figures.idle / MIB:.1f} | 60 |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench daemon")
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where to work")
    parser.add_argument("--keep", action="store_true", help="write the figures to bench/results/")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="daemon-") as scratch:
        figures = measured(Path(scratch), options.mib, options.rounds)
    about = f"{options.mib} MiB, {options.rounds} rounds, interleaved in random order. {machine()}."
    page = table(figures, options.mib)
    print(f"{page}\n\n{about}")
    if options.keep:
        head = f"# {(__doc__ or '').splitlines()[0]}\n\n{about} Again: `python -m bench daemon --keep`.\n\n"
        (RESULTS / "daemon.md").write_text(f"{head}{page}\n", encoding="utf-8")
        kept = {
            "about": about,
            "mib": options.mib,
            "seconds": figures.seconds,
            "starts": figures.starts,
            "fresh_bytes": figures.fresh,
            "idle_bytes": figures.idle,
        }
        (RESULTS / "daemon.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0
