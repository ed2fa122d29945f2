"""How many bytes a purge would give back, before anybody does it."""

from __future__ import annotations

from sqlalchemy import Connection

from entrepot.catalog.statements import Sql

__all__ = ["frees"]

# Strands that another version's revisions point into are counted as staying whole, so the answer is never too large.
# Uploads that brought a content do not count as reasons to keep it: they end by themselves.
_FREES = Sql(
    "WITH gone AS ("
    "  SELECT DISTINCT strand FROM revision r WHERE r.version = :version AND r.strand IS NOT NULL AND NOT EXISTS ("
    "    SELECT 1 FROM revision o WHERE o.strand = r.strand AND o.version <> :version)"
    "), named AS ("
    "  SELECT content FROM live WHERE strand IN (SELECT strand FROM gone) "
    "  UNION SELECT content FROM past WHERE strand IN (SELECT strand FROM gone)"
    ") SELECT COALESCE(SUM(c.size), 0) AS n FROM named JOIN content c ON c.id = named.content "
    "WHERE NOT EXISTS (SELECT 1 FROM live l WHERE l.content = c.id AND l.strand NOT IN (SELECT strand FROM gone)) "
    "AND NOT EXISTS (SELECT 1 FROM past p WHERE p.content = c.id AND p.strand NOT IN (SELECT strand FROM gone))"
)


def frees(conn: Connection, version: int) -> int:
    """Bytes of contents that only this version's revisions name; at least so many go with it."""
    return int(_FREES.scalar(conn, version=version) or 0)
