"""The end of an upload: from staged bytes to content that has a name.

    compare   with what was announced; other bytes are thrown away
    place     the stage becomes an object, unless the same content is here already
    name      one transaction: content, upload, and what the caller makes of it

Each step may be the last before a crash: bytes that were placed and not named are found again by the upload's key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from entrepot.catalog import contents as content_rows
from entrepot.catalog import uploads as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.uploads import UploadRow
from entrepot.depot.context import Depot
from entrepot.model import ids
from entrepot.model.digests import Digests, crc32c_base64, sha256_text
from entrepot.model.errors import DigestMismatch, Gone, LengthMismatch, NotFound
from entrepot.model.ids import Noun
from entrepot.store.base import Stage
from entrepot.store.hashing import Hasher

__all__ = [
    "ABORTED",
    "FINISHED",
    "OPEN",
    "blocks_of",
    "name_content",
    "name_known",
    "read_digests",
    "settle",
    "settle_stage",
    "with_offset",
]

OPEN, FINISHED, ABORTED = "open", "finished", "aborted"


def settle(depot: Depot, row: UploadRow, also: Callable[[Connection, int], Any] | None = None) -> tuple[UploadRow, Any]:
    """`finish` for a row the caller already has a right to."""
    if row.state == FINISHED:
        return with_offset(depot, row), _only_also(depot, row, also)
    try:
        stage = depot.staging.resume(row.key, durable=row.durable, boot_id=row.boot_id)
    except NotFound:
        size = depot.store.stat(row.key)
        if size is None:
            stage = depot.staging.create(row.key)
        else:
            # A crash fell between placing and naming: the object is whole, and reading it tells its digests.
            digests = read_digests(depot, row.key)
            _compare(depot, row, digests)
            return name_content(depot, row, digests, also)
    try:
        return settle_stage(depot, row, stage, also)
    finally:
        stage.release()


def _only_also(depot: Depot, row: UploadRow, also: Callable[[Connection, int], Any] | None) -> Any:
    if also is None or row.content is None:
        return None
    content = row.content
    return depot.catalog.write(lambda conn: also(conn, content))


def settle_stage(
    depot: Depot,
    row: UploadRow,
    stage: Stage,
    also: Callable[[Connection, int], Any] | None,
    *,
    over: Mapping[str, Any] | None = None,
) -> tuple[UploadRow, Any]:
    """`settle` for whoever holds the stage.

    Args:
        over: What becomes of the row, whose bytes `also` has to give to somebody; None makes it a finished upload. It
            keeps its key if the bytes are here already: its own were not placed under it.
    """
    if row.length is not None and stage.size != row.length:
        raise LengthMismatch(
            f"The upload has {stage.size} of {row.length} announced bytes. Send the rest from {stage.size}.",
            details={"offset": stage.size, "length": row.length},
        )
    digests = stage.digests()
    try:
        _compare(depot, row, digests)
    except DigestMismatch:
        stage.discard()
        raise
    # The staged bytes are thrown away behind that transaction: until then the row must lead to them.
    known = name_known(depot, row, digests, also, None if over is None else {**over, "key": row.key})
    if known is not None:
        stage.discard()
        return known
    stage.place()
    return name_content(depot, row, digests, also, over)


def _compare(depot: Depot, row: UploadRow, digests: Digests) -> None:
    if row.length is not None and digests.size != row.length:
        raise LengthMismatch(f"The upload has {digests.size} bytes; {row.length} were announced.")
    wrong = []
    if row.sha256 is not None and row.sha256 != digests.sha256:
        wrong.append(f"SHA-256 {sha256_text(row.sha256)} was announced, the bytes have {digests.sha256_text}")
    if row.crc32c is not None and row.crc32c != digests.crc32c:
        wrong.append(f"CRC-32C {crc32c_base64(row.crc32c)} was announced, the bytes have {digests.crc32c_base64}")
    if wrong:
        depot.catalog.write(lambda conn: rows.change(conn, row.n, {"received": 0, "durable": 0}, state=OPEN))
        what = "; ".join(wrong)
        raise DigestMismatch(f"{what}. The bytes were thrown away; send them again.", details={"mismatch": what})


def read_digests(depot: Depot, key: str) -> Digests:
    """Of an object, from its bytes."""
    hasher = Hasher()
    with depot.store.open(key) as reader:
        for block in blocks_of(reader.read_at, 0, reader.size):
            hasher.update(block)
    return hasher.digests()


def blocks_of(read_at: Callable[[int, int], bytes], start: int, end: int, size: int = 1 << 20) -> Iterator[bytes]:
    """The bytes [start, end) in blocks of at most `size`."""
    while start < end:
        block = read_at(start, min(size, end - start))
        yield block
        start += len(block)


def name_known(
    depot: Depot,
    row: UploadRow,
    digests: Digests,
    also: Callable[[Connection, int], Any] | None,
    over: Mapping[str, Any] | None = None,
) -> tuple[UploadRow, Any] | None:
    """Point the upload at content that is here already, or answer None. Whoever holds the bytes may have that."""

    def work(conn: Connection) -> tuple[UploadRow, Any] | None:
        hits = content_rows.dedupe_hit(conn, [digests.sha256], at=depot.now())
        content = hits.get(digests.sha256)
        return None if content is None else _bind(conn, depot, row, content, also, over)

    with depot.catalog.read() as conn:
        if content_rows.find(conn, digests.sha256) is None:
            return None
    return depot.catalog.write(work)


def name_content(
    depot: Depot,
    row: UploadRow,
    digests: Digests,
    also: Callable[[Connection, int], Any] | None,
    over: Mapping[str, Any] | None = None,
) -> tuple[UploadRow, Any]:
    """Name the whole object `row.key` as content, and point the upload at it."""

    def work(conn: Connection) -> tuple[UploadRow, Any]:
        content = content_rows.insert_placed(conn, digests, store=depot.store.name, key=row.key, at=depot.now())
        return _bind(conn, depot, row, content, also, over)

    return depot.catalog.write(work)


def _bind(
    conn: Connection,
    depot: Depot,
    row: UploadRow,
    content: int,
    also: Callable[[Connection, int], Any] | None,
    over: Mapping[str, Any] | None,
) -> tuple[UploadRow, Any]:
    if over is not None:
        if not rows.change(conn, row.n, over, state=OPEN, key=row.key):
            raise Gone(f"Upload {ids.encode(Noun.UPLOAD, row.uid)} was ended meanwhile.")
        return replace(row, **over), also(conn, content) if also is not None else None
    now = depot.now()
    lifetime = row.expires_at - row.touched_at
    values = {"state": FINISHED, "content": content, "touched_at": now, "expires_at": now + lifetime}
    if not rows.change(conn, row.n, values, state=OPEN):
        current = rows.find(conn, n=row.n)
        if current is None or current.state == ABORTED:
            raise Gone(f"Upload {ids.encode(Noun.UPLOAD, row.uid)} was ended meanwhile.")
        content = current.content if current.content is not None else content
    done = also(conn, content) if also is not None else None
    fresh = rows.find(conn, n=row.n)
    assert fresh is not None
    return replace(fresh, received=fresh.content_size or 0), done


def with_offset(depot: Depot, row: UploadRow) -> UploadRow:
    """The row with what has been received by now."""
    if row.state == FINISHED:
        # Of a batch no single content has the size.
        return row if row.content_size is None else replace(row, received=row.content_size)
    staged = depot.staging.stat(row.key, durable=row.durable, boot_id=row.boot_id)
    if staged is None:
        # Placed but not yet named, or never written: what the store has is what was received.
        staged = depot.store.stat(row.key) or 0
    return replace(row, received=staged)
