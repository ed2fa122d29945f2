"""A small JSON read with a token, beside the same read on FastAPI with async SQLAlchemy.

    python -m bench http_json [--rounds 5] [--seconds 3] [--keep]

`GET /api/v1/versions/{id}` with a bearer token over 16 kept connections, by `wrk` where it is installed. The reference
application is in this folder: the same server program with one process, FastAPI, SQLAlchemy's async engine on
aiosqlite, and for each request a look-up of the token by its SHA-256, a judgement (not revoked, not out of date) and a
read of the row, on a database file with the same mode of journal; it answers with as many fields, through a pydantic
model. It does less than ours: no rights of teams and projects, no log line, no metrics, no request id.

    versions             ours, as it is installed
    versions, no log     ours without the access log
    reference            FastAPI + async SQLAlchemy
    healthz              ours, a route that reads nothing: what the edge costs
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench._house import RESULTS, ROOT, Connection, Server, entrepot, machine, middle
from tests.support.servers import free_port

CONNECTIONS = 16
GOAL = 2.0


@contextmanager
def reference(folder: Path, record: dict[str, object]) -> Iterator[tuple[Server, dict[str, str]] | None]:
    """The reference application on a database with the same record; None where a library for it is missing."""
    missing = [name for name in ("aiosqlite", "greenlet") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"not installed, so without the reference: {', '.join(missing)}")
        yield None
        return
    port = free_port()
    home = folder / "reference"
    home.mkdir()
    (home / "record.json").write_text(json.dumps(record))
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        "HTTP_JSON_FOLDER": str(home),
    }
    options = ["--interface", "asgi", "--loop", "uvloop", "--no-ws", "--no-access-log"]
    command = [sys.executable, "-m", "granian", "bench._json_server:app", "--port", str(port), *options]
    server = Server(command, port, env, log=folder / "reference.log")
    try:
        yield server, {"Authorization": "Bearer reference-token"}
    finally:
        server.stop()


def load(port: int, target: str, fields: dict[str, str], seconds: float) -> float:
    """Answers a second."""
    with Connection(port) as link:
        link.ask("GET", target, fields)
    binary = shutil.which("wrk")
    if binary is None:
        return _threads(port, target, fields, seconds)
    said = [word for name, value in fields.items() for word in ("-H", f"{name}: {value}")]
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", *said]
    found = subprocess.run(
        [binary, *options, f"http://127.0.0.1:{port}{target}"], capture_output=True, text=True, check=True
    ).stdout
    if "Non-2xx" in found or "Socket errors" in found:
        raise RuntimeError(found)
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", found)
    assert rate is not None
    return float(rate[1])


def _threads(port: int, target: str, fields: dict[str, str], seconds: float) -> float:
    """The same by threads of our own, which cost more than wrk: both sides look slower and closer together."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    request = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n".encode()
    counts = [0] * CONNECTIONS
    end = time.perf_counter() + seconds

    def ask(one: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            while time.perf_counter() < end:
                sock.sendall(request)
                got = sock.recv(65536)
                length = int(got.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                left = length - len(got.partition(b"\r\n\r\n")[2])
                while left > 0:
                    left -= len(sock.recv(65536))
                counts[one] += 1

    threads = [threading.Thread(target=ask, args=(one,)) for one in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def measured(folder: Path, rounds: int, seconds: float) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Answers a second, and milliseconds of the server's processors for each answer, by case."""
    with ExitStack() as stack:
        (folder / "quiet").mkdir()
        ours = stack.enter_context(entrepot(folder))
        quiet = stack.enter_context(entrepot(folder / "quiet", "access_log=false"))
        target = f"/api/v1/versions/{ours.version}"
        with Connection(ours.server.port) as link:
            record = json.loads(link.ask("GET", target, ours.bearer)[2])
        theirs = stack.enter_context(reference(folder, record))
        cases: dict[str, tuple[Server, str, dict[str, str]]] = {
            "versions": (ours.server, target, ours.bearer),
            "versions, no log": (quiet.server, f"/api/v1/versions/{quiet.version}", quiet.bearer),
            "healthz": (ours.server, "/healthz", {}),
        }
        if theirs is not None:
            cases["reference"] = theirs[0], f"/versions/{record['id']}", theirs[1]
        rates: dict[str, list[float]] = {name: [] for name in cases}
        costs: dict[str, list[float]] = {name: [] for name in cases}
        for done in range(rounds + 1):
            for name in random.sample(list(cases), len(cases)):
                server, path, fields = cases[name]
                cpu, start = server.cpu_s(), time.perf_counter()
                rate = load(server.port, path, fields, seconds if done else 1)
                took = time.perf_counter() - start
                if done:  # the first round warms up
                    rates[name].append(rate)
                    costs[name].append(1000 * (server.cpu_s() - cpu) / (rate * took))
                    print(f"  {name:18} {rate:7.0f}/s", flush=True)
    return rates, costs


def table(rates: dict[str, list[float]], costs: dict[str, list[float]]) -> str:
    lines = ["| case | answers/s, median (range) | server's CPU ms each | × reference |", "|---|---|---|---|"]
    for name, found in rates.items():
        ratio = ""
        if "reference" in rates:
            ratio = middle([own / base for own, base in zip(found, rates["reference"], strict=True)])
        lines.append(f"| {name} | {middle(found, '.0f')} | {statistics.median(costs[name]):.2f} | {ratio} |")
    if "reference" in rates:
        ratio_now = statistics.median(a / b for a, b in zip(rates["versions"], rates["reference"], strict=True))
        lines += ["", f"Goal for `versions`: {GOAL} × the reference; {'reached' if ratio_now >= GOAL else 'missed'}."]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench http_json")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load for each case and round")
    parser.add_argument("--keep", action="store_true", help="write the figures to bench/results/")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="http_json-") as scratch:
        rates, costs = measured(Path(scratch), options.rounds, options.seconds)
    text = table(rates, costs)
    client = "wrk" if shutil.which("wrk") else "threads of our own"
    about = (
        f"{CONNECTIONS} connections by {client}, {options.rounds} rounds of {options.seconds:g} s after one of warming "
        f"up, interleaved in random order. {machine()}."
    )
    print(f"\n{text}\n\n{about}")
    if options.keep:
        head = f"# {(__doc__ or '').splitlines()[0]}\n\n{about} Again: `python -m bench http_json --keep`.\n\n"
        (RESULTS / "http_json.md").write_text(f"{head}{text}\n", encoding="utf-8")
        (RESULTS / "http_json.json").write_text(
            json.dumps({"about": about, "rates": rates, "cpu_ms": costs}, indent=1) + "\n", encoding="utf-8"
        )
    return 0
