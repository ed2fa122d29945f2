"""Entries: what is in a version, at which revision, and changing it all or nothing.

A commit adds, removes, renames and describes any number of entries as one new revision. It either names the revision it
saw (stale is a conflict) or is applied to the head under a condition per path. Nothing is ever overwritten: any
revision can be read, compared and restored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from entrepot.catalog import contents as content_rows
from entrepot.catalog import entries as rows
from entrepot.catalog import events as event_rows
from entrepot.catalog import projects as project_rows
from entrepot.catalog import uploads as upload_rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.entries import EntryRow
from entrepot.catalog.versions import Found
from entrepot.depot import lines, lookup, paging
from entrepot.depot.brought import no_batch, of_upload
from entrepot.depot.changes import Add as Add
from entrepot.depot.changes import AddBatch as AddBatch
from entrepot.depot.changes import Brought, count
from entrepot.depot.changes import Change as Change
from entrepot.depot.changes import Condition as Condition
from entrepot.depot.changes import Describe as Describe
from entrepot.depot.changes import Remove as Remove
from entrepot.depot.changes import Rename as Rename
from entrepot.depot.changes import clean_change as clean_change
from entrepot.depot.committed import Committed as Committed
from entrepot.depot.contents import ContentReader, locate, open_located
from entrepot.depot.context import Depot
from entrepot.depot.events import tell
from entrepot.depot.lookup import Key
from entrepot.depot.readying import readied
from entrepot.depot.refusing import require_good_changes
from entrepot.depot.uploads import BATCH, FINISHED
from entrepot.depot.versions import again
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor, may
from entrepot.model.digests import sha256_text
from entrepot.model.errors import EntrepotError, EntryNotFound, Invalid, InvalidName, NotFound, StaleRevision, TooLarge
from entrepot.model.ids import Noun
from entrepot.model.values import Entry, Kind, Page, Revision, Version

#: So many digests may be asked about in one question.
KNOWN_DIGESTS = 10_000
_NO_BATCH: tuple[dict[bytes, int], str | None] = {}, None


def commit(
    depot: Depot,
    actor: Actor,
    key: Key,
    changes: Sequence[Change],
    *,
    expected: int | None = None,
    message: str = "",
) -> Committed:
    """Make one revision of all the changes, or none of them.

    Raises:
        StaleRevision: `expected` is not the newest revision.
        PathTaken, EntryNotFound, Invalid: A change cannot be applied; `errors` names all of them.
        Frozen, Trashed, KindMismatch: The version takes no such change.
        QuotaExceeded: The project has no room for it.
    """
    now = depot.now()
    text = names.text(message, max_length=10_000, field="Message")
    with depot.catalog.one_moment():
        clean = readied(depot, actor, changes, "Split it into several.")
        require_good_changes(depot, actor, partial(_home_of, key, actor), clean)

    def work(conn: Connection) -> Committed:
        return commit_in(conn, depot, actor, key, clean, expected=expected, message=text, now=now)

    return depot.catalog.write(work, bulk=count(clean) > 2000)


def _home_of(key: Key, actor: Actor, conn: Connection) -> int | None:
    found = version_rows.find_by(conn, key, asking=actor.user)
    return None if found is None else found.version.project


def commit_in(
    conn: Connection,
    depot: Depot,
    actor: Actor,
    key: Key,
    changes: Sequence[Change],
    *,
    expected: int | None,
    message: str,
    now: datetime,
) -> Committed:
    """`commit` inside the caller's transaction, for changes that went through `clean` already."""
    found = lookup.hold(conn, actor, key, Action.EDIT)
    described_only = all(isinstance(change, Describe) for change in changes)
    lookup.writable(found, kind=None if described_only else Kind.FILES)
    puts = _resolve(conn, depot, actor, changes)
    return publish(conn, actor, found, puts, expected=expected, message=message, now=now)


def publish(
    conn: Connection,
    actor: Actor,
    found: Found,
    changes: Sequence[rows.RowChange],
    *,
    expected: int | None,
    message: str,
    now: datetime,
) -> Committed:
    """Write resolved changes as a revision with its event; the caller has asked the judge and holds the version."""
    version = found.version
    require_newest(version, expected)
    event = tell(
        conn,
        actor,
        "revision.created",
        version,
        now,
        # The version is held, so this is the number; the entries are said to be added by this event.
        revision=version.revision + 1,
        detail={"message": message} if message else None,
    )
    made = rows.commit(
        conn, version.n, changes, expected=expected, author=actor.user, at=now, message=message, event=event
    )
    return settle(conn, actor, found, now, made)


