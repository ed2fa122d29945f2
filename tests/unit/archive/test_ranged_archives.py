"""What zip and tar layouts share: exact sizes, ranges that fit together, and no archive that only looks whole."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.archive import ranged
from entrepot.archive.ranged import MARK_EVERY, Member, RangedArchive, in_blocks, listed
from entrepot.archive.tarout import TarLayout, gzipped_tar
from entrepot.archive.zipout import ZipLayout
from entrepot.model.errors import Corrupt, Unavailable

LAYOUTS: list[type[RangedArchive]] = [ZipLayout, TarLayout]
WHEN = datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)


class Files:
    """Members with their bytes; counts what is opened."""

    def __init__(self, contents: dict[str, bytes], mtime: datetime = WHEN, block: int = 1000) -> None:
        self.contents = contents
        self.members = [Member(n, len(b), zlib.crc32(b), mtime, key=n) for n, b in contents.items()]
        self.source = listed(self.members)
        self.block = block
        self.opened: list[tuple[str, int, int]] = []
        self.closed = 0

    def open(self, member: Member, start: int, end: int) -> Iterator[bytes]:
        self.opened.append((member.name, start, end))
        try:
            for at in range(start, end, self.block):
                yield self.contents[member.name][at : min(at + self.block, end)]
        finally:
            self.closed += 1

    def whole(self, layout: type[RangedArchive]) -> bytes:
        made = layout(self.source)
        data = b"".join(made.read(0, made.size, self.open))
        assert len(data) == made.size
        return data


def unpacked(data: bytes) -> dict[str, bytes]:
    """The members as the standard library reads them, whichever archive it is."""
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            return {info.filename: archive.read(info) for info in archive.infolist()}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = {}
        for info in archive:
            assert info.isreg()
            member = archive.extractfile(info)
            assert member is not None
            found[info.name] = member.read()
        return found


names = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1, max_size=60).filter(
        lambda s: s not in (".", "..")
    ),
    min_size=1,
    max_size=4,
).map("/".join)
trees = st.dictionaries(names, st.binary(max_size=3000), max_size=12)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(contents=trees)
def test_every_reader_gets_back_what_went_in(layout: type[RangedArchive], contents: dict[str, bytes]) -> None:
    assert unpacked(Files(contents).whole(layout)) == contents


@pytest.mark.parametrize("layout", LAYOUTS)
@given(contents=trees, block_size=st.integers(1, 5000), data=st.data())
def test_ranges_fit_together_to_the_whole(
    layout: type[RangedArchive], contents: dict[str, bytes], block_size: int, data: st.DataObject
) -> None:
    files = Files(contents, block=data.draw(st.integers(1, 4000)))
    whole = files.whole(layout)
    made = layout(files.source)
    cuts = sorted(data.draw(st.lists(st.integers(0, made.size), max_size=6)))
    parts = []
    for start, end in zip([0, *cuts], [*cuts, made.size], strict=True):
        blocks = list(made.read(start, end, files.open, block_size=block_size))
        assert all(0 < len(block) <= block_size for block in blocks)
        assert sum(map(len, blocks)) == end - start
        parts += blocks
    assert b"".join(parts) == whole


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_range_of_a_small_archive(layout: type[RangedArchive]) -> None:
    files = Files({"a": b"123", "é" * 60: b"", "b/c": b"45"})
    whole = files.whole(layout)[:3000]
    made = layout(files.source)
    step = 3 if layout is ZipLayout else 67
    for start in range(0, len(whole), step):
        for end in range(start, len(whole), step + 4):
            assert b"".join(made.read(start, end, files.open)) == whole[start:end]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_empty_archive_is_valid(layout: type[RangedArchive]) -> None:
    assert unpacked(Files({}).whole(layout)) == {}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_members_in_the_range_are_opened_and_all_are_closed(layout: type[RangedArchive]) -> None:
    files = Files({f"{n:05}": b"<%05d>" % n * 15 for n in range(3 * MARK_EVERY)})
    made = layout(files.source)
    whole = b"".join(made.read(0, made.size, files.open))
    files.opened.clear()
    at = whole.index(b"<01234>") + 30
    assert b"".join(made.read(at, at + 50, files.open)) == files.contents["01234"][30:80]
    # Neither the heads before a member's bytes nor the index behind all of them need any bytes.
    list(made.read(0, 35, files.open))
    list(made.read(made.size - 1000, made.size, files.open))
    assert files.opened == [("01234", 30, 80)]
    assert files.closed == 3 * MARK_EVERY + 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_far_members_are_reached_without_passing_the_near_ones(layout: type[RangedArchive]) -> None:
    files = Files({f"{n:05}": b"x" for n in range(4 * MARK_EVERY)})
    passed: list[str] = []

    def source(after: str | None) -> Iterator[Member]:
        for member in files.source(after):
            passed.append(member.name)
            yield member

    made = layout(source)
    assert len(passed) == made.count == 4 * MARK_EVERY
    passed.clear()
    end_of_body = made.size - made._index_total - len(made._end)
    list(made.read(end_of_body - 1, end_of_body, files.open))
    assert passed[0] == f"{3 * MARK_EVERY:05}"
    assert len(passed) == MARK_EVERY
    passed.clear()
    list(made.read(end_of_body + max(made._index_total - 1, 0), made.size, files.open))
    assert len(passed) == (MARK_EVERY if layout is ZipLayout else 0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_range_outside_is_refused_at_once(layout: type[RangedArchive]) -> None:
    files = Files({"a": b"1"})
    made = layout(files.source)
    for start, end in ((-1, 2), (2, 1), (0, made.size + 1)):
        with pytest.raises(ValueError, match="does not lie within"):
            made.read(start, end, files.open)
    assert list(made.read(made.size, made.size, files.open)) == []


@pytest.mark.parametrize("layout", LAYOUTS)
class TestWhatIsNotWholeBreaks:
    def read(self, layout: type[RangedArchive], files: Files, open_member: ranged.OpenMember) -> bytes:
        made = layout(files.source)
        return b"".join(made.read(0, made.size, open_member, block_size=10))

    def test_bytes_that_end_early(self, layout: type[RangedArchive]) -> None:
        files = Files({"a": b"x" * 50, "b": b"y" * 50})
        with pytest.raises(Corrupt, match="'b' ends 1 bytes too early"):
            self.read(layout, files, lambda m, s, e: [files.contents[m.name][s : e - (m.name == "b")]])

    def test_more_bytes_than_announced(self, layout: type[RangedArchive]) -> None:
        files = Files({"a": b"x" * 50})
        with pytest.raises(Corrupt, match="more bytes than its 50"):
            self.read(layout, files, lambda m, s, e: [files.contents[m.name], b"!"])

    def test_other_bytes_than_recorded(self, layout: type[RangedArchive]) -> None:
        files = Files({"a": b"x" * 50})
        with pytest.raises(Corrupt, match="'a' is damaged"):
            self.read(layout, files, lambda m, s, e: [b"x" * 49 + b"z"])

    def test_a_member_that_cannot_be_read(self, layout: type[RangedArchive]) -> None:
        def fail(member: Member, start: int, end: int) -> Iterator[bytes]:
            yield b"x"
            raise Unavailable("The store does not answer. Try again later.")

        with pytest.raises(Unavailable):
            self.read(layout, Files({"a": b"x" * 50}), fail)

    @pytest.mark.parametrize("change", ["less", "more", "other", "early"])
    def test_a_source_that_tells_another_story_the_second_time(self, layout: type[RangedArchive], change: str) -> None:
        files = Files({f"{n:05}": b"x" * 10 for n in range(MARK_EVERY + 5)})
        told = list(files.members)

        def source(after: str | None) -> Iterable[Member]:
            return listed(told)(after)

        made = layout(source)
        files.contents["new"] = b"x" * 600
        match change:
            case "less":
                del told[-1]
            case "more":
                told.append(Member("new", 10, told[0].crc32, WHEN))
            case "other":
                told[-1] = Member("new", 600, zlib.crc32(b"x" * 600), WHEN)
            case "early":
                told[3] = Member("new", 600, zlib.crc32(b"x" * 600), WHEN)
        with pytest.raises(Corrupt, match="changed while it was being read"):
            for _ in made.read(0, made.size, files.open):
                pass

    def test_an_opened_member_is_closed_also_when_it_breaks(self, layout: type[RangedArchive]) -> None:
        """Closed by a call, not by whoever collects garbage: it may hold a connection."""

        class Opened(Iterator[bytes]):
            closed = 0

            def __next__(self) -> bytes:
                raise Unavailable("The store does not answer. Try again later.")

            def close(self) -> None:
                self.closed += 1

        opened = Opened()
        with pytest.raises(Unavailable):
            self.read(layout, Files({"a": b"x" * 50}), lambda m, s, e: opened)
        assert opened.closed == 1

    def test_a_reader_that_goes_away_leaves_nothing_open(self, layout: type[RangedArchive]) -> None:
        files = Files({"a": b"x" * 5000})
        made = layout(files.source)
        blocks = made.read(0, made.size, files.open, block_size=100)
        for _ in range(8):
            next(blocks)
        assert len(files.opened) == 1
        assert files.closed == 0
        blocks.close()
        assert files.closed == 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_tag_changes_with_whatever_changes_the_bytes(layout: type[RangedArchive]) -> None:
    one = Member("a", 1, 2, WHEN, key=3)
    others = [
        Member("b", 1, 2, WHEN, key=3),
        Member("a", 2, 2, WHEN, key=3),
        Member("a", 1, 3, WHEN, key=3),
        Member("a", 1, 2, WHEN + timedelta(seconds=2), key=3),
        Member("a", 1, 2, WHEN, key=4),
    ]
    tags = {layout(listed([member])).etag_material() for member in [one, *others]}
    assert len(tags) == 6
    assert layout(listed([one])).etag_material() in tags
    assert ZipLayout(listed([one])).etag_material() != TarLayout(listed([one])).etag_material()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_equal_members_make_equal_bytes_wherever_the_clock_stands(layout: type[RangedArchive]) -> None:
    elsewhere = WHEN.astimezone(timezone(timedelta(hours=9)))
    assert Files({"a": b"x"}, WHEN).whole(layout) == Files({"a": b"x"}, elsewhere, block=7).whole(layout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "member", [Member("", 0, 0, WHEN), Member("a", -1, 0, WHEN), Member("a", 0, -1, WHEN), Member("a", 0, 2**32, WHEN)]
)
def test_what_cannot_be_a_member_is_a_mistake_of_the_caller(layout: type[RangedArchive], member: Member) -> None:
    with pytest.raises(ValueError, match="cannot be a member"):
        layout(listed([member]))


def test_two_members_of_one_name_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="two members of one name"):
        listed([Member("a", 0, 0, WHEN), Member("a", 0, 0, WHEN)])


@given(st.lists(st.binary(max_size=50)), st.integers(1, 40))
def test_blocks_keep_the_bytes_and_the_bound(pieces: list[bytes], block_size: int) -> None:
    blocks = list(in_blocks(pieces, block_size))
    assert b"".join(blocks) == b"".join(pieces)
    assert all(0 < len(block) <= block_size for block in blocks)


def test_many_small_pieces_make_few_blocks() -> None:
    assert len(list(in_blocks([b"x" * 30] * 10_000, 64 * 1024))) <= 10


# --- readers that are not ours ---------------------------------------------------------------------------------------

TREE = {
    "plates/plate 7.csv": b"well,od\nA1,0.5\n" * 100,
    "Größe/日本.txt": b"x",
    "empty": b"",
    "deep/" + "d" * 120 + "/" + "f" * 140 + ".bin": bytes(range(256)) * 50,
    "b" * 101: b"long ascii",
}


def _unzip(archive: Path, into: Path) -> None:
    subprocess.run(["unzip", "-tq", archive], check=True, capture_output=True)
    # The C locale would turn names into question marks; that is the reader's affair, not the archive's.
    subprocess.run(["unzip", "-q", archive, "-d", into], check=True, capture_output=True, env={"LC_ALL": "C.UTF-8"})


def _tar(archive: Path, into: Path) -> None:
    subprocess.run(["tar", "-xf", archive, "-C", into], check=True, capture_output=True, env={"PATH": "/usr/bin:/bin"})


def _zipfile(archive: Path, into: Path) -> None:
    zipfile.ZipFile(archive).extractall(into)


def _tarfile(archive: Path, into: Path) -> None:
    with tarfile.open(archive) as opened:
        # The archive is our own; Debian 12's Python knows no filters yet.
        opened.extractall(into, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))


def _installed(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


READERS = [
    pytest.param("zip", _zipfile, id="zip zipfile"),
    pytest.param("tar", _tarfile, id="tar tarfile"),
    pytest.param("tar.gz", _tarfile, id="tar.gz tarfile"),
    pytest.param("zip", _unzip, id="zip unzip", marks=_installed("unzip")),
    pytest.param("tar", _tar, id="tar tar", marks=_installed("tar")),
    pytest.param("tar.gz", _tar, id="tar.gz tar", marks=_installed("tar")),
]


@pytest.mark.parametrize(("kind", "reader"), READERS)
def test_tools_that_people_have_unpack_it(kind: str, reader: Callable[[Path, Path], None], tmp_path: Path) -> None:
    files = Files(TREE)
    archive, into = tmp_path / f"out.{kind}", tmp_path / "out"
    into.mkdir()
    if kind == "tar.gz":
        archive.write_bytes(b"".join(gzipped_tar(TarLayout(files.source), files.open)))
    else:
        archive.write_bytes(files.whole(ZipLayout if kind == "zip" else TarLayout))
    reader(archive, into)
    found = {str(p.relative_to(into)): p.read_bytes() for p in into.rglob("*") if p.is_file()}
    assert found == TREE
    assert all((into / name).stat().st_mode & 0o777 == 0o644 for name in TREE) or reader is _zipfile
