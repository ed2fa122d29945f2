"""Lock files: what was written is read back, and what was edited is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.client.lockfile import LockedEntry, LockedPull, LockFile, tree_digest
from entrepot.model.errors import Corrupt, NotFound

SHA = "sha256:" + "ab" * 32


def one(into: str = "data", **changes: object) -> LockedPull:
    fields: dict[str, object] = {
        "into": into,
        "server": "http://127.0.0.1:8080",
        "reference": "lab/penguins@3.17",
        "version": "ver_" + "0" * 32,
        "revision": 17,
        "entries": (LockedEntry("a.csv", 1, SHA), LockedEntry("raw/ä b.csv", 2, SHA)),
    }
    return LockedPull(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_lock_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "entrepot.lock"
    lock = LockFile((one("a"), one("b/c", prefix="raw", entries=())))
    lock.write(path)
    assert LockFile.read(path) == lock


def test_a_lock_is_json_with_one_entry_a_line(tmp_path: Path) -> None:
    text = LockFile((one(),)).text()
    assert json.loads(text)["pulls"][0]["entries"] == [["a.csv", 1, SHA], ["raw/ä b.csv", 2, SHA]]
    assert sum(SHA in line and '"tree"' not in line for line in text.splitlines()) == 2


def test_pulling_a_folder_again_replaces_its_lock_and_no_other() -> None:
    lock = LockFile((one("a"), one("b")))
    changed = lock.with_pull(one("a", revision=18))
    assert [(pull.into, pull.revision) for pull in changed.pulls] == [("a", 18), ("b", 17)]


@pytest.mark.parametrize(
    "edit",
    [
        lambda lock: lock["pulls"][0]["entries"].pop(),
        lambda lock: lock["pulls"][0]["entries"][0].__setitem__(1, 2),
        lambda lock: lock["pulls"][0].__setitem__("tree", SHA),
        lambda lock: lock["pulls"][0].__delitem__("version"),
        lambda lock: lock.__setitem__("entrepot-lock", 2),
        lambda lock: lock["pulls"][0].__setitem__("into", "../elsewhere"),
        lambda lock: lock["pulls"][0].__setitem__("into", "/etc"),
        lambda lock: lock.__setitem__("pulls", 7),
    ],
)
def test_an_edited_lock_is_refused(tmp_path: Path, edit: object) -> None:
    content = json.loads(LockFile((one(),)).text())
    edit(content)  # type: ignore[operator]
    (tmp_path / "entrepot.lock").write_text(json.dumps(content))
    with pytest.raises(Corrupt):
        LockFile.read(tmp_path / "entrepot.lock")


def test_a_lock_that_names_an_illegal_path_is_refused(tmp_path: Path) -> None:
    evil = LockFile((one(entries=(LockedEntry("../../.ssh/authorized_keys", 1, SHA),)),))
    (tmp_path / "entrepot.lock").write_text(evil.text())
    with pytest.raises(Exception, match="authorized_keys"):
        LockFile.read(tmp_path / "entrepot.lock")


def test_no_lock_file_is_said_with_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="--lock"):
        LockFile.read(tmp_path / "entrepot.lock")


ENTRIES = st.lists(
    st.builds(LockedEntry, st.from_regex(r"[a-zß漢]{1,4}", fullmatch=True), st.integers(0, 2**60), st.just(SHA)),
    unique_by=lambda entry: entry.path,
    max_size=5,
)


@given(ENTRIES, st.randoms())
def test_the_tree_digest_does_not_depend_on_the_order(entries: list[LockedEntry], random: object) -> None:
    shuffled = list(entries)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert tree_digest(entries) == tree_digest(shuffled)


def test_the_tree_digest_can_be_computed_by_hand() -> None:
    import hashlib

    line = f"{'ab' * 32}  1  a.csv\n"
    assert tree_digest([LockedEntry("a.csv", 1, SHA)]) == "sha256:" + hashlib.sha256(line.encode()).hexdigest()
