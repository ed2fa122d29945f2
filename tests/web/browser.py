"""A real browser for tests: Chromium as the distribution has it, driven as a person would, and watched all the time.

The headless shell is taken before the whole browser: it draws pages, runs scripts and keeps profiles with the same
engine, and has none of the windows, bars and services around them, which take more processor time than the pages do.

Whatever a page asks for must come from the server under test; nothing may break the pages' policy; no script may fail.
Every test ends with that being so, without having to say it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    Request,
    expect,
    sync_playwright,
)

ROOT = Path(__file__).resolve().parents[2]
#: Ignored by git; CI keeps it.
SCREENSHOTS = ROOT / "artifacts" / "screenshots"
BUILT = ROOT / "src/entrepot/web/static/built/page.js"
AXE = ROOT / "assets/node_modules/axe-core/axe.min.js"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: How axe calls what would stop somebody.
_SERIOUS = ("serious", "critical")
#: All rules; of what they find only what is wrong, without the selectors that would lead there.
_VIOLATIONS = '{resultTypes: ["violations"], selectors: false}'
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)


def require() -> str:
    """Where Chromium is; skips, and says what is missing, if there is none or nothing was bundled."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("there is no Chromium: apt-get install chromium-headless-shell")
    if not BUILT.exists() or not AXE.exists():
        pytest.skip("what runs in the browser is not built: make assets")
    return found


@contextmanager
def running_browser(folder: Path) -> Iterator[Browser]:
    """One browser, with a home of its own."""
    executable = require()
    # Without a language Chromium reads names of files as ASCII.
    home = {"HOME": str(folder), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    with sync_playwright() as playwright:
        browser = _launch(playwright, executable, home)
        try:
            yield browser
        finally:
            browser.close()


def _launch(playwright: Playwright, executable: str, home: dict[str, str]) -> Browser:
    return playwright.chromium.launch(executable_path=executable, args=FLAGS, env=home)


@dataclass
class Watched:
    """A window, and what went wrong in it.

    Args:
        url: The server under test.
        expected: Parts of messages of the console that a test provokes on purpose.
    """

    page: Page
    url: str
    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open a page of ours, and expect it to be there."""
        answer = self.page.goto(self.url + path)
        assert answer is not None
        assert answer.ok, f"{path} answered {answer.status}"

    def sends(self) -> list[str]:
        """The methods of all requests that bring bytes of files from now on, or begin to."""
        methods: list[str] = []

        def note(request: Request) -> None:
            if request.method in ("POST", "PUT", "PATCH") and re.search(r"/api/v1/(uploads|packs)", request.url):
                methods.append(request.method)

        self.page.on("request", note)
        return methods

    def shoot(self, name: str) -> None:
        """Keep what it looks like."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def judge(self) -> None:
        assert self.foreign == [], f"pages asked other hosts: {self.foreign}"
        left = [one for one in self.complaints if not any(part in one for part in self.expected)]
        assert left == [], f"the console complained: {left}"

    def accessible(self) -> None:
        """Nothing in this page would stop somebody who does not see it, or has no mouse."""
        # Into the page past its policy: the page itself could not load it. By the debugger and not by `evaluate`, which
        # wraps it: as the same text again it is compiled once in the life of the window.
        debugger = self.page.context.new_cdp_session(self.page)
        loaded = debugger.send("Runtime.evaluate", {"expression": AXE.read_text(encoding="utf-8")})
        assert "exceptionDetails" not in loaded, loaded
        debugger.detach()
        found: list[dict[str, Any]] = self.page.evaluate(f"axe.run({_VIOLATIONS}).then(found => found.violations)")
        serious = [
            f"{one['id']} ({one['impact']}): {one['help']}: {[node['html'][:160] for node in one['nodes'][:3]]}"
            for one in found
            if one["impact"] in _SERIOUS
        ]
        assert serious == [], f"{self.page.url}: {serious}"


@contextmanager
def window(browser: Browser, url: str, **options: Any) -> Iterator[Watched]:
    """A fresh profile with one window. What is wrong in it fails the test that it was opened for."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MS)
    try:
        watched = _watch(context, url)
        yield watched
        watched.judge()
    finally:
        context.close()


def _watch(context: BrowserContext, url: str) -> Watched:
    # Before any script of a page: breaches of the policy are told to the document only.
    context.add_init_script(
        "addEventListener('securitypolicyviolation', (e) =>"
        " console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`))"
    )
    watched = Watched(context.new_page(), url)
    host = urlsplit(url).netloc

    def asked(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != host:
            watched.foreign.append(request.url)

    def said(message: ConsoleMessage) -> None:
        if message.type == "error":
            watched.complaints.append(message.text)

    context.on("request", asked)
    watched.page.on("console", said)
    watched.page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    return watched
