"""One upload that still grows, as a file, and the step that makes it an object.

Placing, in this order; a crash test fails when any step is missing:

    1  fdatasync the staged file        else its name could survive a power cut and its bytes not
    2  link it to its final name        fails if the name is taken; never replaces
    3  unlink the staged name
    4  fsync the final folder           else a power cut could take the name back after the fact is committed

Killed before 2 there is a whole stage, after 3 a whole object, and between 2 and 3 one file with both names, which
`resume` and the next start of the store recognise by its inode. The file systems in use keep 2 before 3 in their
journals, so no power cut loses both names.

A failed fsync is final. Linux marks pages clean that it could not write, so a second fsync would succeed over lost
bytes. The staged file is removed at once: a resumed upload then starts over instead of ending as a corrupt object.
"""

from __future__ import annotations

import contextlib
import enum
import threading
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn, Self

from entrepot.model.digests import Digests
from entrepot.model.errors import Conflict, Corrupt, DiskFull, EntrepotError, NotFound, Unavailable, WrongState
from entrepot.store.base import Block
from entrepot.store.disk import Disk, is_full, translate
from entrepot.store.hashing import Hasher
from entrepot.store.layout import Layout, same_file

__all__ = ["FilesystemStage"]

_MIB = 1024 * 1024

WRITEBACK_WINDOW = 8 * _MIB
"""Bytes after which the medium is told to begin. Measured on 1 GiB: 1,830 MiB/s and a final sync of 4 ms, against
1,580 MiB/s and 430 ms without."""

CATCH_UP = 4 * _MIB
"""Bytes of the past that one `write` hashes at most after a resume: enough to overtake a sender of 1 MiB blocks soon,
little enough that no write takes long."""

_READ = _MIB


class _State(enum.Enum):
    GROWING = "growing"
    COMPLETE = "complete"
    """Found placed by an earlier process: the object is there, its digests and the last fsync are still to come."""
    PLACED = "placed"
    RELEASED = "released"
    DISCARDED = "discarded"
    LOST = "lost"


