"""Many small files up and down through the whole server, in batches, beside nginx with a request for each.

    python -m bench small_files [--only memory|disk] [--files 10000] [--size 10240] [--rounds 5] [--keep]

One server as it is installed (SHA-256, CRC-32C and CRC-32 of every file, fsyncs, rights, catalogue, log) and one nginx
(DAV PUT, sendfile GET: no digest, no fsync, no revision). The client has raw sockets and keeps its connections; every
request of nginx goes out in one packet. Every round runs all cases once in random order, uploads with bytes that were
never seen before. Nothing begins before the processes of the case before are idle: what the worker examines behind a
commit is told in a column of its own instead of slowing whatever comes next. Each round has a version of its own:
nginx gets new files too, and whoever replaces files here keeps those that were there as history. Nothing is removed
before the end: for some minutes ext4 passes over what was removed, one by one, and whoever makes files waits for it
(seen: four times the time). All of it is done once in memory, where making a file costs next to nothing and computing
is what is compared, and once on a disk.

    PUT nginx       a request for each file, one connection
    up entrepot     batches of up to 16 MiB and 2000 files, as `push` makes them, over two connections, then the commit
                    that makes them a revision
    push entrepot   the same by `push`: reading and hashing a folder, asking what is known, sending, committing
    GET nginx       a request for each file, one connection
    down entrepot   batches of up to 2000 files over two connections; the client compares each with its SHA-256
    ..., no digests the same without that: as little as is done with what nginx sends (the server compares checksums)
    pull entrepot   the same by `pull`, into a folder
    ... 2           nginx over two connections

Per case: files a second as median and range; the ratios of the times to nginx over one connection in the same round,
above 1 is faster; microseconds of processor time for each file, of the client, of the server until the answer, and of
the server afterwards. The client hashes what `up` sends before the clock starts, and compares what
`down` brings while it runs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench._house import Connection, House, entrepot, keep_parts, machine, middle, touch_memory
from bench.http_bytes import Process, nginx
from entrepot.client.batches import grouped
from entrepot.client.client import Client
from entrepot.wire import frames
from entrepot.wire.frames import Frames

#: Case, reference, and what it should at least reach.
CASES = (
    ("PUT nginx", "PUT nginx", None),
    ("PUT nginx 2", "PUT nginx", None),
    ("up entrepot", "PUT nginx", 2.5),
    ("push entrepot", "PUT nginx", None),
    ("GET nginx", "GET nginx", None),
    ("GET nginx 2", "GET nginx", None),
    ("down entrepot", "GET nginx", 2.0),
    ("down entrepot, no digests", "GET nginx", 2.0),
    ("pull entrepot", "GET nginx", None),
)
#: Where it is done.
FOLDERS = {"memory": Path("/dev/shm"), "disk": Path(tempfile.gettempdir())}

#: Over which batches travel, and files that are handed to a connection at once.
CONNECTIONS, _AT_ONCE = 2, 25

#: Seconds of a look, looks without work after which a server is taken to be idle, and seconds that it is waited for.
_LOOK_S, _LOOKS, _PATIENCE_S = 0.3, 3, 120.0


def side_by_side(work: Callable[[Any], None], parts: list[Any]) -> float:
    """Seconds until all parts are done, a thread for each."""
    with ThreadPoolExecutor(len(parts)) as pool:
        start = time.perf_counter()
        for done in [pool.submit(work, part) for part in parts]:
            done.result()
        return time.perf_counter() - start


def idle(server: Process) -> float:
    """Processor time of the server once it has nothing to do any more."""
    last, quiet, until = server.cpu_s(), 0, time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        time.sleep(_LOOK_S)
        now = server.cpu_s()
        # A worker looks for work now and then.
        quiet = quiet + 1 if now - last <= 0.02 else 0
        if quiet == _LOOKS:
            return now
        last = now
    raise RuntimeError("the server goes on working")


class _File(NamedTuple):
    path: str
    size: int


class _Shared(Iterator[list[_File]]):
    """Batches for several connections: whichever is free takes the next."""

    def __init__(self, batches: Iterator[list[_File]]) -> None:
        self._batches = batches
        self._lock = threading.Lock()

    def __next__(self) -> list[_File]:
        with self._lock:
            return next(self._batches)


@dataclass
class Took:
    """Seconds of one case in one round: on the clock, and of the processor."""

    clock: float
    client: float
    server: float
    behind: float


class _Round:
    """One round's files and the cases on them."""

    def __init__(self, folder: Path, house: House, other: Process | None, files: int, size: int, number: int) -> None:
        self._folder = folder
        self._house = house
        self._other = other
        self._number = number
        self._bytes = files * size
        self._version = self._new_version(f"round {number}")
        # As `push` asks.
        self._batch_fields = {**house.bearer, "Prefer": "return=minimal"}
        # In the order in which `push` walks through folders.
        self._up = {path: os.urandom(size) for path in sorted(f"d{i % 100:02}/f{i:06}" for i in range(files))}
        self._digests = {path: hashlib.sha256(data).digest() for path, data in self._up.items()}
        self._tree = folder / f"tree-{number}"
        for i in range(min(100, files)):
            (self._tree / f"d{i:02}").mkdir(parents=True, exist_ok=True)
        for path, data in self._up.items():
            # Other bytes than those of `up`, or the server would know them.
            (self._tree / path).write_bytes(data[::-1])

    def _new_version(self, name: str) -> str:
        wanted = {"project": self._house.project, "name": name, "kind": "files"}
        with Connection(self._house.server.port) as link:
            fields = {**self._house.bearer, "Content-Type": "application/json"}
            made = json.loads(link.ask("POST", "/api/v1/versions", fields, json.dumps(wanted).encode())[2])
        return str(made["id"])

    def run(self, name: str) -> Took:
        server = self._other if "nginx" in name else self._house.server
        assert server is not None
        before = idle(server)
        # What the case before left dirty would be written at this one's cost.
        os.sync()
        # More than a case needs: the files on both sides of a connection, and what is stored.
        touch_memory(6 * self._bytes)
        mine = time.process_time()
        seconds = self._run(name)
        mine, during = time.process_time() - mine, server.cpu_s()
        return Took(seconds, mine, during - before, idle(server) - during)

    def _run(self, name: str) -> float:
        work: dict[str, Callable[[], float]] = {
            "PUT nginx": lambda: self._nginx("PUT", 1),
            "PUT nginx 2": lambda: self._nginx("PUT", 2),
            "up entrepot": self._batches_up,
            "push entrepot": self._push,
            "GET nginx": lambda: self._nginx("GET", 1),
            "GET nginx 2": lambda: self._nginx("GET", 2),
            "down entrepot": self._batches_down,
            "down entrepot, no digests": lambda: self._batches_down(compared=False),
            "pull entrepot": self._pull,
        }
        return work[name]()

    def _nginx(self, method: str, connections: int) -> float:
        assert self._other is not None
        port, wanted = self._other.port, list(enumerate(self._up.values()))
        # What is put is new, as it is for us; what is got is the same for both.
        name = f"nginx-{self._number}-{method}-{connections if method == 'PUT' else ''}"
        if not (self._folder / name).exists():
            (self._folder / name).mkdir()
            for i, data in wanted if method == "GET" else ():
                (self._folder / name / f"{i}").write_bytes(data)

        def work(part: list[tuple[int, bytes]]) -> None:
            with Connection(port) as link:
                for i, data in part:
                    link.ask(method, f"/{name}/{i}", {}, data if method == "PUT" else b"", keep=False)

        return side_by_side(work, [wanted[one::connections] for one in range(connections)])

    def _groups(self) -> Iterator[list[_File]]:
        """The files in batches as `push` makes them."""
        return grouped([_File(path, len(data)) for path, data in self._up.items()], senders=CONNECTIONS)

    def _batches_up(self) -> float:
        house, changes = self._house, []

        def send(groups: Iterator[list[_File]]) -> None:
            with Connection(house.server.port) as link:
                for group in groups:
                    changes.append({"op": "add_batch", "upload": self._send_batch(link, group)})

        seconds = side_by_side(send, [_Shared(self._groups())] * CONNECTIONS)
        start = time.perf_counter()
        with Connection(house.server.port) as link:
            link.ask(
                "POST",
                f"/api/v1/versions/{self._version}/commits",
                {**house.bearer, "Content-Type": "application/json"},
                json.dumps({"changes": changes}).encode(),
            )
        return seconds + time.perf_counter() - start

    def _send_batch(self, link: Connection, group: list[_File]) -> str:
        heads = [frames.header(one.path, one.size, self._digests[one.path]) for one in group]
        length = sum(map(len, heads)) + sum(one.size for one in group)
        link.head("PUT", "/api/v1/packs", self._batch_fields | {"Content-Length": str(length)})
        for start in range(0, len(group), _AT_ONCE):
            parts: list[bytes] = []
            for head, one in zip(heads[start : start + _AT_ONCE], group[start : start + _AT_ONCE], strict=True):
                parts += (head, self._up[one.path])
            link.body(b"".join(parts))
        status, _, body = link.answer()
        if status != 201:
            raise RuntimeError(f"{status} {body[:500]!r}")
        return str(json.loads(body)["upload"]["id"])

    def _batches_down(self, *, compared: bool = True) -> float:
        house, whole = self._house, []

        def bring(groups: Iterator[list[_File]]) -> None:
            with Connection(house.server.port) as link:
                for group in groups:
                    asked = json.dumps({"paths": [one.path for one in group]}).encode()
                    fields = {**house.bearer, "Content-Type": "application/json"}
                    fields["Content-Length"] = str(len(asked))
                    link.head("POST", f"/api/v1/versions/{self._version}/batch", fields)
                    link.body(asked)
                    reader = Frames()
                    for piece in link.stream():
                        for frame in reader.feed(piece)[0]:
                            if compared and hashlib.sha256(frame.body).digest() != frame.sha256:
                                raise RuntimeError(f"{frame.name} came as other bytes")
                            whole.append(frame.name)
                    reader.finish()

        seconds = side_by_side(bring, [_Shared(self._groups())] * CONNECTIONS)
        if len(whole) != len(self._up):
            raise RuntimeError(f"{len(whole)} of {len(self._up)} files came")
        return seconds

    def _client(self) -> Client:
        return Client(f"http://127.0.0.1:{self._house.server.port}", self._house.token)

    def _push(self) -> float:
        with self._client() as client:
            start = time.perf_counter()
            client.data.push(self._tree, f"bench/pushed-{self._number}")
            return time.perf_counter() - start

    def _pull(self) -> float:
        with self._client() as client:
            start = time.perf_counter()
            client.data.download(self._version, self._folder / f"pulled-{self._number}")
            return time.perf_counter() - start


