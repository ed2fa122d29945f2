"""Single values that were read out of contents, kept so that they can be compared: numbers and texts, by name.

They stand beside the report of a content and type, and go with it. A condition on files becomes a set of versions: from
the values to the contents, from these to the entries that show them now, and on to their versions. What has to hold of
one file is asked of one file. Values are always bound.
"""

# ruff: noqa: S608 - what is put together here are constants of this floor, values are always bound

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from entrepot.catalog import bulk
from entrepot.catalog.schema import fact, word
from entrepot.catalog.statements import Sql
from entrepot.model.search_terms import Between, FactIs, Terms, flat_facts

__all__ = ["conditions", "put_many"]

#: Behind every character that a text can have.
_LAST = "\U0010ffff"


_FORGET = Sql("DELETE FROM fact WHERE wanted = :wanted AND content IN (SELECT listed.value FROM {ids})")


def put_many(conn: Connection, reports: Mapping[tuple[int, str], Mapping[str, Any]]) -> None:
    """Replace the values of contents, each with what it was examined as."""
    if not reports:
        return
    for kind in sorted({wanted for _, wanted in reports}):
        _FORGET(conn, wanted=kind, ids=sorted(content for content, wanted in reports if wanted == kind))
    rows = [
        (content, wanted, place, name, number, text)
        for (content, wanted), facts in reports.items()
        if facts
        for place, (name, number, text) in enumerate(flat_facts(facts))
    ]
    bulk.insert_rows(conn, fact, ("content", "wanted", "place", "name", "number", "word"), rows)


def conditions(conn: Connection, terms: Terms, values: dict[str, object]) -> list[str] | None:
    """Conditions on a `version` of an outer query; None when nothing can fulfil them.

    Args:
        values: What they bind is added here.
    """
    found: list[str] = []
    for i, kind in enumerate(terms.kinds):
        found.append(f"version.kind = :kind{i}")
        values[f"kind{i}"] = kind.value
    for i, tag in enumerate(terms.tags):
        found.append(f"EXISTS (SELECT 1 FROM version_tag AS vt WHERE vt.version = version.id AND vt.tag = :tag{i})")
        values[f"tag{i}"] = tag
    if not terms.of_files:
        return found
    kinds = {row.text: row.id for row in conn.execute(select(word).where(word.c.text.in_(set(terms.types))))}
    if len(set(terms.types)) > 1 or len(kinds) < len(set(terms.types)):
        # No file is of two types, and nothing is of one that no entry ever had.
        return None
    values |= {f"type{i}": number for i, number in enumerate(kinds.values())}
    if not terms.facts and not terms.standings:
        found.append(_has_type(conn))
        values["type0"] = str(values["type0"])
        return found
    found.append(f"version.id IN ({_with_files(terms, values)})")
    return found


def _has_type(conn: Connection) -> str:
    """How many entries of which type a revision shows is counted with it, so nothing is looked through."""
    inside = (
        "EXISTS (SELECT 1 FROM json_each(r.types) AS t WHERE t.key = :type0)"
        if conn.dialect.name == "sqlite"
        else "jsonb_exists(r.types, :type0)"
    )
    return f"EXISTS (SELECT 1 FROM revision AS r WHERE r.version = version.id AND r.num = version.rev AND {inside})"


def _with_files(terms: Terms, values: dict[str, object]) -> str:
    """The versions that show, in their newest revision, a file of which everything holds."""
    tables, where = [], []
    for i, one in enumerate(terms.facts):
        tables.append(f"fact AS f{i}")
        where.append(f"f{i}.name = :name{i} AND {_compared(i, one, values)}")
        values[f"name{i}"] = one.name
        if i:
            where.append(f"f{i}.content = f0.content AND f{i}.wanted = f0.wanted")
    first = "f0" if terms.facts else "x0"
    for i, standing in enumerate(terms.standings):
        tables.append(f"examination AS x{i}")
        where.append(f"x{i}.standing = :standing{i}")
        values[f"standing{i}"] = standing.value
        if first != f"x{i}":
            where.append(f"x{i}.content = {first}.content AND x{i}.wanted = {first}.wanted")
    # A report belongs to a content as it was examined: an entry that says it is something else has another one.
    where.append(
        f"e.content = {first}.content AND {first}.wanted = "
        "coalesce((SELECT w.text FROM word AS w WHERE w.id = e.dtype), '')"
    )
    if terms.types:
        where.append("e.dtype = :type0")
    where.append("r.strand = e.strand AND e.vfrom <= r.seq AND v.id = r.version AND v.rev = r.num")
    shown = [
        f"SELECT v.id FROM {', '.join(tables)}, {table} AS e, revision AS r, version AS v "
        f"WHERE {' AND '.join(where)}{more}"
        for table, more in (("live", ""), ("past", " AND e.vto > r.seq"))
    ]
    return " UNION ".join(shown)


def _compared(i: int, one: FactIs, values: dict[str, object]) -> str:
    value = one.value
    if isinstance(value, Between):
        parts = [f"f{i}.number IS NOT NULL"]
        if value.least > -math.inf:
            parts.append(f"f{i}.number {'>' if value.open_least else '>='} :least{i}")
            values[f"least{i}"] = value.least
        if value.most < math.inf:
            parts.append(f"f{i}.number {'<' if value.open_most else '<='} :most{i}")
            values[f"most{i}"] = value.most
        return " AND ".join(parts)
    values[f"text{i}"] = value.text
    if not value.begins:
        return f"f{i}.word = :text{i}"
    values[f"last{i}"] = value.text + _LAST
    return f"f{i}.word >= :text{i} AND f{i}.word < :last{i}"