def require_newest(version: Version, expected: int | None) -> None:
    """The version is held, so what the caller saw can be compared before anything is written."""
    if expected is not None and expected != version.revision:
        raise StaleRevision(
            f"{version.label} is at revision {version.revision} now, not {lookup.said(expected)}. "
            "Read it again and repeat the change on top.",
            details={"revision": version.revision},
        )


def settle(
    conn: Connection, actor: Actor, found: Found, now: datetime, made: rows.RevisionRow | None = None
) -> Committed:
    """What follows every new revision: acceptance of a proposal, the first-time event, room.

    Args:
        made: The new one, where nothing else of the version was changed than a commit changes; None reads it again.
    """
    before = found.version
    accepted = before.is_proposal and may(actor, Action.ACCEPT, lookup.standing_of(found))
    if accepted:
        version_rows.change(conn, before.n, {"is_proposal": False}, edited=False)
    if made is None:
        after = again(conn, actor, before.n)
        newest = version_rows.find_revision(conn, after.n, after.revision)
        assert newest is not None
        done = Committed(after, newest)
    else:
        done = Committed.made(before, made, actor, accepted=accepted)
    if before.revision == 0:
        tell(conn, actor, "version.ready", before, now, revision=done.revision.number)
    if accepted:
        told = {"is_proposal": True}, {"is_proposal": False}
        tell(conn, actor, "version.updated", before, now, before=told[0], after=told[1])
    if done.revision.n_bytes > before.n_bytes and project_rows.allocation(conn, before.project) is not None:
        home = project_rows.find(conn, user=actor.user, n=before.project)
        assert home is not None
        lines.room_for(conn, home[0], 0)
    return done


def unchanged(conn: Connection, found: Found) -> Committed:
    """The version as it is, for a change that has nothing to change."""
    revision = version_rows.find_revision(conn, found.version.n, found.version.revision)
    assert revision is not None
    return Committed(found.version, revision)


def _resolve(conn: Connection, depot: Depot, actor: Actor, changes: Sequence[Change]) -> list[rows.RowChange]:
    """Find the content of every addition; all that are missing are named together."""
    uploads, claimed = _named(changes)
    rows_of = upload_rows.find_many(conn, uploads)
    # Of finished batches: a commit names their files by the thousand, so nothing else is asked for each of those.
    batches: dict[UUID, tuple[dict[bytes, int], str | None]] = {}
    by_digest = {change.upload for change in changes if isinstance(change, Add)}
    for uid, one in rows_of.items():
        if one.purpose == BATCH and one.state == FINISHED and one.owner == actor.user:
            batches[uid] = upload_rows.members(conn, one.n) if uid in by_digest else {}, one.media
    known = claim(conn, depot, actor, claimed) if claimed else {}
    faults: list[dict[str, Any]] = []
    out: list[rows.RowChange] = []
    latest: UUID | None = None
    members, of_batch = _NO_BATCH
    for i, change in enumerate(changes):
        if isinstance(change, Add):
            path, upload, sha256, _, media, dtype, metadata, condition = change
            content, fault = None, ""
            if upload is not None:
                if upload is not latest:
                    latest = upload
                    members, of_batch = batches.get(upload, _NO_BATCH)
                content = members.get(sha256) if sha256 is not None else None
                if content is not None:
                    media = media or of_batch
                else:
                    row = rows_of.get(upload)
                    if row is None or row.owner != actor.user or row.state == "aborted":
                        fault = f"There is no upload {ids.encode(Noun.UPLOAD, upload)}, or it is not yours."
                    else:
                        content, fault = of_upload(row, sha256)
                        media = media or row.media
            elif sha256 is not None:
                content = known.get(sha256)
                if content is None:
                    fault = f"The content {sha256_text(sha256)} is not here, or not for you. Send the bytes."
            else:
                content, media, fault, dtype = _from_elsewhere(conn, actor, change, media)
            if content is None:
                faults.append({"index": i, "path": path, "code": "missing_content", "detail": fault})
                continue
            out.append(rows.Put(path, content, media, dtype, metadata, None, condition))
        elif isinstance(change, Brought):
            # Its contents are those that it was found with: they cannot go as long as it is there.
            if change.upload not in batches or not change.files:
                fault = no_batch(rows_of.get(change.upload), change.upload, actor)
                faults.append({"index": i, "code": "missing_content", "detail": fault})
            elif change.condition == "any":
                out += change.files
            else:
                out += [put._replace(condition=change.condition) for put in change.files]
        elif isinstance(change, Remove):
            out.append(rows.Remove(change.path, change.recursive))
        elif isinstance(change, Rename):
            out.append(rows.Rename(change.source, change.target, change.recursive))
        elif isinstance(change, Describe):
            out.append(rows.Describe(change.path, change.metadata))
        else:
            raise AssertionError("batches are looked up before the transaction, by `readied`")
    if faults:
        raise Invalid(
            f"Nothing was committed: {faults[0]['detail']}"
            + (f" ({len(faults) - 1} more, see errors)" if len(faults) > 1 else ""),
            errors=faults,
            details={"missing": len(faults)},
        )
    return out


