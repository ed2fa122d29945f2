"""How contents and objects end: the collector's steps, each a short transaction that may be repeated.

    used ──condemn──► condemned ──(grace)──► doom ──► rows gone, object doomed ──► bytes gone ──► object row gone
                          └── found again, or referred to: used

1. `unreferenced` and `condemn`: nothing refers to the content, and its mark is older than the grace.
2. `doomable` and `doom`, after another grace: **lock the row first, then look** in a second statement. One statement
   that does both waits for an uploader's lock and then still judges by the rows from before it waited; that lost data.
   Whoever inserts an entry takes a lock on the content it names (its foreign key), so it either was there when we look,
   or waits and finds the content gone.
3. `doomed_objects`, the bytes are deleted (missing is fine), `forget_object`. A crash anywhere is finished by the next
   run.

`expire_placing` gives up objects that were reserved and never named. Nothing is ever deleted because a listing of the
store shows it and the catalogue does not: that would race with a slow commit.
"""

# ruff: noqa: S608 - statements are put together from constants of this floor, values are always bound

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from entrepot.catalog.reach import is_referenced
from entrepot.catalog.schema.types import to_micros
from entrepot.catalog.statements import Sql

__all__ = [
    "DoomedObject",
    "condemn",
    "doom",
    "doomable",
    "doomed_objects",
    "expire_placing",
    "forget_object",
    "held",
    "sizes",
    "sparse_after",
    "unreferenced",
    "waiting",
]

