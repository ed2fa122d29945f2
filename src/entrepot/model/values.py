"""The nouns as frozen values: what the depot answers and every door encodes.

`n` is the catalogue's number of a thing, never given out twice; `uid` its 128 bits. All times are aware UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Generic, TypeVar
from uuid import UUID


class Role(IntEnum):
    """What a member may do in a team's projects. Roles nest."""

    NONE = 0
    READ = 1
    EXECUTE = 2
    WRITE = 3
    ADMIN = 4


class Scope(StrEnum):
    """What a token may do at most."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


class Visibility(StrEnum):
    PRIVATE = "private"
    LISTED = "listed"
    PUBLIC = "public"


class Kind(StrEnum):
    FILES = "files"
    TABLE = "table"
    RECORDS = "records"


class State(StrEnum):
    """Of a version: `ready` once any revision was published, else that of its latest ingest."""

    EMPTY = "empty"
    RECEIVING = "receiving"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class Stage(StrEnum):
    """Where an ingest failed."""

    TRANSFER = "transfer"
    CONTENT = "content"


class Numbering(StrEnum):
    """How a new, moved or reinstated version finds its number in the line of its name."""

    FIRST = "first"
    ONLY = "only"
    NEXT = "next"
    KEEP = "keep"
    KEEP_ELSE_NEXT = "keep_else_next"


class TaskState(StrEnum):
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Trash:
    """That something is in the trash, since when, by whom and why (`deleted`, `archived: …`, `expired`, `project`)."""

    at: datetime
    reason: str
    by: int | None


@dataclass(frozen=True, slots=True)
class User:
    n: int
    uid: UUID
    name: str
    email: str
    first_name: str
    last_name: str
    is_staff: bool
    is_active: bool
    default_project: int | None
    created_at: datetime
    last_login_at: datetime | None
    epoch: int = 0
    has_password: bool = True


@dataclass(frozen=True, slots=True)
class Person:
    """What anybody who is logged in may know of somebody else."""

    n: int
    uid: UUID
    name: str
    first_name: str
    last_name: str


@dataclass(frozen=True, slots=True)
class Team:
    n: int
    uid: UUID
    name: str
    personal_of: int | None
    creator: int | None
    created_at: datetime
    trash: Trash | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    team: int
    user: int
    user_name: str
    role: Role
    creator: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Node:
    n: int
    uid: UUID
    name: str
    is_active: bool
    creator: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Token:
    """What a program shows; its text is known only to whoever made it."""

    n: int
    uid: UUID
    user: int
    user_name: str
    name: str
    scope: Scope
    projects: tuple[int, ...] | None
    node: int | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that somebody is logged in with. `id` names it in lists; it is not the cookie."""

    id: str
    user: int
    kind: str
    detail: Mapping[str, Any]
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Licence:
    n: int
    uid: UUID
    name: str
    url: str
    permissions: tuple[str, ...]
    conditions: tuple[str, ...]
    limitations: tuple[str, ...]
    domains: tuple[str, ...]
    standard: bool


@dataclass(frozen=True, slots=True)
class Project:
    n: int
    uid: UUID
    name: str
    slug: str
    description: str
    team: int
    team_name: str
    personal: bool
    default_licence: int
    default_licence_name: str
    allocation: int | None
    default_expiry_s: int | None
    retention_s: int | None
    settings: Mapping[str, Any]
    creator: int | None
    created_at: datetime
    updated_at: datetime
    trash: Trash | None = None


@dataclass(frozen=True, slots=True)
class Collection:
    """A folder of versions inside a project; path '' is the root, whose uid is the project's."""

    n: int
    uid: UUID
    project: int
    project_uid: UUID
    path: str
    created_at: datetime

    @property
    def is_root(self) -> bool:
        return self.path == ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A line of versions that share a project and a name."""

    n: int
    uid: UUID
    project: int
    name: str
    slug: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Version:
    """The record that people see and the unit of every foreign door.

    Names of its neighbours (dataset, project, collection) come along, because every door shows them.
    """

    n: int
    uid: UUID
    dataset: int
    dataset_uid: UUID
    name: str
    slug: str
    project: int
    project_uid: UUID
    project_slug: str
    team: int
    collection: int
    collection_uid: UUID
    collection_path: str
    number: int | None
    kind: Kind
    revision: int
    state: State
    stage: Stage | None
    report: Mapping[str, Any] | None
    description: str
    licence: int
    licence_name: str
    visibility: Visibility
    custom: Mapping[str, Any]
    tags: tuple[str, ...]
    alias: str | None
    properties: Mapping[str, Any]
    declared: Any
    unpacked_from: Mapping[str, Any] | None
    is_proposal: bool
    previous_version: int | None
    frozen_at: datetime | None
    edit: int
    n_entries: int
    n_bytes: int
    item_count: int | None
    data_type: str | None
    creator: int | None
    creator_name: str | None
    created_at: datetime
    updated_at: datetime
    ready_at: datetime | None
    expires_at: datetime | None
    project_trashed: bool
    trash: Trash | None = None

    @property
    def label(self) -> str:
        """`penguins@3.17`: how people name it. A label moves; what is stored pins uid and revision."""
        return f"{self.slug}@{self.number}.{self.revision}" if self.number is not None else f"{self.slug}@?"


@dataclass(frozen=True, slots=True)
class Revision:
    version: int
    number: int
    author: int | None
    author_name: str | None
    at: datetime
    message: str
    n_entries: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One path in a revision. `position` is the order of first addition in its version."""

    path: str
    size: int
    sha256: bytes
    crc32c: int
    crc32: int
    media_type: str | None
    data_type: str | None
    metadata: str
    position: int
    added_at: datetime | None = None
    added_by: str | None = None
    content: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    n: int
    at: datetime
    verb: str
    actor: int | None
    actor_name: str | None
    door: str
    node: int | None
    token_uid: UUID | None
    project: int | None
    dataset: int | None
    version: int | None
    revision: int | None
    subject: str | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    detail: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Task:
    """Long work that somebody may wait for."""

    n: int
    uid: UUID
    kind: str
    state: TaskState
    progress: Mapping[str, Any] | None
    result: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    cancel_requested: bool
    starter: int | None
    project: int | None
    version: int | None
    attempt: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class VersionRef:
    """One end of a relationship, pinned to version and revision; a tombstone when it was purged."""

    n: int | None
    uid: UUID
    revision: int
    name: str
    number: int | None
    purged: bool = False


@dataclass(frozen=True, slots=True)
class Relationship:
    n: int
    uid: UUID
    source: VersionRef | None
    target: VersionRef | None
    verb: str
    mode: str | None
    note: str | None
    at: datetime | None
    qualifiers: Mapping[str, Any]
    creator: int | None
    created_at: datetime


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. `cursor` leads to the next one and is None on the last."""

    rows: tuple[T, ...]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Leaf(Generic[T]):
    """One page of a list that is leafed through in both directions.

    `previous` and `next` lead to the pages beside it and are None where there is none.
    """

    rows: tuple[T, ...]
    previous: str | None = None
    next: str | None = None
