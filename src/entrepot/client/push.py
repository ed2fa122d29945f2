"""Making a version equal to a folder: only what the server does not have is sent, and all of it becomes one revision.

    look      every file's path, size and time; what cannot be stored is said before anything else happens
    list      the version's newest revision
    hash      what changed since last time (the stat cache knows the rest)
    ask       which of the contents that the revision lacks the server may take from what the caller can read there
    send      the others, restartable and in parallel; small files while others are hashed
    compare   what the folder holds with the listing: added, changed, renamed, removed
    commit    once, against the revision that was compared with

If somebody else commits meanwhile and touched other paths, the commit is repeated on top of theirs; if they touched
the same ones, nothing is changed and the push says which. A push that is killed goes on where it stopped when it is
run again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeAlias

from entrepot.client import pins
from entrepot.client.journal import Journal
from entrepot.client.listing import listed_pages
from entrepot.client.outgoing import Outgoing
from entrepot.client.parallel import Stop
from entrepot.client.pins import Thing
from entrepot.client.plan import Plan, make_plan
from entrepot.client.progress import OnProgress, Tally
from entrepot.client.statcache import StatCache, stat_of
from entrepot.client.transfer import PARALLEL, Sender
from entrepot.client.transport import Transport, segment
from entrepot.client.tree import ATTEMPTS, LocalFile, LocalTree, Problem, scan
from entrepot.model import names
from entrepot.model.digests import parse_sha256, sha256_text
from entrepot.model.errors import (
    Conflict,
    Invalid,
    KindMismatch,
    NameTaken,
    NotFound,
    SourceChanged,
    StaleRevision,
    WrongState,
)
from entrepot.model.values import Kind
from entrepot.wire.messages.entries import (
    AddBatch,
    AddFiles,
    Change,
    Committed,
    DiffPage,
    NewCommit,
    Remove,
    Rename,
)
from entrepot.wire.messages.projects import ProjectDetail
from entrepot.wire.messages.server import Server
from entrepot.wire.messages.versions import CopyVersion, NewVersion, Version, VersionWithSlots

__all__ = ["PushOptions", "Pushed", "push"]

_REBASES = 5
#: A commit may take as long as the server needs for a hundred thousand entries.
_COMMIT_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class PushOptions:
    """How to push.

    Args:
        keep: Leave files that only the version has. A single file is always pushed so.
        name: Of the dataset, if it is made by this push; otherwise its slug is its name.
        follow_links: Take what symbolic links lead to.
        dry_run: Work everything out and change nothing.
        only: Which files of a folder are meant; all others, and what cannot be stored, are as if they were not there.
    """

    message: str = ""
    keep: bool = False
    name: str | None = None
    description: str = ""
    follow_links: bool = False
    dry_run: bool = False
    parallel: int = PARALLEL
    only: Callable[[LocalFile], bool] | None = None


@dataclass(slots=True)
class Pushed:
    """What a push did, or with `dry_run` would do.

    Args:
        version: As it is now; None where a dry run found no dataset yet.
        made: `dataset` or `version` if the push made one; None otherwise.
        sent: Contents and bytes that went over the network. What the server had already is not in it.
        on_top_of: Revisions of others that the commit was moved on top of.
    """

    version: Version | None
    plan: Plan
    made: str | None = None
    sent_files: int = 0
    sent_bytes: int = 0
    total_files: int = 0
    total_bytes: int = 0
    on_top_of: int = 0
    dry_run: bool = False
    skipped: list[Problem] = field(default_factory=list)
    clashes: list[tuple[str, ...]] = field(default_factory=list)
    ignored: int = 0

    @property
    def changed(self) -> bool:
        return not self.plan.is_empty


@dataclass(slots=True)
class _Target:
    """Where a push goes. `record` is None while the dataset does not exist."""

    record: Version | None
    prefix: str | None
    project: str
    dataset: str
    made: str | None = None


def push(
    transport: Transport,
    source: Path,
    target: Thing,
    options: PushOptions | None = None,
    *,
    journal: Journal,
    stats: StatCache,
    on_progress: OnProgress | None = None,
    tally: Tally | None = None,
    stop: Stop | None = None,
) -> Pushed:
    """Make the version that `target` names hold what `source` holds: a folder's files, or one file.

    Args:
        tally: Instead of `on_progress`, the counters themselves.
        stop: Ends it between two blocks.

    Raises:
        InvalidName: Files that cannot be stored; `errors` names them all. Nothing was sent.
        SourceChanged: A file did not hold still, three times.
        StaleRevision: Somebody changed the same paths meanwhile; `errors` names them. Nothing was changed.
        KindMismatch: The version is a table or records, ready or not. Nothing was sent.
        WrongState: The dataset has nothing but a version that waits for its first content. Nothing was sent.
    """
    work = _Push(transport, options or PushOptions(), journal, stats, tally or Tally(on_progress), stop)
    for attempt in range(ATTEMPTS):
        try:
            return work.run(source, target)
        except SourceChanged:
            # What was sent is in the journal, so another round costs only what really changed.
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("the loop returns or raises")


class _Push:
    def __init__(
        self,
        transport: Transport,
        options: PushOptions,
        journal: Journal,
        stats: StatCache,
        tally: Tally,
        stop: Stop | None = None,
    ) -> None:
        self._transport = transport
        self._options = options
        self._journal = journal
        self._stats = stats
        self._tally = tally
        self._given_stop = stop
        self._stop = stop or Stop()

    def run(self, source: Path, thing: Thing) -> Pushed:
        self._stop = self._given_stop or Stop()
        target = self._target(thing)
        tree = self._look(source, target)
        listing = self._listing(target)
        options = self._options
        out = Outgoing(self._transport, self._stats, have=set(listing.values()), tally=self._tally, stop=self._stop)
        out.digest(tree.files.values())
        batches: Batches = {}
        if options.dry_run:
            out.survey()
        else:
            sender = self._sender(target)
            out.send(sender, parallel=options.parallel)
            batches = sender.batches
        tree.files = {path: out.files[path] for path in tree.files}
        plan = make_plan(
            {path: out.digests[path] for path in tree.files}, listing, keep=options.keep or source.is_file()
        )
        done = Pushed(
            target.record,
            plan,
            sent_files=out.sent_files,
            sent_bytes=out.sent_bytes,
            total_files=len(tree.files),
            total_bytes=tree.size,
            dry_run=options.dry_run,
            skipped=tree.skipped,
            clashes=tree.clashes,
            ignored=tree.ignored,
        )
        if options.dry_run or (plan.is_empty and target.record is not None):
            return done
        self._commit(done, target, out.uploads, batches)
        self._journal.forget(self._transport.url, out.uploads)
        return done

    # --- where to -----------------------------------------------------------------------------------------------------

    def _target(self, thing: Thing) -> _Target:
        if isinstance(thing, str):
            reference = pins.reference_of(thing)
            if reference is not None and reference.revision is not None:
                raise Invalid(
                    f"{thing!r} names a revision, and revisions never change. Push to the version: "
                    f"{reference.project}/{reference.dataset}@{reference.version}."
                )
            if reference is not None:
                try:
                    found = pins.pin(self._transport, thing)
                except NotFound as missing:
                    if reference.version is not None:
                        raise
                    if (unready := missing.details.get("unready")) is not None:
                        # The name is taken by what has no content yet: better said now than after the last byte.
                        record = self._transport.get(f"/versions/{segment(unready)}", Version)
                        return self._existing(record, reference.path)
                    home = self._transport.get(f"/projects/{segment(reference.project)}", ProjectDetail)
                    return _Target(None, reference.path, home.id, reference.dataset)
                return self._existing(found.record, found.path)
        found = pins.pin(self._transport, thing)
        return self._existing(found.record, found.path)

    def _existing(self, record: Version, prefix: str | None) -> _Target:
        if record.kind is not Kind.FILES:
            raise KindMismatch(
                f"{record.label} is a {record.kind}; its content is checked as a whole and takes no single files. "
                "Make a new version of it from a file instead."
            )
        if record.number is None:
            raise WrongState(
                f"{record.name} was never ready ({record.state}): its first content comes by the files it waits for. "
                "Hand them in, or push to another name."
            )
        return _Target(record, prefix, record.project, record.slug)

    # --- what is here and there ---------------------------------------------------------------------------------------

    def _look(self, source: Path, target: _Target) -> LocalTree:
        self._tally.begin("scan")
        if source.is_file():
            return _single(source, target)
        tree = scan(source, follow_links=self._options.follow_links, on_file=lambda _: self._tally.add(files=1))
        if self._options.only is None:
            tree.require_storable()
        else:
            tree.files = {path: file for path, file in tree.files.items() if self._options.only(file)}
        if target.prefix is not None:
            tree.files = {
                names.entry_path(f"{target.prefix}/{path}"): LocalFile(f"{target.prefix}/{path}", file.place, file.stat)
                for path, file in tree.files.items()
            }
        self._tally.end()
        return tree

    def _listing(self, target: _Target) -> dict[str, str]:
        """Digests by path of the version's newest revision, as far as the push is about it."""
        if target.record is None:
            return {}
        self._tally.begin("list")
        found: dict[str, str] = {}
        prefix = None if target.prefix is None else f"{target.prefix}/"
        for page in listed_pages(self._transport, target.record.id, target.record.revision, prefix=prefix):
            found.update((entry.path, entry.sha256) for entry in page)
            self._tally.add(files=len(page))
        return found

    # --- sending and committing ---------------------------------------------------------------------------------------

    def _sender(self, target: _Target) -> Sender:
        return Sender(
            self._transport,
            self._journal,
            project=target.project,
            parallel=self._options.parallel,
            tally=self._tally,
            stop=self._stop,
        )

    def _commit(self, done: Pushed, target: _Target, uploads: Mapping[bytes, str], batches: Batches) -> None:
        self._tally.begin("commit", files_total=len(done.plan))
        record = self._ready(target)
        parts = self._parts(_steps(done.plan, uploads))
        expected = record.revision
        for number, part in enumerate(parts, 1):
            message = self._options.message
            if len(parts) > 1:
                message = f"{message} (part {number} of {len(parts)})".strip()
            try:
                committed, moved = self._commit_part(record.id, _changes(part, batches), expected, message, done.plan)
            except Invalid as refused:
                if not any(fault.get("code") == "missing_content" for fault in refused.errors):
                    raise
                # What the files of a batch were called can be forgotten; what came in it is known by digest.
                committed, moved = self._commit_part(record.id, _changes(part, {}), expected, message, done.plan)
            done.on_top_of += moved
            expected = committed.revision.number
            record = committed.version
        done.version = record
        done.made = target.made
        self._tally.end()

    def _ready(self, target: _Target) -> Version:
        """The version to commit to: the one that was compared with, its successor if that is frozen, or a new one."""
        record = target.record
        if record is None:
            new = NewVersion(
                project=target.project,
                name=self._options.name or target.dataset,
                slug=target.dataset,
                description=self._options.description,
                numbering="only",
            )
            try:
                made = self._transport.post("/versions", VersionWithSlots, new)
            except NameTaken as error:
                raise NameTaken(
                    f"There is a dataset {target.dataset!r} already, made just now or one that you may not see. "
                    "Push again, or to another name."
                ) from error
            target.made = "dataset"
            return made
        if record.frozen_at is None:
            return record
        copy = CopyVersion(revision=record.revision, numbering="next")
        target.made = "version"
        return self._transport.post(f"/versions/{segment(record.id)}/copy", Version, copy)

    def _parts(self, steps: list[_Step]) -> list[list[_Step]]:
        """All of it as one commit, unless the server takes fewer files at a time."""
        if len(steps) <= 10_000:
            return [steps]
        limit = max(1, self._transport.get("/", Server).limits.entries_per_commit)
        return [steps[start : start + limit] for start in range(0, len(steps), limit)]

    def _commit_part(
        self, version: str, changes: list[Change], expected: int, message: str, plan: Plan
    ) -> tuple[Committed, int]:
        base = expected
        for attempt in range(_REBASES + 1):
            body = NewCommit(changes=changes, expected=expected, message=message)
            try:
                committed = self._transport.post(
                    f"/versions/{segment(version)}/commits", Committed, body, patience_s=_COMMIT_PATIENCE_S
                )
                return committed, expected - base
            except StaleRevision as error:
                if attempt == _REBASES:
                    raise
                head = self._transport.get(f"/versions/{segment(version)}", Version)
                if head.frozen_at is not None:
                    raise Conflict(
                        f"{head.label} was frozen meanwhile. Push again to start the next version."
                    ) from error
                self._require_apart(version, expected, head, plan)
                expected = head.revision
        raise AssertionError("the loop returns or raises")

    def _require_apart(self, version: str, base: int, head: Version, plan: Plan) -> None:
        """Raise if what others committed after `base` touches a path of ours."""
        mine = plan.paths
        both = []
        asked = {"from": base, "to": head.revision}
        for page in self._transport.pages(f"/versions/{segment(version)}/diff", DiffPage, asked):
            both += [
                path for row in page.rows for path in (row.path, row.old_path) if path is not None and path in mine
            ]
        if both:
            more = f" and {len(both) - 1:,} more" if len(both) > 1 else ""
            raise StaleRevision(
                f"Somebody else changed {both[0]!r}{more} in {head.label} while you pushed. Nothing was changed; pull "
                "first, or push again to replace their version.",
                details={"revision": head.revision},
                errors=[{"path": path} for path in both],
            )


