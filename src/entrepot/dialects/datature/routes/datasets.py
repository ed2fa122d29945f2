"""Batch datasets: each is one version of a dataset here, of whatever kind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from entrepot.depot import browse, objects, projects, slots, trash, versions
from entrepot.depot.browse import Found, Wanted
from entrepot.depot.context import Depot
from entrepot.depot.objects import Link
from entrepot.depot.slots import NewSlot, Slot
from entrepot.depot.versions import NewVersion
from entrepot.dialects.datature import encode
from entrepot.dialects.datature.context import Asked
from entrepot.dialects.datature.decode import Fields
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor
from entrepot.model.digests import parse_crc32c_base64
from entrepot.model.errors import Invalid, InvalidName, NotFound
from entrepot.model.values import Kind, Numbering, State, Version

#: The client repeats a create after 5xx and lost answers, with nothing to know it by; its last try comes seven seconds
#: after the first, and people try again by hand.
_REPEATED = timedelta(minutes=15)

_SUFFIXES = (".ndjson", ".jsonl")


async def create(asked: Asked) -> None:
    """A version that waits for its file, and where to put it."""
    top = Fields(await asked.body())
    name = top.text("name")
    source = top.object("spec").object("source")
    source.word("kind", encode.SOURCE)
    size = source.number("sizeBytes", least=1, most=2**63 - 1)
    try:
        crc32c = parse_crc32c_base64(source.text("crc32c"))
    except Invalid as wrong:
        raise Invalid(f"spec.source.crc32c: {wrong.message}") from wrong
    new = NewVersion(name=name, kind=Kind.RECORDS, numbering=Numbering.NEXT)
    slot = NewSlot(_file_name(name), length=size, crc32c=crc32c, once=True, starts=True, suffix=_SUFFIXES[0])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        home = projects.get(depot, actor, asked.project, trashed=False).project
        version, made = slots.create(depot, actor, home.n, new, [slot], again_within=_REPEATED)
        return _encoded(asked, depot, version, (made[0], objects.sign_slot(depot, actor, made[0])))

    await asked.answer(work, status=201)


def _file_name(name: str) -> str | None:
    """What the file is called; None calls it after the version."""
    if not name.strip().endswith(_SUFFIXES):
        return None
    try:
        return names.file_name(name)
    except InvalidName:
        return None


async def list_(asked: Asked) -> None:
    """Newest first, a page at a time, expired ones too: the client leaves those out itself."""
    limit, cursor = asked.limit(), asked.text("page")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        home = projects.get(depot, actor, asked.project, trashed=False).project
        wanted = Wanted(project=home.n, and_expired=True)
        leaf = browse.leaf_versions(depot, actor, wanted, cursor=cursor, limit=limit)
        return encode.page(leaf, [_shown(asked, depot, actor, one) for one in leaf.rows])

    await asked.answer(work)


async def get(asked: Asked) -> None:
    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        found = _find(asked, depot, actor)
        kept = found.version.trash
        if found.version.project_trashed or (kept is not None and kept.reason != trash.EXPIRED):
            raise _missing(asked)
        return _shown(asked, depot, actor, found)

    await asked.answer(work)


async def delete(asked: Asked) -> None:
    """Into the trash, where it is not shown any more; a second time too."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        version = trash.trash(depot, actor, _find(asked, depot, actor).version.n)
        return {"id": ids.datature_dataset(version.uid), "deleted": True}

    await asked.answer(work)


def _find(asked: Asked, depot: Depot, actor: Actor) -> Found:
    """The version, in the trash or not, if it lies in the project that the path names."""
    found = versions.get(depot, actor, ids.parse_datature_dataset(asked.found["id"]))
    if found.version.project_uid != asked.project:
        raise _missing(asked)
    return found


def _missing(asked: Asked) -> NotFound:
    return NotFound(f"There is no dataset {asked.found['id'][:80]} in this project, or you may not see it.")


def _shown(asked: Asked, depot: Depot, actor: Actor, found: Found) -> dict[str, Any]:
    version = found.version
    upload: tuple[Slot, Link] | None = None
    if version.state is State.EMPTY and version.trash is None and versions.standing(actor, found)[Action.EDIT]:
        upload = _address(depot, actor, version)
    return _encoded(asked, depot, version, upload)


def _address(depot: Depot, actor: Actor, version: Version) -> tuple[Slot, Link] | None:
    """Where the file is to be put, while there is one place for it and its time is not over."""
    _, made = slots.list_slots(depot, actor, version.n)
    if len(made) != 1 or made[0].full or made[0].url_expires_at <= depot.now():
        return None
    return made[0], objects.sign_slot(depot, actor, made[0])


def _encoded(asked: Asked, depot: Depot, version: Version, upload: tuple[Slot, Link] | None) -> dict[str, Any]:
    return encode.dataset(version, upload, asked.base_url, lifetime=depot.policy.slot_lifetime)