def measured(folder: Path, files: int, size: int, rounds: int) -> dict[str, list[Took]]:
    """What every round took, by case."""
    os.environ["XDG_STATE_HOME"] = os.environ["XDG_CACHE_HOME"] = str(folder / "state")
    with ExitStack() as stack:
        house, other = stack.enter_context(entrepot(folder)), stack.enter_context(nginx(folder))
        todo = [name for name, _, _ in CASES if other is not None or "nginx" not in name]
        found: dict[str, list[Took]] = {name: [] for name in todo}
        for number in range(rounds + 1):
            one = _Round(folder, house, other, files, size, number)
            order = list(todo)
            random.shuffle(order)
            # There is nothing to bring down before something went up.
            order.sort(key=lambda name: name.startswith(("down entrepot", "pull entrepot")))
            for name in order:
                took = one.run(name)
                if number:  # the first round warms up
                    found[name].append(took)
    return found


def table(found: dict[str, list[Took]], files: int) -> str:
    rows = [
        "| case | files/s | x nginx | goal | client, µs a file | server | afterwards |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, reference, goal in CASES:
        if name not in found:
            continue
        rates = [files / took.clock for took in found[name]]
        ratio, verdict = "-", ""
        if reference in found:
            pairs = zip(found[reference], found[name], strict=True)
            ratios = [base.clock / own.clock for base, own in pairs]
            ratio = middle(ratios)
            if goal is not None:
                verdict = f"{goal:.1f} {'reached' if statistics.median(ratios) >= goal else 'missed'}"
        spent = [
            f"{statistics.median(getattr(took, part) for took in found[name]) / files * 1e6:.0f}"
            for part in ("client", "server", "behind")
        ]
        cells = [name, middle(rates, ".0f"), ratio, verdict, *spent]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench small_files")
    parser.add_argument("--only", choices=sorted(FOLDERS), help="in memory, or on a disk; both otherwise")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=10 << 10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", action="store_true", help="write small_files.json and .md to bench/results")
    options = parser.parse_args(arguments)
    about = (
        f"{options.files} files of {options.size} bytes, "
        f"{options.rounds} rounds after one of warming up, interleaved in random order."
    )
    for part, place in FOLDERS.items():
        if options.only not in (None, part):
            continue
        with tempfile.TemporaryDirectory(dir=place, prefix="small_files") as folder:
            found = measured(Path(folder), options.files, options.size, options.rounds)
        page = f"{about}\n\n{table(found, options.files)}"
        print(f"In {part}: {page}\n\n{machine()}\n", flush=True)
        if options.keep:
            seconds = {name: [asdict(took) for took in several] for name, several in found.items()}
            keep_parts("small_files", (__doc__ or "").splitlines()[0], list(FOLDERS), {part: page}, {part: seconds})
    return 0
