"""The Datature door for tests: somebody of every standing, and short ways to what tests need again and again."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from entrepot.catalog.work import JobKind
from entrepot.depot import background, ingests, members, projects, teams, tokens
from entrepot.depot.context import Depot
from entrepot.jobs.runner import Runner
from entrepot.model import ids
from entrepot.model.ids import Noun
from entrepot.model.values import Role, Scope
from entrepot.store.hashing import Hasher
from tests.support.identity import ADMIN_PASSWORD
from tests.support.site import Site, open_site

#: Who there is: staff, a member of each level, somebody who is no member, somebody with a key that only reads.
MEMBERS = {"reader": Role.READ, "runner": Role.EXECUTE, "writer": Role.WRITE, "chief": Role.ADMIN}
EVERYBODY = ("anonymous", "outsider", "reader", "runner", "reading key", "writer", "chief", "staff")

KIND = "UploadedNewlineDelimitedJsonFile"
LINES = (
    b'{"kind": "Image", "url": "https://example.org/1.png"}\n{"kind": "Image", "url": "https://example.org/2.png"}\n'
)


def crc32c(data: bytes) -> str:
    """As the client writes it: base64 of four bytes, most significant first."""
    hasher = Hasher()
    hasher.update(data)
    return base64.b64encode(hasher.digests().crc32c.to_bytes(4, "big")).decode()


def request_for(name: str, data: bytes) -> dict[str, Any]:
    """The body of a create."""
    return {"name": name, "spec": {"source": {"kind": KIND, "sizeBytes": len(data), "crc32c": crc32c(data)}}}


@dataclass
class Person:
    """Somebody at the door."""

    lab: Lab
    key: str | None

    def __call__(self, method: str, path: str, json: Any = None, **what: Any) -> httpx2.Response:
        """A request; a path that begins with a dot is below the lab's project."""
        headers = dict(what.pop("headers", None) or {})
        if self.key is not None:
            headers.setdefault("Secret-Key", self.key)
        if json is not None:
            what["json"] = json
        url = f"/projects/{self.lab.project}{path[1:]}" if path.startswith(".") else path
        return self.lab.site.http.request(method, url, headers=headers, follow_redirects=False, **what)

    def ok(self, method: str, path: str, json: Any = None, **what: Any) -> Any:
        """A request that must succeed; the answer's body, which there always is."""
        answer = self(method, path, json, **what)
        assert answer.status_code in (200, 201), f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def create(self, data: bytes = LINES, name: str | None = None) -> dict[str, Any]:
        """A dataset that waits for these bytes."""
        made: dict[str, Any] = self.ok("POST", "./batch/datasets", request_for(name or self.lab.name(), data))
        return made

    def dataset(self, data: bytes = LINES, name: str | None = None) -> dict[str, Any]:
        """A dataset with these bytes, checked."""
        made = self.create(data, name)
        answer = self.lab.put(made, data)
        assert answer.status_code == 200, answer.text
        self.lab.work()
        return self.get(made["id"])

    def get(self, dataset: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ok("GET", f"./batch/datasets/{dataset}")
        return found

    def page(self, query: str = "") -> dict[str, Any]:
        found: dict[str, Any] = self.ok("GET", f"./batch/datasets?{query}")
        return found


@dataclass
class Lab:
    """A server with a team, a project and somebody of every standing."""

    site: Site
    team: int
    project: str
    people: dict[str, Person] = field(default_factory=dict)
    _names: int = 0

    def __getattr__(self, name: str) -> Person:
        if name.startswith("_") or name not in self.people:
            raise AttributeError(name)
        return self.people[name]

    @property
    def depot(self) -> Depot:
        return self.site.depot

    def name(self) -> str:
        self._names += 1
        return f"dataset {self._names}"

    def new_project(self) -> str:
        """A project of the team that nobody has used yet."""
        made = projects.create(self.depot, self.site.world.login("writer"), self.name(), team=self.team)
        return ids.encode(Noun.PROJECT, made.uid)

    def put(self, made: dict[str, Any], data: bytes, **fields: str) -> httpx2.Response:
        """The file, to where the answer to a create says; without a key, as the client does it."""
        upload = made["status"]["source"]["uploadUrl"]
        return self.put_to(upload["url"], data, **{**upload["headers"], **fields})

    def put_to(self, url: str, data: bytes, **fields: str) -> httpx2.Response:
        parts = urlsplit(url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        sent = {name: value for name, value in fields.items() if name.lower() != "content-length"}
        return self.site.http.put(path, content=data, headers=sent)

    def work(self) -> None:
        """Let the worker do everything that waits."""
        kinds: dict[str, JobKind] = background.kinds(self.depot)
        kinds[ingests.JOB] = JobKind(partial(ingests.run, self.depot), partial(ingests.abandoned, self.depot))
        runner = Runner(self.depot.catalog, kinds, queue=ingests.QUEUE, worker="test")
        while runner.step():
            pass


def open_lab(folder: Path, stack: ExitStack, **settings: Any) -> Lab:
    site = open_site(folder, stack, **settings)
    depot, world = site.depot, site.world
    staff = world.login("admin", ADMIN_PASSWORD)
    team = teams.create(depot, staff, "lab").n
    people: dict[str, Person] = {}
    lab = Lab(site, team, "", people)
    for name in (*MEMBERS, "outsider"):
        world.user(name)
        if name in MEMBERS:
            members.add(depot, staff, team, name, MEMBERS[name])
        people[name] = Person(lab, tokens.create(depot, world.login(name), scope=Scope.ADMIN, never=True).text)
    people["anonymous"] = Person(lab, None)
    people["staff"] = Person(lab, tokens.create(depot, staff, scope=Scope.ADMIN, never=True).text)
    reading = tokens.create(depot, world.login("writer"), scope=Scope.READ, never=True)
    people["reading key"] = Person(lab, reading.text)
    lab.project = lab.new_project()
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
    shared_lab.project = shared_lab.new_project()
    return shared_lab
