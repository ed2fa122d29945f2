"""The rest of what purge, trim and broken-off forks leave behind, removed in slices. Run by the worker.

Every step is a short transaction that may be repeated: a sweep that is killed is finished by the next one.
"""

# ruff: noqa: S608 - statements are put together from constants of this floor, values are always bound

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from entrepot.catalog import strands
from entrepot.catalog.statements import Sql
from entrepot.catalog.strands import DEAD, DIRTY, FILLING, TRIMMING, UNSEEN

if TYPE_CHECKING:
    from entrepot.catalog.database import Catalog

__all__ = ["sweep_strands"]

_UNFINISHED = Sql(
    "SELECT id, state FROM strand {by:ix_strand_state} WHERE state != 0 AND {plain:id} > :after ORDER BY id LIMIT 100"
)
_LOCK = Sql("SELECT state, parent, parent_seq FROM strand WHERE id = :strand {for_update}")
_SET_STATE = Sql("UPDATE strand SET state = :state WHERE id = :strand")
_HAS_SOURCE = Sql("SELECT 1 FROM revision WHERE strand = :strand AND seq = :seq LIMIT 1")
_GREATEST = Sql("SELECT max(seq) FROM revision WHERE strand = :strand")

_LIVE_BOUND = Sql("SELECT path FROM live WHERE strand = :strand ORDER BY path LIMIT 1 OFFSET :skip", replan=True)
_DROP_LIVE = Sql("DELETE FROM live WHERE strand = :strand AND path <= :bound", replan=True)
_DROP_ALL_LIVE = Sql("DELETE FROM live WHERE strand = :strand", replan=True)
_PAST_BOUND = Sql(
    "SELECT path FROM past WHERE strand = :strand AND path > :after ORDER BY path, vto LIMIT 1 OFFSET :skip",
    replan=True,
)
_DROP_PAST = Sql("DELETE FROM past WHERE strand = :strand AND path <= :bound", replan=True)
_DROP_ALL_PAST = Sql("DELETE FROM past WHERE strand = :strand", replan=True)
_DROP_STRAND = Sql("DELETE FROM strand WHERE id = :strand")

_DROP_NEWER = Sql(
    "DELETE FROM live WHERE strand = :strand AND path IN "
    "(SELECT path FROM live WHERE strand = :strand AND vfrom > :seq ORDER BY vfrom LIMIT :limit)",
    replan=True,
)
_DROP_UNSEEN = Sql(
    f"DELETE FROM past WHERE strand = :strand AND path > :after AND path <= :bound AND {UNSEEN}", replan=True
)
_DROP_UNSEEN_REST = Sql(f"DELETE FROM past WHERE strand = :strand AND path > :after AND {UNSEEN}", replan=True)


def sweep_strands(catalog: Catalog) -> int:
    """Finish every strand that is not whole; the number of rows removed."""
    removed = 0
    after = 0
    while True:
        with catalog.read() as conn:
            found = [(int(row.id), int(row.state)) for row in _UNFINISHED(conn, after=after)]
        if not found:
            return removed
        for number, state in found:
            if state == FILLING and not catalog.write(partial(_abandon, strand=number)):
                continue
            if state in (DIRTY, TRIMMING):
                removed += _trim(catalog, number)
            else:
                removed += _end(catalog, number)
        after = found[-1][0]


def _abandon(conn: Connection, strand: int) -> bool:
    """Whether a fork in the making is of no use to anybody: what it was to be a copy of has no revision left."""
    row = _LOCK(conn, strand=strand).first()
    if row is None or row.state != FILLING:
        return False
    if _HAS_SOURCE.scalar(conn, strand=row.parent, seq=row.parent_seq) is not None:
        return False
    _SET_STATE(conn, strand=strand, state=DEAD)
    return True


def _end(catalog: Catalog, strand: int) -> int:
    removed = 0
    while True:
        gone, more = catalog.write(lambda conn: _end_slice(conn, strand))
        removed += gone
        if not more:
            return removed


def _end_slice(conn: Connection, strand: int) -> tuple[int, bool]:
    row = _LOCK(conn, strand=strand).first()
    if row is None or row.state != DEAD:
        return 0, False
    bound = _LIVE_BOUND.scalar(conn, strand=strand, skip=strands.SLICE - 1)
    if bound is not None:
        return _DROP_LIVE(conn, strand=strand, bound=bound).rowcount, True
    removed = _DROP_ALL_LIVE(conn, strand=strand).rowcount
    bound = _PAST_BOUND.scalar(conn, strand=strand, after="", skip=strands.SLICE - 1)
    if bound is not None:
        return removed + _DROP_PAST(conn, strand=strand, bound=bound).rowcount, True
    removed += _DROP_ALL_PAST(conn, strand=strand).rowcount
    _DROP_STRAND(conn, strand=strand)
    return removed, False


def _trim(catalog: Catalog, strand: int) -> int:
    # TRIMMING and not DIRTY while at it: whoever takes a revision away meanwhile sets DIRTY again, and that is kept.
    if not catalog.write(lambda conn: _mark_trimming(conn, strand)):
        return 0
    removed = 0
    after: str | None = ""
    while after is not None:
        gone, after = catalog.write(partial(_trim_slice, strand=strand, after=after))
        removed += gone
    return removed


def _mark_trimming(conn: Connection, strand: int) -> bool:
    row = _LOCK(conn, strand=strand).first()
    if row is None or row.state not in (DIRTY, TRIMMING):
        return False
    _SET_STATE(conn, strand=strand, state=TRIMMING)
    return True


def _trim_slice(conn: Connection, strand: int, after: str) -> tuple[int, str | None]:
    """One slice: the rows removed, and where the next slice begins; None at the end."""
    row = _LOCK(conn, strand=strand).first()
    if row is None or row.state not in (DIRTY, TRIMMING):
        return 0, None
    greatest = _GREATEST.scalar(conn, strand=strand)
    if greatest is None:
        _SET_STATE(conn, strand=strand, state=DEAD)
        return 0, None
    removed = _DROP_NEWER(conn, strand=strand, seq=greatest, limit=strands.SLICE).rowcount
    if removed == strands.SLICE:
        return removed, after
    bound = _PAST_BOUND.scalar(conn, strand=strand, after=after, skip=strands.SLICE - 1)
    if bound is not None:
        return removed + _DROP_UNSEEN(conn, strand=strand, after=after, bound=bound).rowcount, bound
    removed += _DROP_UNSEEN_REST(conn, strand=strand, after=after).rowcount
    if row.state == TRIMMING:
        _SET_STATE(conn, strand=strand, state=0)
    return removed, None
