"""What every page of a version begins with: the record, what the reader may do with it, and the tabs over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from entrepot.depot import browse, versions
from entrepot.depot.context import Depot
from entrepot.model import ids
from entrepot.model.access import Action, Actor
from entrepot.model.errors import NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Kind, Version

__all__ = ["Tab", "about", "key"]


@dataclass(frozen=True, slots=True)
class Tab:
    """One page of a version, in the row over it.

    Args:
        page: The last part of its address.
        kinds: Of which kinds of version; none means any.
        content: Whether it shows content, which listed versions keep to their members.
    """

    name: str
    page: str
    kinds: tuple[Kind, ...] = ()
    content: bool = True


TABS: Final = (
    Tab("Overview", "", content=False),
    Tab("Rows", "table", (Kind.TABLE,)),
    Tab("Items", "records", (Kind.RECORDS,)),
    Tab("Files", "files"),
    Tab("History", "history", content=False),
    Tab("Provenance", "graph", content=False),
    Tab("Use it", "use"),
)


def key(text: str) -> UUID:
    """The uid in a version's address.

    Raises:
        NotFound
    """
    return ids.decode(Noun.VERSION, text)


def about(depot: Depot, actor: Actor, wanted: UUID, page: str = "") -> dict[str, Any]:
    """What the head of a version's page shows.

    Args:
        page: Of which tab.

    Raises:
        NotFound, Hidden
    """
    found = versions.get(depot, actor, wanted)
    version = found.version
    may: Mapping[Action, bool] = versions.standing(actor, found)
    alive = version.trash is None and not version.project_trashed
    return {
        "v": version,
        "role": found.role,
        "section": "projects",
        "can_read": may[Action.READ_CONTENT],
        "can_edit": alive and may[Action.EDIT],
        "can_write": alive and may[Action.TRASH],
        "can_copy": may[Action.COPY] and version.number is not None,
        "can_accept": alive and version.is_proposal and may[Action.ACCEPT],
        "can_freeze": alive and version.frozen_at is None and may[Action.FREEZE],
        "can_unfreeze": alive and version.frozen_at is not None and may[Action.UNFREEZE],
        "can_reinstate": version.trash is not None and not version.project_trashed and may[Action.REINSTATE],
        "can_purge": version.trash is not None and may[Action.PURGE],
        "can_see_project": may[Action.VIEW_PROJECT],
        "line": _line(depot, actor, version),
        "tabs": [one for one in TABS if (not one.kinds or version.kind in one.kinds)]
        if may[Action.READ_CONTENT]
        else [one for one in TABS if not one.content],
        "tab": page,
    }


def _line(depot: Depot, actor: Actor, version: Version) -> list[Version]:
    """The versions of the same dataset, newest first; the one itself is in it even if it is in the trash."""
    try:
        others = [one.version for one in browse.get_dataset(depot, actor, version.dataset_uid)[2]]
    except NotFound:
        others = []
    if all(one.n != version.n for one in others):
        others.append(version)
    return sorted(others, key=lambda one: (one.number or 0, one.n), reverse=True)
