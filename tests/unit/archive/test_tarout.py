"""The tar format itself: ustar where it is enough, pax where it is not, and gzip around it."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrepot.archive.ranged import Member, OpenMember, listed
from entrepot.archive.tarout import TarLayout, gzipped_tar
from entrepot.model.errors import Corrupt

WHEN = datetime(2024, 2, 29, 12, 34, 57, 999_999, tzinfo=UTC)
GIB = 1024**3


class Ranges(io.RawIOBase):
    """A file whose bytes are made by the layout as they are asked for."""

    def __init__(self, layout: TarLayout, open_member: OpenMember) -> None:
        self.layout, self.open_member, self.at = layout, open_member, 0

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
        data = b"".join(self.layout.read(self.at, min(self.at + len(buffer), self.layout.size), self.open_member))
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)


def zeros(member: Member, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, 1 << 20):
        yield bytes(min(1 << 20, end - at))


def only(member: Member) -> tuple[tarfile.TarInfo, int]:
    """What the standard library reads of an archive of one member, and how long its headers are."""
    layout = TarLayout(listed([member]))
    with tarfile.open(fileobj=Ranges(layout, zeros)) as archive:  # type: ignore[call-overload]
        (info,) = archive.getmembers()
        return info, info.offset_data


def test_a_plain_member_has_one_header_and_its_fields_are_these() -> None:
    info, headers = only(Member("a/b.txt", 3, zlib.crc32(bytes(3)), WHEN))
    assert headers == 512
    assert (info.name, info.size, info.mtime, info.mode) == ("a/b.txt", 3, 1_709_210_097, 0o644)
    assert (info.uid, info.gid, info.uname, info.gname, info.type) == (0, 0, "", "", tarfile.REGTYPE)
    assert info.pax_headers == {}


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("x" * 100, 512),
        ("x" * 101, 3 * 512),
        ("p" * 155 + "/" + "n" * 100, 512),
        ("p" * 156 + "/" + "n" * 100, 3 * 512),
        ("p" * 155 + "/" + "n" * 101, 3 * 512),
        ("p/" * 100 + "n", 512),
        ("é", 3 * 512),
        ("d" * 90 + "/" + "日" * 20, 3 * 512),
        ("/".join(["s" * 204] * 5), 5 * 512),
    ],
)
def test_pax_appears_exactly_where_ustar_is_too_small_for_a_name(name: str, headers: int) -> None:
    info, found = only(Member(name, 0, 0, WHEN))
    assert info.name == name
    assert found == headers


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=300))
@example("a" * 88)
@example("é" * 44)
@example("é" * 43)
@example("é" * 495)
def test_any_name_is_read_back(name: str) -> None:
    if name.strip("/") == name:
        assert only(Member(name, 0, 0, WHEN))[0].name == name


def test_sizes_of_8_gib_and_more_without_their_bytes_ever_being_made() -> None:
    members = [
        Member("under", 8 * GIB - 1, 0, WHEN),
        Member("over", 8 * GIB, 0, WHEN),
        Member("after", 2, zlib.crc32(bytes(2)), WHEN),
    ]
    layout = TarLayout(listed(members))
    assert layout.size % 10_240 == 0
    with tarfile.open(fileobj=Ranges(layout, zeros)) as archive:  # type: ignore[call-overload]
        under, over, after = archive.getmembers()
        assert [under.size, over.size, after.size] == [m.size for m in members]
        assert under.pax_headers == {}
        assert over.pax_headers == {"size": str(8 * GIB)}
        opened = archive.extractfile(after)
        assert opened is not None
        assert opened.read() == bytes(2)


@pytest.mark.parametrize(
    ("at", "seconds"), [(datetime(1900, 1, 1, tzinfo=UTC), 0), (datetime(9999, 1, 1, tzinfo=UTC), 8**11 - 1)]
)
def test_times_that_do_not_fit_become_the_nearest_that_do(at: datetime, seconds: int) -> None:
    assert only(Member("a", 0, 0, at))[0].mtime == seconds


class TestGzip:
    CONTENT = b"".join(b"row %d\n" % n for n in range(200_000))
    LAYOUT = TarLayout(listed([Member("a.csv", len(CONTENT), zlib.crc32(CONTENT), WHEN), Member("b", 0, 0, WHEN)]))

    def opened(self, step: int) -> OpenMember:
        return lambda m, s, e: (self.CONTENT[at : min(at + step, e)] for at in range(s, e, step))

    def test_it_holds_the_tar_and_its_header_says_no_time(self) -> None:
        data = b"".join(gzipped_tar(self.LAYOUT, self.opened(4096)))
        assert data[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
        assert gzip.decompress(data) == b"".join(self.LAYOUT.read(0, self.LAYOUT.size, self.opened(10**9)))
        assert len(data) < len(self.CONTENT) / 2

    def test_equal_members_make_equal_bytes_however_a_store_cuts_its_blocks(self) -> None:
        made = {b"".join(gzipped_tar(self.LAYOUT, self.opened(step))) for step in (777, 4096, 300_000, 10**9)}
        assert len(made) == 1

    def test_blocks_are_bounded(self) -> None:
        blocks = list(gzipped_tar(self.LAYOUT, self.opened(4096), block_size=10_000))
        assert all(0 < len(block) <= 10_000 for block in blocks)

    def test_a_member_that_ends_early_breaks_the_stream(self) -> None:
        got: list[bytes] = []
        with pytest.raises(Corrupt):
            got.extend(gzipped_tar(self.LAYOUT, lambda m, s, e: [self.CONTENT[s : e - 1]]))
        with pytest.raises(EOFError):
            gzip.decompress(b"".join(got))
