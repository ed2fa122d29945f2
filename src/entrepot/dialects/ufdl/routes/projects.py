"""Projects: what teams own, and where datasets lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from entrepot.depot import judging, projects, selecting
from entrepot.depot.context import Depot
from entrepot.depot.projects import KEEP, ProjectChanges
from entrepot.dialects.ufdl import encode, filters
from entrepot.dialects.ufdl.bodies import Fields, not_unique
from entrepot.dialects.ufdl.context import Asked
from entrepot.dialects.ufdl.routes.lists import listed
from entrepot.model import ids
from entrepot.model.access import Action, Actor
from entrepot.model.errors import Hidden, NameTaken, NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Project


def _key(found: Mapping[str, str]) -> int:
    return ids.parse_ufdl_pk(found["pk"], Noun.PROJECT)


async def list_(asked: Asked, _found: Mapping[str, str]) -> None:
    """The projects of the caller's teams that the filter leaves."""
    await listed(asked, filters.PROJECTS, selecting.projects, lambda one: encode.project(one.project))


async def create(asked: Asked, _found: Mapping[str, str]) -> None:
    """A project of a team. Those who may write in it."""
    body = await asked.body()

    def work(depot: Depot, actor: Actor) -> Any:
        judging.logged_in(actor)
        fields = Fields(body)
        name, team = fields.text("name", most=200), fields.key("team")
        fields.check()
        assert name is not None
        assert team is not None
        try:
            return encode.project(projects.create(depot, actor, name, team=team))
        except Hidden:
            raise
        except NotFound as missing:
            fields.unknown_key("team", team)
            fields.check()
            raise missing
        except NameTaken as taken:
            raise not_unique("name", "team") from taken

    await asked.answer(work, status=201)


async def retrieve(asked: Asked, found: Mapping[str, str]) -> None:
    """One project, for members of its team."""
    n = _key(found)
    await asked.answer(lambda depot, actor: encode.project(projects.get(depot, actor, n).project))


async def update(asked: Asked, found: Mapping[str, str]) -> None:
    """Name and team anew."""
    await _change(asked, found, partial=False)


async def partial_update(asked: Asked, found: Mapping[str, str]) -> None:
    """The fields that are given."""
    await _change(asked, found, partial=True)


async def _change(asked: Asked, found: Mapping[str, str], *, partial: bool) -> None:
    n, body = _key(found), await asked.body()

    def work(depot: Depot, actor: Actor) -> Any:
        projects.get(depot, actor, n, action=Action.UPDATE_PROJECT)
        fields = Fields(body, partial=partial)
        name, team = fields.text("name", most=200), fields.key("team")
        fields.check()
        changes = ProjectChanges(name=KEEP if name is None else name, team=KEEP if team is None else team)
        try:
            return encode.project(projects.update(depot, actor, n, changes))
        except NotFound as missing:
            fields.unknown_key("team", team)
            fields.check()
            raise missing
        except NameTaken as taken:
            raise not_unique("name", "team") from taken

    await asked.answer(work)


async def destroy(asked: Asked, found: Mapping[str, str]) -> None:
    """Into the trash, with its datasets; a second time too."""
    n = _key(found)
    await asked.nothing(lambda depot, actor: projects.trash(depot, actor, n))


async def hard_delete(asked: Asked, found: Mapping[str, str]) -> None:
    """Gone for good, unless it holds datasets. Staff."""
    n = _key(found)
    await asked.answer(lambda depot, actor: encode.project(projects.purge(depot, actor, n)))


async def reinstate(asked: Asked, found: Mapping[str, str]) -> None:
    """Back from the trash, without its datasets. Staff."""
    n = _key(found)

    def work(depot: Depot, actor: Actor) -> Any:
        try:
            back: Project = projects.reinstate(depot, actor, n)
        except NameTaken as taken:
            raise not_unique("name", "team") from taken
        return encode.project(back)

    await asked.answer(work)
