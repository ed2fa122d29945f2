"""A real folder whose system calls fail, whose process dies and whose power is cut, at every single step.

What a power cut may take back is modelled after what POSIX promises, not after one file system: everything written
since the last fdatasync of a file, and every name made or removed since the last fsync of its folder. `ordered` cuts
keep names in the order of the steps, as the journals of ext4, XFS and Btrfs do; the others keep any subset.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from entrepot.store.disk import Disk
from entrepot.testing.faulty import Faults

__all__ = ["FaultyDisk"]


@dataclass(frozen=True, slots=True)
class _NameChange:
    """One name made (`spare` is None) or removed (`spare` still leads to the file) since the last fsync."""

    path: str
    spare: str | None

    @property
    def folder(self) -> str:
        return os.path.dirname(self.path)  # noqa: PTH120

    def undo(self) -> None:
        if self.spare is not None:
            os.link(self.spare, self.path)
        elif Path(self.path).is_dir():
            shutil.rmtree(self.path)
        else:
            Path(self.path).unlink(missing_ok=True)


class FaultyDisk(Disk):
    """`Disk` with numbered steps: `create`, `open`, `read`, `write`, `truncate`, `sync`, `writeback`, `link`, `unlink`,
    `seal`, `sync_folder`, `make_folder`. Looking (`stat`) and locking are none.

    Args:
        spare: A folder on the same file system, outside of the store, that keeps removed files for `cut_power`.
    """

    def __init__(self, spare: Path, faults: Faults | None = None) -> None:
        super().__init__()
        self.faults = faults or Faults()
        self._spare = spare
        self._fds: set[int] = set()
        self._names: list[_NameChange] = []
        self._noting = threading.Lock()
        self._synced: dict[tuple[int, int], int] = {}
        spare.mkdir(exist_ok=True)

    # ------------------------------------------------------------------ ends

    def die(self) -> None:
        """What the system does for a dead process: close its files, which ends its locks."""
        self.faults.dead = True
        for fd in list(self._fds):
            os.close(fd)
        self._fds.clear()

    def restart(self) -> FaultyDisk:
        """The disk as a new process on this machine has it: what was not synced still is not. This one stays dead."""
        again = FaultyDisk(self._spare)
        again._names, again._synced = self._names, self._synced
        return again

    def cut_power(self, root: Path, chance: random.Random, *, ordered: bool) -> None:
        """Die, and take back some of what was never synced."""
        self.die()
        keep = chance.randint(0, len(self._names))
        lost = self._names[keep:] if ordered else [name for name in self._names if chance.random() < 0.5]
        for change in reversed(lost):
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                change.undo()
        for path in root.rglob("*"):
            found = path.stat()
            synced = self._synced.get((found.st_dev, found.st_ino))
            if synced is None or not path.is_file() or found.st_size <= synced:
                continue
            os.truncate(path, chance.randint(synced, found.st_size))
            if chance.random() < 0.5:
                # The length arrived and the bytes did not.
                os.truncate(path, found.st_size)
        self._names.clear()
        self._synced.clear()

    @property
    def unsynced_names(self) -> list[str]:
        """Names that a power cut could take back now."""
        return [change.path for change in self._names]

    # ------------------------------------------------------------------ steps

    def open(self, path: str, flags: int) -> int:
        if flags & os.O_CREAT:
            return self.faults.run("create", lambda: self._create(path, flags))
        return self.faults.run("open", lambda: self._opened(super(FaultyDisk, self).open(path, flags)))

    def close(self, fd: int) -> None:
        # After the death of the process the number may belong to somebody else.
        if fd in self._fds:
            self._fds.remove(fd)
            super().close(fd)

    def unlock(self, fd: int) -> None:
        if fd in self._fds:
            super().unlock(fd)

    def read(self, fd: int, length: int, offset: int) -> bytes:
        return self.faults.run("read", lambda: super(FaultyDisk, self).read(fd, length, offset))

    def read_now(self, fd: int, length: int, offset: int, spare: bytearray | None = None) -> bytearray | None:
        return self.faults.run("read_now", lambda: super(FaultyDisk, self).read_now(fd, length, offset, spare))

    def write(self, fd: int, block: memoryview, offset: int) -> int:
        return self.faults.run(
            "write",
            lambda: super(FaultyDisk, self).write(fd, block, offset),
            torn=lambda: super(FaultyDisk, self).write(fd, block[: len(block) // 2], offset),
        )

    def truncate(self, fd: int, size: int) -> None:
        self.faults.run("truncate", lambda: super(FaultyDisk, self).truncate(fd, size))

    def sync(self, fd: int) -> None:
        self.faults.run("sync", lambda: self._sync(fd))

    def start_writeback(self, fd: int, offset: int, length: int) -> None:
        self.faults.run("writeback", lambda: super(FaultyDisk, self).start_writeback(fd, offset, length))

    def await_writeback(self, fd: int, offset: int, length: int) -> None:
        self.faults.run("writeback", lambda: super(FaultyDisk, self).await_writeback(fd, offset, length))

    def link(self, source: str, target: str) -> None:
        self.faults.run("link", lambda: self._link(source, target))

    def unlink(self, path: str) -> None:
        self.faults.run("unlink", lambda: self._unlink(path))

    def seal(self, fd: int) -> None:
        self.faults.run("seal", lambda: super(FaultyDisk, self).seal(fd))

    def sync_folder(self, path: str) -> None:
        self.faults.run("sync_folder", lambda: self._sync_folder(path))

    def make_folder(self, path: Path) -> None:
        self.faults.run("make_folder", lambda: self._make_folder(path))

    # ------------------------------------------------------------------ what a step does, and what it leaves unsynced

    def _opened(self, fd: int) -> int:
        self._fds.add(fd)
        return fd

    def _create(self, path: str, flags: int) -> int:
        fd = self._opened(super().open(path, flags))
        found = os.fstat(fd)
        self._synced[found.st_dev, found.st_ino] = 0
        self._note(_NameChange(path, None))
        return fd

    def _sync(self, fd: int) -> None:
        super().sync(fd)
        found = os.fstat(fd)
        self._synced[found.st_dev, found.st_ino] = found.st_size

    def _link(self, source: str, target: str) -> None:
        super().link(source, target)
        self._note(_NameChange(target, None))

    def _unlink(self, path: str) -> None:
        spare = str(self._spare / uuid4().hex)
        with contextlib.suppress(FileNotFoundError):
            os.link(path, spare)
        super().unlink(path)
        self._note(_NameChange(path, spare))

    def _note(self, change: _NameChange) -> None:
        with self._noting:
            self._names.append(change)

    def _sync_folder(self, path: str) -> None:
        with self._noting:
            # What another thread does to a name from here on may be on the medium behind this, or not.
            settled = {id(change) for change in self._names if change.folder == path}
        super().sync_folder(path)
        with self._noting:
            self._names[:] = [change for change in self._names if id(change) not in settled]

    def _make_folder(self, path: Path) -> None:
        missing = not path.exists()
        super().make_folder(path)
        if missing:
            self._note(_NameChange(str(path), None))
