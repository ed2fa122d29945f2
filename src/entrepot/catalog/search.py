"""Full-text search over names, tags, columns, descriptions and metadata: FTS5 on SQLite, a tsvector on PostgreSQL.

One row per version, written in the transaction of the fact. The permission filter is part of the query and never
applied after LIMIT: pages would come out short, and counts would tell secrets.

On SQLite a caller who sees few projects is filtered inside the index by tokens (`p17`, `listed`, `public`); with many,
by a join, because ranking over hundreds of tokens is slow.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from entrepot.catalog import facts
from entrepot.catalog.schema import membership, project
from entrepot.catalog.statements import Sql
from entrepot.catalog.versions import Sight
from entrepot.model.search_terms import Terms
from entrepot.model.values import Visibility

#: Up to this many visible projects the index itself filters.
_TOKENS = 100

_WORD = re.compile(r"[^\W_]+", re.UNICODE)


_JOINED = "version.project IN (SELECT value FROM json_each(:visible))"

#: Bytes of text that are indexed of one version, shared out to its fields; PostgreSQL refuses documents of a megabyte.
_MOST = 400_000


@dataclass(frozen=True, slots=True)
class Hit:
    version: int
    score: float


@dataclass(frozen=True, slots=True)
class Document:
    """The texts of one version as they are searched."""

    version: int
    project: int
    visibility: Visibility
    name: str
    tags: str
    columns: str
    description: str
    metadata: str


def words(query: str) -> list[str]:
    """The words of what somebody typed, at most 16; nothing of its punctuation reaches the database's own language."""
    plain = unicodedata.normalize("NFKC", query)
    return [match.group().lower() for match in _WORD.finditer(plain)][:16]


def _cut(text: str, most: int) -> str:
    """The beginning of a text, up to so many bytes."""
    return text if len(text) * 4 <= most else text.encode()[:most].decode(errors="ignore")


