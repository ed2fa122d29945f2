"""How a door turns errors into answers: a total table of statuses as data, and a function that writes the body.

A door gives a status for each of the ten kinds and for the leaves where its dialect differs. A kind without a status
is refused when the table is made, so every leaf, also one that is added tomorrow, has an answer at every door.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from entrepot.model.errors import EntrepotError, Invalid, all_leaves

__all__ = ["Answer", "Encode", "ErrorTable", "Failure"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A small answer, ready to send. Content-Length is added on the way."""

    status: int
    body: bytes = b""
    media_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """One error on its way out.

    Args:
        status: By the door's table, except where the protocol decides, as for a method that a route does not have.
        path: As it may be shown: escaped, and without anything that is a signed link.
        headers: Fields the answer needs whatever its body is, such as `Allow`; whoever encodes need not repeat them.
    """

    error: EntrepotError
    status: int
    method: str
    path: str
    request_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Encode: TypeAlias = Callable[[Failure], Answer]
"""Writes the body that a door's clients expect. Called once for each failed request; must not raise."""


class ErrorTable:
    """The statuses of one door.

    Args:
        kinds: A status for each of the ten kinds.
        leaves: Where a leaf differs from its kind; classes below the leaf follow it.
        anonymous: Where a request without credentials is answered differently still.

    Raises:
        Invalid: A kind is missing, or a status is not one of an error (400 to 599).
    """

    def __init__(
        self,
        kinds: Mapping[type[EntrepotError], int],
        leaves: Mapping[type[EntrepotError], int] | None = None,
        anonymous: Mapping[type[EntrepotError], int] | None = None,
    ) -> None:
        self._statuses = {**kinds, **(leaves or {})}
        self._anonymous = dict(anonymous or {})
        wrong = [status for status in (*self._statuses.values(), *self._anonymous.values()) if not 400 <= status <= 599]
        if wrong:
            raise Invalid(f"{wrong[0]} is not the status of an error.")
        if missing := self.uncovered():
            raise Invalid(f"The table has no status for {', '.join(cls.__name__ for cls in missing)}.")

    def status(self, error: EntrepotError | type[EntrepotError], *, anonymous: bool = False) -> int:
        """The status of an error: that of the nearest class that has one, 500 for the bare root.

        Args:
            anonymous: The request carried no credentials.
        """
        mro = (error if isinstance(error, type) else type(error)).__mro__
        for cls in mro:
            if anonymous and cls in self._anonymous:
                return self._anonymous[cls]
            if cls in self._statuses:
                return self._statuses[cls]
        return 500

    def uncovered(self) -> list[type[EntrepotError]]:
        """The leaves and kinds that no row covers: none, or the table could not have been made.

        Asked again by a test, because a class may join the tree after the table was made.
        """
        return [leaf for leaf in all_leaves() if not any(cls in self._statuses for cls in leaf.__mro__)]

    def rows(self) -> dict[type[EntrepotError], int]:
        """Every class a caller can meet with its status: for documentation, and for tests that pin a door's table."""
        return {leaf: self.status(leaf) for leaf in all_leaves()}
