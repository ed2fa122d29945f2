"""Who refers to a content: what may be told about it, and what would go with a version.

A content that a million entries share lies in few histories. So nothing here looks at entries one by one: the index
(content, strand, birth) is skipped through, one seek for each strand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, text

from entrepot.catalog.schema import membership, project, revision, version
from entrepot.catalog.statements import Sql
from entrepot.catalog.versions import Sight, sight_condition

__all__ = ["Frees", "frees", "is_referenced", "readable", "readable_refs", "strands_of"]

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


def readable(conn: Connection, n: int, sight: Sight) -> bool:
    """Whether a revision of a version that `sight` may show has an entry with this content.

    A version that merely shares a history with one that has it (an older copy of it, say) does not count: its readers
    must not learn what was added later by somebody else.
    """
    query = (
        select(version.c.id)
        .join_from(revision, version, revision.c.version == version.c.id)
        .join(project, version.c.project == project.c.id)
        .outerjoin(membership, (membership.c.team == project.c.team) & (membership.c.user == (sight.user or 0)))
        .where(revision.c.strand == bindparam("strand"), text(_SHOWS), sight_condition(sight))
        .limit(1)
    )
    for i, strand in enumerate(strands_of(conn, n)):
        if i == STRANDS:
            return False
        if conn.execute(query, {"strand": strand, "content": n}).first() is not None:
            return True
    return False


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
    "FROM (SELECT content FROM live WHERE strand IN (SELECT value FROM {ids}) "
    "UNION SELECT content FROM past WHERE strand IN (SELECT value FROM {ids})) AS held "
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


def frees(conn: Connection, version: int) -> Frees:
    """The bytes that only this version keeps alive, in any of its revisions.

    Slots of other versions count as keeping bytes alive. Other uploads do not, although the collector heeds them until
    they end by themselves: a version's bytes came by one, and would never seem to be freed while it is young.
    Reads every content of the version: seconds for a million.
    """
    rows = list(_STRANDS_OF(conn, version=version))
    own = [row.strand for row in rows if not row.shared]
    row = _FREES(conn, version=version, ids=[row.strand for row in rows], own=own).first()
    return Frees(int(row.n), int(row.size), int(row.plain))
