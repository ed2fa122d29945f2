"""The audit log: who did what, when, through which door; to look through, and to take along."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from entrepot.depot import history, naming
from entrepot.depot.context import Depot
from entrepot.depot.naming import Names
from entrepot.http.threads import in_thread
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid
from entrepot.model.ids import Noun
from entrepot.model.values import Event, Page
from entrepot.web import activity
from entrepot.web.context import Asked
from entrepot.web.routes.admin import Call, operator

__all__ = ["ROUTES"]

_PAGE: Final = 100
_BLOCK: Final = 1000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the log is asked for, as the form has it."""

    who: str | None
    what: str | None
    since: str | None
    until: str | None

    @classmethod
    def of(cls, asked: Asked) -> Wanted:
        return cls(*((asked.text(name) or "").strip() or None for name in ("who", "what", "since", "until")))

    @property
    def chosen(self) -> dict[str, str | None]:
        return {"who": self.who, "what": self.what, "since": self.since, "until": self.until}

    def read(self, depot: Depot, actor: Actor, cursor: str | None, limit: int) -> Page[Event]:
        """One page.

        Raises:
            Invalid: A day cannot be read, or nothing of that kind is ever written down.
        """
        end = _day("The end", self.until)
        return history.events(
            depot,
            actor,
            by=self.who,
            verbs=_verbs(self.what),
            since=_day("The beginning", self.since),
            # The day that is named belongs to it.
            until=None if end is None else end + timedelta(days=1),
            cursor=cursor,
            limit=limit,
        )


def _verbs(what: str | None) -> tuple[str, ...]:
    """A whole family such as `login`, or one verb."""
    if what is None:
        return ()
    found = tuple(verb for verb in activity.PHRASES if verb == what or verb.startswith(f"{what}."))
    if not found:
        raise Invalid(f"Nothing of the kind {what[:40]!r} is written down. Choose one of the list.")
    return found


def _day(field: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        # The last day of the calendar has no next one.
        return datetime.combine(min(date.fromisoformat(text), date(9999, 12, 30)), time(), UTC)
    except ValueError:
        raise Invalid(f"{field} is {text[:40]!r}, which is no day. Write it as 2026-11-22.") from None


async def show(asked: Asked) -> None:
    """The log as a table, newest first."""
    wanted = Wanted.of(asked)

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        page = wanted.read(depot, actor, asked.text("cursor"), _PAGE)
        families: dict[str, list[str]] = {}
        for verb in sorted(activity.PHRASES):
            families.setdefault(verb.partition(".")[0], []).append(verb)
        return {
            "tab": "log",
            "page": page,
            "lines": list(zip(page.rows, activity.lines(depot, actor, page.rows), strict=True)),
            "families": families,
            "phrases": activity.PHRASES,
            "chosen": wanted.chosen,
            "detail": _detail,
        }

    await asked.page("admin/log.html", operator(work))


def _detail(one: Event) -> str:
    """What else was written down, for whoever looks closer."""
    known = {"before": one.before, "after": one.after, "detail": one.detail, "subject": one.subject}
    return json.dumps({name: what for name, what in known.items() if what}, ensure_ascii=False, indent=1, default=str)


async def download(asked: Asked) -> None:
    """The same as one JSON array, however long: read and sent page by page."""
    wanted = Wanted.of(asked)

    def read(cursor: str | None) -> tuple[bytes, str | None]:
        depot, actor = asked.context.depot, asked.signed_in()

        def work(depot: Depot, actor: Actor) -> tuple[bytes, str | None]:
            page = wanted.read(depot, actor, cursor, _BLOCK)
            names = naming.of_events(depot, page.rows)
            told = ",\n".join(json.dumps(_told(one, names), ensure_ascii=False, default=str) for one in page.rows)
            return told.encode(), page.cursor

        return operator(work)(depot, actor)

    # The first page before the first byte: what is refused is still a page that says so.
    block, cursor = await in_thread(asked.context.executor, read, None)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-disposition", b'attachment; filename="entrepot-log.json"'),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await asked.send({"type": "http.response.start", "status": 200, "headers": headers})
    if asked.scope["method"] == "HEAD":
        await asked.send({"type": "http.response.body", "body": b""})
        return
    await asked.send({"type": "http.response.body", "body": b"[\n" + block, "more_body": True})
    while cursor is not None:
        block, cursor = await in_thread(asked.context.executor, read, cursor)
        if block:
            await asked.send({"type": "http.response.body", "body": b",\n" + block, "more_body": True})
    await asked.send({"type": "http.response.body", "body": b"\n]\n"})


def _told(one: Event, names: Names) -> dict[str, Any]:
    """With the names that the API gives each thing."""
    project, version = names.projects.get(one.project or 0), names.versions.get(one.version or 0)
    return {
        "n": one.n,
        "at": one.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "verb": one.verb,
        "actor": one.actor_name,
        "door": one.door,
        "token": None if one.token_uid is None else ids.encode(Noun.TOKEN, one.token_uid),
        "project": None if project is None else ids.encode(Noun.PROJECT, project),
        "version": None if version is None else ids.encode(Noun.VERSION, version),
        "revision": one.revision,
        "subject": one.subject,
        "before": one.before,
        "after": one.after,
        "detail": one.detail,
    }


ROUTES: Final[Mapping[str, Mapping[str, Call]]] = {
    "/admin/log": {"GET": show},
    "/admin/log.json": {"GET": download},
}
