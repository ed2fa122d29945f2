"""Objects as plain files in folders.

    ROOT/
      objects/
        00/ … ff/                             256 folders, all made and synced when the store is first opened
          3f/3f0c…(32 digits)                 one object: exactly its bytes, mode 0440, never written again
      staging/
        9a41…(32 digits)                      one upload that still grows, held by flock while somebody writes
        9a41….put                             an object that a `put` is writing, or that an interrupted one left

Everything lies on one file system: an object gets its final name by a hard link, which fails when the name is taken
(a rename would replace it). The folders are made in advance because a folder made on the way would need its parent
synced too, in the middle of an upload. What needs no database: an object can be read with `cat`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from entrepot.model.digests import Digests
from entrepot.model.errors import Corrupt, EntrepotError, Invalid, NotFound, Unavailable, WrongState
from entrepot.store.base import Block, ObjectReader, boot_id, check_key
from entrepot.store.descriptors import Descriptor, DescriptorCache
from entrepot.store.disk import Disk, translate
from entrepot.store.filesystem_staging import FilesystemStaging
from entrepot.store.layout import FOLDERS, Layout, same_file

__all__ = ["FilesystemStore"]

_PROBE = ".probe-"
_OBJECT_NAME = re.compile(r"[0-9a-f]{32}")


class FilesystemStore:
    """`ObjectStore` on a folder; its `staging` is the `Staging` that places into it.

    Opening makes what is missing and finishes what a crash left between the two names of a placed upload.

    Args:
        root: Made if missing. May be shared by several processes, also on several machines if the file system knows
            `flock`, hard links and durable `fsync` across them.
        name: What the catalogue and messages call the store.
        open_files: Descriptors kept open for reading.
        disk: The system calls; tests give one that fails.
        boot: Says which run of the machine this is; tests give one that changes.
        only_read: Nothing is made or tidied: the folder may be a backup on a read-only medium. Writing is then not
            refused, it may just fail.

    Raises:
        Unavailable: The folder cannot be used; the message says why, to the operator.
        NotFound: With `only_read`, there is no such store.
    """

    def __init__(
        self,
        root: Path,
        *,
        name: str = "local",
        open_files: int = 128,
        disk: Disk | None = None,
        boot: Callable[[], str] = boot_id,
        only_read: bool = False,
    ) -> None:
        self.name = name
        self._disk = disk or Disk()
        self._layout = Layout(str(root.absolute()))
        self._cache = DescriptorCache(open_files, self._open_object, self._disk)
        self._staging = FilesystemStaging(self._disk, self._layout, name, boot)
        if not only_read:
            self._prepare()
        elif not (root / "objects").is_dir():
            raise NotFound(f"There is no store in {root}: it has no folder `objects`.")

    @property
    def staging(self) -> FilesystemStaging:
        """The uploads that become objects of this store."""
        return self._staging

    def open(self, key: str) -> ObjectReader:
        return _Reader(self._cache.get(check_key(key)), self._disk, key, self.name)

    def path_of(self, key: str) -> str:
        return self._layout.object(check_key(key))

    def put(self, key: str, blocks: Iterable[Block]) -> Digests:
        stage = self._staging.begin_put(check_key(key))
        try:
            for block in blocks:
                stage.write(block)
            return stage.place()
        except BaseException:
            # The first error is the one that tells something; bytes that stay are removed by `delete` or the next put.
            with contextlib.suppress(EntrepotError):
                stage.discard()
            raise

    def delete(self, key: str) -> None:
        check_key(key)
        self._cache.forget(key)
        try:
            for path in (self._layout.object(key), self._layout.being_put(key)):
                with contextlib.suppress(FileNotFoundError):
                    self._disk.unlink(path)
            # The caller forgets the key next. Without this a power cut could bring the bytes back, owned by nobody.
            self._disk.sync_folder(self._layout.folder(key))
        except OSError as error:
            raise translate(error, f"delete object {key} in store {self.name!r}") from error

    def stat(self, key: str) -> int | None:
        check_key(key)
        try:
            found = self._disk.stat_path(self._layout.object(key))
        except OSError as error:
            raise translate(error, f"look at object {key} in store {self.name!r}") from error
        return None if found is None else found.st_size

    def keys(self) -> Iterator[str]:
        for folder in FOLDERS:
            try:
                names = os.listdir(f"{self._layout.objects}/{folder}")  # noqa: PTH208
            except OSError as error:
                raise translate(error, f"list the objects of store {self.name!r}") from error
            for name in names:
                if name.startswith(folder) and _OBJECT_NAME.fullmatch(name):
                    yield name

    def probe(self) -> None:
        """Also lets go of objects that another process deleted, so that their space becomes free."""
        self._cache.drop_deleted()
        sample = secrets.token_bytes(64)
        path = f"{self._layout.staging}/{_PROBE}{secrets.token_hex(8)}"
        try:
            fd = self._disk.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            try:
                self._disk.write(fd, memoryview(sample), 0)
                self._disk.sync(fd)
                found = self._disk.read(fd, len(sample), 0)
            finally:
                self._disk.close(fd)
                with contextlib.suppress(FileNotFoundError):
                    self._disk.unlink(path)
        except OSError as error:
            raise translate(error, f"write to store {self.name!r}") from error
        if found != sample:
            raise Unavailable(f"Store {self.name!r} gave back other bytes than were written. Check its disk.")

    def close(self) -> None:
        """Close the descriptors that no reader holds. The store stays usable."""
        self._cache.clear()

    def _open_object(self, key: str) -> Descriptor:
        doing = f"open object {key} in store {self.name!r}"
        path = self._layout.object(key)
        try:
            try:
                return Descriptor(self._disk, self._disk.open(path, os.O_RDONLY))
            except OSError as error:
                if error.errno != errno.EMFILE:
                    raise
                # Our own cache may be what used them up.
                self._cache.clear()
                return Descriptor(self._disk, self._disk.open(path, os.O_RDONLY))
        except FileNotFoundError as error:
            raise NotFound(f"Store {self.name!r} has no object {key}.") from error
        except OSError as error:
            if error.errno == errno.EIO:
                raise Corrupt(f"Could not {doing}: the disk reports an error. Run `entrepot verify`.") from error
            raise translate(error, doing) from error

    def _prepare(self) -> None:
        root, disk = Path(self._layout.root), self._disk
        objects, staging = root / "objects", root / "staging"
        try:
            self._make(root)
            disk.make_folder(objects)
            disk.make_folder(staging)
            present = set(os.listdir(objects))  # noqa: PTH208
            for name in FOLDERS:
                if name not in present:
                    disk.make_folder(objects / name)
            # Always, not only when something was made: an earlier start may have died before it came here.
            disk.sync_folder(str(objects))
            disk.sync_folder(str(root))
            one, other = disk.stat_path(str(objects)), disk.stat_path(str(staging))
            if one is None or other is None or one.st_dev != other.st_dev:
                raise Unavailable(
                    f"{objects} and {staging} must be folders of one file system, because objects are placed by "
                    "linking. Mount it at the folder that holds both."
                )
            self._tidy()
        except OSError as error:
            raise translate(error, f"use {root} as a store") from error

    def _make(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._make(folder.parent)
        self._disk.make_folder(folder)
        self._disk.sync_folder(str(folder.parent))

    def _tidy(self) -> None:
        """Remove what has no bytes of its own: probes, and the second names of objects that were placed in a crash."""
        for name in os.listdir(self._layout.staging):  # noqa: PTH208
            path = f"{self._layout.staging}/{name}"
            key = name.removesuffix(".put")
            if name.startswith(_PROBE) or (
                _OBJECT_NAME.fullmatch(key)
                and same_file(self._disk.stat_path(path), self._disk.stat_path(self._layout.object(key)))
            ):
                # Another process may be just doing the same.
                with contextlib.suppress(FileNotFoundError):
                    self._disk.unlink(path)


class _Reader:
    """`ObjectReader` on a shared descriptor."""

    __slots__ = ("_disk", "_file", "_key", "_store", "size")

    def __init__(self, file: Descriptor, disk: Disk, key: str, store: str) -> None:
        self._file: Descriptor | None = file
        self._disk = disk
        self._key = key
        self._store = store
        self.size = file.size

    def read_at(self, offset: int, length: int) -> bytes:
        # The local name keeps the descriptor open through the call, whatever other threads do to this reader.
        file = self._file
        if file is None:
            raise WrongState(f"The reader of object {self._key} was closed. Open the object again.")
        if offset < 0 or length < 0:
            raise Invalid(f"Offset {offset} and length {length} must not be negative.")
        if offset + length > self.size:
            length = max(self.size - offset, 0)
        try:
            block = self._disk.read(file.fd, length, offset)
            if len(block) == length:
                return block
            return self._read_on(file, block, offset, length)
        except OSError as error:
            raise self._damaged(f"the disk cannot read {length} bytes at {offset}") from error

    def read_now(self, offset: int, length: int, spare: bytearray | None = None) -> bytearray | None:
        file = self._file
        if file is None or offset < 0 or length <= 0 or offset + length > self.size:
            return None
        try:
            return self._disk.read_now(file.fd, length, offset, spare)
        except OSError:
            # `read_at` meets the same error and says what it means.
            return None

    def _read_on(self, file: Descriptor, block: bytes, offset: int, length: int) -> bytes:
        """The rest of a read that the system cut short, as it does beyond 2 GiB."""
        blocks = [block]
        have = len(block)
        while have < length:
            block = self._disk.read(file.fd, length - have, offset + have)
            if not block:
                raise self._damaged(f"it was {self.size} bytes long and now ends at {offset + have}")
            blocks.append(block)
            have += len(block)
        return b"".join(blocks)

    def _damaged(self, how: str) -> Corrupt:
        return Corrupt(
            f"Object {self._key} in store {self._store!r} is damaged: {how}. "
            "Run `entrepot verify`, then restore it from a backup."
        )

    def close(self) -> None:
        self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
