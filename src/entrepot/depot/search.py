"""Finding versions by words, among those whose record the caller may see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.catalog import search as rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.versions import Found
from entrepot.depot import lookup, paging
from entrepot.depot.context import Depot
from entrepot.model import cursors, names
from entrepot.model.access import Action, Actor
from entrepot.model.values import Page, Version, Visibility

#: Metadata beyond this many characters is kept but not searched.
_INDEXED = 100_000

#: Nobody reads further; ranking deeper would cost more and more.
_DEEPEST = 10_000


@dataclass(frozen=True, slots=True)
class Result:
    found: Found
    score: float


def write(conn: Connection, version: Version) -> None:
    """Bring the index up to date with a record, in the record's own transaction."""
    if version.trash is not None:
        rows.remove(conn, version.n)
        return
    rows.write(
        conn,
        rows.Document(
            version=version.n,
            project=version.project,
            open_to_all=version.visibility is not Visibility.PRIVATE,
            name=" ".join(filter(None, (version.name, version.slug, version.alias))),
            tags=" ".join(version.tags),
            columns=" ".join(_columns(version.declared)),
            description=version.description[:_INDEXED],
            metadata=" ".join(_texts(version.custom))[:_INDEXED],
        ),
    )


def remove(conn: Connection, version: int) -> None:
    rows.remove(conn, version)


def _columns(declared: Any) -> list[str]:
    if not isinstance(declared, list):
        return []
    return [str(column["name"]) for column in declared if isinstance(column, Mapping) and "name" in column]


def _texts(value: Any) -> list[str]:
    """Keys and values of custom metadata as words."""
    if isinstance(value, Mapping):
        return [text for key, inner in value.items() for text in (str(key), *_texts(inner))]
    if isinstance(value, (list, tuple)):
        return [text for inner in value for text in _texts(inner)]
    return [value if isinstance(value, str) else json.dumps(value)]


def search(
    depot: Depot,
    actor: Actor,
    query: str,
    *,
    project: lookup.Key | str | None = None,
    cursor: str | None = None,
    limit: int = 20,
) -> Page[Result]:
    """Versions outside the trash that contain all words, best first; the last word may be unfinished."""
    size = paging.size(depot, limit, most=100)
    wanted = names.text(query, max_length=1000, field="query")
    question = f"search:{wanted}:{project}"
    # Ranks move with every write, so there is no key to continue from: a cursor counts, up to a bound.
    seen = paging.after(cursor, question, int)
    offset = 0 if seen is None else seen[0]
    sight = lookup.sight(actor)
    with depot.catalog.read() as conn:
        home = None
        if project is not None:
            home = lookup.project(conn, actor, project, Action.VIEW_PROJECT).project.n
        hits = rows.find(conn, sight, wanted, project_n=home, limit=size + 1, offset=offset)
        found = version_rows.by_numbers(conn, sight, [hit.version for hit in hits[:size]])
    shown = tuple(Result(found[hit.version], hit.score) for hit in hits[:size] if hit.version in found)
    more = len(hits) > size and offset + size < _DEEPEST
    return Page(shown, cursors.encode((offset + size,), cursors.fingerprint(question)) if more else None)
