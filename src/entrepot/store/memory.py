"""Objects and uploads in memory: the same promises without a disk, for tests and throw-away servers.

It can also die: `crash` does what the death of every process does, `lose_power` what a power cut does. Tests of the
floors above then see what they would see of a real store.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from entrepot.model.digests import Digests
from entrepot.model.errors import Conflict, DiskFull, Invalid, NotFound, WrongState
from entrepot.store.base import Block, ObjectReader, boot_id, check_key
from entrepot.store.hashing import Hasher

__all__ = ["MemoryStaging", "MemoryStore"]


class MemoryStore:
    """`ObjectStore` in a dict; its `staging` is the `Staging` that places into it.

    Args:
        capacity: Bytes it takes, objects and uploads together, before it says `DiskFull`; None for no limit.
        boot: Says which run of the machine this is.
    """

    def __init__(self, *, name: str = "memory", capacity: int | None = None, boot: Callable[[], str] = boot_id) -> None:
        self.name = name
        self.capacity = capacity
        # One lock for objects and uploads: placing moves bytes from one to the other.
        self._lock = threading.RLock()
        self._objects: dict[str, bytes] = {}
        self._staging = MemoryStaging(self, self._lock, boot)

    @property
    def staging(self) -> MemoryStaging:
        """The uploads that become objects of this store."""
        return self._staging

    @property
    def used(self) -> int:
        """Bytes in objects and uploads."""
        with self._lock:
            return sum(map(len, self._objects.values())) + self._staging.used

    def open(self, key: str) -> ObjectReader:
        check_key(key)
        with self._lock:
            found = self._objects.get(key)
        if found is None:
            raise NotFound(f"Store {self.name!r} has no object {key}.")
        return _Reader(found, key)

    def put(self, key: str, blocks: Iterable[Block]) -> Digests:
        check_key(key)
        self._refuse_taken(key)
        content, hasher = bytearray(), Hasher()
        for block in blocks:
            self.reserve(len(content) + memoryview(block).nbytes)
            content += block
            hasher.update(block)
        self.add(key, bytes(content))
        return hasher.digests()

    def delete(self, key: str) -> None:
        check_key(key)
        with self._lock:
            self._objects.pop(key, None)

    def stat(self, key: str) -> int | None:
        check_key(key)
        with self._lock:
            found = self._objects.get(key)
        return None if found is None else len(found)

    def keys(self) -> Iterator[str]:
        with self._lock:
            return iter(list(self._objects))

    def probe(self) -> None:
        self.reserve(1)

    def close(self) -> None:
        """Nothing to close; here so that both stores can be treated alike."""

    def crash(self) -> None:
        """Every process dies: handles are worth nothing any more, written bytes stay."""
        self._staging.drop_holds(keep_unsynced=True)

    def lose_power(self) -> None:
        """The machine dies: objects and synced bytes stay. Give the store a `boot` that changes with it."""
        self._staging.drop_holds(keep_unsynced=False)

    def add(self, key: str, content: bytes) -> None:
        """An object, unless there is one.

        Raises:
            Conflict: There is one.
        """
        with self._lock:
            self._refuse_taken(key)
            self._objects[key] = content

    def reserve(self, more: int) -> None:
        """Refuse to grow beyond `capacity`.

        Raises:
            DiskFull: `more` bytes would.
        """
        if self.capacity is not None and self.used + more > self.capacity:
            raise DiskFull(f"Store {self.name!r} has no room for {more} bytes more. Free some space, then try again.")

    def _refuse_taken(self, key: str) -> None:
        with self._lock:
            if key in self._objects:
                raise Conflict(f"Store {self.name!r} already has an object {key}. It was not changed; take a new key.")


class _Reader:
    """`ObjectReader` on bytes that nobody changes."""

    __slots__ = ("_content", "_key", "size")

    def __init__(self, content: bytes, key: str) -> None:
        self._content: bytes | None = content
        self._key = key
        self.size = len(content)

    def read_at(self, offset: int, length: int) -> bytes:
        content = self._content
        if content is None:
            raise WrongState(f"The reader of object {self._key} was closed. Open the object again.")
        if offset < 0 or length < 0:
            raise Invalid(f"Offset {offset} and length {length} must not be negative.")
        return content[offset : offset + length]

    def read_now(self, offset: int, length: int, spare: bytearray | None = None) -> bytes | None:  # noqa: ARG002
        content = self._content
        if content is None or offset < 0 or length <= 0 or offset + length > self.size:
            return None
        return content[offset : offset + length]

    def close(self) -> None:
        self._content = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Staged:
    """The bytes of one upload, which outlive the handles on them."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.durable = 0
        self.holder: MemoryStage | None = None


