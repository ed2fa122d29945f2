"""Where a daemon lives: its socket, its lock, and the folder of its journal and log.

    $ENTREPOT_SOCKET, else $XDG_RUNTIME_DIR/entrepot-transfer.sock, else /run/user/<uid>/entrepot-transfer.sock,
    else <temporary folder>/entrepot-<uid>/entrepot-transfer.sock

    PATH.lock                                      held for as long as a daemon serves PATH
    $XDG_STATE_HOME/entrepot/daemon/<hash of PATH>/   journal.sqlite3, daemon.log

A journal belongs to the path of its socket: two daemons of one user never take each other's transfers.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from entrepot.client.places import state_folder
from entrepot.model.errors import Forbidden, Invalid

__all__ = ["SOCKET_VARIABLE", "home_of", "lock_of", "log_of", "private_folder", "said_of", "short", "socket_path"]

SOCKET_VARIABLE = "ENTREPOT_SOCKET"
_NAME = "entrepot-transfer.sock"
#: What fits into an address of every system we know (macOS has 104 bytes with the end, Linux 108).
_ADDRESS = 100


def socket_path(given: str | os.PathLike[str] | None = None) -> Path:
    """The absolute path of the socket that is meant; nothing is made."""
    named = os.fspath(given) if given is not None else os.environ.get(SOCKET_VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    uid = os.getuid()
    # After `su` it is still somebody else's.
    if runtime and Path(runtime).is_absolute() and _owner(runtime) in (None, uid):
        return Path(runtime) / _NAME
    usual = Path(f"/run/user/{uid}")
    if usual.is_dir() and os.access(usual, os.W_OK):
        return usual / _NAME
    return Path(tempfile.gettempdir()) / f"entrepot-{uid}" / _NAME


def _owner(folder: str) -> int | None:
    try:
        return os.stat(folder).st_uid  # noqa: PTH116
    except OSError:
        return None


def lock_of(socket: Path) -> Path:
    return socket.with_name(f"{socket.name}.lock")


def home_of(socket: Path) -> Path:
    """The folder of the journal and the log of the daemon on this socket, however its path is spelled."""
    meant = Path(os.path.realpath(socket.parent), socket.name)
    return state_folder() / "daemon" / hashlib.sha256(os.fsencode(meant)).hexdigest()[:16]


def log_of(socket: Path) -> Path:
    return home_of(socket) / "daemon.log"


def said_of(socket: Path) -> Path:
    """What the program printed before it had a log: why it could not begin."""
    return home_of(socket) / "daemon.err"


def private_folder(folder: Path) -> None:
    """Make the folder if it is not there, for its owner alone; what is there already has to be ours.

    Raises:
        Forbidden: It belongs to somebody else, or anybody may rename what is in it.
        Invalid: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        state = folder.stat()
    except OSError as error:
        raise Invalid(f"The folder {str(folder)!r} cannot be made: {error.strerror or error}.") from error
    sticky = bool(state.st_mode & stat.S_ISVTX)
    if state.st_uid not in (os.getuid(), 0) or (state.st_mode & 0o022 and not sticky):
        raise Forbidden(
            f"Others may change what lies in {str(folder)!r}, so no socket is put there. Name a folder of your own in "
            f"{SOCKET_VARIABLE}."
        )


@contextlib.contextmanager
def short(path: Path) -> Iterator[str]:
    """The path as an address of a socket: a longer one is reached through its folder.

    Raises:
        OSError: The folder is not there.
        Invalid: The path is too long for this system.
    """
    if len(os.fsencode(path)) <= _ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        through = f"/proc/self/fd/{folder}"
        if not Path(through).is_dir() or len(os.fsencode(path.name)) > _ADDRESS - len(through) - 1:
            raise Invalid(f"The path {str(path)!r} is too long for a socket. Name a shorter one in {SOCKET_VARIABLE}.")
        yield f"{through}/{path.name}"
    finally:
        os.close(folder)
