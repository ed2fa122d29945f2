"""What receiving and sending bytes over HTTP costs beside the plainest loop on the same server, and beside nginx.

    python -m bench http_bytes [--folder /dev/shm] [--mib 256] [--rounds 7] [--only GET] [--keep]

One granian with a 4 MiB buffer, one client with raw sockets, one connection a request; nginx (DAV PUT, sendfile GET)
where it is installed. Each round runs all cases once, in random order. Per case: MiB/s, milliseconds of CPU that the
server's processes used for each GiB, both as median and range; and the median of the ratios of the times to the
direction's reference in the same round, above 1 meaning faster. The CPU figure is the one to trust on a shared machine.

    PUT plain            reference: receive and forget, no layer around it
    PUT pump             the same through `pump`, with the edge around it
    PUT plain, file      written on the event loop as messages come
    PUT pump, file       written by a worker thread in blocks of 1 MiB
    PUT plain, file+sha  the same two, hashed as well
    PUT pump, file+sha
    GET plain, hot       one hot block again and again: what sending alone costs
    GET plain, read      reference: pread of 256 KiB on the event loop
    GET content, now     `send_content` from a source that reads at once what is in memory
    GET content, thread  `send_content` from a source that is read in threads
    GET content, range   as `now`, all but the first byte
    PUT nginx, GET nginx
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.support.servers import free_port

MIB = 1 << 20
RESULTS = Path(__file__).parent / "results" / "http_bytes"
ROOT = Path(__file__).parent.parent
REFERENCES = {"PUT": "PUT plain", "GET": "GET plain, read"}
PUTS = {
    "PUT plain": "plain",
    "PUT pump": "pump",
    "PUT plain, file": "plain_file",
    "PUT pump, file": "pump_file",
    "PUT plain, file+sha": "plain_file_sha",
    "PUT pump, file+sha": "pump_file_sha",
}
GETS = {
    "GET plain, hot": "plain_hot",
    "GET plain, read": "plain_read",
    "GET content, now": "now",
    "GET content, thread": "thread",
    "GET content, range": "now",
}
NGINX = """
{user}daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 64; }}
http {{
  access_log off; sendfile on; client_max_body_size 0; client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000;
  server {{ listen 127.0.0.1:{port}; root {folder}; dav_methods PUT; }}
}}
"""


class Process:
    """A server process with its children, and the CPU they have used."""

    def __init__(self, command: list[str], port: int, env: dict[str, str], log: Path = Path(os.devnull)) -> None:
        self.port = port
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=out, stderr=out)
        # On a machine that is busy with other things a start takes minutes.
        for _ in range(1800):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"{command[0]} did not start")

    def cpu_s(self) -> float:
        ticks = 0
        waiting = [self.process.pid]
        while waiting:
            pid = waiting.pop()
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(stat[11]) + int(stat[12])
            for task in Path(f"/proc/{pid}/task").iterdir():
                # A thread may have ended since.
                with suppress(FileNotFoundError, ProcessLookupError):
                    waiting += map(int, (task / "children").read_text().split())
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@contextmanager
def granian(folder: Path) -> Iterator[Process]:
    port = free_port()
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    env = {**os.environ, "PYTHONPATH": path, "HTTP_BYTES_FOLDER": str(folder)}
    options = ["--interface", "asgi", "--http1-buffer-size", str(4 * MIB), "--loop", "uvloop", "--no-ws"]
    command = [sys.executable, "-m", "granian", "bench._byte_server:app", "--port", str(port), *options]
    server = Process(command, port, env)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def nginx(folder: Path) -> Iterator[Process | None]:
    binary = shutil.which("nginx")
    if binary is None:
        print("nginx is not installed: no comparison with it in this run")
        yield None
        return
    port = free_port()
    config = folder / "nginx.conf"
    # Started by root it would serve as somebody who may not look into the folder.
    user = "user root; " if os.geteuid() == 0 else ""
    config.write_text(NGINX.format(folder=folder, port=port, user=user))
    server = Process([binary, "-c", str(config)], port, dict(os.environ))
    try:
        yield server
    finally:
        server.stop()


def put(server: Process, target: str, block: bytes, count: int) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        length = len(block) * count
        sock.sendall(f"PUT {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode())
        for _ in range(count):
            sock.sendall(block)
        first = sock.recv(4096).split(b"\r\n")[0]
        if b" 20" not in first:
            raise RuntimeError(f"PUT {target}: {first!r}")


def get(server: Process, target: str, size: int, skip: int = 0) -> None:
    buffer = bytearray(MIB)
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        asked = f"Range: bytes={skip}-\r\n" if skip else ""
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{asked}\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        if b" 20" not in head.split(b"\r\n")[0]:
            raise RuntimeError(f"GET {target}: {head!r}")
        left = size - skip - len(head.partition(b"\r\n\r\n")[2])
        while left:
            got = sock.recv_into(buffer)
            if not got:
                raise RuntimeError(f"GET {target}: {left} bytes are missing")
            left -= got


def cases(ours: Process, theirs: Process | None, mib: int) -> dict[str, tuple[Process, Callable[[], None]]]:
    block, size = os.urandom(MIB), mib * MIB
    found: dict[str, tuple[Process, Callable[[], None]]] = {}
    for name, path in PUTS.items():
        found[name] = ours, lambda path=path: put(ours, f"/{path}", block, mib)
    for name, path in GETS.items():
        skip = 1 if name.endswith("range") else 0
        found[name] = ours, lambda path=path, skip=skip: get(ours, f"/{path}", size, skip)
    if theirs is not None:
        found["PUT nginx"] = theirs, lambda: put(theirs, "/nginx.bin", block, mib)
        found["GET nginx"] = theirs, lambda: get(theirs, "/down.bin", size)
    return found


def measured(folder: Path, mib: int, rounds: int, only: str = "") -> dict[str, dict[str, list[float]]]:
    """Seconds and CPU seconds of every round, by case."""
    block = os.urandom(MIB)
    with (folder / "down.bin").open("wb") as file:
        for _ in range(mib):
            file.write(block)
    with ExitStack() as stack:
        ours, theirs = stack.enter_context(granian(folder)), stack.enter_context(nginx(folder))
        todo = {
            name: case
            for name, case in cases(ours, theirs, mib).items()
            if name.startswith(only) or name == REFERENCES[only[:3]]
        }
        found: dict[str, dict[str, list[float]]] = {name: {"s": [], "cpu_s": []} for name in todo}
        for done in range(rounds + 1):
            order = list(todo)
            random.shuffle(order)
            for name in order:
                server, run = todo[name]
                cpu, start = server.cpu_s(), time.perf_counter()
                run()
                seconds = time.perf_counter() - start
                if done:  # the first round warms up
                    found[name]["s"].append(seconds)
                    found[name]["cpu_s"].append(server.cpu_s() - cpu)
    return found


def table(found: dict[str, dict[str, list[float]]], mib: int) -> str:
    rows = ["| case | MiB/s | range | CPU ms/GiB | range | × reference |", "|---|---|---|---|---|---|"]
    for name, figures in found.items():
        rates = [mib / seconds for seconds in figures["s"]]
        cpu = [1000 * seconds * 1024 / mib for seconds in figures["cpu_s"]]
        reference = found[REFERENCES[name[:3]]]["s"]
        ratio = statistics.median(base / own for base, own in zip(reference, figures["s"], strict=True))
        rows.append(
            f"| {name} | {statistics.median(rates):.0f} | {min(rates):.0f}-{max(rates):.0f} "
            f"| {statistics.median(cpu):.0f} | {min(cpu):.0f}-{max(cpu):.0f} | {ratio:.2f} |"
        )
    return "\n".join(rows)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench http_bytes")
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"))
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="cases whose names begin so, and their reference")
    parser.add_argument("--keep", action="store_true", help=f"write {RESULTS.name}.json and .md to bench/results")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="http_bytes") as folder:
        found = measured(Path(folder), options.mib, options.rounds, options.only)
    load = os.getloadavg()[0]
    about = (
        f"{os.cpu_count()} shared cores ({platform.processor() or platform.machine()}), Linux {platform.release()}, "
        f"load {load:.1f} at the end, {options.mib} MiB, {options.rounds} rounds after one of warming up, interleaved"
    )
    text = f"{about}\n\n{table(found, options.mib)}"
    print(text)
    if options.keep:
        RESULTS.with_suffix(".json").write_text(json.dumps({"about": about, "seconds": found}, indent=1) + "\n")
        RESULTS.with_suffix(".md").write_text(f"# {(__doc__ or '').splitlines()[0]}\n\n{text}\n")
    return 0
