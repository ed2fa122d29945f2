"""Entries of versions: the one door of this floor to what is in a version at which revision.

Functions take a connection and speak in version numbers and revision numbers. How revisions share their entries is
known to `strands` and its neighbours only.

    commit copy copy_some restore merge    make the next revision          commits, applying, copies
    page page_by_position folder get …     read one                        listing
    diff diff_page                         compare two                     comparison
    revisions revision                     list them                       here
    purge trim sweep_strands               take them away                  removal, sweeping
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from entrepot.catalog.commits import commit, create_revision_zero
from entrepot.catalog.comparison import diff, diff_page
from entrepot.catalog.copies import Merged, copy, copy_some, merge, restore
from entrepot.catalog.entry_values import (
    Condition,
    Describe,
    DescribeAll,
    EntryChange,
    EntryRow,
    FolderItem,
    Put,
    Remove,
    Rename,
    RevisionRow,
    RowChange,
)
from entrepot.catalog.listing import (
    folder,
    get,
    get_by_content,
    get_by_position,
    get_many,
    iterate,
    of_heads,
    page,
    page_by_position,
)
from entrepot.catalog.removal import purge, trim
from entrepot.catalog.schema import revision as revision_table
from entrepot.catalog.sweeping import sweep_strands

__all__ = [
    "Condition",
    "Describe",
    "DescribeAll",
    "EntryChange",
    "EntryRow",
    "FolderItem",
    "Merged",
    "Put",
    "Remove",
    "Rename",
    "RevisionRow",
    "RowChange",
    "commit",
    "copy",
    "copy_some",
    "create_revision_zero",
    "diff",
    "diff_page",
    "folder",
    "get",
    "get_by_content",
    "get_by_position",
    "get_many",
    "iterate",
    "merge",
    "of_heads",
    "page",
    "page_by_position",
    "purge",
    "restore",
    "revision",
    "revisions",
    "sweep_strands",
    "trim",
]

_SHOWN = select(
    revision_table.c.version,
    revision_table.c.num,
    revision_table.c.author,
    revision_table.c.at,
    revision_table.c.message,
    revision_table.c.n_entries,
    revision_table.c.n_bytes,
).where(revision_table.c.version == bindparam("of"))
_LIST = (
    _SHOWN.where(revision_table.c.num < bindparam("before"))
    .order_by(revision_table.c.num.desc())
    .limit(bindparam("most"))
)
_ONE = _SHOWN.where(revision_table.c.num == bindparam("at"))


def revisions(conn: Connection, version: int, *, before: int | None = None, limit: int) -> list[RevisionRow]:
    """The revisions of a version that are kept, newest first; `before` is the last number of the page before."""
    rows = conn.execute(_LIST, {"of": version, "before": 2**31 - 1 if before is None else before, "most": limit})
    return [RevisionRow(*row) for row in rows]


def revision(conn: Connection, version: int, num: int) -> RevisionRow | None:
    """One revision; None if it was never made or is no longer kept."""
    row = conn.execute(_ONE, {"of": version, "at": num}).first()
    return None if row is None else RevisionRow(*row)
