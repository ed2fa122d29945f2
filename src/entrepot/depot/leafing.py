"""Entries in the order in which they first came, to be leafed through in both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from entrepot.catalog import entries as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.entries import EntryRow
from entrepot.depot import paging
from entrepot.depot.context import Depot
from entrepot.depot.entries import entry_of, pin, stamped
from entrepot.depot.lookup import Key
from entrepot.model import cursors
from entrepot.model.access import Action, Actor
from entrepot.model.values import Entry, Leaf, Version

__all__ = ["leaf_entries"]

#: Entries read at once where some are left out, and those that one page looks at.
_AT_ONCE = 1_000
MOST_LOOKED_AT = 20_000

_ON, _BACK = "on", "back"


def leaf_entries(
    depot: Depot,
    actor: Actor,
    key: Key,
    *,
    cursor: str | None = None,
    limit: int = 100,
    keep: Callable[[Entry], bool] | None = None,
    kept: str = "",
) -> tuple[Version, int, Leaf[Entry]]:
    """One page of the newest revision, by position; answers the version and the revision too.

    A page is of the revision that is the newest when it is asked for. Positions never change, so what is removed or
    added meanwhile moves nothing else.

    Args:
        keep: Leaves entries out. They are read nevertheless, so a page looks at `MOST_LOOKED_AT` at most: it may have
            fewer rows than asked for, or none, and still a next one.
        kept: What `keep` keeps; a cursor of another one is refused.
    """
    with depot.catalog.read() as conn:
        found, revision = pin(conn, actor, key, None, action=Action.READ_CONTENT)
        n = found.version.n
        question = f"entries:{n}:{kept}:leaf"
        if keep is not None:
            wanted = paging.size(depot, limit)
            sifted = _sifted(conn, n, revision, question, cursor, wanted, keep)
            return found.version, revision, Leaf(tuple(stamped(conn, sifted.rows)), sifted.previous, sifted.next)

        def fetch(after: int | None, limit: int, *, onward: bool) -> list[Entry]:
            # Without a row to begin at there is nothing behind.
            walk = _onward(conn, n, revision, -1 if after is None else after, limit)
            if not onward:
                walk = _backward(conn, n, revision, 0 if after is None else after, limit)
            return stamped(conn, list(islice(walk, limit)))

        leaf = paging.leaf(depot, question, cursor, limit, fetch, lambda entry: entry.position, falling=False)
        return found.version, revision, leaf


def _sifted(
    conn: Connection,
    n: int,
    revision: int,
    question: str,
    cursor: str | None,
    limit: int,
    keep: Callable[[Entry], bool],
) -> Leaf[EntryRow]:
    """A page of those that `keep` lets through, out of a bounded stretch: it may be short, or empty, and still have a
    next one. A cursor stands at a position, whether what is there was let through or not.
    """
    seen = paging.after(cursor, question, str, int)
    onward, at = (True, -1) if seen is None else (seen[0] == _ON, seen[1])
    walk = _onward(conn, n, revision, at, _AT_ONCE) if onward else _backward(conn, n, revision, at, _AT_ONCE)
    some: list[EntryRow] = []
    looked, last, more = 0, at, False
    for row in walk:
        if len(some) == limit or looked == MOST_LOOKED_AT:
            more = True
            break
        looked, last = looked + 1, row.pos
        if keep(entry_of(row)):
            some.append(row)

    def beside(way: str, position: int) -> str:
        return cursors.encode((way, position), cursors.fingerprint(question))

    if onward:
        # What is there itself comes back, too.
        return Leaf(tuple(some), beside(_BACK, at + 1) if at >= 0 else None, beside(_ON, last) if more else None)
    return Leaf(tuple(reversed(some)), beside(_BACK, last) if more else None, beside(_ON, at - 1))


def _onward(conn: Connection, n: int, revision: int, after: int, size: int) -> Iterator[EntryRow]:
    while True:
        page = rows.page_by_position(conn, n, revision, after=after, limit=size)
        yield from page
        if len(page) < size:
            return
        after = page[-1].pos


def _backward(conn: Connection, n: int, revision: int, before: int, size: int) -> Iterator[EntryRow]:
    """The nearest first: a stretch of positions at a time, a longer one where many were removed."""
    while before > 0:
        start = max(0, before - size)
        page = rows.page_by_position(conn, n, revision, after=start - 1, limit=before - start)
        yield from reversed([row for row in page if row.pos < before])
        before, size = start, min(size * 2, 10_000)
