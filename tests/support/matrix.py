"""Everybody with every credential around one project, and the table of roles as it is written down.

    record of a private version; content of private and listed       R
    record of listed; record and content of public                   everybody
    copy inside the project                                          R
    copy to another project                                          may read its content there, W here
    create; trash                                                    W; what one proposed oneself: R
    edit record, commit, ingest, describe, clear, merge target       W, or X acting for a node
    merge source                                                     R; as for editing it when it goes after
    reinstate; purge                                                 W; A
    freeze; unfreeze                                                 W; A
    project update, trash; reinstate, purge; settings                W; A; A
    edge create, delete                                              W on source, R on target
    task see; cancel                                                 R on its target or its starter; W or its starter

A token of scope read caps at R and writes nothing, write caps at W, admin at all one is; a token limited to projects
is a stranger's everywhere else; staff may all, by password or a token of scope admin. Who may not know that a thing is
there gets `Hidden`, the anonymous who may know `Unauthenticated`, everybody else `Forbidden`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import pytest

from entrepot.catalog.database import Catalog
from entrepot.catalog.schema import metadata
from entrepot.catalog.work import JobKind
from entrepot.depot import (
    batches,
    copies,
    credentials,
    ingests,
    nodes,
    notes,
    projects,
    record_checks,
    relationships,
    slots,
    table_checks,
    tokens,
    trash,
    uploads,
    users,
    versions,
    webhooks,
)
from entrepot.depot.credentials import Bearer
from entrepot.depot.ingests import Verdict
from entrepot.depot.relationships import NewRelationship
from entrepot.depot.slots import NewSlot
from entrepot.depot.uploads import NewUpload
from entrepot.depot.versions import NewVersion
from entrepot.depot.webhooks import NewWebhook
from entrepot.jobs.runner import Runner
from entrepot.model.access import ANONYMOUS, Actor
from entrepot.model.data_types import Report, Standing
from entrepot.model.errors import EntrepotError, Forbidden, Hidden, Unauthenticated
from entrepot.model.values import Kind, Project, Role, Scope, Task, Version, Visibility
from entrepot.model.webhooks import Batch, Delivery, Webhook
from entrepot.store.memory import MemoryStore
from tests.support.catalogs import CHEAP_PASSWORDS, Clock, memory_folder, new_catalog_url
from tests.support.house import House
from tests.support.receivers import Receiver
from tests.support.tables import Canned

WHO = ("anonymous", "stranger", "reader", "executor", "machine", "writer", "keeper", "staff")
HOW = ("password", "read", "write", "admin", "limited")
ROLES = {
    "reader": Role.READ,
    "executor": Role.EXECUTE,
    "machine": Role.EXECUTE,
    "writer": Role.WRITE,
    "keeper": Role.ADMIN,
}
CAPS = {"password": Role.ADMIN, "admin": Role.ADMIN, "write": Role.WRITE, "read": Role.READ, "limited": Role.NONE}

PRIVATE, LISTED, PUBLIC = Visibility.PRIVATE, Visibility.LISTED, Visibility.PUBLIC

Verdict_: TypeAlias = type[EntrepotError] | None


# The table


@dataclass(frozen=True)
class Row:
    """One line of the table: from which role up (None: staff alone), with which for a node, and at which visibilities
    everybody."""

    role: Role | None
    for_a_node: Role | None = None
    everybody: tuple[Visibility, ...] = ()
    writes: bool = True


RECORD = Row(Role.READ, everybody=(LISTED, PUBLIC), writes=False)
CONTENT = Row(Role.READ, everybody=(PUBLIC,), writes=False)
COPY_INSIDE = Row(Role.READ)
W = Row(Role.WRITE)
A = Row(Role.ADMIN)
EDIT = Row(Role.WRITE, for_a_node=Role.EXECUTE)
MEMBER = Row(Role.READ, writes=False)
STAFF = Row(None)


def role_of(who: str, how: str) -> Role:
    return min(ROLES.get(who, Role.NONE), CAPS[how])


def is_staff(who: str, how: str) -> bool:
    return who == "staff" and how in ("password", "admin")


def allowed(row: Row, who: str, how: str, visibility: Visibility | None) -> bool:
    if visibility in row.everybody or is_staff(who, how):
        return True
    if who == "anonymous" or row.role is None or (row.writes and how == "read"):
        return False
    role = role_of(who, how)
    return role >= row.role or (who == "machine" and row.for_a_node is not None and role >= row.for_a_node)


def visible(who: str, how: str, visibility: Visibility | None) -> bool:
    return allowed(RECORD, who, how, visibility)


def verdict(row: Row, who: str, how: str, visibility: Visibility | None) -> Verdict_:
    if allowed(row, who, how, visibility):
        return None
    if not visible(who, how, visibility):
        return Hidden
    return Unauthenticated if who == "anonymous" else Forbidden


# The house


@dataclass
class Cast:
    """Everybody with every credential, around the team that owns `project`; and what things are done to."""

    house: House
    team: int
    project: Project
    elsewhere: Project
    actors: Mapping[tuple[str, str], Actor]
    owner: Actor
    #: A version that everybody may read.
    target: Version = field(init=False)
    #: A webhook of `project`.
    destination: Webhook = field(init=False)
    own: dict[str, Version] = field(default_factory=dict)
    _models: dict[tuple[Visibility, int], Version] = field(default_factory=dict)
    _shown: dict[Any, Any] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def depot(self) -> Any:
        return self.house.depot

    def fresh(self, word: str) -> str:
        return f"{word} {next(self._numbers)}"

    def version(self, visibility: Visibility, project: Project | None = None) -> Version:
        """A version with two files, one in a folder; a copy by reference, which costs a tenth of a commit."""
        home = project or self.project
        model = self._models.get((visibility, home.n))
        if model is None:
            made = self.house.version(self.owner, home, self.fresh("model"), visibility=visibility)
            model = self.house.put(self.owner, made, {"a.txt": b"content", "d/b.txt": b"more"}).version
            self._models[visibility, home.n] = model
        return copies.copy(self.depot, self.owner, model.n, name=self.fresh("dataset"))

    def shown(self, subject: Callable[[Cast, Visibility], Any], visibility: Visibility) -> Any:
        """What `subject` makes, made once: for those who do not change it."""
        if (subject, visibility) not in self._shown:
            self._shown[subject, visibility] = subject(self, visibility)
        return self._shown[subject, visibility]

    def put_away(self) -> None:
        """Show nothing again that was shown: somebody changed it after all."""
        self._shown.clear()

    def mine(self, actor: Actor) -> Version:
        """A version of the actor's own, in the project that every credential of theirs reaches."""
        who = self.who(actor)
        if who not in self.own:
            whole = self.actors[who, "password"]
            made = self.house.version(whole, self.house_of(actor), self.fresh("own"))
            self.own[who] = self.house.put(whole, made, {"own.txt": b"own"}).version
        return self.own[who]

    def house_of(self, actor: Actor) -> Project:
        return projects.default(self.depot, self.actors[self.who(actor), "password"])

    def who(self, actor: Actor) -> str:
        return next(who for (who, _), other in self.actors.items() if other.user == actor.user)

    def facts(self) -> dict[str, Any]:
        """All that the catalogue holds, by table: its rows, or of a server that is asked by wire their digest."""
        with self.depot.catalog.read() as conn:
            if self.depot.catalog.dialect == "sqlite":
                return {name: list(conn.exec_driver_sql(f'select * from "{name}"')) for name in metadata.tables}
            digests = " union all ".join(
                f"""select '{name}', md5(string_agg(t::text, ' ' order by t::text)) from "{name}" t"""
                for name in metadata.tables
            )
            return {row[0]: row[1] for row in conn.exec_driver_sql(digests)}


