"""Checks of documents and archives: PDF, zip, tar, gzip. Members are looked at, never unpacked to anywhere."""

from __future__ import annotations

import re
import struct
from typing import Final

from entrepot.datatypes.reading import Check, said

__all__ = ["gzip", "pdf", "tar", "zip_archive"]

_NAMES: Final = 200
_MEMBERS: Final = 2_000_000


def pdf(check: Check) -> None:
    """The version, the end, and that the table of objects is where the end says."""
    head = check.read(0, 1024)
    where = head.find(b"%PDF-")
    if where < 0:
        raise check.stop("bad_magic", f"The file begins with {said(head[:8])}, not with %PDF.", offset=0)
    check.facts["version"] = head[where + 5 : where + 8].decode("latin-1")
    tail = check.read(max(0, check.size - 2048), 2048)
    if b"%%EOF" not in tail:
        check.wrong("truncated", "The mark that ends a PDF is missing.", offset=check.size)
    found = re.findall(rb"startxref\s+([0-9]{1,12})", tail)
    if not found:
        raise check.stop("no_xref", "The file does not say where its table of objects is.", offset=check.size)
    at = where + int(found[-1])
    table = check.read(at, 64).lstrip()
    if not table.startswith(b"xref") and not re.match(rb"[0-9]+\s+[0-9]+\s+obj", table):
        raise check.stop("bad_xref", f"There is no table of objects at byte {at}.", offset=at)
    pages, images, held = 0, 0, b""
    for block in check.stored():
        window = held + block
        pages += len(re.findall(rb"/Type\s*/Page(?![a-zA-Z])", window)) - len(
            re.findall(rb"/Type\s*/Page(?![a-zA-Z])", held)
        )
        images += window.count(b"/Subtype /Image") - held.count(b"/Subtype /Image")
        held = window[-64:]
    check.facts |= {"encrypted": b"/Encrypt" in tail}
    if pages:
        # Newer files keep their pages in compressed objects, where they are not counted.
        check.facts["pages"] = pages


def gzip(check: Check) -> None:
    if check.compression is None:
        raise check.stop("bad_magic", f"The file begins with {said(check.read(0, 4))}, not as gzip does.", offset=0)
    check.facts["bytes"] = sum(len(block) for block in check.blocks())


def zip_archive(check: Check) -> None:
    """The directory at the end, and for each of its members the header that it points to; PKWARE's APPNOTE."""
    tail_at = max(0, check.size - 65_557)
    tail = check.read(tail_at, 65_557)
    at = tail.rfind(b"PK\x05\x06")
    if check.read(0, 2) != b"PK" and at < 0:
        raise check.stop("bad_magic", f"The file begins with {said(check.read(0, 4))}, not as zip does.", offset=0)
    if at < 0 or at + 22 > len(tail):
        raise check.stop("truncated", "The directory at the end of the archive is missing.", offset=check.size)
    count, size, start = struct.unpack_from("<HII", tail, at + 10)
    if (count == 0xFFFF or start == 0xFFFFFFFF) and at >= 20 and tail[at - 20 : at - 16] == b"PK\x06\x07":
        where = struct.unpack_from("<Q", tail, at - 12)[0]
        record = check.exactly(where, 56, "the large directory") if where + 56 <= check.size else b""
        if record[:4] != b"PK\x06\x06":
            raise check.stop("bad_directory", f"There is no directory at byte {where}.", offset=where)
        count, size, start = struct.unpack_from("<QQQ", record, 32)
    if start + size > tail_at + at:
        raise check.stop(
            "bad_directory", f"The directory would be at byte {start} with {size} bytes, over the end.", offset=start
        )
    names: list[str] = []
    unpacked, encrypted, place = 0, 0, start
    buffer, buffered = b"", start
    for number in range(1, min(count, _MEMBERS) + 1):
        if place + 46 + 3 * 65536 > buffered + len(buffer) and buffered + len(buffer) < start + size:
            buffer, buffered = check.read(place, min(4 << 20, start + size - place)), place
        row = place - buffered
        if buffer[row : row + 4] != b"PK\x01\x02" or len(buffer) < row + 46:
            raise check.stop(
                "bad_directory",
                f"Entry {number} of the directory at byte {place} is none.",
                record=number,
                offset=place,
            )
        flags, _method, _t, _d, _crc, packed, full, n, extra, comment = struct.unpack_from(
            "<HHHHIIIHHH", buffer, row + 8
        )
        header = struct.unpack_from("<I", buffer, row + 42)[0]
        name = buffer[row + 46 : row + 46 + n]
        encrypted += flags & 1
        if full != 0xFFFFFFFF:
            unpacked += full
        if len(names) < _NAMES:
            names.append(name.decode("utf-8" if flags & 0x800 else "cp437", "replace")[:200])
        if header != 0xFFFFFFFF and number <= 20_000:
            if check.read(header, 4) != b"PK\x03\x04":
                check.wrong(
                    "bad_member",
                    f"Member {number} ({said(name)}) is not at byte {header}.",
                    record=number,
                    offset=header,
                )
            elif packed != 0xFFFFFFFF and header + 30 + n + packed > start:
                check.wrong(
                    "truncated",
                    f"Member {number} ({said(name)}) reaches over the directory.",
                    record=number,
                    offset=header,
                )
        place += 46 + n + extra + comment
    check.facts |= {"members": count, "bytes": unpacked, "names": names, "encrypted": encrypted}


