"""The uploads of a folder: who holds which, and where each continues after a crash.

A stage is held by `flock` on its file, so a hold ends with its process, however that ends, and excludes threads and
processes alike. Whoever gets the lock looks once more whether the name still leads to the locked file: it may have been
placed or discarded while the lock was asked for, and a placed file must never be written to.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator

from entrepot.model.errors import Conflict, EntrepotError, NotFound
from entrepot.store.base import check_key
from entrepot.store.disk import Disk, translate
from entrepot.store.filesystem_stage import FilesystemStage
from entrepot.store.hashing import Hasher
from entrepot.store.layout import Layout, same_file

__all__ = ["FilesystemStaging"]

_NAME = re.compile(r"[0-9a-f]{32}")
_ATTEMPTS = 16
"""Looks at a name that moves under us. Each move is the end of somebody's step, so two suffice but for malice."""


class FilesystemStaging:
    """`Staging` in the folder `staging/` of a `FilesystemStore`, which makes it."""

    def __init__(self, disk: Disk, layout: Layout, store: str, boot: Callable[[], str]) -> None:
        self._disk = disk
        self._layout = layout
        self._store = store
        self._boot = boot
        self._hashes = _RetainedHashes(disk)

    def create(self, key: str, *, hashed: bool = True) -> FilesystemStage:
        check_key(key)
        path = self._layout.staged(key)
        try:
            if self._disk.stat_path(self._layout.object(key)) is not None:
                raise self._taken(key)
            fd = self._disk.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except FileExistsError as error:
            raise self._taken(key) from error
        except OSError as error:
            raise translate(error, f"begin upload {key} in store {self._store!r}") from error
        if not self._locked(fd, key):
            # Somebody resumed it in the instant since it was made.
            raise self._held(key)
        return FilesystemStage(
            self._disk, self._layout, self._store, key, path, fd, retain=self._hashes.keep, hashed=hashed
        )

    def resume(self, key: str, *, durable: int, boot_id: str) -> FilesystemStage:
        check_key(key)
        try:
            fd, complete = self._hold(key)
            try:
                return self._continue(key, fd, durable, complete=complete, trusted=boot_id == self._boot())
            except BaseException:
                self._disk.close(fd)
                raise
        except OSError as error:
            raise translate(error, f"resume upload {key} in store {self._store!r}") from error

    def discard(self, key: str) -> None:
        check_key(key)
        self._hashes.forget(key)
        try:
            with contextlib.suppress(FileNotFoundError):
                self._disk.unlink(self._layout.staged(key))
            # The caller forgets the key next. Without this a power cut could bring the bytes back, owned by nobody.
            self._disk.sync_folder(self._layout.staging)
        except OSError as error:
            raise translate(error, f"remove the bytes of upload {key} in store {self._store!r}") from error

    def stat(self, key: str, *, durable: int, boot_id: str) -> int | None:
        check_key(key)
        try:
            # The object first: a stage that is being placed has both names for an instant, and is complete by then.
            placed = self._disk.stat_path(self._layout.object(key))
            staged = self._disk.stat_path(self._layout.staged(key))
            if placed is None and staged is None:
                placed = self._disk.stat_path(self._layout.object(key))
        except OSError as error:
            raise translate(error, f"look at upload {key} in store {self._store!r}") from error
        if staged is not None and not same_file(placed, staged):
            return staged.st_size if boot_id == self._boot() else min(durable, staged.st_size)
        return None if placed is None else placed.st_size

    def keys(self) -> Iterator[str]:
        try:
            names = os.listdir(self._layout.staging)  # noqa: PTH208
        except OSError as error:
            raise translate(error, f"list the uploads of store {self._store!r}") from error
        return (name for name in names if _NAME.fullmatch(name))

    def begin_put(self, key: str) -> FilesystemStage:
        """A stage for `FilesystemStore.put`. What an interrupted put of the key left is thrown away.

        Raises:
            Conflict: The key has an object, or somebody else is putting it.
        """
        path = self._layout.being_put(key)
        try:
            for _ in range(_ATTEMPTS):
                if self._disk.stat_path(self._layout.object(key)) is not None:
                    raise self._taken(key)
                try:
                    fd = self._disk.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
                except FileExistsError:
                    self._clear_interrupted_put(key, path)
                    continue
                if not self._locked(fd, key):
                    raise self._held(key)
                if not same_file(self._disk.stat_path(path), self._disk.stat(fd)):
                    # Somebody took it for an interrupted one before it was locked.
                    self._disk.close(fd)
                    continue
                return FilesystemStage(self._disk, self._layout, self._store, key, path, fd)
        except OSError as error:
            raise translate(error, f"put object {key} in store {self._store!r}") from error
        raise self._held(key)

    def _clear_interrupted_put(self, key: str, path: str) -> None:
        """Remove the name only. The bytes may already be an object's, so they are not touched."""
        try:
            fd = self._disk.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return
        if not self._locked(fd, key):
            raise self._held(key)
        try:
            if same_file(self._disk.stat_path(path), self._disk.stat(fd)):
                with contextlib.suppress(FileNotFoundError):
                    self._disk.unlink(path)
        finally:
            self._disk.close(fd)

    def _hold(self, key: str) -> tuple[int, bool]:
        """A locked descriptor of the stage, or of the object it has become; and which of the two."""
        staged, final = self._layout.staged(key), self._layout.object(key)
        for _ in range(_ATTEMPTS):
            path, complete = staged, False
            try:
                fd = self._disk.open(path, os.O_RDWR)
            except FileNotFoundError:
                path, complete = final, True
                try:
                    fd = self._disk.open(path, os.O_RDONLY)
                except FileNotFoundError:
                    if self._disk.stat_path(staged) is not None:
                        continue
                    raise NotFound(f"Store {self._store!r} has no bytes of upload {key}. Start it again.") from None
            if not self._locked(fd, key):
                raise self._held(key)
            try:
                mine = self._disk.stat(fd)
                if same_file(self._disk.stat_path(path), mine):
                    return fd, complete or same_file(self._disk.stat_path(final), mine)
            except BaseException:
                self._disk.close(fd)
                raise
            self._disk.close(fd)
        raise self._held(key)

    def _continue(self, key: str, fd: int, durable: int, *, complete: bool, trusted: bool) -> FilesystemStage:
        path = self._layout.staged(key)
        size = self._disk.stat(fd).st_size
        hasher = None
        if complete:
            # A process died between giving it the final name and taking away this one.
            with contextlib.suppress(FileNotFoundError):
                self._disk.unlink(path)
            durable = size
        elif trusted:
            hasher = self._hashes.take(key, fd)
        elif size > durable:
            self._disk.truncate(fd, durable)
            size = durable
        return FilesystemStage(
            self._disk,
            self._layout,
            self._store,
            key,
            path,
            fd,
            size=size,
            durable=min(durable, size),
            hasher=hasher,
            complete=complete,
            name_durable=durable > 0,
            retain=self._hashes.keep,
        )

    def _locked(self, fd: int, key: str) -> bool:
        """Lock it, or close it."""
        try:
            locked = self._disk.lock(fd)
        except OSError as error:
            self._disk.close(fd)
            raise translate(error, f"lock upload {key} in store {self._store!r}") from error
        if not locked:
            self._disk.close(fd)
        return locked

    def _held(self, key: str) -> EntrepotError:
        return Conflict(
            f"Upload {key} is held by another request that is still at work. Try again in a moment.",
            details={"retry": True},
        )

    def _taken(self, key: str) -> EntrepotError:
        return Conflict(f"Store {self._store!r} already has bytes under {key}. They were not changed; take a new key.")


class _RetainedHashes:
    """Running hashes of released uploads, so that a next request in this process need not read them from the start.

    Nothing depends on one being here. A hash is used only if the file is exactly as it was left, by inode, length and
    time of change: another process may have cut it and written something else since.
    """

    LIMIT = 1024
    """Uploads; about 1 KiB each."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[tuple[int, ...], Hasher]] = OrderedDict()

    def keep(self, key: str, fd: int, hasher: Hasher) -> None:
        try:
            mark = self._mark(fd)
        except OSError:
            return
        with self._lock:
            self._kept[key] = (mark, hasher)
            self._kept.move_to_end(key)
            if len(self._kept) > self.LIMIT:
                self._kept.popitem(last=False)

    def take(self, key: str, fd: int) -> Hasher | None:
        with self._lock:
            found = self._kept.pop(key, None)
        return found[1] if found is not None and found[0] == self._mark(fd) else None

    def forget(self, key: str) -> None:
        with self._lock:
            self._kept.pop(key, None)

    def _mark(self, fd: int) -> tuple[int, ...]:
        found = self._disk.stat(fd)
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
