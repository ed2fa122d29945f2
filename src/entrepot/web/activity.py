"""The log in words: who did what to which thing, with a link to where it is now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from entrepot.depot import projects, versions
from entrepot.depot.context import Depot
from entrepot.model.access import Actor
from entrepot.model.errors import EntrepotError
from entrepot.model.values import Event
from entrepot.web import links

__all__ = ["PHRASES", "WORK", "Line", "lines"]

#: What an event is called, before the name of the thing it happened to.
PHRASES: Final[Mapping[str, str]] = {
    "licence.created": "added a licence",
    "licence.deleted": "removed a licence",
    "licence.updated": "changed a licence",
    "login.failed": "failed to sign in",
    "login.succeeded": "signed in",
    "member.added": "added a member",
    "member.removed": "removed a member",
    "member.updated": "changed what a member may do",
    "node.created": "registered a worker node",
    "node.deactivated": "closed a worker node",
    "node.reactivated": "opened a worker node again",
    "project.created": "created the project",
    "project.purged": "removed for good the project",
    "project.reinstated": "took out of the trash the project",
    "project.trashed": "moved to the trash the project",
    "project.updated": "changed the project",
    "relationship.created": "linked",
    "relationship.deleted": "removed a link of",
    "revision.created": "changed files of",
    "server.installed": "installed this server",
    "task.ended": "finished a task on",
    "team.created": "created a team",
    "team.purged": "removed a team for good",
    "team.reinstated": "took a team out of the trash",
    "team.trashed": "moved a team to the trash",
    "team.updated": "changed a team",
    "token.created": "made an API token",
    "token.revoked": "revoked an API token",
    "token.updated": "renamed an API token",
    "user.created": "created an account",
    "user.deactivated": "closed an account",
    "user.reactivated": "opened an account again",
    "user.updated": "changed an account",
    "version.copied": "copied",
    "version.created": "created",
    "version.failed": "tried in vain to fill",
    "version.frozen": "froze",
    "version.merged": "merged into",
    "version.moved": "moved",
    "version.purged": "removed for good",
    "version.ready": "published",
    "version.reinstated": "took out of the trash",
    "version.trashed": "moved to the trash",
    "version.updated": "described",
    "webhook.created": "added a webhook",
    "webhook.deleted": "removed a webhook",
    "webhook.disabled": "stopped a webhook",
    "webhook.replayed": "repeated deliveries of a webhook",
    "webhook.tested": "tested a webhook",
    "webhook.updated": "changed a webhook",
}
#: What is worth telling on a first page: everything but coming and going.
WORK: Final = tuple(verb for verb in PHRASES if not verb.startswith(("login.", "server.")))

#: What each door is called where it is not this one.
_DOORS: Final[Mapping[str, str]] = {
    "native": "by API",
    "benchling": "through Benchling's client",
    "datature": "through Datature's client",
    "flow": "through Flow's client",
    "ufdl": "through UFDL's client",
    "objects": "by a signed link",
    "worker": "in the background",
    "operator": "on the server's machine",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One event as a page tells it."""

    who: str
    did: str
    what: str
    url: str | None
    project: str
    project_url: str | None
    how: str
    note: str
    at: datetime


def lines(depot: Depot, actor: Actor, events: Sequence[Event]) -> list[Line]:
    """The events in words. What the actor may no longer see is named by nothing but its kind."""
    places: dict[int, tuple[str, str, str, str | None] | None] = {}
    homes: dict[int, tuple[str, str | None]] = {}
    return [_line(depot, actor, one, places, homes) for one in events]


def _line(
    depot: Depot,
    actor: Actor,
    one: Event,
    places: dict[int, tuple[str, str, str, str | None] | None],
    homes: dict[int, tuple[str, str | None]],
) -> Line:
    what, url, home, home_url = "", None, "", None
    if one.version is not None:
        if one.version not in places:
            places[one.version] = _version(depot, actor, one.version)
        found = places[one.version]
        if found is not None:
            what, url, home, home_url = found
        else:
            what = str((one.before or {}).get("name") or "a dataset that is gone or not yours to see")
    elif one.project is not None:
        if one.project not in homes:
            homes[one.project] = _project(depot, actor, one.project)
        home, home_url = homes[one.project]
        if one.verb.startswith("project."):
            what, url, home, home_url = home, home_url, "", None
    if one.verb == "revision.created" and url is not None and one.revision is not None:
        what = f"{what}, revision {one.revision}"
    return Line(
        who=one.actor_name or ("Entrepot" if one.door == "worker" else "Somebody"),
        did=_did(one),
        what=what,
        url=url,
        project=home,
        project_url=home_url,
        how=_DOORS.get(one.door, ""),
        note=_note(one),
        at=one.at,
    )


def _version(depot: Depot, actor: Actor, n: int) -> tuple[str, str, str, str | None] | None:
    try:
        one = versions.get(depot, actor, n).version
    except EntrepotError:
        return None
    name = one.name if one.number in (None, 1) else f"{one.name}, version {one.number}"
    return name, links.version(one), one.project_slug, links.project(one.project_slug)


def _project(depot: Depot, actor: Actor, n: int) -> tuple[str, str | None]:
    try:
        found = projects.get(depot, actor, n).project
    except EntrepotError:
        return "", None
    return found.name, links.project(found.slug)


def _did(one: Event) -> str:
    """The phrase of the verb; of a proposal its own, because somebody is to look at it."""
    after = one.after or {}
    if one.verb == "version.copied" and after.get("proposal"):
        return "proposed"
    if one.verb == "version.updated" and dict(after) == {"is_proposal": False}:
        return "accepted"
    return PHRASES.get(one.verb, one.verb)


def _note(one: Event) -> str:
    """What somebody wrote about it."""
    for given in (one.detail, one.after):
        for name in ("message", "reason"):
            text = (given or {}).get(name)
            if isinstance(text, str) and text:
                return text
    return ""
