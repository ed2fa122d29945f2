"""Which transfers this computer began and has not committed yet, so that the next attempt goes on instead of anew.

One row per server and content: a file that was renamed or moved meanwhile is still the same bytes. A row is written as
soon as the server has given the upload a name, marked when the last byte was accepted, and removed after the commit
that used it. The server is asked before a row is believed: uploads expire there, and belong to whoever began them.

A SQLite file in the user's state folder, safe for several processes and for kill -9 (not for a power cut: then some
bytes are sent once more).
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from entrepot.client.places import state_folder

__all__ = ["Journal", "Remembered", "UploadLog", "remembered"]

#: Longer than any server keeps an upload that nobody touches, unless its operator said otherwise.
_KEEP_S = 30 * 24 * 3600
#: Values of one question; SQLite of some distributions takes 999.
_TOGETHER = 500


@dataclass(frozen=True, slots=True)
class Remembered:
    """An upload that was begun: its id at the server, and whether all its bytes were accepted."""

    upload: str
    finished: bool


class UploadLog(Protocol):
    """Where a sender looks up and notes which uploads were begun."""

    def find(self, server: str, sha256: bytes) -> Remembered | None: ...

    def find_many(self, server: str, digests: Sequence[bytes]) -> dict[bytes, Remembered]: ...

    def note(self, server: str, sha256: bytes, upload: str, *, finished: bool) -> None: ...

    def note_batch(self, server: str, digests: Iterable[bytes], upload: str) -> None: ...

    def forget(self, server: str, digests: Iterable[bytes]) -> None: ...


class Journal:
    """Begun uploads by server and SHA-256. Methods may be called from any thread.

    Where it cannot be written (a read-only home) nothing is remembered and transfers start anew after a crash.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._connection = _open(path or state_folder() / "uploads.sqlite3")

    def find(self, server: str, sha256: bytes) -> Remembered | None:
        with self._lock, contextlib.suppress(sqlite3.Error):
            if self._connection is not None:
                row = self._connection.execute(
                    "select upload, finished from upload where server = ? and sha256 = ?", (server, sha256)
                ).fetchone()
                return None if row is None else Remembered(row[0], bool(row[1]))
        return None

    def find_many(self, server: str, digests: Sequence[bytes]) -> dict[bytes, Remembered]:
        """Those of many contents that were begun."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            if self._connection is not None:
                return remembered(
                    self._connection, "select sha256, upload, finished from upload where server = ?", server, digests
                )
        return {}

    def note(self, server: str, sha256: bytes, upload: str, *, finished: bool) -> None:
        self._write(
            "insert or replace into upload values (?, ?, ?, ?, ?)",
            [(server, sha256, upload, finished, int(time.time()))],
        )

    def note_batch(self, server: str, digests: Iterable[bytes], upload: str) -> None:
        """All of these came with one upload, which is finished."""
        now = int(time.time())
        self._write(
            "insert or replace into upload values (?, ?, ?, ?, ?)",
            [(server, digest, upload, True, now) for digest in digests],
        )

    def forget(self, server: str, digests: Iterable[bytes]) -> None:
        """What was committed, or what the server does not know any more."""
        self._write("delete from upload where server = ? and sha256 = ?", [(server, digest) for digest in digests])

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        with self._lock, contextlib.suppress(sqlite3.Error):
            if self._connection is not None and rows:
                with self._connection:
                    self._connection.executemany(statement, rows)

    def close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    with connection:
                        connection.execute("delete from upload where at_s < ?", (int(time.time()) - _KEEP_S,))
                    connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def remembered(
    connection: sqlite3.Connection, query: str, whose: str, digests: Sequence[bytes]
) -> dict[bytes, Remembered]:
    """Begun uploads by their SHA-256.

    Args:
        query: Selects SHA-256, upload and whether it is finished of all that is `whose`.
    """
    found: dict[bytes, Remembered] = {}
    for start in range(0, len(digests), _TOGETHER):
        some = digests[start : start + _TOGETHER]
        marks = ", ".join("?" * len(some))
        for sha256, upload, finished in connection.execute(f"{query} and sha256 in ({marks})", (whose, *some)):
            found[sha256] = Remembered(upload, bool(finished))
    return found


def _open(path: Path) -> sqlite3.Connection | None:
    for _ in range(2):
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = off")
            with connection:
                connection.execute(
                    "create table if not exists upload (server text not null, sha256 blob not null, "
                    "upload text not null, finished integer not null, at_s integer not null, "
                    "primary key (server, sha256)) without rowid"
                )
            return connection
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                return None
            with contextlib.suppress(OSError):
                path.unlink()
        except OSError:
            return None
    return None
