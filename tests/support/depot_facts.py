"""What the model of the depot knows: things as plain values, rights, names and numbers."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar
from uuid import UUID

from entrepot.model.errors import (
    Forbidden,
    Frozen,
    Hidden,
    NameTaken,
    NotFound,
    QuotaExceeded,
    Trashed,
    Unauthenticated,
)
from entrepot.model.values import Numbering, Role, Scope, Visibility
from tests.support import entry_model
from tests.support.entry_model import Refused, State

_Value = TypeVar("_Value")

NEW = 0
UPLOAD_LIFETIME = timedelta(days=7)

OPEN_RECORD = (Visibility.LISTED, Visibility.PUBLIC)
OPEN_CONTENT = (Visibility.PUBLIC,)

CAP = {Scope.READ: Role.READ, Scope.WRITE: Role.WRITE, Scope.ADMIN: Role.ADMIN}
SLUG_OF = {"Birds": "birds", "Birds!": "birds", "Lab data": "lab-data"}
SLUG_OF |= {"Penguins": "penguins", "penguins": "penguins", "Auks": "auks"}


@dataclass(frozen=True)
class Who:
    """Somebody, with a password or with one of their tokens."""

    name: str | None
    scope: Scope = Scope.ADMIN
    projects: tuple[int, ...] | None = None
    token: int | None = None

    @property
    def staff(self) -> bool:
        return self.name == "admin" and self.scope is Scope.ADMIN

    def __str__(self) -> str:
        limits = "" if self.token is None else f" (token {self.token}, {self.scope.value}, {self.projects})"
        return f"{self.name or 'anybody'}{limits}"


@dataclass(frozen=True)
class Need:
    """A right: the role, the scope of the credential, and the visibilities that give it to everybody."""

    role: Role
    scope: Scope
    everybody: tuple[Visibility, ...] = ()


SEE = Need(Role.READ, Scope.READ, OPEN_RECORD)
READ = Need(Role.READ, Scope.READ, OPEN_CONTENT)
MEMBER = Need(Role.READ, Scope.READ)
COPY = Need(Role.READ, Scope.WRITE)
WRITE = Need(Role.WRITE, Scope.WRITE)
ADMIN = Need(Role.ADMIN, Scope.ADMIN)


@dataclass
class Home:
    """A project."""

    n: int
    name: str
    slug: str
    team: str
    #: The one that came with its user; what somebody makes in their own team besides is a project like any other.
    personal: bool = False
    trashed: bool = False
    allocation: int | None = None
    default_expiry_s: int | None = None
    retention_s: int | None = None
    #: Paths; the root is not among them.
    collections: set[str] = field(default_factory=set)


@dataclass
class Record:
    """A version."""

    n: int
    project: int
    name: str
    number: int
    visibility: Visibility
    creator: str | None
    collection: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    alias: str | None = None
    frozen: bool = False
    proposal: bool = False
    trash: str | None = None
    trashed_at: datetime | None = None
    expires_at: datetime | None = None
    previous: int | None = None
    revisions: list[State] = field(default_factory=lambda: [{}])
    next_pos: int = 0
    verbs: list[str] = field(default_factory=list)

    @property
    def newest(self) -> int:
        return len(self.revisions) - 1

    @property
    def head(self) -> State:
        return self.revisions[-1]


@dataclass
class Sending:
    """An upload: what the sender has, and what has arrived of it.

    Args:
        is_true: The digest that was announced, if one was, is that of the plan.
        batch: What arrived together, if it is a batch.
    """

    uid: UUID | None
    owner: str
    plan: bytes
    length: int | None
    is_true: bool
    expires_at: datetime
    arrived: bytes = b""
    finished: bool = False
    #: The process died while it was finished: it may be placed, and then takes no more bytes.
    is_ending: bool = False
    batch: tuple[bytes, ...] = ()

    @property
    def tells_digest(self) -> bool:
        return self.length is not None or not self.is_true


@dataclass(frozen=True)
class Edge:
    """Between numbers of versions, negative ones for what was purged."""

    source: int
    source_revision: int
    target: int
    target_revision: int
    verb: str


@dataclass(frozen=True)
class Link:
    """A signed link, and whose right it carries."""

    path: str
    who: Who
    version: int
    content: bytes
    expires_at: datetime


def _twin(one: _Value) -> _Value:
    """A copy of one; `copy.copy` takes five times as long, and a long run makes millions of these."""
    other = object.__new__(type(one))
    other.__dict__.update(one.__dict__)
    return other


class Facts:
    """Everything that the depot must show, who may do what with it, and what follows from it."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        #: By name; that of a person is `~name`.
        self.teams: dict[str, dict[str, Role]] = {}
        self.homes: dict[int, Home] = {}
        self.records: dict[int, Record] = {}
        #: The slug of each line, by project and name.
        self.lines: dict[tuple[int, str], str] = {}
        #: What a slug leads to that was given up: ("project" | "version", number) or ("line", project and name). The
        #: scope is a project, or 0 for the slugs of projects.
        self.old_slugs: dict[tuple[int, str], tuple[str, Any]] = {}
        self.sendings: list[Sending] = []
        self.edges: set[Edge] = set()
        self.links: list[Link] = []
        #: When each token ends.
        self.tokens: dict[int, datetime] = {}

    def copy(self) -> Self:
        """Independent of this one; states are never changed and are shared."""
        other = copy.copy(self)
        other.teams = {name: dict(roles) for name, roles in self.teams.items()}
        other.homes = {n: _twin(home) for n, home in self.homes.items()}
        for home in other.homes.values():
            home.collections = set(home.collections)
        other.records = {n: _twin(record) for n, record in self.records.items()}
        for record in other.records.values():
            record.revisions, record.verbs = [*record.revisions], [*record.verbs]
        other.lines, other.old_slugs, other.edges = dict(self.lines), dict(self.old_slugs), set(self.edges)
        other.sendings = [_twin(one) for one in self.sendings]
        other.links, other.tokens = list(self.links), dict(self.tokens)
        return other

    # ------------------------------------------------------------------ rights

    def role(self, who: Who, project: int) -> Role:
        """After the credential's caps."""
        if who.name is None or (who.projects is not None and project not in who.projects):
            return Role.NONE
        return min(self.teams[self.homes[project].team].get(who.name, Role.NONE), CAP[who.scope])

    def may(self, who: Who, need: Need, project: int, visibility: Visibility | None = None) -> bool:
        if visibility in need.everybody:
            return True
        if who.name is None:
            return False
        if who.staff and (who.projects is None or project in who.projects):
            return True
        return CAP[who.scope] >= CAP[need.scope] and self.role(who, project) >= need.role

    def may_on(self, who: Who, need: Need, record: Record) -> bool:
        return self.may(who, need, record.project, record.visibility)

    def is_good(self, who: Who) -> bool:
        """Whether what they show counts."""
        return who.token is None or self.tokens[who.token] > self.now

    def _judge(self, allowed: bool, visible: bool, who: Who) -> None:
        if not allowed:
            raise Refused(Hidden if not visible else Unauthenticated if who.name is None else Forbidden)

    def record(self, who: Who, n: int, need: Need) -> Record:
        """A version that somebody may do something to."""
        found = self.records.get(n)
        if found is None:
            raise Refused(NotFound)
        self._judge(self.may_on(who, need, found), self.may_on(who, SEE, found), who)
        return found

    def home(self, who: Who, n: int, need: Need, *, trashed: bool = False) -> Home:
        found = self.homes.get(n)
        if found is None:
            raise Refused(NotFound)
        self._judge(self.may(who, need, n), self.may(who, MEMBER, n), who)
        if found.trashed and not trashed:
            raise Refused(Trashed)
        return found

    def editable(self, record: Record) -> None:
        if record.trash is not None or self.homes[record.project].trashed:
            raise Refused(Trashed)

    def writable(self, record: Record) -> None:
        self.editable(record)
        if record.frozen:
            raise Refused(Frozen)

    # ------------------------------------------------------------------ what is true of many

    def active(self, project: int) -> Iterable[Record]:
        return (r for r in self.records.values() if r.project == project and r.trash is None)

    def used(self, project: int) -> int:
        return sum(entry_model.size(r.head) for r in self.records.values() if r.project == project)

    def shown(self, who: Who, need: Need = SEE) -> set[int]:
        """Versions in lists."""
        return {
            n
            for n, r in self.records.items()
            if r.trash is None and not self.homes[r.project].trashed and self.may_on(who, need, r)
        }

    def readable(self, who: Who, content: bytes) -> bool:
        """Whether somebody may point at these bytes by their digest alone."""
        return any(
            self.may_on(who, READ, r) and any(f.content == content for state in r.revisions for f in state.values())
            for r in self.records.values()
        )

    def _room(self, project: int) -> None:
        allocation = self.homes[project].allocation
        if allocation is not None and self.used(project) > allocation:
            raise Refused(QuotaExceeded)

    # ------------------------------------------------------------------ names

    def _free_slug(self, base: str, taken: Iterable[str]) -> str:
        there = set(taken)
        if base not in there:
            return base
        return next(f"{base}-{k}" for k in itertools.count(2) if f"{base}-{k}" not in there)

    def _taken_slugs(self, project: int) -> set[str]:
        """Slugs of lines and aliases: they share a space."""
        slugs = {slug for (home, _), slug in self.lines.items() if home == project}
        return slugs | {r.alias for r in self.active(project) if r.alias is not None}

    def _open_line(self, project: int, name: str) -> None:
        if (project, name) not in self.lines:
            slug = self._free_slug(SLUG_OF[name], self._taken_slugs(project))
            self.lines[project, name] = slug
            self.old_slugs.pop((project, slug), None)

    def _close_line(self, project: int, name: str, left: int | None) -> None:
        """After a version left it; `left` is the version if it lives on elsewhere."""
        if any((r.project, r.name) == (project, name) for r in self.records.values()):
            return
        slug = self.lines.pop((project, name))
        for key, leads in list(self.old_slugs.items()):
            if leads == ("line", (project, name)):
                if left is None:
                    del self.old_slugs[key]
                else:
                    self.old_slugs[key] = ("version", left)
        if left is not None:
            self.old_slugs[project, slug] = ("version", left)

    def _number(self, project: int, name: str, rule: Numbering, *, keep: int | None = None, but: int = -1) -> int:
        taken = {r.number for r in self.active(project) if r.name == name and r.n != but}
        highest = max((r.number for r in self.active(project) if r.name == name), default=0)
        if (rule is Numbering.ONLY and taken) or (rule is Numbering.FIRST and 1 in taken):
            raise Refused(NameTaken)
        if rule is Numbering.FIRST:
            return 1
        if rule in (Numbering.KEEP, Numbering.KEEP_ELSE_NEXT) and keep is not None:
            if keep not in taken:
                return keep
            if rule is Numbering.KEEP:
                raise Refused(NameTaken)
        return highest + 1

    def _free_alias(self, project: int, alias: str, but: int = -1) -> None:
        slugs = {slug for (home, _), slug in self.lines.items() if home == project}
        if alias in slugs or any(r.alias == alias and r.n != but for r in self.active(project)):
            raise Refused(NameTaken)

    def resolve(self, who: Who, project: str, dataset: str, version: int | None) -> int | None:
        """The version that `project/dataset[@version]` means."""
        home = next((h.n for h in self.homes.values() if h.slug == project), None)
        if home is None:
            home = self.old_slugs.get((0, project), ("", None))[1]
        if home is None:
            return None
        n = self._referred(who, home, dataset, version)
        if n is None or n not in self.shown(who) or version not in (None, self.records[n].number):
            return None
        return n

    def _referred(self, who: Who, home: int, dataset: str, version: int | None) -> int | None:
        line = next((key for key, slug in self.lines.items() if key[0] == home and slug == dataset), None)
        if line is None:
            aliased = next((r.n for r in self.active(home) if r.alias == dataset), None)
            if aliased is not None:
                return aliased
            what, led = self.old_slugs.get((home, dataset), ("", None))
            if what != "line":
                return led if what == "version" else None
            line = led
        assert line is not None
        here = [r for r in self.active(line[0]) if r.name == line[1]]
        if version is not None:
            return next((r.n for r in here if r.number == version), None)
        seen = [r for r in here if self.may_on(who, SEE, r)]
        best = max(seen, key=lambda r: (not r.proposal, r.number), default=None)
        return None if best is None else best.n
