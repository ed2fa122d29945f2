"""Custom metadata of assets and of their frames: texts, numbers, true and false by name.

One set for the asset and one for each frame; what is added joins the set that is there.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from entrepot.depot import entries
from entrepot.depot.context import Depot
from entrepot.depot.entries import Describe
from entrepot.dialects.datature import assets_of, encode
from entrepot.dialects.datature.assets_of import Asset, Values
from entrepot.dialects.datature.context import Asked
from entrepot.dialects.datature.decode import Fields
from entrepot.dialects.datature.routes.assets import home_of
from entrepot.model import ids, names
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid, NotFound
from entrepot.model.values import Version

#: Names in one set, characters of a name and of a text, and sets of one request.
_MOST_NAMES, _MOST_NAME, _MOST_TEXT, _MOST_SETS = 200, 255, 4_000, 1_000


async def list_(asked: Asked) -> None:
    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        home = home_of(asked, depot, actor)
        asset = assets_of.locate(depot, actor, home, asked.found["id"])
        found = sorted(asset.custom.items(), key=lambda one: (one[0] is not None, one[0] or 0))
        assert home is not None
        return {"customMetadatas": [_shown(asked, home, asset, frame) for frame, _ in found]}

    await asked.answer(work)


async def add(asked: Asked) -> None:
    body = Fields(await asked.body())
    frame, values = _frame(body), _values(body)

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        home = home_of(asked, depot, actor)
        before = assets_of.locate(depot, actor, home, asked.found["id"])
        after = _joined(before, frame, values)
        assert home is not None
        _write(depot, actor, home, [after])
        return _shown(asked, home, after, frame)

    await asked.answer(work)


async def delete(asked: Asked) -> None:
    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        home = home_of(asked, depot, actor)
        asset = assets_of.locate(depot, actor, home, asked.found["id"])
        assert home is not None
        asset_id, frame = encode.parse_custom_id(asked.found["custom"])
        if asset_id != _id(home, asset):
            raise NotFound(f"{asset.filename[:80]} has no custom metadata {asked.found['custom'][:80]!r}.")
        _write(depot, actor, home, [_without(asset, frame)])
        return {"id": asked.found["custom"], "deleted": True}

    await asked.answer(work)


async def add_many(asked: Asked) -> None:
    """Of many assets, in one revision. Those that cannot be are told; the others are written."""
    body = Fields(await asked.body())
    wishes = body.objects("customMetadatas", most=_MOST_SETS)

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        home = home_of(asked, depot, actor)
        changed: dict[str, Asset] = {}
        done: list[tuple[str, int | None]] = []
        errors: list[dict[str, Any]] = []
        for wish in wishes:
            said: dict[str, Any] = {"parent": {}, "customMetadata": {}}
            try:
                parent = wish.object("parent")
                name = parent.optional_text("assetId") or parent.text("filename")
                said["parent"] = {"assetId" if name.startswith("asset_") else "filename": name}
                frame, values = _frame(wish), _values(wish)
                said["customMetadata"] = dict(values)
                found = assets_of.locate(depot, actor, home, name)
                path = found.entry.path
                changed[path] = _joined(changed.get(path, found), frame, values)
                done.append((path, frame))
            except (Invalid, NotFound) as wrong:
                errors.append({"customMetadata": said, "error": str(wrong)})
        if home is not None:
            _write(depot, actor, home, list(changed.values()))
        shown = [] if home is None else [_shown(asked, home, changed[path], frame) for path, frame in done]
        return {"customMetadatas": shown, "errors": errors}

    await asked.answer(work)


async def delete_many(asked: Asked) -> None:
    body = Fields(await asked.body())
    wanted = body.texts("ids", most=_MOST_SETS)

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        home = home_of(asked, depot, actor)
        changed: dict[str, Asset] = {}
        errors: list[dict[str, Any]] = []
        for one in wanted:
            try:
                asset_id, frame = encode.parse_custom_id(one)
                found = assets_of.locate(depot, actor, home, asset_id)
                path = found.entry.path
                changed[path] = _without(changed.get(path, found), frame)
            except NotFound as wrong:
                errors.append({"id": one, "error": str(wrong)})
        if home is not None:
            _write(depot, actor, home, list(changed.values()))
        return {"errors": errors}

    await asked.answer(work)


def _frame(body: Fields) -> int | None:
    return body.object("parent").optional_number("frame", least=0, most=10**9 - 1) if body.has("parent") else None


def _values(body: Fields) -> Values:
    """
    Raises:
        Invalid: It is no object of texts, numbers, true and false.
    """
    found = body.value("customMetadata")
    if not isinstance(found, dict) or len(found) > _MOST_NAMES:
        raise Invalid(f"customMetadata is an object with at most {_MOST_NAMES} names.")
    return {names.label(name, _MOST_NAME, "customMetadata name"): _value(name, value) for name, value in found.items()}


def _value(name: str, value: object) -> str | int | float:
    if isinstance(value, str) and len(value) <= _MOST_TEXT:
        return names.text(value, max_length=_MOST_TEXT, field=f"customMetadata {name[:80]}")
    if isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise Invalid(f"customMetadata.{name[:80]} is a text of at most {_MOST_TEXT} characters, a number, true or false.")


def _joined(asset: Asset, frame: int | None, values: Values) -> Asset:
    after = {**asset.custom.get(frame, {}), **values}
    if len(after) > _MOST_NAMES:
        raise Invalid(f"{asset.filename[:80]} would have {len(after)} names; at most {_MOST_NAMES} are kept.")
    return replace(asset, custom={**asset.custom, frame: after})


def _without(asset: Asset, frame: int | None) -> Asset:
    if frame not in asset.custom:
        raise NotFound(f"{asset.filename[:80]} has no such custom metadata.")
    return replace(asset, custom={one: values for one, values in asset.custom.items() if one != frame})


def _write(depot: Depot, actor: Actor, home: Version, assets: list[Asset]) -> None:
    """In one revision, or none where nothing is different."""
    changes = [Describe(one.entry.path, one.text()) for one in assets if one.text() != one.entry.metadata]
    if changes:
        entries.commit(depot, actor, home.n, changes)


def _id(home: Version, asset: Asset) -> str:
    return ids.datature_asset(home.uid, asset.entry.position)


def _shown(asked: Asked, home: Version, asset: Asset, frame: int | None) -> dict[str, Any]:
    return encode.custom(asked.found["project"], _id(home, asset), frame, asset.custom.get(frame, {}))