def _single(source: Path, target: _Target) -> LocalTree:
    """One file: to the path that was named, else to its own name at the top."""
    path = names.entry_path(target.prefix or source.name)
    return LocalTree(files={path: LocalFile(path, source, stat_of(source.stat()))})


class _File(NamedTuple):
    """A file that comes. The digest always: its upload may be a batch of many."""

    path: str
    digest: str
    upload: str | None


_Step = Remove | Rename | _File

#: What was sent in which batch: paths and digests in their order, by upload.
Batches: TypeAlias = Mapping[str, Sequence[tuple[str, bytes]]]


def _steps(plan: Plan, uploads: Mapping[bytes, str]) -> list[_Step]:
    """In the order the server applies them: what goes makes room for what comes."""
    found: list[_Step] = [Remove(op="remove", path=path) for path in plan.removed]
    found += [Rename(op="rename", source=old, target=new) for new, old in plan.renamed.items()]
    found += [_File(path, digest, uploads.get(parse_sha256(digest))) for path, digest in plan.contents.items()]
    return found


def _changes(steps: Sequence[_Step], batches: Batches) -> list[Change]:
    """The same for the server, in the same order: neighbours that came in one batch are named together.

    If they are all that came in it, and at these paths, it is enough to name the batch.
    """
    found: list[Change] = []
    for key, some in groupby(steps, _batch_of):
        if isinstance(key, Remove | Rename):
            found.append(key)
        else:
            files = [(step.path, step.digest) for step in some if isinstance(step, _File)]
            sent = () if key is None else batches.get(key, ())
            if key is not None and files == [(path, sha256_text(sha256)) for path, sha256 in sent]:
                found.append(AddBatch(op="add_batch", upload=key))
            else:
                found.append(AddFiles(op="add_files", files=files, upload=key))
    return found


def _batch_of(step: _Step) -> str | Remove | Rename | None:
    """What neighbours have in common that may be named together."""
    return step.upload if isinstance(step, _File) else step
