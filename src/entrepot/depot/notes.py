"""Notes about versions, which whoever depends on them sees too: "the detector was miscalibrated until May".

A note is written once, at the version that it is about. Nothing is copied: who asks for the notes of a version gets its
own and those of everything it came from, found by walking its edges up. So a note reaches what is linked later, and is
gone everywhere when it is removed. It lies in the record's property `entrepot.notes`, newest last, and is shown to
whoever may see that record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from entrepot.catalog import users as user_rows
from entrepot.catalog import versions as rows
from entrepot.catalog.connection import Connection
from entrepot.depot import lookup, relationships
from entrepot.depot.context import Depot
from entrepot.depot.events import tell
from entrepot.depot.lookup import Key
from entrepot.depot.versions import again
from entrepot.model import names
from entrepot.model.access import Action, Actor
from entrepot.model.errors import Invalid, NotFound, TooLarge
from entrepot.model.json_values import json_object
from entrepot.model.values import Version

PROPERTY = "entrepot.notes"
MOST = 50
LONGEST = 2000
#: Further than any walk goes before its bound on versions ends it.
_DEPTH = 1000


@dataclass(frozen=True, slots=True)
class Note:
    """A note as it is seen from a version.

    Args:
        about: The version that it was written at.
        revision: The newest one when it was written.
        author: Name of who wrote it; None for somebody without an account.
        distance: Steps from the version that was asked for; 0 for its own.
    """

    id: str
    about: Version
    revision: int
    text: str
    author: str | None
    written_at: datetime
    distance: int


@dataclass(frozen=True, slots=True)
class Notes:
    """Its own notes first, then those of nearer origins before those further away. `truncated` as for a walk."""

    rows: tuple[Note, ...]
    truncated: bool


def add(depot: Depot, actor: Actor, key: Key, text: str) -> Version:
    """Write a note at a version. Its content does not change, so frozen versions take notes too.

    Raises:
        Invalid: It is empty or too long.
        TooLarge: The version has as many notes as one can have.
    """
    said = names.text(text, max_length=LONGEST, field="Note").strip()
    if not said:
        raise Invalid("A note needs some words.")
    now = depot.now()
    identity = depot.new_uid().hex

    def work(conn: Connection) -> Version:
        before = lookup.editable(lookup.hold(conn, actor, key, Action.EDIT))
        notes = _of(before)
        if len(notes) >= MOST:
            raise TooLarge(f"{before.label} has {MOST} notes, and no more fit. Remove some, or use its description.")
        author = None if actor.user is None else user_rows.by_numbers(conn, [actor.user])[actor.user].name
        note = {
            "id": identity,
            "text": said,
            "revision": before.revision,
            "author": author,
            "at": now.isoformat(),
        }
        return _written(conn, depot, actor, before, [*notes, note], now, None, said)

    return depot.catalog.write(work)


def remove(depot: Depot, actor: Actor, key: Key, identity: str) -> Version:
    """
    Raises:
        NotFound: There is no such note at this version; one that it inherits is removed where it was written.
    """
    now = depot.now()

    def work(conn: Connection) -> Version:
        before = lookup.editable(lookup.hold(conn, actor, key, Action.EDIT))
        kept = [note for note in _of(before) if note["id"] != identity]
        gone = [note for note in _of(before) if note["id"] == identity]
        if not gone:
            raise NotFound(f"{before.label} has no note {lookup.said(identity)} of its own.")
        return _written(conn, depot, actor, before, kept, now, gone[0]["text"], None)

    return depot.catalog.write(work)


def _written(
    conn: Connection,
    depot: Depot,
    actor: Actor,
    version: Version,
    notes: list[dict[str, Any]],
    now: datetime,
    before: str | None,
    after: str | None,
) -> Version:
    properties: Mapping[str, Any] = {**version.properties, PROPERTY: notes}
    if not notes:
        properties = {name: value for name, value in properties.items() if name != PROPERTY}
    checked = json_object(properties, depot.limits.custom_metadata, "Properties")
    rows.change(conn, version.n, {"properties": checked, "updated_at": now}, edited=True)
    tell(conn, actor, "version.updated", version, now, before={"note": before}, after={"note": after})
    return again(conn, actor, version.n)


def list_notes(depot: Depot, actor: Actor, key: Key) -> Notes:
    """The notes of a version and of all that it came from, as far as the caller may see that."""
    found = relationships.graph(depot, actor, key, direction="up", depth=_DEPTH)
    above: dict[int, list[int]] = {}
    for edge in found.edges:
        if edge.source is not None and edge.target is not None and edge.source.n is not None:
            above.setdefault(edge.source.n, []).extend([] if edge.target.n is None else [edge.target.n])
    distances = {found.start.n: 0}
    waiting = deque([found.start.n])
    while waiting:
        here = waiting.popleft()
        for n in above.get(here, ()):
            if n not in distances:
                distances[n] = distances[here] + 1
                waiting.append(n)
    versions = {**found.versions, found.start.n: found.start}
    ordered = sorted((n for n in distances if n in versions), key=lambda n: (distances[n], n))
    return Notes(tuple(note for n in ordered for note in _shown(versions[n], distances[n])), found.truncated)


def _of(version: Version) -> list[dict[str, Any]]:
    return [dict(note) for note in version.properties.get(PROPERTY, ())]


def _shown(version: Version, distance: int) -> list[Note]:
    return [
        Note(
            note["id"],
            version,
            note["revision"],
            note["text"],
            note["author"],
            datetime.fromisoformat(note["at"]),
            distance,
        )
        for note in _of(version)
    ]
