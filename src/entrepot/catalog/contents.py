"""Contents, their extents and objects: what bytes are here and where.

    content.state   0 used, 1 condemned (nothing refers to it, waiting out the grace)
    object.state    placing, placed, doomed

A content is found by digest while it has a row and its bytes are not known to be damaged. Finding it again takes it
back from condemnation, in the transaction that is about to refer to it. Bytes that arrive for a damaged content become
its bytes. How contents end is in `collecting`, how damage is found in `checking`, who may be told of them in `reach`.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from entrepot.catalog import bulk
from entrepot.catalog.failures import Contended
from entrepot.catalog.prepared import Prepared
from entrepot.catalog.reach import readable, readable_many, readable_refs
from entrepot.catalog.schema import content, extent, object_
from entrepot.catalog.schema.types import from_micros, to_micros
from entrepot.catalog.statements import Sql
from entrepot.model.digests import Digests
from entrepot.model.errors import Gone

__all__ = [
    "Extent",
    "Measures",
    "Place",
    "dedupe_hit",
    "extents",
    "extents_many",
    "find",
    "find_many",
    "first_places",
    "insert_packed",
    "insert_placed",
    "located",
    "measures_many",
    "object_known",
    "object_placed",
    "pack_stays",
    "readable",
    "readable_many",
    "readable_refs",
    "reserve_object",
    "size_of",
]

_CHUNK = 500

#: A popular content is not written to on every hit, only when its mark is older than this: well below the grace.
TOUCH_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Extent:
    """A piece of a content: `length` bytes from `offset` of the object `key` in `store`."""

    store: str
    key: str
    offset: int
    length: int


#: What can be found by digest.
_HERE = text("content.state < 2 AND content.damaged_at IS NULL")


_BY_DIGEST = Prepared(select(content.c.id).where(content.c.sha256 == bindparam("sha256"), _HERE))


def find(conn: Connection, sha256: bytes) -> int | None:
    """The content with this digest, used or condemned, unless it is damaged."""
    found = _BY_DIGEST(conn, {"sha256": sha256}).scalar()
    return None if found is None else int(found)


#: The same, and what else decides whether it may be used, for the database on which this is asked one by one.
_LOOK = Sql("SELECT id, state, touched FROM content WHERE sha256 = :sha256 AND state < 2 AND damaged_at IS NULL")


#: For the other one.
_LOOK_MANY = Sql(
    "SELECT sha256, id FROM content WHERE sha256 = ANY(CAST(:digests AS bytea[])) AND state < 2 AND damaged_at IS NULL"
)


def find_many(conn: Connection, digests: Sequence[bytes]) -> dict[bytes, int]:
    if conn.dialect.name == "sqlite":
        rows = zip(digests, _LOOK.each(conn, "sha256", digests), strict=True)
        return {digest: row[0] for digest, row in rows if row is not None}
    if len(digests) == 1:
        one = find(conn, digests[0])
        return {} if one is None else {digests[0]: one}
    found: dict[bytes, int] = {}
    for part in bulk.chunks(digests, _CHUNK):
        found |= {bytes(digest): int(n) for digest, n in _LOOK_MANY(conn, digests=part).tuples}
    return found


def with_digest(conn: Connection, sha256: bytes) -> list[int]:
    """All contents with this digest, damaged ones too."""
    return [int(row.id) for row in conn.execute(select(content.c.id).where(content.c.sha256 == sha256))]


def size_of(conn: Connection, n: int) -> int | None:
    found = conn.execute(select(content.c.size).where(content.c.id == n)).scalar()
    return None if found is None else int(found)


@dataclass(frozen=True, slots=True)
class Measures:
    """What a reader goes by.

    Args:
        damaged_at: Since when its bytes are known to be wrong; None if they are not.
    """

    size: int
    crc32c: int
    damaged_at: datetime | None


_EXTENTS = Prepared(
    select(object_.c.store, object_.c.key, extent.c.off, extent.c.len)
    .join_from(extent, object_, extent.c.object == object_.c.id)
    .where(extent.c.content == bindparam("n"))
    .order_by(extent.c.n)
)


def extents(conn: Connection, n: int) -> list[Extent]:
    """In the order of the bytes."""
    return [Extent(row.store, row.key, row.off, row.len) for row in _EXTENTS(conn, {"n": n})]


_LOCATED = Sql(
    "SELECT c.size, c.crc32c, c.damaged_at, o.store, o.key, e.off, e.len FROM content AS c "
    "LEFT JOIN extent AS e ON e.content = c.id LEFT JOIN object AS o ON o.id = e.object WHERE c.id = :n ORDER BY e.n"
)


def located(conn: Connection, n: int) -> tuple[Measures, list[Extent]] | None:
    """What a content should be and where its bytes are, in one question; None if there is none of that number."""
    rows = _LOCATED(conn, n=n).tuples
    if not rows:
        return None
    size, crc32c, damaged = rows[0][:3]
    found = Measures(int(size), int(crc32c), None if damaged is None else from_micros(damaged))
    return found, [Extent(*row[3:]) for row in rows if row[3] is not None]


_MEASURES_MANY = Sql(
    "SELECT c.id, c.size, c.crc32c, c.damaged_at FROM {ids} {join} content AS c ON c.id = listed.value"
)
_EXTENTS_MANY = Sql(
    "SELECT e.content, e.n, o.store, o.key, e.off, e.len FROM {ids} {join} extent AS e ON e.content = listed.value "
    "{join} object AS o ON o.id = e.object"
)


def measures_many(conn: Connection, numbers: Sequence[int]) -> dict[int, Measures]:
    """What contents should be, in one question, of those that there are."""
    rows = _MEASURES_MANY(conn, ids=list(numbers))
    return {
        int(row.id): Measures(
            int(row.size), int(row.crc32c), None if row.damaged_at is None else from_micros(row.damaged_at)
        )
        for row in rows
    }


def extents_many(conn: Connection, numbers: Sequence[int]) -> dict[int, list[Extent]]:
    """`extents` of many contents in one question."""
    found: dict[int, list[Extent]] = {n: [] for n in numbers}
    rows = sorted(_EXTENTS_MANY(conn, ids=list(numbers)).tuples)
    for content_n, _, store, key, offset, length in rows:
        found[content_n].append(Extent(store, key, offset, length))
    return found


_FIRST_PLACES = Sql(
    "SELECT c.id, o.key, e.off, e.len, c.size FROM {ids} {join} content AS c ON c.id = listed.value "
    "{join} extent AS e ON e.content = c.id AND e.n = 0 {join} object AS o ON o.id = e.object "
    "WHERE c.damaged_at IS NULL"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a content begins: `length` bytes of it from `offset` of the object `key`, of `size` in all."""

    key: str
    offset: int
    length: int
    size: int


