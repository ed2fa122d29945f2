"""Where a daemon is looked for, and where it will not go."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from entrepot.daemon import places
from entrepot.model.errors import Forbidden, Invalid


def test_the_socket_is_what_was_given_else_the_variable_else_in_the_runtime_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert places.socket_path() == tmp_path / "entrepot-transfer.sock"
    monkeypatch.setenv("ENTREPOT_SOCKET", "/s/b.sock")
    assert places.socket_path() == Path("/s/b.sock")
    assert places.socket_path("/s/a.sock") == Path("/s/a.sock")
    assert places.socket_path(Path("a.sock")) == Path.cwd() / "a.sock"


def test_without_a_runtime_folder_it_is_that_of_the_user_or_one_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    uid = os.getuid()
    expected = {Path(f"/run/user/{uid}"), tmp_path / f"entrepot-{uid}"}
    assert places.socket_path().parent in expected
    monkeypatch.setenv("XDG_RUNTIME_DIR", "not/absolute")
    assert places.socket_path().parent in expected


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a folder somebody else's")
def test_the_runtime_folder_of_somebody_else_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `su`."""
    os.chown(tmp_path, 65534, 65534)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert places.socket_path().parent != tmp_path


def test_a_socket_has_one_journal_however_its_path_is_spelled(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    spellings = [tmp_path / "real/s", tmp_path / "link/s", tmp_path / "real/../link/s"]
    assert len({places.home_of(one) for one in spellings}) == 1
    assert places.home_of(tmp_path / "real/t") != places.home_of(tmp_path / "real/s")


def test_a_folder_that_others_may_change_is_refused_and_one_that_is_made_is_ones_own(tmp_path: Path) -> None:
    places.private_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    (tmp_path / "a").chmod(0o777)
    with pytest.raises(Forbidden, match="ENTREPOT_SOCKET"):
        places.private_folder(tmp_path / "a")
    (tmp_path / "a").chmod(0o1777)
    places.private_folder(tmp_path / "a")
    (tmp_path / "file").touch()
    with pytest.raises(Invalid, match="cannot be made"):
        places.private_folder(tmp_path / "file" / "b")


def test_a_path_longer_than_an_address_is_reached_through_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100)
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as caller:
        with places.short(folder / "s.sock") as address:
            listening.bind(address)
        listening.listen()
        with places.short(folder / "s.sock") as address:
            caller.connect(address)
    with pytest.raises(Invalid, match="too long"), places.short(folder / ("s" * 100)):
        pass
