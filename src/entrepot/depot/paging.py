"""Pages: how many rows, and the opaque cursor that leads to the next ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import UnionType
from typing import Any, Protocol, TypeVar

from entrepot.depot.context import Depot
from entrepot.model import cursors
from entrepot.model.errors import Invalid
from entrepot.model.values import Leaf, Page

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


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


class Fetch(Protocol[T_co]):
    """Rows beyond a number, the nearest first: further on in the list, or back; None is from its beginning."""

    def __call__(self, after: int | None, limit: int, *, onward: bool) -> Sequence[T_co]: ...


_ON, _BACK = "on", "back"


def leaf(
    depot: Depot,
    question: str,
    cursor: str | None,
    limit: int,
    fetch: Fetch[T],
    number: Callable[[T], int],
    *,
    falling: bool,
) -> Leaf[T]:
    """One page of a list in the order of a number that never changes, with the ways to both sides.

    A cursor stands at a row and not at a count of rows, so going on and back again shows the same rows, whatever was
    made meanwhile; what comes to lie before the first page is found by going back from there.

    Args:
        falling: The list begins with the greatest number.

    Raises:
        Invalid, BadCursor
    """
    wanted = size(depot, limit)
    seen = after(cursor, question, str, int)
    mark = cursors.fingerprint(question)
    step = -1 if falling else 1

    def beside(way: str, row: int) -> str:
        return cursors.encode((way, row), mark)

    if seen is not None and seen[0] == _BACK:
        found = fetch(seen[1], wanted + 1, onward=False)
        shown = tuple(reversed(found[:wanted]))
        last = number(shown[-1]) if shown else seen[1] - step
        return Leaf(
            shown,
            beside(_BACK, number(shown[0])) if len(found) > wanted else None,
            beside(_ON, last) if fetch(last, 1, onward=True) else None,
        )
    found = fetch(None if seen is None else seen[1], wanted + 1, onward=True)
    shown = tuple(found[:wanted])
    previous = None
    if seen is not None:
        first = number(shown[0]) if shown else seen[1] + step
        previous = beside(_BACK, first) if fetch(first, 1, onward=False) else None
    return Leaf(shown, previous, beside(_ON, number(shown[-1])) if len(found) > wanted else None)
