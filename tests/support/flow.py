"""The Flow door for tests: somebody of every standing, and the chunks that its client sends."""

from __future__ import annotations

import json as json_
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from entrepot.depot import members, projects, teams, tokens, users
from entrepot.depot.context import Depot
from entrepot.depot.users import UserChanges
from entrepot.model.values import Role, Scope
from tests.support.identity import ADMIN_PASSWORD
from tests.support.site import Site, open_site

MEMBERS = {"reader": Role.READ, "writer": Role.WRITE, "chief": Role.ADMIN}
PASSWORD = "correct horse"
BASE = "/flow/api"


@dataclass
class Person:
    """Somebody at the door."""

    lab: Lab
    token: str | None

    def __call__(self, method: str, path: str, json: Any = None, **what: Any) -> httpx2.Response:
        headers = dict(what.pop("headers", None) or {})
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if json is not None:
            what["json"] = json
        self.lab.site.http.cookies.clear()
        return self.lab.site.http.request(method, f"{BASE}{path}", headers=headers, follow_redirects=False, **what)

    def ok(self, method: str, path: str, json: Any = None, **what: Any) -> Any:
        """A request that must succeed; the answer's body."""
        answer = self(method, path, json, **what)
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def chunk(
        self,
        block: bytes,
        *,
        filename: str = "reads.txt",
        offset: int = 0,
        last: bool = True,
        data: str = "",
        to: str = "/upload",
        **fields: str | Sequence[str],
    ) -> httpx2.Response:
        """One chunk, as the client sends it."""
        form: dict[str, Any] = {
            "filename": filename,
            "expected_file_size": str(offset),
            "is_last": "true" if last else "false",
            "data": data,
            **fields,
        }
        return self("POST", to, data=form, files={"blob": (filename, block, "application/octet-stream")})

    def upload(self, content: bytes, filename: str = "reads.txt", *, size: int = 1_000_000, **how: Any) -> str:
        """A whole file in chunks; the id of what it became."""
        data = ""
        for start in range(0, max(1, len(content)), size):
            last = start + size >= len(content)
            answer = self.chunk(
                content[start : start + size], filename=filename, offset=start, last=last, data=data, **how
            )
            assert answer.status_code == 200, answer.text
            data = answer.json()["data_id"]
        found: str = answer.json()["id"]
        return found

    def bytes_of(self, thing: str, filename: str) -> bytes:
        answer = self("GET", f"/downloads/{thing}/{filename}")
        assert answer.status_code == 200, answer.status_code
        return answer.content


@dataclass
class Lab:
    """A server with a team, a project that uploads of its writer go to, and somebody of every standing."""

    site: Site
    team: int
    project: int = 0
    people: dict[str, Person] = field(default_factory=dict)
    #: What the names of the test's own things begin with.
    mark: str = ""
    _names: int = 0

    def __getattr__(self, name: str) -> Person:
        if name.startswith("_") or name not in self.people:
            raise AttributeError(name)
        return self.people[name]

    @property
    def depot(self) -> Depot:
        return self.site.depot

    def name(self, ending: str = "") -> str:
        self._names += 1
        return f"thing-{self._names}{ending}"

    def new_project(self) -> int:
        """A project of the team that nobody has used yet, and where the writer's uploads go from now on."""
        actor = self.site.world.login("writer")
        made = projects.create(self.depot, actor, self.name(), team=self.team)
        users.update(self.depot, actor, actor.user or 0, UserChanges(default_project=made.n))
        return made.n


def error_of(answer: httpx2.Response) -> Any:
    """What the client makes the message of its exception."""
    body = json_.loads(answer.text)
    assert isinstance(body, dict)
    return body.get("error", body)


def open_lab(folder: Path, stack: ExitStack, **settings: Any) -> Lab:
    site = open_site(folder, stack, **settings)
    depot, world = site.depot, site.world
    staff = world.login("admin", ADMIN_PASSWORD)
    team = teams.create(depot, staff, "lab").n
    people: dict[str, Person] = {}
    lab = Lab(site, team, people=people)
    for name in (*MEMBERS, "outsider"):
        world.user(name)
        if name in MEMBERS:
            members.add(depot, staff, team, name, MEMBERS[name])
        people[name] = Person(lab, tokens.create(depot, world.login(name), scope=Scope.ADMIN, never=True).text)
    people["anonymous"] = Person(lab, None)
    people["staff"] = Person(lab, tokens.create(depot, staff, scope=Scope.ADMIN, never=True).text)
    reading = tokens.create(depot, world.login("writer"), scope=Scope.READ, never=True)
    people["reading"] = Person(lab, reading.text)
    lab.project = lab.new_project()
    return lab


@pytest.fixture
def fresh_lab(tmp_path: Path) -> Iterator[Lab]:
    """For tests that change people, settings or the time."""
    with ExitStack() as stack:
        yield open_lab(tmp_path, stack)


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One server for all tests of a module: it takes a second to make one."""
    with ExitStack() as stack:
        yield open_lab(tmp_path_factory.mktemp("lab"), stack)


@pytest.fixture
def lab(shared_lab: Lab) -> Lab:
    """The module's server, with a project that nobody has used yet."""
    shared_lab.project = shared_lab.new_project()
    return shared_lab
