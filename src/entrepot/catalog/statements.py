"""Statements written by hand, in the words of each database.

The entry tables are read and written by range scans whose plan matters, so their SQL is spelled out. What differs
between the two databases is a handful of phrases, put in braces:

    {paths}       a table `listed(value)` of the texts bound as :paths
    {ids}, {own}  the same of the integers bound as :ids and :own
    {in_paths}    "is one of the texts bound as :paths"
    {join}        a join whose left side must drive (SQLite's CROSS JOIN says so)
    {for_update}, {for_share}    row locks; SQLite has one writer and needs none
    {control}     the text of U+0001, which sorts before every character that a path may have
    {position}    the function that finds one text in another
    {octets:X}    how many bytes the text X has
    {by:INDEX}    name an index, where the planner of SQLite would take another one
"""

from __future__ import annotations

import json
import re
from typing import Any

from sqlalchemy import Connection, CursorResult, TextClause, text

__all__ = ["Sql"]

_PHRASES = {
    "sqlite": {
        "paths": "json_each(:paths) AS listed",
        "ids": "json_each(:ids) AS listed",
        "own": "json_each(:own) AS listed",
        "in_paths": "IN (SELECT value FROM json_each(:paths))",
        "join": "CROSS JOIN",
        "for_update": "",
        "for_share": "",
        "control": "char(1)",
        "position": "instr",
    },
    "postgresql": {
        "paths": "unnest(CAST(:paths AS text[])) AS listed(value)",
        "ids": "unnest(CAST(:ids AS bigint[])) AS listed(value)",
        "own": "unnest(CAST(:own AS bigint[])) AS listed(value)",
        "in_paths": "= ANY(CAST(:paths AS text[]))",
        "join": "JOIN",
        "for_update": "FOR UPDATE",
        "for_share": "FOR SHARE",
        "control": "chr(1)",
        "position": "strpos",
    },
}
_PHRASE = re.compile(r"\{(\w+)(?::([\w.]+))?\}")


class Sql:
    """One statement for both databases; call it with a connection and its values."""

    __slots__ = ("_texts",)

    def __init__(self, template: str) -> None:
        self._texts: dict[str, TextClause] = {
            dialect: text(_PHRASE.sub(lambda match, d=dialect: _phrase(d, match), template))  # type: ignore[misc]
            for dialect in _PHRASES
        }

    def __call__(self, conn: Connection, **values: Any) -> CursorResult[Any]:
        dialect = conn.dialect.name
        if dialect == "sqlite":
            for name in ("paths", "ids", "own"):
                if name in values:
                    values[name] = json.dumps(values[name])
        return conn.execute(self._texts[dialect], values)

    def scalar(self, conn: Connection, **values: Any) -> Any:
        """The first column of the first row, or None."""
        row = self(conn, **values).first()
        return None if row is None else row[0]


def _phrase(dialect: str, match: re.Match[str]) -> str:
    name, argument = match.groups()
    if name == "by":
        return f"INDEXED BY {argument}" if dialect == "sqlite" else ""
    if name == "octets":
        return f"length(CAST({argument} AS blob))" if dialect == "sqlite" else f"octet_length({argument})"
    return _PHRASES[dialect][name]
