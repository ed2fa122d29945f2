"""Lists whose rows are one JSON value each: whatever there is of a kind, as the filter leaves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from entrepot.depot.context import Depot
from entrepot.dialects.ufdl import encode, filters
from entrepot.dialects.ufdl.context import Asked, dumped
from entrepot.model.access import Actor
from entrepot.model.queries import Query

T = TypeVar("T")


async def listed(
    asked: Asked,
    vocabulary: filters.Vocabulary,
    select: Callable[[Depot, Actor, Query], Iterator[T]],
    shown: Callable[[T], Any],
) -> None:
    """Answer with all rows that the caller may see, one after another.

    Args:
        vocabulary: The fields that the filter may name.
    """
    query = filters.parse(await asked.json(), vocabulary)

    def work(depot: Depot, actor: Actor) -> Iterator[bytes]:
        return encode.joined([dumped(shown(one))] for one in select(depot, actor, query))

    await asked.stream(work)
