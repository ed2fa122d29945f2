"""The assets of a project: the entries of its version `Assets`, the newest active one of kind files.

A group is a folder. What this wire keeps of an asset and an entry has no place for (its status, further groups, custom
metadata) is in the entry's text, as JSON; a text that is not such JSON stays what it is and is kept beside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from entrepot.depot import browse, entries
from entrepot.depot.browse import Wanted
from entrepot.depot.context import Depot
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import EntryNotFound, NotFound
from entrepot.model.values import Entry, Kind, Version

__all__ = ["MARK", "NAME", "Asset", "Values", "find", "locate", "of_entry", "path_of", "standing"]

#: The name of the dataset that they are in.
NAME = "Assets"

#: How a text begins that this door wrote.
MARK = '{"datature"'

#: The word for an asset that nobody has looked at.
NO_STATUS = "None"

#: Custom metadata: texts, numbers, true and false by name.
Values = Mapping[str, str | int | float]

#: Folders that are looked into when an asset is asked for by its bare name.
_MOST_FOLDERS = 1_000


@dataclass(frozen=True, slots=True)
class Asset:
    """One entry in the words of this wire.

    Args:
        group: Its folder, `` at the top.
        also: Further groups that it was put into.
        note: A text that the entry had from elsewhere.
        custom: Values by name, of the asset (None) and of its frames.
    """

    entry: Entry
    group: str
    filename: str
    status: str = NO_STATUS
    also: tuple[str, ...] = field(default=())
    note: str = ""
    custom: Mapping[int | None, Values] = field(default_factory=dict)

    @property
    def groups(self) -> list[str]:
        return [*([self.group] if self.group else []), *self.also]

    def text(self) -> str:
        """What the entry's text is for this status and these further groups."""
        said: dict[str, Any] = {}
        if self.status != NO_STATUS:
            said["status"] = self.status
        if self.also:
            said["groups"] = list(self.also)
        if self.custom:
            said["custom"] = {"" if frame is None else str(frame): values for frame, values in self.custom.items()}
        if not said:
            return self.note
        if self.note:
            said["note"] = self.note
        return json.dumps({"datature": said}, ensure_ascii=False)


def of_entry(entry: Entry) -> Asset:
    group, _, filename = entry.path.rpartition("/")
    said = _said(entry.metadata)
    if said is None:
        return Asset(entry, group, filename, note=entry.metadata)
    note = said.get("note")
    return Asset(
        entry,
        group,
        filename,
        _status(said),
        _also(said),
        note if isinstance(note, str) else "",
        _custom(said.get("custom")),
    )


def standing(folder: str, text: str) -> tuple[str, list[str]]:
    """The status and all groups of an asset in this folder with this text of its entry."""
    said = _said(text) or {}
    return _status(said), [*([folder] if folder else []), *_also(said)]


def _status(said: Mapping[str, Any]) -> str:
    status = said.get("status")
    return status if isinstance(status, str) and status else NO_STATUS


def _also(said: Mapping[str, Any]) -> tuple[str, ...]:
    also = said.get("groups")
    return tuple(one for one in also if isinstance(one, str)) if isinstance(also, list) else ()


def _custom(said: object) -> dict[int | None, Values]:
    """What this door wrote of custom metadata; whatever else stands there is left out."""
    found: dict[int | None, Values] = {}
    for frame, values in said.items() if isinstance(said, dict) else ():
        if isinstance(values, dict) and (frame == "" or frame.isdecimal()):
            found[int(frame) if frame else None] = {
                name: value for name, value in values.items() if isinstance(value, (str, int, float))
            }
    return found


def _said(text: str) -> dict[str, Any] | None:
    """What this door wrote there, if it was this door."""
    if not text.startswith(MARK):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    said = found.get("datature") if isinstance(found, dict) and len(found) == 1 else None
    return said if isinstance(said, dict) else None


def path_of(groups: Sequence[str], filename: str) -> str:
    """Where an asset of these groups lies: in the first."""
    folder = groups[0].strip("/") if groups else ""
    return f"{folder}/{filename}" if folder else filename


def find(depot: Depot, actor: Actor, project: int | UUID) -> Version | None:
    """The version, None while there is none."""
    found = browse.list_versions(depot, actor, Wanted(project=project, name=NAME, kind=Kind.FILES), limit=1).rows
    return found[0].version if found else None


def locate(depot: Depot, actor: Actor, version: Version | None, name: str) -> Asset:
    """One asset by its id, its path, or its name in any group.

    Raises:
        NotFound
    """
    missing = NotFound(f"There is no asset {name[:80]!r} in this project, or you may not see it.")
    if version is None:
        raise missing
    try:
        uid, position = ids.parse_datature_asset(name)
    except NotFound:
        return _by_name(depot, actor, version, name, missing)
    if uid != version.uid:
        raise missing
    try:
        opened = entries.open_entry(depot, actor, version.n, position=position)
    except EntryNotFound as gone:
        raise missing from gone
    opened.reader.close()
    return of_entry(entries.get(depot, actor, version.n, opened.entry.path, revision=opened.revision)[2])


def _by_name(depot: Depot, actor: Actor, version: Version, name: str, missing: NotFound) -> Asset:
    folders = entries.list_folder(depot, actor, version.n, limit=_MOST_FOLDERS)[2].rows
    for path in (name, *(f"{one.name}/{name}" for one in folders if one.is_folder)):
        try:
            return of_entry(entries.get(depot, actor, version.n, path)[2])
        except EntryNotFound:
            continue
    raise missing
