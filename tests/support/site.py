"""A whole server in this process: the real application, without sockets, under a clock that the test moves.

    def test_something(site):
        alice = site.person("alice")
        alice.post("/versions", json={"name": "penguins"})

Paths without `/api/` in front are those of the native API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from entrepot.depot import bootstrap, tokens
from entrepot.depot.context import Depot
from entrepot.model.values import Scope
from entrepot.server import config as server_config
from entrepot.server.compose import open_depot
from entrepot.server.config import Config
from entrepot.server.house import House, assemble
from tests.support.catalogs import Clock, new_catalog_url
from tests.support.identity import ADMIN_PASSWORD, World
from tests.support.postgres import PostgresServer

API = "/api/v1"
CHEAP = {
    "policy.password_time_cost": 1,
    "policy.password_memory_kib": 64,
    "policy.password_lanes": 1,
    "threads": 4,
}


class Client:
    """Somebody at the native API."""

    def __init__(self, http: TestClient, token: str | None) -> None:
        self.http = http
        self.token = token
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def request(self, method: str, path: str, **what: Any) -> httpx2.Response:
        headers = {**self.headers, **(what.pop("headers", None) or {})}
        url = path if path.startswith(("/api", "/objects", "http")) else API + path
        return self.http.request(method, url, headers=headers, follow_redirects=False, **what)

    def get(self, path: str, **what: Any) -> httpx2.Response:
        return self.request("GET", path, **what)

    def head(self, path: str, **what: Any) -> httpx2.Response:
        return self.request("HEAD", path, **what)

    def post(self, path: str, **what: Any) -> httpx2.Response:
        return self.request("POST", path, **what)

    def put(self, path: str, **what: Any) -> httpx2.Response:
        return self.request("PUT", path, **what)

    def patch(self, path: str, **what: Any) -> httpx2.Response:
        return self.request("PATCH", path, **what)

    def delete(self, path: str, **what: Any) -> httpx2.Response:
        return self.request("DELETE", path, **what)

    def made(self, path: str, /, **body: Any) -> Any:
        """POST, which must succeed; the answer's body."""
        answer = self.post(path, json=body)
        assert answer.status_code in (200, 201, 202), answer.text
        return answer.json()

    def read(self, path: str, /, **parameters: Any) -> Any:
        """GET, which must succeed; the answer's body."""
        answer = self.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def version(self, name: str = "penguins", **more: Any) -> str:
        """The id of a new version."""
        made: str = self.made("/versions", name=name, **more)["id"]
        return made

    def file(self, version: str, path: str, body: bytes = b"bytes") -> httpx2.Response:
        """Put a file into a version, which must succeed."""
        answer = self.put(f"/versions/{version}/files/{path}", content=body)
        assert answer.status_code in (200, 201), answer.text
        return answer


@dataclass
class Site:
    """One server."""

    config: Config
    depot: Depot
    clock: Clock
    house: House
    http: TestClient
    world: World
    _people: dict[str, Client] = field(default_factory=dict)

    def by_token(self, name: str, scope: Scope = Scope.ADMIN, **how: Any) -> Client:
        """Somebody who is there already, with a new token."""
        actor = self.world.login(name, ADMIN_PASSWORD if name == "admin" else "correct horse")
        made = tokens.create(self.depot, actor, scope=scope, never=True, **how)
        return Client(self.http, made.text)

    @property
    def admin(self) -> Client:
        if "admin" not in self._people:
            self._people["admin"] = self.by_token("admin")
        return self._people["admin"]

    @property
    def anonymous(self) -> Client:
        return Client(self.http, None)

    def person(self, name: str) -> Client:
        """Somebody, made at the first mention."""
        if name not in self._people:
            self.world.user(name)
            self._people[name] = self.by_token(name)
        return self._people[name]


def open_site(
    folder: Path, stack: ExitStack, *, postgres: Callable[[], PostgresServer] | None = None, **settings: Any
) -> Site:
    """A server in a folder, until the stack is closed.

    Args:
        postgres: Where to have the catalogue instead of in a file.
        settings: By name, with two underscores for the dot.
    """

    def no_postgres() -> Any:
        raise AssertionError("not asked for")

    clock = Clock()
    kind = "sqlite" if postgres is None else "postgresql"
    url = stack.enter_context(new_catalog_url(kind, folder, postgres or no_postgres, started=True))
    database = f"sqlite:///{url}" if postgres is None else str(url)
    given = {name.replace("__", "."): value for name, value in settings.items()}
    config = server_config.load({**CHEAP, "database": database, **given}, data=folder)
    depot = stack.enter_context(open_depot(config, clock=clock))
    bootstrap.bootstrap(depot, admin_password=ADMIN_PASSWORD)
    executor = ThreadPoolExecutor(config.threads)
    stack.callback(executor.shutdown)
    house = assemble(config, depot, executor)
    http = stack.enter_context(TestClient(house.app, base_url="http://localhost", raise_server_exceptions=True))
    return Site(config, depot, clock, house, http, World(depot, clock))


@pytest.fixture
def site(quick_folder: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield open_site(quick_folder, stack)
