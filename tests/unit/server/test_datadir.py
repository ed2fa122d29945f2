"""The data folder: one server at a time, one key for ever."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from entrepot.model.errors import AlreadyRunning, Corrupt, Unavailable
from entrepot.server.datadir import ServerLock, prepare, secret_key


def test_a_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    prepare(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    prepare(tmp_path / "a" / "b")


def test_a_folder_that_cannot_be_made_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="--data"):
        prepare(tmp_path / "file" / "folder")


def test_root_writes_nothing_into_the_folder_of_another_user(tmp_path: Path) -> None:
    """Whose server could not read it: objects are for their owner, and so are the lock files of writers."""
    prepare(tmp_path)
    if os.geteuid() == 0:
        os.chown(tmp_path / "run", 65534, 65534)
        with pytest.raises(Unavailable, match="sudo -u"):
            prepare(tmp_path)
        os.chown(tmp_path / "run", 0, 0)
    prepare(tmp_path)
    assert list((tmp_path / "run").iterdir()) == []


def test_a_second_server_is_told_which_process_is_the_first(tmp_path: Path) -> None:
    with ServerLock(tmp_path):
        with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}") as caught:
            ServerLock(tmp_path)
        assert caught.value.details == {"pid": os.getpid()}
    ServerLock(tmp_path).close()


def test_the_key_is_made_once_and_kept_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: secret_key(tmp_path), range(16)))
    assert len(keys) == 1
    assert len(keys.pop()) == 32
    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


@pytest.mark.parametrize("text", ["", "nonsense", "abcd", "é"])
def test_a_damaged_key_stops_the_server_instead_of_ending_every_link(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret.key").write_text(text, encoding="utf-8")
    with pytest.raises(Corrupt, match="backup"):
        secret_key(tmp_path)
