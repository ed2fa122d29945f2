"""What a folder holds, as a version would hold it; and what it says about the rest."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from entrepot.client.tree import LocalFile, again, digest_file, is_partial, read_blocks, scan
from entrepot.model.errors import Invalid, InvalidName, NotFound, SourceChanged

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


def make(root: Path, *paths: str) -> None:
    for path in paths:
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(path)


def test_files_are_found_by_their_entry_paths_in_order(tmp_path: Path) -> None:
    make(tmp_path, "b.txt", "a/x.txt", "a.txt", "ünïcode/漢.txt")
    tree = scan(tmp_path)
    assert list(tree.files) == ["a.txt", "a/x.txt", "b.txt", "ünïcode/漢.txt"]
    assert tree.size == sum(len(path.encode()) for path in tree.files)


def test_folders_without_files_are_said(tmp_path: Path) -> None:
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    make(tmp_path, "a")
    assert [problem.path for problem in scan(tmp_path).skipped] == ["empty/deeper", "empty"]


@posix
def test_links_are_not_followed_and_are_said(tmp_path: Path) -> None:
    make(tmp_path / "outside", "secret")
    make(tmp_path / "tree", "a")
    (tmp_path / "tree" / "file").symlink_to(tmp_path / "outside" / "secret")
    (tmp_path / "tree" / "folder").symlink_to(tmp_path / "outside")
    tree = scan(tmp_path / "tree")
    assert list(tree.files) == ["a"]
    assert [problem.path for problem in tree.skipped] == ["file", "folder"]


@posix
def test_links_are_followed_on_request_but_never_in_a_circle(tmp_path: Path) -> None:
    make(tmp_path / "outside", "b")
    make(tmp_path / "tree", "a/x")
    (tmp_path / "tree" / "there").symlink_to(tmp_path / "outside")
    (tmp_path / "tree" / "a" / "up").symlink_to(tmp_path / "tree")
    tree = scan(tmp_path / "tree", follow_links=True)
    assert list(tree.files) == ["a/x", "there/b"]
    assert [problem.path for problem in tree.skipped] == ["a/up"]


@posix
def test_a_broken_link_is_refused_only_when_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    assert not scan(tmp_path).refused
    assert [problem.path for problem in scan(tmp_path, follow_links=True).refused] == ["nowhere"]


@posix
def test_special_files_and_illegal_names_are_refused_all_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    make(tmp_path, "back\\slash", "line\nbreak", "fine")
    (tmp_path / os.fsdecode(b"bytes-\xff")).write_text("x")
    tree = scan(tmp_path)
    assert list(tree.files) == ["fine"]
    with pytest.raises(InvalidName) as caught:
        tree.require_storable()
    reasons = {error["path"]: error["reason"] for error in caught.value.errors}
    assert set(reasons) == {"pipe", "back\\slash", "line\nbreak", "bytes-\\udcff"}
    assert "named pipe" in reasons["pipe"]


@posix
def test_two_spellings_of_one_accent_are_one_path(tmp_path: Path) -> None:
    make(tmp_path, "e\u0301.txt", "\u00e9.txt")
    tree = scan(tmp_path)
    assert list(tree.files) == ["\u00e9.txt"]
    assert len(tree.refused) == 1


def test_names_that_differ_by_case_are_said_and_kept(tmp_path: Path) -> None:
    make(tmp_path, "Data.csv", "data.csv", "other")
    tree = scan(tmp_path)
    if len(tree.files) == 2:
        pytest.skip("this file system ignores case")
    assert tree.clashes == [("Data.csv", "data.csv")]


def test_ignore_files_count_in_their_folder_and_below(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "raw/a.log", "raw/keep.log", "build/x", "src/build/y", "b.txt")
    (tmp_path / ".entrepotignore").write_text("*.log\nbuild/\n")
    (tmp_path / "raw" / ".entrepotignore").write_text("!keep.log\n")
    tree = scan(tmp_path)
    assert list(tree.files) == [".entrepotignore", "b.txt", "raw/.entrepotignore", "raw/keep.log"]
    assert tree.ignored == 4


def test_an_ignored_special_file_is_no_problem(tmp_path: Path) -> None:
    make(tmp_path, "a")
    (tmp_path / "bad\\name").write_text("x")
    (tmp_path / ".entrepotignore").write_text("bad*\n")
    assert not scan(tmp_path).refused


def test_unfinished_pulls_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, "a.csv.0123456789ab.part", "b.part", "c.0123456789AB.part")
    assert list(scan(tmp_path).files) == ["b.part", "c.0123456789AB.part"]
    assert not is_partial(".0123456789ab.part")


def test_no_folder_and_no_folder_at_all(tmp_path: Path) -> None:
    make(tmp_path, "a")
    with pytest.raises(NotFound, match="nowhere"):
        scan(tmp_path / "nowhere")
    with pytest.raises(Invalid, match="not a folder"):
        scan(tmp_path / "a")


def seen(place: Path) -> LocalFile:
    return again(LocalFile("a", place, scan(place.parent).files[place.name].stat))


def test_a_file_that_was_changed_since_it_was_seen_is_not_read(tmp_path: Path) -> None:
    make(tmp_path, "a")
    file = seen(tmp_path / "a")
    (tmp_path / "a").write_text("something longer than before")
    with pytest.raises(SourceChanged, match="'a'"):
        digest_file(file, None)


def test_a_file_that_grows_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    place = tmp_path / "a"
    place.write_bytes(b"x" * (3 << 20))
    file = seen(place)
    blocks = read_blocks(file)
    next(blocks)
    with place.open("ab") as opened:
        opened.write(b"more")
    with pytest.raises(SourceChanged):
        list(blocks)


def test_a_file_that_is_cut_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    place = tmp_path / "a"
    place.write_bytes(b"x" * (3 << 20))
    blocks = read_blocks(seen(place))
    next(blocks)
    os.truncate(place, 1 << 20)
    with pytest.raises(SourceChanged):
        list(blocks)


def test_a_file_that_went_is_not_found(tmp_path: Path) -> None:
    make(tmp_path, "a")
    file = seen(tmp_path / "a")
    (tmp_path / "a").unlink()
    with pytest.raises(NotFound):
        list(read_blocks(file))


@pytest.mark.parametrize("meanwhile", ["longer than before", "c"])
def test_a_small_file_that_changes_behind_its_opening_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    place = tmp_path / "a"
    place.write_text("before")
    file = seen(place)
    state = os.fstat

    def fstat(fd: int) -> os.stat_result:
        found = state(fd)
        place.write_text(meanwhile)
        return found

    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(SourceChanged, match="'a'"):
        digest_file(file, None)


def test_a_small_file_that_went_is_not_found(tmp_path: Path) -> None:
    make(tmp_path, "a")
    file = seen(tmp_path / "a")
    (tmp_path / "a").unlink()
    with pytest.raises(NotFound, match="has gone"):
        digest_file(file, None)


def test_a_part_of_a_file_is_read_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(range(256)) * 8192)
    file = seen(tmp_path / "a")
    assert b"".join(read_blocks(file, 5, (1 << 20) + 7)) == (tmp_path / "a").read_bytes()[5 : (1 << 20) + 7]