@contextmanager
def new_cast(kind: str, folder: Path, server: Callable[[], Any]) -> Iterator[Cast]:
    """Everybody, in a new catalogue of this kind."""
    with new_catalog_url(kind, folder, server, started=True) as url:
        clock = Clock()
        catalog = Catalog.open(url, clock=clock)
        store = MemoryStore()
        house = House(catalog, store, store.staging, clock, policy=CHEAP_PASSWORDS)
        house.depot.checkers = {
            Kind.TABLE.value: lambda *_: Verdict(True, {}),
            Kind.RECORDS.value: record_checks.checker(house.depot),
        }
        house.depot.workshop = Canned()
        house.depot.examiner = lambda _source, kind: Report(Standing.UNCHECKED, None, kind)
        # Each try of a case makes what it is about anew in the same few projects; the limits have tests of their own.
        house.depot.limits = replace(house.depot.limits, webhooks_per_project=1_000_000, tasks_per_user=1_000_000)
        yield assemble(house)
        catalog.close()


@pytest.fixture(scope="module")
def cast() -> Iterator[Cast]:
    """One for all tests of a module; what they change is made anew."""

    def no_server() -> Any:
        raise AssertionError("a catalogue of SQLite needs no server")

    with memory_folder() as folder, new_cast("sqlite", folder, no_server) as made:
        yield made


