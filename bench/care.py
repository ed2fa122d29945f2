"""What looking after the bytes costs: reading all of them again, backing them up, putting a backup back.

    python -m bench care [--mib 512] [--files 16] [--small 20000] [--rounds 3] [--folder DIR] [--keep]

One data folder with large files of random bytes and as many bytes again in small ones, which lie in packs. All commands
are those of an operator, each a process of its own from its start to its end, while the server runs and has nothing
else to do. Rounds are interleaved; each backup goes into a new folder. MB/s of the stored bytes, median and range, and
seconds of processor time.

    sha256sum      reference: reads the objects' files and hashes them, in one thread
    cp             reference: copies the same files, compares nothing and syncs nothing
    verify         `entrepot verify`: all bytes against their digests; the scrub of the worker is the same loop with a
                   bound on its bytes
    backup         `entrepot backup` into an empty folder: every object compared while it is copied, and synced
    backup, again  into the same folder, when nothing is new
    backup, 1 %    into the same folder, when one byte in a hundred is new
    restore        `entrepot restore-backup` into an empty data folder
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench._house import RESULTS, ROOT, House, entrepot, machine, middle
from bench.small_files import idle
from entrepot.client.client import Client

CASES = ("sha256sum", "cp", "verify", "backup", "backup, again", "backup, 1 %", "restore")


def run(*words: str | Path) -> None:
    command = [sys.executable, "-m", "entrepot.cli.main", *map(str, words)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr[-1000:]}")


def fill(tree: Path, mib: int, files: int, small: int) -> None:
    tree.mkdir()
    for number in range(files):
        (tree / f"large-{number:03}.bin").write_bytes(random.randbytes((mib << 20) // files))
    for number in range(small):
        place = tree / f"d{number % 100:02}"
        place.mkdir(exist_ok=True)
        (place / f"{number:06}.bin").write_bytes(random.randbytes((mib << 20) // small))


class Care:
    """The commands on one data folder."""

    def __init__(self, folder: Path, house: House, client: Client) -> None:
        self._folder, self._house, self._client = folder, house, client
        self._number = 0

    def objects(self) -> list[Path]:
        return [path for path in (self._house.data / "objects").rglob("*") if path.is_file()]

    def stored(self) -> int:
        return sum(path.stat().st_size for path in self.objects())

    @property
    def _backup(self) -> Path:
        return self._folder / f"backup-{self._number}"

    def begin(self) -> None:
        """A round: its backup is a new one."""
        shutil.rmtree(self._backup, ignore_errors=True)
        self._number += 1

    def read(self) -> None:
        for path in self.objects():
            digest = hashlib.sha256()
            with path.open("rb", buffering=0) as file:
                while block := file.read(1 << 20):
                    digest.update(block)

    def copy(self) -> None:
        target = self._folder / "copied"
        subprocess.run(["cp", "-r", self._house.data / "objects", target], check=True)
        shutil.rmtree(target)

    def verify(self) -> None:
        run("verify", "--data", self._house.data, "--json")

    def back_up(self) -> None:
        run("backup", self._backup, "--data", self._house.data, "--json")

    def add(self, size: int) -> None:
        """So many bytes that the last backup does not have."""
        place = self._folder / "new.bin"
        place.write_bytes(random.randbytes(size))
        self._client.data.push(place, f"bench/new-{self._number}")

    def restore(self) -> None:
        target = self._folder / "restored"
        run("restore-backup", self._backup, "--data", target, "--json")
        shutil.rmtree(target)


def took(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds on the clock, and of the processor in this process and those that it waited for."""
    before, began = _spent(), time.perf_counter()
    work()
    return time.perf_counter() - began, _spent() - before


def _spent() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def measured(
    folder: Path, mib: int, files: int, small: int, rounds: int
) -> tuple[dict[str, list[tuple[float, float, int]]], int]:
    """By case, for every round: seconds, seconds of the processor, bytes. And the objects at the end."""
    os.environ["XDG_STATE_HOME"] = os.environ["XDG_CACHE_HOME"] = str(folder / "state")
    found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in CASES}
    with entrepot(folder) as house, Client(f"http://127.0.0.1:{house.server.port}", house.token) as client:
        tree = folder / "tree"
        fill(tree, mib, files, small)
        client.data.push(tree, "bench/tree")
        shutil.rmtree(tree)
        care = Care(folder, house, client)
        for _ in range(rounds):
            care.begin()
            work: dict[str, Callable[[], None]] = {
                "sha256sum": care.read,
                "cp": care.copy,
                "verify": care.verify,
                "backup": care.back_up,
            }
            for name in random.sample(list(work), len(work)):
                idle(house.server)
                found[name].append((*took(work[name]), care.stored()))
            found["backup, again"].append((*took(care.back_up), care.stored()))
            care.add(care.stored() // 100)
            idle(house.server)
            found["backup, 1 %"].append((*took(care.back_up), care.stored()))
            found["restore"].append((*took(care.restore), care.stored()))
            for name in CASES:
                print(f"  {name:14} {found[name][-1][0]:7.2f} s, {found[name][-1][1]:7.2f} s of processor", flush=True)
        return found, len(care.objects())


def table(found: dict[str, list[tuple[float, float, int]]]) -> str:
    lines = ["| | MB/s | seconds | of the processor |", "|---|---|---|---|"]
    for name, rounds in found.items():
        rates = middle([size / clock / 1e6 for clock, _, size in rounds], ".0f")
        spent = statistics.median(processor for _, processor, _ in rounds)
        lines.append(f"| {name} | {rates} | {middle([clock for clock, _, _ in rounds])} | {spent:.2f} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench care")
    parser.add_argument("--mib", type=int, default=512, help="of the large files, and as much again of the small ones")
    parser.add_argument("--files", type=int, default=16)
    parser.add_argument("--small", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where everything is made (default: for temporary files)")
    parser.add_argument("--keep", action="store_true", help="write the figures to bench/results/")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="care-", dir=options.folder) as scratch:
        found, objects = measured(Path(scratch), options.mib, options.files, options.small, options.rounds)
    about = (
        f"{options.mib} MiB in {options.files} files and as much in {options.small:,} small ones, {objects} objects, "
        f"{options.rounds} rounds. {machine()}."
    )
    text = table(found)
    print(f"\n{text}\n\n{about}")
    if options.keep:
        head = f"# {(__doc__ or '').splitlines()[0]}\n\n{about} Again: `python -m bench care --keep`.\n\n"
        (RESULTS / "care.md").write_text(f"{head}{text}\n", encoding="utf-8")
        raw = json.dumps({"about": about, "rounds": found}, indent=1)
        (RESULTS / "care.json").write_text(f"{raw}\n", encoding="utf-8")
    return 0
