"""A set of records: its items as trees or as a table, what their keys hold, and why lines were refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from entrepot.depot import history, record_work, records
from entrepot.depot.context import Depot
from entrepot.depot.records import LinePage
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid, NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import State, Task
from entrepot.web import shown
from entrepot.web.about import about, key
from entrepot.web.context import Asked

__all__ = ["ROUTES"]

_TREES: Final = 20
_ROWS: Final = 100
#: Columns of items shown as a table; the rest of an item is in its tree.
_COLUMNS: Final = 40


async def show(asked: Asked) -> None:
    """Items from a number on, those that fit a condition, as trees or as a table."""
    wanted = key(asked.found["version"])
    first, revision, where = asked.number("first") or 0, asked.number("revision"), asked.text("where")
    flat = asked.text("as") == "table"
    most = _ROWS if flat else _TREES

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        given: dict[str, Any] = {
            **about(depot, actor, wanted, "records"),
            "id": ids.encode(Noun.VERSION, wanted),
            "first": first,
            "where": where,
            "revision": revision,
            "flat": flat,
            "names": (),
            "rows": (),
            "trees": (),
            "total": None,
            "next": None,
            "previous": max(0, first - most) if first and not where else None,
            "problem": None,
            "empty": False,
        }
        try:
            page = _page(depot, actor, wanted, where, first, most, revision)
        except NotFound as missing:
            return {**given, "problem": missing.message, "empty": True}
        except Invalid as wrong:
            return {**given, "problem": wrong.message}
        given["total"], given["next"] = page.total, page.next
        items = [(line.n, json.loads(line.text)) for line in page.rows]
        if flat:
            given["names"], given["rows"] = _table(items)
        else:
            given["trees"] = [(n, shown.tree(item)) for n, item in items]
        return given

    await asked.page("records.html", work, public=True)


def _page(
    depot: Depot, actor: Actor, wanted: Any, where: str | None, first: int, most: int, revision: int | None
) -> LinePage:
    if where is None:
        return records.list_items(depot, actor, wanted, first=first, limit=most, revision=revision)
    return records.filter_items(depot, actor, wanted, where, first=first, limit=most, revision=revision)


def _table(items: Sequence[tuple[int, Any]]) -> tuple[list[str], list[tuple[int, list[shown.Cell]]]]:
    """Items side by side: the keys of all of them, in the order in which they come first."""
    names: dict[str, None] = {}
    for _, item in items:
        if isinstance(item, Mapping):
            names |= dict.fromkeys(map(str, item))
    chosen = list(names)[:_COLUMNS]
    rows = []
    for n, item in items:
        known = item if isinstance(item, Mapping) else {}
        rows.append((n, [shown.cell(known[name], _kind(known[name])) if name in known else _ABSENT for name in chosen]))
    return chosen, rows


_ABSENT: Final = shown.Cell("", "null")


def _kind(value: Any) -> str:
    return "Float" if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


async def keys(asked: Asked) -> None:
    """Which keys there are, how often, and what they hold."""
    wanted, revision = key(asked.found["version"]), asked.number("revision")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        given = {**about(depot, actor, wanted, "records"), "revision": revision, "keys": (), "task": None, "total": 0}
        found = record_work.statistics(depot, actor, wanted, revision=revision)
        if isinstance(found, Task):
            return {**given, "task": ids.encode(Noun.TASK, found.uid)}
        return {
            **given,
            "total": found["total"],
            "looked_at": found["looked_at"],
            "more": found["more_keys"],
            "keys": [
                {
                    **one,
                    "part": 100 * one["items"] / (found["looked_at"] or 1),
                    "low": shown.number(one["min"]),
                    "high": shown.number(one["max"]),
                }
                for one in found["keys"]
            ],
        }

    await asked.page("records_keys.html", work, public=True)


async def rejects(asked: Asked) -> None:
    """Why the newest check refused lines."""
    wanted = key(asked.found["version"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        tried = history.ingests_of(depot, actor, wanted)
        newest = next((one for one in tried if one.state in (State.READY, State.FAILED)), None)
        report: Mapping[str, Any] = {} if newest is None or newest.report is None else newest.report
        return {
            **about(depot, actor, wanted, "records"),
            "message": str(report.get("message", "")),
            "bad": int(report.get("bad_lines", 0)),
            "errors": [one for one in report.get("errors", ()) if "reason" in one],
        }

    await asked.page("records_rejects.html", work, public=True)


#: For the table of pages.
ROUTES: Final = {
    "/versions/{version}/records": {"GET": show},
    "/versions/{version}/records/keys": {"GET": keys},
    "/versions/{version}/records/rejects": {"GET": rejects},
}
