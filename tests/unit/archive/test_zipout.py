"""The zip format itself: fields, zip64, times."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from entrepot.archive.ranged import Member, OpenMember, listed
from entrepot.archive.zipout import ZipLayout

WHEN = datetime(2024, 2, 29, 12, 34, 57, tzinfo=UTC)
GIB = 1024**3


class Ranges(io.RawIOBase):
    """A file whose bytes are made by the layout as they are asked for."""

    def __init__(self, layout: ZipLayout, open_member: OpenMember) -> None:
        self.layout, self.open_member, self.at, self.made = layout, open_member, 0, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, self.layout.size)[whence]
        return self.at

    def tell(self) -> int:
        return self.at

    def readinto(self, buffer: Any) -> int:
        end = min(self.at + len(buffer), self.layout.size)
        data = b"".join(self.layout.read(self.at, end, self.open_member))
        buffer[: len(data)] = data
        self.at += len(data)
        self.made += len(data)
        return len(data)


def zeros(member: Member, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, 1 << 20):
        yield bytes(min(1 << 20, end - at))


def test_a_small_archive_is_plain_and_its_fields_are_these() -> None:
    layout = ZipLayout(listed([Member("a.txt", 3, zlib.crc32(b"abc"), WHEN)]))
    data = b"".join(layout.read(0, layout.size, lambda m, s, e: [b"abc"[s:e]]))
    assert data[:30] == struct.pack(
        "<4sHHHHHLLLHH",
        *(b"PK\3\4", 20, 0x800, 0),
        *(12 << 11 | 34 << 5 | 57 // 2, (2024 - 1980) << 9 | 2 << 5 | 29),
        *(zlib.crc32(b"abc"), 3, 3, 5, 0),
    )
    assert data[30:38] == b"a.txtabc"
    assert len(data) == 30 + 8 + 46 + 5 + 22
    (info,) = zipfile.ZipFile(io.BytesIO(data)).infolist()
    assert (info.date_time, info.compress_type, info.flag_bits) == ((2024, 2, 29, 12, 34, 56), 0, 0x800)
    assert (info.create_system, info.external_attr >> 16) == (3, 0o100644)
    assert (info.create_version, info.extract_version) == (20, 20)


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), (1980, 1, 1, 0, 0, 0)),
        (datetime(9999, 1, 1, tzinfo=UTC), (2107, 12, 31, 23, 59, 58)),
        (datetime(2107, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), (2107, 12, 31, 23, 59, 58)),
    ],
)
def test_times_that_do_not_fit_become_the_nearest_that_do(at: datetime, shown: tuple[int, ...]) -> None:
    layout = ZipLayout(listed([Member("a", 0, 0, at)]))
    data = b"".join(layout.read(0, layout.size, zeros))
    assert zipfile.ZipFile(io.BytesIO(data)).infolist()[0].date_time == shown


def test_more_members_than_16_bits_can_count() -> None:
    members = [Member(f"{n:06}", 0, 0, WHEN) for n in range(69_999)]
    layout = ZipLayout(listed([*members, Member("069999", 1, zlib.crc32(b"x"), WHEN)]))
    data = b"".join(layout.read(0, layout.size, lambda m, s, e: [b"x"]))
    assert len(data) == layout.size
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.infolist()) == 70_000
        assert archive.read("069999") == b"x"
    assert data[-22:-10].startswith(b"PK\5\6")
    assert struct.unpack_from("<HH", data, len(data) - 14) == (0xFFFF, 0xFFFF)


@pytest.mark.parametrize("count", [65_534, 65_535])
def test_the_zip64_end_appears_exactly_where_the_count_means_it(count: int) -> None:
    layout = ZipLayout(listed([Member(f"{n:05}", 0, 0, WHEN) for n in range(count)]))
    tail = b"".join(layout.read(layout.size - 98, layout.size, zeros))
    assert (b"PK\6\6" in tail) == (b"PK\6\7" in tail) == (count == 65_535)
    assert struct.unpack_from("<HH", tail, len(tail) - 14) == (count, count)


def test_members_beyond_4_gib_without_their_bytes_ever_being_made() -> None:
    members = [
        Member("before", 3, zlib.crc32(bytes(3)), WHEN),
        Member("large.bam", 5 * GIB, 0x12345678, WHEN),
        Member("after.txt", 4, zlib.crc32(bytes(4)), WHEN),
        Member("limit", 2**32 - 1, 1, WHEN),
        Member("under", 2**32 - 2, 1, WHEN),
    ]
    layout = ZipLayout(listed(members))
    file = Ranges(layout, zeros)
    archive = zipfile.ZipFile(io.BufferedReader(file))  # type: ignore[arg-type]
    before, large, after, limit, under = archive.infolist()
    assert [i.file_size for i in archive.infolist()] == [m.size for m in members]
    assert [i.compress_size for i in archive.infolist()] == [m.size for m in members]
    assert (before.extract_version, large.extract_version, after.extract_version) == (20, 45, 45)
    assert limit.extract_version == 45
    assert after.header_offset == 30 + 6 + 3 + 30 + 9 + 20 + 5 * GIB
    assert archive.read("before") == bytes(3)
    assert archive.read("after.txt") == bytes(4)
    with archive.open("large.bam") as opened:  # whose local header zipfile compares with the central one
        assert opened.read(10) == bytes(10)
    assert file.made < 1 << 20

    head = b"".join(layout.read(large.header_offset, large.header_offset + 59, zeros))
    assert struct.unpack_from("<LLHH", head, 18) == (0xFFFFFFFF, 0xFFFFFFFF, 9, 20)
    assert struct.unpack_from("<HHQQ", head, 39) == (1, 16, 5 * GIB, 5 * GIB)
    head = b"".join(layout.read(under.header_offset, under.header_offset + 30, zeros))
    assert struct.unpack_from("<LLHH", head, 18) == (2**32 - 2, 2**32 - 2, 5, 0)


def test_a_range_inside_a_large_member_is_made_of_that_range_only() -> None:
    asked: list[tuple[int, int]] = []

    def numbers(member: Member, start: int, end: int) -> Iterator[bytes]:
        asked.append((start, end))
        yield b"".join(n.to_bytes(8) for n in range(start // 8, (end + 7) // 8))[start % 8 :][: end - start]

    layout = ZipLayout(listed([Member("large", 5 * GIB, 0, WHEN)]))
    first = 30 + 5 + 20
    at = 9 * GIB // 2 + 5
    assert b"".join(layout.read(first + at, first + at + 11, numbers))[3:11] == ((at + 3) // 8).to_bytes(8)
    assert asked == [(at, at + 11)]


def test_a_name_longer_than_the_format_is_refused() -> None:
    layout = ZipLayout(listed([Member("x" * 65_536, 0, 0, WHEN)]))
    with pytest.raises(ValueError, match="name of 65536 bytes"):
        list(layout.read(0, 100, zeros))
