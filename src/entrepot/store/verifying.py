"""Reading whole objects and contents without ever passing on bytes that are not the recorded ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

from entrepot.model.digests import Digests
from entrepot.model.errors import Corrupt
from entrepot.model.ranges import ByteRange
from entrepot.store.base import ObjectReader, ObjectStore
from entrepot.store.hashing import Hasher

__all__ = ["READ_SIZE", "LastOpened", "blocks_of", "verified", "verify_object"]

READ_SIZE = 256 * 1024
"""Bytes of one read. Larger ones leave the processor's cache and were measured to be no faster."""


def blocks_of(reader: ObjectReader, span: ByteRange | None = None, *, size: int = READ_SIZE) -> Iterator[bytes]:
    """The bytes of `span` (default: all) in blocks of `size` bytes, the last one shorter.

    Raises:
        Corrupt: The object ends before the span does. Nothing was given out then.
    """
    span = span or ByteRange(0, reader.size)
    if span.end > reader.size:
        raise Corrupt(
            f"A stored object has {reader.size} bytes and should have at least {span.end}. "
            "Run `entrepot verify`, then restore it from a backup."
        )
    for offset in range(span.start, span.end, size):
        yield reader.read_at(offset, min(size, span.end - offset))


class LastOpened:
    """Readers of one store, for whoever reads many parts of few objects: the last one is opened once for all of them.

    Within a `with` block, whose end closes it. For one thread.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._key: str | None = None
        self._reader: ObjectReader | None = None

    def open(self, key: str) -> ObjectReader:
        """The reader of this object, good until another one is asked for; the caller does not close it.

        Raises:
            As `ObjectStore.open`.
        """
        if self._reader is None or key != self._key:
            self.close()
            self._reader, self._key = self._store.open(key), key
        return self._reader

    def close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def verified(blocks: Iterable[bytes], expected: Digests, what: str) -> Iterator[bytes]:
    """The same blocks, checked: a consumer that got all of them got the recorded bytes.

    The last block is held back until the digests are compared, so corrupt content is always cut short and can never
    be taken for whole. Constant memory.

    Args:
        what: Names the thing in the error, for instance `object 0f…`.

    Raises:
        Corrupt: Length or a digest differ from `expected`. Raised instead of giving the last block.
    """
    hasher = Hasher()
    held: bytes | None = None
    for block in blocks:
        hasher.update(block)
        if hasher.size > expected.size:
            break
        if held is not None:
            yield held
        held = block
    found = hasher.digests()
    if found != expected:
        raise Corrupt(
            f"The stored bytes of {what} are damaged: {_difference(found, expected)}. "
            "They are not served. Restore them from a backup or send the file again.",
            details={"expected": expected.sha256_text, "found": found.sha256_text, "size": found.size},
        )
    if held is not None:
        yield held


def verify_object(store: ObjectStore, key: str, expected: Digests) -> None:
    """Read a whole object and compare.

    Raises:
        NotFound: There is no such object.
        Corrupt: Its bytes are not the recorded ones.
    """
    with store.open(key) as reader:
        for _ in verified(blocks_of(reader), expected, f"object {key} in store {store.name!r}"):
            pass


def _difference(found: Digests, expected: Digests) -> str:
    if found.size != expected.size:
        relation = "more than" if found.size > expected.size else f"{found.size} instead of"
        return f"{relation} {expected.size} bytes"
    if found.sha256 != expected.sha256:
        return f"{found.sha256_text} instead of {expected.sha256_text}"
    # Same SHA-256: then it is the record that is wrong, and that is worth knowing too.
    return "the SHA-256 is right, a recorded CRC is not"
