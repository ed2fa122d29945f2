"""Copies, restores and merges: revisions whose entries come from another revision.

A copy is a pointer: the new version's revision points where the source's does, whatever its size, and whoever writes
first continues the strand. So is a restore where the old point can be continued; otherwise it is a commit of the
difference. A merge is a commit fed by the database itself.
"""

# ruff: noqa: S608 - statements are put together from constants of this floor, values are always bound

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from entrepot.catalog import bulk
from entrepot.catalog.applying import check_tree, put_rows
from entrepot.catalog.commits import Turn, add_revision, take_turn, tally
from entrepot.catalog.entry_values import Faults, RevisionRow
from entrepot.catalog.statements import Sql
from entrepot.catalog.strands import (
    COLUMNS,
    Point,
    advance,
    continue_from,
    fork_from,
    lock_strand,
    new_strand,
    origin,
    point,
    shared_point,
    visible,
)

__all__ = ["Merged", "copy", "copy_some", "merge", "restore"]

_NEXT_POS = Sql("SELECT next_pos FROM version WHERE id = :version")


def copy(
    conn: Connection,
    source_version: int,
    source_rev: int,
    target_version: int,
    *,
    author: int | None,
    at: datetime,
    message: str = "",
) -> RevisionRow:
    """Make the next revision of the target show what a revision of the source shows. Two rows, whatever the size.

    Entries keep their positions, texts and the event that added them.

    Raises:
        NotFound: There is no such revision.
    """
    turn = take_turn(conn, target_version, None)
    source = shared_point(conn, source_version, source_rev)
    _positions_of(conn, turn, source_version)
    return _point_to(conn, turn, source, author, at, message)


def _positions_of(conn: Connection, turn: Turn, version: int) -> None:
    """Positions that entries bring along must not be given out again."""
    turn.next_pos = max(turn.next_pos, int(_NEXT_POS.scalar(conn, version=version) or 0))


def _point_to(
    conn: Connection, turn: Turn, source: Point, author: int | None, at: datetime, message: str
) -> RevisionRow:
    return add_revision(
        conn,
        turn,
        strand=source.strand,
        seq=None if source.strand is None else source.seq,
        n_entries=source.n_entries,
        n_bytes=source.n_bytes,
        types=dict(source.types),
        author=author,
        at=at,
        message=message,
    )


def _written(
    conn: Connection, turn: Turn, strand: int, seq: int, author: int | None, at: datetime, message: str
) -> RevisionRow:
    """The revision of what was written at (strand, seq) on top of what the turn saw."""
    entries, size, types = tally(conn, turn.seen, strand, seq)
    return add_revision(
        conn,
        turn,
        strand=strand,
        seq=seq,
        n_entries=entries,
        n_bytes=size,
        types=types,
        author=author,
        at=at,
        message=message,
    )


_COPY_SOME = Sql(
    f"INSERT INTO live (strand, path, vfrom, {COLUMNS}) SELECT :new, path, :first, {COLUMNS} FROM "
    f"({visible(more='AND path {in_paths}')}) AS v WHERE NOT EXISTS "
    "(SELECT 1 FROM live AS l WHERE l.strand = :new AND l.path = v.path)",
    replan=True,
)


def copy_some(
    conn: Connection,
    source_version: int,
    source_rev: int,
    target_version: int,
    paths: Sequence[str],
    *,
    author: int | None,
    at: datetime,
    message: str = "",
) -> RevisionRow:
    """Make the next revision of an empty target show some entries of a source; paths it does not have are ignored.

    Entries keep their positions, texts and the event that added them.

    Raises:
        NotFound: There is no such revision.
        ValueError: The target has entries already: that would be a merge.
    """
    turn = take_turn(conn, target_version, None)
    if turn.seen.n_entries:
        raise ValueError("copy_some fills an empty version; use merge")
    source = shared_point(conn, source_version, source_rev)
    _positions_of(conn, turn, source_version)
    strand = new_strand(conn, head=1)
    if source.strand is not None:
        for part in bulk.chunks(sorted(set(paths))):
            _COPY_SOME(conn, new=strand, first=1, strand=source.strand, seq=source.seq, paths=list(part))
    return _written(conn, turn, strand, 1, author, at, message)


