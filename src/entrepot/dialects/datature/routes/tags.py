"""Tags of a project: the classes that things in its assets may be of, each with a number that never changes.

They are kept with the assets, as the property `datature.tags` of their version: nothing else here knows of classes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from entrepot.depot import versions
from entrepot.depot.context import Depot
from entrepot.depot.versions import NewVersion, VersionChanges
from entrepot.dialects.datature import assets_of
from entrepot.dialects.datature.context import Asked
from entrepot.dialects.datature.decode import Fields
from entrepot.dialects.datature.routes.assets import home_of
from entrepot.model import ids, names
from entrepot.model.access import Actor
from entrepot.model.errors import Conflict, Invalid, NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Kind, Numbering, Version

_PROPERTY: Final = "datature.tags"
_MOST, _NAME, _DESCRIPTION = 1_000, 255, 2_000
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
#: How often a change is begun anew because somebody else made one.
_TRIES: Final = 5

Tags = list[dict[str, Any]]


async def list_(asked: Asked) -> None:
    def work(depot: Depot, actor: Actor) -> Tags:
        home = home_of(asked, depot, actor)
        return [] if home is None else _kept(home)[0]

    await asked.answer(work)


async def create(asked: Asked) -> None:
    """One more, with the number after the highest that there ever was; all of them are answered."""
    body = Fields(await asked.body())
    new = _given(body)
    if "name" not in new:
        raise Invalid("name is missing.")

    def change(tags: Tags, following: int) -> tuple[Tags, int]:
        _require_free(tags, new["name"])
        if len(tags) >= _MOST:
            raise Invalid(f"A project has at most {_MOST} tags.")
        return [*tags, {"index": following, "color": None, "description": None, **new}], following + 1

    await asked.answer(lambda depot, actor: _changed(asked, depot, actor, change, make=True), status=201)


async def update(asked: Asked) -> None:
    given, index = _given(Fields(await asked.body())), _index(asked.found["index"])

    def change(tags: Tags, following: int) -> tuple[Tags, int]:
        _find(tags, index)
        if "name" in given:
            _require_free([one for one in tags if one["index"] != index], given["name"])
        return [{**one, **given} if one["index"] == index else one for one in tags], following

    await asked.answer(lambda depot, actor: _changed(asked, depot, actor, change))


async def delete(asked: Asked) -> None:
    """The others keep their numbers."""
    index = _index(asked.found["index"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        _changed(asked, depot, actor, lambda tags, following: (_without(tags, index), following))
        return {"id": None, "deleted": True}

    await asked.answer(work)


async def merge(asked: Asked) -> None:
    """One goes, the other stays: there are no annotations here that would have to be told."""
    one, _, other = asked.found["pair"].partition("-")
    index, target = _index(one), _index(other)

    def change(tags: Tags, following: int) -> tuple[Tags, int]:
        _find(tags, target)
        if index == target:
            raise Invalid(f"Tag {index} cannot be merged with itself.")
        return _without(tags, index), following

    await asked.answer(lambda depot, actor: _changed(asked, depot, actor, change))


def _given(body: Fields) -> dict[str, Any]:
    """What is given of name, color and description."""
    found: dict[str, Any] = {}
    if (name := body.optional_text("name")) is not None:
        found["name"] = names.label(name, _NAME, "name")
    if (color := body.optional_text("color")) is not None:
        if not _COLOR.fullmatch(color):
            raise Invalid(f"color looks like #7ed957, not {color[:20]!r}.")
        found["color"] = color
    if (said := body.optional_text("description")) is not None:
        found["description"] = names.text(said, max_length=_DESCRIPTION, field="description")
    return found


def _index(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise NotFound(f"There is no tag {text[:40]!r} in this project.")
    return int(text)


def _find(tags: Tags, index: int) -> dict[str, Any]:
    for one in tags:
        if one["index"] == index:
            return one
    raise NotFound(f"There is no tag {index} in this project.")


def _without(tags: Tags, index: int) -> Tags:
    gone = _find(tags, index)
    return [one for one in tags if one is not gone]


def _require_free(tags: Tags, name: str) -> None:
    if any(one["name"] == name for one in tags):
        raise Conflict(f"There is a tag {name[:80]!r} already.")


def _kept(home: Version) -> tuple[Tags, int]:
    """The tags, and the number of the next one."""
    found = home.properties.get(_PROPERTY) or {}
    return [dict(one) for one in found.get("tags", ())], int(found.get("next", 0))


def _changed(
    asked: Asked,
    depot: Depot,
    actor: Actor,
    change: Callable[[Tags, int], tuple[Tags, int]],
    *,
    make: bool = False,
) -> Tags:
    """The tags after a change of those that are there, whoever else changes them meanwhile.

    Args:
        make: Make the version that they are kept with, if there is none.

    Raises:
        Conflict: Others were always faster.
    """
    for _ in range(_TRIES):
        home = home_of(asked, depot, actor)
        if home is None:
            if not make:
                raise NotFound("This project has no tags.")
            new = NewVersion(assets_of.NAME, kind=Kind.FILES, numbering=Numbering.NEXT)
            home = versions.create(depot, actor, ids.decode(Noun.PROJECT, asked.found["project"]), new)
        seen = home.edit
        tags, following = change(*_kept(home))

        def unchanged(now: Version, seen: int = seen) -> None:
            if now.edit != seen:
                raise _Again

        wish = VersionChanges(properties={_PROPERTY: {"tags": tags, "next": following}})
        try:
            versions.update(depot, actor, home.n, wish, check=unchanged)
        except _Again:
            continue
        return tags
    raise Conflict("Others changed the tags at the same time, again and again. Try once more.")


class _Again(Exception):
    """Somebody else changed the tags in between."""
