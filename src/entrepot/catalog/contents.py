"""Contents, their extents and objects: what bytes are here, where, and who may be told.

    content.state   0 used, 1 condemned (unreferenced, waiting out the grace), 2 doomed (being removed)
    object.state    placing, placed, doomed

A content is found by digest only while its state is below 2. Finding it again takes it back from condemnation, in the
transaction that is about to refer to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from entrepot.catalog.schema import content, extent, live, membership, object_, past, project, revision, version
from entrepot.catalog.versions import Sight, sight_condition
from entrepot.model.digests import Digests
from entrepot.model.errors import Gone

_CHUNK = 500

#: A popular content is not written to on every hit, only when its mark is older than this.
_TOUCH_EVERY = timedelta(hours=1)

#: Strands looked at before a claim by digest is refused; the sender then simply sends the bytes.
_STRANDS = 200


@dataclass(frozen=True, slots=True)
class Extent:
    """A piece of a content: `length` bytes from `offset` of the object `key` in `store`."""

    store: str
    key: str
    offset: int
    length: int


def find(conn: Connection, sha256: bytes) -> int | None:
    """The content with this digest, used or condemned."""
    return find_many(conn, [sha256]).get(sha256)


def find_many(conn: Connection, digests: Sequence[bytes]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for start in range(0, len(digests), _CHUNK):
        query = select(content.c.sha256, content.c.id).where(
            content.c.sha256.in_(digests[start : start + _CHUNK]), text("content.state < 2")
        )
        found |= {bytes(row.sha256): int(row.id) for row in conn.execute(query)}
    return found


def size_of(conn: Connection, n: int) -> int | None:
    found = conn.execute(select(content.c.size).where(content.c.id == n)).scalar()
    return None if found is None else int(found)


def extents(conn: Connection, n: int) -> list[Extent]:
    """In the order of the bytes."""
    query = (
        select(object_.c.store, object_.c.key, extent.c.off, extent.c.len)
        .join_from(extent, object_, extent.c.object == object_.c.id)
        .where(extent.c.content == n)
        .order_by(extent.c.n)
    )
    return [Extent(row.store, row.key, row.off, row.len) for row in conn.execute(query)]


def object_known(conn: Connection, store: str, key: str) -> bool:
    query = select(object_.c.id).where(object_.c.store == store, object_.c.key == key)
    return conn.execute(query).first() is not None


def dedupe_hit(conn: Connection, digests: Sequence[bytes], *, at: datetime) -> dict[bytes, int]:
    """Those of the digests that are here, held so that the collector cannot take them before this commit.

    In a write transaction only. Locks in order of number; first those in use, shared, and only then, in a second
    statement, condemned ones are taken back: one lock that is upgraded would deadlock.
    """
    found: dict[bytes, int] = {}
    unique = list(dict.fromkeys(digests))
    for start in range(0, len(unique), _CHUNK):
        part = unique[start : start + _CHUNK]
        used = (
            select(content.c.sha256, content.c.id, content.c.touched)
            .where(content.c.sha256.in_(part), text("content.state < 2"), content.c.state == 0)
            .order_by(content.c.id)
            .with_for_update(read=True)
        )
        stale: list[int] = []
        for row in conn.execute(used):
            found[bytes(row.sha256)] = int(row.id)
            if row.touched < at - _TOUCH_EVERY:
                stale.append(int(row.id))
        rest = [digest for digest in part if digest not in found]
        if rest:
            back = (
                update(content)
                .where(content.c.sha256.in_(rest), text("content.state < 2"), content.c.state == 1)
                .values(state=0, touched=at)
                .returning(content.c.sha256, content.c.id)
            )
            found |= {bytes(row.sha256): int(row.id) for row in conn.execute(back)}
        if stale:
            conn.execute(update(content).where(content.c.id.in_(stale)).values(touched=at))
    return found


def insert_placed(conn: Connection, digests: Digests, *, store: str, key: str, at: datetime) -> int:
    """Name the whole object `key`, whose bytes are durable, as content; answers the content's number.

    When somebody else named equal bytes a moment ago, theirs is used and ours is left to the collector.
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
    build = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    statement = (
        build(content)
        .values(**fields)
        .on_conflict_do_nothing(index_elements=["sha256"], index_where=text("state < 2"))
        .returning(content.c.id)
    )
    n = conn.execute(statement).scalar()
    placed = "placed" if n is not None else "doomed"
    live_bytes = digests.size if n is not None else 0
    obj = conn.execute(
        insert(object_)
        .values(
            store=store, key=key, size=digests.size, kind="plain", state=placed, live_bytes=live_bytes, created_at=at
        )
        .returning(object_.c.id)
    ).scalar_one()
    if n is None:
        known = dedupe_hit(conn, [digests.sha256], at=at).get(digests.sha256)
        if known is None:
            # It was condemned, found, and doomed in between: the transaction starts again and inserts.
            raise Gone("The equal content that was here is being removed. Send it again.")
        return known
    conn.execute(insert(extent).values(content=n, n=0, object=obj, off=0, len=digests.size))
    return int(n)


def readable(conn: Connection, n: int, sight: Sight) -> bool:
    """Whether some entry with this content lies in a version that `sight` may show.

    Looks at strands, not entries: a skip scan over the index (content, strand), so a content that a million entries
    share costs no more than the number of histories it is in.
    """
    strands: list[int] = []
    for table in (live, past):
        last = -1
        while len(strands) < _STRANDS:
            query = (
                select(table.c.strand)
                .where(table.c.content == n, table.c.strand > last)
                .order_by(table.c.strand)
                .limit(1)
            )
            found = conn.execute(query).scalar()
            if found is None:
                break
            strands.append(int(found))
            last = int(found)
    if not strands:
        return False
    query = (
        select(version.c.id)
        .join_from(version, project, version.c.project == project.c.id)
        .outerjoin(membership, (membership.c.team == project.c.team) & (membership.c.user == (sight.user or 0)))
        .where(
            version.c.id.in_(select(revision.c.version).where(revision.c.strand.in_(strands))),
            sight_condition(sight),
        )
        .limit(1)
    )
    return conn.execute(query).first() is not None
