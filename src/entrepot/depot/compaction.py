"""Rewriting packs of which less than half is needed, so that the disk gets back what collection freed in them.

    row of the new pack ─► what is needed, in order, each compared ─► place ─► switch ─► the old one goes next time

The bytes of every content are compared with its digests before they are written once more: what is damaged is marked
so, stays where it is, and is mended like any other. Killed anywhere before the switch the new object is one that was
reserved and never named, which the sweep removes; after the switch everything is done. Of two runs at once both copy,
and the second finds nothing to switch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import structlog

from entrepot.catalog import checking as check_rows
from entrepot.catalog import compacting as rows
from entrepot.catalog import contents as content_rows
from entrepot.catalog.compacting import Living, Sparse
from entrepot.depot.context import Depot
from entrepot.model.digests import sha256_text
from entrepot.model.errors import Corrupt, DiskFull, EntrepotError, Gone, NotFound
from entrepot.store.base import ObjectReader
from entrepot.store.hashing import digests_of
from entrepot.wire import frames

__all__ = ["compact"]

log = structlog.get_logger(__name__)

#: Packs looked up at once, and bytes that one run writes at most; the rest waits for the next.
_LOOK: Final = 50
MOST: Final = 4 << 30

Step = Callable[[int], None]


class _Nothing(Exception):
    """Nothing of the old pack can move."""


def compact(depot: Depot, step: Step = lambda _done: None) -> tuple[int, int]:
    """Rewrite what is worth it; how many packs, and how many bytes the disk gets back once the old ones are gone.

    Args:
        step: Told how much was done, after each pack; what it raises ends the run, which does no harm.
    """
    count = gained = written = after = 0
    while written < MOST:
        with depot.catalog.read() as conn:
            found = rows.sparse(conn, after=after, limit=_LOOK)
        if not found:
            break
        for one in found:
            after = one.n
            if one.store != depot.store.name:
                continue
            try:
                size = _rewrite(depot, one)
            except (Gone, Corrupt, NotFound) as error:
                # Somebody else was faster, or its bytes are gone: the scrub says which contents that concerns.
                log.warning("a pack could not be rewritten", key=one.key, error=str(error))
                continue
            except DiskFull as error:
                log.warning("packs are not rewritten: there is no room to", key=one.key, error=str(error))
                return count, gained
            if size is not None:
                count, gained, written = count + 1, gained + one.size - size, written + size
            step(count)
            if written >= MOST:
                break
    return count, gained


def _rewrite(depot: Depot, old: Sparse) -> int | None:
    """The size of the new pack; None if nothing of the old one moved."""
    with depot.catalog.read() as conn:
        wanted = rows.living(conn, old.n)
    key, now = depot.new_key(), depot.now()
    # A row before the first byte: what is never named is swept away by it.
    new = depot.catalog.write(
        lambda conn: content_rows.reserve_object(conn, store=depot.store.name, key=key, kind="pack", at=now)
    )
    places: list[tuple[int, int]] = []
    try:
        with depot.store.open(old.key) as reader:
            size = depot.store.put(key, _blocks(depot, old, reader, wanted, places)).size
    except _Nothing:
        return None
    moved = depot.catalog.write(lambda conn: rows.switch(conn, old.n, new, size, places), bulk=len(places) > 2000)
    log.info("a pack was rewritten", key=old.key, into=key, contents=moved, bytes_before=old.size, bytes_after=size)
    return size if moved else None


def _names(reader: ObjectReader) -> Mapping[int, str]:
    """What the old pack calls its files, by offset; nothing if it cannot tell, for it is only told to people."""
    try:
        found = frames.read_footer(reader.read_at, reader.size)
    except EntrepotError:
        found = None
    return {member.offset: member.name for member in found or ()}


def _blocks(
    depot: Depot, old: Sparse, reader: ObjectReader, wanted: Sequence[Living], places: list[tuple[int, int]]
) -> Iterator[bytes]:
    """The frames of what is right, and the end of the pack.

    Args:
        places: Gets the contents and where each lies in the new pack.
    """
    names = _names(reader)
    heads: list[bytes] = []
    at = 0
    for one in wanted:
        body = _body(reader, one)
        if body is None:
            _accuse(depot, old, one)
            continue
        head = frames.header(names.get(one.offset, ""), len(body), one.digests.sha256)
        yield head + body
        places.append((one.content, at + len(head)))
        heads.append(head)
        at += len(head) + len(body)
    if not places:
        raise _Nothing
    yield frames.footer(heads)


def _body(reader: ObjectReader, one: Living) -> bytes | None:
    """The bytes of a content, None if they are not those that it had. Only small contents share a pack."""
    try:
        body = reader.read_at(one.offset, one.digests.size)
    except Corrupt:
        return None
    return body if digests_of((body,)) == one.digests else None


def _accuse(depot: Depot, old: Sparse, one: Living) -> None:
    """Damaged bytes must not be made to look like good ones: they stay, and are not served from now on."""
    seen = [content_rows.Extent(old.store, old.key, one.offset, one.digests.size)]
    mark = partial(check_rows.mark_damaged, n=one.content, seen=seen, at=depot.now())
    if depot.catalog.write(mark):
        log.error("stored bytes are damaged", sha256=sha256_text(one.digests.sha256), found_by="compaction")