def assemble(house: House) -> Cast:
    house.depot.courier = Receiver()
    owner = house.user("owner")
    people = {name: house.user(name) for name in (*ROLES, "stranger", "boss")}
    users.update(house.depot, house.admin, "boss", users.UserChanges(is_staff=True))
    people["staff"] = house.log_in("boss", staff=True)
    team = house.team("lab", owner=Role.ADMIN, **ROLES)
    project = house.project(owner, "Birds", team=team)
    elsewhere = house.project(owner, "Elsewhere", team=house.team("others", owner=Role.ADMIN))
    machine = nodes.create(house.depot, house.admin, "worker").n
    actors: dict[tuple[str, str], Actor] = {}
    for who in WHO:
        if who == "anonymous":
            actors[who, "password"] = ANONYMOUS
            continue
        whole = people[who]
        actors[who, "password"] = whole
        own = projects.default(house.depot, whole).n
        for how in ("read", "write", "admin", "limited"):
            scope = Scope.ADMIN if how == "limited" else Scope(how)
            limit = [own] if how == "limited" else None
            made = tokens.create(house.depot, whole, scope=scope, projects=limit)
            actors[who, how] = credentials.authenticate(house.depot, Bearer(made.text), door="native")
        if who == "machine":
            for how in HOW:
                actors[who, how] = actors[who, how].acting_for(machine)
    cast = Cast(house, team, project, elsewhere, actors, owner)
    for who in WHO[1:]:
        cast.mine(actors[who, "password"])
    cast.target = cast.version(PUBLIC)
    cast.destination = hook(cast, PRIVATE)
    return cast


# What things are done to


def in_trash(cast: Cast, visibility: Visibility) -> Version:
    return trash.trash(cast.depot, cast.owner, cast.version(visibility).n)


def noted(cast: Cast, visibility: Visibility) -> Version:
    """A version with a note."""
    return notes.add(cast.depot, cast.owner, cast.version(visibility).n, "The scale was off.")


def frozen(cast: Cast, visibility: Visibility) -> Version:
    return versions.freeze(cast.depot, cast.owner, cast.version(visibility).n)


def table(cast: Cast, visibility: Visibility) -> tuple[Version, slots.Slot]:
    """A version that waits for one file."""
    new = NewVersion(cast.fresh("table"), kind=Kind.TABLE, visibility=visibility)
    version, made = slots.create(cast.depot, cast.owner, cast.project.n, new, [NewSlot("a.csv")])
    return version, made[0]


