"""What is done with the changes of a commit before its transaction: all that can be without holding anybody up."""

from __future__ import annotations

from collections.abc import Sequence

from entrepot.depot import brought
from entrepot.depot.changes import Change, clean_changes
from entrepot.depot.context import Depot
from entrepot.depot.recognising import with_types
from entrepot.model.access import Actor
from entrepot.model.errors import TooLarge

__all__ = ["readied"]


def readied(depot: Depot, actor: Actor, changes: Sequence[Change], advice: str) -> list[Change]:
    """The changes as `commit_in` takes them: batches looked up, strings through their gates, with types.

    Args:
        advice: What to do where they are too many.

    Raises:
        TooLarge, Invalid
    """

    def require_few(number: int) -> None:
        most = depot.limits.entries_per_commit
        if number > most:
            raise TooLarge(f"A commit may have {most} changes, and here are {number} or more. {advice}")

    require_few(len(changes))
    found, faults = brought.looked_up(depot, actor, changes, require_few)
    return with_types(depot, actor, clean_changes(depot, found, faults))
