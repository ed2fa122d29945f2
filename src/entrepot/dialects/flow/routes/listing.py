"""Lists: of data, of data types, of samples, of projects and of people. Pages by number, counts exact."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from entrepot.depot import data_types, judging, projects, singles, users
from entrepot.depot.context import Depot
from entrepot.depot.lookup import FoundProject
from entrepot.depot.singles import Singles, Sort
from entrepot.dialects.flow import encode, things
from entrepot.dialects.flow.context import Asked, invalid
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import NotFound
from entrepot.model.patterns import Pattern
from entrepot.model.values import Person, Role, User

PAGE: Final = 10
MOST: Final = 100

_SORTS: Final[dict[str, Sort]] = {
    "created": "created",
    "-created": "-created",
    "filename": "filename",
    "-filename": "-filename",
}
#: The last second that the catalogue's clock can say.
_LAST_SECOND: Final = 253_402_300_799


def _leaf(asked: Asked, *, count: int = PAGE) -> tuple[int, int, int]:
    """Number of the page, from which row on, and how many rows."""
    number = asked.number("page", 1, least=1, most=10**9) or 1
    rows = asked.number("count", count, least=1, most=MOST) or count
    return number, (number - 1) * rows, rows


async def search_data(asked: Asked) -> None:
    """Data by what is known of them; the newest first where nothing else is asked."""
    number, start, rows = _leaf(asked)
    wished = _wished(asked)
    mine, owner = asked.flag("owned"), asked.text("owner")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        creator: int | str | None = owner
        if owner is not None and owner.isascii() and owner.isdecimal():
            creator = int(owner[:18])
        if mine:
            creator = actor.user if actor.user is not None else -1
        wanted = Singles(**wished, creator=creator)
        total, found = singles.page(depot, actor, wanted, start=start, limit=rows)
        return {"count": total, "page": number, "data": [encode.row(one) for one in found]}

    await asked.answer(work)


def _wished(asked: Asked) -> dict[str, Any]:
    """
    Raises:
        Invalid: A parameter is wrong.
    """
    sort, pattern = asked.text("sort") or "-created", asked.text("pattern")
    if sort not in _SORTS:
        raise invalid({"sort": [f"{sort[:40]!r} is none of {', '.join(_SORTS)}."]})
    single = asked.flag("is_single") if asked.text("is_single") is not None else None
    uploaded = asked.flag("uploaded") if asked.text("uploaded") is not None else True
    return {
        "expand": things.SAMPLE,
        "category": (things.CATEGORY, asked.number("category")),
        "name": asked.text("filename"),
        "pattern": None if pattern is None else Pattern(pattern),
        "is_file": single,
        "data_types": [one.strip() for one in (asked.text("data_types") or "").split(",") if one.strip()][:100],
        "size": (asked.number("size_gt"), asked.number("size_lt")),
        "created": (_instant(asked, "created_gt"), _instant(asked, "created_lt", end=True)),
        "sort": _SORTS[sort],
        # There are no pipelines here, so nothing was ever made by one.
        "nothing": not uploaded or any(asked.text(one) for one in ("process_execution", "pipeline")),
    }


def _instant(asked: Asked, name: str, *, end: bool = False) -> datetime | None:
    """A time in whole seconds; with `end` the last moment of that second, for the bounds are inclusive."""
    found = asked.number(name, least=0, most=_LAST_SECOND)
    if found is None:
        return None
    return datetime.fromtimestamp(found, UTC).replace(microsecond=999_999 if end else 0)


async def list_types(asked: Asked) -> None:
    """What files can be, and how many of those the caller may read are."""

    def work(depot: Depot, actor: Actor) -> list[dict[str, Any]]:
        wanted = Singles(expand=things.SAMPLE, category=(things.CATEGORY, None))
        counts = singles.count_types(depot, actor, wanted)
        return [
            {
                "identifier": one.identifier,
                "name": one.name,
                "description": one.description,
                "data_count": counts.get(one.identifier, 0),
            }
            for one in data_types.list_types(depot)
        ]

    await asked.answer(work)


# Projects


def _projects(depot: Depot, actor: Actor, least: Role) -> Iterator[FoundProject]:
    cursor: str | None = None
    while True:
        page = projects.list_projects(depot, actor, cursor=cursor, limit=1000, least=least)
        yield from page.rows
        cursor = page.cursor
        if cursor is None:
            return


async def owned_projects(asked: Asked) -> None:
    """Projects that the caller may put things into. The client counts on the count: it asks on until it has so many."""
    number, start, rows = _leaf(asked)

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        judging.logged_in(actor)
        found = [one for one in _projects(depot, actor, Role.WRITE) if one.role >= Role.WRITE]
        shown = found[start : start + rows]
        return {"count": len(found), "page": number, "projects": [encode.project(one) for one in shown]}

    await asked.answer(work)


async def search_projects(asked: Asked) -> None:
    number, start, rows = _leaf(asked)
    name = (asked.text("name") or asked.text("filter") or asked.text("query") or "").lower()

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        found = [] if actor.is_anonymous else list(_projects(depot, actor, Role.READ))
        found = [one for one in found if name in one.project.name.lower()]
        shown = found[start : start + rows]
        return {"count": len(found), "page": number, "projects": [encode.project(one) for one in shown]}

    await asked.answer(work)


async def get_project(asked: Asked) -> None:
    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        return encode.project(_project(depot, actor, asked.found["id"]))

    await asked.answer(work)


def _project(depot: Depot, actor: Actor, text: str) -> FoundProject:
    return projects.get(depot, actor, ids.parse_flow_data(text), trashed=False)


# Samples


async def project_samples(asked: Asked) -> None:
    """The samples of a project."""

    def home(depot: Depot, actor: Actor) -> int:
        return _project(depot, actor, asked.found["id"]).project.n

    await _samples(asked, await asked.call(home))


async def search_samples(asked: Asked) -> None:
    await _samples(asked, None)


async def owned_samples(asked: Asked) -> None:
    """Samples that the caller sent."""

    def me(_depot: Depot, actor: Actor) -> int:
        return judging.logged_in(actor)

    await _samples(asked, None, await asked.call(me))


async def _samples(asked: Asked, project: int | None, creator: int | None = None) -> None:
    number, start, rows = _leaf(asked)
    name = asked.text("name") or asked.text("filter") or ""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        total, found = singles.page_of_versions(
            depot, actor, things.SAMPLE, name=name, project=project, creator=creator, start=start, limit=rows
        )
        return {"count": total, "page": number, "samples": [encode.sample(one) for one in found]}

    await asked.answer(work)


async def get_sample(asked: Asked) -> None:
    """A sample and its files."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        thing = things.locate(depot, actor, asked.found["id"])
        if not things.is_sample(thing.version) or thing.by_entry:
            raise NotFound("There is no such sample.")
        return {**encode.sample(thing.version), "data": things.files_of(depot, actor, thing)}

    await asked.answer(work)


# People


async def search_users(asked: Asked) -> None:
    """User names and names of people, for whoever is logged in."""
    number, start, rows = _leaf(asked)
    text = asked.text("name") or asked.text("username") or asked.text("filter") or asked.text("query")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        found: list[User | Person] = []
        cursor: str | None = None
        while True:
            page = users.list_users(depot, actor, text=text, cursor=cursor, limit=1000)
            found += page.rows
            cursor = page.cursor
            if cursor is None:
                break
        shown = found[start : start + rows]
        return {"count": len(found), "page": number, "users": [encode.person(one) for one in shown]}

    await asked.answer(work)
