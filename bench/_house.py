"""What benchmarks of the whole server share: the server, its memory, a raw client, a note of the machine.

The client writes and reads sockets itself: a library's own cost would count against every server alike and hide what
is measured.
"""

from __future__ import annotations

import json
import mmap
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.http_bytes import MIB, ROOT, Process
from tests.support.servers import free_port

RESULTS = ROOT / "bench" / "results"
PASSWORD = "bench-only-password"


def _head(method: str, target: str, fields: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n".encode()


class Connection:
    """One kept connection to a server. Bodies of answers are read as they come, and only small ones are kept."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port))
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(MIB)

    def head(self, method: str, target: str, fields: Mapping[str, str]) -> None:
        self._sock.sendall(_head(method, target, fields))

    def body(self, block: bytes) -> None:
        self._sock.sendall(block)

    def answer(self, *, keep: bool = True) -> tuple[int, dict[str, str], bytes]:
        """Status, fields in lower case, and the body unless it is not to be kept."""
        status, fields, rest, left = self._begun()
        if not keep:
            for _ in self._pieces(b"", left):
                pass
            return status, fields, b""
        return status, fields, b"".join([rest, *map(bytes, self._pieces(b"", left))])

    def stream(self) -> Iterator[bytes | memoryview]:
        """The body of a good answer as it comes: each piece is to be used before the next is asked for."""
        status, _, rest, left = self._begun()
        if status // 100 != 2:
            raise RuntimeError(f"{status} {b''.join([rest, *map(bytes, self._pieces(b'', left))])[:500]!r}")
        yield from self._pieces(rest, left)

    def _begun(self) -> tuple[int, dict[str, str], bytes, int]:
        """Status, fields, what came of the body with them, and how many bytes of it are still to come."""
        raw = b""
        while b"\r\n\r\n" not in raw:
            got = self._sock.recv(4096)
            if not got:
                raise RuntimeError(f"the server left: {raw!r}")
            raw += got
        head, _, rest = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return int(first.split()[1]), fields, rest, int(fields.get("content-length", 0)) - len(rest)

    def _pieces(self, rest: bytes, left: int) -> Iterator[bytes | memoryview]:
        if rest:
            yield rest
        view = memoryview(self._buffer)
        while left > 0:
            got = self._sock.recv_into(self._buffer)
            if not got:
                raise RuntimeError(f"{left} bytes are missing")
            left -= got
            yield view[:got]

    def ask(
        self, method: str, target: str, fields: Mapping[str, str] | None = None, body: bytes = b"", *, keep: bool = True
    ) -> tuple[int, dict[str, str], bytes]:
        """One exchange with a small body; anything but 2xx is an error."""
        given = dict(fields or {})
        if body or method in ("POST", "PATCH", "PUT"):
            given["Content-Length"] = str(len(body))
        head = _head(method, target, given)
        if len(body) <= 64 << 10:
            # One call and one packet for what is small: two would cost the servers more than the client.
            self._sock.sendall(head + body)
        else:
            self._sock.sendall(head)
            self._sock.sendall(body)
        answer = self.answer(keep=keep)
        if answer[0] // 100 != 2:
            raise RuntimeError(f"{method} {target}: {answer[0]} {answer[2][:500]!r}")
        return answer

    def close(self) -> None:
        self._sock.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Server(Process):
    """A server process, its descendants, and what they use."""

    def memory(self) -> dict[str, int]:
        """Peak resident bytes (VmHWM) of every process of the tree since it began, by pid and command."""
        peaks = {}
        for pid in self._tree():
            status = Path(f"/proc/{pid}/status").read_text()
            # A process that has just ended has no memory any more.
            found = [int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM")]
            peaks[str(pid)] = found[0] if found else 0
        return peaks

    def now(self) -> dict[str, int]:
        """Resident bytes at this moment, by pid."""
        return {
            str(pid): int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            for pid in self._tree()
        }

    def reset_memory(self) -> None:
        """Forget the peak until now: what starting up took is not what serving takes."""
        for pid in self._tree():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def _tree(self) -> list[int]:
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        return found


@dataclass(frozen=True, slots=True)
class House:
    """A running server of ours, with an administrator's token and one empty version."""

    server: Server
    data: Path
    token: str
    version: str
    project: str = ""

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@contextmanager
def entrepot(folder: Path, *settings: str) -> Iterator[House]:
    """Our server on a fresh data folder, as it is installed: access log to a file, fsync on, one answering process."""
    data, port = folder / "data", free_port()
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "ENTREPOT_ADMIN_PASSWORD": PASSWORD,
    }
    said = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "entrepot.server", "serve", "--data", str(data), "--port", str(port), *said]
    server = Server(command, port, env, log=folder / "entrepot.log")
    try:
        yield _furnished(server, data, port)
    finally:
        server.stop()


