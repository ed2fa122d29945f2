"""How the entries of a version are spread over its folders, counted by the catalogue."""

from __future__ import annotations

from collections.abc import Iterator

from entrepot.catalog.tallies import Tally, tallies
from entrepot.depot.context import Depot
from entrepot.depot.entries import pin
from entrepot.depot.lookup import Key
from entrepot.model.access import Action, Actor

__all__ = ["Tally", "count"]

#: Entries that one question to the catalogue counts.
STRETCH = 5_000


def count(depot: Depot, actor: Actor, key: Key, *, mark: str) -> Iterator[Tally]:
    """How many entries of the newest revision lie directly in each folder, and with which text.

    Every entry is looked at, in the catalogue and a bounded stretch at a time: a folder may come more than once, and
    the counts are to be added up.

    Args:
        mark: Texts that begin so are told apart, all others count as "".
    """
    with depot.catalog.read() as conn:
        found, revision = pin(conn, actor, key, None, action=Action.READ_CONTENT)
    return tallies(depot.catalog, found.version.n, revision, mark=mark, size=STRETCH)
