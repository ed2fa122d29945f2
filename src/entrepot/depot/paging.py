"""Pages: how many rows, and the opaque cursor that leads to the next ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import UnionType
from typing import Any, TypeVar

from entrepot.depot.context import Depot
from entrepot.model import cursors
from entrepot.model.errors import Invalid
from entrepot.model.values import Page

T = TypeVar("T")


def size(depot: Depot, limit: int, *, most: int | None = None) -> int:
    """The rows of one page: what was asked for, up to the server's limit.

    Raises:
        Invalid: Fewer than one.
    """
    if limit < 1:
        raise Invalid(f"A page has at least 1 row, not {limit}.")
    return min(limit, depot.limits.page if most is None else most)


def after(cursor: str | None, question: str, *shape: type | UnionType) -> tuple[Any, ...] | None:
    """What a cursor says was seen last, or None on the first page.

    Args:
        question: The list and everything that selects its rows; a cursor of another question is refused.
        shape: The types of the values.
    """
    if cursor is None:
        return None
    return cursors.decode(cursor, cursors.fingerprint(question), shape)


def page(rows: Sequence[T], wanted: int, question: str, key: Callable[[T], Sequence[int | str]]) -> Page[T]:
    """A page of at most `wanted` rows out of up to `wanted + 1` that were read."""
    shown = tuple(rows[:wanted])
    if len(rows) <= wanted:
        return Page(shown)
    return Page(shown, cursors.encode(tuple(key(shown[-1])), cursors.fingerprint(question)))


def numbered(
    depot: Depot,
    question: str,
    cursor: str | None,
    limit: int,
    fetch: Callable[[int | None, int], Sequence[T]],
    number: Callable[[T], int],
) -> Page[T]:
    """One page of a list that is kept in order of number.

    Args:
        question: The list and everything that selects its rows.
        fetch: Rows after a number, at most so many, in order of number.
        number: The number of a row.

    Raises:
        Invalid, BadCursor
    """
    wanted = size(depot, limit)
    seen = after(cursor, question, int)
    return page(fetch(None if seen is None else int(seen[0]), wanted + 1), wanted, question, lambda row: [number(row)])
