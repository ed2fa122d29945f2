"""Versions: the record that people see, its history, and what is in it. And datasets, the lines of versions."""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack

from entrepot.client.pins import Pin, Thing, pin
from entrepot.client.resources.base import Resource
from entrepot.client.transport import segment
from entrepot.model.errors import Unavailable
from entrepot.model.values import Kind, State, Visibility
from entrepot.wire.messages.entries import (
    Change,
    Committed,
    DiffPage,
    DiffRow,
    Entry,
    EntryDetail,
    EntryPage,
    FolderPage,
    FolderRow,
    Link,
    NewCommit,
    NewLink,
    Restore,
    Revision,
    RevisionPage,
)
from entrepot.wire.messages.notes import NewNote, NoteList
from entrepot.wire.messages.slots import Ingest, IngestList, NewSlot, Slot, SlotList
from entrepot.wire.messages.tasks import Task
from entrepot.wire.messages.versions import (
    CopyVersion,
    DatasetDetail,
    Integrity,
    MergeVersion,
    NewVersion,
    PurgePreview,
    ReinstateVersion,
    SetSlug,
    TrashVersion,
    Version,
    VersionChanges,
    VersionPage,
    VersionWithSlots,
)

__all__ = ["Datasets", "NewVersionFields", "VersionFields", "VersionFilter", "Versions"]

NewNumber = Literal["only", "first", "next"]
KeptNumber = Literal["keep", "next", "keep_else_next"]


class NewVersionFields(TypedDict, total=False):
    """What a new version can be given besides its name."""

    project: str
    kind: Kind
    numbering: NewNumber
    description: str
    licence: str
    visibility: Visibility
    tags: list[str]
    custom: dict[str, Any]
    alias: str
    collection: str
    expires_at: datetime
    slug: str
    declared: Any
    slots: list[NewSlot]


class VersionFields(TypedDict, total=False):
    """What of a version's record can be changed; what is not given stays, None clears."""

    description: str
    licence: str
    visibility: Visibility
    tags: list[str]
    custom: dict[str, Any]
    alias: str | None
    expires_at: datetime | None
    project: str
    name: str
    collection: str
    numbering: KeptNumber


class VersionFilter(TypedDict, total=False):
    """What a list of versions can be narrowed by."""

    project: str
    dataset: str
    name: str
    kind: str
    state: str
    tag: Sequence[str]
    creator: str
    visibility: str
    data_type: str
    alias: str
    collection: str
    trashed: Literal["only", "include"]
    proposals: bool
    ready: bool
    order: Literal["newest", "oldest"]


