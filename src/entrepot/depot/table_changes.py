"""Changing a table that is there: more rows, other rows, other columns. Each is a checked ingest and a new revision.

    append    files whose rows come behind those that are there
    replace   files in place of those that are there
    evolve    columns are added, widened or renamed; rows stay

Files that were checked by the same rules before are not read again. A change that fails leaves the table as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from entrepot.catalog import entries as entry_rows
from entrepot.catalog import uploads as upload_rows
from entrepot.catalog.connection import Connection
from entrepot.depot import ingests, lookup
from entrepot.depot.context import Depot
from entrepot.depot.lookup import Key
from entrepot.depot.uploads import FINISHED
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor
from entrepot.model.columns import Column, evolved, rules_of
from entrepot.model.errors import InProgress, Invalid, PathTaken, StaleRevision, Unsupported
from entrepot.model.ids import Noun
from entrepot.model.values import Kind, State, Task, Version

__all__ = ["change", "finished_of"]


def change(
    depot: Depot,
    actor: Actor,
    key: Key,
    files: Sequence[tuple[str, UUID]],
    *,
    replace: bool = False,
    columns: Sequence[Column] = (),
    renamed: Mapping[str, str] | None = None,
    expected: int | None = None,
) -> Task:
    """Begin the check of files that are to change a table; its task ends when they are published or refused.

    Args:
        files: File names and the caller's finished uploads, in the order of their rows; none only changes columns.
        replace: What is there goes; otherwise it stays, before what comes.
        columns: New columns, and columns as they are to be, by name. See `entrepot.model.columns.evolved`.
        renamed: The new name of each old one.
        expected: The revision that the caller saw.

    Raises:
        Invalid: Nothing would change, an upload is not complete, or columns cannot change so.
        PathTaken: The table has a file of that name.
        StaleRevision: The table is at another revision.
        InProgress: It is being changed already.
        Frozen, Trashed, KindMismatch, WrongState: The version takes no such change.
    """
    clean = [(names.file_name(name), upload) for name, upload in files]
    if len({name for name, _ in clean}) != len(clean):
        raise Invalid("Two of the files have one name.")
    if replace and not clean:
        raise Invalid("Name the files that are to take the place of those that are there.")
    if not clean and not columns and not renamed:
        raise Invalid("Nothing would change: there are no files and no columns.")
    now = depot.now()

    def work(conn: Connection) -> Task:
        version = lookup.writable(lookup.hold(conn, actor, key, Action.EDIT), kind=Kind.TABLE)
        if version.kind.value not in depot.checkers:
            raise Unsupported("This server has no checker for tables.")
        if version.state is not State.READY:
            raise InProgress(f"{version.label} is being changed already. Wait for that.", details={"retry_after_s": 2})
        if expected is not None and expected != version.revision:
            raise StaleRevision(
                f"{version.label} is at revision {version.revision} now, not {lookup.said(expected)}.",
                details={"revision": version.revision},
            )
        if not replace:
            _names_free(conn, version, [name for name, _ in clean])
        rules = evolved(rules_of(version.declared), columns, renamed or {})
        further: dict[str, Any] = {
            "files": [[name, finished_of(conn, actor, upload)[0]] for name, upload in clean],
            "base": version.revision,
            "keeps": not replace,
            "declared": rules.as_json(),
        }
        return ingests.begin(conn, depot, actor, version, now, further)

    return depot.catalog.write(work)


def _names_free(conn: Connection, version: Version, wanted: Sequence[str]) -> None:
    taken = [name for name in wanted if entry_rows.get(conn, version.n, version.revision, name) is not None]
    if taken:
        raise PathTaken(
            f"{version.label} has a file {taken[0]!r} already. Give the new one another name.",
            errors=[{"path": name, "detail": "taken"} for name in taken],
        )


def finished_of(conn: Connection, actor: Actor, upload: UUID) -> tuple[int, int]:
    """The content of a finished upload of one's own, and its size.

    Raises:
        Invalid: There is none, it is somebody else's, or bytes are missing.
    """
    row = upload_rows.find(conn, uid=upload)
    name = ids.encode(Noun.UPLOAD, upload)
    if row is None or row.owner != actor.user or row.state == "aborted":
        raise Invalid(f"There is no upload {name}, or it is not yours.")
    if row.state != FINISHED or row.content is None:
        raise Invalid(f"Upload {name} is not complete. Send the rest first.")
    return row.content, row.content_size or 0