_NOTHING_REFERS = (
    "NOT EXISTS (SELECT 1 FROM live AS l WHERE l.content = c.id) "
    "AND NOT EXISTS (SELECT 1 FROM past AS p WHERE p.content = c.id) "
    "AND NOT EXISTS (SELECT 1 FROM upload AS u WHERE u.content = c.id) "
    "AND NOT EXISTS (SELECT 1 FROM packed AS k WHERE k.content = c.id) "
    "AND NOT EXISTS (SELECT 1 FROM derived AS d WHERE d.content = c.id)"
)
_PAGE_END = Sql(
    "SELECT max(id) AS last, count(*) AS n "
    "FROM (SELECT id FROM content WHERE id > :after ORDER BY id LIMIT :limit) AS s"
)
_UNREFERENCED = Sql(
    "SELECT c.id FROM content AS c WHERE c.id > :after AND c.id <= :last AND c.state = 0 AND c.touched < :before "
    f"AND {_NOTHING_REFERS} ORDER BY c.id",
    replan=True,
)
_HELD = Sql(
    "SELECT count(*) AS n, coalesce(sum(c.size), 0) AS size FROM content AS c "
    "WHERE c.id > :after AND c.id <= :last AND c.state = 0 AND (EXISTS (SELECT 1 FROM upload AS u "
    "WHERE u.content = c.id) OR EXISTS (SELECT 1 FROM packed AS k WHERE k.content = c.id)) "
    "AND NOT EXISTS (SELECT 1 FROM live AS l WHERE l.content = c.id) "
    "AND NOT EXISTS (SELECT 1 FROM past AS p WHERE p.content = c.id) "
    "AND NOT EXISTS (SELECT 1 FROM derived AS d WHERE d.content = c.id)",
    replan=True,
)
_CONDEMN = Sql(
    "UPDATE content SET state = 1, touched = :at "
    "WHERE id IN (SELECT value FROM {ids}) AND state = 0 AND touched < :before",
    replan=True,
)
_SIZES = Sql("SELECT c.id, c.size FROM {ids} JOIN content AS c ON c.id = listed.value")
_WAITING = Sql(
    "SELECT count(*) AS n, coalesce(sum(size), 0) AS size FROM content WHERE state = 1 AND touched < :before"
)
_WAITING_OBJECTS = Sql(
    "SELECT count(*) AS n, coalesce(sum(o.size), 0) AS size FROM object AS o "
    "WHERE (o.state != 'placed' AND o.state = 'doomed') OR o.id IN (SELECT e.object FROM content AS c "
    "JOIN extent AS e ON e.content = c.id JOIN object AS p ON p.id = e.object "
    "WHERE c.state = 1 AND c.touched < :before AND p.kind = 'plain')"
)
_EMPTY_PACKS_AFTER = Sql(
    "SELECT count(*) AS n, coalesce(sum(o.size), 0) AS size FROM object AS o {by:ix_object_pack} "
    "WHERE o.kind = 'pack' AND o.state = 'placed' AND NOT EXISTS (SELECT 1 FROM extent AS e {join} content AS c "
    "ON c.id = e.content WHERE e.object = o.id AND NOT (c.state = 1 AND c.touched < :before))"
)
_SPARSE_AFTER = Sql(
    "SELECT count(*) AS n, coalesce(sum(s.size - s.live), 0) AS size FROM ("
    "SELECT o.size, o.body_bytes, o.live_bytes - coalesce((SELECT sum(e.len) FROM extent AS e {join} content AS c "
    "ON c.id = e.content WHERE e.object = o.id AND c.state = 1 AND c.touched < :before), 0) AS live "
    "FROM object AS o {by:ix_object_pack} WHERE o.kind = 'pack' AND o.state = 'placed') AS s "
    "WHERE s.live * 2 < s.body_bytes AND s.live > 0"
)
_DOOMABLE = Sql("SELECT id FROM content WHERE state = 1 AND touched < :before ORDER BY touched LIMIT :limit")
_LOCK = Sql("SELECT state, touched FROM content WHERE id = :content {for_update}")
_KEEP = Sql("UPDATE content SET state = 0 WHERE id = :content")
_PLACES = Sql("SELECT object, sum(len) AS size FROM extent WHERE content = :content GROUP BY object ORDER BY object")
_DROP_EXTENTS = Sql("DELETE FROM extent WHERE content = :content")
_DROP_DERIVED = Sql("DELETE FROM derived WHERE source = :content")
_DROP_EXAMINATIONS = Sql("DELETE FROM examination WHERE content = :content")
_DROP_FACTS = Sql("DELETE FROM fact WHERE content = :content")
_DROP_CONTENT = Sql("DELETE FROM content WHERE id = :content")
_LOWER = Sql("UPDATE object SET live_bytes = live_bytes - :size WHERE id = :object")
_DOOM_EMPTY = Sql(
    "UPDATE object SET state = 'doomed' WHERE id = :object AND state = 'placed' "
    "AND NOT EXISTS (SELECT 1 FROM extent AS e WHERE e.object = :object)"
)
_DOOMED = Sql(
    # The first condition is that of the partial index, word for word.
    "SELECT id, store, key, size FROM object WHERE state != 'placed' AND state = 'doomed' AND id > :after "
    "ORDER BY id LIMIT :limit"
)
_FORGET = Sql("DELETE FROM object WHERE id = :object AND state = 'doomed'")
_EXPIRE = Sql(
    "UPDATE object SET state = 'doomed' WHERE state != 'placed' AND state = 'placing' AND created_at < :before"
)


@dataclass(frozen=True, slots=True)
class DoomedObject:
    """Bytes that nothing refers to any more."""

    n: int
    store: str
    key: str
    size: int


def unreferenced(conn: Connection, *, before: datetime, after: int, limit: int) -> tuple[list[int], int | None]:
    """Contents to condemn among the next `limit`; and the number to go on after, None at the end. A plain read.

    Args:
        before: Only those last marked before this.
        after: The number that the page before gave; 0 to begin.
    """
    looked = _PAGE_END(conn, after=after, limit=limit).first()
    if not looked.n:
        return [], None
    rows = _UNREFERENCED(conn, after=after, last=looked.last, before=to_micros(before))
    return [int(row.id) for row in rows], int(looked.last) if looked.n == limit else None


