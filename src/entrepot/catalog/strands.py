"""Histories behind revisions: where a revision points, and how a strand is continued, forked, cleaned and ended.

    strand 7   seq 1 ── 2 ── 3 ── 4 (head)
                        │         └── revision 4 of version A
                        └── revision 2 of A, and revision 1 of its copy B

Whoever writes at the head continues the strand; whoever writes elsewhere forks: a new strand is filled with the rows
visible at the point, as its seq 1. So a version that is frozen and continued never copies anything.

    state 0 whole     revisions may point here
          1 filling   a fork too large for one transaction, being made in slices; restartable at its greatest path
          2 dirty     has rows that no revision shows
          3 dead      no revision is left
          4 trimming  dirty, and the sweep is at it

Locks, always in this order: version row, then strand row. A strand is locked before its rows are judged useless, and
judged in a second statement: one that waits for a lock still sees the rows from before it waited.
"""

# ruff: noqa: S608 - statements are put together from constants of this floor, values are always bound

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from entrepot.catalog.failures import NotYet
from entrepot.catalog.statements import Sql
from entrepot.model.errors import NotFound

if TYPE_CHECKING:
    from entrepot.catalog.database import Catalog

__all__ = [
    "COLUMNS",
    "DEAD",
    "DIRTY",
    "FILLING",
    "INLINE",
    "SLICE",
    "TRIMMING",
    "UNSEEN",
    "Point",
    "advance",
    "continue_from",
    "fork_from",
    "lock_strand",
    "lock_version",
    "new_strand",
    "origin",
    "own_strand",
    "point",
    "settle",
    "shared_point",
    "visible",
]

#: A fork, purge or trim up to this many rows is done inside the caller's transaction.
INLINE = 20_000
#: Rows of one transaction of longer work: another writer waits about 5 ms for it.
SLICE = 2_000

WHOLE, FILLING, DIRTY, DEAD, TRIMMING = range(5)

COLUMNS = "content, media, dtype, meta, pos, added"


@dataclass(frozen=True, slots=True)
class Point:
    """Where a revision points. `strand` is None for an empty one.

    Args:
        head: The strand's newest seq when this was read.
        crowd: How many entries the strand's newest revision has.
        types: How many entries have which data type, by word number; "0" for none.
    """

    version: int
    num: int
    strand: int | None
    seq: int
    head: int
    n_entries: int
    n_bytes: int
    types: Mapping[str, int]
    crowd: int = 0

    @property
    def at_head(self) -> bool:
        return self.seq == self.head


_EMPTY: Mapping[str, int] = {}

_POINT = Sql(
    "SELECT r.strand, r.seq, s.head, r.n_entries, r.n_bytes, r.types, "
    "(SELECT n.n_entries FROM revision AS n WHERE n.strand = r.strand ORDER BY n.seq DESC LIMIT 1) AS crowd "
    "FROM revision AS r "
    "LEFT JOIN strand AS s ON s.id = r.strand WHERE r.version = :version AND r.num = :num"
)
_SHARE = Sql("SELECT id FROM strand WHERE id = :strand {for_share}")
_LOCK = Sql("SELECT state FROM strand WHERE id = :strand {for_update}")
_LOCK_VERSION = Sql("SELECT id FROM version WHERE id = :version {for_update}")


def lock_version(conn: Connection, version: int) -> None:
    """Hold the version against other writers until the end of the transaction."""
    _LOCK_VERSION(conn, version=version)


def point(conn: Connection, version: int, num: int) -> Point:
    """Where revision `num` points.

    Raises:
        NotFound: The version has no such revision, or no longer.
    """
    row = _POINT(conn, version=version, num=num).first()
    if row is None:
        if num == 0:
            # Only versions that are ready from the start write down their empty revision.
            return Point(version, 0, None, 0, 0, 0, 0, _EMPTY)
        raise NotFound(f"Revision {num} of this version is not kept, or was never made.")
    # PostgreSQL parses its JSON by itself.
    types = json.loads(row.types) if isinstance(row.types, str) else row.types
    return Point(
        version, num, row.strand, row.seq or 0, row.head or 0, row.n_entries, row.n_bytes, types, row.crowd or 0
    )


def shared_point(conn: Connection, version: int, num: int) -> Point:
    """As `point`, with the strand held against purge and trim until the end of the transaction.

    Lock, read again, use: between reading the pointer and getting the lock the rows may have gone.
    """
    while True:
        found = point(conn, version, num)
        if found.strand is None:
            return found
        _SHARE(conn, strand=found.strand)
        again = point(conn, version, num)
        if again.strand == found.strand and again.seq == found.seq:
            return again


