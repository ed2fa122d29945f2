"""From numbers to uids, many at once: for answers that show the id of a thing they know by its number only."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import Connection, Table, select

from entrepot.catalog.schema import node, project, user, version

_SLICE = 500


def _uids(conn: Connection, table: Table, numbers: Iterable[int | None]) -> dict[int, UUID]:
    wanted = sorted({n for n in numbers if n is not None})
    found: dict[int, UUID] = {}
    for start in range(0, len(wanted), _SLICE):
        query = select(table.c.id, table.c.uid).where(table.c.id.in_(wanted[start : start + _SLICE]))
        found |= {row.id: row.uid for row in conn.execute(query)}
    return found


def projects(conn: Connection, numbers: Iterable[int | None]) -> dict[int, UUID]:
    """Those that still exist."""
    return _uids(conn, project, numbers)


def versions(conn: Connection, numbers: Iterable[int | None]) -> dict[int, UUID]:
    return _uids(conn, version, numbers)


def nodes(conn: Connection, numbers: Iterable[int | None]) -> dict[int, UUID]:
    return _uids(conn, node, numbers)


def users(conn: Connection, numbers: Iterable[int | None]) -> dict[int, UUID]:
    return _uids(conn, user, numbers)
