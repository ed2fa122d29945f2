"""Walking the table of use cases: everybody asks, and what comes out is compared with what is written down."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

from entrepot.model.access import Actor
from entrepot.model.errors import EntrepotError
from entrepot.model.values import Visibility
from tests.support.deeds import Case
from tests.support.matrix import Cast, Verdict_

#: What becomes of an actor before they ask: a door that they come through, a node that they act for.
As = Callable[[Actor], Actor]


def themselves(actor: Actor) -> Actor:
    return actor


@dataclass(frozen=True)
class Cell:
    """One question of the matrix, and its answer by the table."""

    who: str
    how: str
    visibility: Visibility
    expected: Verdict_

    def __str__(self) -> str:
        return f"{self.visibility} by {self.who} with {self.how}"


def every(cast: Cast, case: Case) -> list[Cell]:
    return [
        Cell(who, how, visibility, case.expected(who, how, visibility))
        for visibility in Visibility
        for who, how in cast.actors
    ]


def drawn(cells: list[Cell], share: float, seed: str) -> list[Cell]:
    """That share of them, and at least one; the same for the same seed."""
    return cells if share >= 1 else Random(seed).sample(cells, min(len(cells), max(1, round(share * len(cells)))))


def refuse(cast: Cast, case: Case, *, share: float = 1.0, seed: str = "", come: As = themselves) -> list[str]:
    """Ask all that is to be refused, of what is made once for all of them, and see that nothing came of it.

    Returns:
        What was not as it is written down.
    """
    refused = drawn([cell for cell in every(cast, case) if cell.expected is not None], share, seed)
    for cell in refused:
        cast.shown(case.subject, cell.visibility)
    before = cast.facts()
    found = wrong(cast, case, ((cell, cast.shown(case.subject, cell.visibility)) for cell in refused), come)
    after = cast.facts()
    changed = [table for table in before if before[table] != after[table]]
    if changed:
        cast.put_away()
        found.append(f"what was refused changed {', '.join(changed)}")
    return found


def allow(cast: Cast, case: Case, *, share: float = 1.0, seed: str = "", come: As = themselves) -> list[str]:
    """Do what is allowed, each to something new where doing it leaves nothing to do.

    Returns:
        What was not as it is written down.
    """
    allowed = drawn([cell for cell in every(cast, case) if cell.expected is None], share, seed)

    def subject(cell: Cell) -> Any:
        return cast.shown(case.subject, cell.visibility) if case.keeps else case.subject(cast, cell.visibility)

    return wrong(cast, case, ((cell, subject(cell)) for cell in allowed), come)


def wrong(cast: Cast, case: Case, asked: Iterable[tuple[Cell, Any]], come: As) -> list[str]:
    """Ask, and say what came out otherwise than expected."""
    lines = []
    for cell, subject in asked:
        found: Verdict_ = None
        try:
            case.act(cast, come(cast.actors[cell.who, cell.how]), subject)
        except EntrepotError as error:
            found = type(error)
        if found is not cell.expected:
            lines.append(f"{cell}: expected {told(cell.expected)}, found {told(found)}")
    return lines


def told(verdict: Verdict_) -> str:
    return "yes" if verdict is None else verdict.__name__
