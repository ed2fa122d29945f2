"""Finding things: search with facets, what happened, what is at work, and what lies in the trash."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from entrepot.depot import browse, data_types, history, projects, search, standings, tasks, versions
from entrepot.depot.browse import Found, Wanted
from entrepot.depot.context import Depot
from entrepot.http.errors import Answer
from entrepot.model import ids
from entrepot.model.access import Action, Actor
from entrepot.model.errors import EntrepotError, Invalid
from entrepot.model.ids import Noun
from entrepot.model.values import Kind, Page, Task, TaskState, Version
from entrepot.web import activity, links, rendering, words
from entrepot.web.about import removed_at
from entrepot.web.context import Asked

_PAGE: Final = 50
#: So many of the best hits are counted into facets and filtered by them.
_DEEPEST: Final = 200
_FACET: Final = 12
_SUGGESTED: Final = 7
#: What a facet says of a version. A version can say several things, as with tags.
_FACETS: Final[dict[str, Callable[[Version], Sequence[str]]]] = {
    "project": lambda one: (one.project_slug,),
    "kind": lambda one: (one.kind.value,),
    "type": lambda one: (one.data_type,) if one.data_type else (),
    "tag": lambda one: one.tags,
    "by": lambda one: (one.creator_name,) if one.creator_name else (),
}


async def show_search(asked: Asked) -> None:
    """Datasets that contain all words, best first; without words all of them, newest first. Facets narrow both."""
    query = (asked.text("q") or "").strip()[:200]
    chosen = {name: value for name in _FACETS if (value := asked.text(name))}

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        page, more = _hits(depot, actor, query) if query else _newest(depot, actor, chosen, asked.text("cursor"))
        fitting = [
            one for one in page.rows if all(value in _FACETS[name](one.version) for name, value in chosen.items())
        ]
        return {
            "section": "search",
            "q": query,
            "chosen": chosen,
            "rows": fitting[:_PAGE] if query else fitting,
            "more_hits": more or len(fitting) > _PAGE,
            "page": page,
            "facets": _facets(fitting, query, chosen),
            "here_url": links.to("/ui/search", q=query, **chosen),
            "without": {
                name: links.to("/ui/search", q=query, **{one: value for one, value in chosen.items() if one != name})
                for name in chosen
            },
            "types": {one.identifier: one.name for one in data_types.list_types(depot)},
        }

    await asked.page("search.html", work, public=True)


def _hits(depot: Depot, actor: Actor, query: str) -> tuple[Page[Found], bool]:
    rows: list[Found] = []
    cursor = None
    while True:
        page = search.search(depot, actor, query, cursor=cursor, limit=100)
        rows += [one.found for one in page.rows]
        cursor = page.cursor
        if cursor is None or len(rows) >= _DEEPEST:
            return Page(tuple(rows)), cursor is not None


def _newest(depot: Depot, actor: Actor, chosen: dict[str, str], cursor: str | None) -> tuple[Page[Found], bool]:
    kinds = {one.value: one for one in Kind}
    if "kind" in chosen and chosen["kind"] not in kinds:
        return Page(()), False
    wanted = Wanted(
        project=chosen.get("project"),
        kind=kinds.get(chosen.get("kind", "")),
        data_type=chosen.get("type"),
        tags=(chosen["tag"],) if "tag" in chosen else (),
        creator=chosen.get("by"),
        ready_only=True,
    )
    return browse.list_versions(depot, actor, wanted, cursor=cursor, limit=_PAGE), False


def _facets(found: Sequence[Found], query: str, chosen: dict[str, str]) -> list[tuple[str, list[tuple[str, int, str]]]]:
    """For each facet that could narrow: its values, how often, and where each leads."""
    made = []
    for name, read in _FACETS.items():
        if name in chosen:
            continue
        counts = Counter(value for one in found for value in read(one.version))
        values = [
            (value, number, links.to("/ui/search", q=query, **{**chosen, name: value}))
            for value, number in counts.most_common(_FACET)
        ]
        if len(values) > 1:
            made.append((name, values))
    return made


async def suggest(asked: Asked) -> None:
    """The best few datasets for what was typed so far, as JSON for the field in the head of every page."""
    query = (asked.text("q") or "").strip()[:200]

    def work(depot: Depot, actor: Actor) -> bytes:
        page = search.search(depot, actor, query, limit=_SUGGESTED) if query else Page(())
        rows = [_suggestion(one.found.version) for one in page.rows]
        return json.dumps({"rows": rows, "more": page.cursor is not None}, ensure_ascii=False).encode()

    try:
        body = await asked.call(work)
    except Invalid:
        # A condition that is typed halfway.
        body = b'{"rows": [], "more": false}'
    await asked.answer(Answer(200, body, "application/json", rendering.PAGE_FIELDS))


def _suggestion(one: Version) -> dict[str, str]:
    number = f", version {one.number}" if one.number and one.number > 1 else ""
    holds = {Kind.TABLE: "row", Kind.RECORDS: "item"}.get(one.kind)
    much = words.plural(one.n_entries, "file") if holds is None else words.plural(one.item_count or 0, holds)
    return {
        "name": f"{one.name}{number}",
        "kind": one.kind.value,
        "url": links.version(one),
        "note": f"{one.project_slug} · {much}, {words.size(one.n_bytes)}",
        "text": words.summary(one.description, 120),
    }


async def show_activity(asked: Asked) -> None:
    """What happened in one's projects, newest first; for staff everywhere."""
    project = asked.text("project")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        page = history.events(depot, actor, project=project, cursor=asked.text("cursor"), limit=_PAGE)
        return {
            "section": "activity",
            "page": page,
            "lines": activity.lines(depot, actor, page.rows),
            "here_url": links.to("/ui/activity", project=project),
        }

    await asked.page("activity.html", work)


