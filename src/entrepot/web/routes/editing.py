"""What people do with a version: describe it, copy it, freeze it, bring back what was, throw it away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from entrepot.depot import collection, copies, entries, history, licences, projects, trash, versions
from entrepot.depot.context import Depot
from entrepot.depot.versions import VersionChanges
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid
from entrepot.model.values import Numbering, Role, Version, Visibility
from entrepot.web import links
from entrepot.web.about import about, key
from entrepot.web.context import Asked, Form
from entrepot.web.routes.projects import key as project_key


async def edit_form(asked: Asked) -> None:
    """The record of a version, to be changed."""
    wanted = key(asked.found["version"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        given = about(depot, actor, wanted)
        return given | {"licences": licences.list_licences(depot, actor, limit=1000).rows}

    await asked.page("edit.html", work)


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
    )
    seen = form.number("edit")

    def check(record: Version) -> None:
        if seen is not None and record.edit != seen:
            raise Invalid(
                "Somebody else changed this description since you opened the form. Go back, copy what you wrote, "
                "load the page again and put it in."
            )

    await _then(asked, lambda depot, actor: versions.update(depot, actor, wanted, changes, check=check), "saved")


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
        return given | {"projects": projects.list_projects(depot, actor, least=Role.WRITE, limit=1000).rows}

    await asked.page("copy.html", work)


async def copy(asked: Asked) -> None:
    form, wanted = await asked.form(), key(asked.found["version"])
    home = form.optional("project")

    def work(depot: Depot, actor: Actor) -> Version:
        return copies.copy(
            depot,
            actor,
            wanted,
            project=None if home is None else project_key(home),
            name=form.optional("name"),
            numbering=Numbering.NEXT,
        )

    await _then(asked, work, "copied")


async def restore_form(asked: Asked) -> None:
    """What bringing back an old revision changes, before it is done."""
    wanted, to = key(asked.found["version"]), asked.number("to") or 0

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
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
    wanted = key(asked.found["version"])
    await asked.page("trash_one.html", lambda depot, actor: about(depot, actor, wanted))


async def throw(asked: Asked) -> None:
    form, wanted = await asked.form(), key(asked.found["version"])
    reason = form.optional("reason") or "deleted"
    await _then(asked, lambda depot, actor: trash.trash(depot, actor, wanted, reason=reason), "trashed")


async def reinstate(asked: Asked) -> None:
    await asked.form()
    wanted = key(asked.found["version"])
    await _then(asked, lambda depot, actor: trash.reinstate(depot, actor, wanted), "reinstated")


async def purge_form(asked: Asked) -> None:
    """What removing a version for good frees, before it is done."""
    wanted = key(asked.found["version"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        return about(depot, actor, wanted) | {"frees": collection.frees(depot, actor, wanted).n_bytes}

    await asked.page("purge.html", work)


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
