"""A token is for the server that it was made at, and is shown to no other one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from entrepot.client.credentials import Credential, Credentials
from entrepot.daemon.accounts import Accounts
from entrepot.model.errors import Unauthenticated


@pytest.fixture
def accounts() -> Iterator[Accounts]:
    made = Accounts()
    yield made
    made.close()


def token(accounts: Accounts, server: str | None) -> str:
    return str(accounts._credential(server)[1])


def test_the_token_of_the_environment_is_not_for_the_server_of_an_older_transfer(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTREPOT_URL", "http://new.example")
    monkeypatch.setenv("ENTREPOT_TOKEN", "new-token")
    assert (accounts.server(), token(accounts, None)) == ("http://new.example", "new-token")
    assert token(accounts, "http://new.example") == "new-token"
    with pytest.raises(Unauthenticated, match=r"http://old\.example.*entrepot login"):
        accounts.client("http://old.example")
    Credentials().store(Credential("http://old.example", "old-token"))
    assert token(accounts, "http://old.example") == "old-token"


def test_a_login_counts_at_once_and_nobody_is_told_how_to(accounts: Accounts) -> None:
    for server in (None, "http://a.example"):
        with pytest.raises(Unauthenticated, match="entrepot login"):
            accounts.client(server)
    Credentials().store(Credential("http://a.example", "first"))
    assert (accounts.server(), token(accounts, "http://a.example")) == ("http://a.example", "first")
    Credentials().store(Credential("http://a.example", "second"))
    assert token(accounts, "http://a.example") == "second"
