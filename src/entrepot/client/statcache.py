"""What the files of this computer hashed to, so that an unchanged tree is not read again for every push.

An entry says: the file with this path, size, modification time and inode had this SHA-256. It is believed only when
its file was older than the hashing by more than the coarsest clock of any file system (two seconds on FAT): a file may
change again within the same tick and look untouched. So a file that was just written is hashed once more at the next
push, and from then on trusted.

A SQLite file in the user's cache folder: several processes may use it at once, and losing it costs time only.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from entrepot.client.places import cache_folder

__all__ = ["GRANULARITY_NS", "FileStat", "StatCache", "stat_of"]

#: A change within this time of the previous one may leave the modification time as it was.
GRANULARITY_NS = 2_000_000_000
#: Entries not used for longer are dropped.
_KEEP_NS = 180 * 24 * 3600 * 10**9
_BATCH = 500
_SEEN = "select path, size, mtime_ns, inode, sha256, hashed_at_ns from file"


@dataclass(frozen=True, slots=True)
class FileStat:
    """What tells one state of a file from another without reading it."""

    size: int
    mtime_ns: int
    inode: int


def stat_of(stat: os.stat_result) -> FileStat:
    return FileStat(stat.st_size, stat.st_mtime_ns, stat.st_ino)


class StatCache:
    """Known digests by absolute path. Methods may be called from any thread.

    A cache that cannot be opened or is damaged is not an error: everything is hashed then.

    Args:
        path: The SQLite file; by default one in the user's cache folder.
        clock: Nanoseconds since 1970, as file systems count.
    """

    def __init__(self, path: Path | None = None, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._pending: list[tuple[str, int, int, int, bytes, int]] = []
        self._connection = _open(path or cache_folder() / "stat.sqlite3")

    def known(self, path: Path, stat: FileStat) -> bytes | None:
        """The 32 bytes of the file's SHA-256 if it is known for certain to be in the state that was hashed."""
        return self.known_of([(path, stat)])[0]

    def known_of(self, files: Sequence[tuple[Path, FileStat]]) -> list[bytes | None]:
        """`known` of many files at once, in their order."""
        keys = [_key(path) for path, _ in files]
        rows: dict[str, tuple[int, int, int, bytes, int]] = {}
        with self._lock, contextlib.suppress(sqlite3.Error):
            if self._connection is not None:
                for start in range(0, len(keys), _BATCH):
                    some = keys[start : start + _BATCH]
                    marks = ", ".join("?" * len(some))
                    found = self._connection.execute(f"{_SEEN} where path in ({marks})", some)
                    rows |= {key: (size, mtime, *rest) for key, size, mtime, *rest in found}
        return [_believed(rows.get(key), stat) for key, (_, stat) in zip(keys, files, strict=True)]

    def remember(self, path: Path, stat: FileStat, sha256: bytes, hashed_at_ns: int) -> None:
        """Note a digest. `hashed_at_ns` is the time just before the first byte was read."""
        row = (_key(path), stat.size, stat.mtime_ns, _signed(stat.inode), sha256, hashed_at_ns)
        with self._lock:
            self._pending.append(row)
            if len(self._pending) >= _BATCH:
                self._flush()

    def now(self) -> int:
        return self._clock()

    def forget(self, paths: Iterable[Path]) -> None:
        """Drop what is known of these files, so that they are read again."""
        with self._lock:
            self._flush()
            if self._connection is not None:
                with contextlib.suppress(sqlite3.Error), self._connection:
                    self._connection.executemany("delete from file where path = ?", ((_key(path),) for path in paths))

    def close(self) -> None:
        with self._lock:
            self._flush()
            connection, self._connection = self._connection, None
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    with connection:
                        connection.execute("delete from file where hashed_at_ns < ?", (self._clock() - _KEEP_NS,))
                    connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        if self._connection is not None and pending:
            with contextlib.suppress(sqlite3.Error), self._connection:
                self._connection.executemany("insert or replace into file values (?, ?, ?, ?, ?, ?)", pending)


def _open(path: Path) -> sqlite3.Connection | None:
    for _ in range(2):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=5, check_same_thread=False)
            # Losing the last entries in a power cut costs a hash; syncing each would cost more.
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = off")
            with connection:
                connection.execute(
                    "create table if not exists file (path text primary key, size integer not null, "
                    "mtime_ns integer not null, inode integer not null, sha256 blob not null, "
                    "hashed_at_ns integer not null) without rowid"
                )
            return connection
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                return None
            # Not a database, or a torn one: it holds nothing that cannot be found out again.
            with contextlib.suppress(OSError):
                path.unlink()
        except OSError:
            return None
    return None


def _believed(row: tuple[int, int, int, bytes, int] | None, stat: FileStat) -> bytes | None:
    if row is None or row[:3] != (stat.size, stat.mtime_ns, _signed(stat.inode)):
        return None
    return bytes(row[3]) if stat.mtime_ns < row[4] - GRANULARITY_NS else None


def _key(path: Path) -> str:
    # File names of POSIX may hold bytes that are no UTF-8; SQLite's text may not hold what Python makes of them.
    return os.path.normcase(path.absolute()).encode("utf-8", "backslashreplace").decode()


def _signed(inode: int) -> int:
    """NTFS and ReFS number files with more than SQLite's 63 bits."""
    return inode & (2**63 - 1)