def first_places(conn: Connection, numbers: Sequence[int]) -> dict[int, Place]:
    """Where each of these contents begins; those that are damaged or unknown are left out."""
    found: dict[int, Place] = {}
    for part in bulk.chunks(numbers, _CHUNK):
        rows = _FIRST_PLACES(conn, ids=list(part)).tuples
        found |= {int(n): Place(key, offset, length, size) for n, key, offset, length, size in rows}
    return found


def object_known(conn: Connection, store: str, key: str) -> bool:
    query = select(object_.c.id).where(object_.c.store == store, object_.c.key == key)
    return conn.execute(query).first() is not None


def is_whole_object(conn: Connection, extent: Extent) -> bool:
    """Whether an object has these bytes and no others: of a pack, a part never is."""
    size = select(object_.c.size).where(
        object_.c.store == extent.store, object_.c.key == extent.key, object_.c.kind == "plain"
    )
    return extent.offset == 0 and conn.execute(size).scalar() == extent.length


def other_store(conn: Connection, store: str) -> str | None:
    """The name of a store that is not this one and has objects; two looks at an index."""
    for beside in (object_.c.store < store, object_.c.store > store):
        found = conn.execute(select(object_.c.store).where(beside).order_by(object_.c.store).limit(1)).first()
        if found is not None:
            return str(found.store)
    return None


def object_placed(conn: Connection, store: str, key: str) -> bool:
    """Whether its bytes are to be there: those of a doomed one may be gone before its row is."""
    query = select(object_.c.id).where(object_.c.store == store, object_.c.key == key, object_.c.state == "placed")
    return conn.execute(query).first() is not None


# Finding again


