"""The unit that systemd reads: words that mean something to it are quoted, and it finds the login and the journal."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from entrepot.daemon.installing import unit
from entrepot.model.errors import Invalid


def line(text: str, name: str) -> list[str]:
    return [one.partition("=")[2] for one in text.splitlines() if one.startswith(f"{name}=")]


def test_what_means_something_to_systemd_is_quoted(tmp_path: Path) -> None:
    (command,) = line(unit(tmp_path / 'a "b" 100%' / "$HOME.sock", "5M"), "ExecStart")
    assert command.endswith(f'--socket "{tmp_path}/a \\"b\\" 100%%/$$HOME.sock" --idle 0 --limit-rate 5M')
    with pytest.raises(Invalid, match="line break"):
        unit(tmp_path / "a\nb")


def test_it_finds_the_login_and_the_journal_of_whoever_installed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "st 1%$"))
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert line(unit(tmp_path / "s"), "Environment") == [f'"XDG_STATE_HOME={tmp_path}/st 1%%$"']


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_systemd_itself_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    place = tmp_path / "entrepot-daemon.service"
    place.write_text(unit(tmp_path / "s.sock", "20M"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(place)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
