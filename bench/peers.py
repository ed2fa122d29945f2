"""The first push of a folder, the same once more, and after an edit, beside restic, borg, rclone and dvc.

    python -m bench peers [--mib 1024] [--files 64] [--rounds 3] [--folder DIR] [--keep]

A folder of random bytes in equal files. Everything is here: our server as it is installed, the repositories of the
others on the same disk as its data, rclone with a folder as its remote (it copies, keeps no versions and no digests),
dvc with a local remote. Ours goes through HTTP and a server of its own; theirs are one program on files. Who keeps
digests: ours (SHA-256, compared on arrival), restic (SHA-256), borg (keyed BLAKE2), dvc (MD5).

    first       everything is new
    again       nothing changed
    edit        one file in sixteen has its last kilobyte changed

Each round uses a new folder and new repositories, the programs in random order. Seconds on the wall, median and range;
"stored" is what lies on the disk after the edit, over the bytes of the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench._house import RESULTS, ROOT, entrepot, machine, middle

STEPS = ("first", "again", "edit")


def make_tree(folder: Path, mib: int, files: int) -> None:
    size = mib * (1 << 20) // files
    folder.mkdir()
    for number in range(files):
        (folder / f"part-{number:04}.bin").write_bytes(random.randbytes(size))


def edit(folder: Path) -> None:
    for number, path in enumerate(sorted(folder.iterdir())):
        if number % 16 == 0:
            with path.open("r+b") as file:
                file.seek(-1024, os.SEEK_END)
                file.write(random.randbytes(1024))


def call(command: list[str | Path], cwd: Path | None = None, **environ: str) -> None:
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env={**os.environ, **environ}, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr[-1000:]}")


def stored(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class Peer:
    """A program with a place of its own."""

    def __init__(self, place: Path, tree: Path, binary: str) -> None:
        self.place, self.tree, self.binary = place, tree, binary
        place.mkdir()

    def prepare(self) -> None: ...

    def push(self) -> None: ...

    def close(self) -> None: ...


class Restic(Peer):
    def prepare(self) -> None:
        self.environ = {
            "RESTIC_PASSWORD": "bench",
            "RESTIC_REPOSITORY": str(self.place),
            "RESTIC_CACHE_DIR": f"{self.place}-cache",
        }
        call([self.binary, "init", "-q"], **self.environ)

    def push(self) -> None:
        call([self.binary, "backup", "-q", self.tree], **self.environ)


class Borg(Peer):
    def prepare(self) -> None:
        self.environ = {"BORG_PASSPHRASE": "bench", "BORG_BASE_DIR": f"{self.place}-base"}
        self.count = 0
        call([self.binary, "init", "-e", "authenticated-blake2", self.place / "repo"], **self.environ)

    def push(self) -> None:
        self.count += 1
        call([self.binary, "create", "-C", "none", f"{self.place / 'repo'}::a{self.count}", self.tree], **self.environ)


class Rclone(Peer):
    def push(self) -> None:
        call([self.binary, "copy", "--config", os.devnull, self.tree, self.place])


class Dvc(Peer):
    def prepare(self) -> None:
        # It tracks folders inside of its own project, so it gets the tree by name.
        self.work = self.place / "work"
        self.work.mkdir()
        (self.work / "tree").symlink_to(self.tree)
        call([self.binary, "init", "-q", "--no-scm"], self.work)
        call([self.binary, "remote", "add", "-q", "-d", "store", str(self.place / "remote")], self.work)

    def push(self) -> None:
        copy = self.work / "data"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.tree, copy)
        began = time.perf_counter()
        call([self.binary, "add", "-q", "data"], self.work)
        call([self.binary, "push", "-q"], self.work)
        self.took = time.perf_counter() - began


class Entrepot(Peer):
    def prepare(self) -> None:
        self._context = entrepot(self.place)
        self.house = self._context.__enter__()
        self.environ = {
            "PYTHONPATH": str(ROOT / "src"),
            "ENTREPOT_URL": f"http://127.0.0.1:{self.house.server.port}",
            "ENTREPOT_TOKEN": self.house.token,
            "XDG_CACHE_HOME": str(self.place / "cache"),
            "XDG_STATE_HOME": str(self.place / "state"),
        }

    def push(self) -> None:
        command = [sys.executable, "-m", "entrepot.cli.main", "push", str(self.tree), "bench/tree", "--json"]
        call([*command], **self.environ)

    def close(self) -> None:
        self._context.__exit__(None, None, None)


PEERS: dict[str, tuple[type[Peer], str]] = {
    "entrepot push": (Entrepot, sys.executable),
    "restic backup": (Restic, "restic"),
    "borg create": (Borg, "borg"),
    "rclone copy": (Rclone, "rclone"),
    "dvc add, push": (Dvc, "dvc"),
}


def timed(peer: Peer) -> float:
    began = time.perf_counter()
    peer.push()
    return getattr(peer, "took", time.perf_counter() - began)


def measured(folder: Path, mib: int, files: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    there = {name: (kind, shutil.which(binary)) for name, (kind, binary) in PEERS.items()}
    for name, (_, binary) in there.items():
        if binary is None:
            print(f"not installed, so without it: {name.split()[0]}")
    found: dict[str, dict[str, list[float]]] = {
        name: {step: [] for step in (*STEPS, "stored")} for name, (_, binary) in there.items() if binary
    }
    for number in range(rounds):
        home = folder / f"round-{number}"
        home.mkdir()
        tree = home / "tree"
        make_tree(tree, mib, files)
        peers: dict[str, Peer] = {}
        try:
            for name in found:
                kind, binary = there[name]
                assert binary is not None
                peers[name] = kind(home / name.split()[0], tree, binary)
                peers[name].prepare()
            for step in STEPS:
                if step == "edit":
                    edit(tree)
                for name in random.sample(list(peers), len(peers)):
                    found[name][step].append(timed(peers[name]))
                    print(f"  {name:16} {step:6} {found[name][step][-1]:7.2f} s", flush=True)
            for name, peer in peers.items():
                kept = stored(peer.place / "remote") if isinstance(peer, Dvc) else stored(peer.place)
                found[name]["stored"].append(kept / (mib << 20))
        finally:
            for peer in peers.values():
                peer.close()
        shutil.rmtree(home)
    return found


def table(found: dict[str, dict[str, list[float]]]) -> str:
    lines = [
        "| | first, s | again, s | edit, s | stored | first × ours | again × ours |",
        "|---|---|---|---|---|---|---|",
    ]
    ours = found["entrepot push"]
    for name, took in found.items():
        ratios = [
            middle([theirs / own for theirs, own in zip(took[step], ours[step], strict=True)]) for step in STEPS[:2]
        ]
        cells = [middle(took[step]) for step in STEPS]
        cells += [f"{statistics.median(took['stored']):.2f}", *ratios]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench peers")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--files", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where everything is made (default: for temporary files)")
    parser.add_argument("--keep", action="store_true", help="write the figures to bench/results/")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="peers-", dir=options.folder) as scratch:
        found = measured(Path(scratch), options.mib, options.files, options.rounds)
    about = f"{options.mib} MiB in {options.files} files, {options.rounds} rounds. {machine()}."
    text = table(found)
    print(f"\n{text}\n\n{about}")
    if options.keep:
        head = f"# {(__doc__ or '').splitlines()[0]}\n\n{about} Again: `python -m bench peers --keep`.\n\n"
        head += "Above 1 in the last two columns: they take longer than we.\n\n"
        (RESULTS / "peers.md").write_text(f"{head}{text}\n", encoding="utf-8")
        raw = json.dumps({"about": about, "seconds": found}, indent=1)
        (RESULTS / "peers.json").write_text(f"{raw}\n", encoding="utf-8")
    return 0
