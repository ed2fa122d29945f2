"""One server and one browser for everything that is tested as a person does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser

from entrepot.client.client import Client
from tests.support.server import ADMIN_PASSWORD, Server, running_server
from tests.web import browser as browsers
from tests.web.browser import Watched

Open = Callable[..., Watched]
#: Webhooks lead to programs of the tests.
OUTGOING = ("webhook_allow=127.0.0.0/8", "webhook_ports=1-65535")


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browsers.require()
    with browsers.running_browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="package")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server; after the browser, so that nobody waits for one where there is no browser."""
    with running_server(tmp_path_factory.mktemp("site") / "data", settings=OUTGOING) as server:
        yield server


@pytest.fixture(scope="package")
def client(site: Server) -> Iterator[Client]:
    """The SDK as the administrator, for what a test finds and for what it looks at afterwards."""
    with Client(site.url, site.token()) as opened:
        yield opened


@pytest.fixture(scope="package")
def signed_in(browser: Browser, site: Server) -> Any:
    """Cookies of the administrator, who signed in by the form as everybody does."""
    with browsers.window(browser, site.url) as watched:
        sign_in(watched)
        return watched.page.context.storage_state()


def sign_in(watched: Watched, name: str = "admin", password: str = ADMIN_PASSWORD) -> None:
    watched.go("/ui/sign-in")
    watched.page.get_by_label("User name").fill(name)
    watched.page.get_by_label("Password").fill(password)
    watched.page.get_by_role("main").get_by_role("button", name="Sign in").click()
    watched.page.wait_for_url("**/ui/")


@pytest.fixture
def open_window(browser: Browser, site: Server, signed_in: Any) -> Iterator[Open]:
    """Windows of the administrator; each has a profile of its own."""
    with ExitStack() as stack:

        def call(*, stranger: bool = False, **options: Any) -> Watched:
            state = None if stranger else signed_in
            return stack.enter_context(browsers.window(browser, site.url, storage_state=state, **options))

        yield call


@pytest.fixture
def window(open_window: Open) -> Watched:
    """A window of the administrator."""
    return open_window()
