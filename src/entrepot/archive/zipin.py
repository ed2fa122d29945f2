"""Zip archives that come in: members one after the other, in bounded memory, and nothing believed that is not checked.

After PKWARE's APPNOTE 6.3.10. The directory at the end counts; it is read in blocks and never held, whatever it says
about its own size. A member gives exactly the bytes that the directory announced for it, with the announced CRC-32, or
reading it raises. Refused with the member's name:

- encrypted members, links, devices, and packings other than stored and deflated
- members that lie outside the archive, archives in several parts
- more members or more unpacked bytes than the limits allow (bombs announce themselves, since announcements are kept)

Names are given as they were written; which of them are good is for somebody else to say.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from entrepot.model.errors import Invalid, Malformed, TooLarge

__all__ = ["ZipIn", "ZipLimits", "ZipMember"]

#: Bytes [offset, offset + length) of the archive, never fewer inside of it.
ReadAt: TypeAlias = Callable[[int, int], bytes]

_BLOCK: Final = 256 << 10
_END: Final = struct.Struct("<4sHHHHLLH")
_LOCATOR: Final = struct.Struct("<4sLQL")
_END64: Final = struct.Struct("<4sQHHLLQQQQ")
_CENTRAL: Final = struct.Struct("<4sHHHHHHLLLHHHHHLL")
_LOCAL: Final = struct.Struct("<4sHHHHHLLLHH")
_MAX_COMMENT: Final = 0xFFFF
_FULL16: Final = 0xFFFF
_FULL32: Final = 0xFFFFFFFF
_STORED, _DEFLATED = 0, 8
_ENCRYPTED: Final = 1 | 1 << 6
_UNIX: Final = 3
_DARWIN: Final = 19
_ZIP64_EXTRA: Final = 1


@dataclass(frozen=True, slots=True)
class ZipLimits:
    """What an archive may ask for.

    Args:
        members: How many it may have.
        ratio: So many times its own size may come out of it, or `free` bytes if that is more.
    """

    members: int = 100_000
    ratio: int = 200
    free: int = 1 << 30


@dataclass(frozen=True, slots=True)
class ZipMember:
    """One member as the directory tells it.

    Args:
        size: Bytes that come out.
        packed: Bytes that it takes in the archive.
        offset: Of its local header.
    """

    name: str
    is_folder: bool
    size: int
    packed: int
    crc32: int
    method: int
    offset: int


class ZipIn:
    """An archive, open for reading. Any thread may read; the source must not change.

    Raises:
        Malformed: It is no zip archive.
        TooLarge: It has more members than the limit.
    """

    def __init__(self, read_at: ReadAt, size: int, limits: ZipLimits | None = None) -> None:
        self._read_at = read_at
        self._size = size
        self._limits = limits or ZipLimits()
        self._count, self._start, self._end, self._shift = self._find_directory()
        if self._count > self._limits.members:
            raise TooLarge(
                f"The archive has {self._count} members; {self._limits.members} are allowed. Send it in parts."
            )

    def __len__(self) -> int:
        return self._count

    def _find_directory(self) -> tuple[int, int, int, int]:
        """Members, start and end of the directory, and by how much offsets are off (programs put in front)."""
        tail_size = min(self._size, _END.size + _MAX_COMMENT)
        tail = self._read_at(self._size - tail_size, tail_size) if tail_size else b""
        at = len(tail)
        while (at := tail.rfind(b"PK\5\6", 0, at)) >= 0:
            if len(tail) - at >= _END.size and _END.unpack_from(tail, at)[7] <= len(tail) - at - _END.size:
                break
        else:
            raise Malformed("The body is not a zip archive: it has no directory at its end. Send the file itself.")
        _, disk, first_disk, here, count, length, offset, _ = _END.unpack_from(tail, at)
        end = self._size - tail_size + at
        if (disk, first_disk, here) != (0, 0, count) and _FULL16 not in (disk, first_disk, here, count):
            raise Malformed("The zip archive is one part of several. Join them first.")
        if end >= _LOCATOR.size:
            signature, _, where, _ = _LOCATOR.unpack(self._read_at(end - _LOCATOR.size, _LOCATOR.size))
            if signature == b"PK\6\7":
                count, length, offset, end = self._find_zip64(where, end - _LOCATOR.size)
        shift = end - length - offset
        if shift < 0:
            raise Malformed("The zip archive is damaged: its directory lies outside of it.")
        return count, end - length, end, shift

    def _find_zip64(self, where: int, before: int) -> tuple[int, int, int, int]:
        # Where it says, or right before its locator when something was put in front of the archive.
        for place in (where, before - _END64.size):
            if 0 <= place <= before - _END64.size:
                found = _END64.unpack(self._read_at(place, _END64.size))
                if found[0] == b"PK\6\6":
                    return found[7], found[8], found[9], place
        raise Malformed("The zip archive is damaged: its large directory is not where it says.")

    def members(self) -> Iterator[ZipMember]:
        """The members in the order of the directory. May be asked for again.

        Raises:
            Malformed: The directory is damaged.
            Invalid: A member is nothing that can be stored here; the message names it.
            TooLarge: More would come out than the limits allow.
        """
        at, held, total = self._start, b"", 0
        most = max(self._limits.free, self._size * self._limits.ratio)
        for number in range(self._count):
            held, at = self._more(held, at, _CENTRAL.size, number)
            fields = _CENTRAL.unpack_from(held)
            whole = _CENTRAL.size + fields[10] + fields[11] + fields[12]
            if fields[0] != b"PK\1\2":
                raise self._damaged(number)
            held, at = self._more(held, at, whole, number)
            member = self._member(fields, held[_CENTRAL.size : whole], number)
            total += member.size
            if total > most:
                raise TooLarge(
                    f"The archive holds more than {most} bytes unpacked, at {member.name[:100]!r}; that is beyond the "
                    "limit for its size. Send the files one by one."
                )
            yield member
            held = held[whole:]

    def _more(self, held: bytes, at: int, wanted: int, number: int) -> tuple[bytes, int]:
        if len(held) >= wanted:
            return held, at
        more = min(max(_BLOCK, wanted - len(held)), self._end - at)
        held += self._read_at(at, more) if more > 0 else b""
        if len(held) < wanted:
            raise self._damaged(number)
        return held, at + more

    def _damaged(self, number: int) -> Malformed:
        return Malformed(f"The zip archive is damaged: its directory cannot be read at member {number + 1}.")

    def _member(self, fields: tuple[int, ...], rest: bytes, number: int) -> ZipMember:
        made_by, flags, method, crc = fields[1], fields[3], fields[4], fields[7]
        packed, size, name_length, extra_length, disk = fields[8], fields[9], fields[10], fields[11], fields[13]
        name = _name(rest[:name_length], number, made_by >> 8)
        size, packed, offset = _wide(
            rest[name_length : name_length + extra_length], size, packed, fields[16], lambda: self._damaged(number)
        )
        if disk not in (0, _FULL16):
            raise Invalid(f"Member {name[:100]!r} lies in another part of the archive.")
        if flags & _ENCRYPTED:
            raise Invalid(f"Member {name[:100]!r} is encrypted. Send the files unencrypted.", details={"member": name})
        mode = fields[15] >> 16 if made_by >> 8 == _UNIX else 0
        is_folder = name.endswith(("/", "\\")) or stat.S_ISDIR(mode)
        if stat.S_IFMT(mode) and not (is_folder or stat.S_ISREG(mode)):
            raise Invalid(
                f"Member {name[:100]!r} is a link or a device; only files are stored.", details={"member": name}
            )
        if not is_folder and method not in (_STORED, _DEFLATED):
            raise Invalid(
                f"Member {name[:100]!r} is packed in a way that is not read here (method {method}). Use deflate.",
                details={"member": name},
            )
        return ZipMember(name, is_folder, 0 if is_folder else size, packed, crc, method, offset + self._shift)

    def blocks(self, member: ZipMember) -> Iterator[bytes]:
        """The bytes of a member in blocks of at most 256 KiB; none for a folder.

        Raises:
            Invalid: They are not what the directory announced.
        """
        if member.is_folder:
            return
        head = self._read_at(member.offset, _LOCAL.size) if member.offset + _LOCAL.size <= self._start else b""
        if head[:4] != b"PK\3\4":
            raise self._wrong(member)
        name_length, extra_length = _LOCAL.unpack(head)[9:]
        at = member.offset + _LOCAL.size + name_length + extra_length
        if at + member.packed > self._start:
            raise self._wrong(member)
        crc = given = 0
        packed = (self._read_at(at + i, min(_BLOCK, member.packed - i)) for i in range(0, member.packed, _BLOCK))
        for block in packed if member.method == _STORED else self._inflated(member, packed):
            given += len(block)
            if given > member.size:
                raise self._wrong(member)
            crc = zlib.crc32(block, crc)
            yield block
        if (given, crc) != (member.size, member.crc32):
            raise self._wrong(member)

    def _inflated(self, member: ZipMember, packed: Iterator[bytes]) -> Iterator[bytes]:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for block in packed:
                rest = block
                while rest and not unpacker.eof:
                    yield unpacker.decompress(rest, _BLOCK)
                    rest = unpacker.unconsumed_tail
            while not unpacker.eof:
                # What is left inside comes out without further input, or there was too little of it.
                block = unpacker.decompress(b"", _BLOCK)
                if not block:
                    raise self._wrong(member)
                yield block
        except zlib.error as error:
            raise self._wrong(member) from error

    def _wrong(self, member: ZipMember) -> Invalid:
        return Invalid(
            f"Member {member.name[:100]!r} is damaged: its bytes are not those that the archive's directory announces. "
            "Pack it again.",
            details={"member": member.name},
        )


def _name(raw: bytes, number: int, system: int) -> str:
    if not raw or b"\0" in raw:
        raise Invalid(f"Member {number + 1} of the archive has no name that can be read.")
    try:
        # Old programs wrote the encoding of their machine without saying so. Text of another encoding is hardly ever
        # UTF-8 by accident, so what can be read as that is meant as that, flag or not.
        return raw.decode()
    except UnicodeDecodeError:
        # DOS and its heirs wrote CP437, which the format names; on Unix it was Latin-1, in which 80 to 9F are no text.
        latin = system in (_UNIX, _DARWIN) and not any(0x80 <= byte < 0xA0 for byte in raw)
        return raw.decode("latin-1" if latin else "cp437")


def _wide(extra: bytes, size: int, packed: int, offset: int, damaged: Callable[[], Malformed]) -> tuple[int, int, int]:
    """Sizes and offset, from the zip64 field where 32 bits were too few."""
    if _FULL32 not in (size, packed, offset):
        return size, packed, offset
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == _ZIP64_EXTRA and at + 4 + length <= len(extra):
            values = iter(struct.unpack(f"<{length // 8}Q", extra[at + 4 : at + 4 + length // 8 * 8]))
            try:
                return tuple(next(values) if one == _FULL32 else one for one in (size, packed, offset))  # type: ignore[return-value]
            except RuntimeError:
                raise damaged() from None
        at += 4 + length
    raise damaged()
