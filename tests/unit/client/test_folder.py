"""A pull writes below its folder and nowhere else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.client.folder import Folder, local_names
from entrepot.model import names
from entrepot.model.errors import Conflict, InvalidName

posix = pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "a\\b", "", "a//b", "a/./b"])
def test_a_path_that_leads_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(InvalidName):
        Folder(tmp_path / "into").prepare(path)


@posix
def test_a_link_on_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "raw").symlink_to(tmp_path / "outside")
    with pytest.raises(Conflict, match="through links"):
        Folder(tmp_path / "into").prepare("raw/a.csv")


@posix
def test_a_link_in_the_place_of_a_file_is_replaced_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("precious")
    folder = Folder(tmp_path / "into")
    target = folder.prepare("a")
    target.symlink_to(tmp_path / "outside")
    assert not folder.is_plain("a")
    (tmp_path / "into" / "new").write_text("pulled")
    (tmp_path / "into" / "new").replace(folder.prepare("a"))
    assert (tmp_path / "outside").read_text() == "precious"


@posix
def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "into").symlink_to(tmp_path / "real")
    assert Folder(tmp_path / "into").prepare("a/b").parent.is_dir()


def test_a_file_in_the_place_of_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(Conflict, match="is a file"):
        Folder(tmp_path).prepare("a/b")
    (tmp_path / "d").mkdir()
    with pytest.raises(Conflict, match="is a folder"):
        Folder(tmp_path).prepare("d")


def test_removing_takes_empty_folders_along_but_not_the_root(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "into")
    for path in ("a/b/c", "a/d"):
        folder.prepare(path).write_text("x")
    folder.remove("a/b/c")
    assert not (tmp_path / "into" / "a" / "b").exists()
    folder.remove("a/d")
    folder.remove("a/never")
    assert list((tmp_path / "into").iterdir()) == []


def test_names_stay_where_they_can() -> None:
    assert local_names(["a:b", "A", "a"], windows=False) == {"a:b": "a:b", "A": "A", "a": "a"}


def test_names_that_windows_cannot_store_get_safe_ones() -> None:
    found = local_names(["aux.csv", "fine/x"], windows=True)
    assert found["fine/x"] == "fine/x"
    assert found["aux.csv"] != "aux.csv"


def test_where_case_does_not_count_the_second_name_is_marked() -> None:
    found = local_names(["Data/a.csv", "data/a.csv", "data/b.csv"], windows=False, folds_case=True)
    assert found["Data/a.csv"] == "Data/a.csv"
    assert len({names.folded(name) for name in found.values()}) == 3
    assert found["data/a.csv"].split("/")[0] == found["data/b.csv"].split("/")[0]


PATHS = st.lists(st.text(st.sampled_from("aAbB:.ß "), min_size=1, max_size=3), min_size=1, max_size=3).map("/".join)


def is_legal(path: str) -> bool:
    try:
        return names.entry_path(path) == path
    except InvalidName:
        return False


@given(st.sets(PATHS.filter(is_legal), max_size=12))
def test_no_two_files_meet_in_one_name(paths: set[str]) -> None:
    ordered = sorted(path for path in paths if not any(other.startswith(f"{path}/") for other in paths))
    found = local_names(ordered, windows=True, folds_case=True)
    assert len({names.folded(name) for name in found.values()}) == len(ordered)