def _named(changes: Sequence[Change]) -> tuple[list[UUID], list[bytes]]:
    """The uploads that are named, and the digests that are named alone, each once."""
    uploads: dict[UUID, None] = {}
    digests: dict[bytes, None] = {}
    latest: UUID | None = None
    for change in changes:
        if isinstance(change, Add):
            upload = change.upload
            if upload is None:
                if change.sha256 is not None:
                    digests[change.sha256] = None
            elif upload is not latest:
                # A key of this type is hashed in Python, and neighbours come from the same batch.
                uploads[upload] = None
                latest = upload
        elif isinstance(change, Brought):
            uploads[change.upload] = None
    return list(uploads), list(digests)


def _from_elsewhere(
    conn: Connection, actor: Actor, change: Add, media: str | None
) -> tuple[int | None, str | None, str, str | None]:
    assert change.source is not None
    key, revision, path = change.source
    try:
        found, wanted = pin(conn, actor, key, revision, action=Action.READ_CONTENT)
        row = entry_at(conn, found.version, wanted, path)
    except EntrepotError as error:
        return None, media, str(error), None
    return row.content, media or row.media, "", change.data_type or row.dtype


def entry_at(conn: Connection, version: Version, revision: int, path: str) -> EntryRow:
    """The entry at a path, in whatever form of Unicode it was asked for.

    Raises:
        EntryNotFound: There is none; what is no path at all is no entry's.
    """
    try:
        row = rows.get(conn, version.n, revision, names.entry_path(path))
    except InvalidName:
        row = None
    if row is None:
        raise EntryNotFound(f"{version.label} has no entry {lookup.said(path)!r} at revision {revision}.")
    return row


def claim(conn: Connection, depot: Depot, actor: Actor, digests: Sequence[bytes]) -> dict[bytes, int]:
    """Contents the caller may point at by digest alone: those of entries whose content they may read.

    A stranger cannot learn here that content exists: what they may not read is as unknown as what is not there.
    """
    found = content_rows.find_many(conn, digests)
    mine = content_rows.readable_many(conn, list(found.values()), lookup.sight(actor, content=True))
    allowed = {digest for digest, content in found.items() if content in mine}
    if allowed:
        hits = content_rows.dedupe_hit(conn, list(allowed), at=depot.now())
        return {digest: content for digest, content in hits.items() if digest in allowed}
    return {}


def known(depot: Depot, actor: Actor, digests: Sequence[bytes]) -> set[bytes]:
    """Which of these contents need not be sent again. The answer is good for the grace time of collection."""
    lookup.person(actor)
    if len(digests) > KNOWN_DIGESTS:
        raise TooLarge(f"Ask about at most {KNOWN_DIGESTS} digests at a time, not {len(digests)}.")
    return set(depot.catalog.write(lambda conn: claim(conn, depot, actor, digests)))


# Reading


@dataclass(frozen=True, slots=True)
class Opened:
    """An entry pinned to the revision it was found in, and a reader of its bytes."""

    version: Version
    revision: int
    entry: Entry
    reader: ContentReader


@dataclass(frozen=True, slots=True)
class FolderItem:
    """One name inside a folder: a file with its entry, or a folder with something below it."""

    name: str
    is_folder: bool
    entry: Entry | None


def entry_of(row: EntryRow, stamps: Mapping[int, tuple[datetime, str | None]] | None = None) -> Entry:
    """The row as people see it. `stamps` tells when and by whom things were added, where that was asked for."""
    at, by = (stamps or {}).get(row.added, (None, None))
    return Entry(
        path=row.path,
        size=row.size,
        sha256=row.sha256,
        crc32c=row.crc32c,
        crc32=row.crc32,
        media_type=row.media,
        data_type=row.dtype,
        metadata=row.meta or "",
        position=row.pos,
        added_at=at,
        added_by=by,
        content=row.content,
    )


