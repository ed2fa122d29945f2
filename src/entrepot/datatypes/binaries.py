"""Checks of the binary formats of sequencing: BAM, BCF, CRAM and bigWig.

BAM and BCF are records inside BGZF: each has its length in front, and a length that leads over the end is what a cut
file looks like. What is inside the records is read only as far as the structure goes.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from entrepot.datatypes.annotation import read_vcf_header
from entrepot.datatypes.reading import Check, Stop, said
from entrepot.datatypes.sequences import NAMES, read_sam_header

__all__ = ["bam", "bcf", "bigwig", "cram"]

_MOST_HEADER: Final = 64 << 20
_MOST_RECORD: Final = 256 << 20


class _Stream:
    """The decompressed bytes as a stream of pieces of known length."""

    def __init__(self, check: Check) -> None:
        self._blocks = check.blocks()
        self._check = check
        self._rest = b""
        self._at = 0
        self.before = 0

    def left(self) -> bool:
        while self._at >= len(self._rest):
            self.before += len(self._rest)
            block = next(self._blocks, None)
            if block is None:
                self._rest, self._at = b"", 0
                return False
            self._rest, self._at = block, 0
        return True

    def take(self, length: int, what: str, record: int | None = None) -> bytes:
        if self._at + length <= len(self._rest):
            found = self._rest[self._at : self._at + length]
            self._at += length
            return found
        parts, missing = [], length
        while missing:
            if not self.left():
                if not self._check.findings or self._check.findings[-1].code not in ("truncated", "damaged_gzip"):
                    self._check.wrong("truncated", f"The data ends inside {what}.", record=record)
                raise Stop
            piece = self._rest[self._at : self._at + missing]
            self._at += len(piece)
            missing -= len(piece)
            parts.append(piece)
        return b"".join(parts)

    def number(self, what: str, record: int | None = None) -> int:
        return int.from_bytes(self.take(4, what, record), "little", signed=True)

    def close(self) -> None:
        """Read to the end, so that damage behind the last record is found as well."""
        for _ in self._blocks:
            pass


def _no_bgzf(check: Check, name: str) -> None:
    if check.compression is None:
        raise check.stop(
            "not_bgzf", f"The file is not compressed as {name} is; it begins with {said(check.read(0, 8))}.", offset=0
        )
    if check.compression != "bgzf":
        check.wrong(
            "not_bgzf", f"The file is plain gzip; {name} needs BGZF, which can be read from any place.", offset=0
        )


def bam(check: Check) -> None:
    """Header, references and alignments; SAM/BAM format specification, section 4.2."""
    _no_bgzf(check, "BAM")
    stream = _Stream(check)
    magic = stream.take(4, "the magic")
    if magic != b"BAM\x01":
        raise check.stop("bad_magic", f"The data begins with {said(magic)}, not with BAM.", offset=0)
    length = stream.number("the length of the header")
    if not 0 <= length <= _MOST_HEADER:
        raise check.stop("bad_length", f"The header says that it has {length} bytes.")
    text = stream.take(length, "the header").rstrip(b"\x00").decode("utf-8", "replace")
    read_sam_header(text.splitlines(), check)
    count = stream.number("the number of references")
    lengths: list[int] = []
    names: list[str] = []
    if count < 0:
        raise check.stop("bad_length", f"The header says that there are {count} references.")
    for _ in range(count):
        size = stream.number("a reference")
        if not 1 <= size <= 1 << 16:
            raise check.stop("bad_length", f"The name of a reference says that it has {size} bytes.")
        name = stream.take(size, "a reference").rstrip(b"\x00").decode("utf-8", "replace")
        lengths.append(stream.number("a reference"))
        if len(names) < NAMES:
            names.append(name[:200])
    check.facts |= {"contigs": count, "contig_names": names}
    records = mapped = 0
    longest = 0
    try:
        while stream.left():
            records += 1
            mapped_here, bases = _alignment(check, stream, records, lengths)
            mapped += mapped_here
            longest = max(longest, bases)
    except Stop:
        records -= 1
        raise
    finally:
        check.facts |= {"alignments": records, "mapped": mapped, "longest_read": longest}


_ALIGNMENT: Final = struct.Struct("<iiBBHHHiiii")


def _alignment(check: Check, stream: _Stream, record: int, lengths: list[int]) -> tuple[int, int]:
    size = stream.number(f"the length of alignment {record}", record)
    if not 32 <= size <= _MOST_RECORD:
        raise check.stop("bad_length", f"Alignment {record} says that it has {size} bytes.", record=record)
    data = stream.take(size, f"alignment {record}", record)
    reference, position, name, _quality, _bin, steps, flag, bases, mate, _mate_position, _template = (
        _ALIGNMENT.unpack_from(data)
    )
    if bases < 0 or 32 + name + 4 * steps + (bases + 1) // 2 + bases > size:
        check.wrong(
            "record_length",
            f"Alignment {record} has {size} bytes, fewer than its name, CIGAR and sequence need.",
            record=record,
        )
        return 0, 0
    if name < 1 or data[31 + name] != 0:
        check.wrong("bad_name", f"Alignment {record} has a name without an end.", record=record)
    for which in (reference, mate):
        if not -1 <= which < len(lengths):
            check.wrong(
                "unknown_reference", f"Alignment {record} is on reference {which} of {len(lengths)}.", record=record
            )
    if 0 <= reference < len(lengths) and position >= lengths[reference]:
        check.wrong(
            "beyond_reference",
            f"Alignment {record} is at {position} of a reference of {lengths[reference]} bases.",
            record=record,
        )
    return int(not flag & 4), bases


def bcf(check: Check) -> None:
    _no_bgzf(check, "BCF")
    stream = _Stream(check)
    magic = stream.take(5, "the magic")
    if magic[:3] != b"BCF" or magic[3] != 2:
        raise check.stop("bad_magic", f"The data begins with {said(magic)}, not with BCF 2.", offset=0)
    length = int.from_bytes(stream.take(4, "the length of the header"), "little")
    if length > _MOST_HEADER:
        raise check.stop("bad_length", f"The header says that it has {length} bytes.")
    lines = stream.take(length, "the header").rstrip(b"\x00").split(b"\n")
    samples = read_vcf_header(check, lines)
    records = 0
    try:
        while stream.left():
            sizes = stream.take(8, f"variant {records + 1}", records + 1)
            shared, single = int.from_bytes(sizes[:4], "little"), int.from_bytes(sizes[4:], "little")
            if shared < 24 or shared + single > _MOST_RECORD:
                raise check.stop(
                    "bad_length",
                    f"Variant {records + 1} says that it has {shared} and {single} bytes.",
                    record=records + 1,
                )
            data = stream.take(shared + single, f"variant {records + 1}", records + 1)
            records += 1
            told = int.from_bytes(data[20:24], "little") & 0xFFFFFF
            if told != samples:
                check.wrong("samples", f"Variant {records} has {told} samples, the header {samples}.", record=records)
    finally:
        check.facts["variants"] = records


_CRAM_END: Final = {
    3: bytes.fromhex("0f000000ffffffff0fe0454f4600000000010005bdd94f0001000606010001000100ee63014b"),
    2: bytes.fromhex("0b000000ffffffff0fe0454f4600000000010000 01000606010001000100".replace(" ", "")),
}


def cram(check: Check) -> None:
    """The chain of containers from the first to the one that ends the file; CRAM format specification, section 7."""
    head = check.exactly(0, 26, "the file definition")
    if head[:4] != b"CRAM":
        raise check.stop("bad_magic", f"The file begins with {said(head[:4])}, not with CRAM.", offset=0)
    major, minor = head[4], head[5]
    check.facts["version"] = f"{major}.{minor}"
    if major not in (2, 3):
        raise check.stop("version", f"CRAM {major}.{minor} is not known.", offset=4)
    at, number, records, slices = 26, 0, 0, 0
    while at < check.size:
        number += 1
        fields, begins = _container(check, at, major, number)
        length, count, blocks = fields
        if number == 1:
            _cram_header(check, begins, length)
        elif count or blocks > 1:
            records += count
            slices += 1
        if begins + length > check.size:
            raise check.stop(
                "truncated",
                f"Container {number} at byte {at} says that it has {length} bytes; the file ends before.",
                record=number,
                offset=at,
            )
        at = begins + length
    end = _CRAM_END[major]
    if check.read(check.size - len(end), len(end)) != end:
        check.wrong("no_eof_container", "The last container is not the one that ends a CRAM file.", offset=check.size)
    check.facts |= {"containers": max(number - 1, 0), "alignments": records}


def _container(check: Check, at: int, major: int, number: int) -> tuple[tuple[int, int, int], int]:
    data = check.read(at, 4096)
    try:
        length = int.from_bytes(data[:4], "little", signed=True)
        place = 4
        for _ in range(3):
            _, place = _itf8(data, place)
        count, place = _itf8(data, place)
        _, place = _ltf8(data, place) if major == 3 else _itf8(data, place)
        _, place = _ltf8(data, place)
        blocks, place = _itf8(data, place)
        landmarks, place = _itf8(data, place)
        for _ in range(landmarks):
            _, place = _itf8(data, place)
    except IndexError:
        raise check.stop(
            "truncated",
            f"The file ends inside the header of container {number} at byte {at}.",
            record=number,
            offset=at,
        ) from None
    if length < 0 or len(data) < 4:
        raise check.stop(
            "bad_length", f"Container {number} at byte {at} says that it has {length} bytes.", record=number, offset=at
        )
    if major == 3:
        told = int.from_bytes(data[place : place + 4], "little")
        if len(data) >= place + 4 and told != zlib.crc32(data[:place]):
            check.wrong(
                "checksum", f"The checksum of container {number} at byte {at} is wrong.", record=number, offset=at
            )
        place += 4
    return (length, count, blocks), at + place


def _itf8(data: bytes, at: int) -> tuple[int, int]:
    first = data[at]
    more = 0 if first < 0x80 else 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    value = first & (0x7F >> more) if more < 4 else first & 0x0F
    for i in range(more - (more == 4)):
        value = value << 8 | data[at + 1 + i]
    if more == 4:
        value = value << 4 | data[at + 4] & 0x0F
    return value, at + 1 + more


def _ltf8(data: bytes, at: int) -> tuple[int, int]:
    first = data[at]
    more = 0
    while more < 8 and first & 0x80 >> more:
        more += 1
    value = first & (0x7F >> more) if more < 7 else 0
    for i in range(more):
        value = value << 8 | data[at + 1 + i]
    return value, at + 1 + more


def _cram_header(check: Check, at: int, length: int) -> None:
    """The SAM header in the first block of the first container, if it is plain or packed by gzip."""
    data = check.read(at, min(length, _MOST_HEADER))
    try:
        method, place = data[0], 2
        _, place = _itf8(data, place)
        packed, place = _itf8(data, place)
        _, place = _itf8(data, place)
    except IndexError:
        return
    body = data[place : place + packed]
    if method == 1:
        engine = zlib.decompressobj(wbits=31)
        try:
            body = engine.decompress(body, _MOST_HEADER)
        except zlib.error as error:
            check.wrong("damaged_gzip", f"The header is damaged: {error}.", offset=at)
            return
    elif method != 0:
        return
    size = int.from_bytes(body[:4], "little")
    read_sam_header(body[4 : 4 + size].rstrip(b"\x00").decode("utf-8", "replace").splitlines(), check)


def bigwig(check: Check) -> None:
    head = check.exactly(0, 64, "the header")
    order = "<" if head[:4] == b"\x26\xfc\x8f\x88" else ">"
    if head[:4] not in (b"\x26\xfc\x8f\x88", b"\x88\x8f\xfc\x26"):
        raise check.stop("bad_magic", f"The file begins with {said(head[:4])}, not as a bigWig does.", offset=0)
    version, zooms, tree, data, index, _f, _d, _sql, summary, _buf, _ext = struct.unpack(
        order + "HHQQQHHQQIQ", head[4:64]
    )
    for what, at in (("the names", tree), ("the data", data), ("the index", index), ("the summary", summary)):
        if at > check.size or (at < 64 and what != "the summary"):
            raise check.stop(
                "truncated", f"The header says that {what} are at byte {at}; the file has {check.size}.", offset=at
            )
    end = check.read(check.size - 4, 4)
    if head[:4] != end and version >= 3:
        check.wrong(
            "truncated",
            "The file does not end with the magic that it begins with. Its end is missing.",
            offset=check.size,
        )
    names = check.exactly(tree, 32, "the names")
    magic, _block, _key, _value, count = struct.unpack_from(order + "IIIIQ", names)
    if magic != 0x78CA8C91:
        raise check.stop("bad_names", f"There are no names of chromosomes at byte {tree}.", offset=tree)
    root = check.exactly(index, 4, "the index")
    if struct.unpack(order + "I", root)[0] != 0x2468ACE0:
        check.wrong("bad_index", f"There is no index at byte {index}.", offset=index)
    sections = struct.unpack(order + "Q", check.exactly(data, 8, "the data"))[0]
    check.facts |= {"version": version, "zoom_levels": zooms, "contigs": count, "sections": sections}
    if summary:
        covered, least, most, total, _squares = struct.unpack(
            order + "Qdddd", check.exactly(summary, 40, "the summary")
        )
        if all(one == one and abs(one) != float("inf") for one in (least, most, total)):
            check.facts["signal"] = {
                "bases": covered,
                "min": least,
                "max": most,
                "mean": total / covered if covered else None,
            }
