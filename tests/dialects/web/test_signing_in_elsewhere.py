"""Signing in by a provider of OpenID Connect: whom it lets in, as whom, and what it cannot make us believe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from joserfc.jwk import RSAKey

from entrepot.depot import users
from entrepot.model.errors import Invalid
from entrepot.model.values import User
from entrepot.server import config as server_config
from tests.support.browsing import Premises, Visitor, open_premises, plain
from tests.support.identity import ADMIN_PASSWORD
from tests.support.identity_providers import Liar, agree, lying_provider, real_provider

CLIENT = "entrepot-of-the-test"
START, CALLBACK = "/ui/oidc/start", "/ui/oidc/callback"


def opened(folder: Any, stack: ExitStack, issuer: str, **settings: Any) -> Premises:
    made = open_premises(folder, stack, oidc__issuer=issuer, oidc__client_id=CLIENT, oidc__label="Lab", **settings)
    # Providers stamp what they sign with the time that it is.
    made.site.clock.at = datetime.now(UTC)
    for one in (*made.people,):
        made.people[one] = Visitor(made.site)
    return made


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    folder = tmp_path_factory.mktemp("oidc")
    ada = {"sub": "ada-1", "preferred_username": "ada", "email": "ada@lab.example", "email_verified": True}
    eve = {"sub": "eve-1", "preferred_username": "reader", "email": "eve@evil.example", "email_verified": True}
    unsure = {"sub": "unsure-1", "preferred_username": "uma", "email": "uma@lab.example", "email_verified": False}
    with ExitStack() as stack:
        issuer = stack.enter_context(real_provider(folder, ada, {**eve, "email": "eve@lab.example"}, unsure, {
            **eve, "sub": "eve-2"
        }))  # fmt: skip
        yield opened(
            folder,
            stack,
            issuer,
            oidc__create_accounts=True,
            oidc__allowed_domains="lab.example",
            oidc__client_secret="s",
        )


@pytest.fixture(scope="module")
def liar() -> Iterator[Liar]:
    with lying_provider() as made:
        yield made


@pytest.fixture(scope="module")
def fooled(liar: Liar, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("liar")
        yield opened(folder, stack, liar.issuer, oidc__create_accounts=True, oidc__allowed_groups="birders")


@pytest.fixture(autouse=True)
def honest(liar: Liar) -> None:
    liar.claims, liar.forge = {"groups": ["birders"]}, None


def back(visitor: Visitor, location: str) -> Any:
    """The way back to us, as the provider sends it."""
    split = urlsplit(location)
    return visitor.get(f"{split.path}?{split.query}")


def account(premises: Premises, name: str) -> User:
    found = users.get(premises.depot, premises.site.world.login("admin", ADMIN_PASSWORD), name)
    assert isinstance(found, User)
    return found


def signed_in(premises: Premises, liar: Liar, **claims: Any) -> Any:
    visitor = Visitor(premises.site)
    liar.claims |= claims
    there = visitor.get(START).headers["location"]
    return visitor.get(CALLBACK, params=liar.agree(there))


# With a real provider


def test_somebody_new_signs_in_and_gets_an_account(real: Premises) -> None:
    visitor = Visitor(real.site)
    assert "Sign in with Lab" in visitor.text("/ui/sign-in?next=/ui/projects")
    away = visitor.get(START, params={"next": "/ui/projects"})
    assert away.status_code == 303
    assert "code_challenge_method=S256" in away.headers["location"]
    (cookie,) = visitor.set_cookies
    assert {"HttpOnly", "SameSite=Lax", "Path=/ui/oidc", "Max-Age=600"} <= set(cookie.split("; "))
    location = agree(away.headers["location"], "ada-1")
    copied = Visitor(real.site, dict(visitor.cookies))
    answer = back(visitor, location)
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/projects")
    assert "ada" in visitor.text("/ui/projects")
    assert account(real, "ada").email == "ada@lab.example"
    # The same code again, by somebody who copied everything.
    again = back(copied, location)
    assert (again.status_code, "entrepot_session" in copied.cookies) == (403, False)
    assert "used already" in plain(again.text)
    # And without what the browser remembers.
    assert back(Visitor(real.site), location).status_code == 403


def test_the_name_of_another_account_is_not_a_way_into_it(real: Premises) -> None:
    visitor = Visitor(real.site)
    answer = back(visitor, agree(visitor.get(START).headers["location"], "eve-1"))
    assert answer.status_code == 303
    assert "reader-2" in visitor.text("/ui/")


@pytest.mark.parametrize("subject", ["unsure-1", "eve-2"])
def test_only_verified_addresses_of_the_domains_are_let_in(real: Premises, subject: str) -> None:
    visitor = Visitor(real.site)
    answer = back(visitor, agree(visitor.get(START).headers["location"], subject))
    assert (answer.status_code, "verified e-mail address" in plain(answer.text)) == (403, True)
    assert "entrepot_session" not in visitor.cookies


def test_an_account_is_linked_by_whoever_is_signed_in(real: Premises) -> None:
    visitor = Visitor(real.site).sign_in("writer")
    assert "Nothing is linked yet" in visitor.text("/ui/oidc/accounts")
    assert visitor.request("POST", "/ui/oidc/link", data={"a": "b"}).status_code == 403
    page = visitor.send("/ui/oidc/link").text
    there = page.partition('class="button primary" href="')[2].partition('"')[0].replace("&amp;", "&")
    location = agree(there, "writer@lab.example")
    # Whoever else sits there by then links nothing.
    other = Visitor(real.site).sign_in("reader")
    other.cookies["entrepot_oidc"] = visitor.cookies["entrepot_oidc"]
    there_too = agree(there, "writer@lab.example")
    assert back(other, there_too).status_code == 403
    assert "Nothing is linked yet" in other.text("/ui/oidc/accounts")
    # Nobody is linked who could not sign in: this address is not verified.
    assert back(visitor, location).status_code == 403


# With one that lies


def test_an_honest_answer_is_believed(fooled: Premises, liar: Liar) -> None:
    answer = signed_in(fooled, liar)
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/")
    assert account(fooled, "liese").has_password is False
    # The second time it is the same account, whatever it is called by then.
    before = len(users.list_users(fooled.depot, fooled.site.world.login("admin", ADMIN_PASSWORD)).rows)
    assert signed_in(fooled, liar, preferred_username="admin").status_code == 303
    assert len(users.list_users(fooled.depot, fooled.site.world.login("admin", ADMIN_PASSWORD)).rows) == before
    assert liar.asked.count("/jwks") == 1
    assert sum("openid" in path for path in liar.asked) == 1


PAST, AHEAD = -3600, 3600


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"aud": "somebody-else"}, "somebody else"),
        ({"aud": [CLIENT, "other"]}, "somebody else"),
        ({"azp": "other"}, "somebody else"),
        ({"exp": PAST}, "expired"),
        ({"exp": None}, "expired"),
        ({"exp": "never"}, "expired"),
        ({"iat": AHEAD}, "future"),
        ({"nbf": AHEAD}, "not good yet"),
        ({"nonce": "another"}, "another sign-in"),
        ({"nonce": None}, "another sign-in"),
        ({"sub": None}, "names nobody"),
        ({"sub": ""}, "names nobody"),
        ({"sub": 7}, "names nobody"),
        ({"groups": ["others"]}, "in no group"),
        ({"groups": None}, "in no group"),
    ],
)
def test_a_claim_that_is_wrong_lets_nobody_in(fooled: Premises, liar: Liar, claims: dict[str, Any], why: str) -> None:
    now = int(datetime.now(UTC).timestamp())
    moved = {name: now + value if value in (PAST, AHEAD) else value for name, value in claims.items()}
    answer = signed_in(fooled, liar, **moved)
    assert (answer.status_code, why in plain(answer.text)) == (403, True)
    assert not any(line.startswith("entrepot_session=") for line in answer.headers.get_list("set-cookie"))


@pytest.mark.parametrize("forgery", ["none", "HS256", "RS256"])
def test_a_signature_that_is_not_the_providers_lets_nobody_in(fooled: Premises, liar: Liar, forgery: str) -> None:
    liar.forge = (forgery, RSAKey.generate_key(2048) if forgery == "RS256" else None)
    answer = signed_in(fooled, liar)
    assert (answer.status_code, "signed" in plain(answer.text)) == (403, True)


def test_a_state_that_is_not_ours_is_refused_before_anybody_is_asked(fooled: Premises, liar: Liar) -> None:
    visitor = Visitor(fooled.site)
    good = liar.agree(visitor.get(START).headers["location"])
    asked, kept = len(liar.asked), visitor.cookies["entrepot_oidc"]
    for wrong in ({"state": "x"}, {"state": ""}, {"iss": "https://evil.example"}, {"error": "access_denied"}):
        visitor.cookies["entrepot_oidc"] = kept
        assert visitor.get(CALLBACK, params={**good, **wrong}).status_code == 403
    for cookie in ("", "x.y.z", kept[:-3] + "AAA"):
        visitor.cookies["entrepot_oidc"] = cookie
        assert visitor.get(CALLBACK, params=good).status_code == 403
    visitor.cookies["entrepot_oidc"] = kept
    fooled.site.clock.move(minutes=11)
    assert visitor.get(CALLBACK, params=good).status_code == 403
    fooled.site.clock.at -= timedelta(minutes=11)
    assert len(liar.asked) == asked


@pytest.mark.parametrize("next_", ["https://evil.example/", "//evil.example", "/\\evil.example", "/ui/" + "x" * 4000])
def test_signing_in_there_leads_nowhere_else(fooled: Premises, liar: Liar, next_: str) -> None:
    visitor = Visitor(fooled.site)
    there = visitor.get(START, params={"next": next_}).headers["location"]
    answer = visitor.get(CALLBACK, params=liar.agree(there))
    assert answer.headers["location"] == "/ui/"
    assert visitor.get(START, params={"next": next_}).headers["location"] in ("/ui/", next_ if "x" * 9 in next_ else "")


def test_what_a_provider_calls_somebody_is_only_text(fooled: Premises, liar: Liar) -> None:
    hostile = "<script>alert(1)</script>"
    visitor = Visitor(fooled.site)
    liar.claims |= {"sub": hostile, "preferred_username": hostile, "given_name": hostile}
    assert visitor.get(CALLBACK, params=liar.agree(visitor.get(START).headers["location"])).status_code == 303
    page = visitor.page("/ui/oidc/accounts")
    assert (hostile in page, "&lt;script&gt;" in page) == (False, True)


def test_a_linked_account_signs_in_until_it_is_unlinked_or_closed(fooled: Premises, liar: Liar) -> None:
    visitor = Visitor(fooled.site).sign_in("chief")
    page = visitor.send("/ui/oidc/link").text
    there = page.partition('class="button primary" href="')[2].partition('"')[0].replace("&amp;", "&")
    liar.claims |= {"sub": "chief-there"}
    answer = visitor.get(CALLBACK, params=liar.agree(there))
    assert answer.headers["location"] == "/ui/oidc/accounts"
    assert "Linked" in visitor.text("/ui/oidc/accounts")
    # Nobody else can take it as theirs.
    other = Visitor(fooled.site).sign_in("reader")
    page = other.send("/ui/oidc/link").text
    there = page.partition('class="button primary" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert other.get(CALLBACK, params=liar.agree(there)).status_code == 403
    staff = fooled.site.world.login("admin", ADMIN_PASSWORD)
    assert signed_in(fooled, liar, sub="chief-there").status_code == 303
    users.deactivate(fooled.depot, staff, "chief")
    assert "closed" in plain(signed_in(fooled, liar, sub="chief-there").text)
    users.reactivate(fooled.depot, staff, "chief")
    visitor = Visitor(fooled.site).sign_in("chief")
    visitor.done("/ui/oidc/unlink", issuer=liar.issuer, subject="chief-there")
    assert "Nothing is linked yet" in visitor.text("/ui/oidc/accounts")
    only = Visitor(fooled.site)
    liar.claims["sub"] = "only-there"
    only.get(CALLBACK, params=liar.agree(only.get(START).headers["location"]))
    assert only.send("/ui/oidc/unlink", issuer=liar.issuer, subject="only-there").status_code == 409


def test_without_a_provider_there_is_nothing(premises: Premises) -> None:
    assert premises.stranger.get(START).status_code == 404
    assert premises.writer.get("/ui/oidc/accounts").status_code == 404
    assert "Sign in with" not in premises.stranger.text("/ui/sign-in")


def test_settings_that_cannot_be_right_are_refused(tmp_path: Any) -> None:
    for wrong in (
        {"oidc.issuer": "http://login.example.org", "oidc.client_id": "x"},
        {"oidc.issuer": "https://login.example.org"},
        {"oidc.issuer": "https://login.example.org/?a=b", "oidc.client_id": "x"},
    ):
        with pytest.raises(Invalid):
            server_config.load(wrong, data=tmp_path)
    good = server_config.load(
        {"oidc.issuer": "https://a.example", "oidc.client_id": "x", "oidc.client_secret": "hush"}, data=tmp_path
    )
    assert "hush" not in repr(good)
    assert server_config.load(None, server_config.environment(good), data=tmp_path).oidc == good.oidc
