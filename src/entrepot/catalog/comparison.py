"""What differs between two revisions, of one version or of two.

Inside a strand, and between strands with a common ancestor, only the paths that changed on the way are compared. Where
there is no such way, or it is longer than the listings themselves, both listings are read side by side in path order.

    strand 7   1 ── 2 ── 3 ── 4        from (9, 3) to (7, 4): what changed in 9 after its fork (2, 3),
                    └─ strand 9  1 ── 2 ── 3       and in 7 after the point it was forked from (3, 4)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from entrepot.catalog import bulk
from entrepot.catalog.entry_values import EntryChange, EntryRow
from entrepot.catalog.listing import iterate, rows_at
from entrepot.catalog.statements import Sql
from entrepot.catalog.strands import Point, origin, point

if TYPE_CHECKING:
    from entrepot.catalog.database import Catalog

__all__ = ["diff"]

#: Up to this many paths are compared, and searched for renames, in memory.
MOST = 200_000
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
    with the same content are one rename, unless there are more than `MOST` changes to look through. No read outlives
    a page.

    Raises:
        NotFound: There is no such revision; raised before the first change.
    """
    with catalog.read() as conn:
        a, b = point(conn, *older), point(conn, *newer)
        candidates = _candidates(conn, a, b)
    if candidates is None:
        return _side_by_side(catalog, older, newer)
    return iter(_with_renames(_compare(catalog, older, newer, candidates)))


def _candidates(conn: Connection, a: Point, b: Point) -> list[str] | None:
    """Every path that may differ, in order; None if that is not known or is too much."""
    if a.strand is None or b.strand is None:
        return None
    way = _way(conn, a, b)
    if way is None:
        return None
    paths: set[str] = set()
    for strand, low, high in way:
        paths.update(row.path for row in _CANDIDATES(conn, strand=strand, low=low, high=high, limit=MOST + 1))
        if len(paths) > MOST:
            return None
    return sorted(paths)


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


def _side_by_side(catalog: Catalog, older: tuple[int, int], newer: tuple[int, int]) -> Iterator[EntryChange]:
    """Both listings, merged by path. Renames are looked for as long as the changes are few enough to keep."""
    changes = _merged(iterate(catalog, *older), iterate(catalog, *newer))
    kept: list[EntryChange] = []
    for change in changes:
        kept.append(change)
        if len(kept) > MOST:
            yield from kept
            yield from changes
            return
    yield from _with_renames(iter(kept))


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
