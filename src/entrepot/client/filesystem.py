"""`entrepot://project/dataset@3.17/path` for everything that speaks fsspec: pandas, Polars, DuckDB, PyArrow, Dask.

    pandas.read_csv("entrepot://lab/penguins@3.17/penguins.csv")

What a name without a revision means is asked once per file system object and kept for a minute, and an open file stays
with the revision it was opened at, so several files read together belong together. Writing replaces or adds one file as
one revision; only `files` versions take that.

    entrepot://                    projects, as folders
    entrepot://lab                 the project's datasets, as folders
    entrepot://lab/penguins@3/raw  what is in the folder raw

`storage_options={"url": …, "token": …}` name the server; else the environment or `entrepot login` does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem  # type: ignore[import-untyped]
from fsspec.utils import tokenize  # type: ignore[import-untyped]

from entrepot.client.client import Client
from entrepot.client.download import Wanted
from entrepot.client.pins import Pin, pin
from entrepot.client.reader import WHOLE, read_range, whole
from entrepot.model.errors import (
    EntrepotError,
    EntryNotFound,
    Forbidden,
    Gone,
    NotFound,
    Unauthenticated,
)
from entrepot.wire.messages.entries import Entry

__all__ = ["EntrepotFile", "EntrepotFileSystem"]

_PINNED_S = 60.0


def _as_os_error(error: EntrepotError, path: str) -> OSError:
    """What programs that know nothing of us expect."""
    if isinstance(error, NotFound | Gone):
        return FileNotFoundError(f"{path}: {error}")
    if isinstance(error, Forbidden | Unauthenticated):
        return PermissionError(f"{path}: {error}")
    return OSError(f"{path}: {error}")


class EntrepotFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Datasets of one server as a file system.

    Args:
        url: The server; see `entrepot.Client`.
        token: Likewise.
        client: One that is open already, in place of both.
    """

    protocol = "entrepot"
    root_marker = ""
    #: Small files that were read are cached by digest; a listing may change at any time.
    cachable = True

    def __init__(
        self, url: str | None = None, token: str | None = None, *, client: Client | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.client = client if client is not None else Client(url, token)
        self._pins: dict[str, tuple[float, Pin]] = {}
        self._clock: Callable[[], float] = time.monotonic

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        text = str(path)
        text = text.removeprefix("entrepot://").removeprefix("entrepot:")
        return text.strip("/")

    @property
    def fsid(self) -> str:
        return f"entrepot-{self.client.url}"

    # --- names --------------------------------------------------------------------------------------------------------

    def _split(self, path: str) -> tuple[str, str, str]:
        """Project, dataset (with its `@`), and the path in it; empty where the name ends earlier."""
        project, _, rest = self._strip_protocol(path).partition("/")
        dataset, _, inside = rest.partition("/")
        return project, dataset, inside

    def _pin(self, project: str, dataset: str) -> Pin:
        name = f"{project}/{dataset}"
        known = self._pins.get(name)
        if known is not None and self._clock() - known[0] < _PINNED_S:
            return known[1]
        found = pin(self.client.transport, name)
        self._pins[name] = (self._clock(), found)
        return found

    def invalidate_cache(self, path: str | None = None) -> None:
        """Ask again what names without a revision mean."""
        self._pins.clear()
        super().invalidate_cache(path)

    # --- reading ------------------------------------------------------------------------------------------------------

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        project, dataset, inside = self._split(path)
        name = self._strip_protocol(path)
        try:
            if not project:
                return _folder(name)
            if not dataset:
                self.client.projects.get(project)
                return _folder(name)
            at = self._pin(project, dataset)
            if not inside:
                return {**_folder(name), "version": at.version, "revision": at.revision}
            try:
                return _file(name, self.client.versions.entry(at, inside), at)
            except EntryNotFound:
                if next(self.client.versions.entries(at, prefix=f"{inside}/"), None) is None:
                    raise
                return _folder(name)
        except EntrepotError as error:
            raise _as_os_error(error, name) from error

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        project, dataset, inside = self._split(path)
        name = self._strip_protocol(path)
        try:
            found = self._listed(name, project, dataset, inside)
        except EntrepotError as error:
            raise _as_os_error(error, name) from error
        return found if detail else [row["name"] for row in found]

    def _listed(self, name: str, project: str, dataset: str, inside: str) -> list[dict[str, Any]]:
        if not project:
            return [_folder(row.slug) for row in self.client.projects.list()]
        if not dataset:
            return [_folder(f"{project}/{row.slug}") for row in self.client.projects.datasets(project)]
        at = self._pin(project, dataset)
        base = f"{project}/{dataset}/{inside}".rstrip("/")
        try:
            rows = list(self.client.versions.folder(at, inside or None))
        except EntryNotFound:
            rows = []
        if not rows and inside:
            return [self.info(name)]
        return [
            _folder(f"{base}/{row.name}") if row.entry is None else _file(f"{base}/{row.name}", row.entry, at)
            for row in rows
        ]

    def _wanted(self, path: str) -> Wanted:
        found = self.info(path)
        if found["type"] != "file":
            raise IsADirectoryError(f"{path} is a folder.")
        return Wanted(found["version"], found["revision"], found["path"], found["size"], found["sha256"])

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        wanted = self._wanted(path)
        try:
            if start is None and end is None and wanted.size <= WHOLE:
                return whole(self.client.transport, wanted, self.client.cache)
            first, last = (
                _absolute(start or 0, wanted.size),
                _absolute(wanted.size if end is None else end, wanted.size),
            )
            return read_range(self.client.transport, wanted, first, last)
        except EntrepotError as error:
            raise _as_os_error(error, path) from error

    def created(self, path: str) -> Any:
        return self.info(path).get("added_at")

    def modified(self, path: str) -> Any:
        return self.info(path).get("added_at")

    def checksum(self, path: str) -> str:
        return str(self.info(path).get("sha256", tokenize(path)))

    def ukey(self, path: str) -> str:
        return self.checksum(path)

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> Any:
        if mode == "rb":
            return EntrepotFile(self, path, mode, block_size or "default", size=None, **options)
        if mode in ("wb", "xb"):
            return EntrepotFile(self, path, mode, block_size or "default", **options)
        raise ValueError(f"Mode {mode!r} is not possible here: open for reading (rb) or write a whole file (wb).")

    # --- writing ------------------------------------------------------------------------------------------------------

    def _rm(self, path: str) -> None:
        from entrepot.wire.messages.entries import Remove

        project, dataset, inside = self._split(path)
        try:
            at = pin(self.client.transport, f"{project}/{dataset}")
            self.client.versions.commit(at, [Remove(op="remove", path=inside)])
        except EntrepotError as error:
            raise _as_os_error(error, path) from error
        self.invalidate_cache()

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        del mode
        self._write(path, lambda target, inside: self.client.data.write(target, value, inside))

    def _write(self, path: str, put: Callable[[str, str], Any]) -> None:
        project, dataset, inside = self._split(path)
        try:
            put(f"{project}/{dataset}", inside)
        except EntrepotError as error:
            raise _as_os_error(error, path) from error
        self.invalidate_cache()

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """Nothing: folders are there when a file is in them."""

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Nothing, likewise."""


class EntrepotFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """A file of one revision, read in cached blocks; or one that is written whole and committed when it is closed."""

    def __init__(self, fs: EntrepotFileSystem, path: str, mode: str = "rb", *arguments: Any, **options: Any) -> None:
        self._spool: Any = None
        if mode == "rb":
            self.wanted = fs._wanted(path)
            self._small: bytes | None = None
            options["size"] = self.wanted.size
        super().__init__(fs, path, mode, *arguments, **options)

    def _fetch_range(self, start: int, end: int) -> bytes:
        try:
            if self.wanted.size <= WHOLE:
                if self._small is None:
                    self._small = whole(self.fs.client.transport, self.wanted, self.fs.client.cache)
                return self._small[start:end]
            return read_range(self.fs.client.transport, self.wanted, start, end)
        except EntrepotError as error:
            raise _as_os_error(error, self.path) from error

    def _initiate_upload(self) -> None:
        import tempfile

        self._spool = tempfile.SpooledTemporaryFile(max_size=WHOLE)  # noqa: SIM115  closed by commit or discard

    def _upload_chunk(self, final: bool = False) -> bool:
        self.buffer.seek(0)
        while block := self.buffer.read(1 << 20):
            self._spool.write(block)
        if final and self.autocommit:
            self.commit()
        return True

    def commit(self) -> None:
        """Send what was written and make it a revision."""
        self._spool.seek(0)
        data = self.fs.client.data

        def put(target: str, inside: str) -> None:
            upload = data.upload_stream(self._spool, inside)
            data._commit_one(target, inside, upload, "", None, None)

        self.fs._write(self.path, put)
        self._spool.close()

    def discard(self) -> None:
        if self._spool is not None:
            self._spool.close()


def _folder(name: str) -> dict[str, Any]:
    return {"name": name, "size": 0, "type": "directory"}


def _file(name: str, entry: Entry, at: Pin) -> dict[str, Any]:
    return {
        "name": name,
        "size": entry.size,
        "type": "file",
        "path": entry.path,
        "sha256": entry.sha256,
        "media_type": entry.media_type,
        "added_at": entry.added_at,
        "version": at.version,
        "revision": at.revision,
    }


def _absolute(position: int, size: int) -> int:
    """fsspec counts negative positions from the end."""
    return max(0, size + position) if position < 0 else min(position, size)