def visible(strand: str = ":strand", seq: str = ":seq", more: str = "", columns: str = "path, " + COLUMNS) -> str:
    """SQL of the rows visible at a point: those of the head that are old enough, and those superseded later.

    Args:
        more: Further conditions on both halves, beginning with AND.
    """
    return (
        f"SELECT {columns} FROM live WHERE strand = {strand} AND {{plain:vfrom}} <= {seq} {more} "
        f"UNION ALL SELECT {columns} FROM past "
        f"WHERE strand = {strand} AND {{plain:vfrom}} <= {seq} AND vto > {seq} {more}"
    )


# Continuing and forking

_NEW = Sql(
    "INSERT INTO strand (head, state, trimmed, parent, parent_seq) "
    "VALUES (:head, :state, :no, :parent, :parent_seq) RETURNING id"
)
_ADVANCE = Sql("UPDATE strand SET head = head + 1 WHERE id = :strand AND head = :seq")
_COPY_VISIBLE = Sql(
    f"INSERT INTO live (strand, path, vfrom, {COLUMNS}) SELECT :new, path, 1, {COLUMNS} FROM ({visible()}) AS v",
    replan=True,
)


def new_strand(conn: Connection, *, head: int, parent: Point | None = None, state: int = WHOLE) -> int:
    """An empty strand; `parent` is the point whose rows it is about to be filled with as its seq 1."""
    from_strand, from_seq = (None, None) if parent is None else (parent.strand, parent.seq)
    made = _NEW(conn, head=head, state=state, no=False, parent=from_strand, parent_seq=from_seq)
    return int(made.tuples[0][0])


def advance(conn: Connection, at: Point) -> bool:
    """Take the next seq of the strand of `at`, if nobody else continued it."""
    return _ADVANCE(conn, strand=at.strand, seq=at.seq).rowcount == 1


def continue_from(conn: Connection, at: Point) -> tuple[int, int]:
    """The strand and the seq under which changes on top of `at` are written; the caller holds the version row.

    Raises:
        NotYet: Somebody else continued the strand, and the fork is too large for this transaction.
    """
    if at.strand is None or at.n_entries == 0:
        return new_strand(conn, head=1), 1
    if advance(conn, at):
        return at.strand, at.seq + 1
    return fork_from(conn, at, head=2), 2


def fork_from(conn: Connection, at: Point, *, head: int) -> int:
    """A new strand whose seq 1 shows what `at` shows.

    Raises:
        NotYet: It has too many rows for this transaction.
    """
    if at.n_entries > INLINE:
        raise NotYet(partial(own_strand, version=at.version, num=at.num))
    made = new_strand(conn, head=head, parent=at)
    _COPY_VISIBLE(conn, new=made, strand=at.strand, seq=at.seq)
    return made


_FIND_FILLING = Sql(
    # The first condition is that of the partial index, word for word: SQLite does not see that the second implies it.
    "SELECT id FROM strand WHERE state != 0 AND state = 1 AND parent = :strand AND parent_seq = :seq "
    "ORDER BY id LIMIT 1"
)
_REACHED = Sql("SELECT max(path) FROM live WHERE strand = :strand")
_SLICE_SQL = (
    "SELECT * FROM (SELECT path, {columns} FROM live WHERE strand = :strand AND {plain:vfrom} <= :seq {after} "
    "ORDER BY path LIMIT :limit) AS a "
    "UNION ALL SELECT * FROM (SELECT path, {columns} FROM past WHERE strand = :strand AND {plain:vfrom} <= :seq "
    "AND {plain:vto} > :seq {after} ORDER BY path LIMIT :limit) AS b"
)
_FILL = Sql(
    f"INSERT INTO live (strand, path, vfrom, {COLUMNS}) SELECT :new, path, 1, {COLUMNS} FROM ("
    + _SLICE_SQL.replace("{columns}", COLUMNS).replace("{after}", "AND path > :after")
    + " ORDER BY path LIMIT :limit) AS v",
    replan=True,
)
_POINT_TO = Sql(
    "UPDATE revision SET strand = :new, seq = 1 "
    "WHERE version = :version AND num = :num AND strand = :strand AND seq = :seq"
)
_SET_STATE = Sql("UPDATE strand SET state = :state WHERE id = :strand")


_ORIGIN = Sql(
    "SELECT s.parent, s.parent_seq FROM strand AS s {join} strand AS p ON p.id = s.parent "
    "WHERE s.id = :strand AND s.trimmed = :no AND (p.trimmed = :no OR EXISTS "
    "(SELECT 1 FROM revision AS r WHERE r.strand = s.parent AND r.seq = s.parent_seq))"
)


