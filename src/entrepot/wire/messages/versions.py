"""Versions, the record that people see, and datasets, the lines of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from entrepot.model.values import Kind, Stage, State, Visibility
from entrepot.wire.messages.base import Answer, Changes, Instant, Json, Request, RevisionNumber, RoleName, Trash
from entrepot.wire.messages.slots import NewSlot, Slot

KindName = Annotated[Kind, Field(strict=False)]
VisibilityName = Annotated[Visibility, Field(strict=False)]


class NewVersion(Request):
    """A new version: the first of its name (`only`, `first`) or the next one (`next`)."""

    name: str
    project: str | None = Field(default=None, description="Id or slug; left out: the caller's default project.")
    kind: KindName = Kind.FILES
    numbering: Literal["only", "first", "next"] = "only"
    description: str = ""
    licence: str | None = Field(default=None, description="Id or name; left out: the project's default.")
    visibility: VisibilityName = Visibility.PRIVATE
    tags: list[str] = []
    custom: Json = {}
    alias: str | None = None
    collection: str | None = Field(default=None, description="A path in the project, or `coll_…`.")
    expires_at: Instant | None = None
    slug: str | None = None
    declared: Any = Field(default=None, description="Columns or line schema, as the kind understands them.")
    slots: list[NewSlot] | None = Field(default=None, description="Files to come; kinds table and records only.")


class VersionChanges(Changes):
    """What is left out stays; null clears. `project`, `name` and `collection` move the version."""

    description: str = ""
    licence: str = ""
    visibility: VisibilityName = Visibility.PRIVATE
    tags: list[str] = []
    custom: Json = {}
    alias: str | None = None
    expires_at: Instant | None = None
    project: str = ""
    name: str = ""
    collection: str = Field(default="", description="A path in the project ('' is its root), or `coll_…`.")
    numbering: Literal["keep", "next", "keep_else_next"] = "keep"


class TrashVersion(Request):
    reason: str = "deleted"


class ReinstateVersion(Request):
    numbering: Literal["keep", "next", "keep_else_next"] = "keep_else_next"


class CopyVersion(Request):
    """A copy shares its source's entries by reference. Without write permission it is a proposal."""

    revision: RevisionNumber | None = None
    project: str | None = None
    name: str | None = None
    collection: str | None = None
    numbering: Literal["only", "first", "next"] = "next"
    only_paths: list[str] | None = None


class ConvertVersion(Request):
    """A version of checked content made of files that another one holds."""

    name: str
    kind: Literal["records", "table"] = "records"
    project: str | None = Field(default=None, description="Id or slug; where the other one is otherwise.")
    path: str | None = Field(default=None, description="One of its files; all otherwise.")
    revision: RevisionNumber | None = None
    numbering: Literal["only", "first", "next"] = "next"
    description: str = ""
    declared: Any = None


class MergeVersion(Request):
    """Add the files of `source` to this version."""

    source: str
    delete: bool = Field(default=False, description="Put the source into the trash afterwards.")
    hard: bool = Field(default=False, description="Purge it afterwards instead.")


class SetSlug(Request):
    slug: str


class Version(Answer):
    """The record of a version, and its newest revision in numbers."""

    id: str
    dataset: str
    name: str
    slug: str
    project: str
    project_slug: str
    collection: str
    collection_path: str
    number: int | None = Field(description="Null while it was never ready.")
    revision: int
    label: str = Field(description="`slug@number.revision`; labels move, ids do not.")
    kind: Kind
    state: State
    stage: Stage | None
    report: Json | None
    description: str
    licence: str
    visibility: Visibility
    tags: list[str]
    custom: Json
    alias: str | None
    properties: Json
    declared: Any
    unpacked_from: Json | None
    proposal: bool
    previous_version: int | None
    frozen_at: Instant | None
    edit: int = Field(description="Grows with every edit of the record.")
    entries: int
    size: int
    items: int | None = Field(description="Rows of a table, lines of records.")
    data_type: str | None
    role: RoleName | None = Field(default=None, description="The caller's in the owning team.")
    creator: str | None
    created_at: Instant
    updated_at: Instant
    ready_at: Instant | None
    expires_at: Instant | None
    trash: Trash | None


class VersionWithSlots(Version):
    slots: list[Slot] = []


class VersionPage(Answer):
    rows: list[Version]
    next: str | None = None


class PurgePreview(Answer):
    """What a purge would do."""

    frees: int = Field(description="Bytes that nothing else refers to; they go after the grace time.")


class Integrity(Answer):
    """When the stored bytes of a revision were last read and compared with their digests."""

    version: str
    revision: int
    contents: int = Field(description="Different contents that its entries have.")
    size: int = Field(description="Bytes of them.")
    unread: int = Field(description="Contents that were not read again since they arrived.")
    damaged: int = Field(description="Contents whose stored bytes are known to be wrong; none of them is served.")
    last_checked: Instant | None = Field(description="Since then each was read at least once; null while any was not.")


class Dataset(Answer):
    """A line of versions that share a project and a name."""

    id: str
    project: str
    name: str
    slug: str
    created_at: Instant


class DatasetDetail(Dataset):
    versions: list[Version]


class DatasetPage(Answer):
    """The version that each bare name means."""

    rows: list[Version]
    next: str | None = None
