"""Which rows of a table, or which items of records, differ between two revisions: one page for both kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from entrepot.depot import record_work, tables, versions
from entrepot.depot.context import Depot
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import EntrepotError, InProgress, Invalid, KindMismatch, NotFound, TooLarge
from entrepot.model.ids import Noun
from entrepot.model.values import Kind, Task, Version
from entrepot.web import links, shown
from entrepot.web.about import about, key
from entrepot.web.context import Asked
from entrepot.web.routes.admin import Call

__all__ = ["ROUTES"]

#: Differences that a page shows, and cells of one row.
_SHOWN: Final = 200
_CELLS: Final = 12
#: Names of columns that the form suggests.
_OFFERED: Final = 40


@dataclass(frozen=True, slots=True)
class _Line:
    """One row or item that differs.

    Args:
        cells: Name, what was there, what is there. Of rows that came or went only one of the two says anything.
        before, after: Of items, their numbers on either side.
    """

    change: str
    key: str
    cells: Sequence[tuple[str, str, str]] = ()
    more: int = 0
    before: int | None = None
    after: int | None = None


async def show(asked: Asked) -> None:
    """The differences, told apart by what the reader says names a row."""
    wanted = key(asked.found["version"])
    older, newer, other = asked.number("from"), asked.number("to"), asked.text("other")
    by = (asked.text("by") or "").strip()

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        given = about(depot, actor, wanted, "history")
        version: Version = given["v"]
        if version.kind is Kind.FILES:
            raise KindMismatch(f"{version.name} holds files; what changed in it is told file by file.")
        to = version.revision if newer is None else newer
        source = version.n if other is None else versions.get(depot, actor, key(other)).version.n
        since = max(1, to - 1) if older is None and other is None else older
        before = version if source == version.n else versions.get(depot, actor, source).version
        names = _columns(depot, actor, version, to)
        given |= {
            "by": by,
            "names": names,
            "other": other,
            "since": before.revision if since is None else since,
            "until": to,
            "before": before,
            "problem": None,
            "task": None,
            "counts": None,
            "lines": (),
            "columns": None,
            "files_url": links.version(version, "diff", **{"from": since, "to": to, "other": other}),
        }
        if version.kind is Kind.RECORDS and not by:
            return given
        try:
            if version.kind is Kind.TABLE:
                chosen = _chosen(by, names)
                found = tables.diff(
                    depot, actor, version.n, by=chosen, base=since, base_version=source, revision=to, limit=_SHOWN
                )
                return given | _of_table(found)
            answer = record_work.diff(depot, actor, version.n, by, base=since, base_version=source, revision=to)
            if isinstance(answer, Task):
                return given | {"task": ids.encode(Noun.TASK, answer.uid)}
            return given | _of_records(answer)
        except (Invalid, KindMismatch, TooLarge, InProgress, NotFound) as refused:
            return given | {"problem": refused.message}

    await asked.page("row_diff.html", work, public=True)


def _columns(depot: Depot, actor: Actor, version: Version, revision: int) -> list[str]:
    if version.kind is not Kind.TABLE:
        return []
    try:
        return [str(one.name) for one in tables.schema(depot, actor, version.n, revision=revision).columns]
    except EntrepotError:
        return []


def _chosen(by: str, names: Sequence[str]) -> list[str]:
    """Names of columns as people write them, with commas between; a name may have one itself."""
    if not by or by in names:
        return [by] if by else []
    return [one for one in (part.strip() for part in by.split(",")) if one]


def _of_table(found: Mapping[str, Any]) -> dict[str, Any]:
    lines = []
    for row in found["rows"]:
        cells = [
            (name, _text(values.get("before")), _text(values.get("after"))) for name, values in row["cells"].items()
        ]
        told = row["key"]
        said = "" if told is None else ", ".join(f"{name} = {_text(value)}" for name, value in told.items())
        lines.append(_Line(row["change"], said, cells[:_CELLS], max(0, len(cells) - _CELLS)))
    return {
        "counts": {name: found[name] for name in ("added", "removed", "changed")},
        "lines": lines,
        "columns": {
            "added": found["columns_added"],
            "removed": found["columns_removed"],
            "changed": [
                (one["name"], shown.type_name(one["before"], many=False), shown.type_name(one["after"], many=False))
                for one in found["columns_changed"]
            ],
        },
    }


def _of_records(found: Mapping[str, Any]) -> dict[str, Any]:
    lines = [
        _Line(one["change"], _text(one["key"]), before=one["before"], after=one["after"])
        for one in found["rows"][:_SHOWN]
    ]
    return {"counts": {name: found[name] for name in ("added", "removed", "changed")}, "lines": lines}


def _text(value: Any) -> str:
    return shown.cell(value, "").text


ROUTES: Final[Mapping[str, Mapping[str, Call]]] = {"/versions/{version}/row-diff": {"GET": show}}