def stamped(conn: Connection, listed: Sequence[EntryRow]) -> list[Entry]:
    """The rows as people see them, with when and by whom each was added."""
    stamps = event_rows.stamps(conn, [row.added for row in listed])
    return [entry_of(row, stamps) for row in listed]


def pin(conn: Connection, actor: Actor, key: Key, revision: int | None, *, action: Action) -> tuple[Found, int]:
    """The version, judged, and the revision meant: the newest when none is named."""
    found = lookup.version(conn, actor, key, action)
    wanted = found.version.revision if revision is None else revision
    if wanted < 0 or wanted > found.version.revision:
        raise NotFound(
            f"{found.version.label} has no revision {lookup.said(wanted)}; its newest is {found.version.revision}."
        )
    return found, wanted


def folder_of(prefix: str | None) -> str | None:
    """A folder as people write it, with or without slashes around; None for the top.

    Raises:
        InvalidName: It is no path.
    """
    stripped = "" if prefix is None else prefix.strip("/")
    return names.entry_path(stripped) if stripped else None


def list_entries(
    depot: Depot,
    actor: Actor,
    key: Key,
    *,
    revision: int | None = None,
    prefix: str | None = None,
    cursor: str | None = None,
    limit: int = 1000,
) -> tuple[Version, int, Page[Entry]]:
    """Entries in path order, below the folder `prefix` if one is given; the page stays with its revision."""
    size = paging.size(depot, limit)
    below = folder_of(prefix)
    question = f"entries:{key}:{below}"
    last = paging.after(cursor, question, int, str)
    with depot.catalog.read() as conn:
        asked, after = (revision, None) if last is None else last
        found, wanted = pin(conn, actor, key, asked, action=Action.READ_CONTENT)
        shown = stamped(conn, rows.page(conn, found.version.n, wanted, after=after, limit=size + 1, prefix=below))
    return found.version, wanted, paging.page(shown, size, question, lambda entry: (wanted, entry.path))


def list_folder(
    depot: Depot,
    actor: Actor,
    key: Key,
    folder: str = "",
    *,
    revision: int | None = None,
    cursor: str | None = None,
    limit: int = 1000,
) -> tuple[Version, int, Page[FolderItem]]:
    """One level of the tree: files and sub-folders of `folder` ('' is the top) by name."""
    size = paging.size(depot, limit)
    place = folder_of(folder) or ""
    question = f"folder:{key}:{place}"
    last = paging.after(cursor, question, int, str)
    with depot.catalog.read() as conn:
        asked, after = (revision, None) if last is None else last
        found, wanted = pin(conn, actor, key, asked, action=Action.READ_CONTENT)
        listed = rows.folder(conn, found.version.n, wanted, place, after=after, limit=size + 1)
        files = iter(stamped(conn, [item.entry for item in listed if item.entry is not None]))
    items = [FolderItem(item.name, item.is_folder, next(files) if item.entry is not None else None) for item in listed]
    return found.version, wanted, paging.page(items, size, question, lambda item: (wanted, item.name))


def get(
    depot: Depot,
    actor: Actor,
    key: Key,
    path: str | None = None,
    *,
    position: int | None = None,
    revision: int | None = None,
) -> tuple[Version, int, Entry]:
    """One entry, by path or by position.

    Raises:
        EntryNotFound: The revision has none there.
    """
    with depot.catalog.read() as conn:
        found, wanted = pin(conn, actor, key, revision, action=Action.READ_CONTENT)
        if path is not None:
            row = entry_at(conn, found.version, wanted, path)
        else:
            row = entry_number(conn, found.version, wanted, position or 0)
        return found.version, wanted, stamped(conn, [row])[0]


def open_entry(
    depot: Depot,
    actor: Actor,
    key: Key,
    path: str | None = None,
    *,
    position: int | None = None,
    sha256: bytes | None = None,
    revision: int | None = None,
) -> Opened:
    """An entry and its bytes, by path, by position, or any that has these bytes."""
    with depot.catalog.read() as conn:
        found, wanted = pin(conn, actor, key, revision, action=Action.READ_CONTENT)
        if path is not None:
            row = entry_at(conn, found.version, wanted, path)
        elif sha256 is not None:
            row = _entry_with(conn, found.version, wanted, sha256)
        else:
            row = entry_number(conn, found.version, wanted, position or 0)
        located = locate(conn, row.content)
    return Opened(found.version, wanted, entry_of(row), open_located(depot, located))


