"""Lists of versions in an order of the caller's own, a page at a time, each with whoever made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from entrepot.catalog import projects as project_rows
from entrepot.catalog import sorting as rows
from entrepot.catalog import users as user_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.schema.types import from_micros, to_micros
from entrepot.catalog.sorting import Order as Order
from entrepot.catalog.sorting import Sorted as Sorted
from entrepot.catalog.versions import Found
from entrepot.depot import lookup, paging, people
from entrepot.depot.context import Depot
from entrepot.model import names
from entrepot.model.access import Action, Actor
from entrepot.model.errors import Hidden
from entrepot.model.values import Page, Person, User, Version

__all__ = ["Listed", "Order", "Sorted", "creator_of", "page"]


@dataclass(frozen=True, slots=True)
class Listed:
    """A version and whoever made it."""

    found: Found
    creator: User | Person | None


def page(
    depot: Depot,
    actor: Actor,
    wanted: Sorted,
    *,
    collection: UUID | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> Page[Listed]:
    """Versions whose record the caller may see.

    Args:
        collection: By uid, a project's for its root; one that is not there, or not for the caller, holds nothing.

    Raises:
        Invalid, BadCursor
    """
    people.logged_in(actor)
    size = paging.size(depot, limit)
    question = f"sorted:{wanted!r}:{collection}"
    by_name = wanted.order.endswith("name")
    last = paging.after(cursor, question, str if by_name else int, int)
    after = None if last is None else (last[0] if by_name else from_micros(last[0]), last[1])
    if not _askable(wanted):
        return Page(())
    with depot.catalog.read() as conn:
        if collection is not None:
            place = project_rows.collection_by_uid(conn, collection)
            if place is None:
                return Page(())
            wanted = replace(wanted, collection=place.n)
        listed = rows.page(conn, lookup.sight(actor), wanted, after=after, limit=size + 1)
        makers = _creators(conn, actor, [found.version for _, found in listed])
    shown = paging.page(listed, size, question, lambda row: (_plain(row[0]), row[1].version.n))
    return Page(tuple(Listed(one, makers.get(one.version.creator or 0)) for _, one in shown.rows), shown.cursor)


def _plain(value: Any) -> int | str:
    return to_micros(value) if isinstance(value, datetime) else str(value)


def _askable(wanted: Sorted) -> bool:
    texts = [*(wanted.names or ()), *(wanted.exact or ()), wanted.includes, *(slug for slug, _ in wanted.labels or ())]
    return all(names.storable(one) for one in texts if one is not None)


def creator_of(depot: Depot, actor: Actor, key: lookup.Key) -> Listed:
    """One version, in the trash or not, and whoever made it.

    Raises:
        NotFound, Hidden
    """
    people.logged_in(actor)
    with depot.catalog.read() as conn:
        found = lookup.version(conn, actor, key, Action.VIEW_RECORD)
        return Listed(found, _creators(conn, actor, [found.version]).get(found.version.creator or 0))


def _creators(conn: Connection, actor: Actor, shown: Sequence[Version]) -> Mapping[int, User | Person]:
    numbers = sorted({one.creator for one in shown if one.creator is not None})
    found = user_rows.by_numbers(conn, numbers) if numbers else {}
    return {n: _shown(actor, one) for n, one in found.items()}


def _shown(actor: Actor, user: User) -> User | Person:
    try:
        return people.shown(actor, user, user.n)
    except Hidden:
        # The account's name stands in every record; who they are is not for this caller.
        return Person(user.n, user.uid, user.name, "", "")
