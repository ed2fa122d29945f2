"""A server with people in it, for tests of who may do what: both databases, cheap passwords, a clock that is moved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pytest

from entrepot.catalog import events
from entrepot.catalog.database import Catalog
from entrepot.depot import bootstrap, credentials, members, sessions, teams, tokens, users
from entrepot.depot.context import Depot, Policy
from entrepot.depot.credentials import Bearer
from entrepot.model.access import Actor
from entrepot.model.values import Event, Role, Scope, Team, User
from entrepot.store.memory import MemoryStore
from tests.support.catalogs import ADMIN_PASSWORD, CHEAP_PASSWORDS, Clock

PASSWORD = "correct horse"
SECRET = b"s" * 32


def new_depot(catalog: Catalog, clock: Clock, policy: Policy = CHEAP_PASSWORDS) -> Depot:
    store = MemoryStore()
    return Depot(catalog=catalog, store=store, staging=store.staging, secret=SECRET, clock=clock, policy=policy)


@dataclass
class World:
    """One server after its first start."""

    depot: Depot
    clock: Clock

    @cached_property
    def staff(self) -> Actor:
        """`admin`, as after a password."""
        return self.login("admin", ADMIN_PASSWORD)

    def user(self, name: str, *, is_staff: bool = False, password: str | None = PASSWORD) -> User:
        return users.create(self.depot, self.staff, name, password=password, is_staff=is_staff)

    def login(self, name: str, password: str = PASSWORD) -> Actor:
        return sessions.login(self.depot, name, password, door="native", address="192.0.2.1")

    def person(self, name: str, *, is_staff: bool = False) -> Actor:
        """A new user, logged in by password."""
        self.user(name, is_staff=is_staff)
        return self.login(name)

    def team(self, name: str = "lab", **roles: Role) -> Team:
        """A new team; `roles` are members by user name."""
        made = teams.create(self.depot, self.staff, name)
        for member, role in roles.items():
            members.add(self.depot, self.staff, made.n, member, role)
        return made

    def by_token(self, actor: Actor, scope: Scope, **how: Any) -> Actor:
        """The same person with a new token."""
        made = tokens.create(self.depot, actor, scope=scope, **how)
        return credentials.authenticate(self.depot, Bearer(made.text), door="native", address="192.0.2.1")

    def personal_project(self, actor: Actor) -> int:
        found = users.self_of(self.depot, actor).default_project
        assert found is not None
        return found

    def events(self, *verbs: str) -> list[Event]:
        """Newest first."""
        with self.depot.catalog.read() as conn:
            return events.page(conn, before=None, limit=1000, verbs=verbs)

    def with_policy(self, **changes: Any) -> Depot:
        """The same server under another policy."""
        return replace(self.depot, policy=replace(self.depot.policy, **changes))


@pytest.fixture
def depot(catalog: Catalog, clock: Clock) -> Depot:
    """A depot over an empty catalogue: nothing was set up yet."""
    return new_depot(catalog, clock)


@pytest.fixture
def world(depot: Depot, clock: Clock) -> World:
    """A server after its first start, on each database."""
    bootstrap.bootstrap(depot, admin_password=ADMIN_PASSWORD)
    return World(depot, clock)