def origin(conn: Connection, strand_n: int) -> tuple[int, int] | None:
    """The point that seq 1 of a strand repeats; None if it is no fork, or if either side may lack rows by now.

    Rows that no revision shows are removed, and seq 1 of a fork, or the point it left, need not be a revision.
    """
    row = _ORIGIN(conn, strand=strand_n, no=False).first()
    return None if row is None else (int(row.parent), int(row.parent_seq))


def own_strand(catalog: Catalog, version: int, num: int) -> None:
    """Give a revision a strand of its own, so that what follows it needs no large fork.

    In slices, each a transaction: nobody waits long for it. What was filled when a process died is found again by the
    next one that needs it; two that need it at once fill it together. Until the last slice no revision points to it.
    """

    def begin(conn: Connection) -> tuple[int, Point] | None:
        lock_version(conn, version)
        at = point(conn, version, num)
        if at.strand is None or at.at_head or at.n_entries <= INLINE:
            return None
        found = _FIND_FILLING.scalar(conn, strand=at.strand, seq=at.seq)
        return (new_strand(conn, head=1, parent=at, state=FILLING) if found is None else int(found)), at

    def fill(conn: Connection, new: int, at: Point) -> bool:
        if _LOCK.scalar(conn, strand=new) != FILLING:
            return True
        now = point(conn, version, num)
        if (now.strand, now.seq) != (at.strand, at.seq):
            # The sweep removes it, unless somebody else at the same point still fills it.
            return True
        after = _REACHED.scalar(conn, strand=new) or ""
        added = _FILL(conn, new=new, strand=at.strand, seq=at.seq, after=after, limit=SLICE).rowcount
        if added == SLICE:
            return False
        lock_version(conn, version)
        if _POINT_TO(conn, new=new, version=version, num=num, strand=at.strand, seq=at.seq).rowcount == 1:
            _SET_STATE(conn, strand=new, state=WHOLE)
            assert at.strand is not None
            settle(conn, at.strand)
        return True

    started = catalog.write(begin)
    if started is None:
        return
    new, at = started
    while not catalog.write(lambda conn: fill(conn, new, at)):
        pass


# Ending and cleaning

_GREATEST = Sql("SELECT max(seq) FROM revision WHERE strand = :strand")
_MANY_LIVE = Sql(
    "SELECT count(*) FROM (SELECT 1 FROM live WHERE strand = :strand AND vfrom > :seq LIMIT :limit) AS n", replan=True
)
_MANY_PAST = Sql("SELECT count(*) FROM (SELECT 1 FROM past WHERE strand = :strand LIMIT :limit) AS n", replan=True)
_DROP_LIVE = Sql("DELETE FROM live WHERE strand = :strand AND vfrom > :seq", replan=True)
_DROP_PAST = Sql("DELETE FROM past WHERE strand = :strand", replan=True)
_DROP_STRAND = Sql("DELETE FROM strand WHERE id = :strand")
#: Condition on a row of `past`: no revision that is left shows it.
UNSEEN = (
    "NOT EXISTS (SELECT 1 FROM revision AS r WHERE r.strand = past.strand AND r.seq >= past.vfrom AND r.seq < past.vto)"
)
_MARK_TRIMMED = Sql("UPDATE strand SET trimmed = :yes WHERE id = :strand")
_DROP_UNSEEN = Sql(f"DELETE FROM past WHERE strand = :strand AND {UNSEEN}", replan=True)


def lock_strand(conn: Connection, strand_n: int) -> None:
    """Hold the strand against copies, commits and other cleaners."""
    _LOCK(conn, strand=strand_n)


def settle(conn: Connection, strand_n: int) -> None:
    """Remove what no revision shows any longer, after a revision was taken away; much of it is left to the sweep.

    `head` stays as it is: who writes on top of an earlier seq then forks by itself.
    """
    lock_strand(conn, strand_n)
    greatest = _GREATEST.scalar(conn, strand=strand_n)
    least = -1 if greatest is None else greatest
    many = _MANY_LIVE.scalar(conn, strand=strand_n, seq=least, limit=INLINE + 1)
    if many <= INLINE:
        many += _MANY_PAST.scalar(conn, strand=strand_n, limit=INLINE + 1)
    if many > INLINE:
        _SET_STATE(conn, strand=strand_n, state=DEAD if greatest is None else DIRTY)
        _MARK_TRIMMED(conn, strand=strand_n, yes=True)
        return
    _DROP_LIVE(conn, strand=strand_n, seq=least)
    if greatest is None:
        _DROP_PAST(conn, strand=strand_n)
        _DROP_STRAND(conn, strand=strand_n)
    else:
        _DROP_UNSEEN(conn, strand=strand_n)
        _MARK_TRIMMED(conn, strand=strand_n, yes=True)
