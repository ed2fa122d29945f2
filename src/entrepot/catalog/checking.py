"""Which stored bytes are to be read again, and what was found when they were.

    verified_at   when they were last read and compared; null means not since they arrived
    damaged_at    since when they are known to be wrong; `contents` mends them when equal bytes arrive

Both are said only of the extents that were read: whoever moved the bytes meanwhile is not accused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, or_, select, text, update

from entrepot.catalog import bulk
from entrepot.catalog.contents import Extent, extents
from entrepot.catalog.reach import strands_of
from entrepot.catalog.schema import content, derived
from entrepot.catalog.schema.types import from_micros
from entrepot.catalog.statements import Sql
from entrepot.catalog.strands import point
from entrepot.model.digests import Digests

__all__ = [
    "Due",
    "Place",
    "Totals",
    "count_damaged",
    "due",
    "mark_damaged",
    "mark_verified",
    "places",
    "sample",
    "totals",
    "totals_of",
]


@dataclass(frozen=True, slots=True)
class Due:
    """A content to be read: what its bytes should be."""

    n: int
    digests: Digests
    is_damaged: bool


@dataclass(frozen=True, slots=True)
class Place:
    """An entry with a content: in a version, from a revision on."""

    version: int
    path: str
    revision: int


@dataclass(frozen=True, slots=True)
class Totals:
    """How the whole store is, or what of it one revision has.

    Args:
        contents: How many there are.
        n_bytes: Theirs.
        unread: Those that were not read since they arrived.
        damaged: Those whose stored bytes are known to be wrong.
        oldest: When the one was read that was read longest ago; None if none ever was.
    """

    contents: int
    n_bytes: int
    unread: int
    damaged: int
    oldest: datetime | None


_COLUMNS = (content.c.id, content.c.sha256, content.c.size, content.c.crc32c, content.c.crc32, content.c.damaged_at)
_NEVER = (
    select(*_COLUMNS)
    .where(
        content.c.verified_at.is_(None),
        or_(content.c.created_at <= bindparam("before"), content.c.created_at > bindparam("after")),
        text("content.state < 2"),
    )
    .order_by(content.c.id)
    .limit(bindparam("most"))
)
_LONG_AGO = (
    select(*_COLUMNS)
    .where(content.c.verified_at < bindparam("before"), text("content.state < 2"))
    .order_by(content.c.verified_at, content.c.id)
    .limit(bindparam("most"))
)


_AHEAD = (
    select(*_COLUMNS)
    .where(content.c.verified_at > bindparam("after"), text("content.state < 2"))
    .order_by(content.c.verified_at, content.c.id)
    .limit(bindparam("most"))
)


def due(conn: Connection, *, before: datetime, after: datetime, limit: int) -> list[Due]:
    """Up to `limit` contents that arrived and were last read before a time: those never read first, then the oldest.

    Args:
        after: Those read later than this are due too: it is said by a clock that was wrong.
    """
    rows = list(conn.execute(_NEVER, {"before": before, "after": after, "most": limit}))
    if len(rows) < limit:
        rows += conn.execute(_LONG_AGO, {"before": before, "most": limit - len(rows)})
    if len(rows) < limit:
        rows += conn.execute(_AHEAD, {"after": after, "most": limit - len(rows)})
    return [
        Due(row.id, Digests(row.size, bytes(row.sha256), row.crc32c, row.crc32), row.damaged_at is not None)
        for row in rows
    ]


def mark_verified(conn: Connection, numbers: Sequence[int], *, at: datetime) -> None:
    """They were read and are right; one that was damaged (a disk that came back, say) is well again."""
    for part in bulk.chunks(numbers):
        conn.execute(update(content).where(content.c.id.in_(part)).values(verified_at=at, damaged_at=None))


def mark_damaged(conn: Connection, n: int, seen: Sequence[Extent], *, at: datetime) -> bool:
    """These extents do not hold the content. False if it lies elsewhere by now, or is gone: then nothing was said."""
    held = conn.execute(select(content.c.id).where(content.c.id == n).with_for_update()).first()
    if held is None or extents(conn, n) != list(seen):
        return False
    first = func.coalesce(content.c.damaged_at, bindparam("at", at, type_=content.c.damaged_at.type))
    conn.execute(update(content).where(content.c.id == n).values(damaged_at=first, verified_at=at))
    return True


_PLACES = Sql(
    "SELECT r.version AS version, e.path AS path, min(r.num) AS num FROM ("
    "SELECT path, vfrom, 2147483647 AS vto FROM live WHERE strand = :strand AND content = :content "
    "UNION ALL SELECT path, vfrom, vto FROM past WHERE strand = :strand AND content = :content) AS e "
    "{join} revision AS r ON r.strand = :strand AND r.seq >= e.vfrom AND r.seq < e.vto "
    "GROUP BY r.version, e.path ORDER BY r.version, e.path LIMIT :most"
)


def places(conn: Connection, n: int, *, limit: int) -> list[Place]:
    """Where the content is to be seen, in any revision: up to `limit` entries, each with its first revision.

    One that was made of others, such as a table of a CSV, is to be seen where those are.
    """
    found: dict[Place, None] = {}
    for one in _with_sources(conn, n):
        for strand in strands_of(conn, one):
            rows = _PLACES(conn, strand=strand, content=one, most=limit - len(found))
            found |= {Place(int(row.version), str(row.path), int(row.num)): None for row in rows}
            if len(found) >= limit:
                return list(found)
    return list(found)


def _with_sources(conn: Connection, n: int) -> list[int]:
    """The content, what it was made of, and what that was made of in turn."""
    known = [n]
    for one in known:
        made = conn.execute(select(derived.c.source).where(derived.c.content == one)).scalars()
        known += [source for source in made if source not in known]
    return known


def totals(conn: Connection) -> Totals:
    """Reads one row of each content: for reports, not for requests."""
    row = conn.execute(
        select(
            func.count(),
            func.coalesce(func.sum(content.c.size), 0),
            func.count().filter(content.c.verified_at.is_(None)),
            func.count(content.c.damaged_at),
            func.min(content.c.verified_at),
        ).where(text("content.state < 2"))
    ).one()
    return Totals(int(row[0]), int(row[1]), int(row[2]), int(row[3]), row[4])


# Both go by the key, and so read no more rows than they give, but for the few that end just now.
_SAMPLE = Sql(
    "SELECT key, size FROM (SELECT key, size FROM object WHERE id > 0 AND state = 'placed' "
    "ORDER BY id LIMIT :half) AS oldest UNION SELECT key, size FROM (SELECT key, size FROM object "
    "WHERE id > 0 AND state = 'placed' ORDER BY id DESC LIMIT :half) AS newest"
)


def sample(conn: Connection, half: int) -> list[tuple[str, int]]:
    """Keys and sizes of the oldest and the newest objects that have their bytes, so many of each at most."""
    return [(str(row.key), int(row.size)) for row in _SAMPLE(conn, half=half)]


_TOTALS_OF = Sql(
    "SELECT count(*) AS contents, sum(c.size) AS n_bytes, count(*) - count(c.verified_at) AS unread, "
    # What was made of a content is damage of it, too: without it nobody reads the rows of a table.
    "sum(CASE WHEN c.damaged_at IS NOT NULL OR EXISTS (SELECT 1 FROM derived AS d {join} content AS k "
    "ON k.id = d.content WHERE d.source = c.id AND k.damaged_at IS NOT NULL) THEN 1 ELSE 0 END) AS damaged, "
    "min(c.verified_at) AS oldest FROM ("
    "SELECT content FROM live WHERE strand = :strand AND vfrom <= :seq "
    "UNION SELECT content FROM past WHERE strand = :strand AND vfrom <= :seq AND vto > :seq) AS e "
    "{join} content AS c ON c.id = e.content"
)


def totals_of(conn: Connection, version: int, rev: int) -> Totals:
    """The same for the contents of one revision, each counted once. Reads a row of each entry.

    Raises:
        NotFound: There is no such revision.
    """
    at = point(conn, version, rev)
    if at.strand is None or not at.n_entries:
        return Totals(0, 0, 0, 0, None)
    row = _TOTALS_OF(conn, strand=at.strand, seq=at.seq).first()
    assert row is not None, "an aggregate always answers"
    oldest = None if row.oldest is None else from_micros(int(row.oldest))
    return Totals(int(row.contents), int(row.n_bytes), int(row.unread), int(row.damaged), oldest)


def count_damaged(conn: Connection) -> int:
    """Contents whose stored bytes are known to be wrong; one look at a small index."""
    return int(conn.execute(select(func.count()).where(content.c.damaged_at.is_not(None))).scalar_one())
