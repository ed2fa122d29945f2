"""What people do with a version: describe it, copy it, freeze it, bring back what was, throw it away."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any, Final
from uuid import UUID

from entrepot.depot import collection, copies, entries, history, licences, projects, trash, versions
from entrepot.depot.context import Depot
from entrepot.depot.projects import KEEP, Keep
from entrepot.depot.versions import VersionChanges
from entrepot.model.access import Action, Actor
from entrepot.model.errors import Invalid
from entrepot.model.values import Numbering, Role, Version, Visibility
from entrepot.web import links
from entrepot.web.about import about, key
from entrepot.web.context import Asked, Form
from entrepot.web.routes.projects import key as project_key

#: Of its revisions a version is copied as of one of these; older ones by the command line.
_REVISIONS: Final = 50


async def edit_form(asked: Asked) -> None:
    """The record of a version, to be changed."""
    wanted = key(asked.found["version"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        found = versions.get(depot, actor, wanted, action=Action.EDIT)
        given = about(depot, actor, wanted)
        folders = projects.list_collections(depot, actor, found.version.project, limit=1000).rows
        return given | {
            "licences": licences.list_licences(depot, actor, limit=1000).rows,
            "collections": [one.path for one in folders if one.path],
            "expires": _day(found.version.expires_at),
        }

    await asked.page("edit.html", work)


def _day(instant: datetime | None) -> str:
    """A day as the field of a form has it."""
    return "" if instant is None else instant.astimezone(UTC).strftime("%Y-%m-%d")


async def edit(asked: Asked) -> None:
    """Change the record. Somebody who was slower than another is told so, and nothing is lost."""
    form, wanted = await asked.form(), key(asked.found["version"])
    visibility = form.text("visibility")
    if visibility not in {one.value for one in Visibility}:
        raise Invalid("Say who may see it: private, listed or public.")
    changes = VersionChanges(
        description=form.lines("description"),
        licence=form.text("licence"),
        visibility=Visibility(visibility),
        tags=tags_of(form),
        name=form.text("name"),
        collection=form.text("collection").strip().strip("/") if form.has("collection") else KEEP,
        alias=form.optional("alias") if form.has("alias") else KEEP,
        custom=_metadata(form.lines("custom")) if form.has("custom") else KEEP,
        expires_at=_expiry(form),
    )
    seen = form.number("edit")

    def check(record: Version) -> None:
        if seen is not None and record.edit != seen:
            raise Invalid(
                "Somebody else changed this description since you opened the form. Go back, copy what you wrote, "
                "load the page again and put it in."
            )

    await _then(asked, lambda depot, actor: versions.update(depot, actor, wanted, changes, check=check), "saved")


def _metadata(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as wrong:
        raise Invalid(f"The further metadata is no JSON: {wrong}. Nothing was changed.") from wrong
    if not isinstance(found, dict):
        raise Invalid("The further metadata is a JSON object, with names and values. Nothing was changed.")
    return found


def _expiry(form: Form) -> datetime | Keep | None:
    """The end of the chosen day; the time that is set, if its day was left as it is."""
    text = form.text("expires").strip()
    if not form.has("expires") or text == form.text("expires_was"):
        return KEEP
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError as wrong:
        raise Invalid(f"{text[:40]!r} is no day. Write it as in 2026-12-31, or leave it empty.") from wrong
    return datetime.combine(day, time(23, 59, 59), UTC)


async def freeze(asked: Asked) -> None:
    await asked.form()
    wanted = key(asked.found["version"])
    await _then(asked, lambda depot, actor: versions.freeze(depot, actor, wanted), "frozen")


async def unfreeze(asked: Asked) -> None:
    await asked.form()
    wanted = key(asked.found["version"])
    await _then(asked, lambda depot, actor: versions.unfreeze(depot, actor, wanted), "unfrozen")


async def accept(asked: Asked) -> None:
    await asked.form()
    wanted = key(asked.found["version"])
    await _then(asked, lambda depot, actor: versions.accept(depot, actor, wanted), "accepted")


async def copy_form(asked: Asked) -> None:
    """Where a copy goes. In a project where somebody may only read, it is a proposal to its members."""
    wanted = key(asked.found["version"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        given = about(depot, actor, wanted)
        version: Version = given["v"]
        return given | {
            "projects": projects.list_projects(depot, actor, least=Role.WRITE, limit=1000).rows,
            "revisions": history.revisions(depot, actor, version.n, limit=_REVISIONS)[1].rows,
            "chosen": asked.number("revision"),
            "can_write_here": given["can_see_project"]
            and projects.may_write(actor, projects.get(depot, actor, version.project)),
        }

    await asked.page("copy.html", work)


async def copy(asked: Asked) -> None:
    form, wanted = await asked.form(), key(asked.found["version"])
    home, revision = form.optional("project"), form.number("revision")

    def work(depot: Depot, actor: Actor) -> Version:
        return copies.copy(
            depot,
            actor,
            wanted,
            revision=revision,
            project=None if home is None else project_key(home),
            name=form.optional("name"),
            numbering=Numbering.NEXT,
        )

    made = await asked.call(work)
    if made.is_proposal:
        await asked.go(links.version(made, "proposal"), notice="proposed")
    else:
        await asked.go(links.version(made), notice="copied")


async def restore_form(asked: Asked) -> None:
    """What bringing back an old revision changes, before it is done."""
    wanted, to = key(asked.found["version"]), asked.number("to") or 0

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        versions.get(depot, actor, wanted, action=Action.EDIT)
        given = about(depot, actor, wanted, "history")
        version: Version = given["v"]
        page = history.diff_page(depot, actor, (version.n, version.revision), (version.n, to), limit=50)
        return given | {"until": to, "page": page, "told": entries.revision(depot, actor, version.n, to)}

    await asked.page("restore.html", work)


async def restore(asked: Asked) -> None:
    form, wanted = await asked.form(), key(asked.found["version"])
    to, seen, message = form.number("to"), form.number("expected"), form.text("message")
    if to is None:
        raise Invalid("Say which revision to bring back.")
    number = to

    def work(depot: Depot, actor: Actor) -> Version:
        return entries.restore(depot, actor, wanted, number, expected=seen, message=message).version

    await _then(asked, work, "restored")


async def trash_form(asked: Asked) -> None:
    """What throwing it away means, before it is done."""
    wanted = key(asked.found["version"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        given = about(depot, actor, wanted)
        if not given["can_withdraw"]:
            versions.get(depot, actor, wanted, action=Action.TRASH)
        return given

    await asked.page("trash_one.html", work)


async def throw(asked: Asked) -> None:
    form, wanted = await asked.form(), key(asked.found["version"])
    reason = form.optional("reason") or "deleted"
    await _then(asked, lambda depot, actor: trash.trash(depot, actor, wanted, reason=reason), "trashed")


async def reinstate(asked: Asked) -> None:
    await asked.form()
    wanted = key(asked.found["version"])
    await _then(asked, lambda depot, actor: trash.reinstate(depot, actor, wanted), "reinstated")


async def purge_form(asked: Asked) -> None:
    """What removing a version for good frees, before it is done; of many files about so much, until all are counted."""
    wanted = key(asked.found["version"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        return about(depot, actor, wanted) | weighed(depot, actor, wanted)

    await asked.page("purge.html", work)


async def frees(asked: Asked) -> None:
    """The next part of what removing a version for good frees: a piece of a page, which asks for the one after it."""
    wanted = key(asked.found["version"])
    part, parts, before = asked.number("part") or 0, asked.number("parts"), asked.number("so_far") or 0

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        found = versions.get(depot, actor, wanted).version
        return {"v": found} | weighed(depot, actor, wanted, part, parts, before)

    await asked.page("frees.html", work)


def weighed(
    depot: Depot, actor: Actor, wanted: UUID, part: int = 0, parts: int | None = None, before: int = 0
) -> dict[str, Any]:
    """What is known of the bytes that a purge frees after one more part of them was looked at.

    Args:
        before: Bytes that the parts before it free.
    """
    found = collection.frees_part(depot, actor, wanted, part, parts)
    so_far = before + found.frees.n_bytes
    return {
        "frees": so_far if found.is_last else so_far * found.parts // (found.part + 1),
        "frees_known": found.is_last,
        "frees_seen": 100 * (found.part + 1) // found.parts,
        "frees_more": None if found.is_last else {"part": found.part + 1, "parts": found.parts, "so_far": so_far},
    }


async def purge(asked: Asked) -> None:
    form, wanted = await asked.form(), key(asked.found["version"])
    sure = form.text("sure").strip()

    def work(depot: Depot, actor: Actor) -> str:
        version = versions.get(depot, actor, wanted).version
        if sure != version.name:
            raise Invalid(f"To remove it for good, write its name as it is here: {version.name}. Nothing was done.")
        trash.purge(depot, actor, wanted)
        return links.project(version.project_slug)

    await asked.go(await asked.call(work), notice="purged")


async def _then(asked: Asked, work: Callable[[Depot, Actor], Version], notice: str) -> None:
    """Do it, and show the version that came of it."""
    await asked.go(links.version(await asked.call(work)), notice=notice)


def tags_of(form: Form, name: str = "tags") -> list[str]:
    """Tags as people write them: with commas between."""
    return [tag for tag in (one.strip() for one in form.text(name).split(",")) if tag]