def held(conn: Connection, *, after: int, limit: int) -> tuple[int, int]:
    """Contents that only uploads refer to among the next `limit`, and their bytes; pages as of `unreferenced`."""
    looked = _PAGE_END(conn, after=after, limit=limit).first()
    if not looked.n:
        return 0, 0
    row = _HELD(conn, after=after, last=looked.last).first()
    return int(row.n), int(row.size)


def condemn(conn: Connection, contents: Sequence[int], *, before: datetime, at: datetime) -> int:
    """Condemn those that are still in use by name only and were not marked since; how many."""
    if not contents:
        return 0
    return _CONDEMN(conn, ids=list(contents), before=to_micros(before), at=to_micros(at)).rowcount


def sizes(conn: Connection, contents: Sequence[int]) -> dict[int, int]:
    """The bytes of each of these contents that is here."""
    return {int(row.id): int(row.size) for row in _SIZES(conn, ids=list(contents))} if contents else {}


def waiting(conn: Connection, *, before: datetime) -> tuple[int, int, int, int]:
    """What a run would take away now: contents and their bytes, objects and theirs. A plain read, for a preview.

    Contents that were found again since they were condemned, or that something refers to, are counted too: who may
    keep them is asked under their lock only.
    """
    contents = _WAITING(conn, before=to_micros(before)).first()
    objects = _WAITING_OBJECTS(conn, before=to_micros(before)).first()
    packs = _EMPTY_PACKS_AFTER(conn, before=to_micros(before)).first()
    return int(contents.n), int(contents.size), int(objects.n + packs.n), int(objects.size + packs.size)


def sparse_after(conn: Connection, *, before: datetime) -> tuple[int, int]:
    """Packs of which less than half would be needed after such a run, and the bytes that rewriting them gives back.

    Looks at every content in a pack: for reports, not for requests.
    """
    row = _SPARSE_AFTER(conn, before=to_micros(before)).first()
    return int(row.n), int(row.size)


def doomable(conn: Connection, *, before: datetime, limit: int) -> list[int]:
    """Contents that were condemned before this time."""
    return [int(row.id) for row in _DOOMABLE(conn, before=to_micros(before), limit=limit)]


def doom(conn: Connection, content: int, *, before: datetime) -> bool:
    """End one content, unless something refers to it or found it again; whether it ended.

    Its rows go at once. Objects left without any extent are doomed; a pack that still has some only counts fewer bytes.
    """
    row = _LOCK(conn, content=content).first()
    if row is None or row.state != 1 or row.touched >= to_micros(before):
        return False
    if is_referenced(conn, content):
        _KEEP(conn, content=content)
        return False
    places = list(_PLACES(conn, content=content))
    _DROP_EXTENTS(conn, content=content)
    # What was made of it has nothing to be looked up in any more; its own content ends like any other.
    _DROP_DERIVED(conn, content=content)
    _DROP_EXAMINATIONS(conn, content=content)
    _DROP_FACTS(conn, content=content)
    _DROP_CONTENT(conn, content=content)
    for place in places:
        _LOWER(conn, object=place.object, size=int(place.size))
        # The row is locked by now: who else ends a content of this object has committed, or waits.
        _DOOM_EMPTY(conn, object=place.object)
    return True


def doomed_objects(conn: Connection, *, after: int = 0, limit: int) -> list[DoomedObject]:
    """Objects whose bytes can be deleted, in order of number. The doom is committed: that order matters."""
    return [DoomedObject(int(r.id), r.store, r.key, int(r.size)) for r in _DOOMED(conn, after=after, limit=limit)]


def forget_object(conn: Connection, n: int) -> bool:
    """Remove the row of a doomed object after its bytes are gone; whether it was there."""
    return _FORGET(conn, object=n).rowcount == 1


def expire_placing(conn: Connection, *, before: datetime) -> int:
    """Doom objects that were reserved before this time and never named; how many.

    A commit that names one of them at the same moment waits for this, finds the reservation gone and fails.
    """
    return _EXPIRE(conn, before=to_micros(before)).rowcount
