"""Signing in with an account of somewhere else: through a real provider's own pages and back, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.support.identity_providers import real_provider
from tests.support.server import Server, running_server
from tests.web import browser as browsers
from tests.web.browser import Watched
from tests.web.conftest import sign_in

ADA = {"sub": "ada-1", "preferred_username": "ada", "email": "ada@lab.example", "email_verified": True}
EVE = {"sub": "eve-1", "preferred_username": "eve", "email": "eve@evil.example", "email_verified": True}

BOSS = {"sub": "boss-1", "preferred_username": "boss", "email": "boss@lab.example", "email_verified": True}


@pytest.fixture(scope="module")
def elsewhere(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server that lets people of one domain in by a provider, and the provider's address."""
    folder = tmp_path_factory.mktemp("elsewhere")
    with ExitStack() as stack:
        issuer = stack.enter_context(real_provider(folder, ADA, EVE, BOSS))
        settings = (
            f"oidc.issuer={issuer}",
            "oidc.client_id=entrepot-of-the-test",
            "oidc.client_secret=s",
            "oidc.label=Lab",
            "oidc.create_accounts=true",
            "oidc.allowed_domains=lab.example",
        )
        yield stack.enter_context(running_server(folder / "data", settings=settings)), issuer


@pytest.fixture
def window(browser: Browser, elsewhere: tuple[Server, str]) -> Iterator[Watched]:
    server, issuer = elsewhere
    with browsers.window(browser, server.url) as watched:

        def only_here(route: Route) -> None:
            # The provider's pages have a style sheet from somewhere else, which nobody here goes to.
            near = route.request.url.startswith((server.url, issuer))
            route.continue_() if near else route.abort()

        watched.page.context.route("**/*", only_here)
        yield watched
        # Those of ours ask nobody; its own address is where a person was led, and what its pages ask is theirs.
        watched.foreign = [one for one in watched.foreign if watched.url in one]
        watched.expected += ["Failed to load resource"]


def say_who(watched: Watched, issuer: str, subject: str) -> None:
    """What a person does at the provider."""
    watched.page.wait_for_url(f"{issuer}/**")
    watched.page.get_by_placeholder("sub").fill(subject)
    watched.page.get_by_role("button", name="Authorize").click()


def test_somebody_signs_in_at_the_provider_and_lands_where_they_wanted(
    window: Watched, elsewhere: tuple[Server, str]
) -> None:
    _, issuer = elsewhere
    page = window.page
    page.goto(f"{window.url}/ui/teams")
    window.accessible()
    window.shoot("sign-in-elsewhere")
    page.get_by_role("link", name="Sign in with Lab").click()
    say_who(window, issuer, "ada-1")
    page.wait_for_url(f"{window.url}/ui/teams")
    expect(page.locator(".menu .who")).to_have_text("ada")
    window.go("/ui/me")
    page.get_by_role("link", name="Signing in with Lab").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    window.accessible()
    window.shoot("accounts-elsewhere")
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()


def test_who_is_not_let_in_is_told_why_and_how_to_go_on(window: Watched, elsewhere: tuple[Server, str]) -> None:
    _, issuer = elsewhere
    window.go("/ui/sign-in")
    window.page.get_by_role("link", name="Sign in with Lab").click()
    say_who(window, issuer, "eve-1")
    expect(window.page.get_by_text("verified e-mail address")).to_be_visible()
    window.accessible()
    window.shoot("refused-elsewhere")


def test_an_account_of_here_is_linked_with_one_of_there(window: Watched, elsewhere: tuple[Server, str]) -> None:
    server, issuer = elsewhere
    page = window.page
    sign_in(window)
    window.go("/ui/oidc/accounts")
    expect(page.get_by_text("Nothing is linked yet")).to_be_visible()
    page.get_by_role("main").get_by_role("button").first.click()
    window.accessible()
    page.get_by_role("link", name="Continue at Lab").click()
    say_who(window, issuer, "boss-1")
    expect(page.get_by_text("Linked: you can sign in with it")).to_be_visible()
    window.accessible()
    assert server.process.poll() is None
