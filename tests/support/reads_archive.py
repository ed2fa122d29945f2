"""A public archive of reads, as far as imports ask one: a file report by accession, and the files."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Archive:
    """What it has, and what it was asked for.

    Args:
        runs: By accession, each with its files.
        sums: MD5 that are told instead of the right ones, by the name of the file.
        broken: Files that are told of and not there.
        stalls: What stops in the middle until there is a `go`: after how many bytes, by the name of the file.
    """

    url: str = ""
    runs: dict[str, dict[str, bytes]] = field(default_factory=dict)
    sums: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    stalls: dict[str, int] = field(default_factory=dict)
    stalled: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)
    #: Answers so many times that it cannot, before it can.
    busy: int = 0

    @property
    def report(self) -> str:
        return f"{self.url}/portal/api/filereport"

    def table(self, accession: str) -> bytes:
        """The report, with addresses that lack their scheme."""
        lines = ["run_accession\tfastq_ftp\tfastq_md5"]
        files = self.runs.get(accession)
        if files is not None:
            host = urlsplit(self.url).netloc
            addresses = ";".join(f"{host}/vol1/{accession}/{name}" for name in files)
            sums = ";".join(
                self.sums.get(name) or hashlib.md5(content, usedforsecurity=False).hexdigest()
                for name, content in files.items()
            )
            lines.append(f"{accession}\t{addresses}\t{sums}")
        return ("\n".join(lines) + "\n").encode()


@contextlib.contextmanager
def reads_archive() -> Iterator[Archive]:
    archive = Archive()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            archive.asked.append(parts.path)
            if archive.busy:
                archive.busy -= 1
                self._answer(503, b"")
            elif parts.path.endswith("/filereport"):
                self._answer(200, archive.table(parse_qs(parts.query)["accession"][0]))
            else:
                accession, _, name = parts.path.removeprefix("/vol1/").partition("/")
                content = archive.runs.get(accession, {}).get(name)
                if content is None or name in archive.broken:
                    self._answer(404, b"not here")
                else:
                    self._answer(200, content, archive.stalls.get(name))

        def _answer(self, status: int, body: bytes, stall: int | None = None) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            at = len(body) if stall is None else stall
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body[:at])
                if stall is not None:
                    archive.stalled.set()
                    archive.go.wait()
                    self.wfile.write(body[at:])

        def log_message(self, *_: Any) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        archive.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield archive
        finally:
            archive.go.set()
            server.shutdown()
            thread.join()
