"""From values to HTML: one Jinja environment that escapes everything, and how sizes, times and counts are written.

Nothing in a page is markup unless it came out of `markdown.render`, which makes its own. Pages carry no script and no
style of their own: the policy that goes with them lets neither run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from entrepot._version import __version__
from entrepot.model import ids
from entrepot.model.digests import sha256_text
from entrepot.model.ids import Noun
from entrepot.web import links, markdown, words
from entrepot.web.assets import Assets

__all__ = ["ASSETS", "HTML", "NOTICES", "PAGE_FIELDS", "notice", "render"]

HTML: Final = "text/html; charset=utf-8"
ASSETS: Final = Assets("/ui/static")

#: `data:` is for the pictures that style sheets of others bring along; nothing else comes from anywhere but here.
_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
#: Of every page. What somebody saw is theirs: no cache keeps it.
PAGE_FIELDS: Final[Mapping[str, str]] = {
    "content-security-policy": _POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
    "vary": "Cookie",
}

#: What the page after a form says. A cookie names one of these; it never carries text of its own.
NOTICES: Final[Mapping[str, str]] = {
    "saved": "Saved.",
    "signed-out": "You are signed out.",
    "created": "Created.",
    "uploaded": "Your files are here, as one new revision.",
    "checking": "Your files are here and are being checked. Nothing is published before the check is over.",
    "nothing": "Nothing changed: everything you sent was here already.",
    "restored": "The files are as they were then. It is a new revision, so nothing in between is lost.",
    "frozen": "Frozen: the files of this version do not change any more.",
    "unfrozen": "No longer frozen.",
    "copied": "Copied.",
    "trashed": "Moved to the trash. You can put it back at any time until it is removed for good.",
    "reinstated": "Taken out of the trash.",
    "purged": "Removed for good.",
    "removed": "Removed.",
    "accepted": "Accepted: it is a version like any other now.",
    "refused": "Refused. It is in the trash with your reason, where whoever proposed it can read it.",
    "withdrawn": "Withdrawn. Nobody is asked about it any more.",
    "proposed": "Proposed. Somebody who may write here decides about it; nothing else has changed.",
    "merged": "Merged: the files of both are here now, as one new revision.",
    "unmerged": "Nothing changed: everything of the other one was here already.",
    "project": "The project is changed.",
    "project-trashed": "The project and everything in it are in the trash.",
    "project-reinstated": "The project is back. Its datasets come back from the trash one by one.",
    "project-purged": "The project is removed for good.",
    "team": "The team is changed.",
    "team-trashed": "The team is in the trash. Its projects stay, for administrators of this server.",
    "team-reinstated": "The team is back, without members. Add them again.",
    "team-purged": "The team is removed for good.",
    "webhook": "The webhook is changed.",
    "webhook-deleted": "The webhook is removed, with everything that was on its way to it.",
    "webhook-tested": "A test is on its way. What comes of it is in the list below; load this page again to see.",
    "webhook-replayed": "Sent again. What comes of it is in the list below; load this page again to see.",
    "webhook-silent": "There is nothing to send again: nothing failed or was missed since then.",
    "revoked": "Revoked: whatever used this token is refused from now on.",
    "ended": "That session is over.",
    "password": "Your password is changed. Other sessions are over.",
    "cancelled": "It was asked to stop.",
    "member": "The team's members are changed.",
    "started": "Started. This page shows how it goes.",
    "linked": "Linked: you can sign in with it from now on.",
    "user": "The account is changed.",
    "user-password": "The password is changed. Sessions of that account are over; its API tokens stay.",
    "user-sessions": "Signed out there. API tokens stay.",
}


def notice(name: str | None) -> str | None:
    """The words behind the name in a cookie."""
    return NOTICES.get(name or "")


@cache
def environment() -> Environment:
    made = Environment(
        loader=PackageLoader("entrepot.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        size=words.size,
        count=words.count,
        when=when,
        day=words.day,
        ago=words.ago,
        markdown=markdown.render,
        digest=sha256_text,
        clip=words.clip,
        fact=words.fact,
        plural=words.plural,
        summary=words.summary,
        pretty=pretty,
        owner=words.owner,
    )
    made.globals.update(
        {
            "style": style,
            "script": script,
            "asset": ASSETS.url,
            "to": links.to,
            "version_url": links.version,
            "project_url": links.project,
            "id_of": lambda noun, uid: ids.encode(Noun(noun), uid),
            "release": __version__,
        }
    )
    return made


def render(template: str, values: Mapping[str, Any]) -> bytes:
    """A page in UTF-8."""
    return environment().get_template(template).render(values).encode()


# What templates call


def pretty(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def when(instant: datetime | None, now: datetime | None = None) -> Markup:
    """A time for people, with the exact one for machines and for whoever points at it."""
    if instant is None:
        return Markup("&ndash;")
    exact = instant.astimezone(UTC)
    said = words.ago(exact, now) if now is not None else words.day(exact)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        exact.strftime("%Y-%m-%dT%H:%M:%SZ"), exact.strftime("%Y-%m-%d %H:%M:%S UTC"), said
    )


def style(name: str) -> Markup:
    """The link to a style sheet below `static`; nothing where it has not been built."""
    url = ASSETS.url(name)
    return Markup("") if url is None else Markup('<link rel="stylesheet" href="{}">').format(url)


def script(name: str) -> Markup:
    """The element that loads a script below `static`, after the page was read; nothing where it has not been built.

    An ending `.mjs` makes it a module.
    """
    url = ASSETS.url(name)
    if url is None:
        return Markup("")
    kind = Markup(' type="module"') if name.endswith(".mjs") else Markup(" defer")
    return Markup('<script src="{}"{}></script>').format(url, kind)
