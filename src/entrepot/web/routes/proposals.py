"""Proposals: copies by people who may only read, which wait until somebody who may write decides about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from entrepot.depot import browse, history, projects, trash, users, versions
from entrepot.depot.browse import Wanted
from entrepot.depot.context import Depot
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid, NotFound
from entrepot.model.values import Version
from entrepot.web import links
from entrepot.web.about import about, key
from entrepot.web.context import Asked
from entrepot.web.routes.admin import Call
from entrepot.web.routes.projects import key as project_key

__all__ = ["ROUTES"]

_PAGE: Final = 50
_CHANGES: Final = 200
#: How a refusal and a withdrawal begin in the trash, before the reason that somebody gave.
REFUSED, WITHDRAWN = "refused", "withdrawn"


async def list_(asked: Asked) -> None:
    """What was proposed to a project: what waits, or what was refused or withdrawn."""
    wanted, closed = asked.text("project"), asked.text("state") == "closed"
    if wanted is None:
        raise NotFound("Name the project whose proposals you want to see: its page leads here.")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        project = projects.get(depot, actor, project_key(wanted)).project
        filters = Wanted(project=project.n, proposals=True, trashed=closed)
        return {
            "section": "projects",
            "project": project,
            "closed": closed,
            "page": browse.list_versions(depot, actor, filters, cursor=asked.text("cursor"), limit=_PAGE),
            "here_url": links.to("/ui/proposals", project=project.slug, state="closed" if closed else None),
        }

    await asked.page("proposals.html", work)


async def show(asked: Asked) -> None:
    """What a proposal changes, and what can be decided about it."""
    wanted = key(asked.found["version"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        given = about(depot, actor, wanted, "proposal")
        version: Version = given["v"]
        base = _base(given["line"], version)
        page = None
        if base is not None and given["can_read"]:
            ends = (base.n, base.revision), (version.n, version.revision)
            page = history.diff_page(depot, actor, *ends, cursor=asked.text("cursor"), limit=_CHANGES)
        by = None if version.trash is None else version.trash.by
        return given | {
            "base": base,
            "page": page,
            "record": [] if base is None else _record(base, version),
            "trashed_by": None if by is None else users.get(depot, actor, by).name,
        }

    await asked.page("proposal.html", work)


def _base(line: list[Version], version: Version) -> Version | None:
    """What the dataset's name means now: the highest version that nobody has to decide about."""
    ready = (one for one in line if one.number is not None and one.trash is None and not one.is_proposal)
    return next((one for one in ready if one.n != version.n), None)


def _record(base: Version, version: Version) -> list[tuple[str, str, str]]:
    """What the records say differently: the field, and both texts."""
    fields = (
        ("Description", base.description, version.description),
        ("Tags", ", ".join(base.tags), ", ".join(version.tags)),
        ("Licence", base.licence_name, version.licence_name),
        ("Kind", base.kind.value, version.kind.value),
    )
    return [(name, before, after) for name, before, after in fields if before != after]


async def refuse(asked: Asked) -> None:
    """Put a proposal in the trash, with the reason for whoever proposed it."""
    form, wanted = await asked.form(), key(asked.found["version"])
    reason = form.optional("reason")
    if reason is None:
        raise Invalid("Say why you refuse it: whoever proposed it reads that. Nothing was done.")
    await _end(asked, wanted, f"{REFUSED}: {reason}", "refused")


async def withdraw(asked: Asked) -> None:
    """Take back one's own proposal."""
    form, wanted = await asked.form(), key(asked.found["version"])
    reason = form.optional("reason")
    await _end(asked, wanted, f"{WITHDRAWN}: {reason}" if reason else WITHDRAWN, "withdrawn")


async def _end(asked: Asked, wanted: Any, reason: str, notice: str) -> None:
    def work(depot: Depot, actor: Actor) -> str:
        version = versions.get(depot, actor, wanted).version
        if not version.is_proposal:
            raise Invalid(f"{version.name} is no proposal any more: it was accepted. Nothing was done.")
        trash.trash(depot, actor, version.n, reason=reason)
        return links.to("/ui/proposals", project=version.project_slug)

    await asked.go(await asked.call(work), notice=notice)


ROUTES: Final[Mapping[str, Mapping[str, Call]]] = {
    "/proposals": {"GET": list_},
    "/versions/{version}/proposal": {"GET": show},
    "/versions/{version}/refuse": {"POST": refuse},
    "/versions/{version}/withdraw": {"POST": withdraw},
}