def _furnished(server: Server, data: Path, port: int) -> House:
    with Connection(port) as link:

        def post(target: str, body: object, token: str = "") -> dict[str, str]:
            fields = {"Content-Type": "application/json"}
            if token:
                fields["Authorization"] = f"Bearer {token}"
            found: dict[str, str] = json.loads(link.ask("POST", target, fields, json.dumps(body).encode())[2])
            return found

        token = post("/api/v1/login", {"username": "admin", "password": PASSWORD})["token"]
        project = post("/api/v1/projects", {"name": "bench"}, token)["id"]
        wanted = {"project": project, "name": "bench", "kind": "files"}
        version = post("/api/v1/versions", wanted, token)["id"]
    return House(server, data, token, version, project)


@contextmanager
def rclone(folder: Path) -> Iterator[Server | None]:
    """`rclone serve webdav` on a folder; None where it is not installed."""
    binary = shutil.which("rclone")
    if binary is None:
        print("rclone is not installed: no comparison with it in this run")
        yield None
        return
    port = free_port()
    served = folder / "rclone"
    served.mkdir()
    options = ["--addr", f"127.0.0.1:{port}", "--config", os.devnull]
    server = Server([binary, "serve", "webdav", str(served), *options], port, dict(os.environ))
    try:
        yield server
    finally:
        server.stop()


def machine() -> str:
    """What figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    sha = "with" if "sha_ni" in Path("/proc/cpuinfo").read_text(encoding="ascii") else "without"
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return (
        f"{os.cpu_count()} shared cores {sha} SHA instructions, {memory} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the end, "
        f"commit {commit.stdout.strip() or 'unknown'}"
    )


def touch_memory(size: int) -> None:
    """Take `size` bytes of memory and give them back, so that whoever is measured next gets pages that are there.

    A virtual machine hands memory that nobody uses back to its host within seconds, and its next use waits for the
    host: six times as long for a page of a file as otherwise, on the machine that the kept figures come from. Whoever
    comes first pays. It lasts for two seconds or so, and for less than a GiB: what is free by then is handed back while
    others work. Where it would take more than half of what is free, less is taken.
    """
    free = int(Path("/proc/meminfo").read_text().partition("MemAvailable:")[2].split(maxsplit=1)[0]) << 10
    size = min(size, free // 2)
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE):
        pass


def middle(values: list[float], form: str = ".2f") -> str:
    """Median and range, as `0.42 (0.38 to 0.51)`."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def keep_parts(
    name: str, title: str, order: Sequence[str], pages: Mapping[str, str], figures: Mapping[str, Any]
) -> None:
    """Write the parts that were measured to bench/results; parts that were kept before and not run now stay.

    Each part says when and on which machine it was measured, since they need not be of one run.

    Args:
        pages: Of each part that was run, its tables and sentences.
        figures: Of each part that was run, what JSON can hold of it.
    """
    path = RESULTS / f"{name}.json"
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    parts = dict(kept.get("parts", {}))
    for part, page in pages.items():
        parts[part] = {"machine": machine(), "page": page, "figures": figures.get(part)}
    parts = {part: parts[part] for part in order if part in parts}
    path.write_text(json.dumps({"parts": parts}, indent=1) + "\n", encoding="utf-8")
    shown = "\n".join(f"## {part}\n\n{one['page'].strip()}\n\n{one['machine']}.\n" for part, one in parts.items())
    again = f"Again: `python -m bench {name} --keep`, of one part with its name; the others stay as they are."
    path.with_suffix(".md").write_text(f"# {title}\n\n{again}\n\n{shown}", encoding="utf-8")
