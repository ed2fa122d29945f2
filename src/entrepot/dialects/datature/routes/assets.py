"""Assets: the entries of the project's version `Assets`, and their groups, which are its folders."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from entrepot.depot import entries, leafing, objects, projects, tallying
from entrepot.depot.context import Depot
from entrepot.depot.entries import Change, Describe, Remove, Rename
from entrepot.dialects.datature import assets_of, encode
from entrepot.dialects.datature.assets_of import Asset
from entrepot.dialects.datature.context import Asked
from entrepot.dialects.datature.decode import Fields
from entrepot.model import ids, names
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid, TooLarge, Unsupported
from entrepot.model.values import Entry, Version

#: Groups of one asset, and of one request.
MOST_GROUPS = 100
#: Groups of one answer, which has no pages on this wire.
MOST_COUNTED = 10_000

#: Counts of a group: the status that a count is of.
_COUNTED = {
    "annotatedAssets": "Annotated",
    "reviewedAssets": "Review",
    "toFixedAssets": "Tofix",
    "completedAssets": "Completed",
}


async def list_(asked: Asked) -> None:
    """In the order in which they came, a page at a time."""
    limit, cursor = asked.limit(), asked.text("page")
    groups, filename, status = set(asked.texts("group")) - {""}, asked.text("filename"), asked.text("status")
    for other in ("metadataQuery", "filter"):
        if asked.text(other) is not None:
            raise Unsupported(f"Assets can be filtered by group, filename and status here, not by {other}.")

    def keep(entry: Entry) -> bool:
        asset = assets_of.of_entry(entry)
        return (
            (not groups or not groups.isdisjoint(asset.groups))
            and filename in (None, asset.filename)
            and status in (None, asset.status)
        )

    asks = bool(groups) or filename is not None or status is not None

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        home = home_of(asked, depot, actor)
        if home is None:
            return {"nextPage": None, "prevPage": None, "data": []}
        kept = repr((sorted(groups), filename, status)) if asks else ""
        version, revision, leaf = leafing.leaf_entries(
            depot, actor, home.n, cursor=cursor, limit=limit, keep=keep if asks else None, kept=kept
        )
        shown = [_shown(asked, depot, actor, version, revision, assets_of.of_entry(one)) for one in leaf.rows]
        return encode.page(leaf, shown)

    await asked.answer(work)


async def get(asked: Asked) -> None:
    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        home = home_of(asked, depot, actor)
        asset = assets_of.locate(depot, actor, home, asked.found["id"])
        assert home is not None
        return _shown(asked, depot, actor, home, home.revision, asset)

    await asked.answer(work)


async def update(asked: Asked) -> None:
    """Its status, and its groups as a whole."""
    body = Fields(await asked.body())
    status = body.optional_text("status")
    if status is not None:
        status = names.label(status, 100, "status")
    groups = body.texts("groups", most=MOST_GROUPS) if body.has("groups") else None
    if groups is not None and not all(one.strip("/ ") for one in groups):
        raise Invalid("groups has a name that is empty.")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        home = home_of(asked, depot, actor)
        before = assets_of.locate(depot, actor, home, asked.found["id"])
        assert home is not None
        after = _changed(before, status, groups)
        changes: list[Change] = []
        if after.entry.path != before.entry.path:
            changes.append(Rename(before.entry.path, after.entry.path))
        if after.text() != before.entry.metadata:
            changes.append(Describe(after.entry.path, after.text()))
        if changes:
            home = entries.commit(depot, actor, home.n, changes).version
        found = assets_of.of_entry(entries.get(depot, actor, home.n, after.entry.path)[2])
        return _shown(asked, depot, actor, home, home.revision, found)

    await asked.answer(work)


def _changed(before: Asset, status: str | None, groups: list[str] | None) -> Asset:
    """The asset as it is wished; the entry under its new path."""
    after = before if status is None else replace(before, status=status)
    if groups is None:
        return after
    clean = list(dict.fromkeys(one.strip("/ ") for one in groups))
    path = assets_of.path_of(clean, before.filename)
    first = clean[0] if clean else ""
    return replace(after, entry=replace(before.entry, path=path), group=first, also=tuple(clean[1:]))


async def delete(asked: Asked) -> None:
    """Out of the newest revision; older ones keep it."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        home = home_of(asked, depot, actor)
        asset = assets_of.locate(depot, actor, home, asked.found["id"])
        assert home is not None
        entries.commit(depot, actor, home.n, [Remove(asset.entry.path)])
        return {"id": ids.datature_asset(home.uid, asset.entry.position), "deleted": True}

    await asked.answer(work)


async def list_groups(asked: Asked) -> None:
    """Every group, or those that are named, with how many assets it has.

    The catalogue counts every asset for it, a stretch at a time; what is kept meanwhile is the answer.
    """
    wanted = set(asked.texts("group")) - {""}
    if len(wanted) > MOST_GROUPS:
        raise Invalid(f"At most {MOST_GROUPS} groups can be asked for at once, not {len(wanted)}.")

    def work(depot: Depot, actor: Actor) -> list[dict[str, Any]]:
        home = home_of(asked, depot, actor)
        if home is None:
            return []
        counts: dict[str, Counter[str]] = {}
        for folder, text, count in tallying.count(depot, actor, home.n, mark=assets_of.MARK):
            status, groups = assets_of.standing(folder, text)
            for group in groups:
                if not wanted or group in wanted:
                    counts.setdefault(group, Counter())[status] += count
            if len(counts) > MOST_COUNTED:
                raise TooLarge(f"There are more than {MOST_COUNTED} groups. Name those to be counted as group[].")
        return [_group(name, counts[name]) for name in sorted(counts)]

    await asked.answer(work)


def _group(name: str, counts: Counter[str]) -> dict[str, Any]:
    counted = {key: counts[status] for key, status in _COUNTED.items()}
    return {"group": name, "statistic": {"totalAssets": counts.total(), **counted}}


def home_of(asked: Asked, depot: Depot, actor: Actor) -> Version | None:
    """Where the assets are.

    Raises:
        NotFound, Hidden: There is no such project for the caller.
    """
    n = projects.get(depot, actor, asked.project, trashed=False).project.n
    return assets_of.find(depot, actor, n)


def _shown(asked: Asked, depot: Depot, actor: Actor, version: Version, revision: int, asset: Asset) -> dict[str, Any]:
    entry = asset.entry
    link = objects.sign_listed(depot, actor, version.uid, revision, entry.position, asset.filename)
    return encode.asset(version, asset, f"{asked.base_url}{link.path}")
