"""What was made of a content and can be made again: which content holds it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from entrepot.catalog.schema import derived

__all__ = ["drop", "find", "kinds", "name"]


def find(conn: Connection, sources: Sequence[int], kind: str) -> dict[int, int]:
    """The content that holds what was made of each source, of those that have one."""
    query = select(derived.c.source, derived.c.content).where(derived.c.source.in_(list(sources)))
    return {int(row.source): int(row.content) for row in conn.execute(query.where(derived.c.kind == kind))}


def kinds(conn: Connection, sources: Sequence[int], prefix: str) -> dict[int, dict[str, int]]:
    """Of each source, everything made of it whose kind begins with `prefix`: the content that holds it, by kind."""
    query = select(derived.c.source, derived.c.kind, derived.c.content).where(derived.c.source.in_(list(sources)))
    found: dict[int, dict[str, int]] = {}
    for row in conn.execute(query.where(derived.c.kind.startswith(prefix, autoescape=True)).order_by(derived.c.kind)):
        found.setdefault(int(row.source), {})[str(row.kind)] = int(row.content)
    return found


def name(conn: Connection, source: int, kind: str, content: int, *, at: datetime) -> None:
    """Write down that `content` was made of `source`; what was written before is replaced."""
    build = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    row = build(derived).values(source=source, kind=kind, content=content, created_at=at)
    conn.execute(
        row.on_conflict_do_update(index_elements=["source", "kind"], set_={"content": content, "created_at": at})
    )


def drop(conn: Connection, source: int, kind: str) -> None:
    """Forget what was made of `source`; its bytes go with the next collection."""
    conn.execute(delete(derived).where(derived.c.source == source, derived.c.kind == kind))
