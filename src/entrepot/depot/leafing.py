"""Entries in the order in which they first came, to be leafed through in both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from entrepot.catalog import entries as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.entries import EntryRow
from entrepot.depot import paging
from entrepot.depot.context import Depot
from entrepot.depot.entries import entry_of, pin, stamped
from entrepot.depot.lookup import Key
from entrepot.model.access import Action, Actor
from entrepot.model.values import Entry, Leaf, Version

__all__ = ["leaf_entries"]

#: Entries read at once where some are left out.
_AT_ONCE = 1_000


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
        keep: Leaves entries out. They are read nevertheless: a page of few among many costs reading the many.
        kept: What `keep` keeps; a cursor of another one is refused.
    """
    with depot.catalog.read() as conn:
        found, revision = pin(conn, actor, key, None, action=Action.READ_CONTENT)
        n = found.version.n

        def fetch(after: int | None, limit: int, *, onward: bool) -> list[Entry]:
            # Without a row to begin at there is nothing behind.
            walk = _onward(conn, n, revision, -1 if after is None else after, limit if keep is None else _AT_ONCE)
            if not onward:
                walk = _backward(conn, n, revision, 0 if after is None else after, limit)
            some: list[EntryRow] = []
            for row in walk:
                if keep is None or keep(entry_of(row)):
                    some.append(row)
                    if len(some) == limit:
                        break
            return stamped(conn, some)

        question = f"entries:{n}:{kept}:leaf"
        leaf = paging.leaf(depot, question, cursor, limit, fetch, lambda entry: entry.position, falling=False)
        return found.version, revision, leaf


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