_SHARED = Sql(
    "SELECT sha256, id FROM content WHERE sha256 = ANY(CAST(:digests AS bytea[])) "
    "AND state < 2 AND damaged_at IS NULL AND state = 0 AND touched >= :due ORDER BY id {for_share}"
)


#: PostgreSQL plans anew whatever has a list in it.
_SHARED_ONE = Sql(
    "SELECT sha256, id FROM content WHERE sha256 = :sha256 "
    "AND state < 2 AND damaged_at IS NULL AND state = 0 AND touched >= :due {for_share}"
)


def dedupe_hit(conn: Connection, digests: Sequence[bytes], *, at: datetime) -> dict[bytes, int]:
    """Those of the digests that are here, held so that the collector cannot take them before this commit.

    In a write transaction only. Popular contents are locked shared, so that commits do not queue behind one row; a mark
    that is due is written under a lock that is exclusive from the start, because a shared one that is raised deadlocks.
    Most marks are not due, so these come first, and the rest is asked for only where something is missing.
    """
    unique = sorted(set(digests))
    if conn.dialect.name == "sqlite":
        return _hit_alone(conn, unique, at)
    found: dict[bytes, int] = {}
    for part in bulk.chunks(unique, _CHUNK):
        due = to_micros(at - TOUCH_EVERY)
        held = _SHARED(conn, digests=part, due=due) if len(part) > 1 else _SHARED_ONE(conn, sha256=part[0], due=due)
        found |= {bytes(digest): int(n) for digest, n in held.tuples}
        rest = [digest for digest in part if digest not in found]
        if not rest:
            continue
        found |= _touch(conn, rest, at)
        rest = [digest for digest in rest if digest not in found]
        if not rest:
            continue
        # Marked by somebody else meanwhile.
        used = (
            select(content.c.sha256, content.c.id)
            .where(content.c.sha256.in_(rest), _HERE, content.c.state == 0)
            .order_by(content.c.id)
            .with_for_update(read=True)
        )
        found |= {bytes(row.sha256): int(row.id) for row in conn.execute(used)}
        rest = [digest for digest in rest if digest not in found]
        if rest:
            back = (
                update(content)
                .where(content.c.sha256.in_(rest), _HERE, content.c.state == 1)
                .values(state=0, touched=at)
                .returning(content.c.sha256, content.c.id)
            )
            found |= {bytes(row.sha256): int(row.id) for row in conn.execute(back)}
    return found


_BACK = Sql("UPDATE content SET state = 0, touched = :at WHERE id IN (SELECT value FROM {ids})")


def _hit_alone(conn: Connection, digests: Sequence[bytes], at: datetime) -> dict[bytes, int]:
    """`dedupe_hit` where this transaction is the only one that writes: nothing has to be locked."""
    found: dict[bytes, int] = {}
    marked: list[int] = []
    due = to_micros(at - TOUCH_EVERY)
    for digest, row in zip(digests, _LOOK.each(conn, "sha256", digests), strict=True):
        if row is not None:
            n, state, touched = row
            found[digest] = n
            if state == 1 or touched < due:
                marked.append(n)
    if marked:
        _BACK(conn, ids=marked, at=to_micros(at))
    return found


def _touch(conn: Connection, digests: Sequence[bytes], at: datetime) -> dict[bytes, int]:
    due = (
        select(content.c.sha256, content.c.id)
        .where(
            content.c.sha256.in_(digests),
            _HERE,
            content.c.state == 0,
            content.c.touched < at - TOUCH_EVERY,
        )
        .order_by(content.c.id)
        .with_for_update()
    )
    found = {bytes(row.sha256): int(row.id) for row in conn.execute(due)}
    if found:
        conn.execute(update(content).where(content.c.id.in_(found.values())).values(touched=at))
    return found


# Coming in

_ON_KNOWN = "(sha256) WHERE state < 2 DO NOTHING"


def reserve_object(conn: Connection, *, store: str, key: str, kind: str, at: datetime) -> int:
    """Write an object down before its first byte is placed; answers its number.

    Until `insert_packed` names its contents it is `placing`, and the sweep may expire it.
    """
    row = {"store": store, "key": key, "kind": kind, "state": "placing", "created_at": at}
    return int(_RESERVE(conn, row | {"size": 0, "body_bytes": 0, "live_bytes": 0}).scalar())


