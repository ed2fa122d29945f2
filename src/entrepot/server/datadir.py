"""The data folder: made, held by one server at a time, and the home of the key that signs links.

DIR/
  entrepot.toml     settings, if the operator wrote any
  catalog.sqlite    facts, unless they are in PostgreSQL
  objects/          bytes, see the store
  staging/          uploads that still grow
  secret.key        signs links and short-lived tokens, and seals the secrets of webhooks; whoever has it can make them
  restoring.json    there while a backup is being put back: nobody may use the folder before that is done
  serve.lock        held by the server that runs; names its process
  run/              what the running processes share: lock files, sockets, metrics
"""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
from pathlib import Path
from types import TracebackType
from typing import Self

from entrepot.model.errors import AlreadyRunning, Corrupt, Unavailable

LOCK, SECRET, RUN, RESTORING = "serve.lock", "secret.key", "run", "restoring.json"
_SECRET_BYTES = 32


def prepare(folder: Path, *, restoring: bool = False) -> None:
    """Make the folder and what belongs into it, for its owner alone.

    Args:
        restoring: The caller is the one who puts a backup back.

    Raises:
        Unavailable: It cannot be made or written, is another user's, or a backup was not wholly put back into it.
    """
    if not restoring and (folder / RESTORING).exists():
        raise Unavailable(
            f"A backup is being put back into {folder}, or was only in part. "
            "Run `entrepot restore-backup` again: it goes on where it was."
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / RUN).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"The data folder {folder} cannot be made: {error.strerror}. Choose another with --data."
        ) from (error)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Unavailable(
            f"The data folder {folder} cannot be written. Change its owner, or choose another with --data."
        )
    stranger = owner_but_root(folder)
    if stranger is not None:
        raise Unavailable(
            f"The data folder {folder} belongs to {stranger}, whose server could not read what root writes there. "
            f"Do it as that user: sudo -u {stranger} entrepot …"
        )


def owner_but_root(folder: Path) -> str | None:
    """Whose the folder is, if this is root and it is somebody else's; who may write by chance is not asked."""
    if os.geteuid() != 0:
        return None
    run = folder / RUN
    theirs = run.stat().st_uid if run.is_dir() else 0
    if theirs == 0:
        return None
    # Some file systems say that everything is one user's, whoever wrote it; all is well there.
    probe = run / f"owner.{secrets.token_hex(8)}"
    probe.touch(mode=0o600)
    mine = probe.stat().st_uid
    probe.unlink()
    if mine == theirs:
        return None
    try:
        return pwd.getpwuid(theirs).pw_name
    except KeyError:
        return f"#{theirs}"


class ServerLock:
    """Held by the one server of a data folder. A killed holder lets go by itself.

    Raises:
        AlreadyRunning: Another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            who = f"process {holder}" if holder.isdecimal() else "another process"
            raise AlreadyRunning(
                f"A server is already running on {folder} ({who}). Use that one, end it, or choose another folder "
                "with --data.",
                details={"pid": int(holder)} if holder.isdecimal() else None,
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let go. The file stays: removing it would let two servers hold two files of one name."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def secret_key(folder: Path) -> bytes:
    """The key of this installation, made on first use. Of processes that start together all get the same one.

    Raises:
        Corrupt: The file is there and holds no key: made anew, it would end every link without a word.
    """
    path = folder / SECRET
    if not path.exists():
        _make_secret(path)
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (ValueError, UnicodeDecodeError):
        key = b""
    if len(key) < _SECRET_BYTES:
        raise Corrupt(f"{path} holds no key. Restore it from a backup, or remove it: links made so far then end.")
    return key


def lacks_secret(folder: Path) -> bool:
    """Whether a server ran on this folder and its key is gone; the next one to ask makes another without a word."""
    return not (folder / SECRET).exists() and (folder / "objects").is_dir()


def _make_secret(path: Path) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, secrets.token_hex(_SECRET_BYTES).encode() + b"\n")
        os.fsync(file)
    finally:
        os.close(file)
    try:
        # A link fails when the name is taken; a rename would replace the key that another process just handed out.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
