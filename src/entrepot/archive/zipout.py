"""Stored zip archives, laid out before the first byte is sent.

After PKWARE's APPNOTE 6.3.10, sections 4.3 to 4.5:

    local header | name | extra | bytes        for each member
    central header | name | extra              for each member
    zip64 end record | zip64 locator           only where 16 or 32 bits are too few
    end record

- Stored, not compressed: what is large here is compressed already, and only so are size and ranges known.
- No data descriptors: size and CRC-32 are known, so every reader of streams can stop at the right byte.
- Names are UTF-8 and say so (general purpose bit 11). Folders are implied by the names.
- Zip64 fields appear only where a value does not fit, so that small archives open everywhere.
- Times are UTC, in the even seconds of 1980 to 2107 that the format can hold; equal members make equal bytes.
- Files are marked as made on Unix with mode 0644, else some tools would unpack them without any permission.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import ClassVar

from entrepot.archive.ranged import Member, RangedArchive

_LOCAL = struct.Struct("<4sHHHHHLLLHH")
_CENTRAL = struct.Struct("<4sHHHHHHLLLHHHHHLL")
_END64 = struct.Struct("<4sQHHLLQQQQ")
_LOCATOR = struct.Struct("<4sLQL")
_END = struct.Struct("<4sHHHHLLH")

#: These values mean "see the zip64 field", so they are already too large themselves.
_FULL16 = 0xFFFF
_FULL32 = 0xFFFFFFFF

_UTF8 = 1 << 11
_VERSION_STORED = 20
_VERSION_ZIP64 = 45
_MADE_ON_UNIX = 3 << 8
_REGULAR_FILE_0644 = 0o100644 << 16

_EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
_LATEST = datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC)


class ZipLayout(RangedArchive):
    """The layout of a stored zip. See `RangedArchive` for its size, entity tag, ranges and memory."""

    FORMAT: ClassVar[str] = "entrepot stored zip 1"

    def _head_size(self, member: Member) -> int:
        return _LOCAL.size + len(member.name.encode()) + (20 if member.size >= _FULL32 else 0)

    def _head(self, member: Member) -> bytes:
        name = _name(member)
        date, time = _dos_time(member.mtime)
        size, extra, version = member.size, b"", _VERSION_STORED
        if size >= _FULL32:
            # In a local header both sizes must be there, also the one that equals the other.
            extra = struct.pack("<HHQQ", 1, 16, size, size)
            size, version = _FULL32, _VERSION_ZIP64
        header = _LOCAL.pack(
            b"PK\3\4", version, _UTF8, 0, time, date, member.crc32, size, size, len(name), len(extra)
        )  # fmt: skip
        return header + name + extra

    def _padding(self, member: Member) -> int:  # noqa: ARG002
        return 0

    def _index_size(self, member: Member, offset: int) -> int:
        wide = 8 * (2 * (member.size >= _FULL32) + (offset >= _FULL32))
        return _CENTRAL.size + len(member.name.encode()) + (4 + wide if wide else 0)

    def _index_record(self, member: Member, offset: int) -> bytes:
        name = _name(member)
        date, time = _dos_time(member.mtime)
        size, wide, version = member.size, b"", _VERSION_STORED
        if size >= _FULL32:
            wide = struct.pack("<QQ", size, size)
            size = _FULL32
        if offset >= _FULL32:
            wide += struct.pack("<Q", offset)
            offset = _FULL32
        extra = b""
        if wide:
            extra = struct.pack("<HH", 1, len(wide)) + wide
            version = _VERSION_ZIP64
        header = _CENTRAL.pack(
            b"PK\1\2", _MADE_ON_UNIX | version, version, _UTF8, 0, time, date, member.crc32, size, size,
            len(name), len(extra), 0, 0, 0, _REGULAR_FILE_0644, offset,
        )  # fmt: skip
        return header + name + extra

    def _end_marks(self) -> bytes:
        count, size, offset = self._count, self._index_total, self._body_size
        wide = b""
        if count >= _FULL16 or size >= _FULL32 or offset >= _FULL32:
            made_by = _MADE_ON_UNIX | _VERSION_ZIP64
            wide = _END64.pack(
                b"PK\6\6", _END64.size - 12, made_by, _VERSION_ZIP64, 0, 0, count, count, size, offset
            ) + _LOCATOR.pack(b"PK\6\7", 0, offset + size, 1)  # fmt: skip
        count, size, offset = min(count, _FULL16), min(size, _FULL32), min(offset, _FULL32)
        return wide + _END.pack(b"PK\5\6", 0, 0, count, count, size, offset, 0)


def _name(member: Member) -> bytes:
    name = member.name.encode()
    if len(name) > _FULL16:
        raise ValueError(f"A zip cannot hold a name of {len(name)} bytes.")
    return name


def _dos_time(at: datetime) -> tuple[int, int]:
    """Date and time as DOS wrote them: years from 1980, every second second."""
    at = min(max(at.astimezone(UTC), _EARLIEST), _LATEST)
    return (at.year - 1980) << 9 | at.month << 5 | at.day, at.hour << 11 | at.minute << 5 | at.second // 2
