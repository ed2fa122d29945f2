"""Projects and the collections in them."""

from __future__ import annotations

from pydantic import Field

from entrepot.wire.messages.base import Answer, Changes, Count, Instant, Json, Request, RoleName, Trash


class NewProject(Request):
    name: str
    team: str | None = Field(default=None, description="Id or name of the owner; left out: the caller.")
    description: str = ""
    slug: str | None = None
    default_licence: str | None = Field(default=None, description="Id or name.")


class ProjectChanges(Changes):
    """What is left out stays. Allocation, expiry, retention and settings need admin permission."""

    name: str = ""
    slug: str = ""
    description: str = ""
    team: str = ""
    default_licence: str = ""
    allocation: Count | None = Field(default=None, description="Bytes; null is no limit. Only staff may change it.")
    default_expiry_s: Count | None = None
    retention_s: Count | None = None
    settings: Json = {}


class Project(Answer):
    id: str
    name: str
    slug: str
    description: str
    team: str
    personal: bool
    role: RoleName | None = Field(default=None, description="The caller's in the owning team.")
    default_licence: str
    allocation: int | None
    default_expiry_s: int | None
    retention_s: int | None
    settings: Json
    created_at: Instant
    updated_at: Instant
    trash: Trash | None


class ProjectDetail(Project):
    """One project, with what costs a count."""

    used_bytes: int = Field(description="What counts against the allocation.")


class ProjectPage(Answer):
    rows: list[Project]
    next: str | None = None


class NewCollection(Request):
    path: str = Field(description="`a/b/c`; what is missing above it is made too.")


class CollectionChanges(Request):
    path: str


class Collection(Answer):
    id: str
    project: str
    path: str = Field(description="Empty for the root.")
    created_at: Instant


class CollectionPage(Answer):
    rows: list[Collection]
    next: str | None = None


class Tags(Answer):
    rows: list[str]
