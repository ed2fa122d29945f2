"""Data frames, which the old client calls datasets: each is one version, of whatever kind."""

from __future__ import annotations

import itertools
from typing import Any, Final

from entrepot.depot import entries, ingests, objects, projects, slots, versions
from entrepot.depot.browse import Found
from entrepot.depot.context import Depot
from entrepot.depot.exports import file_name
from entrepot.depot.slots import NewSlot
from entrepot.depot.versions import NewVersion
from entrepot.dialects.benchling import decode, encode
from entrepot.dialects.benchling.context import Asked
from entrepot.dialects.benchling.decode import Fields
from entrepot.model import ids
from entrepot.model.access import Action, Actor
from entrepot.model.errors import Invalid, NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Collection, Kind, Numbering, State, Version

__all__ = ["create", "create_unplaced", "find", "folder_of", "get", "manifest", "named", "shown", "start"]

#: Files of one frame, both as they come and as they are shown one by one.
MOST: Final = 1_000


async def create(asked: Asked, top: Fields) -> None:
    """A version that waits for its files, in a folder, and where to put them."""
    await _create(asked, top, {})


async def create_unplaced(asked: Asked) -> None:
    """As `create`, for who makes a dataset of it later: until then it is in no list of datasets."""
    await _create(asked, await asked.body(), {encode.UNPLACED: True})


async def _create(asked: Asked, top: Fields, properties: dict[str, Any]) -> None:
    name, folder, declared = top.text("name"), top.optional_text("folderId"), decode.columns(top)
    files: list[str | None] = [one.text("fileName") for one in top.objects("manifest", most=MOST)]
    wanted = [NewSlot(one, suffix=".csv") for one in files or [None]]

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        place = None if folder is None else folder_of(depot, actor, folder)
        new = NewVersion(
            name=name,
            kind=Kind.TABLE,
            numbering=Numbering.NEXT,
            collection=None if place is None else place.uid,
            declared=declared,
            properties=properties | named(place, folder),
        )
        version, made = slots.create(depot, actor, None, new, wanted)
        links = objects.sign_slots(depot, actor, made)
        places = [(one.file_name, f"{asked.base_url}{link.path}") for one, link in zip(made, links, strict=True)]
        return encode.frame(version, places)

    await asked.answer(work)


def folder_of(depot: Depot, actor: Actor, text: str) -> Collection:
    """The folder of an id: `coll_…`, or `proj_…` for the root of a project.

    Raises:
        NotFound
    """
    found = projects.get_collection(depot, actor, ids.parse_benchling_folder(text))
    if text.startswith("proj_") and not found.is_root:
        raise NotFound(f"There is no project {text}, or you may not see it.")
    return found


def named(place: Collection | None, text: str | None) -> dict[str, Any]:
    """What is kept so that the folder is shown by the id it was given by: mostly nothing."""
    if place is None or text == ids.benchling_folder(place.uid, place.project_uid):
        return {}
    return {encode.FOLDER: text}


async def get(asked: Asked) -> None:
    parquet = asked.text("rowDataFormat") == "parquet"

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        return shown(asked, depot, actor, find(asked, depot, actor), parquet=parquet)

    await asked.answer(work)


async def update(asked: Asked) -> None:
    """Begin to check what was uploaded."""
    await start(asked, await asked.body())


async def start(asked: Asked, top: Fields) -> None:
    """The task that checks what was uploaded; a repeat gets the same one, also when it has ended."""
    wished = top.text("uploadStatus")
    if wished != "IN_PROGRESS":
        raise Invalid(f"uploadStatus can be set to IN_PROGRESS only, not to {wished[:40]!r}.")
    key = ids.parse_benchling_version(asked.found["id"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        return {"taskId": ids.encode(Noun.TASK, ingests.start(depot, actor, key).uid)}

    await asked.answer(work, status=202)


def find(asked: Asked, depot: Depot, actor: Actor) -> Found:
    """The version that the path names, in the trash or not.

    Raises:
        NotFound
    """
    return versions.get(depot, actor, ids.parse_benchling_version(asked.found["id"]))


def shown(asked: Asked, depot: Depot, actor: Actor, found: Found, *, parquet: bool = False) -> dict[str, Any]:
    """A version as a frame, with links for what the caller may do."""
    return encode.frame(found.version, manifest(asked, depot, actor, found, parquet=parquet))


def manifest(
    asked: Asked, depot: Depot, actor: Actor, found: Found, *, parquet: bool = False
) -> list[tuple[str, str | None]]:
    """The files of a version: what is to come for who may write, what is there for who may read."""
    version, may = found.version, versions.standing(actor, found)
    state = encode.shown_state(version)
    if state is State.READY:
        if not may[Action.READ_CONTENT]:
            return []
        return [(name, f"{asked.base_url}{path}") for name, path in _files(depot, actor, version, parquet=parquet)]
    if not may[Action.EDIT]:
        return []
    _, made = slots.list_slots(depot, actor, version.n)
    if state not in (State.EMPTY, State.RECEIVING) or version.trash is not None:
        return [(one.file_name, None) for one in made]
    if any(one.url_expires_at - depot.now() < depot.policy.slot_lifetime / 2 for one in made):
        # Every answer has links that last; they are not worth a write each.
        _, made = slots.renew(depot, actor, version.n)
    links = objects.sign_slots(depot, actor, made)
    return [(one.file_name, f"{asked.base_url}{link.path}") for one, link in zip(made, links, strict=True)]


def _files(depot: Depot, actor: Actor, version: Version, *, parquet: bool) -> list[tuple[str, str]]:
    """The files of the newest revision, in the order in which they came, each with its link.

    The client writes each to a folder by its name and makes no folders below: a tree comes as one archive, and so does
    what has too many files.
    """
    if parquet and version.kind is Kind.TABLE:
        name = f"{version.slug}.parquet"
        link = objects.sign_table(depot, actor, version.uid, version.revision, format="parquet", name=name)
        return [(name, link.path)]
    if version.n_entries <= MOST:
        listed = list(itertools.islice(entries.iterate(depot, actor, version.n, revision=version.revision)[2], MOST))
        if not any("/" in one.path for one in listed):
            listed.sort(key=lambda one: one.position)
            wanted = [(one.position, one.path) for one in listed]
            links = objects.sign_entries(depot, actor, version.uid, version.revision, wanted)
            return [(name, link.path) for (_, name), link in zip(wanted, links, strict=True)]
    link = objects.sign_export(depot, actor, version.n, revision=version.revision)
    return [(file_name(version, "zip"), link.path)]
