"""Records: how fast lines are checked, in how much memory, and how long item 10,000,000 takes.

    python -m bench records [check] [whole] [access] [parsers] [--mib 32] [--whole 1024] [--items 12000000] [--rounds 3]
                            [--seconds 90] [--all] [--keep]

Without a part named, `check`, `whole` and `access` are run; on a quiet machine they take about 80 s. Once `--seconds`
have passed no further part and no further round is begun; what was left out is named. With `--keep`, parts that were
kept before and not run now stay. Cases run in random order in each round, each in a
process of its own, whose peak memory is shown; readers whose packages are missing are left out.

check     NDJSON of six shapes, from the page cache: MB/s on the wall and of processor time, peak memory, × `json`. Each
          case has read a line before the clock starts: libraries are loaded once in a process, and counted for nobody
    check               entrepot.records.check.Check with the index of lines, as the worker runs it
    check, image lines  the same with a schema applied to every line
    orjson, json        a loop of loads over the lines, which finds no key that is there twice (`json` is the reference)
    duckdb              SELECT count(*) FROM read_ndjson_objects, one thread
    check, decoded      with --all: check without the automaton for lines that are alike: every line is decoded
    json, pairs         with --all: json with the keys of every object looked at, what `check` must be as strict as
    pandas              with --all: read_json(lines=True) in chunks
whole     `check` alone on a file of 1 GiB of flat lines and on its first part of `--mib`: that memory does not grow
access    a file of many short lines, published in a depot on disk: milliseconds for one item
    item, cold          the catalogue, index and file out of the page cache, a new depot
    item, warm          the same item again, and items drawn at random
    reading to it       a plain loop of readline up to the item
parsers   what the choice of parser rests on: MB/s of processor time of each, with and without finding repeated keys
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

PARTS = ("check", "whole", "access", "parsers")
BLOCK = 1 << 20
#: MB/s of one core that `check` is to reach.
GOAL = 100
REFERENCE = "json"
TARGET = 10_000_000


class Took(NamedTuple):
    """Seconds on the wall and of the processor, and the process's peak memory in bytes."""

    wall: float
    processor: float
    peak: int = 0


# What is read


def line(shape: str, i: int, chance: random.Random) -> dict[str, Any]:
    """One item: about 30 bytes if `short`, 140 if `flat`, 280 and nested if `rich`, 7,000 and mostly numbers if `long`;
    `image` as batches for prediction have them, 85; `boxes` as annotations of pictures are, 400, with lists of up to
    eight objects of which some have a key that others do not.
    """
    if shape == "short":
        return {"i": i, "v": round(chance.random(), 6)}
    if shape == "image":
        return {"kind": "Image", "url": f"https://bucket.example.org/data/{i:08d}/img_{chance.getrandbits(32):08x}.png"}
    if shape == "boxes":
        found: list[dict[str, Any]] = []
        for n in range(chance.randrange(9)):
            box = [round(chance.random() * 1000, 1) for _ in range(4)]
            found.append({"id": n, "label": chance.choice(("cat", "dog", "bird")), "box": box})
            if chance.random() < 0.3:
                found[-1]["score"] = round(chance.random(), 3)
        return {"image": f"img_{i:08d}.png", "width": 1920, "height": 1080, "boxes": found, "done": not i % 3}
    if shape == "flat":
        return {
            "id": i,
            "user": f"user{i % 1000}",
            "score": chance.random(),
            "label": chance.choice(("cat", "dog", "bird")),
            "ok": bool(i & 1),
            "when": f"2026-11-{i % 28 + 1:02d}T10:00:{i % 60:02d}Z",
            "note": "some words here",
        }
    if shape == "long":
        text = 'lorem ipsum dolor sit amet, "quoted": yes\n ' * 100
        return {"id": i, "text": text, "vector": [round(chance.random(), 5) for _ in range(256)]}
    return {
        "id": i,
        "name": f"Müller {i}",
        "tags": ["a", "b", str(i)],
        "pos": {"x": chance.random(), "y": chance.random(), "z": None},
        "ok": True,
        "text": "lorem ipsum dolor sit amet " * 5,
    }