class MemoryStaging:
    """`Staging` in a dict."""

    def __init__(self, store: MemoryStore, lock: threading.RLock, boot: Callable[[], str]) -> None:
        self._store = store
        self._boot = boot
        self._lock = lock
        self._staged: dict[str, _Staged] = {}

    @property
    def used(self) -> int:
        with self._lock:
            return sum(len(staged.content) for staged in self._staged.values())

    def create(self, key: str, *, hashed: bool = True) -> MemoryStage:  # noqa: ARG002  nothing is hashed early here
        check_key(key)
        with self._lock:
            if key in self._staged or self._store.stat(key) is not None:
                raise Conflict(f"Store {self._store.name!r} already has bytes under {key}. Take a new key.")
            staged = self._staged[key] = _Staged()
            return self._hold(key, staged)

    def resume(self, key: str, *, durable: int, boot_id: str) -> MemoryStage:
        check_key(key)
        with self._lock:
            staged = self._staged.get(key)
            if staged is None:
                return self._complete(key)
            if staged.holder is not None:
                raise Conflict(
                    f"Upload {key} is held by another request that is still at work. Try again in a moment.",
                    details={"retry": True},
                )
            if boot_id != self._boot():
                del staged.content[durable:]
            staged.durable = min(durable, len(staged.content))
            return self._hold(key, staged)

    def discard(self, key: str) -> None:
        check_key(key)
        with self._lock:
            self._staged.pop(key, None)

    def stat(self, key: str, *, durable: int, boot_id: str) -> int | None:
        check_key(key)
        with self._lock:
            staged = self._staged.get(key)
            if staged is None:
                return self._store.stat(key)
            size = len(staged.content)
            return size if boot_id == self._boot() else min(durable, size)

    def keys(self) -> Iterator[str]:
        with self._lock:
            return iter(list(self._staged))

    def drop_holds(self, *, keep_unsynced: bool) -> None:
        """What the death of all processes, or of the machine, leaves."""
        with self._lock:
            for staged in self._staged.values():
                if staged.holder is not None:
                    staged.holder.die()
                    staged.holder = None
                if not keep_unsynced:
                    del staged.content[staged.durable :]

    def place(self, key: str, staged: _Staged) -> None:
        """Move the bytes over, in one step."""
        with self._lock:
            if self._staged.get(key) is not staged:
                raise NotFound(
                    f"The bytes of upload {key} were discarded while it was being finished. Send them again."
                )
            self._store.add(key, bytes(staged.content))
            del self._staged[key]

    def let_go(self, key: str, staged: _Staged, *, remove: bool) -> None:
        with self._lock:
            staged.holder = None
            if remove and self._staged.get(key) is staged:
                del self._staged[key]

    def reserve(self, more: int) -> None:
        self._store.reserve(more)

    def _hold(self, key: str, staged: _Staged) -> MemoryStage:
        staged.holder = MemoryStage(self, key, staged)
        return staged.holder

    def _complete(self, key: str) -> MemoryStage:
        try:
            with self._store.open(key) as reader:
                staged = _Staged()
                staged.content += reader.read_at(0, reader.size)
        except NotFound as error:
            raise NotFound(f"Store {self._store.name!r} has no bytes of upload {key}. Start it again.") from error
        staged.durable = len(staged.content)
        return MemoryStage(self, key, staged, complete=True)


class MemoryStage:
    """`Stage` on the bytes of a `MemoryStaging`. Made by it only."""

    def __init__(self, staging: MemoryStaging, key: str, staged: _Staged, *, complete: bool = False) -> None:
        self.key = key
        self.size = len(staged.content)
        self.durable = staged.durable
        self._staging = staging
        self._staged = staged
        self._placed: Digests | None = None
        self._sealed = False
        self._complete = complete
        self._ended: str | None = None
        self._hasher = Hasher()
        self._lock = threading.RLock()

    def write(self, block: Block) -> None:
        with self._lock:
            self._require_held()
            if self._complete or self._sealed:
                raise WrongState(f"All bytes of upload {self.key} were received and placed; it takes no more.")
            self._staging.reserve(memoryview(block).nbytes)
            self._staged.content += block
            self.size = len(self._staged.content)

    def read_at(self, offset: int, length: int) -> bytes:
        with self._lock:
            self._require_held()
            return bytes(self._staged.content[offset : offset + length])

    def sync(self) -> int:
        with self._lock:
            self._require_held()
            self.durable = self._staged.durable = self.size
            return self.durable

    def digests(self) -> Digests:
        with self._lock:
            if self._placed is not None:
                return self._placed
            self._require_held()
            if self._hasher.size < self.size:
                with memoryview(self._staged.content) as content:
                    self._hasher.update(content[self._hasher.size :])
            return self._hasher.digests()

    def place(self) -> Digests:
        with self._lock:
            if self._placed is None:
                digests = self.digests()
                self.seal()
                self._placed = digests
            return self._placed

    def seal(self) -> int:
        with self._lock:
            if not self._sealed:
                self._require_held()
                if not self._complete:
                    self._staging.place(self.key, self._staged)
                self.durable = self.size
                self._sealed = True
                self._staging.let_go(self.key, self._staged, remove=False)
            return self.size

    def release(self) -> None:
        self._end("released", remove=False)

    def discard(self) -> None:
        self._end("discarded", remove=not self._complete)

    def die(self) -> None:
        """The process of this handle is no more."""
        self._ended = "lost with its process"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _end(self, how: str, *, remove: bool) -> None:
        with self._lock:
            if self._ended is None and not self._sealed:
                self._ended = how
                self._staging.let_go(self.key, self._staged, remove=remove)

    def _require_held(self) -> None:
        if self._ended is not None:
            raise WrongState(f"This handle of upload {self.key} was {self._ended}. Resume the upload to go on.")