def tar(check: Check) -> None:
    """Every header with its checksum, and that the members are all there."""
    reader = _Tar(check)
    members = size = 0
    names: list[str] = []
    while (head := reader.take(512)) is not None:
        if not head.strip(b"\x00"):
            break
        members += 1
        at = reader.at - 512
        if len(head) < 512:
            raise check.stop(
                "truncated", f"The archive ends inside the header of member {members}.", record=members, offset=at
            )
        told = head[148:156].strip(b" \x00")
        if not told.isdigit() or int(told, 8) != sum(head[:148]) + 256 + sum(head[156:]):
            raise check.stop(
                "checksum",
                f"The header of member {members} at byte {at} has a wrong checksum.",
                record=members,
                offset=at,
            )
        try:
            length = (
                int.from_bytes(head[125:136], "big")
                if head[124] & 0x80
                else int(head[124:136].strip(b" \x00") or b"0", 8)
            )
        except ValueError:
            raise check.stop(
                "bad_length", f"Member {members} at byte {at} has no length.", record=members, offset=at
            ) from None
        name = (head[345:500].split(b"\x00")[0] + b"/" if head[257:262] == b"ustar" and head[345] else b"") + head[
            :100
        ].split(b"\x00")[0]
        if head[156:157] in (b"x", b"g", b"L", b"K"):
            members -= 1
        elif len(names) < _NAMES:
            names.append(name.decode("utf-8", "replace")[:200])
        size += length if head[156:157] in (b"0", b"\x00") else 0
        if not reader.skip(length + -length % 512):
            if not check.found:
                check.wrong(
                    "truncated",
                    f"Member {max(members, 1)} ({said(name)}) reaches over the end of the archive.",
                    record=max(members, 1),
                    offset=at,
                )
            break
    else:
        if not check.found:
            check.wrong("no_end", "The two empty blocks that end an archive are missing.", offset=reader.at)
    check.facts |= {"members": members, "bytes": size, "names": names}


class _Tar:
    """The decompressed bytes, to be taken or left."""

    def __init__(self, check: Check) -> None:
        self._blocks = check.blocks()
        self._rest = b""
        self.at = 0

    def take(self, length: int) -> bytes | None:
        while len(self._rest) < length:
            block = next(self._blocks, None)
            if block is None:
                break
            self._rest += block
        found, self._rest = self._rest[:length], self._rest[length:]
        self.at += len(found)
        return found or None

    def skip(self, length: int) -> bool:
        self.at += length
        while len(self._rest) < length:
            length -= len(self._rest)
            block = next(self._blocks, None)
            if block is None:
                self._rest = b""
                return False
            self._rest = block
        self._rest = self._rest[length:]
        return True
