"""Merging: bringing the files of another version into this one, after looking at what would come of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from entrepot.depot import browse, copies, merging, versions
from entrepot.depot.browse import Wanted
from entrepot.depot.context import Depot
from entrepot.model import ids
from entrepot.model.access import Action, Actor
from entrepot.model.errors import EntrepotError, Invalid, NotFound, StaleRevision
from entrepot.model.ids import Noun
from entrepot.model.references import parse_reference
from entrepot.model.values import Kind, Version
from entrepot.web import links
from entrepot.web.about import about, key
from entrepot.web.context import Asked
from entrepot.web.routes.admin import Call

__all__ = ["ROUTES"]

#: Versions of the same project that the page offers, beside those of the same dataset.
_OFFERED: Final = 30


async def form(asked: Asked) -> None:
    """Which other version, and what merging it would do."""
    wanted, other = key(asked.found["version"]), (asked.text("other") or "").strip()

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        # Who may not edit it is told so before choosing anything.
        versions.get(depot, actor, wanted, action=Action.EDIT)
        given = about(depot, actor, wanted)
        version: Version = given["v"]
        preview, source, wrong = None, None, ""
        if other:
            try:
                source = _named(depot, actor, version, other)
                preview = merging.preview(depot, actor, version.n, source.n)
            except EntrepotError as refused:
                wrong = refused.message
        return given | {
            "other": other,
            "preview": preview,
            "wrong": wrong,
            "line_of": [one for one in given["line"] if _fits(one, version)],
            "near": _near(depot, actor, version),
            "can_trash_other": source is not None
            and versions.standing(actor, versions.get(depot, actor, source.n))[Action.MERGE_AWAY],
        }

    await asked.page("merge.html", work)


def _fits(one: Version, version: Version) -> bool:
    return one.n != version.n and one.kind is Kind.FILES and one.number is not None and one.trash is None


def _near(depot: Depot, actor: Actor, version: Version) -> list[Version]:
    found = browse.list_versions(
        depot, actor, Wanted(project=version.project, kind=Kind.FILES, ready_only=True), limit=_OFFERED
    )
    return [one.version for one in found.rows if one.version.dataset != version.dataset]


def _named(depot: Depot, actor: Actor, version: Version, text: str) -> Version:
    """The version that somebody named: by id, as `project/dataset@2`, or as `dataset@2` of the same project."""
    uid = _uid(text)
    if uid is not None:
        found = versions.get(depot, actor, uid, trashed=False).version
    else:
        full = text if "/" in text else f"{version.project_slug}/{text}"
        found = versions.resolve(depot, actor, parse_reference(full))[0].version
    if found.n == version.n:
        raise Invalid("That is this very version. Choose another one.")
    return found


def _uid(text: str) -> UUID | None:
    try:
        return ids.decode(Noun.VERSION, text)
    except NotFound:
        return None


async def merge(asked: Asked) -> None:
    """Do what the preview showed, if both are still what they were."""
    given, wanted = await asked.form(), key(asked.found["version"])
    source, away = key(given.text("other")), given.flag("trash")
    seen = given.number("target_revision"), given.number("source_revision")

    def work(depot: Depot, actor: Actor) -> tuple[str, bool]:
        found = [versions.get(depot, actor, one).version for one in (wanted, source)]
        if seen != tuple(one.revision for one in found):
            raise StaleRevision(
                "One of the two has changed since you looked at what merging them does. Nothing was done."
            )
        done = copies.merge(depot, actor, wanted, source, delete=away)
        return links.version(done.version), done.version.revision != found[0].revision

    path, changed = await asked.call(work)
    await asked.go(path, notice="merged" if changed else "unmerged")


ROUTES: Final[Mapping[str, Mapping[str, Call]]] = {"/versions/{version}/merge": {"GET": form, "POST": merge}}