class Versions(Resource):
    """The records of versions, and everything one can do with a version as a whole."""

    # --- the record ---------------------------------------------------------------------------------------------------

    def list(self, **narrowed: Unpack[VersionFilter]) -> Iterator[Version]:
        """All versions that fit and that the caller may see; pages are fetched as they are needed."""
        yield from self._transport.rows("/versions", VersionPage, narrowed)

    def page(
        self, *, cursor: str | None = None, limit: int | None = None, **narrowed: Unpack[VersionFilter]
    ) -> VersionPage:
        """One page; its `next` is the cursor of the one after it."""
        return self._transport.get("/versions", VersionPage, {**narrowed, "cursor": cursor, "limit": limit})

    def get(self, version: Thing) -> Version:
        """By reference, by any door's id, or anew for a record in hand."""
        return self._transport.get(self._version(version), Version)

    def create(self, name: str, **fields: Unpack[NewVersionFields]) -> VersionWithSlots:
        """Make a version: with `numbering="only"` (the default) the first of its name, with `"next"` the next one.

        Raises:
            NameTaken: There are versions of this name and `numbering` does not allow that.
        """
        return self._transport.post("/versions", VersionWithSlots, NewVersion(name=name, **fields))

    def get_tagged(self, version: Thing) -> tuple[Version, str | None]:
        """The record and the tag of its present state, for an `update` that must not undo somebody else's."""
        return self._transport.get_tagged(self._version(version), Version)

    def update(self, version: Thing, *, if_match: str | None = None, **changes: Unpack[VersionFields]) -> Version:
        """Change the record; `project`, `name` and `collection` move the version.

        Args:
            if_match: The tag that `get_tagged` gave with the record.

        Raises:
            PreconditionFailed: Somebody else edited it since.
        """
        return self._transport.patch(self._version(version), Version, VersionChanges(**changes), if_match=if_match)

    def set_slug(self, version: Thing, slug: str) -> Version:
        """Give its dataset another slug. The old one goes on leading here until somebody takes it."""
        return self._transport.put(self._version(version, "/slug"), Version, SetSlug(slug=slug))

    # --- its life -----------------------------------------------------------------------------------------------------

    def freeze(self, version: Thing) -> Version:
        """Let it take no more content. The next push to it starts the next version."""
        return self._transport.post(self._version(version, "/freeze"), Version)

    def unfreeze(self, version: Thing) -> Version:
        return self._transport.post(self._version(version, "/unfreeze"), Version)

    def accept(self, version: Thing) -> Version:
        """Make a reader's proposal an ordinary version."""
        return self._transport.post(self._version(version, "/accept"), Version)

    def trash(self, version: Thing, reason: str = "deleted") -> Version:
        """Hide it; nothing is lost and its ids go on working."""
        return self._transport.post(self._version(version, "/trash"), Version, TrashVersion(reason=reason))

    def reinstate(self, version: Thing, numbering: KeptNumber = "keep_else_next") -> Version:
        body = ReinstateVersion(numbering=numbering)
        return self._transport.post(self._version(version, "/reinstate"), Version, body)

    def frees(self, version: Thing) -> int:
        """How many bytes a purge would set free."""
        return self._transport.get(self._version(version, "/purge"), PurgePreview).frees

    def integrity(self, version: Thing) -> Integrity:
        """When the stored bytes of its newest revision, or of a pin's, were last compared with their digests."""
        target = pin(self._transport, version)
        return self._transport.get(self._version(target, "/integrity"), Integrity, {"revision": target.revision})

    def purge(self, version: Thing) -> Version:
        """Remove it for good; answers its last record."""
        return self._transport.post(self._version(version, "/purge"), Version)

    def copy(
        self,
        version: Thing,
        *,
        revision: int | None = None,
        project: str | None = None,
        name: str | None = None,
        collection: str | None = None,
        numbering: NewNumber = "next",
        only_paths: Sequence[str] | None = None,
    ) -> Version:
        """A new version that shares this one's entries until either changes; a proposal without write permission."""
        given: dict[str, Any] = {"revision": revision, "project": project, "name": name, "collection": collection}
        given = {field: value for field, value in given.items() if value is not None}
        if only_paths is not None:
            given["only_paths"] = [*only_paths]
        body = CopyVersion(numbering=numbering, **given)
        return self._transport.post(self._version(version, "/copy"), Version, body)

    def merge(self, version: Thing, source: Thing, *, delete: bool = False, hard: bool = False) -> Committed:
        """Add the files of `source` to this version; `delete` puts the source into the trash, `hard` purges it."""
        body = MergeVersion(source=self._version_id(source), delete=delete, hard=hard)
        return self._transport.post(self._version(version, "/merge"), Committed, body)

    # --- notes --------------------------------------------------------------------------------------------------------

    def notes(self, version: Thing) -> NoteList:
        """Its own notes, and those of everything that it came from, nearest first."""
        return self._transport.get(self._version(version, "/notes"), NoteList)

    def add_note(self, version: Thing, text: str) -> Version:
        """Write something that whoever depends on this version should know, now and later."""
        return self._transport.post(self._version(version, "/notes"), Version, NewNote(text=text))

    def remove_note(self, version: Thing, note: str) -> None:
        """By its id, at the version where it was written."""
        self._transport.send("DELETE", self._version(version, f"/notes/{segment(note)}"))

    # --- its history --------------------------------------------------------------------------------------------------

    def revisions(self, version: Thing) -> Iterator[Revision]:
        """Newest first."""
        yield from self._transport.rows(self._version(version, "/revisions"), RevisionPage)

    def revision(self, version: Thing, number: int) -> Revision:
        return self._transport.get(self._version(version, f"/revisions/{number}"), Revision)

    def diff(
        self, version: Thing, start: int, end: int | None = None, *, other: Thing | None = None
    ) -> Iterator[DiffRow]:
        """What changed from revision `start` to revision `end`.

        Args:
            end: Of `version`; its newest if None.
            other: Another version, whose revision `start` then is.
        """
        target = pin(self._transport, version)
        asked = {
            "from": start,
            "to": target.revision if end is None else end,
            "other": None if other is None else self._version_id(other),
        }
        yield from self._transport.rows(self._version(target, "/diff"), DiffPage, asked)

    def restore(self, version: Thing, revision: int, *, expected: int | None = None, message: str = "") -> Committed:
        """A new revision that holds what an old one held. Nothing in between is lost."""
        body = Restore(revision=revision, expected=expected, message=message)
        return self._transport.post(self._version(version, "/restore"), Committed, body)

    # --- what is in it ------------------------------------------------------------------------------------------------

    def entries(self, version: Thing, *, prefix: str | None = None) -> Iterator[Entry]:
        """The files of a revision in path order, of the newest one unless the reference or pin names another.

        Args:
            prefix: Only paths that start so; a folder with its `/`.
        """
        for page in self.entry_pages(version, prefix=prefix):
            yield from page.rows

    def entry_pages(
        self, version: Thing, *, prefix: str | None = None, limit: int | None = None
    ) -> Iterator[EntryPage]:
        target = pin(self._transport, version)
        if prefix is None and target.path is not None:
            prefix = f"{target.path}/"
        asked = {"revision": target.revision, "prefix": prefix}
        yield from self._transport.pages(self._version(target, "/entries"), EntryPage, asked, limit=limit)

    def entry(self, version: Thing, path: str | None = None) -> EntryDetail:
        """
        Raises:
            EntryNotFound: There is no such file in this revision.
        """
        target = pin(self._transport, version, path)
        asked = {"path": target.path or "", "revision": target.revision}
        return self._transport.get(self._version(target, "/entry"), EntryDetail, asked)

    def folder(self, version: Thing, path: str | None = None) -> Iterator[FolderRow]:
        """The files and folders of one level of the tree."""
        target = pin(self._transport, version, path or None)
        asked = {"path": target.path or "", "revision": target.revision}
        yield from self._transport.rows(self._version(target, "/folder"), FolderPage, asked)

    def commit(
        self,
        version: Thing,
        changes: Sequence[Change],
        *,
        expected: int | None = None,
        message: str = "",
    ) -> Committed:
        """Make one revision of all changes, or none of them.

        Raises:
            StaleRevision: `expected` is not the newest revision.
            PathTaken, EntryNotFound: A change cannot be applied; `errors` names all of them.
        """
        body = NewCommit(changes=[*changes], expected=expected, message=message)
        return self._transport.post(self._version(version, "/commits"), Committed, body)

    def clear(self, version: Thing) -> Committed:
        """Empty the metadata text of every entry."""
        return self._transport.post(self._version(version, "/clear"), Committed)

    def link(
        self,
        version: Thing,
        path: str | None = None,
        *,
        archive: Literal["zip", "tar", "tar.gz"] | None = None,
        expires_in_s: int | None = None,
    ) -> Link:
        """An address that anybody can fetch a file or an archive from, until it expires or the caller's right ends."""
        target = pin(self._transport, version, path)
        given: dict[str, Any] = {"revision": target.revision}
        if archive is None:
            given["path"] = target.path
        else:
            given |= {"archive": archive} | ({} if target.path is None else {"prefix": target.path})
        given |= {} if expires_in_s is None else {"expires_in_s": expires_in_s}
        return self._transport.post(self._version(target, "/links"), Link, NewLink(**given))

    # --- content that is checked first --------------------------------------------------------------------------------

    def slots(self, version: Thing) -> builtins.list[Slot]:
        """The files that a table or records version waits for."""
        return self._transport.get(self._version(version, "/slots"), SlotList).rows

    def ingest(self, version: Thing) -> Task:
        """Start checking what was put into the slots."""
        return self._transport.post(self._version(version, "/ingest"), Task)

    def ingests(self, version: Thing) -> builtins.list[Ingest]:
        return self._transport.get(self._version(version, "/ingests"), IngestList).rows

    def wait(self, version: Thing, *, timeout: float | None = None) -> Version:
        """The version once it is ready or has failed; which, and why, its `state` and `report` say.

        Raises:
            Unavailable: Neither within `timeout` seconds.
        """
        identity = self._version_id(version)
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            record = self.get(identity)
            if record.state in (State.READY, State.FAILED):
                return record
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise Unavailable(
                    f"{record.label} is still {record.state.value} after {timeout:g} s. Wait for it again."
                )
            running = [ingest.task for ingest in self.ingests(identity) if ingest.task and ingest.ended_at is None]
            if running:
                self._client.tasks.wait(running[0], timeout=left)
            else:
                time.sleep(0.5 if left is None else min(0.5, left))


class Datasets(Resource):
    """Lines of versions that share a project and a name."""

    def get(self, dataset: str) -> DatasetDetail:
        """With all its versions. By `ds_…`, or by a reference or id of any of its versions."""
        if not dataset.startswith("ds_"):
            dataset = pin(self._transport, dataset).record.dataset
        return self._transport.get(f"/datasets/{segment(dataset)}", DatasetDetail)

    def list(self, project: str) -> Iterator[Version]:
        """Of each dataset of a project the version that its bare name means."""
        yield from self._client.projects.datasets(project)

    def pin(self, reference: str) -> Pin:
        """What a reference means now; the pin goes on meaning it."""
        return pin(self._transport, reference)