def full_table(cast: Cast, visibility: Visibility) -> tuple[Version, slots.Slot]:
    version, slot = table(cast, visibility)
    filling = slots.fill(cast.depot, cast.owner, slot.uid)
    filling.write(b"1\n")
    return version, filling.finish()


def rows(cast: Cast, visibility: Visibility) -> Version:
    """A table whose one file was checked."""
    new = NewVersion(cast.fresh("rows"), kind=Kind.TABLE, visibility=visibility)
    version, made = slots.create(cast.depot, cast.owner, cast.project.n, new, [NewSlot("a.csv", starts=True)])
    filling = slots.fill(cast.depot, cast.owner, made[0].uid)
    filling.write(b"a\n1\n")
    plain = cast.depot.checkers
    cast.depot.checkers = {**plain, Kind.TABLE.value: table_checks.checker(cast.depot)}
    try:
        filling.finish()
        runner = Runner(
            cast.depot.catalog,
            {ingests.JOB: JobKind(partial(ingests.run, cast.depot))},
            queue=ingests.QUEUE,
            worker="matrix",
        )
        while runner.step():
            pass
    finally:
        cast.depot.checkers = plain
    return version


def records(cast: Cast, visibility: Visibility) -> Version:
    """Two items that were checked."""
    new = NewVersion(cast.fresh("records"), kind=Kind.RECORDS, visibility=visibility)
    version, made = slots.create(cast.depot, cast.owner, cast.project.n, new, [NewSlot("a.ndjson", starts=True)])
    filling = slots.fill(cast.depot, cast.owner, made[0].uid)
    filling.write(b'{"id":1}\n{"id":2}\n')
    filling.finish()
    kinds = {ingests.JOB: JobKind(partial(ingests.run, cast.depot))}
    runner = Runner(cast.depot.catalog, kinds, queue=ingests.QUEUE, worker="matrix")
    # Other cases leave theirs waiting, and those are older.
    while runner.step():
        pass
    return version


def running(cast: Cast, visibility: Visibility) -> Task:
    """The task of an ingest that waits."""
    version, _ = full_table(cast, visibility)
    return ingests.start(cast.depot, cast.owner, version.n)


def edge(cast: Cast, visibility: Visibility) -> tuple[Any, Version]:
    """An edge from a version to another of the same project and visibility."""
    source, target = cast.version(visibility), cast.version(visibility)
    made = relationships.create(cast.depot, cast.owner, NewRelationship(source.n, target.n, "derived_from"))
    return made, source


def whole_project(cast: Cast, _visibility: Visibility) -> Project:
    return cast.house.project(cast.owner, cast.fresh("project"), team=cast.team)


def project_in_trash(cast: Cast, visibility: Visibility) -> Project:
    return projects.trash(cast.depot, cast.owner, whole_project(cast, visibility).n)


def folder(cast: Cast, _visibility: Visibility) -> Any:
    return projects.create_collection(cast.depot, cast.owner, cast.project.n, cast.fresh("folder"))


def own_upload(cast: Cast, actor: Actor) -> UUID:
    """An upload of the actor's, begun with all their rights."""
    whole = cast.actors[cast.who(actor), "password"]
    return uploads.begin(cast.depot, whole, NewUpload(length=0)).uid


def hook(cast: Cast, _visibility: Visibility) -> Webhook:
    # Of no event, so that what the others do makes no deliveries.
    new = NewWebhook(cast.fresh("webhook"), "https://example.org/", events=())
    return webhooks.create(cast.depot, cast.owner, cast.project.n, new).webhook


def tested_hook(cast: Cast, visibility: Visibility) -> tuple[Webhook, Delivery]:
    """A webhook and something on its way to it."""
    made = hook(cast, visibility)
    return made, webhooks.test(cast.depot, cast.owner, made.n)


def sending(cast: Cast, visibility: Visibility) -> Batch:
    """A batch job that waits."""
    return batches.start(cast.depot, cast.owner, cast.version(visibility).n, hook(cast, visibility).n)
