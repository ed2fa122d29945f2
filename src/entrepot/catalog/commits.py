"""Changing the entries of a version: any number of changes become one revision, all or none.

version row    taken first: rev + 1, and with `expected` only if nobody else wrote
strand         continued at its head, else forked (`strands`)
live, past     the changes themselves (`applying`)
revision row   where it points, counts, data types
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from entrepot.catalog import examinations
from entrepot.catalog.applying import Application
from entrepot.catalog.entry_values import Put, RevisionRow, RowChange
from entrepot.catalog.schema.types import to_micros
from entrepot.catalog.statements import Sql
from entrepot.catalog.strands import Point, continue_from, point
from entrepot.catalog.words import word_texts
from entrepot.model.errors import NotFound, StaleRevision

__all__ = ["Turn", "add_revision", "commit", "create_revision_zero", "take_turn", "tally"]


@dataclass(slots=True)
class Turn:
    """The right to make the next revision of a version: its row is locked until the transaction ends.

    Args:
        seen: Where the newest revision so far points.
        next_pos: The next position that was never given out.
    """

    version: int
    num: int
    seen: Point
    next_pos: int


_TAKE = Sql("UPDATE version SET rev = rev + 1 WHERE id = :version RETURNING rev, next_pos")
_TAKE_SEEN = Sql("UPDATE version SET rev = rev + 1 WHERE id = :version AND rev = :seen RETURNING rev, next_pos")
_REV = Sql("SELECT rev FROM version WHERE id = :version")


def take_turn(conn: Connection, version: int, expected: int | None) -> Turn:
    """Begin the next revision.

    Raises:
        StaleRevision: The newest revision is not `expected`; `details["revision"]` says which is.
        NotFound: There is no such version.
    """
    if expected is None:
        row = _TAKE(conn, version=version).first()
    else:
        row = _TAKE_SEEN(conn, version=version, seen=expected).first()
    if row is None:
        newest = _REV.scalar(conn, version=version)
        if newest is None:
            raise NotFound("There is no such version.")
        raise StaleRevision(
            f"This version is at revision {newest} now, not {expected}. Read it again and repeat the change on top.",
            details={"revision": newest},
        )
    return Turn(version, row.rev, point(conn, version, row.rev - 1), row.next_pos)


_REVISION = Sql(
    "INSERT INTO revision (version, num, strand, seq, author, at, message, n_entries, n_bytes, types) VALUES "
    "(:version, :num, :strand, :seq, :author, :at, :message, :n_entries, :n_bytes, {json:types})"
)
_SHOW = Sql(
    "UPDATE version SET n_entries = :n_entries, n_bytes = :n_bytes, data_type = :data_type, next_pos = :next_pos, "
    "updated_at = :at WHERE id = :version"
)


def add_revision(
    conn: Connection,
    turn: Turn,
    *,
    strand: int | None,
    seq: int | None,
    n_entries: int,
    n_bytes: int,
    types: dict[str, int],
    author: int | None,
    at: datetime,
    message: str,
) -> RevisionRow:
    """Write the revision of a turn, and what the version shows of its newest one."""
    shared = None
    if len(types) == 1 and "0" not in types:
        number = int(next(iter(types)))
        shared = word_texts(conn, [number])[number]
    made = RevisionRow(turn.version, turn.num, author, at, message, n_entries, n_bytes, shared)
    _write(conn, made, strand, seq, types)
    _SHOW(
        conn,
        version=turn.version,
        n_entries=n_entries,
        n_bytes=n_bytes,
        data_type=shared,
        next_pos=turn.next_pos,
        at=to_micros(at),
    )
    return made


def _write(conn: Connection, made: RevisionRow, strand: int | None, seq: int | None, types: dict[str, int]) -> None:
    _REVISION(
        conn,
        version=made.version,
        num=made.num,
        strand=strand,
        seq=seq,
        author=made.author,
        at=to_micros(made.at),
        message=made.message,
        n_entries=made.n_entries,
        n_bytes=made.n_bytes,
        types=json.dumps(types),
    )


def create_revision_zero(
    conn: Connection, version: int, *, author: int | None, at: datetime, message: str = ""
) -> RevisionRow:
    """Write down that a new version is ready and empty."""
    made = RevisionRow(version, 0, author, at, message, 0, 0)
    _write(conn, made, None, None, {})
    return made


def commit(
    conn: Connection,
    version: int,
    changes: Sequence[RowChange],
    *,
    expected: int | None,
    author: int | None,
    at: datetime,
    message: str,
    event: int,
) -> RevisionRow:
    """Make the next revision of a version. It is made even if the changes come to nothing.

    Args:
        expected: The revision that the changes were made for; None applies them to whatever is newest.
        event: What entries that are put are said to have been added by.

    Raises:
        StaleRevision: Somebody else wrote first.
        PathTaken, EntryNotFound, Invalid: Changes that cannot be made; `errors` has all of them.
        NotFound: There is no such version.
    """
    turn = take_turn(conn, version, expected)
    strand, seq = continue_from(conn, turn.seen)
    turn.next_pos = Application(conn, strand, seq, turn.next_pos, event).apply(changes)
    entries, size, types = tally(conn, turn.seen, strand, seq)
    if any(isinstance(change, Put) for change in changes):
        examinations.ask(conn, version, turn.num, at)
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


_DEPARTED = (
    "SELECT p.dtype, count(*) AS n, sum(c.size) AS size FROM past AS p {by:ix_past_strand_vto} "
    "{join} content AS c ON c.id = p.content WHERE p.strand = :strand AND p.vto = :seq GROUP BY p.dtype"
)
_ARRIVED = (
    "SELECT l.dtype, count(*) AS n, sum(c.size) AS size FROM live AS l {by:ix_live_strand_vfrom} "
    "{join} content AS c ON c.id = l.content WHERE l.strand = :strand AND l.vfrom = :seq GROUP BY l.dtype"
)
_TALLY = Sql(
    f"SELECT -1 AS sign, t.* FROM ({_DEPARTED}) AS t UNION ALL SELECT 1 AS sign, t.* FROM ({_ARRIVED}) AS t"  # noqa: S608
)


def tally(conn: Connection, before: Point, strand: int, seq: int) -> tuple[int, int, dict[str, int]]:
    """Entries, bytes and data types of the state at (strand, seq), from those before and what changed at seq."""
    entries, size, types = before.n_entries, before.n_bytes, dict(before.types)
    for row in _TALLY(conn, strand=strand, seq=seq):
        entries += row.sign * row.n
        # PostgreSQL sums big integers into a decimal.
        size += row.sign * int(row.size)
        key = str(row.dtype or 0)
        types[key] = types.get(key, 0) + row.sign * row.n
    return entries, size, {key: n for key, n in types.items() if n}