class FilesystemStage:
    """`Stage` as a file that is open, locked and owned by this handle. Made by `FilesystemStaging` only.

    Args:
        path: The staged name; `layout` gives the final one.
        fd: Open and locked; the stage closes it.
        complete: `fd` is already the object of this key.
        name_durable: The staged name is known to have survived an fsync of its folder.
        retain: Gets hash state and descriptor at `release`, for a later resume in this process.
        hashed: Whether `write` hashes; otherwise whoever asks for digests waits for everything to be read back.
    """

    def __init__(
        self,
        disk: Disk,
        layout: Layout,
        store: str,
        key: str,
        path: str,
        fd: int,
        *,
        size: int = 0,
        durable: int = 0,
        hasher: Hasher | None = None,
        complete: bool = False,
        name_durable: bool = False,
        retain: Callable[[str, int, Hasher], None] | None = None,
        hashed: bool = True,
    ) -> None:
        self.key = key
        self.size = size
        self.durable = durable
        self._disk = disk
        self._layout = layout
        self._what = f"upload {key} in store {store!r}"
        self._path = path
        self._fd = fd
        self._state = _State.COMPLETE if complete else _State.GROWING
        self._hasher = hasher or Hasher(beside=True)
        self._name_durable = name_durable
        self._retain = retain
        self._hashing = hashed
        self._digests: Digests | None = None
        self._pushed = size
        self._first_pushed = size
        # `_lock` keeps the handle's own steps apart. `_syncing` lets `sync` run beside `write`, and keeps the
        # descriptor open while it does. Always taken in this order.
        self._lock = threading.Lock()
        self._syncing = threading.Lock()

    def write(self, block: Block) -> None:
        # Released at once, also when an error keeps this frame alive: the caller may want to resize its buffer.
        with self._lock, memoryview(block).cast("B") as view:
            self._require(_State.GROWING)
            offset = self.size
            try:
                self._write_all(view, offset)
            except OSError as error:
                self._roll_back(offset)
                raise translate(error, f"write to {self._what}") from error
            self.size = offset + len(view)
            if not self._hashing:
                pass
            elif self._hasher.size == offset:
                self._hasher.update(block if isinstance(block, bytes) else view)
            else:
                self._catch_up(CATCH_UP)
            self._push()

    def read_at(self, offset: int, length: int) -> bytes:
        with self._lock:
            self._require(_State.GROWING, _State.COMPLETE)
            parts: list[bytes] = []
            end = min(offset + length, self.size)
            while offset < end:
                try:
                    part = self._disk.read(self._fd, end - offset, offset)
                except OSError as error:
                    raise self._unreadable("the disk reports an error") from error
                if not part:
                    raise self._unreadable(f"its file ends at {offset}, not at {self.size}")
                parts.append(part)
                offset += len(part)
            return b"".join(parts)

    def sync(self) -> int:
        with self._syncing:
            if self._state is _State.PLACED:
                return self.durable
            self._require(_State.GROWING, _State.COMPLETE)
            # What a writer adds from here on may or may not be covered.
            size = self.size
            if self._state is _State.GROWING:
                self._sync_file()
            self.durable = max(self.durable, size)
            return self.durable

    def digests(self) -> Digests:
        with self._lock:
            if self._digests is not None:
                return self._digests
            self._require(_State.GROWING, _State.COMPLETE)
            return self._hashed()

    def place(self) -> Digests:
        with self._lock:
            if self._state is _State.PLACED and self._digests is not None:
                return self._digests
            self._require(_State.GROWING, _State.COMPLETE)
            digests = self._hashed()
            self._settle()
            self._digests = digests
            return digests

    def seal(self) -> int:
        with self._lock:
            if self._state is not _State.PLACED:
                self._require(_State.GROWING, _State.COMPLETE)
                self._settle()
            return self.size

    def release(self) -> None:
        with self._lock, self._syncing:
            if self._fd < 0:
                return
            self._hasher.settle()
            if self._state is _State.GROWING and self._retain is not None:
                self._retain(self.key, self._fd, self._hasher)
            if self._state is not _State.LOST:
                self._state = _State.RELEASED
            self._close()

    def discard(self) -> None:
        with self._lock, self._syncing:
            if self._fd < 0:
                return
            growing = self._state is _State.GROWING
            if self._state is not _State.LOST:
                self._state = _State.DISCARDED
            try:
                # While the lock is still held: whoever resumes next finds nothing, not bytes that are about to go.
                if growing:
                    with contextlib.suppress(FileNotFoundError):
                        self._disk.unlink(self._path)
                    # The caller forgets the key next: a power cut must not bring back bytes that nobody owns.
                    self._disk.sync_folder(self._layout.staging)
            except OSError as error:
                raise translate(error, f"remove the bytes of {self._what}") from error
            finally:
                self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __del__(self) -> None:
        # A handle that was dropped without a release must not hold the upload for the rest of the process.
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                self._close()

    # ------------------------------------------------------------------ writing

    def _write_all(self, view: memoryview, offset: int) -> None:
        written = self._disk.write(self._fd, view, offset)
        while written < len(view):
            # A short write is how a full disk announces itself; the next one brings the reason.
            written += self._disk.write(self._fd, view[written:], offset + written)

    def _roll_back(self, size: int) -> None:
        """Cut off what a failed write left, since a later resume takes the length of the file for the offset."""
        try:
            self._disk.truncate(self._fd, size)
        except OSError as error:
            self._lose(error)

    def _push(self) -> None:
        """Begin writeback of each full window, and wait for the one before it, which had a window's time."""
        try:
            while self.size - self._pushed >= WRITEBACK_WINDOW:
                self._disk.start_writeback(self._fd, self._pushed, WRITEBACK_WINDOW)
                before = self._pushed - WRITEBACK_WINDOW
                if before >= self._first_pushed:
                    self._disk.await_writeback(self._fd, before, WRITEBACK_WINDOW)
                self._pushed += WRITEBACK_WINDOW
        except OSError as error:
            self._lose(error)

    # ------------------------------------------------------------------ hashing

    def _hashed(self) -> Digests:
        self._catch_up(self.size)
        return self._hasher.digests()

    def _catch_up(self, budget: int) -> None:
        """Hash up to `budget` bytes that were received but, since this handle is a resumed one, never hashed."""
        end = min(self.size, self._hasher.size + budget)
        while self._hasher.size < end:
            try:
                block = self._disk.read(self._fd, min(_READ, end - self._hasher.size), self._hasher.size)
            except OSError as error:
                raise self._unreadable("the disk reports an error") from error
            if not block:
                raise self._unreadable(f"its file ends at {self._hasher.size}, not at {self.size}")
            self._hasher.update(block)

    def _unreadable(self, how: str) -> Corrupt:
        return Corrupt(f"The bytes of {self._what} cannot be read back: {how}. Abort it and send the file again.")

    # ------------------------------------------------------------------ placing

    def _settle(self) -> None:
        with self._syncing:
            # Again: a `sync` beside us may have failed while we hashed.
            self._require(_State.GROWING, _State.COMPLETE)
            if self._state is _State.GROWING:
                self._check_length()
                self._sync_file(name=False)
                linked = self._link()
                # A staged name that stays behind has no bytes of its own; the next start of the store removes it.
                with contextlib.suppress(OSError):
                    self._disk.unlink(self._path)
                # Some file systems know no modes; sealing only guards against slips.
                with contextlib.suppress(OSError):
                    self._disk.seal(self._fd)
            else:
                linked = False
            self._sync_final_name(ours=linked)
            self._close()
            self.durable = self.size
            self._state = _State.PLACED

    def _check_length(self) -> None:
        """What becomes the object is what was hashed: not less, and no tail of a write that never returned."""
        try:
            found = self._disk.stat(self._fd).st_size
            if found > self.size:
                self._disk.truncate(self._fd, self.size)
        except OSError as error:
            raise translate(error, f"place {self._what}") from error
        if found < self.size:
            raise self._unreadable(f"its file ends at {found}, not at {self.size}")

    def _sync_file(self, *, name: bool = True) -> None:
        """The bytes, and unless it is about to be replaced the staged name, reach the medium; failing is final."""
        try:
            self._disk.sync(self._fd)
            if name and not self._name_durable:
                self._disk.sync_folder(self._layout.staging)
                self._name_durable = True
        except OSError as error:
            self._lose(error)

    def _link(self) -> bool:
        """Give the file its final name; False if it has it already, from an attempt that was interrupted."""
        final = self._layout.object(self.key)
        try:
            mine = self._disk.stat(self._fd)
            if same_file(self._disk.stat_path(final), mine):
                return False
            if not same_file(self._disk.stat_path(self._path), mine):
                raise NotFound(
                    f"The bytes of {self._what} were discarded while it was being finished. Send them again."
                )
            self._disk.link(self._path, final)
        except FileExistsError as error:
            raise Conflict(
                f"There already is an object {self.key}, with other bytes. It was not changed; upload under a new key."
            ) from error
        except OSError as error:
            raise translate(error, f"place {self._what}") from error
        return True

    def _sync_final_name(self, *, ours: bool) -> None:
        try:
            self._disk.sync_folder(self._layout.folder(self.key))
        except OSError as error:
            if ours:
                # Nobody can have named it yet, and nobody may: whether the name lasts cannot be known any more.
                with contextlib.suppress(OSError):
                    self._disk.unlink(self._layout.object(self.key))
            self._lose(error)

    # ------------------------------------------------------------------ state

    def _require(self, *states: _State) -> None:
        if self._state in states:
            return
        if self._state is _State.LOST:
            raise Unavailable(self._lost_message())
        if self._state in (_State.PLACED, _State.COMPLETE):
            raise WrongState(f"All bytes of {self._what} were received and placed; it takes no more.")
        raise WrongState(f"This handle of {self._what} was {self._state.value}. Resume the upload to go on.")

    def _lose(self, error: OSError) -> NoReturn:
        """The medium may have dropped bytes it had taken. Nothing of this upload can be trusted from here on."""
        self._state = _State.LOST
        with contextlib.suppress(OSError):
            self._disk.unlink(self._path)
        # The descriptor stays open until `release` or `discard`: another thread may be using it right now.
        kind: type[EntrepotError] = DiskFull if is_full(error) else Unavailable
        raise kind(self._lost_message()) from error

    def _lost_message(self) -> str:
        return (
            f"The disk failed to keep the bytes of {self._what}, so they were thrown away. "
            "Send them again from the start; if it happens again, look at the system log for errors of the disk."
        )

    def _close(self) -> None:
        """Let go of the file. The lock is given up by name: a child process may have inherited the descriptor."""
        fd, self._fd = self._fd, -1
        with contextlib.suppress(OSError):
            self._disk.unlock(fd)
        self._disk.close(fd)
