"""What differs between two revisions, of one version or of two.

Inside a strand, and between strands with a common ancestor, only the paths that changed on the way are compared. Where
there is no such way, or too much changed on it, both listings are read side by side in path order.

    strand 7   1 ── 2 ── 3 ── 4        from (9, 3) to (7, 4): what changed in 9 after its fork (2, 3),
                    └─ strand 9  1 ── 2 ── 3       and in 7 after the point it was forked from (3, 4)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from entrepot.catalog import bulk
from entrepot.catalog.entry_values import EntryChange, EntryRow
from entrepot.catalog.listing import iterate, page, rows_at
from entrepot.catalog.statements import Sql
from entrepot.catalog.strands import Point, origin, point

if TYPE_CHECKING:
    from entrepot.catalog.database import Catalog

__all__ = ["diff", "diff_page"]

#: Up to this many paths are compared, and searched for renames, in memory: for each page anew, so what a page costs is
#: bounded by it.
MOST = 10_000
#: Two listings without a common history are searched for renames if they have no more entries than this together; a
#: page of a longer difference ends after so many entries, even if few of them differ.
LOOK = 10_000
_STEP = 1_000
#: Forks of forks are followed this far.
DEPTH = 32

_CANDIDATES = Sql(
    "SELECT path FROM live WHERE strand = :strand AND vfrom > :low AND vfrom <= :high "
    "UNION SELECT path FROM past WHERE strand = :strand AND vto > :low AND vto <= :high "
    "UNION SELECT path FROM past WHERE strand = :strand AND vfrom > :low AND vfrom <= :high LIMIT :limit",
    replan=True,
)


def diff(catalog: Catalog, older: tuple[int, int], newer: tuple[int, int]) -> Iterator[EntryChange]:
    """The changes from one (version, revision) to another, in path order (that of the new path, if renamed).

    An entry counts as changed when its content, types, text or position differ. One that is gone and one that came
    with the same content are one rename, unless there is too much to look through: more than `MOST` paths, or `LOOK`
    entries. No read outlives a page.

    Raises:
        NotFound: There is no such revision; raised before the first change.
    """
    with catalog.read() as conn:
        candidates = _candidates(conn, point(conn, *older), point(conn, *newer))
    found = _with_all_renames(catalog, older, newer, candidates)
    return _merged(iterate(catalog, *older), iterate(catalog, *newer)) if found is None else iter(found)


def diff_page(
    catalog: Catalog, older: tuple[int, int], newer: tuple[int, int], *, after: str | None = None, limit: int
) -> tuple[list[EntryChange], str | None]:
    """The next changes, at most `limit`, and the path to go on behind; None if there are no more.

    All pages together are what `diff` yields, for no more than the page or `MOST` and `LOOK` cost. So a page can be
    short, even empty, and not be the last one: many entries were looked at that are the same on both sides.

    Args:
        after: What the page before gave to go on behind.

    Raises:
        NotFound: There is no such revision.
    """
    with catalog.read() as conn:
        candidates = _candidates(conn, point(conn, *older), point(conn, *newer))
    found = _with_all_renames(catalog, older, newer, candidates)
    if found is None:
        found, end = _stretch(catalog, older, newer, after, most=limit)
    else:
        found, end = [change for change in found if after is None or change.path > after], None
    return found[:limit], found[limit - 1].path if len(found) > limit else end


def _with_all_renames(
    catalog: Catalog, older: tuple[int, int], newer: tuple[int, int], candidates: Candidates
) -> list[EntryChange] | None:
    """The whole difference, with renames; None if there is too much to look through."""
    if candidates.paths is not None:
        return _with_renames(_compare(catalog, older, newer, candidates.paths))
    if candidates.many:
        return None
    return _with_renames(_merged(iterate(catalog, *older), iterate(catalog, *newer)))


def _stretch(
    catalog: Catalog, older: tuple[int, int], newer: tuple[int, int], after: str | None, *, most: int
) -> tuple[list[EntryChange], str | None]:
    """Changes behind a path without renames, until there are more than `most` or `LOOK` entries were read.

    Returns:
        Them, and the path that was reached; None if that is the end of both.
    """
    found: list[EntryChange] = []
    looked = 0
    while True:
        with catalog.read() as conn:
            a = page(conn, *older, after=after, limit=_STEP)
            b = page(conn, *newer, after=after, limit=_STEP)
        ends = [rows[-1].path for rows in (a, b) if len(rows) == _STEP]
        # Behind the end of a full page there may be more of this side, so the other is heard only up to there.
        end = min(ends, default=None)
        if end is not None:
            a, b = ([row for row in rows if row.path <= end] for rows in (a, b))
        found.extend(_merged(iter(a), iter(b)))
        looked += len(a) + len(b)
        if end is None or len(found) > most or looked >= LOOK:
            return found, end
        after = end


@dataclass(frozen=True, slots=True)
class Candidates:
    """Every path that may differ, in order; None if they are too many, or not known."""

    paths: list[str] | None
    many: bool = False


def _candidates(conn: Connection, a: Point, b: Point) -> Candidates:
    # In nothing nothing was renamed, and two long listings are not searched for it.
    unrelated = Candidates(None, many=0 in (a.n_entries, b.n_entries) or a.n_entries + b.n_entries > LOOK)
    if a.strand is None or b.strand is None:
        return unrelated
    way = _way(conn, a, b)
    if way is None:
        return unrelated
    paths: set[str] = set()
    for strand, low, high in way:
        paths.update(row.path for row in _CANDIDATES(conn, strand=strand, low=low, high=high, limit=MOST + 1))
        if len(paths) > MOST:
            return Candidates(None, many=True)
    return Candidates(sorted(paths))


def _way(conn: Connection, a: Point, b: Point) -> list[tuple[int, int, int]] | None:
    """The stretches (strand, after seq, to seq) between two points, over their nearest common ancestor."""
    up_a, up_b = _ancestry(conn, a), _ancestry(conn, b)
    in_b = {strand: i for i, (strand, _) in enumerate(up_b)}
    for i, (strand, seq) in enumerate(up_a):
        j = in_b.get(strand)
        if j is None:
            continue
        way = [(s, 1, q) for s, q in up_a[:i]] + [(s, 1, q) for s, q in up_b[:j]]
        other = up_b[j][1]
        return [*way, (strand, min(seq, other), max(seq, other))]
    return None


def _ancestry(conn: Connection, at: Point) -> list[tuple[int, int]]:
    assert at.strand is not None
    chain = [(at.strand, at.seq)]
    while len(chain) < DEPTH:
        parent = origin(conn, chain[-1][0])
        if parent is None:
            break
        chain.append(parent)
    return chain


def _compare(
    catalog: Catalog, older: tuple[int, int], newer: tuple[int, int], paths: list[str]
) -> Iterator[EntryChange]:
    for part in bulk.chunks(paths, 2_000):
        with catalog.read() as conn:
            before = rows_at(conn, point(conn, *older), part)
            after = rows_at(conn, point(conn, *newer), part)
        for path in part:
            change = _change(before.get(path), after.get(path))
            if change is not None:
                yield change


def _change(before: EntryRow | None, after: EntryRow | None) -> EntryChange | None:
    if before is None:
        return None if after is None else EntryChange("added", after.path, None, after)
    if after is None:
        return EntryChange("removed", before.path, before, None)
    return None if _facts(before) == _facts(after) else EntryChange("changed", after.path, before, after)


def _facts(row: EntryRow) -> tuple[object, ...]:
    return row.content, row.media, row.dtype, row.meta, row.pos


def _merged(older: Iterator[EntryRow], newer: Iterator[EntryRow]) -> Iterator[EntryChange]:
    a, b = next(older, None), next(newer, None)
    while a is not None or b is not None:
        # Code points and UTF-8 bytes sort alike, so this is the order of the pages.
        if b is None or (a is not None and a.path < b.path):
            change, a = _change(a, None), next(older, None)
        elif a is None or b.path < a.path:
            change, b = _change(None, b), next(newer, None)
        else:
            change, a, b = _change(a, b), next(older, None), next(newer, None)
        if change is not None:
            yield change


def _with_renames(changes: Iterator[EntryChange]) -> list[EntryChange]:
    """Removed and added entries with one content are renames, paired in path order."""
    found = list(changes)
    removed: dict[int, list[EntryChange]] = defaultdict(list)
    for change in reversed(found):
        if change.kind == "removed" and change.before is not None:
            removed[change.before.content].append(change)
    gone: set[str] = set()
    result: list[EntryChange] = []
    for change in found:
        if change.kind == "added" and change.after is not None and removed[change.after.content]:
            source = removed[change.after.content].pop()
            gone.add(source.path)
            change = EntryChange("renamed", change.path, source.before, change.after)
        result.append(change)
    return [change for change in result if not (change.kind == "removed" and change.path in gone)]
