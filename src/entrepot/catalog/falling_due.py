"""What falls due by the clock: versions that expire, leave the trash, or never got their bytes.

Plain reads that name candidates. Whoever acts on one looks again inside its own transaction, because between the two
somebody may have given it more time.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, and_, exists, func, or_, select, type_coerce

from entrepot.catalog.schema import event, project, upload, version
from entrepot.catalog.schema.types import to_micros

__all__ = ["EXPIRING", "expired", "expiring", "is_expiring", "is_out_of_retention", "out_of_retention", "slots_over"]

EXPIRING = "version.expiring"


def _micros(time: timedelta) -> int:
    return time // timedelta(microseconds=1)


def _numbers(conn: Connection, query: Select[int], limit: int) -> list[int]:
    return [int(n) for n in conn.execute(query.limit(limit)).scalars()]


def expired(conn: Connection, now: datetime, *, limit: int) -> list[int]:
    """Active versions whose time is over, longest first."""
    query = (
        select(version.c.id)
        .where(version.c.expires_at <= now, version.c.trashed_at.is_(None))
        .order_by(version.c.expires_at, version.c.id)
    )
    return _numbers(conn, query, limit)


def expiring(conn: Connection, now: datetime, notice: timedelta, *, limit: int) -> list[int]:
    """Active versions that expire within `notice` and of which nobody was told within that time before their end."""
    query = _expiring(now, notice).order_by(version.c.expires_at, version.c.id)
    return _numbers(conn, query, limit)


def is_expiring(conn: Connection, n: int, now: datetime, notice: timedelta) -> bool:
    """Whether this version is one of those that `expiring` names."""
    return conn.execute(_expiring(now, notice).where(version.c.id == n)).first() is not None


def _expiring(now: datetime, notice: timedelta) -> Select[int]:
    told = exists().where(
        event.c.version == version.c.id,
        event.c.verb == EXPIRING,
        event.c.at >= type_coerce(version.c.expires_at, BigInteger) - _micros(notice),
    )
    return select(version.c.id).where(
        version.c.expires_at > now, version.c.expires_at <= now + notice, version.c.trashed_at.is_(None), ~told
    )


def out_of_retention(conn: Connection, now: datetime, default: timedelta | None, *, limit: int) -> list[int]:
    """Versions that were in the trash for as long as their project keeps it, or else the server; oldest first.

    Args:
        default: The server's; None is for ever.
    """
    query = _out_of_retention(now, default).order_by(version.c.trashed_at, version.c.id)
    return _numbers(conn, query, limit)


def is_out_of_retention(conn: Connection, n: int, now: datetime, default: timedelta | None) -> bool:
    """Whether this version is one of those that `out_of_retention` names."""
    return conn.execute(_out_of_retention(now, default).where(version.c.id == n)).first() is not None


def _out_of_retention(now: datetime, default: timedelta | None) -> Select[int]:
    kept: ColumnElement[int] = project.c.retention_s * 1_000_000
    if default is not None:
        kept = func.coalesce(kept, _micros(default))
    return (
        select(version.c.id)
        .join_from(version, project, version.c.project == project.c.id)
        # Without a default the comparison is null where the project has no retention: such versions are left out.
        .where(
            version.c.trashed_at.is_not(None),
            type_coerce(version.c.trashed_at, BigInteger) + kept <= to_micros(now),
        )
    )


def slots_over(
    conn: Connection,
    now: datetime,
    *,
    unstarted: timedelta,
    failed: timedelta,
    refused: timedelta,
    after: int,
    limit: int,
) -> list[int]:
    """Active versions with something to do about their slots, all of whose addresses have ended; by number.

    Args:
        unstarted: Files came, and nobody started their ingest for so long.
        failed: They failed for want of bytes so long ago.
        refused: Their content was refused so long ago.
        after: The last number already seen.
    """
    last = func.max(upload.c.expires_at)
    due = or_(
        version.c.state.in_(["empty", "ready"]),
        and_(version.c.state == "receiving", version.c.updated_at <= now - unstarted),
        and_(version.c.state == "failed", version.c.stage == "transfer", version.c.updated_at <= now - failed),
        and_(version.c.state == "failed", version.c.stage == "content", version.c.updated_at <= now - refused),
    )
    query = (
        select(upload.c.version)
        .join_from(upload, version, upload.c.version == version.c.id)
        .where(upload.c.purpose == "slot", upload.c.version > after, version.c.trashed_at.is_(None), due)
        .group_by(upload.c.version)
        .having(last <= now)
        .order_by(upload.c.version)
    )
    return _numbers(conn, query, limit)
