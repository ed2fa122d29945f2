"""What a version is on this wire: a file if it has exactly one, else a directory, and a sample shows each of its files.

version with one file that was not unpacked   `12`      that file, by the last segment of its path
any other version                             `12`      a directory: the archive it came from, or `<slug>.zip`
one entry of a version                        `12-3`    that file
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Final

from entrepot.depot import entries, versions
from entrepot.depot.context import Depot
from entrepot.model import ids
from entrepot.model.access import Action, Actor
from entrepot.model.errors import NotFound
from entrepot.model.values import Entry, Version

__all__ = ["ANNOTATION", "CATEGORY", "GENERIC", "MULTIPLEXED", "SAMPLE", "Thing", "is_sample", "locate", "name_of"]

#: What this door keeps in the properties of a version.
SAMPLE: Final = "flow.sample"
CATEGORY: Final = "flow.category"

GENERIC, ANNOTATION, MULTIPLEXED = 1, 2, 3

#: Files that a sample names.
MOST_FILES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Thing:
    """One object of this wire.

    Args:
        entry: None for a directory, and for a file of which only the record may be seen.
        by_entry: Whether it was named as one entry of a version.
        is_readable: Whether the caller may read its bytes.
        can_edit: Whether the caller may change it.
        is_member: Whether the caller belongs to where it lies: names of the project and of people are for those.
    """

    version: Version
    entry: Entry | None
    by_entry: bool
    is_readable: bool
    can_edit: bool
    is_member: bool

    @property
    def id(self) -> str:
        n = self.version.n
        return ids.flow_entry(n, self.entry.position) if self.by_entry and self.entry else ids.flow_data(n)

    @property
    def is_directory(self) -> bool:
        return not self.by_entry and not _is_file(self.version)

    @property
    def filename(self) -> str:
        return self.entry.path.rpartition("/")[2] if self.entry is not None else name_of(self.version)

    @property
    def size(self) -> int:
        return self.entry.size if self.entry is not None else self.version.n_bytes


def _is_file(version: Version) -> bool:
    return version.n_entries == 1 and version.unpacked_from is None and not is_sample(version)


def is_sample(version: Version) -> bool:
    return isinstance(version.properties.get(SAMPLE), dict)


def name_of(version: Version) -> str:
    """What a directory is called."""
    told: Any = (version.unpacked_from or {}).get("name")
    return told if isinstance(told, str) and told else f"{version.slug}.zip"


def locate(depot: Depot, actor: Actor, text: str) -> Thing:
    """The thing of this id, whose record the caller may see.

    Raises:
        NotFound, Hidden: There is none, it was never ready, or it is in the trash.
    """
    position: int | None = None
    if "-" in text:
        n, position = ids.parse_flow_entry(text)
    else:
        n = ids.parse_flow_data(text)
    found = versions.get(depot, actor, n, trashed=False, ready_only=True)
    version, rights = found.version, versions.standing(actor, found)
    if version.project_trashed or (position is not None and not rights[Action.READ_CONTENT]):
        raise NotFound(f"There is no data {text[:40]}, or you may not see it.")
    entry: Entry | None = None
    if position is not None:
        entry = entries.get(depot, actor, n, position=position)[2]
    elif _is_file(version) and rights[Action.READ_CONTENT]:
        entry = next(iter(entries.list_entries(depot, actor, n, limit=1)[2].rows), None)
    return Thing(
        version,
        entry,
        position is not None,
        is_readable=rights[Action.READ_CONTENT],
        can_edit=rights[Action.EDIT],
        is_member=rights[Action.VIEW_PROJECT],
    )


def files_of(depot: Depot, actor: Actor, thing: Thing) -> list[dict[str, Any]]:
    """The files of a version, in the order in which they came."""
    if not thing.is_readable:
        return []
    n = thing.version.n
    found = entries.iterate(depot, actor, n, by_position=True)[2]
    return [
        {"id": ids.flow_entry(n, one.position), "filename": one.path.rpartition("/")[2], "size": one.size}
        for one in itertools.islice(found, MOST_FILES)
    ]