def write(path: Path, shape: str, *, size: int) -> Path:
    """A file of at least `size` bytes: a part of 4 MiB, repeated."""
    chance, at, i = random.Random(7), 0, 0
    part: list[bytes] = []
    with path.open("wb") as file:
        while at < size:
            if at < 4 * BLOCK:
                text = json.dumps(line(shape, i, chance), separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
                part.append(text)
                at += file.write(text)
                i += 1
            else:
                at += file.write(b"".join(part))
    return path


# Checking


def lines_of(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=BLOCK) as file:
        yield from file


def check(path: Path, declared: object = None) -> None:
    from entrepot.records.check import Check
    from entrepot.records.index import IndexWriter
    from entrepot.records.rules import rule_of

    writer = IndexWriter()
    one = Check(rule=rule_of(declared), index=writer)
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            one.feed(block)
            writer.drain()
    assert one.finish().good
    writer.finish(path.stat().st_size)


def check_decoded(path: Path) -> None:
    from entrepot.records import alike

    alike.automaton = lambda expression: None
    check(path)


def loop(path: Path, loads: Callable[[bytes], Any]) -> None:
    for text in lines_of(path):
        loads(text)


def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(found)
    assert len(made) == len(found)
    return made


STRICT = json.JSONDecoder(object_pairs_hook=pairs)


def strictly(text: bytes) -> Any:
    return STRICT.decode(text.decode())


def by_duckdb(path: Path) -> None:
    duckdb = importlib.import_module("duckdb")
    duckdb.execute("SET threads = 1").execute("SELECT count(json) FROM read_ndjson_objects(?)", [str(path)]).fetchall()


def by_pandas(path: Path) -> None:
    pandas = importlib.import_module("pandas")
    with pandas.read_json(path, lines=True, chunksize=100_000) as chunks:
        for _ in chunks:
            pass


CHECKS: dict[str, tuple[str | None, Callable[[Path], None]]] = {
    "check": (None, check),
    "check, image lines": ("jsonschema_rs", lambda path: check(path, {"lines": "image"})),
    "check, decoded": (None, check_decoded),
    "orjson": ("orjson", lambda path: loop(path, importlib.import_module("orjson").loads)),
    "json": (None, lambda path: loop(path, json.loads)),
    "json, pairs": (None, lambda path: loop(path, strictly)),
    "duckdb": ("duckdb", by_duckdb),
    "pandas": ("pandas", by_pandas),
}


#: Shapes of lines that are checked.
SHAPES = ("flat", "image", "boxes", "rich", "long", "short")
#: Cases that take so long that they are left out unless asked for.
SLOW = ("check, decoded", "json, pairs", "pandas")


def installed(package: str | None) -> bool:
    return package is None or importlib.util.find_spec(package) is not None


def child(case: str, path: Path) -> Took:
    """One case in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.records", "--case", case, "--file", str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
    )
    return Took(*json.loads(done.stdout.splitlines()[-1]))


def in_child(case: str, path: Path) -> None:
    """What `child` starts."""
    run = CHECKS[case][1]
    with tempfile.NamedTemporaryFile(suffix=".ndjson") as one, path.open("rb") as file:
        one.write(file.readline())
        one.flush()
        run(Path(one.name))
    wall, processor = time.perf_counter(), time.process_time()
    run(path)
    took = (time.perf_counter() - wall, time.process_time() - processor)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(int(row.split()[1]) << 10 for row in status.splitlines() if row.startswith("VmHWM"))
    print(json.dumps([*took, peak]))


def measure_checks(
    folder: Path, mib: int, rounds: int, everything: bool, late: Callable[[], bool]
) -> dict[str, dict[str, list[Took]]]:
    files = {shape: write(folder / f"{shape}.ndjson", shape, size=mib << 20) for shape in SHAPES}
    found: dict[str, dict[str, list[Took]]] = {shape: {} for shape in SHAPES}
    for turn in range(rounds):
        # A round is one of every shape: where time is over, all have as many.
        if turn and late():
            break
        for shape, path in files.items():
            cases = [
                name
                for name, (package, _) in CHECKS.items()
                if installed(package)
                and (shape == "image" or name != "check, image lines")
                and (everything or name not in SLOW)
            ]
            for case in random.sample(cases, len(cases)):
                found[shape].setdefault(case, []).append(child(case, path))
    for path in files.values():
        path.unlink()
    return {shape: {case: times[case] for case in CHECKS if case in times} for shape, times in found.items()}


def measure_whole(folder: Path, mib: int, of: int) -> dict[int, Took]:
    """`check` of the first so many MiB and of the whole of a file."""
    found: dict[int, Took] = {}
    for size in (mib, of):
        path = write(folder / "whole.ndjson", "flat", size=size << 20)
        found[size] = child("check", path)
        path.unlink()
    return found


def whole_table(found: dict[int, Took]) -> str:
    rows = ["| MiB | seconds | MB/s | MB/s of processor time | goal | peak MiB |", "|---|---|---|---|---|---|"]
    for mib, took in found.items():
        megabytes = mib * 1.048576
        speeds = f"{megabytes / took.wall:,.0f} | {megabytes / took.processor:,.0f}"
        goal = judged(megabytes / took.processor)
        rows.append(f"| {mib:,} | {took.wall:.1f} | {speeds} | {goal} | {took.peak >> 20:,} |")
    return "\n".join(rows)


def judged(speed: float) -> str:
    return f"{GOAL}, {'reached' if speed >= GOAL else 'missed'}"


def check_table(times: dict[str, list[Took]], mib: int) -> str:
    rows = [
        f"| case | MB/s, median (range) | MB/s of processor time | goal | peak MiB | × `{REFERENCE}` |",
        "|---|---|---|---|---|---|",
    ]
    megabytes = mib * 1.048576
    for case, took in times.items():
        speeds = sorted(megabytes / one.wall for one in took)
        processor = statistics.median(megabytes / one.processor for one in took)
        ratio = statistics.median(a.wall / b.wall for a, b in zip(times[REFERENCE], took, strict=True))
        speed = f"{statistics.median(speeds):,.0f} ({speeds[0]:,.0f} to {speeds[-1]:,.0f})"
        peak = max(one.peak for one in took) >> 20
        goal = judged(processor) if case in ("check", "check, image lines") else ""
        rows.append(f"| {case} | {speed} | {processor:,.0f} | {goal} | {peak:,} | {ratio:.2f} |")
    return "\n".join(rows)


# Access


def forget(folder: Path) -> None:
    """Take the files of a folder out of the page cache."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def numbered(path: Path, items: int) -> Path:
    """Short lines, as `line` makes them, of which each tells its number; made fast, since they are many."""
    with path.open("wb") as file:
        for first in range(0, items, 10_000):
            numbers = range(first, min(first + 10_000, items))
            file.write("".join([f'{{"i":{i},"v":0.{i * 7919 % 1_000_000:06}}}\n' for i in numbers]).encode())
    return path


def measure_access(folder: Path, items: int, rounds: int, late: Callable[[], bool]) -> dict[str, list[float]]:
    """Milliseconds; the file has `items` items, of which number `TARGET` (or the last) is asked for."""
    from entrepot.catalog.work import JobKind
    from entrepot.depot import bootstrap, ingests, records, slots
    from entrepot.depot.credentials import as_operator
    from entrepot.depot.slots import NewSlot
    from entrepot.depot.versions import NewVersion
    from entrepot.jobs.runner import Runner
    from entrepot.model.values import Kind
    from entrepot.server import commands, compose

    target = min(TARGET, items - 1)
    path = numbered(folder / "items.ndjson", items)
    config = commands.load_config({"data": str(folder / "data")}, (), environ={})
    with compose.open_depot(config, upgrade=True) as depot:
        bootstrap.bootstrap(depot, admin_password="of a bench")
        who = as_operator(depot, "admin")
        new = NewVersion(name="Items", kind=Kind.RECORDS)
        version, (slot,) = slots.create(depot, who, None, new, [NewSlot("items.ndjson", starts=True)])
        filling = slots.fill(depot, who, slot.uid)
        with path.open("rb", buffering=0) as file:
            while block := file.read(BLOCK):
                filling.write(block)
        filling.finish()
        begun = time.perf_counter()
        kinds = {ingests.JOB: JobKind(partial(ingests.run, depot), partial(ingests.abandoned, depot))}
        Runner(depot.catalog, kinds, queue=ingests.QUEUE, worker="bench").step()
        print(f"checked, indexed and published in {time.perf_counter() - begun:.1f} s", flush=True)
    times: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        at = time.perf_counter()
        answer = work()
        times.setdefault(name, []).append((time.perf_counter() - at) * 1000)
        return answer

    for turn in range(rounds):
        if turn and late():
            break
        forget(folder)
        with compose.open_depot(config) as depot:
            who = as_operator(depot, "admin")
            one = partial(records.get, depot, who, version.n)
            page = timed("item, cold", partial(one, target))
            assert json.loads(page.rows[0].text)["i"] == target
            timed("item, warm", partial(one, target))
            for n in random.Random(1).sample(range(items), 20):
                timed("items at random, warm", partial(one, n))
            many = partial(records.list_items, depot, who, version.n, first=target, limit=1000)
            timed("page of 1,000 there, warm", many)
        timed("reading to it, warm", partial(read_to, path, target))
    return times


def read_to(path: Path, n: int) -> bytes:
    for i, text in enumerate(lines_of(path)):
        if i == n:
            return text
    raise AssertionError(n)


def access_table(times: dict[str, list[float]]) -> str:
    rows = ["| case | ms, median (range) |", "|---|---|"]
    for case, took in times.items():
        rows.append(f"| {case} | {statistics.median(took):,.2f} ({min(took):,.2f} to {max(took):,.2f}) |")
    return "\n".join(rows)


# Parsers


def parsers() -> dict[str, Callable[[list[bytes], bytes], Any]]:
    """Each takes lines and the same as one text; those with `keys` find keys that are there twice."""

    def every(loads: Callable[[bytes], Any]) -> Callable[[list[bytes], bytes], Any]:
        return lambda lines, _: deque(map(loads, lines), maxlen=0)

    def counted(loads: Callable[[bytes], Any], dumps: Callable[[Any], bytes]) -> Callable[[list[bytes], bytes], Any]:
        def run(lines: list[bytes], text: bytes) -> None:
            assert dumps(list(map(loads, lines))).count(b":") == text.count(b":")

        return run

    found = {"json, keys": every(strictly)}
    with contextlib.suppress(ImportError):
        core = importlib.import_module("pydantic_core")
        found["pydantic-core"] = every(core.from_json)
        found["pydantic-core, keys"] = counted(core.from_json, core.to_json)
    with contextlib.suppress(ImportError):
        orjson = importlib.import_module("orjson")
        found["orjson"] = every(orjson.loads)
        found["orjson, keys"] = counted(orjson.loads, orjson.dumps)
    with contextlib.suppress(ImportError):
        msgspec = importlib.import_module("msgspec")
        decode, encode = msgspec.json.Decoder(dict).decode, msgspec.json.Encoder().encode
        found["msgspec"] = every(decode)
        found["msgspec, keys"] = counted(decode, encode)
    with contextlib.suppress(ImportError):
        simdjson = importlib.import_module("simdjson")
        parse = simdjson.Parser().parse

        def lazily(lines: list[bytes], _: bytes) -> None:
            # The parser takes no second text while anybody holds what came of the first.
            for text in lines:
                parse(text)

        found["pysimdjson, no value looked at"] = lazily
    return found


def measure_parsers(folder: Path, mib: int, rounds: int) -> str:
    from entrepot.records.fast import GROUP

    rows = {name: [name] for name in parsers()}
    for shape in ("short", "image", "rich"):
        data = write(folder / "parsed", shape, size=mib << 20).read_bytes()
        groups, at = [], 0
        while at < len(data):
            end = data.rfind(b"\n", at, at + GROUP) + 1
            groups.append((data[at:end].split(b"\n")[:-1], data[at:end]))
            at = end
        best: dict[str, float] = {}
        for _ in range(rounds):
            for name, parse in random.sample(list(parsers().items()), len(rows)):
                begun = time.process_time()
                for lines, text in groups:
                    parse(lines, text)
                best[name] = min(best.get(name, 1e9), time.process_time() - begun)
        for name, took in best.items():
            rows[name].append(f"{len(data) / took / 1e6:,.0f}")
    table = [f"| {' | '.join(cells)} |" for cells in rows.values()]
    return "\n".join(["| MB/s of processor time, best | short | image | rich |", "|---|---|---|---|", *table])


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    ).stdout.strip()
    fast = "with RE2" if installed("re2") else "without RE2: every line is decoded"
    if not installed("msgspec"):
        fast = "without msgspec: the reference judges alone"
    return (
        f"{os.cpu_count()} cores, {memory} GiB, Linux {platform.release()}, Python {platform.python_version()} {fast}, "
        f"load {os.getloadavg()[0]:.1f} at the end, commit {commit or 'unknown'}, {datetime.now(UTC):%Y-%m-%d}"
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="check, whole, access, parsers")
    parser.add_argument("--mib", type=int, default=32, help="size of each file that is checked (default 32)")
    parser.add_argument("--whole", type=int, default=1024, help="MiB of the file of the part whole (default 1024)")
    parser.add_argument(
        "--seconds", type=float, default=90, help="no further part or round begins after these (default 90)"
    )
    parser.add_argument("--items", type=int, default=12_000_000, help="items of the file for access")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--all", action="store_true", help="also the cases that take long")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where files are written; a temporary folder otherwise"
    )
    parser.add_argument("--keep", action="store_true", help="write the figures to bench/results/")
    parser.add_argument("--case", choices=CHECKS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.case is not None:
        in_child(options.case, options.file)
        return 0
    parts = options.parts or ["check", "whole", "access"]
    begun = time.monotonic()

    def late() -> bool:
        return time.monotonic() - begun > options.seconds

    folder = Path(tempfile.mkdtemp(prefix="bench-records-", dir=options.folder))
    pages: dict[str, str] = {}
    found: dict[str, Any] = {}
    left_out: list[str] = []

    def wanted(part: str) -> bool:
        if part in parts and found and late():
            left_out.append(part)
            return False
        return part in parts

    try:
        # The parts of a fixed amount come first; what is left of the time is for the rounds of the others.
        if wanted("whole"):
            found["whole"] = measure_whole(folder, options.mib, options.whole)
            pages["whole"] = f"Flat lines.\n\n{whole_table(found['whole'])}"
            print(pages["whole"] + "\n", flush=True)
        if wanted("access"):
            found["access"] = measure_access(folder, options.items, options.rounds, late)
            pages["access"] = f"{options.items:,} items.\n\n{access_table(found['access'])}"
            print(pages["access"] + "\n", flush=True)
        if wanted("check"):
            found["check"] = measure_checks(folder, options.mib, options.rounds, options.all, late)
            tables = [f"{shape} lines\n\n{check_table(times, options.mib)}" for shape, times in found["check"].items()]
            about = f"Files of {options.mib} MiB, at most {options.rounds} rounds."
            pages["check"] = "\n\n".join([about, *tables])
            print(pages["check"] + "\n", flush=True)
        if wanted("parsers"):
            found["parsers"] = measure_parsers(folder, min(options.mib, 16), options.rounds)
            pages["parsers"] = found["parsers"]
            print(pages["parsers"] + "\n", flush=True)
    finally:
        shutil.rmtree(folder)
    for part in left_out:
        print(f"{part} was left out: {options.seconds:.0f} s had passed.")
    print(f"{time.monotonic() - begun:.0f} s. {machine()}")
    if options.keep:
        # Not above: it brings the server in, whose memory would be counted as that of every case.
        from bench._house import keep_parts

        keep_parts("records", (__doc__ or "").splitlines()[0], PARTS, pages, found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
