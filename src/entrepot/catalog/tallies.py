"""Counting the entries of one revision by folder and text, a bounded stretch of paths at a time.

One aggregate over a whole version would hold a read transaction for as long as a million rows take, and as many rows
of an answer as there are different texts. A stretch is cut first and counted then: what is read and what comes back
are both bounded, and the stretches are added up by whoever asks.
"""

# ruff: noqa: S608 - statements are put together from constants of this floor, values are always bound

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from entrepot.catalog.statements import Sql
from entrepot.catalog.strands import point

if TYPE_CHECKING:
    from entrepot.catalog.database import Catalog

__all__ = ["Tally", "tallies"]


class Tally(NamedTuple):
    """`n` entries directly in `folder` ("" is the top) with this text; one pair may come again."""

    folder: str
    text: str
    n: int


def _counted(rows: str) -> Sql:
    # Taking from the end whatever is no "/" leaves the folder and its slash.
    cut = "SELECT path, rtrim(path, replace(path, '/', '')) AS home, "
    said = "CASE WHEN substr(meta, 1, :length) = :mark THEN meta ELSE '' END AS said"
    return Sql(
        "SELECT e.home, e.said, count(*), max(e.path) "
        f"FROM ({cut}{said} FROM ({rows}) AS l) AS e GROUP BY e.home, e.said"
    )


_WINDOW = "strand = :strand AND path > :after"
_LIMIT = "ORDER BY path LIMIT :limit"
_HEAD = _counted(f"SELECT path, meta FROM live WHERE {_WINDOW} {_LIMIT}")
_OLD = _counted(
    f"SELECT * FROM (SELECT path, meta FROM live WHERE {_WINDOW} AND {{plain:vfrom}} <= :seq {_LIMIT}) AS a "
    f"UNION ALL SELECT * FROM (SELECT path, meta FROM past WHERE {_WINDOW} AND {{plain:vfrom}} <= :seq "
    f"AND {{plain:vto}} > :seq {_LIMIT}) AS b {_LIMIT}"
)


def tallies(catalog: Catalog, version: int, rev: int, *, mark: str, size: int) -> Iterator[Tally]:
    """How many entries of a revision are in each folder with each text; no read outlives a stretch of `size`.

    Args:
        mark: Texts that begin so are told apart, all others count as "".

    Raises:
        NotFound: There is no such revision.
    """
    after = ""
    while True:
        with catalog.read() as conn:
            at = point(conn, version, rev)
            if at.strand is None or not at.n_entries:
                return
            values = {"strand": at.strand, "after": after, "limit": size, "mark": mark, "length": len(mark)}
            rows = (_HEAD(conn, **values) if at.at_head else _OLD(conn, seq=at.seq, **values)).tuples
        for home, said, n, _ in rows:
            yield Tally(home.rstrip("/"), said, int(n))
        if sum(int(row[2]) for row in rows) < size:
            return
        after = max(row[3] for row in rows)
