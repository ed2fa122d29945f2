"""Carrying out an upload: one file or one folder becomes a version with one revision, exactly once.

    owner       which project is meant, and whether one may write there
    look        what there is to send
    hash, send  as a push does it: restartable, each content noted in the journal as soon as it has a name
    settle      the changes are written into the journal; from here on the source does not matter any more
    make        the version with its files, in one call under a key that is the transfer's own: a repeat is the same one

A death between any two of these is gone over by the next attempt: it finds what was noted and repeats the rest.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from entrepot.client.client import Client
from entrepot.client.outgoing import Outgoing
from entrepot.client.parallel import Stop
from entrepot.client.statcache import StatCache, stat_of
from entrepot.client.transfer import ONE_SHOT, PARALLEL, Sender
from entrepot.client.tree import LocalFile, LocalTree, scan
from entrepot.daemon.counter import Counter
from entrepot.daemon.engine import DEFAULT_CHUNK
from entrepot.daemon.journal import Journal, Transfer
from entrepot.daemon.shapes import content_id
from entrepot.model import names
from entrepot.model.digests import parse_sha256
from entrepot.model.errors import (
    CarriedOut,
    DigestMismatch,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    SourceChanged,
    TooLarge,
    Unauthenticated,
)
from entrepot.wire.messages.entries import Add, Change, Committed, NewWholeVersion
from entrepot.wire.messages.server import Server
from entrepot.wire.messages.versions import NewVersion, Version, VersionWithSlots

__all__ = ["project_of", "record_of", "upload", "withdraw"]

#: The engine waits between attempts; a request itself waits no longer for a server that is away.
PATIENCE_S = 5.0
#: Fewer files than any server's limit on a commit.
_MANY = 5000
#: As long as the server needs for a hundred thousand entries.
_COMMIT_PATIENCE_S = 120.0


def upload(journal: Journal, client: Client, transfer: Transfer, counter: Counter, stop: Stop) -> dict[str, Any]:
    """
    Returns:
        `asset_id`, `content_id`, `size` and `files` of what was made.

    Raises:
        SourceChanged: It did not hold still.
        Stopped: Somebody wants it to end.
    """
    return _Upload(journal, client, transfer, counter, stop).run()


def project_of(client: Client, owner_type: str, owner_id: str) -> str:
    """The id of the project that an owner means, if the caller may write there.

    Raises:
        NotFound: There is no such project.
        Forbidden: One may not write there, or it is somebody else's personal one.
    """
    if owner_type == "project":
        project = client.projects.get(owner_id)
        if project.role is not None and project.role not in ("write", "admin"):
            raise Forbidden(f"You may not write to project {project.name}. Ask its owner for the role write.")
        return project.id
    me = client.whoami().user
    if me is None:
        raise Unauthenticated("The server does not know who you are.")
    if owner_id not in (me.id, me.name, me.email):
        raise Forbidden(f"Only you yourself ({me.name}) can own what you upload as a user, not {owner_id!r}.")
    for one in client.projects.list():
        if one.personal and one.team == f"~{me.name}":
            return one.id
    raise NotFound(f"{me.name} has no personal project that this token may use. Name a project instead.")


def withdraw(client: Client, transfer: Transfer) -> None:
    """Put the version of an upload that was cancelled as it was made into the trash, if nobody has changed it since."""
    version = transfer.facts.get("version")
    if transfer.kind == "upload" and version is not None:
        with contextlib.suppress(NotFound, Gone):
            record = client.versions.get(version)
            if record.revision == transfer.facts.get("revision") and record.trash is None:
                client.versions.trash(version, f"its upload ({transfer.id}) was {transfer.state}")


class _Upload:
    def __init__(self, journal: Journal, client: Client, transfer: Transfer, counter: Counter, stop: Stop) -> None:
        self._journal = journal
        self._client = client
        self._transport = client.transport
        self._transfer = transfer
        self._counter = counter
        self._stop = stop
        self._log = journal.uploads(transfer.id)

    def run(self) -> dict[str, Any]:
        facts = self._transfer.facts
        if "project" not in facts:
            wish = self._transfer.params
            project = project_of(self._client, wish["owner_type"], wish["owner_id"])
            if wish.get("collection") is not None:
                self._require_place(project)
            facts = self._learn(project=project, let_in=True)
        if facts.get("changes") is None:
            facts = self._send(facts["project"])
        else:
            self._counter.expect(facts["size"], len(facts["changes"]))
        self._stop.check()
        return self._make(facts["project"])

    def _learn(self, **facts: Any) -> dict[str, Any]:
        # Lost in a power cut, any of it comes out the same again: by the log of uploads, or by the keys of the calls.
        self._transfer = self._journal.learn(self._transfer, durable=False, **facts)
        return self._transfer.facts

    def _require_place(self, project: str) -> None:
        """Whether there is still somewhere to put it: asked before the first byte, and before any is sent again.

        Raises:
            NotFound: The project or the collection is not there, as far as the caller may know.
        """
        collection = self._transfer.params.get("collection")
        if collection is not None:
            found = self._client.collections.get(collection)
            if found.project != project:
                raise NotFound(f"There is no collection {collection!r} in the project that is to own this.")
        else:
            self._client.projects.get(project)

    # --- the bytes ----------------------------------------------------------------------------------------------------

    def _send(self, project: str) -> dict[str, Any]:
        source = Path(self._transfer.params["path"])
        tree = self._look(source)
        self._counter.expect(tree.size, len(tree.files))
        with StatCache() as stats:
            asks = len(tree.files) > 1 or tree.size > ONE_SHOT
            out = Outgoing(self._transport, stats, asks=asks, tally=self._counter, stop=self._stop)
            out.digest(tree.files.values())
            try:
                out.send(self._sender(project), parallel=PARALLEL)
            except DigestMismatch:
                # Changed under an unchanged size and time, or damaged on the way: read it again before another attempt.
                stats.forget(file.place for file in tree.files.values())
                raise
        # In the states that they were read in, which may be others than they were seen in.
        tree.files = {path: out.files[path] for path in tree.files}
        self._counter.expect(tree.size, len(tree.files))
        changes: list[dict[str, Any]] = []
        for path in tree.files:
            digest = out.digests[path]
            known = out.uploads.get(parse_sha256(digest))
            # The digest in both cases: the upload may be a batch of many.
            changes.append({"path": path, "sha256": digest} | ({} if known is None else {"upload": known}))
        return self._learn(changes=changes, size=tree.size)

    def _look(self, source: Path) -> LocalTree:
        if not source.is_dir():
            try:
                state = source.stat()
            except OSError as error:
                raise NotFound(
                    f"The file {str(source)!r} cannot be found any more: {error.strerror or error}."
                ) from error
            if not source.is_file():
                raise Invalid(f"{str(source)!r} is neither a file nor a folder.")
            path = names.entry_path(source.name)
            return LocalTree(files={path: LocalFile(path, source, stat_of(state))})
        tree = scan(source)
        tree.require_storable()
        if len(tree.files) > _MANY:
            most = self._transport.get("/", Server).limits.entries_per_commit
            if len(tree.files) > most:
                raise TooLarge(
                    f"{str(source)!r} has {len(tree.files):,} files, and one revision of this server takes {most:,} at "
                    "a time. Upload its folders one by one, or `entrepot push` it, which makes several revisions."
                )
        return tree

    def _sender(self, project: str) -> Sender:
        return Sender(
            self._transport,
            self._log,
            project=project,
            chunk=self._transfer.params.get("chunk") or DEFAULT_CHUNK,
            tally=self._counter,
            stop=self._stop,
            patience_s=PATIENCE_S,
        )

    # --- the facts ----------------------------------------------------------------------------------------------------

    def _make(self, project: str) -> dict[str, Any]:
        wish = self._transfer.params
        fields: dict[str, Any] = {
            name: wish[name] for name in ("description", "alias", "tags", "collection") if wish.get(name) is not None
        }
        if wish.get("metadata") is not None:
            fields["custom"] = wish["metadata"]
        new = NewVersion(name=wish["title"], project=project, numbering="next", **fields)
        facts = self._transfer.facts
        attempt = facts.get("made", 0)
        key = f"{self._transfer.id}-{attempt}"
        version, revision = facts.get("version"), 0
        try:
            if version is not None:
                revision = facts["revision"]
            elif facts["changes"]:
                changes: list[Change] = [Add(op="add", **change) for change in facts["changes"]]
                body = NewWholeVersion(version=new, changes=changes)
                done = self._transport.post("/commits", Committed, body, key=key, patience_s=_COMMIT_PATIENCE_S)
                version, revision = done.version.id, done.revision.number
            else:
                version = self._transport.post("/versions", VersionWithSlots, new, key=key).id
        except CarriedOut as told:
            version, revision = str(told.details["version"]), int(told.details.get("revision", 0))
        except (NotFound, Gone) as lost:
            if attempt or not facts["changes"]:
                raise
            self._require_place(project)
            # Its uploads ran out while the daemon was away: send them again.
            self._journal.forget_all_uploads(self._transfer.id)
            self._learn(changes=None, made=attempt + 1)
            raise SourceChanged(f"The server does not have what was sent any more: {lost.message}") from lost
        self._learn(version=version, revision=revision)
        return {
            "asset_id": version,
            "content_id": content_id(version, revision),
            "size": facts["size"],
            "files": len(facts["changes"]),
        }


def record_of(client: Client, asset_id: str) -> Version:
    """The record of an asset: ready, and not in the trash.

    Raises:
        NotFound: There is none, as far as the caller may know.
    """
    found = client.versions.get(asset_id)
    if found.number is None or found.trash is not None:
        why = "is in the trash" if found.trash is not None else "was never ready"
        raise NotFound(f"There is no asset {asset_id}: it {why}.")
    return found