#: Of tasks that go on: their pages follow them.
_OPEN: Final = (TaskState.READY, TaskState.RUNNING)


async def show_tasks(asked: Asked) -> None:
    """Long work, newest first."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        page = tasks.list_tasks(depot, actor, cursor=asked.text("cursor"), limit=_PAGE)
        return {
            "section": "tasks",
            "page": page,
            "rows": [(one, _about(depot, actor, one)) for one in page.rows],
            "open": any(one.state in _OPEN for one in page.rows),
        }

    await asked.page("tasks.html", work)


async def show_task(asked: Asked) -> None:
    wanted = _task(asked)

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        one = tasks.get(depot, actor, wanted)
        return {
            "section": "tasks",
            "task": one,
            "about": _about(depot, actor, one),
            "open": one.state in _OPEN,
        }

    await asked.page("task.html", work)


async def cancel_task(asked: Asked) -> None:
    await asked.form()
    wanted = _task(asked)
    await asked.call(lambda depot, actor: tasks.cancel(depot, actor, wanted))
    await asked.go(f"/ui/tasks/{asked.found['task']}", notice="cancelled")


def _task(asked: Asked) -> UUID:
    return ids.decode(Noun.TASK, asked.found["task"])


def _about(depot: Depot, actor: Actor, task: Task) -> Version | None:
    if task.version is None:
        return None
    try:
        return versions.get(depot, actor, task.version).version
    except EntrepotError:
        return None


async def show_trash(asked: Asked) -> None:
    """Versions and projects that were thrown away and can be put back."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        page = browse.list_versions(depot, actor, Wanted(trashed=True), cursor=asked.text("cursor"), limit=_PAGE)
        kept: dict[int, timedelta | None] = {}
        return {
            "page": page,
            "rows": [
                (
                    one.version,
                    removed_at(depot, actor, one.version, kept),
                    one.version.trash is not None
                    and not one.version.project_trashed
                    and versions.standing(actor, one)[Action.REINSTATE],
                )
                for one in page.rows
            ],
            "projects": [
                (one.project, standings.of_project(actor, one)[Action.REINSTATE_PROJECT])
                for one in projects.list_projects(depot, actor, trashed=True, limit=_PAGE).rows
            ],
            "retention": depot.policy.trash_retention,
        }

    await asked.page("trash.html", work)
