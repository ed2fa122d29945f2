"""The UFDL door: a large file both ways, small ones, many at once, and a copy, beside what the original took.

    python -m bench ufdl [--rounds 5] [--keep]

One kept connection, one answering process, fsync on. The original cannot be run here, so its figures are those that
were measured once (SQLite, loopback, one process, two shared cores): another day, another machine of the same kind. The
goal is therefore a factor that no weather explains: ten times as fast, and twice as fast where bytes decide.
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


def once(client: Client, mark: str) -> dict[str, float]:
    """Seconds of each case, each on a dataset of its own."""
    pk, many, source = (client.dataset(f"{name} {mark}") for name in ("files", "many", "source"))
    large, small, five_hundred, two_hundred = (
        os.urandom(LARGE),
        os.urandom(10 << 10),
        archive(500, 2000),
        archive(200, 2000),
    )
    client.upload(f"{source}/files-multi", two_hundred)
    return {
        "64 MiB up": timed(lambda: client.upload(f"{pk}/files/large", large)),
        "64 MiB down": timed(lambda: client.download(f"{pk}/files/large")),
        "10 KiB up": timed(lambda: client.upload(f"{pk}/files/small", small)),
        "10 KiB down": timed(lambda: client.download(f"{pk}/files/small")),
        "500 files by files-multi": timed(lambda: client.upload(f"{many}/files-multi", five_hundred)),
        "copy of 200 files": timed(lambda: client.json("POST", f"datasets/{source}/copy", {})),
    }


def table(found: dict[str, list[float]]) -> str:
    lines = [
        "| case | ms, median (range) | the original's ms | times as fast | goal |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, seconds in found.items():
        original, goal = ORIGINAL[name]
        ratio = original / statistics.median(seconds)
        verdict = "reached" if ratio >= goal else "missed"
        shown = middle([1000 * one for one in seconds], ".1f")
        lines.append(f"| {name} | {shown} | {1000 * original:.0f} | {ratio:.1f} | {goal:.0f}, {verdict} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench ufdl")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", action="store_true", help="write the figures to bench/results/")
    options = parser.parse_args(arguments)
    found: dict[str, list[float]] = {name: [] for name in ORIGINAL}
    with tempfile.TemporaryDirectory(prefix="ufdl-") as scratch, entrepot(Path(scratch)) as house:
        house.server.reset_memory()
        with Connection(house.server.port) as link:
            client = Client(link, house.bearer)
            for done in range(options.rounds + 1):
                for name, seconds in once(client, str(done)).items():
                    if done:  # the first round warms up
                        found[name].append(seconds)
        peak = max(house.server.memory().values()) >> 20
    text = table(found)
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
