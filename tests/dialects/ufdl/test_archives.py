"""Downloads are opened by the programs that people have: unzip and tar, which know nothing of ours."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.ufdl import Lab

FILES = {
    "with spaces/and more  spaces.txt": b"spaces",
    "Zürich/日本語/🐧.bin": bytes(range(256)) * 50,
    "z first added.txt": b"z",
    "/".join(f"folder {depth}" for depth in range(18)) + "/deep.txt": b"deep",
    "empty": b"",
    "folder/empty too": b"",
    "-r": b"a name like an option",
    "[a]*?.txt": b"a name like a pattern",
    "n" * 190 + ".txt": b"a long name",
    "large.bin": b"0123456789abcdef" * (1 << 16),
}


@pytest.fixture(scope="module")
def dataset(shared_lab: Lab) -> int:
    pk = shared_lab.writer.dataset("archived")["pk"]
    for name, content in FILES.items():
        shared_lab.writer.ok("POST", f"/datasets/{pk}/files/{name.replace('?', '%3F')}", content=content)
    return int(pk)


def fetched(lab: Lab, dataset: int, filetype: str, folder: Path) -> Path:
    place = folder / f"archive.{filetype}"
    answer = lab.reader("POST", f"/datasets/{dataset}/download", {"filetype": filetype, "params": {}})
    place.write_bytes(answer.content)
    return place


def said(*command: str | Path, folder: Path) -> str:
    """What a program prints, in a place where names are UTF-8; it must succeed."""
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is not installed")
    around = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    done = subprocess.run([*command], cwd=folder, env=around, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def unpacked(folder: Path) -> dict[str, bytes]:
    return {one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_unzip_finds_every_file_whole_in_the_order_of_the_record(shared_lab: Lab, dataset: int, tmp_path: Path) -> None:
    place = fetched(shared_lab, dataset, "zip", tmp_path)
    assert "No errors detected in compressed data" in said("unzip", "-t", place, folder=tmp_path)
    listed = said("unzip", "-Z1", place, folder=tmp_path).splitlines()
    assert listed == list(shared_lab.reader.ok("GET", f"/datasets/{dataset}")["files"])
    assert set(listed) == set(FILES), "and no folders"
    verbose = said("unzip", "-Z", place, folder=tmp_path)
    assert " stor " in verbose
    assert " def" not in verbose
    (tmp_path / "out").mkdir()
    said("unzip", "-q", place, "-d", tmp_path / "out", folder=tmp_path)
    assert unpacked(tmp_path / "out") == FILES


def test_tar_finds_every_file_whole_in_the_order_of_the_record(shared_lab: Lab, dataset: int, tmp_path: Path) -> None:
    place = fetched(shared_lab, dataset, "tar.gz", tmp_path)
    listed = said("tar", "--quoting-style=literal", "-tzf", place, folder=tmp_path).splitlines()
    assert listed == list(shared_lab.reader.ok("GET", f"/datasets/{dataset}")["files"])
    details = said("tar", "--utc", "--numeric-owner", "-tvzf", place, folder=tmp_path).splitlines()
    assert all(line.startswith("-rw-r--r-- 0/0 ") for line in details), details
    (tmp_path / "out").mkdir()
    said("tar", "-xzf", place, "-C", tmp_path / "out", folder=tmp_path)
    assert unpacked(tmp_path / "out") == FILES


@pytest.mark.parametrize(("filetype", "test"), [("zip", ("unzip", "-t")), ("tar.gz", ("tar", "-tzf"))])
def test_an_archive_that_ends_early_is_no_archive_to_them(
    shared_lab: Lab, dataset: int, tmp_path: Path, filetype: str, test: tuple[str, str]
) -> None:
    """What a broken connection leaves must not pass for the whole, wherever it broke."""
    whole = fetched(shared_lab, dataset, filetype, tmp_path).read_bytes()
    place = tmp_path / "cut"
    for part in (0.1, 0.5, 0.99):
        place.write_bytes(whole[: int(len(whole) * part)])
        done = subprocess.run([*test, place], capture_output=True)
        assert done.returncode != 0, part