_RESERVE = Prepared(
    insert(object_).returning(object_.c.id),
    ("store", "key", "kind", "state", "created_at", "size", "body_bytes", "live_bytes"),
)


_NAME_CONTENT = {
    dialect: Prepared(
        build(content)
        .on_conflict_do_nothing(index_elements=["sha256"], index_where=text("state < 2"))
        .returning(content.c.id),
        ("sha256", "size", "crc32c", "crc32", "state", "touched", "created_at"),
    )
    for dialect, build in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
_NAME_OBJECT = Prepared(
    insert(object_).returning(object_.c.id), ("store", "key", "size", "kind", "state", "live_bytes", "created_at")
)
_NAME_EXTENT = Prepared(insert(extent), ("content", "n", "object", "off", "len"))


def insert_placed(conn: Connection, digests: Digests, *, store: str, key: str, at: datetime) -> int:
    """Name the whole object `key`, whose bytes are durable, as content; answers the content's number.

    Something else that the catalogue holds (an upload's row) must have known `key` before its bytes were placed. When
    somebody else named equal bytes a moment ago, theirs is used and ours is left to the collector, unless theirs are
    known to be damaged by now: then these take their place.
    """
    fields = {
        "sha256": digests.sha256,
        "size": digests.size,
        "crc32c": digests.crc32c,
        "crc32": digests.crc32,
        "state": 0,
        "touched": at,
        "created_at": at,
    }
    n = _NAME_CONTENT[conn.dialect.name](conn, fields).scalar()
    if n is None:
        n = _mended(conn, [digests.sha256], at).get(digests.sha256)
    placed = {
        "store": store,
        "key": key,
        "size": digests.size,
        "body_bytes": digests.size,
        "kind": "plain",
        "state": "doomed" if n is None else "placed",
        "live_bytes": 0 if n is None else digests.size,
        "created_at": at,
    }
    obj = _NAME_OBJECT(conn, placed).scalar()
    if n is None:
        return _known(conn, [digests.sha256], at)[digests.sha256]
    _NAME_EXTENT(conn, {"content": n, "n": 0, "object": obj, "off": 0, "len": digests.size})
    return int(n)


def _mended(conn: Connection, digests: Sequence[bytes], at: datetime) -> dict[bytes, int]:
    """Those of the digests whose bytes were damaged; they are as good as new now, and lack extents."""
    damaged = (
        select(content.c.sha256, content.c.id)
        .where(content.c.sha256.in_(digests), text("content.state < 2"), content.c.damaged_at.is_not(None))
        .order_by(content.c.id)
        .with_for_update()
    )
    found = {bytes(row.sha256): int(row.id) for row in conn.execute(damaged)}
    for n in found.values():
        _GIVE_UP(conn, content=n)
        conn.execute(delete(extent).where(extent.c.content == n))
        well = {"damaged_at": None, "verified_at": at, "touched": at, "state": 0}
        conn.execute(update(content).where(content.c.id == n).values(well))
    return found


#: A pack keeps its other members. What lay in an object of its own goes with it.
_GIVE_UP = Sql(
    "UPDATE object SET live_bytes = live_bytes - (SELECT sum(e.len) FROM extent AS e "
    "WHERE e.content = :content AND e.object = object.id), "
    "state = CASE WHEN kind = 'plain' THEN 'doomed' ELSE state END "
    "WHERE id IN (SELECT e.object FROM extent AS e WHERE e.content = :content)"
)

_PLACE = Sql(
    # Nothing of it may be needed, because all of it was here by then: it goes again.
    "UPDATE object SET state = CASE WHEN :members > 0 THEN 'placed' ELSE 'doomed' END, size = :size, "
    "body_bytes = :body_bytes, live_bytes = :live_bytes WHERE id = :object AND state = 'placing'"
)


_BARE = Sql(
    "SELECT listed.value AS id FROM {ids} WHERE NOT EXISTS (SELECT 1 FROM extent AS e WHERE e.content = listed.value)"
)


def insert_packed(
    conn: Connection, object_n: int, size: int, members: Mapping[int, Digests], *, at: datetime
) -> dict[bytes, int]:
    """Name the members of a reserved object whose bytes are durable; the number of each by digest.

    Members that are here already are taken from where they are; their place in the object is dead from the start.

    Args:
        size: Of the whole object, in bytes.
        members: What lies at which offset. Of equal ones the first counts. Where nobody else writes they are numbered
            in this order, so that what lies and was named side by side lies side by side in every index but one.

    Raises:
        Gone: The reservation expired; the bytes have to be sent again.
    """
    first: dict[bytes, tuple[int, Digests]] = {}
    for offset, one in members.items():
        first.setdefault(one.sha256, (offset, one))
    now = to_micros(at)
    rows = [(sha256, size, crc32c, crc32, 0, now, now) for sha256, (_, (size, _, crc32c, crc32)) in first.items()]
    if conn.dialect.name == "sqlite":
        numbers, known = _insert_alone(conn, rows, at)
        ours: Container[bytes] = numbers
    else:
        # In order of digest: two transactions with the same new members wait for each other and do not deadlock.
        known = dedupe_hit(conn, list(first), at=at)
        new = sorted(row for row in rows if row[0] not in known)
        bulk.insert_rows(conn, content, _NAMED, new, _ON_KNOWN)
        _mended(conn, [row[0] for row in new], at)
        numbers = _known(conn, [row[0] for row in new], at)
        # Whoever names a content gives it its extents in the same transaction: those without any were named here.
        bare = {row.id for row in _BARE(conn, ids=sorted(numbers.values()))}
        ours = {sha256 for sha256, n in numbers.items() if n in bare}
    places = [
        (numbers[sha256], 0, object_n, offset, one.size) for sha256, (offset, one) in first.items() if sha256 in ours
    ]
    placed = sum(place[4] for place in places)
    body = sum(digests.size for digests in members.values())
    done = _PLACE(conn, object=object_n, size=size, body_bytes=body, live_bytes=placed, members=len(places))
    if done.rowcount != 1:
        raise Gone("The room reserved for these bytes has expired. Send them again.")
    bulk.insert_rows(conn, extent, ("content", "n", "object", "off", "len"), places)
    return known | numbers


_STAYS = Sql("SELECT live_bytes * 4 > body_bytes * 3 FROM object WHERE id = :object")


def pack_stays(conn: Connection, object_n: int) -> bool:
    """Whether nearly all of a pack is needed, so that nobody will write it anew as long as that is so."""
    return bool(_STAYS.scalar(conn, object=object_n))


_NEWEST = Sql("SELECT coalesce(max(id), 0) AS n FROM content")
_HOW_MANY_SINCE = Sql("SELECT count(*) AS n, max(id) AS last FROM content WHERE id > :newest")
_SINCE = Sql("SELECT sha256, id FROM content WHERE id > :newest")


_NAMED = ("sha256", "size", "crc32c", "crc32", "state", "touched", "created_at")


def _insert_alone(
    conn: Connection, rows: Sequence[tuple[Any, ...]], at: datetime
) -> tuple[dict[bytes, int], dict[bytes, int]]:
    """Insert contents where nobody else writes; the numbers of those that need extents, and of those that have some.

    Nothing is looked up before: of what comes in a batch nearly all is new, and what is not is told by its absence.
    """
    newest = _NEWEST.scalar(conn)
    bulk.insert_rows(conn, content, _NAMED, rows, _ON_KNOWN)
    ((many, last),) = _HOW_MANY_SINCE(conn, newest=newest).tuples
    if many == len(rows):
        # All of them are new, and numbers are given in the order of the rows, without a gap.
        return {row[0]: last - many + n for n, row in enumerate(rows, 1)}, {}
    numbers = {bytes(sha256): int(n) for sha256, n in _SINCE(conn, newest=newest).tuples}
    rest = [row[0] for row in rows if row[0] not in numbers]
    if not rest:
        return numbers, {}
    known = dedupe_hit(conn, rest, at=at)
    # What is neither new nor known is here, and damaged.
    damaged = [sha256 for sha256 in rest if sha256 not in known]
    return numbers | (_mended(conn, damaged, at) if damaged else {}), known


def _known(conn: Connection, digests: Sequence[bytes], at: datetime) -> dict[bytes, int]:
    """All of these, which were inserted a moment ago, here or by somebody else.

    Raises:
        Contended: One was removed in between; the transaction starts again and inserts it.
    """
    known = dedupe_hit(conn, digests, at=at)
    if len(known) < len(digests):
        raise Contended("Equal content was being removed at the same moment. Try again.")
    return known