# Restore

_RETIRE_NEWER = Sql(
    f"INSERT INTO past (strand, path, vto, vfrom, {COLUMNS}) SELECT strand, path, :seq, vfrom, {COLUMNS} "
    "FROM live WHERE strand = :strand AND vfrom > :back AND vfrom < :seq",
    replan=True,
)
_DROP_NEWER = Sql("DELETE FROM live WHERE strand = :strand AND vfrom > :back AND vfrom < :seq", replan=True)
_BRING_BACK = Sql(
    f"INSERT INTO live (strand, path, vfrom, {COLUMNS}) SELECT strand, path, :seq, {COLUMNS} "
    "FROM past WHERE strand = :strand AND vfrom <= :back AND vto > :back AND vto < :seq",
    replan=True,
)


def restore(
    conn: Connection,
    version: int,
    to_rev: int,
    *,
    expected: int | None,
    author: int | None,
    at: datetime,
    message: str,
    event: int,  # noqa: ARG001 - part of the seam of all changes; entries that come back keep what added them
) -> RevisionRow:
    """Make a new revision that shows what revision `to_rev` shows.

    Entries come back with their positions, their texts and the event that added them.

    Raises:
        StaleRevision: Somebody else wrote first.
        NotFound: There is no such revision, or no longer.
        NotYet: See `Catalog.write`.
    """
    turn = take_turn(conn, version, expected)
    target = point(conn, version, to_rev)
    if target.n_entries == 0:
        return _point_to(conn, turn, Point(version, to_rev, None, 0, 0, 0, 0, {}), author, at, message)
    seen = turn.seen
    if seen.strand is not None:
        # Nobody may take rows out between judging that they are there and bringing them back.
        lock_strand(conn, seen.strand)
    back = _place_in(conn, target, seen)
    if back is not None and seen.strand is not None and advance(conn, seen):
        seq = seen.seq + 1
        _RETIRE_NEWER(conn, strand=seen.strand, back=back, seq=seq)
        _DROP_NEWER(conn, strand=seen.strand, back=back, seq=seq)
        _BRING_BACK(conn, strand=seen.strand, back=back, seq=seq)
        shown = Point(version, turn.num, seen.strand, seq, seq, target.n_entries, target.n_bytes, target.types)
    elif target.at_head:
        # Whoever writes next continues that strand.
        shown = target
    else:
        strand = fork_from(conn, target, head=1)
        shown = Point(version, turn.num, strand, 1, 1, target.n_entries, target.n_bytes, target.types)
    return _point_to(conn, turn, shown, author, at, message)


def _place_in(conn: Connection, target: Point, seen: Point) -> int | None:
    """The seq of the strand of `seen` that shows what `target` shows, if it has one."""
    if seen.strand is None:
        return None
    if target.strand == seen.strand:
        return target.seq
    # The strand may have been forked from exactly there.
    return 1 if origin(conn, seen.strand) == (target.strand, target.seq) else None


