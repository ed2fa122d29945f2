"""Packs of which less than half is still needed: what of them has to move, and the switch to its new place.

    sparse ──► bytes that are still needed lie in a new object ──► switch: extents point there ──► the old one is empty
                                                                   one transaction                └─► doomed next time

A content that ended while its bytes were copied has no extent any more: the switch finds none to move, and its copy is
dead from the start. One that was mended meanwhile lies elsewhere by then and is left alone as well. An emptied pack
stays until the next run, so that whoever learned its key a moment ago may still read it; and who comes later than that
asks the catalogue again.
"""

# ruff: noqa: S608 - statements are put together from constants of this floor, values are always bound

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from entrepot.catalog.statements import Sql
from entrepot.model.digests import Digests
from entrepot.model.errors import Gone

__all__ = ["Living", "Sparse", "doom_empty", "living", "sparse", "switch"]

#: The first two conditions are those of the partial index, word for word.
_IS_SPARSE = "kind = 'pack' AND state = 'placed' AND live_bytes * 2 < body_bytes"
#: What moves: whole contents. Damaged bytes stay where they are, or they would look like good ones.
_MOVES = "c.damaged_at IS NULL AND NOT EXISTS (SELECT 1 FROM extent AS x WHERE x.content = e.content AND x.n <> e.n)"
_SPARSE = Sql(
    "SELECT id, store, key, size, live_bytes FROM object {by:ix_object_pack} "
    f"WHERE {_IS_SPARSE} AND id > :after AND EXISTS (SELECT 1 FROM extent AS e {{join}} content AS c "
    f"ON c.id = e.content WHERE e.object = object.id AND {_MOVES}) ORDER BY id LIMIT :limit"
)
_DOOM_EMPTY = Sql(
    "UPDATE object {by:ix_object_pack} SET state = 'doomed', live_bytes = 0 "
    f"WHERE {_IS_SPARSE} AND NOT EXISTS (SELECT 1 FROM extent AS e WHERE e.object = object.id)"
)
_LIVING = Sql(
    "SELECT e.content, e.off, e.len, c.sha256, c.size, c.crc32c, c.crc32 FROM extent AS e "
    f"{{join}} content AS c ON c.id = e.content WHERE e.object = :object AND {_MOVES} ORDER BY e.off"
)
_LOCK = Sql("SELECT id FROM object WHERE id = :object AND state = 'placed' {for_update}")
_HELD = Sql(
    "SELECT id FROM content WHERE id IN (SELECT value FROM {ids}) AND damaged_at IS NULL ORDER BY id {for_share}"
)
_STILL = Sql("SELECT content, n, len FROM extent WHERE object = :object")
_MOVE = Sql("UPDATE extent SET object = :new, off = :off WHERE content = :content AND n = :n AND object = :old")
_LOWER = Sql("UPDATE object SET live_bytes = live_bytes - :size WHERE id = :object")
_PLACE = Sql(
    "UPDATE object SET state = CASE WHEN :moved > 0 THEN 'placed' ELSE 'doomed' END, size = :size, "
    "body_bytes = :live, live_bytes = :live WHERE id = :object AND state = 'placing'"
)


@dataclass(frozen=True, slots=True)
class Sparse:
    """A pack that is worth rewriting.

    Args:
        live_bytes: Of the contents that are still needed.
    """

    n: int
    store: str
    key: str
    size: int
    live_bytes: int


@dataclass(frozen=True, slots=True)
class Living:
    """A content in such a pack: where it lies, and what its bytes are."""

    content: int
    offset: int
    digests: Digests


def sparse(conn: Connection, *, after: int, limit: int) -> list[Sparse]:
    """Packs of which less than half is needed, and from which something can move; in order of number."""
    rows = _SPARSE(conn, after=after, limit=limit)
    return [Sparse(int(r.id), r.store, r.key, int(r.size), int(r.live_bytes)) for r in rows]


def living(conn: Connection, n: int) -> list[Living]:
    """The contents that move, in the order of their bytes."""
    return [
        Living(int(r.content), int(r.off), Digests(int(r.size), bytes(r.sha256), int(r.crc32c), int(r.crc32)))
        for r in _LIVING(conn, object=n)
    ]


def switch(conn: Connection, old: int, new: int, size: int, places: Sequence[tuple[int, int]]) -> int:
    """Let contents be read from the object `new`, whose bytes are durable; how many were still there to be moved.

    Contents are locked first, in order of number, then objects: as whoever ends or mends contents does.

    Args:
        size: Of the new object.
        places: Content and offset in it.

    Raises:
        Gone: The new object's reservation expired, or the old one is not there any more.
    """
    held = {row.id for row in _HELD(conn, ids=sorted(content for content, _ in places))}
    if _LOCK(conn, object=old).first() is None:
        raise Gone("The pack that was to be rewritten went meanwhile.")
    # After the locks: who ends or mends a content of it has committed by now, or waits.
    still = {row.content: row for row in _STILL(conn, object=old)}
    moved = live = 0
    for content, offset in places:
        row = still.get(content)
        if content in held and row is not None:
            _MOVE(conn, new=new, off=offset, content=content, n=row.n, old=old)
            moved, live = moved + 1, live + int(row.len)
    if _PLACE(conn, object=new, size=size, live=live, moved=moved).rowcount != 1:
        raise Gone("The room reserved for a rewritten pack has expired.")
    _LOWER(conn, object=old, size=live)
    return moved


def doom_empty(conn: Connection) -> int:
    """Doom packs in which nothing lies any more, because all of it moved or was mended elsewhere; how many.

    Nothing ever comes into an object after it was placed, so what is empty stays so.
    """
    return _DOOM_EMPTY(conn).rowcount
