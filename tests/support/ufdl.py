"""The UFDL door for tests: somebody of every standing, and short ways to what tests need again and again."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from entrepot.depot import members, nodes, teams, tokens
from entrepot.model.values import Role, Scope
from tests.support.identity import ADMIN_PASSWORD
from tests.support.postgres import PostgresServer
from tests.support.site import Site, open_site

#: Who there is: staff, a member of each level, somebody who is no member.
MEMBERS = {"reader": Role.READ, "runner": Role.EXECUTE, "writer": Role.WRITE, "chief": Role.ADMIN}
EVERYBODY = ("anonymous", "outsider", "reader", "runner", "runner+node", "writer", "chief", "staff")


@dataclass
class Person:
    """Somebody at the door."""

    lab: Lab
    token: str | None
    node: int | None = None

    def __call__(self, method: str, path: str, json: Any = None, **what: Any) -> httpx2.Response:
        headers = dict(what.pop("headers", None) or {})
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if self.node is not None:
            headers.setdefault("Node-Id", str(self.node))
        if json is not None:
            what["json"] = json
        return self.lab.site.http.request(method, f"/v1{path}", headers=headers, follow_redirects=False, **what)

    def ok(self, method: str, path: str, json: Any = None, *, status: int = 200, **what: Any) -> Any:
        """A request that must succeed; the answer's body."""
        answer = self(method, path, json, **what)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    def dataset(self, name: str | None = None, files: Mapping[str, bytes] | None = None, **more: Any) -> dict[str, Any]:
        """A new dataset with these files; its record."""
        body = {"name": name or self.lab.name(), "project": self.lab.project, "licence": self.lab.licence, "tags": ""}
        made: dict[str, Any] = self.ok("POST", "/datasets/create", {**body, **more}, status=201)
        for path, content in (files or {}).items():
            self.ok("POST", f"/datasets/{made['pk']}/files/{path}", content=content)
        return self.record(made["pk"]) if files else made

    def record(self, pk: int) -> dict[str, Any]:
        found: dict[str, Any] = self.ok("GET", f"/datasets/{pk}")
        return found

    def listed(self, *expressions: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
        """The datasets of the lab's project that a list answers."""
        here = {"type": "exact", "field": "project", "value": self.lab.project}
        found: list[dict[str, Any]] = self.ok("POST", "/datasets/list", {"expressions": [here, *expressions], **more})
        return found

    def content(self, pk: int) -> dict[str, bytes]:
        """Every file of a dataset."""
        return {name: self("GET", f"/datasets/{pk}/files/{name}").content for name in self.record(pk)["files"]}


@dataclass
class Lab:
    """A server with a team, a project and somebody of every standing."""

    site: Site
    team: int
    project: int
    licence: int
    node: int
    people: dict[str, Person] = field(default_factory=dict)
    _names: int = 0

    def __getattr__(self, name: str) -> Person:
        if name.startswith("_") or name not in self.people:
            raise AttributeError(name)
        return self.people[name]

    def name(self) -> str:
        self._names += 1
        return f"dataset {self._names}"


def open_lab(folder: Path, stack: ExitStack, *, postgres: Callable[[], PostgresServer] | None = None) -> Lab:
    site = open_site(folder, stack, postgres=postgres)
    depot, world = site.depot, site.world
    staff = world.login("admin", ADMIN_PASSWORD)
    team = teams.create(depot, staff, "lab").n
    people: dict[str, Person] = {}
    lab = Lab(site, team, 0, 0, nodes.create(depot, staff, "worker").n, people)
    for name in (*MEMBERS, "outsider"):
        world.user(name)
        if name in MEMBERS:
            members.add(depot, staff, team, name, MEMBERS[name])
        actor = world.login(name)
        people[name] = Person(lab, tokens.create(depot, actor, scope=Scope.ADMIN, never=True).text)
    people["anonymous"] = Person(lab, None)
    people["staff"] = Person(lab, tokens.create(depot, staff, scope=Scope.ADMIN, never=True).text)
    people["runner+node"] = Person(lab, people["runner"].token, lab.node)
    lab.project = people["writer"].ok("POST", "/projects/create", {"name": "birds", "team": team}, status=201)["pk"]
    lab.licence = people["writer"].ok("POST", "/licences/list")[0]["pk"]
    return lab


@pytest.fixture
def fresh_lab(tmp_path: Path) -> Iterator[Lab]:
    """For tests that change people, or the time."""
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
    body = {"name": f"project of {shared_lab.name()}", "team": shared_lab.team}
    shared_lab.project = shared_lab.writer.ok("POST", "/projects/create", body, status=201)["pk"]
    return shared_lab


def zipped(members: Mapping[str, bytes], *, deflated: bool = True) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return body.getvalue()