# Merge


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did.

    Args:
        added: Entries that came in under their own names.
        renamed: (name in the source, name in the target) of those whose name was taken by other bytes.
        same: Entries that were there already.
    """

    revision: RevisionRow
    added: int
    renamed: tuple[tuple[str, str], ...]
    same: int


_ADD_NEW = Sql(
    f"INSERT INTO live (strand, path, vfrom, {COLUMNS}) SELECT :into, s.path, :at, s.content, s.media, s.dtype, "
    "s.meta, :base + row_number() OVER (ORDER BY s.pos, s.path) - 1, :event "
    f"FROM ({visible()}) AS s "
    "WHERE NOT EXISTS (SELECT 1 FROM live AS t WHERE t.strand = :into AND t.path = s.path)",
    replan=True,
)
_CLASHES = Sql(
    "SELECT s.path, s.content, s.media, s.dtype, s.meta "
    f"FROM ({visible(more='AND path > :after')}) AS s {{join}} live AS t ON t.strand = :into AND t.path = s.path "
    "WHERE t.vfrom < :at AND t.content <> s.content ORDER BY s.path LIMIT :limit",
    replan=True,
)
_TAKEN = Sql("SELECT path FROM live WHERE strand = :strand AND path {in_paths}")
_ARRIVED = Sql(
    "SELECT path FROM live WHERE strand = :strand AND vfrom = :seq AND path > :after ORDER BY path LIMIT :limit",
    replan=True,
)

#: Clashing entries handled together.
_PAGE = 5_000


def merge(
    conn: Connection,
    source_version: int,
    source_rev: int,
    target_version: int,
    *,
    expected: int | None = None,
    rename: Callable[[str, int], str],
    author: int | None,
    at: datetime,
    message: str,
    event: int,
) -> Merged:
    """Bring the entries of a source into the newest revision of a target, as one new revision.

    A path that the target lacks is added; one that has the same bytes is left alone; one that has other bytes is added
    under another name. New entries get new positions, in the order of the source, the renamed ones last.

    Args:
        rename: The name for the `k`-th try (from 1) to find a free one: ("a/b.csv", 1) → "a/b-0001.csv". Names for
            growing `k` must differ.

    Raises:
        PathTaken: A path would be a file and a folder; `errors` has all of them.
        StaleRevision, NotFound, NotYet: As for a commit.
    """
    turn = take_turn(conn, target_version, expected)
    # Before the source is locked: it may be the same strand, and a shared lock that is raised later can deadlock.
    strand, seq = continue_from(conn, turn.seen)
    source = shared_point(conn, source_version, source_rev)
    renamed: list[tuple[str, str]] = []
    added = 0
    if source.strand is not None:
        values = {"strand": source.strand, "seq": source.seq, "into": strand, "at": seq}
        added = _ADD_NEW(conn, base=turn.next_pos, event=event, **values).rowcount
        turn.next_pos += added
        after = ""
        while True:
            clashes = list(_CLASHES(conn, after=after, limit=_PAGE, **values))
            names = _free_names(conn, strand, [row.path for row in clashes], rename)
            put_rows(
                conn,
                [
                    (strand, names[c.path], seq, c.content, c.media, c.dtype, c.meta, turn.next_pos + i, event)
                    for i, c in enumerate(clashes)
                ],
            )
            turn.next_pos += len(clashes)
            renamed += ((row.path, names[row.path]) for row in clashes)
            if len(clashes) < _PAGE:
                break
            after = clashes[-1].path
        _refuse_file_and_folder(conn, strand, seq)
    made = _written(conn, turn, strand, seq, author, at, message)
    return Merged(made, added, tuple(renamed), source.n_entries - added - len(renamed))


def _free_names(
    conn: Connection, strand: int, paths: Sequence[str], rename: Callable[[str, int], str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    used: set[str] = set()
    k = 1
    waiting = list(paths)
    while waiting:
        wanted = {path: rename(path, k) for path in waiting}
        taken = {row.path for row in _TAKEN(conn, strand=strand, paths=sorted(set(wanted.values())))} | used
        for path, name in wanted.items():
            if name not in taken:
                found[path] = name
                taken.add(name)
        used.update(found.values())
        waiting = [path for path in waiting if path not in found]
        k += 1
    return found


def _refuse_file_and_folder(conn: Connection, strand: int, seq: int) -> None:
    faults = Faults()
    after = ""
    while True:
        paths = [row.path for row in _ARRIVED(conn, strand=strand, seq=seq, after=after, limit=bulk.CHUNK)]
        check_tree(conn, strand, paths, faults)
        if len(paths) < bulk.CHUNK:
            break
        after = paths[-1]
    faults.check()
