"""Many versions in few statements: what a change to a thousand of them at once asks and writes.

One by one it takes fifteen statements for each, in one transaction for which every other writer of SQLite waits: seen,
fourteen seconds. Lists go in parts, so that no statement has more values than a database takes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, exists, or_, select, update

from entrepot.catalog import bulk
from entrepot.catalog.schema import dataset, version

__all__ = [
    "PART",
    "Line",
    "aliases_taken",
    "bring_back",
    "change_each",
    "give_reason",
    "hold",
    "lines",
    "numbers_taken",
    "trash",
]

#: Values of one list; SQLite of some distributions takes 999 in a statement.
PART = 500

_OTHER = version.alias("other")


def hold(conn: Connection, numbers: Iterable[int]) -> bool:
    """Hold the rows of these versions until the end of the transaction, in order of number.

    Answers whether somebody else can have been in between, so that what was read before must be read again.
    """
    if conn.dialect.name == "sqlite":
        return False
    for part in bulk.chunks(sorted(set(numbers)), PART):
        query = select(version.c.id).where(version.c.id.in_(part)).order_by(version.c.id)
        conn.execute(query.with_for_update(key_share=True))
    return True


def trash(conn: Connection, numbers: Sequence[int], *, at: datetime, by: int | None, reason: str) -> None:
    """Put them in the trash."""
    _change(conn, numbers, {"trashed_at": at, "trashed_by": by, "trash_reason": reason, "updated_at": at})


def give_reason(conn: Connection, numbers: Sequence[int], *, at: datetime, by: int | None, reason: str) -> None:
    """Another reason and somebody else for what is in the trash already."""
    _change(conn, numbers, {"trashed_by": by, "trash_reason": reason, "updated_at": at})


def bring_back(conn: Connection, numbers: Sequence[int], *, at: datetime) -> None:
    """Out of the trash. No other active version may have the number or the alias of one of them."""
    _change(conn, numbers, {"trashed_at": None, "trashed_by": None, "trash_reason": None, "updated_at": at})


def _change(conn: Connection, numbers: Sequence[int], values: Mapping[str, Any]) -> None:
    for part in bulk.chunks(numbers, PART):
        conn.execute(update(version).where(version.c.id.in_(part)).values(**values))


def change_each(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write number, alias and end of each version on its own.

    Args:
        rows: Each with `n`, `number`, `alias` and `expires_at`.
    """
    if not rows:
        return
    statement = (
        update(version)
        .where(version.c.id == bindparam("n"))
        .values(
            number=bindparam("new_number"),
            alias=bindparam("new_alias"),
            expires_at=bindparam("new_expires_at"),
        )
    )
    given = [
        {"n": row["n"], **{f"new_{name}": row[name] for name in ("number", "alias", "expires_at")}} for row in rows
    ]
    conn.execute(statement, given)


# Names and numbers


@dataclass(slots=True)
class Line:
    """What of a line's active versions says which number the next one may have.

    Args:
        highest: The highest number, 0 if there is none.
        lives: Whether there is an active version at all.
        has_first: Whether one of them has the number 1.
    """

    highest: int
    lives: bool
    has_first: bool


def lines(conn: Connection, datasets: Collection[int]) -> dict[int, Line]:
    """The lines of these numbers; three seeks for each, however many versions it has."""
    active = and_(version.c.dataset == dataset.c.id, version.c.trashed_at.is_(None))
    highest = (
        select(version.c.number)
        .where(active, version.c.number.is_not(None))
        .order_by(version.c.number.desc())
        .limit(1)
        .correlate(dataset)
        .scalar_subquery()
    )
    lives = exists().where(active).correlate(dataset)
    first = exists().where(active, version.c.number == 1).correlate(dataset)
    found: dict[int, Line] = {}
    for part in bulk.chunks(sorted(datasets), PART):
        query = select(dataset.c.id, highest, lives, first).where(dataset.c.id.in_(part))
        found |= {int(n): Line(int(top or 0), bool(any_), bool(one)) for n, top, any_, one in conn.execute(query)}
    return found


def numbers_taken(conn: Connection, numbers: Sequence[int]) -> set[int]:
    """Which of these versions have a number that another, active version of their line has."""
    other = exists().where(
        _OTHER.c.dataset == version.c.dataset,
        _OTHER.c.number == version.c.number,
        _OTHER.c.trashed_at.is_(None),
        _OTHER.c.id != version.c.id,
    )
    return _which(conn, numbers, other)


def aliases_taken(conn: Connection, numbers: Sequence[int]) -> set[int]:
    """Which of these versions have an alias that another active version or a dataset of their project answers to."""
    other = exists().where(
        _OTHER.c.project == version.c.project,
        _OTHER.c.alias == version.c.alias,
        _OTHER.c.trashed_at.is_(None),
        _OTHER.c.id != version.c.id,
    )
    slug = exists().where(dataset.c.project == version.c.project, dataset.c.slug == version.c.alias)
    return _which(conn, numbers, or_(other, slug))


def _which(conn: Connection, numbers: Sequence[int], condition: Any) -> set[int]:
    found: set[int] = set()
    for part in bulk.chunks(numbers, PART):
        found.update(conn.execute(select(version.c.id).where(version.c.id.in_(part), condition)).scalars())
    return found
