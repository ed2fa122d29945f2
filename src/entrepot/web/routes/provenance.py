"""Where a version came from and what came from it: a table, and with a script a drawing of it."""

from __future__ import annotations

import json
from typing import Any, Final

from entrepot.depot import relationships
from entrepot.depot.context import Depot
from entrepot.depot.relationships import Direction, Graph
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid
from entrepot.model.ids import Noun
from entrepot.model.values import Relationship, VersionRef
from entrepot.web import links
from entrepot.web.about import about, key
from entrepot.web.context import Asked

__all__ = ["ROUTES"]

_DEPTH: Final = 4
_MOST: Final = 50
_WAYS: Final[dict[str, Direction]] = {"up": "up", "down": "down", "both": "both"}


async def show(asked: Asked) -> None:
    """The versions around one, and how they are related."""
    wanted = key(asked.found["version"])
    direction = _WAYS.get(asked.text("direction") or "both")
    if direction is None:
        raise Invalid("A direction is up, down or both.")
    depth = max(1, min(asked.number("depth") or _DEPTH, _MOST))

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        top = about(depot, actor, wanted, "graph")
        found = relationships.graph(depot, actor, wanted, direction=direction, depth=depth)
        edges = [_edge(one, found) for one in found.edges if one.source is not None and one.target is not None]
        return {
            **top,
            "direction": direction,
            "depth": depth,
            "edges": edges,
            "truncated": found.truncated,
            "drawing": json.dumps(_drawing(found, edges)),
        }

    await asked.page("provenance.html", work, public=True)


def _edge(one: Relationship, found: Graph) -> dict[str, Any]:
    assert one.source is not None
    assert one.target is not None
    return {
        "source": _end(one.source, found),
        "target": _end(one.target, found),
        "verb": one.verb.replace("_", " "),
        "mode": None if one.mode is None else one.mode.replace("_", " "),
        "note": one.note,
        "at": one.at or one.created_at,
        "qualifiers": [
            (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
            for name, value in one.qualifiers.items()
        ],
    }


def _end(end: VersionRef, found: Graph) -> dict[str, Any]:
    seen = None if end.n is None else found.versions.get(end.n)
    number = "" if end.number in (None, 1) else f" {end.number}"
    return {
        "id": end.uid.hex,
        "name": f"{end.name}{number}",
        "revision": end.revision,
        "project": None if seen is None else seen.project_slug,
        "kind": None if seen is None else str(seen.kind),
        "url": None if seen is None else links.version(seen),
        "graph": None if seen is None else links.version(seen, "graph"),
        "here": end.uid == found.start.uid,
        "purged": end.purged,
    }


def _drawing(found: Graph, edges: list[dict[str, Any]]) -> dict[str, Any]:
    """Boxes and arrows, as the script takes them."""
    boxes = {one[side]["id"]: one[side] for one in edges for side in ("source", "target")}
    start = found.start
    boxes.setdefault(
        start.uid.hex,
        {"id": start.uid.hex, "name": start.name, "url": links.version(start), "here": True, "purged": False},
    )
    arrows = [
        {
            "from": one["target"]["id"],
            "to": one["source"]["id"],
            "text": one["verb"],
            "more": "; ".join(f"{name}: {value}" for name, value in one["qualifiers"]),
        }
        for one in edges
    ]
    return {"boxes": list(boxes.values()), "arrows": arrows, "id": ids.encode(Noun.VERSION, start.uid)}


#: For the table of pages.
ROUTES: Final = {"/versions/{version}/graph": {"GET": show}}
