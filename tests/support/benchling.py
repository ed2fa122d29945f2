"""The Benchling door for tests: somebody of every standing, and short ways to what tests need again and again."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
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
from tests.support.identity import ADMIN_PASSWORD
from tests.support.postgres import PostgresServer
from tests.support.site import Site, open_site
from tests.support.tables import equip

#: Who there is: staff, a member of each level, somebody who is no member, somebody with a key that only reads.
MEMBERS = {"reader": Role.READ, "runner": Role.EXECUTE, "writer": Role.WRITE, "chief": Role.ADMIN}
EVERYBODY = ("anonymous", "outsider", "reader", "runner", "reading key", "writer", "chief", "staff")

CSV = b"name,age\nAnn,3\nBob,\n"
START = {"uploadStatus": "IN_PROGRESS"}


@dataclass
class Person:
    """Somebody at the door."""

    lab: Lab
    key: str | None

    def __call__(self, method: str, path: str, json: Any = None, **what: Any) -> httpx2.Response:
        """A request; a path without a prefix is one of the old client's, at /api/v2-beta."""
        headers = dict(what.pop("headers", None) or {})
        if self.key is not None:
            shown = base64.b64encode(f"{self.key}:".encode()).decode()
            headers.setdefault("Authorization", f"Basic {shown}")
        if json is not None:
            what["json"] = json
        url = path if path.startswith("/api") else f"/api/v2-beta{path}"
        return self.lab.site.http.request(method, url, headers=headers, follow_redirects=False, **what)

    def ok(self, method: str, path: str, json: Any = None, **what: Any) -> Any:
        """A request that must succeed; the answer's body."""
        answer = self(method, path, json, **what)
        assert answer.status_code in (200, 202), f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def create(self, *files: str, **more: Any) -> dict[str, Any]:
        """A frame of the old client that waits for these files, in the lab's project."""
        wanted: dict[str, Any] = {"name": self.lab.name(), "folderId": self.lab.project}
        if files:
            wanted["manifest"] = [{"fileName": one} for one in files]
        made: dict[str, Any] = self.ok("POST", "/datasets", wanted | more)
        return made

    def frame(self, data: bytes = CSV, **more: Any) -> dict[str, Any]:
        """A frame with these bytes as its only file, checked."""
        made = self.create("a.csv", **more)
        assert self.lab.put(made, data).status_code == 200
        self.start(made)
        self.lab.work()
        return self.get(made["id"])

    def start(self, made: dict[str, Any]) -> str:
        """Begin the check; the task's id."""
        task: str = self.ok("PATCH", f"/datasets/{made['id']}", START)["taskId"]
        return task

    def get(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ok("GET", f"/datasets/{name}")
        return found

    def task(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ok("GET", f"/api/v2/tasks/{name}")
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
        return f"frame {self._names}"

    def new_project(self) -> str:
        """A project of the team that nobody has used yet."""
        made = projects.create(self.depot, self.site.world.login("writer"), self.name(), team=self.team)
        return ids.encode(Noun.PROJECT, made.uid)

    def new_folder(self, path: str) -> str:
        """A collection of the lab's project."""
        home = ids.decode(Noun.PROJECT, self.project)
        made = projects.create_collection(self.depot, self.site.world.login("writer"), home, path)
        return ids.encode(Noun.COLLECTION, made.uid)

    def put(self, made: dict[str, Any], data: bytes, which: int = 0, **what: Any) -> httpx2.Response:
        """A file, to where the manifest says, without a key."""
        return self.site.http.put(local(made["manifest"][which]["url"]), content=data, **what)

    def read(self, found: dict[str, Any]) -> dict[str, bytes]:
        """The files of a frame, by their links."""
        answers = {one["fileName"]: self.site.http.get(local(one["url"])) for one in found["manifest"]}
        assert all(answer.status_code == 200 for answer in answers.values())
        return {name: answer.content for name, answer in answers.items()}

    def work(self) -> None:
        """Let the worker do everything that waits."""
        kinds: dict[str, JobKind] = background.kinds(self.depot)
        kinds[ingests.JOB] = JobKind(partial(ingests.run, self.depot), partial(ingests.abandoned, self.depot))
        runner = Runner(self.depot.catalog, kinds, queue=ingests.QUEUE, worker="test")
        while runner.step():
            pass


def local(url: str) -> str:
    """The link without the server's address."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def open_lab(
    folder: Path, stack: ExitStack, *, postgres: Callable[[], PostgresServer] | None = None, **settings: Any
) -> Lab:
    site = open_site(folder, stack, postgres=postgres, **settings)
    equip(site, folder / "tables")
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
