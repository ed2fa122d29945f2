"""Datasets of the current client: things in folders. Each is the version that its frame is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from entrepot.depot import copies, sorting, trash, versions
from entrepot.depot.context import Depot
from entrepot.depot.lookup import Key, name_of
from entrepot.depot.projects import KEEP
from entrepot.depot.versions import VersionChanges
from entrepot.dialects.benchling import encode, filters
from entrepot.dialects.benchling.context import Asked
from entrepot.dialects.benchling.decode import Fields
from entrepot.dialects.benchling.routes.frames import folder_of, named
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid, NotFound
from entrepot.model.values import Collection, Numbering, State, Version

#: Datasets that are archived or brought back at once.
MOST: Final = 1_000
#: How often a change is tried again that somebody else's came before.
_TRIES: Final = 5

PAGE: Final = 50


class _Changed(Exception):
    """The version is not any more what was looked at."""


async def create(asked: Asked, top: Fields) -> None:
    """Put a frame into a folder; one that is in a folder already is copied, into the new one.

    A repeat with the same folder and name gets the same dataset: this client repeats what it got no answer to.
    """
    frame, folder = ids.parse_benchling_version(top.text("dataFrameId")), top.optional_text("folderId")
    name, custom = top.text("name"), _fields(top, {})

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        place = None if folder is None else folder_of(depot, actor, folder)

        def once() -> Version:
            found = versions.get(depot, actor, frame)
            version = found.version
            if encode.shown_state(version) is State.FAILED:
                raise Invalid(
                    f"The frame {top.text('dataFrameId')} failed its validation; no dataset can be made of it."
                )
            if encode.UNPLACED in version.properties:
                changes = _placed(version, place, folder, name, custom)
                return versions.update(depot, actor, frame, changes, check=_unless_edited(version))
            if _is_there(version, place, name):
                # Who may not write into it is told so, and not that it is there.
                return versions.update(depot, actor, frame, VersionChanges())
            return _copied(depot, actor, version, place, folder, name, custom)

        return _shown(depot, actor, _repeated(once).uid)

    await asked.answer(work)


def _placed(
    version: Version, place: Collection | None, folder: str | None, name: str, custom: Mapping[str, Any]
) -> VersionChanges:
    return VersionChanges(
        name=name,
        collection=version.collection_uid if place is None else place.uid,
        custom={**version.custom, **custom} if custom else KEEP,
        properties={encode.UNPLACED: None, encode.FOLDER: None, **named(place, folder)},
        numbering=Numbering.NEXT,
    )


def _is_there(version: Version, place: Collection | None, name: str) -> bool:
    return (place is None or place.uid == version.collection_uid) and name == version.name and version.trash is None


def _copied(
    depot: Depot,
    actor: Actor,
    version: Version,
    place: Collection | None,
    folder: str | None,
    name: str,
    custom: Mapping[str, Any],
) -> Version:
    """The same rows at another place, by reference."""
    # W on the frame, as for placing it the first time.
    versions.update(depot, actor, version.n, VersionChanges())
    return copies.copy(
        depot,
        actor,
        version.n,
        name=name,
        collection=version.collection_uid if place is None else place.uid,
        numbering=Numbering.NEXT,
        custom={**version.custom, **custom} if custom else None,
        properties=named(place, folder),
    )


def _unless_edited(seen: Version) -> Callable[[Version], None]:
    def check(now: Version) -> None:
        if now.edit != seen.edit:
            raise _Changed

    return check


def _repeated(once: Callable[[], Version]) -> Version:
    """Do it again when somebody else was quicker."""
    for _ in range(_TRIES):
        try:
            return once()
        except _Changed:
            continue
    raise Invalid("The dataset is being changed by somebody else all the time. Try again.")


def _fields(top: Fields, before: Mapping[str, Any]) -> dict[str, Any]:
    """Custom fields as they are to be: those given replace those of the same name, null takes one away.

    Raises:
        Invalid: A field is no object with a value.
    """
    if "customFields" not in top:
        return dict(before)
    after = dict(before)
    given = top.object("customFields")
    for name, value in given:
        if value is None:
            after.pop(name, None)
        elif isinstance(value, dict) and "value" in value:
            after[name] = value["value"]
        else:
            raise Invalid(f'{given.called(name)} is no object with a "value".')
    return after


def _shown(depot: Depot, actor: Actor, key: UUID) -> dict[str, Any]:
    found = sorting.creator_of(depot, actor, key)
    return encode.dataset(found.found.version, found.creator)


async def get(asked: Asked) -> None:
    """One dataset, archived or not."""
    key = ids.parse_benchling_version(asked.found["id"])
    await asked.answer(lambda depot, actor: _shown(depot, actor, key))


async def update(asked: Asked, top: Fields) -> None:
    """Another name, another folder, other custom fields; all or nothing."""
    key = ids.parse_benchling_version(asked.found["id"])
    name, folder = top.optional_text("name"), top.optional_text("folderId")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        place = None if folder is None else folder_of(depot, actor, folder)

        def once() -> Version:
            seen = versions.get(depot, actor, key).version
            custom = _fields(top, seen.custom)
            changes = VersionChanges(
                name=KEEP if name is None else name,
                collection=KEEP if place is None else place.uid,
                custom=KEEP if "customFields" not in top else custom,
                properties=KEEP if place is None else {encode.FOLDER: None, **named(place, folder)},
                numbering=Numbering.KEEP_ELSE_NEXT,
            )
            return versions.update(depot, actor, key, changes, check=_unless_edited(seen))

        return _shown(depot, actor, _repeated(once).uid)

    await asked.answer(work)


async def list_(asked: Asked) -> None:
    """Datasets that fit, a page at a time. The last page has the empty token: null makes the client begin again."""
    size = asked.number("pageSize", PAGE, least=1, most=1_000)
    cursor, wanted = asked.text("nextToken"), filters.wanted(asked)

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        if wanted is None:
            return {"datasets": [], "nextToken": ""}
        page = sorting.page(depot, actor, wanted[0], collection=wanted[1], cursor=cursor, limit=size)
        shown = [encode.dataset(one.found.version, one.creator) for one in page.rows]
        return {"datasets": shown, "nextToken": page.cursor or ""}

    await asked.answer(work)


async def archive(asked: Asked) -> None:
    """Into the trash with a reason, all or none; those that are there already too."""
    top = await asked.body()
    texts, reason = top.texts("datasetIds", most=MOST), top.text("reason")
    if reason not in encode.REASONS:
        raise Invalid(f"reason is one of {', '.join(encode.REASONS)}, not {reason[:40]!r}.")

    def change(depot: Depot, actor: Actor, keys: list[Key]) -> None:
        trash.trash_many(depot, actor, keys, reason=f"archived: {reason}")

    await _all(asked, texts, change)


async def unarchive(asked: Asked) -> None:
    """Back from the trash, all or none; those that are not there too."""
    top = await asked.body()
    texts = top.texts("datasetIds", most=MOST)

    def change(depot: Depot, actor: Actor, keys: list[Key]) -> None:
        trash.reinstate_many(depot, actor, keys, numbering=Numbering.NEXT)

    await _all(asked, texts, change)


async def _all(asked: Asked, texts: list[str], change: Callable[[Depot, Actor, list[Key]], None]) -> None:
    """Do something to all versions of these ids.

    Raises:
        Invalid: Some are no versions for the caller; `details["invalid_ids"]` are those.
    """
    keys = {text: _key(text) for text in texts}

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        try:
            change(depot, actor, list(keys.values()))
        except Invalid as refused:
            bad = {str(one.get("id")) for one in refused.errors}
            wrong = [text for text, key in keys.items() if name_of(key) in bad]
            if not wrong:
                raise
            raise _refused(texts, set(wrong)) from refused
        return {"datasetIds": texts}

    await asked.answer(work)


def _key(text: str) -> Key:
    """Which version an id names; an id of another form is that of nothing, and is named with the others."""
    try:
        return ids.parse_benchling_version(text)
    except NotFound:
        return 0


def _refused(texts: list[str], wrong: set[str]) -> Invalid:
    invalid = [text for text in texts if text in wrong]
    shown = ", ".join(text[:60] for text in invalid[:5])
    return Invalid(
        f"Nothing was changed: {len(invalid)} of {len(texts)} are not there, or not for you to change: {shown}.",
        details={"invalid_ids": invalid},
    )
