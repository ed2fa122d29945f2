"""What a backend for bytes promises. Protocols only; each promise is a test of `entrepot.testing.store_contract`.

    ObjectStore   finished objects: written once, never changed, read at any offset
    Staging       uploads that still grow; `Stage.place` turns one into an object of the same key

The order that makes a change safe is the caller's: a row with the key is committed first, then the bytes are placed,
then the fact that names them is committed. A crash between two steps leaves bytes that a row still knows and a sweep
can remove; it never leaves a fact without bytes.

Keys are ours, never a user's: 32 lower-case hexadecimal digits, and never used twice. Any other key is refused with
`InvalidName` by every method.

Errors of every method, besides those it names: `DiskFull` when there is no room, `Unavailable` when the medium cannot
be used at present, `Corrupt` when stored bytes cannot be read back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self, TypeAlias, runtime_checkable

from entrepot.model.digests import Digests
from entrepot.model.errors import InvalidName
from entrepot.store.boot import boot_id

__all__ = [
    "Block",
    "DirectAccess",
    "LocalFiles",
    "ObjectReader",
    "ObjectStore",
    "Stage",
    "Staging",
    "boot_id",
    "check_key",
]

Block: TypeAlias = bytes | bytearray | memoryview
"""Contiguous bytes. The callee is done with them when it returns, so a caller may fill the same buffer again."""

_KEY = re.compile(r"[0-9a-f]{32}")


def check_key(key: str) -> str:
    """The key, if it is one. Paths are built from keys, so this is the gate that no separator or dot passes.

    Raises:
        InvalidName: It is not 32 lower-case hexadecimal digits.
    """
    if _KEY.fullmatch(key) is None:
        raise InvalidName(f"{key[:80]!r} is not an object key: 32 lower-case hexadecimal digits.")
    return key


class ObjectReader(Protocol):
    """Random reads in one object. May be used by several threads at once, and closed while others still read."""

    @property
    def size(self) -> int:
        """Bytes in the object. A caller who knows how many there should be compares before serving any."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, never fewer inside the object.

        Past the end there is nothing: a read that reaches over the end gives what lies before it, one that starts
        there gives `b""`.

        Raises:
            Invalid: A negative offset or length.
            Corrupt: The medium gave fewer bytes than the object has, or an error.
            NotFound: The object was deleted meanwhile. Local backends go on reading instead.
            WrongState: The reader was closed.
        """
        ...

    def read_now(self, offset: int, length: int, spare: bytearray | None = None) -> bytes | bytearray | None:
        """What `read_at` would give, if that needs no waiting for a disk or a network; None otherwise.

        Never raises: None also stands for whatever `read_at` would raise, and for reads that are not wholly inside.
        A bytearray is given away. A backend that cannot tell answers None always.

        Args:
            spare: Nobody needs its bytes any more: a backend that reads may read into it and answer it.
        """
        ...

    def close(self) -> None:
        """Give the object back. May be repeated. Reads that are under way finish."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ObjectStore(Protocol):
    """Immutable objects. Safe for any number of threads and processes."""

    @property
    def name(self) -> str:
        """What the catalogue calls this store, and what messages call it."""
        ...

    def open(self, key: str) -> ObjectReader:
        """A reader of one object.

        Raises:
            NotFound: There is no such object.
        """
        ...

    def put(self, key: str, blocks: Iterable[Block]) -> Digests:
        """Make an object of these blocks, all or nothing, durable when this returns.

        When it raises, or the process dies, there is no object, and the same key may be put again. Of several
        concurrent puts of one key exactly one succeeds. An exception of `blocks` passes through.

        Raises:
            Conflict: The key has an object, or is being put by somebody else. What is there stays as it is.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the object and whatever an interrupted `put` of this key left behind. A missing one is fine.

        A local reader that is open goes on reading. The space is free once nobody reads.
        """
        ...

    def stat(self, key: str) -> int | None:
        """Size in bytes, or None if there is no such object."""
        ...

    def keys(self) -> Iterator[str]:
        """Every key that has an object, in no order. For verification only: never delete because of a listing."""
        ...

    def probe(self) -> None:
        """Prove that bytes can be written durably and read back now.

        Raises:
            DiskFull: There is no room.
            Unavailable: It does not work for another reason.
        """
        ...


@runtime_checkable
class LocalFiles(Protocol):
    """What a store can do besides whose objects are files of this machine."""

    def path_of(self, key: str) -> str:
        """Where the object lies, for programs that only read. It may be gone by the time it is opened."""
        ...


