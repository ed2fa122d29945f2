"""Uploads on the way to a bucket: they grow in a local folder and are sent when they are whole.

A bucket cannot append, and an upload continues where it was, so the bytes wait in the staging folder of a
`FilesystemStore`. Placing, in this order:

    1  fdatasync the staged file        it is the only copy until 3
    2  send it to the bucket            all or nothing; digests are taken again from what is sent
    3  remove the staged file

Killed before 2 ended there is a whole stage, after it a whole object, and between 2 and 3 both: `place` of the resumed
stage then finds the object, compares it, and removes the stage.

Machines that share a bucket and answer for each other's uploads need a staging folder that all of them see.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from entrepot.model.digests import Digests
from entrepot.model.errors import Conflict, NotFound, WrongState
from entrepot.store.base import Block, Stage, boot_id, check_key
from entrepot.store.filesystem_staging import FilesystemStaging
from entrepot.store.hashing import digests_of
from entrepot.store.s3 import S3Store
from entrepot.store.verifying import READ_SIZE, blocks_of

__all__ = ["S3Staging"]


class S3Staging:
    """`Staging` that places into a bucket what grew in a local folder."""

    def __init__(self, store: S3Store, local: FilesystemStaging) -> None:
        self._store = store
        self._local = local

    def create(self, key: str, *, hashed: bool = True) -> Stage:
        if self._store.stat(check_key(key)) is not None:
            raise Conflict(f"Store {self._store.name!r} already has bytes under {key}. Take a new key.")
        return _Stage(self, self._local.create(key, hashed=hashed))

    def resume(self, key: str, *, durable: int, boot_id: str) -> Stage:
        check_key(key)
        try:
            return _Stage(self, self._local.resume(key, durable=durable, boot_id=boot_id))
        except NotFound:
            if self._store.stat(key) is None:
                raise
        return _Placed(self._store, key)

    def discard(self, key: str) -> None:
        self._local.discard(key)

    def stat(self, key: str, *, durable: int, boot_id: str) -> int | None:
        found = self._local.stat(check_key(key), durable=durable, boot_id=boot_id)
        return self._store.stat(key) if found is None else found

    def keys(self) -> Iterator[str]:
        return self._local.keys()

    def send(self, stage: Stage, digests: Digests | None) -> Digests:
        """Make the bytes of a stage an object, or find that they are one already.

        Args:
            digests: Of the staged bytes, where they are known.

        Raises:
            Conflict: There is an object with other bytes.
            NotFound: The stage was discarded meanwhile.
        """
        stage.sync()
        self._require_there(stage)
        try:
            blocks = (stage.read_at(at, READ_SIZE) for at in range(0, stage.size, READ_SIZE))
            sent = self._store.put_sized(stage.key, blocks, stage.size)
        except Conflict:
            digests = digests or stage.digests()
            if self._store.stat(stage.key) != digests.size or _digests(self._store, stage.key) != digests:
                raise
            sent = digests
        if digests is not None and sent != digests:
            self._store.delete(stage.key)
            raise WrongState(f"The staged bytes of upload {stage.key} changed while they were sent. Send them again.")
        try:
            self._require_there(stage)
        except NotFound:
            # Whoever discarded it has forgotten the key, or is about to.
            self._store.delete(stage.key)
            raise
        return sent

    def _require_there(self, stage: Stage) -> None:
        if self._local.stat(stage.key, durable=stage.durable, boot_id=boot_id()) is None:
            raise NotFound(
                f"The bytes of upload {stage.key} were discarded while it was being finished. Send them again."
            )


class _Stage:
    """`Stage` that grows locally."""

    def __init__(self, staging: S3Staging, local: Stage) -> None:
        self._staging = staging
        self._local = local
        self._lock = threading.RLock()
        self._placed: Digests | None = None

    @property
    def key(self) -> str:
        return self._local.key

    @property
    def size(self) -> int:
        return self._local.size

    @property
    def durable(self) -> int:
        return self._local.durable

    def write(self, block: Block) -> None:
        if self._placed is not None:
            raise WrongState(f"All bytes of upload {self.key} were received and placed; it takes no more.")
        self._local.write(block)

    def read_at(self, offset: int, length: int) -> bytes:
        return self._local.read_at(offset, length)

    def sync(self) -> int:
        return self.size if self._placed is not None else self._local.sync()

    def digests(self) -> Digests:
        return self._placed or self._local.digests()

    def place(self) -> Digests:
        with self._lock:
            return self._placed or self._send(self._local.digests())

    def seal(self) -> int:
        with self._lock:
            # What is sent is hashed on the way, whoever wants to know.
            return (self._placed or self._send(None)).size

    def _send(self, digests: Digests | None) -> Digests:
        self._placed = self._staging.send(self._local, digests)
        self._local.discard()
        return self._placed

    def release(self) -> None:
        self._local.release()

    def discard(self) -> None:
        self._local.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class _Placed:
    """`Stage` that an earlier process placed: whole, and without local bytes."""

    def __init__(self, store: S3Store, key: str) -> None:
        self.key = key
        self._store = store
        self._reader = store.open(key)
        self.size = self.durable = self._reader.size
        self._digests: Digests | None = None
        self._ended: str | None = None

    def write(self, block: Block) -> None:  # noqa: ARG002
        self._require_held()
        raise WrongState(f"All bytes of upload {self.key} were received and placed; it takes no more.")

    def read_at(self, offset: int, length: int) -> bytes:
        self._require_held()
        return self._reader.read_at(offset, length)

    def sync(self) -> int:
        self._require_held()
        return self.size

    def digests(self) -> Digests:
        if self._digests is None:
            self._require_held()
            self._digests = _digests(self._store, self.key)
        return self._digests

    def place(self) -> Digests:
        return self.digests()

    def seal(self) -> int:
        return self.sync()

    def release(self) -> None:
        self._end("released")

    def discard(self) -> None:
        self._end("discarded")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _end(self, how: str) -> None:
        if self._ended is None:
            self._ended = how
            self._reader.close()

    def _require_held(self) -> None:
        if self._ended is not None:
            raise WrongState(f"This handle of upload {self.key} was {self._ended}. Resume the upload to go on.")


def _digests(store: S3Store, key: str) -> Digests:
    with store.open(key) as reader:
        return digests_of(blocks_of(reader))
