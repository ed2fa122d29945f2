"""The UFDL door: a large file both ways, small ones, many at once, and a copy, beside what the original took.

    python -m bench ufdl [--rounds 5] [--keep]

One kept connection, one answering process, fsync on. The original cannot be run here, so its figures are those that
were measured once (SQLite, loopback, one process, two shared cores): another day, another machine of the same kind. The
goal is therefore a factor that no weather explains: ten times as fast, and twice as fast where bytes decide.

A small upload cannot be faster than the disk confirms it: its bytes, their name, and the fact. So these three syncs are
measured alone too, beside it in every round, on the folder that the server writes to. The original asks for none of the
first two.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from bench._house import RESULTS, Connection, entrepot, machine, middle

LARGE = 64 << 20
#: Small requests a round: one alone says little.
SMALL = 10
SYNCS = "three syncs alone"
#: Case → seconds of the original, and how many times as fast ours has to be.
ORIGINAL = {
    "64 MiB up": (1.2, 2.0),
    "64 MiB down": (0.9, 2.0),
    "10 KiB up": (0.080, 10.0),
    "10 KiB down": (0.020, 10.0),
    "500 files by files-multi": (5.0, 10.0),
    "copy of 200 files": (0.8, 10.0),
}


class Client:
    """Requests of the client's kind over one connection."""

    def __init__(self, link: Connection, bearer: dict[str, str]) -> None:
        self.link = link
        self.bearer = bearer

    def json(self, method: str, path: str, body: object) -> dict[str, int]:
        fields = {**self.bearer, "Content-Type": "application/json"}
        found: dict[str, int] = json.loads(self.link.ask(method, f"/v1/{path}", fields, json.dumps(body).encode())[2])
        return found

    def dataset(self, name: str) -> int:
        return self.json("POST", "datasets/create", {"name": name, "project": 1, "licence": 1, "tags": ""})["pk"]

    def upload(self, path: str, body: bytes) -> None:
        self.link.ask("POST", f"/v1/datasets/{path}", {**self.bearer, "Content-Type": "application/data"}, body)

    def download(self, path: str) -> None:
        self.link.ask("GET", f"/v1/datasets/{path}", self.bearer, keep=False)


def archive(count: int, size: int) -> bytes:
    """Files of chance, so that none is known yet."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as members:
        for i in range(count):
            members.writestr(f"f{i:04}.bin", os.urandom(size))
    return out.getvalue()


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def three_syncs(folder: Path, log: int) -> None:
    """What a file of 10 KiB and a transaction have to wait for, without anything around it."""
    beside = folder / os.urandom(8).hex()
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(handle, os.urandom(10 << 10))
    os.fdatasync(handle)
    os.close(handle)
    beside.rename(beside.with_suffix(".placed"))
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(place)
    os.close(place)
    # About as many pages as such a transaction writes, over those of an earlier one, as a log does.
    os.pwrite(log, os.urandom(96 << 10), 0)
    os.fdatasync(log)


def once(client: Client, mark: str, folder: Path, log: int) -> dict[str, list[float]]:
    """Seconds of each case, each on a dataset of its own; small ones first, while nothing large is being written."""
    small, pk, many, source = (client.dataset(f"{name} {mark}") for name in ("small", "files", "many", "source"))
    large, five_hundred, two_hundred = (os.urandom(LARGE), archive(500, 2000), archive(200, 2000))
    found: dict[str, list[float]] = {name: [] for name in (*ORIGINAL, SYNCS)}
    for number in range(SMALL):
        body = os.urandom(10 << 10)
        found[SYNCS].append(timed(lambda: three_syncs(folder, log)))
        found["10 KiB up"].append(timed(lambda: client.upload(f"{small}/files/{number}", body)))  # noqa: B023
        found["10 KiB down"].append(timed(lambda: client.download(f"{small}/files/{number}")))  # noqa: B023
    client.upload(f"{source}/files-multi", two_hundred)
    found["64 MiB up"].append(timed(lambda: client.upload(f"{pk}/files/large", large)))
    found["64 MiB down"].append(timed(lambda: client.download(f"{pk}/files/large")))
    found["500 files by files-multi"].append(timed(lambda: client.upload(f"{many}/files-multi", five_hundred)))
    found["copy of 200 files"].append(timed(lambda: client.json("POST", f"datasets/{source}/copy", {})))
    return found


def table(found: dict[str, list[float]]) -> str:
    lines = [
        "| case | ms, median (range) | the original's ms | times as fast | goal |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in ORIGINAL:
        seconds = found[name]
        original, goal = ORIGINAL[name]
        ratio = original / statistics.median(seconds)
        verdict = "reached" if ratio >= goal else "missed"
        shown = middle([1000 * one for one in seconds], ".1f")
        lines.append(f"| {name} | {shown} | {1000 * original:.0f} | {ratio:.1f} | {goal:.0f}, {verdict} |")
    return "\n".join(lines)


def floor(found: dict[str, list[float]]) -> str:
    """How much of a small upload is waiting for the disk."""
    alone, upload = statistics.median(found[SYNCS]), statistics.median(found["10 KiB up"])
    shown = middle([1000 * one for one in found[SYNCS]], ".1f")
    return (
        f"The three syncs of a small upload alone, measured beside it: {shown} ms. An upload that did nothing else "
        f"would be {ORIGINAL['10 KiB up'][0] / alone:.1f} times as fast as the original; ours takes "
        f"{upload / alone:.1f} times that long."
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench ufdl")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", action="store_true", help="write the figures to bench/results/")
    options = parser.parse_args(arguments)
    found: dict[str, list[float]] = {name: [] for name in (*ORIGINAL, SYNCS)}
    with tempfile.TemporaryDirectory(prefix="ufdl-") as scratch, entrepot(Path(scratch)) as house:
        house.server.reset_memory()
        folder = Path(scratch) / "alone"
        folder.mkdir()
        log = os.open(folder / "log", os.O_RDWR | os.O_CREAT)
        with Connection(house.server.port) as link:
            client = Client(link, house.bearer)
            for done in range(options.rounds + 1):
                for name, seconds in once(client, str(done), folder, log).items():
                    if done:  # the first round warms up
                        found[name] += seconds
        os.close(log)
        peak = max(house.server.memory().values()) >> 20
    text = f"{table(found)}\n\n{floor(found)}"
    about = (
        f"{options.rounds} rounds after one of warming up, fsync on, one connection, one process; the largest process "
        f"of the server took {peak} MiB (the original 320). {machine()}."
    )
    print(f"{text}\n\n{about}")
    if options.keep:
        head = f"# {(__doc__ or '').splitlines()[0]}\n\n{about} Again: `python -m bench ufdl --keep`.\n\n"
        (RESULTS / "ufdl.md").write_text(f"{head}{text}\n", encoding="utf-8")
        (RESULTS / "ufdl.json").write_text(
            json.dumps({"about": about, "seconds": found, "original": ORIGINAL}, indent=1) + "\n", encoding="utf-8"
        )
    return 0
