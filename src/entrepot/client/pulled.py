"""What pulls put where on this computer: how the next pull tells its own files from somebody's edits.

One row per file: the folder it was pulled into, its path there, its digest, and the dataset it came from. A file
whose bytes are still those of its row was put there by a pull and can be had again, so a pull may replace or remove
it. Any other file is somebody's work and is left alone unless a person says otherwise. Losing this record makes pulls
more careful, not less.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from entrepot.client.places import state_folder

__all__ = ["PullRecord"]


class PullRecord:
    """The record of one folder.

    Args:
        root: The folder that is pulled into.
        path: The SQLite file; by default one in the user's state folder.
    """

    def __init__(self, root: Path, path: Path | None = None) -> None:
        self._root = os.path.normcase(root.absolute()).encode("utf-8", "backslashreplace").decode()
        self._connection = _open(path or state_folder() / "pulls.sqlite3")

    def of(self, dataset: str) -> dict[str, str]:
        """Digest by local path of all that was pulled here from this dataset."""
        with contextlib.suppress(sqlite3.Error):
            if self._connection is not None:
                rows = self._connection.execute(
                    "select path, sha256 from pulled where root = ? and dataset = ?", (self._root, dataset)
                )
                return {path: f"sha256:{bytes(digest).hex()}" for path, digest in rows}
        return {}

    def digest(self, path: str) -> str | None:
        """What a pull, of whatever dataset, put at this local path."""
        with contextlib.suppress(sqlite3.Error):
            if self._connection is not None:
                row = self._connection.execute(
                    "select sha256 from pulled where root = ? and path = ?", (self._root, path)
                ).fetchone()
                return None if row is None else f"sha256:{bytes(row[0]).hex()}"
        return None

    def note(self, dataset: str, files: Iterable[tuple[str, str]]) -> None:
        """
        Args:
            files: (local path, `sha256:<hex>`) of files that are in place.
        """
        rows = [(self._root, path, bytes.fromhex(digest.removeprefix("sha256:")), dataset) for path, digest in files]
        self._write("insert or replace into pulled values (?, ?, ?, ?)", rows)

    def forget(self, paths: Iterable[str]) -> None:
        self._write("delete from pulled where root = ? and path = ?", [(self._root, path) for path in paths])

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._connection is not None and rows:
                with self._connection:
                    self._connection.executemany(statement, rows)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(path: Path) -> sqlite3.Connection | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = off")
        with connection:
            connection.execute(
                "create table if not exists pulled (root text not null, path text not null, sha256 blob not null, "
                "dataset text not null, primary key (root, path)) without rowid"
            )
        return connection
    except (sqlite3.Error, OSError):
        return None