@runtime_checkable
class DirectAccess(Protocol):
    """What a store can do besides that clients may be sent to: bytes go between it and them, past the server.

    What somebody sends so lies beside the objects until it is taken, and can be written again for as long as its
    address is good. It is not an object, whatever the sender says of it: `take` makes a copy that nobody else can
    write, and whoever takes reads that before believing anything.
    """

    @property
    def largest_arrival(self) -> int:
        """Bytes that may arrive by one address."""
        ...

    def sign_read(self, key: str, lifetime: timedelta) -> str:
        """An address by which anybody may read the object, also in ranges, until the time is over."""
        ...

    def sign_arrival(self, key: str, lifetime: timedelta) -> str:
        """An address by which anybody may PUT a whole arrival of this name, any number of times until it is over."""
        ...

    def arrived(self, key: str) -> int | None:
        """Size of what lies there, or None."""
        ...

    def take(self, arrival: str, key: str) -> None:
        """Make the object `key`, which nobody used before, of what arrived.

        Raises:
            NotFound: Nothing arrived.
            Conflict: The key has an object.
        """
        ...

    def forget_arrival(self, key: str) -> None:
        """Remove what arrived. Missing is fine."""
        ...


class Stage(Protocol):
    """One upload that grows at its end. One writer at a time; `sync` alone may run beside `write`, in another thread.

    Every method but `release` and `discard` raises `WrongState` once the stage was released or discarded. A failed
    sync of the medium is final: the operating system may have dropped what it could not write and would call a second
    attempt a success. The bytes are thrown away and every later call says so (`Unavailable`).
    """

    @property
    def key(self) -> str:
        """The key of the object it will become."""
        ...

    @property
    def size(self) -> int:
        """Bytes received so far: where the next block goes."""
        ...

    @property
    def durable(self) -> int:
        """Bytes that a power cut cannot take back; moves only in `sync` and `place`."""
        ...

    def write(self, block: Block) -> None:
        """Append one block and hash it. All of it or nothing of it.

        Raises:
            DiskFull: No room. The bytes received before are kept and usable; the block may be sent again later.
            WrongState: The upload is already placed.
        """
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes of those received from `offset` on, fewer where they end. Moves nothing.

        Raises:
            Corrupt: They cannot be read back.
        """
        ...

    def sync(self) -> int:
        """Make what was received before this call survive a power cut; returns the durable offset."""
        ...

    def digests(self) -> Digests:
        """Of everything received so far. After a resume this may re-read all of it (0.2 to 1.2 GB/s)."""
        ...

    def place(self) -> Digests:
        """Make the staged bytes the object `key`, durably, and forget the stage; returns their digests.

        May be repeated after success, also through a new `resume`. If the process dies in it, there is afterwards
        either the whole stage or the whole object, and `resume` finds it.

        Raises:
            Conflict: The key already has an object with other bytes. Both stay as they are.
            NotFound: The stage was discarded meanwhile.
        """
        ...

    def seal(self) -> int:
        """`place` for whoever knows the digests of all parts and needs none of the whole; returns the size.

        The bytes are not read again for it, also when the stage was created without hashing.
        """
        ...

    def release(self) -> None:
        """Let go of the stage and keep its bytes, so that anybody may resume it. May be repeated."""
        ...

    def discard(self) -> None:
        """Throw the staged bytes away. Always safe: after `place`, `release` or a second time it does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release."""
        ...


class Staging(Protocol):
    """The uploads that still grow. Safe for any number of threads and processes."""

    def create(self, key: str, *, hashed: bool = True) -> Stage:
        """A new, empty stage, held by the caller. Of several concurrent creators of one key exactly one succeeds.

        Args:
            hashed: False for who checks the parts of what is written and ends with `seal`: hashing everything a second
                time would cost as much as all the rest. `digests` and `place` then read the bytes back.

        Raises:
            Conflict: The key has a stage or an object.
        """
        ...

    def resume(self, key: str, *, durable: int, boot_id: str) -> Stage:
        """Hold an existing stage again and continue at its `size`.

        After a mere crash of the process everything written is still there. After a restart of the machine only the
        bytes below the recorded durable offset can be trusted: the rest is cut off.
        A stage that was placed before a crash comes back complete: it takes no bytes, and `place` succeeds again.

        Args:
            durable: The durable offset as last recorded.
            boot_id: What `boot_id()` was when it was recorded.

        Raises:
            NotFound: Neither stage nor object of this key exists.
            Conflict: Another thread or process holds it; `details["retry"]` is true: ask again a little later.
        """
        ...

    def discard(self, key: str) -> None:
        """Throw staged bytes away, also while somebody holds them; their next step then fails. Missing is fine."""
        ...

    def stat(self, key: str, *, durable: int, boot_id: str) -> int | None:
        """The offset at which a client should go on, or None if there is neither stage nor object.

        Takes no hold, so it is a snapshot: while a writer is at work it may be out of date at once.
        """
        ...

    def keys(self) -> Iterator[str]:
        """Every key that has staged bytes, in no order. For verification and expiry."""
        ...
