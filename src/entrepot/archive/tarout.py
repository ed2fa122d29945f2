"""Tar archives, laid out before the first byte is sent, and the same compressed with gzip.

After POSIX.1-2017, `pax`, "ustar Interchange Format" and "pax Interchange Format". Everything is in blocks of 512:

    pax header | pax records     only where ustar is too small: a long or non-ASCII name, 8 GiB or more
    header | bytes | zeros       to the next 512
    …
    1,024 zeros, then zeros to a multiple of 10,240, as tapes and strict readers want it

Owner and group are 0 without names and the mode is 0644: who unpacks owns the files. Times are whole seconds of UTC
from 1970 on. Equal members make equal bytes, compressed too.
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from isal import isal_zlib

from entrepot.archive.ranged import BLOCK_SIZE, Member, OpenMember, RangedArchive, in_blocks

_BLOCK = 512
_RECORD = 20 * _BLOCK
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x")
_MAX_NAME = 100
_MAX_PREFIX = 155
#: Eleven octal digits.
_MAX_OCTAL = 8**11 - 1

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)

#: About 350 MB/s on one core, for nearly the size of zlib's usual level at a tenth of its time.
_GZIP_LEVEL = 2
_GZIP_WINDOW = 31


class TarLayout(RangedArchive):
    """The layout of a tar. See `RangedArchive` for its size, entity tag, ranges and memory."""

    FORMAT: ClassVar[str] = "entrepot tar 1"

    def _head_size(self, member: Member) -> int:
        records = len(_records(member))
        return _BLOCK + (_BLOCK + _rounded(records) if records else 0)

    def _head(self, member: Member) -> bytes:
        records = _records(member)
        extended = b""
        if records:
            extended = _header(b"", b"././@PaxHeader", len(records), 0, b"x") + records
            extended += bytes(-len(records) % _BLOCK)
        prefix, name = _split(member.name.encode()) or (b"", _short(member.name))
        size = member.size if member.size <= _MAX_OCTAL else 0
        return extended + _header(prefix, name, size, _seconds(member.mtime), b"0")

    def _padding(self, member: Member) -> int:
        return -member.size % _BLOCK

    def _index_size(self, member: Member, offset: int) -> int:  # noqa: ARG002
        return 0

    def _index_record(self, member: Member, offset: int) -> bytes:  # noqa: ARG002
        return b""

    def _end_marks(self) -> bytes:
        return bytes(2 * _BLOCK + -(self._body_size + 2 * _BLOCK) % _RECORD)


def gzipped_tar(
    layout: TarLayout, open_member: OpenMember, *, block_size: int = BLOCK_SIZE
) -> Generator[bytes, None, None]:
    """The whole tar, compressed, in blocks of 1 to `block_size` bytes. Its size is known only at its end.

    Raises:
        As `RangedArchive.read`; a stream that broke off lacks gzip's end and every reader says so.
    """
    return in_blocks(_gzip(_even(layout.read(0, layout.size, open_member))), block_size)


def _gzip(blocks: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    # This header says neither when nor from what file it was made, so equal input makes equal output.
    compressor = isal_zlib.compressobj(level=_GZIP_LEVEL, wbits=_GZIP_WINDOW)
    with closing(blocks):
        for block in blocks:
            yield compressor.compress(block)
    yield compressor.flush()


def _even(blocks: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    """The same bytes in blocks of exactly `BLOCK_SIZE`, but for the last.

    The compressor's output depends on how its input is cut, and that must not depend on how a store reads.
    """
    pending = bytearray()
    with closing(blocks):
        for block in blocks:
            pending += block
            while len(pending) >= BLOCK_SIZE:
                yield bytes(pending[:BLOCK_SIZE])
                del pending[:BLOCK_SIZE]
    yield bytes(pending)


def _records(member: Member) -> bytes:
    """What ustar cannot say of a member, as pax records; empty where it can say everything."""
    name = member.name.encode()
    records = b""
    if not name.isascii() or _split(name) is None:
        records += _record(b"path", name)
    if member.size > _MAX_OCTAL:
        records += _record(b"size", str(member.size).encode())
    return records


def _record(key: bytes, value: bytes) -> bytes:
    """`<length> <key>=<value>\\n`, where the length counts its own digits too."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """Prefix and name for ustar's two fields, which a reader joins with a slash; None where they are too small."""
    if not name.isascii():
        return None
    if len(name) <= _MAX_NAME:
        return b"", name
    slash = name.find(b"/", len(name) - _MAX_NAME - 1)
    if not 0 < slash <= _MAX_PREFIX or slash == len(name) - 1:
        return None
    return name[:slash], name[slash + 1 :]


def _short(name: str) -> bytes:
    """What a reader without pax calls a member: the end of its path, in ASCII."""
    return name.encode("ascii", "replace")[-_MAX_NAME:].strip(b"/")


def _header(prefix: bytes, name: bytes, size: int, mtime: int, kind: bytes) -> bytes:
    fields = (name, b"0000644\0", b"0000000\0", b"0000000\0", b"%011o\0" % size, b"%011o\0" % mtime)
    block = _HEADER.pack(
        *fields, b" " * 8, kind, b"", b"ustar\0", b"00", b"", b"", b"0000000\0", b"0000000\0", prefix
    )  # fmt: skip
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _seconds(at: datetime) -> int:
    return min(max((at - _EPOCH) // _SECOND, 0), _MAX_OCTAL)


def _rounded(size: int) -> int:
    return size + -size % _BLOCK
