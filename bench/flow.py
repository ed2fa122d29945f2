"""The Flow door: one large file through its chunks, beside the same bytes by tus on the native API.

    python -m bench flow [--mib 1024] [--rounds 3] [--keep]

Chunks of 1 MB, as the client sends by itself, and of 5 MB, as its documentation shows; tus sends one request. Runs are
interleaved; fsync is on. One kept connection, one answering process, whose memory at its highest is told.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from bench._house import RESULTS, Connection, House, entrepot, machine, middle

CHUNKS = (1_000_000, 5_000_000)
BOUNDARY = "entrepot-bench"


def form(block: bytes, offset: int, last: bool, data: str) -> bytes:
    """One chunk as the client writes it."""
    fields = {
        "filename": "large.bin",
        "expected_file_size": str(offset),
        "is_last": "true" if last else "false",
        "data": data,
    }
    head = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    head += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="blob"; filename="large.bin"\r\n'
    head += "Content-Type: application/octet-stream\r\n\r\n"
    return b"".join((head.encode(), block, f"\r\n--{BOUNDARY}--\r\n".encode()))


def by_flow(link: Connection, house: House, content: bytes, size: int) -> float:
    """Seconds of one upload."""
    begun, data = time.perf_counter(), ""
    fields = {**house.bearer, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    for start in range(0, len(content), size):
        body = form(content[start : start + size], start, start + size >= len(content), data)
        data = json.loads(link.ask("POST", "/flow/api/upload", fields, body)[2])["data_id"]
    return time.perf_counter() - begun


def by_tus(link: Connection, house: House, content: bytes) -> float:
    begun = time.perf_counter()
    told = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(content))}
    fields = {**house.bearer, **told, "Content-Type": "application/offset+octet-stream"}
    link.ask("POST", "/api/v1/uploads", fields, content)
    return time.perf_counter() - begun


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench flow")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="write the figures down")
    options = parser.parse_args(arguments)
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, entrepot(Path(folder)) as house:
        house.server.reset_memory()
        with Connection(house.server.port) as link:
            for _ in range(options.rounds):
                for size in CHUNKS:
                    # Bytes that are known already are stored by being looked up: each round sends others.
                    content = os.urandom(1 << 20) * options.mib
                    seconds.setdefault(f"chunks of {size // 1_000_000} MB", []).append(
                        by_flow(link, house, content, size)
                    )
                content = os.urandom(1 << 20) * options.mib
                seconds.setdefault("tus", []).append(by_tus(link, house, content))
        peak = max(house.server.memory().values())
    lines = ["| way | seconds | of tus | requests a second |", "| --- | --- | --- | --- |"]
    for name, some in seconds.items():
        ratios = [tus / one for one, tus in zip(some, seconds["tus"], strict=True)]
        size = next((size for size in CHUNKS if name == f"chunks of {size // 1_000_000} MB"), options.mib << 20)
        rates = [-(-(options.mib << 20) // size) / one for one in some]
        lines.append(f"| {name} | {middle(some)} | {middle(ratios)} | {middle(rates, '.0f')} |")
    about = f"{options.mib} MiB a file, {options.rounds} rounds; largest process {peak >> 20} MiB. {machine()}."
    text = "\n".join(lines)
    print(f"{text}\n\n{about}")
    if options.keep:
        head = f"# {(__doc__ or '').splitlines()[0]}\n\n{about} Again: `python -m bench flow --keep`.\n\n"
        (RESULTS / "flow.md").write_text(f"{head}{text}\n", encoding="utf-8")
    return 0