def write(conn: Connection, documents: Sequence[Document], *, new: bool = False) -> None:
    """Put documents in place of what there is of their versions.

    Args:
        new: There is nothing of them yet.
    """
    if not new:
        remove(conn, [one.version for one in documents])
    for one in documents:
        values: dict[str, Any] = {
            "id": one.version,
            "name": _cut(one.name, _MOST // 8),
            "tags": _cut(one.tags, _MOST // 8),
            "columns": _cut(one.columns, _MOST // 4),
            "description": _cut(one.description, _MOST // 4),
            "metadata": _cut(one.metadata, _MOST // 4),
        }
        if conn.dialect.name == "sqlite":
            _ADD_TO_INDEX(conn, acl=f"p{one.project} {one.visibility.value}", **values)
        else:
            _ADD_ROW(conn, **values)


_ADD_TO_INDEX = Sql(
    "INSERT INTO search (rowid, acl, name, tags, columns, description, metadata) "
    "VALUES (:id, :acl, :name, :tags, :columns, :description, :metadata)"
)
_ADD_ROW = Sql(
    "INSERT INTO search (version, name, tags, columns, description, metadata) "
    "VALUES (:id, :name, :tags, :columns, :description, :metadata)"
)
_DROP_FROM_INDEX = Sql("DELETE FROM search WHERE rowid = :id")
_DROP_ROWS = Sql("DELETE FROM search WHERE version = ANY(CAST(:ids AS bigint[]))")


def remove(conn: Connection, versions: Sequence[int]) -> None:
    """Nothing of these versions is found any more."""
    if conn.dialect.name != "sqlite":
        _DROP_ROWS(conn, ids=list(versions))
        return
    for one in versions:
        _DROP_FROM_INDEX(conn, id=one)


def find(
    conn: Connection,
    sight: Sight,
    terms: Terms,
    *,
    project_n: int | None = None,
    limit: int,
    offset: int = 0,
) -> list[Hit]:
    """Best first, without words newest first. The last word also matches as a beginning. Nothing asked, no hits.

    Args:
        sight: Of content where anything is asked about what is inside of files.
    """
    wanted = words(terms.words)
    if not wanted and not terms.conditions:
        return []
    values: dict[str, object] = {"limit": limit, "offset": offset}
    more = facts.conditions(conn, terms, values)
    if more is None:
        return []
    if project_n is not None:
        more.append("version.project = :project")
        values["project"] = project_n
    visible = _visible(conn, sight)
    if not wanted:
        return _find_without_words(conn, visible, sight, more, values)
    if conn.dialect.name == "sqlite":
        return _find_sqlite(conn, wanted, visible, sight, more, values)
    return _find_postgres(conn, wanted, visible, sight, more, values)


def _visible(conn: Connection, sight: Sight) -> list[int] | None:
    """Numbers of the projects whose versions the caller sees as a member; None is all of them."""
    if sight.everything:
        return None if sight.projects is None else list(sight.projects)
    rows = conn.execute(
        project.select()
        .with_only_columns(project.c.id)
        .join(membership, membership.c.team == project.c.team)
        .where(membership.c.user == (sight.user or 0), membership.c.role >= int(sight.least))
    )
    mine = [int(row.id) for row in rows]
    return mine if sight.projects is None else [n for n in mine if n in sight.projects]


def _match(wanted: Sequence[str]) -> str:
    terms = [f'"{word}"' for word in wanted]
    terms[-1] += "*"
    return " ".join(terms)


def _open(sight: Sight) -> str:
    """What everybody may see, as the rest of a condition; the words are our own."""
    words = ", ".join(f"'{one.value}'" for one in sight.open_to_all)
    return f" OR version.visibility IN ({words})" if words else ""


def _find_without_words(
    conn: Connection, visible: list[int] | None, sight: Sight, more: list[str], values: dict[str, object]
) -> list[Hit]:
    if visible is not None:
        # The same in both databases, but for how a list is bound.
        among = _JOINED if conn.dialect.name == "sqlite" else "version.project = ANY(:visible)"
        more.append(f"({among}{_open(sight)})")
        values["visible"] = json.dumps(visible) if conn.dialect.name == "sqlite" else visible
    rows = conn.execute(
        text(
            f"SELECT version.id AS id FROM version WHERE version.trashed_at IS NULL AND {' AND '.join(more)} "  # noqa: S608
            "ORDER BY version.id DESC LIMIT :limit OFFSET :offset"
        ),
        values,
    )
    return [Hit(int(row.id), 0.0) for row in rows]


def _find_sqlite(
    conn: Connection,
    wanted: Sequence[str],
    visible: list[int] | None,
    sight: Sight,
    conditions: list[str],
    values: dict[str, object],
) -> list[Hit]:
    match = f"{{name tags columns description metadata}} : ({_match(wanted)})"
    rank = "bm25(search, 0.0, 10.0, 5.0, 3.0, 1.0, 1.0)"
    more = "".join(f" AND {one}" for one in conditions)
    if visible is not None and len(visible) <= _TOKENS:
        tokens = [f'"p{n}"' for n in visible] + [f'"{one.value}"' for one in sight.open_to_all]
        if not tokens:
            return []
        match = f"acl : ({' OR '.join(tokens)}) AND ({match})"
    elif visible is not None:
        # Too many for tokens: join with the projects instead.
        more += f" AND ({_JOINED}{_open(sight)})"
        values["visible"] = json.dumps(visible)
    values["match"] = match
    rows = conn.execute(
        text(
            f"SELECT search.rowid AS id, {rank} AS score FROM search JOIN version ON version.id = search.rowid "  # noqa: S608
            f"WHERE search MATCH :match{more} ORDER BY score, id DESC LIMIT :limit OFFSET :offset"
        ),
        values,
    )
    return [Hit(int(row.id), -float(row.score)) for row in rows]


def _find_postgres(
    conn: Connection,
    wanted: Sequence[str],
    visible: list[int] | None,
    sight: Sight,
    conditions: list[str],
    values: dict[str, object],
) -> list[Hit]:
    conditions = ["search.document @@ query", *conditions]
    if visible is not None:
        conditions.append(f"(version.project = ANY(:visible){_open(sight)})")
        values["visible"] = visible
    terms = [f"'{word}'" for word in wanted]
    terms[-1] += ":*"
    values["query"] = " & ".join(terms)
    rows = conn.execute(
        text(
            "SELECT search.version AS id, ts_rank(search.document, query) AS score "  # noqa: S608
            "FROM search JOIN version ON version.id = search.version, to_tsquery('simple', :query) AS query "
            f"WHERE {' AND '.join(conditions)} ORDER BY score DESC, id DESC LIMIT :limit OFFSET :offset"
        ),
        values,
    )
    return [Hit(int(row.id), float(row.score)) for row in rows]