def _entry_with(conn: Connection, version: Version, revision: int, sha256: bytes) -> EntryRow:
    for content in content_rows.with_digest(conn, sha256):
        if (row := rows.get_by_content(conn, version.n, revision, content)) is not None:
            return row
    raise EntryNotFound(f"{version.label} has no entry with the bytes {sha256_text(sha256)} at revision {revision}.")


def entry_number(conn: Connection, version: Version, revision: int, position: int) -> EntryRow:
    row = rows.get_by_position(conn, version.n, revision, position) if 0 <= position < 2**63 else None
    if row is None:
        raise EntryNotFound(f"{version.label} has no entry number {lookup.said(position)} at revision {revision}.")
    return row


def iterate(
    depot: Depot,
    actor: Actor,
    key: Key,
    *,
    revision: int | None = None,
    prefix: str | None = None,
    by_position: bool = False,
) -> tuple[Version, int, Iterator[Entry]]:
    """All entries of one revision, page by page: no read transaction outlives a page.

    Args:
        prefix: Only below this folder; in path order.
        by_position: In order of first addition instead of path order.
    """
    below = folder_of(prefix)
    with depot.catalog.read() as conn:
        found, wanted = pin(conn, actor, key, revision, action=Action.READ_CONTENT)
    n = found.version.n

    def pages() -> Iterator[Entry]:
        after: str | None = None
        position = -1
        while True:
            with depot.catalog.read() as conn:
                if by_position:
                    page = rows.page_by_position(conn, n, wanted, after=position, limit=1000)
                else:
                    page = rows.page(conn, n, wanted, after=after, limit=1000, prefix=below)
            if not page:
                return
            yield from (entry_of(row) for row in page)
            after, position = page[-1].path, page[-1].pos

    return found.version, wanted, pages()


# History


def revision(depot: Depot, actor: Actor, key: Key, number: int) -> Revision:
    with depot.catalog.read() as conn:
        found, wanted = pin(conn, actor, key, number, action=Action.READ_CONTENT)
        row = version_rows.find_revision(conn, found.version.n, wanted)
    if row is None:
        raise NotFound(f"{found.version.label} has no revision {number} any more.")
    return row


def diff(
    depot: Depot, actor: Actor, older: tuple[Key, int | None], newer: tuple[Key, int | None]
) -> Iterator[rows.EntryChange]:
    """What changed from one revision to another: added, removed, changed, renamed; streamed in path order.

    The two may belong to different versions, even of different datasets.
    """
    with depot.catalog.read() as conn:
        one, one_rev = pin(conn, actor, older[0], older[1], action=Action.READ_CONTENT)
        two, two_rev = pin(conn, actor, newer[0], newer[1], action=Action.READ_CONTENT)
    return rows.diff(depot.catalog, (one.version.n, one_rev), (two.version.n, two_rev))


def restore(
    depot: Depot, actor: Actor, key: Key, to: int, *, expected: int | None = None, message: str = ""
) -> Committed:
    """A new revision that shows what an old one showed."""
    now = depot.now()
    text = names.text(message, max_length=10_000, field="Message") or f"Restore revision {lookup.said(to)}"

    def work(conn: Connection) -> Committed:
        found = lookup.hold(conn, actor, key, Action.EDIT)
        version = lookup.writable(found)
        if to < 0 or to > version.revision:
            raise NotFound(f"{version.label} has no revision {lookup.said(to)}; its newest is {version.revision}.")
        require_newest(version, expected)
        event = tell(
            conn, actor, "revision.created", version, now, revision=version.revision + 1, detail={"restored": to}
        )
        rows.restore(conn, version.n, to, expected=expected, author=actor.user, at=now, message=text, event=event)
        return settle(conn, actor, found, now)

    return depot.catalog.write(work, bulk=True)


def clear(depot: Depot, actor: Actor, key: Key) -> Committed:
    """Every entry's metadata text becomes empty, as one revision."""
    now = depot.now()

    def work(conn: Connection) -> Committed:
        found = lookup.hold(conn, actor, key, Action.EDIT)
        lookup.writable(found)
        return publish(
            conn, actor, found, [rows.DescribeAll("")], expected=None, message="Clear metadata texts", now=now
        )

    return depot.catalog.write(work, bulk=True)
