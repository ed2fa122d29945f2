"""Whose token goes to which server."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from entrepot.client.credentials import Credential, Credentials, normal_url, resolve
from entrepot.model.errors import Corrupt, Invalid, Unauthenticated

HERE = "http://127.0.0.1:8080"
THERE = "https://data.example.org"


@pytest.fixture
def stored(tmp_path: Path) -> Credentials:
    return Credentials(tmp_path / "config" / "credentials.json")


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("http://LocalHost:8080/", "http://localhost:8080"),
        ("https://data.example.org:443", THERE),
        ("http://data.example.org:80/entrepot/", "http://data.example.org/entrepot"),
        ("127.0.0.1:8080", HERE),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_one_server_has_one_address(given: str, normal: str) -> None:
    assert normal_url(given) == normal
    assert normal_url(normal) == normal


@pytest.mark.parametrize(
    "given", ["", "ftp://x", "http://", "http://u:p@x", "http://x?q", "http://x:99999", "file:///x"]
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(Invalid):
        normal_url(given)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_the_file_is_its_owners_alone(stored: Credentials) -> None:
    stored.store(Credential(HERE, "secret"))
    assert stat.S_IMODE(stored.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(stored.path.parent.stat().st_mode) == 0o700


def test_the_last_login_is_the_default_and_each_server_keeps_its_token(stored: Credentials) -> None:
    stored.store(Credential(HERE, "one", "tok_1", "ada"))
    stored.store(Credential(THERE, "two"))
    assert resolve(None, None, stored) == (THERE, "two")
    assert resolve(HERE, None, stored) == (HERE, "one")
    assert stored.get(HERE) == Credential(HERE, "one", "tok_1", "ada")


def test_the_environment_wins_over_the_file(stored: Credentials, monkeypatch: pytest.MonkeyPatch) -> None:
    stored.store(Credential(THERE, "stored"))
    monkeypatch.setenv("ENTREPOT_URL", HERE)
    monkeypatch.setenv("ENTREPOT_TOKEN", "named")
    assert resolve(None, None, stored) == (HERE, "named")
    assert resolve(None, "given", stored) == (HERE, "given")


def test_a_token_is_never_sent_to_another_server(stored: Credentials) -> None:
    stored.store(Credential(THERE, "secret"))
    assert resolve(HERE, None, stored) == (HERE, None)
    assert resolve(THERE + ":8443", None, stored)[1] is None


def test_forgetting_one_server_leaves_the_others(stored: Credentials) -> None:
    stored.store(Credential(HERE, "one"))
    stored.store(Credential(THERE, "two"))
    assert stored.forget(THERE)
    assert not stored.forget(THERE)
    assert resolve(None, None, stored) == (HERE, "one")


def test_no_server_at_all_says_what_to_do(stored: Credentials) -> None:
    with pytest.raises(Unauthenticated, match="entrepot login"):
        resolve(None, None, stored)


def test_a_damaged_file_is_said(stored: Credentials) -> None:
    stored.path.parent.mkdir()
    stored.path.write_text("{")
    with pytest.raises(Corrupt, match="log in again"):
        stored.default()


def test_a_credential_does_not_print_its_token() -> None:
    assert "secret" not in repr(Credential(HERE, "secret"))
