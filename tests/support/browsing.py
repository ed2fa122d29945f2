"""Somebody with a browser, without the browser: cookies, forms that were on a page, and what the pages say."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx2
import pytest

from entrepot.depot import members, projects, teams
from entrepot.depot.context import Depot
from entrepot.model.values import Role
from tests.support.identity import ADMIN_PASSWORD
from tests.support.site import Client, Site, open_site

PASSWORD = "correct horse"
MEMBERS = {"reader": Role.READ, "writer": Role.WRITE, "chief": Role.ADMIN}
_HIDDEN = re.compile(r'<input type="hidden" name="csrf" value="([^"]*)">')


@dataclass
class Visitor:
    """One browser. It follows no redirect by itself, so that a test sees where it is led."""

    site: Site
    cookies: dict[str, str] = field(default_factory=dict)
    set_cookies: list[str] = field(default_factory=list)
    #: Where the last form led.
    led: str = ""

    def request(self, method: str, path: str, **what: Any) -> httpx2.Response:
        headers = dict(what.pop("headers", None) or {})
        if self.cookies:
            headers.setdefault("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        self.site.http.cookies.clear()
        answer = self.site.http.request(method, path, headers=headers, follow_redirects=False, **what)
        self.site.http.cookies.clear()
        self.set_cookies = answer.headers.get_list("set-cookie")
        for line in self.set_cookies:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return answer

    def get(self, path: str, **what: Any) -> httpx2.Response:
        return self.request("GET", path, **what)

    def page(self, path: str, **what: Any) -> str:
        """A page that must be there; its HTML."""
        answer = self.get(path, **what)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.headers.get('location', '')}"
        return answer.text

    def text(self, path: str) -> str:
        """What a page says, without its markup."""
        return plain(self.page(path))

    def token(self, path: str = "/ui/") -> str:
        """What the forms of a page send along."""
        found = _HIDDEN.search(self.page(path))
        assert found is not None, f"{path} has no form"
        return html.unescape(found[1])

    def send(self, path: str, **fields: Any) -> httpx2.Response:
        """A form, as one of our pages sends it."""
        return self.request(
            "POST",
            path,
            data={"csrf": self.token(), **fields},
            headers={"Origin": str(self.site.http.base_url).rstrip("/")},
        )

    def done(self, path: str, **fields: Any) -> str:
        """A form that must do its work; where it leads."""
        answer = self.send(path, **fields)
        assert answer.status_code == 303, f"{path}: {answer.status_code} {plain(answer.text)[:600]}"
        return str(answer.headers["location"])

    def sign_in(self, name: str, password: str = PASSWORD) -> Visitor:
        answer = self.request(
            "POST", "/ui/sign-in", data={"csrf": self.token("/ui/sign-in"), "user": name, "password": password}
        )
        assert answer.status_code == 303, answer.status_code
        return self


def plain(page: str) -> str:
    body = re.sub(r"(?s)<svg.*?</svg>", "", page)
    return " ".join(html.unescape(re.sub(r"(?s)<[^>]*>", " ", body)).split())


@dataclass
class Premises:
    """A server with a team, a project, and somebody of every standing, each signed in."""

    site: Site
    team: int
    people: dict[str, Visitor] = field(default_factory=dict)
    project: str = "birds"
    _names: int = 0

    def __getattr__(self, name: str) -> Visitor:
        if name.startswith("_") or name not in self.people:
            raise AttributeError(name)
        return self.people[name]

    @property
    def depot(self) -> Depot:
        return self.site.depot

    @property
    def api(self) -> Client:
        """The writer, at the native API."""
        if "writer" not in self.site._people:
            self.site._people["writer"] = self.site.by_token("writer")
        return self.site._people["writer"]

    def name(self) -> str:
        self._names += 1
        return f"thing {self._names}"

    def version(self, files: dict[str, bytes] | None = None, **more: Any) -> str:
        """The id of a version of the project with these files."""
        made = self.api.version(more.pop("name", None) or self.name(), project=self.project, **more)
        for path, body in (files or {}).items():
            self.api.file(made, path, body)
        return made


def open_premises(folder: Path, stack: ExitStack, **settings: Any) -> Premises:
    site = open_site(folder, stack, **settings)
    staff = site.world.login("admin", ADMIN_PASSWORD)
    team = teams.create(site.depot, staff, "ornithology").n
    people: dict[str, Visitor] = {}
    made = Premises(site, team, people)
    for name in (*MEMBERS, "outsider"):
        site.world.user(name)
        if name in MEMBERS:
            members.add(site.depot, staff, team, name, MEMBERS[name])
        people[name] = Visitor(site).sign_in(name)
    people["staff"] = Visitor(site).sign_in("admin", ADMIN_PASSWORD)
    people["stranger"] = Visitor(site)
    projects.create(site.depot, site.world.login("writer"), "Birds", team=team, slug="birds")
    return made


@pytest.fixture(scope="module")
def premises(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    """One server for all tests of a module: it takes a second to make one."""
    with ExitStack() as stack:
        yield open_premises(tmp_path_factory.mktemp("premises"), stack)
