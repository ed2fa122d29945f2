"""Versions that are made of files which other versions hold: tables of records, records of tables.

No byte is moved before the check: the slots of the new version are full from the start, with the very contents that the
other one has. The check turns them into what the kind needs, and the new version names what it was made of.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from entrepot.catalog import contents as content_rows
from entrepot.catalog import uploads as upload_rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.entry_values import EntryRow
from entrepot.depot import ingests, uploads
from entrepot.depot.context import Depot
from entrepot.depot.entries import entry_at, pin
from entrepot.depot.finishing import FINISHED
from entrepot.depot.lookup import Key
from entrepot.depot.records import files_of
from entrepot.depot.versions import NewVersion, again, create_in
from entrepot.model import names
from entrepot.model.access import Action, Actor
from entrepot.model.errors import Invalid, NotFound, TooLarge
from entrepot.model.values import Kind, State, Task, Version

__all__ = ["convert"]


def convert(
    depot: Depot,
    actor: Actor,
    source: Key,
    new: NewVersion,
    *,
    project: Key | str | None = None,
    path: str | None = None,
    revision: int | None = None,
) -> tuple[Version, Task]:
    """Make a version of kind `records` or `table` of files of another one, and begin its check.

    Args:
        project: Where it is made; None is where the other one is.
        path: One file; None takes all.
        revision: Of the other one; None is its newest.

    Raises:
        Invalid: The kind takes no checked content, or two files have the same name.
        NotFound: There is no such version, revision or file, or it holds nothing.
        TooLarge: It has more files than a version may have slots.
        Unsupported: This server has no checker for the kind.
    """
    if new.kind is Kind.FILES:
        raise Invalid("Files need no conversion: copy the version, or link to its entries.")
    now = depot.now()

    def work(conn: Connection) -> tuple[Version, Task]:
        found, wanted = pin(conn, actor, source, revision, action=Action.READ_CONTENT)
        origin = found.version
        files = _files(conn, depot, origin, wanted, path)
        made = create_in(conn, depot, actor, origin.project if project is None else project, new, now)
        held = content_rows.dedupe_hit(conn, [one.sha256 for one in files], at=now)
        for one in files:
            slot = uploads.insert(
                conn,
                depot,
                actor,
                now=now,
                lifetime=depot.policy.slot_lifetime,
                length=one.size,
                file_name=_name(one),
                project=made.project,
                version=made.n,
                purpose="slot",
                detail={
                    "once": True,
                    "starts": False,
                    ingests.ORIGIN: {"version": origin.n, "revision": wanted, "path": one.path},
                },
            )
            full = {"state": FINISHED, "content": held[one.sha256], "received": one.size, "touched_at": now}
            upload_rows.change(conn, slot.n, full)
        version_rows.change(conn, made.n, {"state": State.RECEIVING.value, "updated_at": now}, edited=False)
        task = ingests.start_in(conn, depot, actor, made.n, now)
        return again(conn, actor, made.n), task

    return depot.catalog.write(work)


def _files(conn: Connection, depot: Depot, origin: Version, revision: int, path: str | None) -> list[EntryRow]:
    if path is not None:
        return [entry_at(conn, origin, revision, path)]
    if origin.n_entries > depot.limits.slots_per_version:
        raise TooLarge(
            f"{origin.label} has {origin.n_entries} files; at most {depot.limits.slots_per_version} can be taken at "
            "once. Name one of them."
        )
    files = files_of(conn, origin, revision) if revision else []
    if not files:
        raise NotFound(f"{origin.name} holds no files at revision {revision}.")
    seen: dict[str, str] = {}
    for one in files:
        if (known := seen.setdefault(_name(one), one.path)) != one.path:
            raise Invalid(f"{known} and {one.path} have the same name. Name one of them.")
    return files


def _name(entry: EntryRow) -> str:
    return names.file_name(PurePosixPath(entry.path).name)
