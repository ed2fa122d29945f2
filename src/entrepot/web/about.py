"""What every page of a version begins with: the record, what the reader may do with it, and the tabs over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from entrepot.depot import browse, projects, trash, versions
from entrepot.depot.context import Depot
from entrepot.model import ids
from entrepot.model.access import Action, Actor
from entrepot.model.errors import EntrepotError, NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Kind, Version

__all__ = ["Tab", "about", "key", "removed_at"]


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
    line = _line(depot, actor, version)
    # Into a project of one's own it takes no more than reading.
    copies_away = may[Action.READ_CONTENT] and not actor.is_anonymous
    return {
        "v": version,
        "removed_at": removed_at(depot, actor, version),
        "role": found.role,
        "section": "projects",
        "can_read": may[Action.READ_CONTENT],
        "can_edit": alive and may[Action.EDIT],
        "can_write": alive and may[Action.TRASH],
        "can_copy": (may[Action.COPY] or copies_away) and not version.project_trashed and version.number is not None,
        "can_copy_here": may[Action.COPY],
        "can_merge": alive
        and version.kind is Kind.FILES
        and version.frozen_at is None
        and version.number is not None
        and may[Action.EDIT],
        "can_accept": alive and version.is_proposal and may[Action.ACCEPT],
        "can_withdraw": alive and trash.is_own_proposal(actor, version) and may[Action.WITHDRAW],
        "can_freeze": alive and version.frozen_at is None and may[Action.FREEZE],
        "can_unfreeze": alive and version.frozen_at is not None and may[Action.UNFREEZE],
        "can_reinstate": version.trash is not None and not version.project_trashed and may[Action.REINSTATE],
        "can_purge": version.trash is not None and may[Action.PURGE],
        "can_see_project": may[Action.VIEW_PROJECT],
        "line": line,
        "proposals": [one for one in line if one.is_proposal and one.n != version.n and one.trash is None],
        "tabs": [one for one in TABS if (not one.kinds or version.kind in one.kinds)]
        if may[Action.READ_CONTENT]
        else [one for one in TABS if not one.content],
        "tab": page,
    }


def removed_at(
    depot: Depot, actor: Actor, version: Version, known: dict[int, timedelta | None] | None = None
) -> datetime | None:
    """When what is in the trash is removed for good by itself; None if it never is, or is not there.

    Args:
        known: How long projects keep their trash, as far as it was looked up; what is looked up now is added.
    """
    if version.trash is None:
        return None
    kept = {} if known is None else known
    if version.project not in kept:
        kept[version.project] = _retention(depot, actor, version.project)
    time = kept[version.project]
    return None if time is None else version.trash.at + time


def _retention(depot: Depot, actor: Actor, project: int) -> timedelta | None:
    try:
        own = projects.get(depot, actor, project).project.retention_s
    except EntrepotError:
        own = None
    return depot.policy.trash_retention if own is None else timedelta(seconds=own)


def _line(depot: Depot, actor: Actor, version: Version) -> list[Version]:
    """The versions of the same dataset, newest first; the one itself is in it even if it is in the trash."""
    try:
        others = [one.version for one in browse.get_dataset(depot, actor, version.dataset_uid)[2]]
    except NotFound:
        others = []
    if all(one.n != version.n for one in others):
        others.append(version)
    return sorted(others, key=lambda one: (one.number or 0, one.n), reverse=True)
