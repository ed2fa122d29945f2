"""What archives come wrapped in: gzip, bzip2, xz, Zstandard, as a stream of blocks that stays small whatever comes out.

Each wrapping is read to its end, its own checks included: a stream that was cut, or that has something else behind it,
raises. Several streams one behind the other are one, as all their tools have it.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Final, Literal, Protocol, TypeAlias

from entrepot.model.errors import Malformed

__all__ = ["KINDS", "Kind", "ReadAt", "kind_of", "unwrapped"]

#: Bytes [offset, offset + length) of the archive, never fewer inside of it.
ReadAt: TypeAlias = Callable[[int, int], bytes]

Kind = Literal["zip", "tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst"]

KINDS: Final[tuple[tuple[str, Kind], ...]] = (
    (".zip", "zip"),
    (".tar", "tar"),
    (".tar.gz", "tar.gz"),
    (".tgz", "tar.gz"),
    (".tar.bz2", "tar.bz2"),
    (".tbz2", "tar.bz2"),
    (".tbz", "tar.bz2"),
    (".tar.xz", "tar.xz"),
    (".txz", "tar.xz"),
    (".tar.zst", "tar.zst"),
    (".tzst", "tar.zst"),
)

_BLOCK: Final = 256 << 10
#: Of Zstandard, which cannot be told how much may come out at once: four bytes make at most 128 KiB, so this makes
#: 32 MiB.
_SIP: Final = 1 << 10
#: What a window, a dictionary or a tree may take in memory; the strongest usual settings need less.
_MEMORY: Final = 128 << 20


def kind_of(name: str) -> Kind | None:
    """The kind of an archive by the end of its name."""
    lower = name.lower()
    return next((kind for suffix, kind in KINDS if lower.endswith(suffix) and len(lower) > len(suffix)), None)


class _Unpacker(Protocol):
    """One stream of a wrapping. The libraries' own objects, but for gzip and Zstandard, have this form."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail and not self._full

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        found = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        # What did not fit may still be inside, although all of the input was taken.
        self._full = len(found) == max_length and not self._inner.eof
        return found


class _Zstandard:
    def __init__(self) -> None:
        # Loaded by those who need it: few archives come like this.
        import zstandard

        self._inner = zstandard.ZstdDecompressor(max_window_size=_MEMORY).decompressobj()
        self._left = b""
        self._unused = b""

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._left

    @property
    def unused_data(self) -> bytes:
        return self._unused

    def decompress(self, data: bytes, max_length: int) -> bytes:  # noqa: ARG002 - see _SIP
        self._left += data
        sip, self._left = self._left[:_SIP], self._left[_SIP:]
        found: bytes = self._inner.decompress(sip) if sip else b""
        if self._inner.eof:
            self._unused, self._left = self._inner.unused_data + self._left, b""
        return found


_UNPACKERS: Final[dict[Kind, tuple[str, Callable[[], _Unpacker]]]] = {
    "tar.gz": ("gzip", _Gzip),
    "tar.bz2": ("bzip2", bz2.BZ2Decompressor),
    "tar.xz": ("xz", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)),
    "tar.zst": ("Zstandard", _Zstandard),
}


def unwrapped(kind: Kind, read_at: ReadAt, size: int) -> Iterator[bytes]:
    """What is inside, in blocks of at most 256 KiB, for Zstandard of 32 MiB.

    Raises:
        Malformed: It is not of this kind, was cut or damaged, or needs more memory than an unpacker may take.
    """
    if kind not in _UNPACKERS:
        for at in range(0, size, _BLOCK):
            yield read_at(at, min(_BLOCK, size - at))
        return
    name, make = _UNPACKERS[kind]
    try:
        yield from _streams(name, make, read_at, size)
    except (zlib.error, OSError, EOFError, ValueError, lzma.LZMAError, MemoryError) as error:
        raise _damaged(name) from error
    except Exception as error:
        # Zstandard's own class, without loading its library to name it.
        if type(error).__name__ != "ZstdError":
            raise
        raise _damaged(name) from error


def _streams(name: str, make: Callable[[], _Unpacker], read_at: ReadAt, size: int) -> Iterator[bytes]:
    at, held, streams = 0, b"", 0
    while at < size or held:
        if not held:
            held, at = read_at(at, min(_BLOCK, size - at)), min(at + _BLOCK, size)
        if streams and not held.strip(b"\0"):
            # Padding to the size of a tape's or disk's block.
            held = b""
            continue
        unpacker, streams = make(), streams + 1
        while not unpacker.eof:
            if unpacker.needs_input and not held and at < size:
                held, at = read_at(at, min(_BLOCK, size - at)), min(at + _BLOCK, size)
            given, held = held, b""
            block = unpacker.decompress(given, _BLOCK)
            if block:
                yield block
            elif not given and at >= size and not unpacker.eof and unpacker.needs_input:
                raise Malformed(f"The archive was cut off: its {name} stream has no end. Send the whole file.")
        held = unpacker.unused_data + held
    if not streams:
        raise _damaged(name)


def _damaged(name: str) -> Malformed:
    return Malformed(f"The archive is damaged, or not packed with {name} as its name says. Pack it again.")
