"""Taking revisions away: all of a version's (purge) or its oldest (trim)."""

from __future__ import annotations

from sqlalchemy import Connection

from entrepot.catalog.statements import Sql
from entrepot.catalog.strands import lock_strand, lock_version, settle

__all__ = ["purge", "trim"]

_STRANDS = Sql(
    "SELECT DISTINCT strand FROM revision "
    "WHERE version = :version AND num < :before AND num > 0 AND strand IS NOT NULL ORDER BY strand"
)
_FORGET = Sql("DELETE FROM revision WHERE version = :version AND num < :before AND num > 0")
_FORGET_ALL = Sql("DELETE FROM revision WHERE version = :version")
_REV = Sql("SELECT rev FROM version WHERE id = :version")
_EVERYTHING = 2**31 - 1


def purge(conn: Connection, version: int) -> None:
    """Forget every revision of a version, and the entries that no other version's revision shows.

    The version's row is left to the caller. Versions that shared its entries keep them. Many rows are not removed at
    once but left to `sweep_strands`; no revision points to them any more.
    """
    _take_away(conn, version, _EVERYTHING)
    _FORGET_ALL(conn, version=version)


def trim(conn: Connection, version: int, *, before: int) -> int:
    """Forget the revisions below `before`, never the newest and never 0; how many."""
    lock_version(conn, version)
    newest = _REV.scalar(conn, version=version)
    return 0 if newest is None else _take_away(conn, version, min(before, newest))


def _take_away(conn: Connection, version: int, before: int) -> int:
    lock_version(conn, version)
    strands = [row.strand for row in _STRANDS(conn, version=version, before=before)]
    for strand in strands:
        # Before the pointers go: a copy in the making holds the strand and reads its source again.
        lock_strand(conn, strand)
    forgotten = _FORGET(conn, version=version, before=before).rowcount
    for strand in strands:
        settle(conn, strand)
    return forgotten
