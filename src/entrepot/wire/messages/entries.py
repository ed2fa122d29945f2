"""What is in a version: entries, commits, revisions and what changed between two of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from entrepot.wire.messages.base import Answer, Instant, Request, RevisionNumber, Seconds, Sha256
from entrepot.wire.messages.versions import NewVersion, Version

Condition = Literal["any", "absent", "present"]


class Source(Request):
    """Content that lies somewhere else already."""

    version: str
    path: str
    revision: RevisionNumber | None = None


class Add(Request):
    """Put content at a path; one of `upload`, `sha256` and `source` says which, or the first two together."""

    op: Literal["add"]
    path: str
    upload: str | None = Field(
        default=None, description="A finished upload of the caller; of a batch `sha256` says which."
    )
    sha256: Sha256 | None = Field(
        default=None, description="Content that the caller may read already, or that came with `upload`."
    )
    source: Source | None = None
    media_type: str | None = None
    data_type: str | None = None
    metadata: str | None = Field(default=None, description="Null keeps the text that is there.")
    condition: Condition = Field(default="any", description="What must be at the path before.")


#: JSON has no tuples: what is given is a list of exactly these two.
_PathAndDigest = Annotated[tuple[str, Sha256], Field(strict=False)]


class AddFiles(Request):
    """Put many contents at their paths, each as an `add` with `sha256` would; the positions are in this order."""

    op: Literal["add_files"]
    files: list[_PathAndDigest] = Field(min_length=1, description="Paths and digests of their contents.")
    upload: str | None = Field(
        default=None,
        description="A finished upload of the caller that brought all of them; left out, they are contents that the "
        "caller may read already.",
    )
    condition: Condition = Field(default="any", description="What must be at each of the paths before.")


class AddBatch(Request):
    """Put all files of a batch at the paths that its frames name, in the order in which they came."""

    op: Literal["add_batch"]
    upload: str = Field(description="A finished batch of the caller.")
    condition: Condition = Field(default="any", description="What must be at each of the paths before.")


class Remove(Request):
    op: Literal["remove"]
    path: str
    recursive: bool = Field(default=False, description="The path is a folder; everything below it goes.")


class Rename(Request):
    op: Literal["rename"]
    source: str
    target: str
    recursive: bool = False


class Describe(Request):
    op: Literal["describe"]
    path: str
    metadata: str


Change = Annotated[Add | AddFiles | AddBatch | Remove | Rename | Describe, Field(discriminator="op")]


class NewCommit(Request):
    """One revision of all the changes, or none of them."""

    TYPED_THROUGHOUT = True

    changes: list[Change]
    expected: RevisionNumber | None = Field(default=None, description="The revision the caller saw; 409 when stale.")
    message: str = ""


class NewWholeVersion(Request):
    """A version of kind `files` and its first revision: all of it or nothing."""

    version: NewVersion
    changes: list[Change]
    message: str = ""


class Restore(Request):
    revision: RevisionNumber
    expected: RevisionNumber | None = None
    message: str = ""


class Revision(Answer):
    id: str
    number: int
    author: str | None
    at: Instant
    message: str
    entries: int
    size: int


class Committed(Answer):
    version: Version
    revision: Revision


class RevisionPage(Answer):
    rows: list[Revision]
    next: str | None = None


class Entry(Answer):
    path: str
    size: int
    sha256: str
    crc32c: str
    media_type: str | None
    data_type: str | None
    metadata: str
    position: int
    added_at: Instant | None = None
    added_by: str | None = None


class EntryPage(Answer):
    """In path order; a page stays with the revision of the first one."""

    version: str
    revision: int
    rows: list[Entry]
    next: str | None = None


class EntryDetail(Entry):
    version: str
    revision: int


class FolderRow(Answer):
    """A file (`entry` is given) or a folder of one level of the tree."""

    name: str
    folder: bool
    entry: Entry | None = None


class FolderPage(Answer):
    version: str
    revision: int
    path: str
    rows: list[FolderRow]
    next: str | None = None


class DiffRow(Answer):
    """One difference. `old_path` is given for what was renamed."""

    change: Literal["added", "removed", "changed", "renamed"]
    path: str
    old_path: str | None = None
    old: Entry | None = None
    new: Entry | None = None


class DiffPage(Answer):
    rows: list[DiffRow]
    next: str | None = None


class KnownRequest(Request):
    TYPED_THROUGHOUT = True

    sha256: list[Sha256]


class Known(Answer):
    """Those of the digests whose bytes need not be sent; good for the server's grace time."""

    known: list[str]


class NewLink(Request):
    """Exactly one of `path` and `archive`."""

    path: str | None = None
    archive: Literal["zip", "tar", "tar.gz"] | None = None
    prefix: str | None = Field(default=None, description="Only this folder of an archive.")
    revision: RevisionNumber | None = None
    expires_in_s: Seconds | None = Field(
        default=None, description="Left out, or longer than the server gives: as long as it gives."
    )


class Link(Answer):
    """A URL that carries its own, narrow permission."""

    url: str
    expires_at: Instant
