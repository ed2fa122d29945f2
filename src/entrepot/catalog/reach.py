"""Who refers to a content: what may be told about it, and what would go with a version.

A content that a million entries share lies in few histories. So nothing here looks at entries one by one: the index
(content, strand, birth) is skipped through, one seek for each strand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, literal_column, select, text

from entrepot.catalog import bulk
from entrepot.catalog.prepared import Prepared
from entrepot.catalog.schema import membership, project, revision, version
from entrepot.catalog.statements import Sql
from entrepot.catalog.versions import Sight, sight_condition
from entrepot.model.values import Role, Visibility

__all__ = ["Frees", "frees", "held", "is_referenced", "readable", "readable_many", "readable_refs", "strands_of"]

#: Histories looked at before a claim by digest is refused; the sender then simply sends the bytes.
STRANDS = 200

_NEXT_STRAND = Sql(
    "SELECT min(s) AS strand FROM ("
    "SELECT min(strand) AS s FROM live WHERE content = :content AND strand > :after "
    "UNION ALL SELECT min(strand) AS s FROM past WHERE content = :content AND strand > :after) AS n"
)

#: Whether the revision in the outer query shows the content, and not only shares a history with one that does.
_SHOWS = """(
    EXISTS (SELECT 1 FROM live AS l WHERE l.content = :content AND l.strand = revision.strand
            AND l.vfrom <= revision.seq)
    OR EXISTS (SELECT 1 FROM past AS p WHERE p.content = :content AND p.strand = revision.strand
               AND p.vfrom <= revision.seq AND p.vto > revision.seq)
)"""


def strands_of(conn: Connection, content: int) -> Iterator[int]:
    """The strands that hold a content, in order."""
    after = 0
    while True:
        found = _NEXT_STRAND.scalar(conn, content=content, after=after)
        if found is None:
            return
        after = int(found)
        yield after


_REFS = (
    select(version.c.project, version.c.id)
    .join_from(revision, version, revision.c.version == version.c.id)
    .where(revision.c.strand == bindparam("strand"), text(_SHOWS))
    .distinct()
    .limit(bindparam("most"))
)


def readable_refs(conn: Connection, content: int, limit: int) -> list[tuple[int, int]]:
    """Up to `limit` different (project, version) of which some revision shows the content."""
    found: dict[tuple[int, int], None] = {}
    for strand in strands_of(conn, content):
        for row in conn.execute(_REFS, {"strand": strand, "content": content, "most": limit}):
            found[int(row.project), int(row.id)] = None
        if len(found) >= limit:
            break
    return list(found)[:limit]


_NEXT_STRANDS = Sql(
    "SELECT listed.value AS content, "
    "(SELECT min(strand) FROM live WHERE content = listed.value AND strand > :after) AS now, "
    "(SELECT min(strand) FROM past WHERE content = listed.value AND strand > :after) AS before FROM {ids}"
)
#: The same of one: PostgreSQL plans anew whatever has a list in it, which takes longer than to answer it.
_NEXT_OF_ONE = Sql(
    "SELECT CAST(:content AS bigint) AS content, "
    "(SELECT min(strand) FROM live WHERE content = :content AND strand > :after) AS now, "
    "(SELECT min(strand) FROM past WHERE content = :content AND strand > :after) AS before"
)
_SHOWN_AT = Sql(
    "SELECT listed.value AS content FROM {ids} WHERE EXISTS (SELECT 1 FROM live AS l "
    "WHERE l.content = listed.value AND l.strand = :strand AND l.vfrom <= :seq) "
    "OR EXISTS (SELECT 1 FROM past AS p "
    "WHERE p.content = listed.value AND p.strand = :strand AND p.vfrom <= :seq AND p.vto > :seq)"
)


def readable(conn: Connection, n: int, sight: Sight) -> bool:
    """`readable_many` of one content."""
    return bool(readable_many(conn, [n], sight))


def readable_many(conn: Connection, numbers: Sequence[int], sight: Sight) -> set[int]:
    """Those of the contents that an entry has in some revision of a version that `sight` may show.

    A version that merely shares a history with one that has it (an older copy of it, say) does not count: its readers
    must not learn what was added later by somebody else.

    What came together lies in one strand and is asked about together: a few questions for each strand, not for each
    content.
    """
    found: set[int] = set()
    for part in bulk.chunks(list(dict.fromkeys(numbers))):
        found |= _readable(conn, part, sight)
    return found


def _readable(conn: Connection, numbers: Sequence[int], sight: Sight) -> set[int]:
    found: set[int] = set()
    shown = _Shown(conn, sight)
    # By the last strand that was looked at.
    waiting: dict[int, list[int]] = {0: list(numbers)}
    for _ in range(STRANDS):
        together: dict[int, list[int]] = {}
        for after, some in waiting.items():
            for content, now, before in _next_strands(conn, some, after):
                ahead = [int(strand) for strand in (now, before) if strand is not None]
                if ahead:
                    together.setdefault(min(ahead), []).append(int(content))
        waiting = {}
        for strand, some in together.items():
            here = shown.of(strand, some)
            found |= here
            rest = [n for n in some if n not in here]
            if rest:
                waiting[strand] = rest
        if not waiting:
            break
    return found


def _next_strands(conn: Connection, contents: Sequence[int], after: int) -> Sequence[tuple[Any, ...]]:
    if len(contents) == 1:
        return _NEXT_OF_ONE(conn, content=contents[0], after=after).tuples
    return _NEXT_STRANDS(conn, ids=contents, after=after).tuples


@lru_cache(maxsize=256)
def _seen(
    everything: bool, projects: tuple[int, ...] | None, open_to_all: tuple[Visibility, ...], least: Role
) -> tuple[Prepared, Prepared]:
    """Two questions for the revisions of a strand that a sight shows: the newest, and the newest with some content."""
    asking = bindparam("asking", type_=membership.c.user.type)
    seen = (
        select(revision.c.seq)
        .join_from(revision, version, revision.c.version == version.c.id)
        .join(project, version.c.project == project.c.id)
        .outerjoin(membership, (membership.c.team == project.c.team) & (membership.c.user == asking))
        .where(revision.c.strand == bindparam("strand"))
        .where(sight_condition(Sight(None, everything, projects, open_to_all, least)))
    )
    # Spelled out: a limit that is bound is rendered anew for each call.
    once: ColumnElement[int] = literal_column("1")
    newest = seen.order_by(revision.c.seq.desc()).limit(once)
    return Prepared(newest), Prepared(newest.where(text(_SHOWS)))


class _Shown:
    """Which contents the revisions of a strand show, of those revisions that somebody may see."""

    def __init__(self, conn: Connection, sight: Sight) -> None:
        self._conn = conn
        self._newest, self._any = _seen(sight.everything, sight.projects, sight.open_to_all, sight.least)
        self._asking = {"asking": sight.user or 0}
        self._seqs: dict[int, int | None] = {}

    def of(self, strand: int, contents: Sequence[int]) -> set[int]:
        if len(contents) == 1:
            # Most likely in the newest: the first that is looked at.
            return set(contents) if self._shows(strand, contents[0]) else set()
        if strand not in self._seqs:
            self._seqs[strand] = self._newest(self._conn, {**self._asking, "strand": strand}).scalar()
        seq = self._seqs[strand]
        if seq is None:
            return set()
        # Nearly all are in the newest revision that may be seen; only the rest is looked for in the older ones.
        found = {int(row[0]) for row in _SHOWN_AT(self._conn, ids=contents, strand=strand, seq=seq).tuples}
        return found.union(n for n in contents if n not in found and self._shows(strand, n))

    def _shows(self, strand: int, content: int) -> bool:
        return bool(self._any(self._conn, {**self._asking, "strand": strand, "content": content}).tuples)


_REFERENCED = Sql(
    "SELECT CASE WHEN EXISTS (SELECT 1 FROM live WHERE content = :content) "
    "OR EXISTS (SELECT 1 FROM past WHERE content = :content) "
    "OR EXISTS (SELECT 1 FROM upload WHERE content = :content) "
    "OR EXISTS (SELECT 1 FROM packed WHERE content = :content) "
    "OR EXISTS (SELECT 1 FROM derived WHERE content = :content) THEN 1 ELSE 0 END"
)


def is_referenced(conn: Connection, content: int) -> bool:
    """Whether anything in the catalogue names this content; what the collector goes by."""
    return bool(_REFERENCED.scalar(conn, content=content))


@dataclass(frozen=True, slots=True)
class Frees:
    """What the purge of a version would free, once the grace is over.

    Args:
        contents: How many contents nothing else refers to.
        n_bytes: Their bytes.
        at_once: Those of them in objects of their own; the rest lies in packs, which shrink when they are compacted.
    """

    contents: int
    n_bytes: int
    at_once: int


_STRANDS_OF = Sql(
    "SELECT m.strand, "
    "EXISTS (SELECT 1 FROM revision AS o WHERE o.strand = m.strand AND o.version <> :version) AS shared "
    "FROM (SELECT DISTINCT strand FROM revision WHERE version = :version AND strand IS NOT NULL) AS m"
)
_FREES = Sql(
    "SELECT count(*) AS n, coalesce(sum(c.size), 0) AS size, coalesce(sum(CASE WHEN EXISTS ("
    "SELECT 1 FROM extent AS e {join} object AS o ON o.id = e.object WHERE e.content = c.id AND o.kind = 'plain') "
    "THEN c.size ELSE 0 END), 0) AS plain "
    "FROM (SELECT content FROM live WHERE strand IN (SELECT value FROM {ids}) AND content % :parts = :part "
    "UNION SELECT content FROM past WHERE strand IN (SELECT value FROM {ids}) AND content % :parts = :part) AS held "
    "{join} content AS c ON c.id = held.content "
    "WHERE NOT EXISTS (SELECT 1 FROM live AS l WHERE l.content = c.id AND l.strand NOT IN (SELECT value FROM {own}) "
    "AND EXISTS (SELECT 1 FROM revision AS r "
    "WHERE r.strand = l.strand AND r.seq >= l.vfrom AND r.version <> :version)) "
    "AND NOT EXISTS (SELECT 1 FROM past AS p WHERE p.content = c.id AND p.strand NOT IN (SELECT value FROM {own}) "
    "AND EXISTS (SELECT 1 FROM revision AS r WHERE r.strand = p.strand AND r.seq >= p.vfrom AND r.seq < p.vto "
    "AND r.version <> :version)) "
    "AND NOT EXISTS (SELECT 1 FROM upload AS u WHERE u.content = c.id AND u.version <> :version)",
    replan=True,
)


def frees(conn: Connection, version: int, *, part: int = 0, parts: int = 1) -> Frees:
    """The bytes that only this version keeps alive, in any of its revisions.

    Slots of other versions count as keeping bytes alive. Other uploads do not, although the collector heeds them until
    they end by themselves: a version's bytes came by one, and would never seem to be freed while it is young.
    Looks at every content of the version, each several times: more than ten seconds for a million.

    Args:
        part, parts: Of so many parts of the contents, of about equal size, this one; their sum is the whole. Contents
            are dealt out by number, so one part says about what the others will.
    """
    rows = list(_STRANDS_OF(conn, version=version))
    own = [row.strand for row in rows if not row.shared]
    row = _FREES(
        conn, version=version, ids=[row.strand for row in rows], own=own, part=part, parts=max(1, parts)
    ).first()
    return Frees(int(row.n), int(row.size), int(row.plain))


_HELD = Sql(
    "SELECT (SELECT count(*) FROM (SELECT 1 FROM live WHERE strand IN (SELECT value FROM {ids}) LIMIT :most) AS l) + "
    "(SELECT count(*) FROM (SELECT 1 FROM past WHERE strand IN (SELECT value FROM {ids}) LIMIT :most) AS p)",
    replan=True,
)


def held(conn: Connection, version: int, *, most: int) -> int:
    """How many entries the histories of a version have, those of older revisions too; counted up to twice `most`."""
    rows = list(_STRANDS_OF(conn, version=version))
    return int(_HELD.scalar(conn, ids=[row.strand for row in rows], most=most) or 0)
