"""Pages of single things, by number and with an exact count, for doors whose clients leaf like that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from entrepot.catalog import entries as entry_rows
from entrepot.catalog import singles as rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.singles import Singles as Singles
from entrepot.catalog.singles import Sort as Sort
from entrepot.catalog.versions import Found
from entrepot.depot import lookup
from entrepot.depot.context import Depot
from entrepot.depot.entries import entry_of
from entrepot.model import names
from entrepot.model.access import Action, Actor, may
from entrepot.model.values import Entry, Version

__all__ = ["Single", "Singles", "Sort", "count_types", "page", "page_of_versions"]


@dataclass(frozen=True, slots=True)
class Single:
    """One thing of a page.

    Args:
        entry: The file, where it is one.
        by_entry: Whether it is one file of a version that is shown file by file.
        may_trash: Whether the caller may put its version into the trash.
        is_member: Whether the caller belongs to where it lies.
    """

    version: Version
    entry: Entry | None
    by_entry: bool
    may_trash: bool
    is_member: bool


def page(depot: Depot, actor: Actor, wanted: Singles, *, start: int, limit: int) -> tuple[int, list[Single]]:
    """How many things there are whose content the caller may read, and those from `start` on."""
    if not _askable(wanted):
        return 0, []
    sight = lookup.sight(actor, content=True)
    with depot.catalog.read() as conn:
        total, found = rows.page(conn, sight, wanted, start=start, limit=limit)
        versions = version_rows.by_numbers(conn, sight, sorted({one.version for one in found}))
        return total, [_single(conn, actor, versions[one.version], one) for one in found if one.version in versions]


def _single(conn: Connection, actor: Actor, found: Found, row: rows.Row) -> Single:
    version, stands = found.version, lookup.standing_of(found)
    entry: Entry | None = None
    if row.position is not None:
        told = entry_rows.get_by_position(conn, version.n, version.revision, row.position)
        entry = None if told is None else entry_of(told)
    elif version.n_entries == 1 and version.unpacked_from is None:
        listed = entry_rows.page(conn, version.n, version.revision, limit=1)
        entry = entry_of(listed[0]) if listed else None
    return Single(
        version,
        entry,
        row.position is not None,
        may_trash=may(actor, Action.TRASH, stands),
        is_member=may(actor, Action.VIEW_PROJECT, stands),
    )


def page_of_versions(
    depot: Depot,
    actor: Actor,
    having: str,
    *,
    name: str = "",
    project: int | None = None,
    creator: int | None = None,
    start: int,
    limit: int,
) -> tuple[int, list[Version]]:
    """Versions that carry a property and whose content the caller may read, newest first, and how many in all.

    Args:
        name: A part of the dataset's name, in any case.
    """
    if not names.storable(name):
        return 0, []
    sight = lookup.sight(actor, content=True)
    with depot.catalog.read() as conn:
        total, found = rows.versions(
            conn, sight, having, name=name, project_n=project, creator=creator, start=start, limit=limit
        )
        known = version_rows.by_numbers(conn, sight, found)
        return total, [known[n].version for n in found if n in known]


def count_types(depot: Depot, actor: Actor, wanted: Singles) -> Mapping[str, int]:
    """How many things whose content the caller may read have which data type."""
    with depot.catalog.read() as conn:
        return rows.types(conn, lookup.sight(actor, content=True), wanted)


def _askable(wanted: Singles) -> bool:
    texts = [wanted.name, wanted.creator if isinstance(wanted.creator, str) else None, *wanted.data_types]
    return all(names.storable(one) for one in texts if one is not None)
