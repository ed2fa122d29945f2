"""The system calls under the filesystem store, one method a step.

They stand apart for two reasons: a test can break, cut or count any single step (`entrepot.testing.faulty_disk`), and
what differs between systems is in one place. Methods raise plain `OSError`; `translate` turns it into the error tree
at the edge of the store.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from entrepot.model.errors import DiskFull, EntrepotError, NotFound, Unavailable

__all__ = ["Disk", "is_full", "translate"]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_SUCH_CALL = frozenset({errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP})

# Of <linux/fs.h>.
_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4

SEALED_MODE = 0o440
"""Objects are never written again; the mode keeps a slip of an administrator's hand from it."""


class Disk:
    """The real file system. Stateless but for what it learned about the system; safe for any number of threads."""

    def __init__(self) -> None:
        self._sync_file_range = _find_sync_file_range()
        self._nowait: int = getattr(os, "RWF_NOWAIT", 0)
        self._reads_now = self._nowait != 0

    def open(self, path: str, flags: int) -> int:
        """A descriptor that is not inherited by child processes; new files belong to the server's user alone."""
        return os.open(path, flags | os.O_CLOEXEC, 0o600)

    def close(self, fd: int) -> None:
        os.close(fd)

    def lock(self, fd: int) -> bool:
        """Take the one hold on this file, against other threads and processes alike; False if somebody has it.

        The system lets go of it when the process dies, however it dies.
        """
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self, fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)

    def stat(self, fd: int) -> os.stat_result:
        return os.fstat(fd)

    def stat_path(self, path: str) -> os.stat_result | None:
        """Of the file itself, not of what a link points to; None if there is none."""
        try:
            return os.stat(path, follow_symlinks=False)  # noqa: PTH116 - a Path object per call costs more than the call
        except FileNotFoundError:
            return None

    def read(self, fd: int, length: int, offset: int) -> bytes:
        return os.pread(fd, length, offset)

    def read_now(self, fd: int, length: int, offset: int, spare: bytearray | None = None) -> bytearray | None:
        """As `read` if all of it is in memory already; None if the medium would have to be waited for.

        Args:
            spare: Is read into and answered if it has just this length. Its bytes are lost in any case.
        """
        if not self._reads_now:
            return None
        block = bytearray(length) if spare is None or len(spare) != length else spare
        try:
            got = os.preadv(fd, [block], offset, self._nowait)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno not in _NO_SUCH_CALL:
                raise
            # This file system cannot tell; unless it is memory itself, nobody asks it again.
            self._nowait, self._reads_now = 0, _in_memory(fd)
            return None
        return block if got == length else None

    def write(self, fd: int, block: memoryview, offset: int) -> int:
        """Bytes written, possibly fewer than the block has."""
        return os.pwrite(fd, block, offset)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def sync(self, fd: int) -> None:
        """Contents and length reach the medium."""
        os.fdatasync(fd)

    def start_writeback(self, fd: int, offset: int, length: int) -> None:
        """Let the medium begin with these bytes, so that the next `sync` is short. Promises nothing."""
        self._writeback(fd, offset, length, _WRITE)

    def await_writeback(self, fd: int, offset: int, length: int) -> None:
        """Wait until these bytes were handed over. Keeps a fast sender from filling the memory with dirty pages.

        Promises no durability, but it does take delivery of a write error that `sync` would otherwise report, so an
        OSError here means what a failed `sync` means.
        """
        self._writeback(fd, offset, length, _WAIT_BEFORE | _WRITE | _WAIT_AFTER)

    def link(self, source: str, target: str) -> None:
        """A second name for a file; fails if the name is taken, where a rename would replace what is there."""
        os.link(source, target)

    def unlink(self, path: str) -> None:
        os.unlink(path)  # noqa: PTH108

    def seal(self, fd: int) -> None:
        os.fchmod(fd, SEALED_MODE)

    def sync_folder(self, path: str) -> None:
        """The names in a folder reach the medium: without this a power cut can take back a link or an unlink."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def make_folder(self, path: Path) -> None:
        """The folder, if it is missing; its parent must be there."""
        path.mkdir(mode=0o750, exist_ok=True)

    def _writeback(self, fd: int, offset: int, length: int, flags: int) -> None:
        call = self._sync_file_range
        if call is None or call(fd, offset, length, flags) == 0:
            return
        code = ctypes.get_errno()
        if code not in _NO_SUCH_CALL:
            raise OSError(code, os.strerror(code))
        # This file system cannot; `sync` does all the work then.
        self._sync_file_range = None


def _in_memory(fd: int) -> bool:
    """Whether a file is on a file system that has no medium, where reading never waits."""
    device = os.fstat(fd).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    for line in mounts.splitlines():
        about, _, kind = line.partition(" - ")
        if about.split()[2] == wanted:
            return kind.split()[0] in ("tmpfs", "ramfs")
    return False


def is_full(error: OSError) -> bool:
    """Whether the error means that there is no room: disk, quota or largest file size."""
    return error.errno in _FULL


def translate(error: OSError, doing: str) -> EntrepotError:
    """The error of the tree for a failed system call; raise it `from` the original, which has the path.

    Args:
        doing: What was being done, to which thing, in which store; completes "Could not …".
    """
    reason = os.strerror(error.errno) if error.errno else str(error)
    if is_full(error):
        return DiskFull(f"Could not {doing}: {reason}. Free some space or raise the quota, then try again.")
    if error.errno == errno.ENOENT:
        return NotFound(f"Could not {doing}: it is not there any more.")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return Unavailable(f"Could not {doing}: {reason}. Try again later; raise the limit with `ulimit -n`.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Unavailable(f"Could not {doing}: {reason}. The server's user must be able to write to its data folder.")
    return Unavailable(f"Could not {doing}: {reason}. If it persists, look at the system log for errors of the disk.")


def _find_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """The call of the C library, which Python does not offer; None where there is none (it is Linux only)."""
    try:
        call = ctypes.CDLL(None, use_errno=True).sync_file_range
    except (AttributeError, OSError):
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    call.restype = ctypes.c_int
    return call
