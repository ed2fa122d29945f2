"""Entries of a revision together with where their bytes lie: what a batch of small files is put together from.

One question for all of them. Asked for one after the other, entries, contents and extents took three times as long, and
most of that went into values that nobody looked at.
"""

# ruff: noqa: S608 - statements are put together from constants of this floor, values are always bound

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from entrepot.catalog.statements import Sql
from entrepot.catalog.strands import point

__all__ = ["Placed", "placed"]


class Placed(NamedTuple):
    """One path of one revision, and where its bytes are.

    A named tuple, as `EntryRow` is and for the same reason.

    Args:
        content: The number of the content.
        is_damaged: Whether its bytes are known to be wrong.
        key: The object that has all of its bytes; None if it is in several pieces, or nowhere.
        offset: In that object.
    """

    path: str
    content: int
    sha256: bytes
    size: int
    crc32c: int
    is_damaged: bool
    key: str | None
    offset: int


_SHOWN = "l.path, l.content, c.sha256, c.size, c.crc32c, c.damaged_at, e.object, e.off, e.len"
_WHERE_IT_LIES = "{join} content AS c ON c.id = l.content LEFT JOIN extent AS e ON e.content = c.id AND e.n = 0"
_AT_HEAD = Sql(
    f"SELECT {_SHOWN} FROM {{paths}} {{join}} live AS l "
    f"ON l.strand = :strand AND l.path = listed.value {_WHERE_IT_LIES}"
)
_AT_POINT = Sql(
    f"SELECT {_SHOWN} FROM {{paths}} {{join}} live AS l "
    f"ON l.strand = :strand AND l.path = listed.value AND {{plain:l.vfrom}} <= :seq {_WHERE_IT_LIES} "
    f"UNION ALL SELECT {_SHOWN} FROM {{paths}} {{join}} past AS l "
    "ON l.strand = :strand AND l.path = listed.value AND {plain:l.vfrom} <= :seq AND {plain:l.vto} > :seq "
    f"{_WHERE_IT_LIES}"
)
_KEYS = Sql("SELECT o.id, o.key FROM {ids} {join} object AS o ON o.id = listed.value")


def placed(conn: Connection, version: int, rev: int, paths: Sequence[str]) -> dict[str, Placed]:
    """The entries at these paths, those that there are; each path once.

    Raises:
        NotFound: There is no such revision.
    """
    at = point(conn, version, rev)
    if at.strand is None or not paths:
        return {}
    if at.at_head:
        rows = _AT_HEAD(conn, strand=at.strand, paths=list(paths)).tuples
    else:
        rows = _AT_POINT(conn, strand=at.strand, seq=at.seq, paths=list(paths)).tuples
    objects = {row[6] for row in rows} - {None}
    keys: dict[int | None, str] = dict(_KEYS(conn, ids=sorted(objects)).tuples) if objects else {}
    return {
        path: Placed(
            path,
            content,
            bytes(sha256),
            size,
            crc32c,
            damaged is not None,
            keys.get(obj) if length == size else None,
            offset or 0,
        )
        for path, content, sha256, size, crc32c, damaged, obj, offset, length in rows
    }
