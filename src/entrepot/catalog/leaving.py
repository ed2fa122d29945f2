"""Rows that hang on a version and must be closed, told or removed when it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from entrepot.catalog import bulk
from entrepot.catalog.many import PART
from entrepot.catalog.schema import ingest, old_slug, relationship, upload, version
from entrepot.model.values import Stage, State

#: Where an attempt fails that is ended in a state.
_STAGES = {
    State.EMPTY.value: Stage.TRANSFER,
    State.RECEIVING.value: Stage.TRANSFER,
    State.PROCESSING.value: Stage.CONTENT,
}


def forget_slug(conn: Connection, project_n: int, slug: str) -> None:
    """Somebody has taken this slug: it no longer leads to who gave it up."""
    conn.execute(delete(old_slug).where(old_slug.c.scope == project_n, old_slug.c.slug == slug))


def close_slots(conn: Connection, versions: Sequence[int], now: datetime) -> None:
    """Open uploads into the versions end now; the sweep removes their bytes."""
    for part in bulk.chunks(versions, PART):
        conn.execute(
            update(upload)
            .where(upload.c.version.in_(part), upload.c.state == "open")
            .values(state="aborted", expires_at=now, touched_at=now)
        )


def fail_attempts(
    conn: Connection, versions: Sequence[int], now: datetime, report: Mapping[str, Any]
) -> dict[int, Stage]:
    """End what was under way to give the versions content; one that was ready before is ready again.

    Answers where those failed that were never ready.
    """
    failed: dict[int, Stage] = {}
    for part in bulk.chunks(versions, PART):
        conn.execute(
            update(ingest)
            .where(ingest.c.version.in_(part), ingest.c.ended_at.is_(None))
            .values(state=State.FAILED.value, stage=Stage.CONTENT.value, report=dict(report), ended_at=now)
        )
        waiting = select(version.c.id, version.c.state, version.c.rev).where(version.c.id.in_(part))
        rows = conn.execute(waiting.where(version.c.state.in_(list(_STAGES)))).all()
        _end(conn, [row.id for row in rows if row.rev], {"state": State.READY.value, "updated_at": now})
        for stage in (Stage.TRANSFER, Stage.CONTENT):
            mine = [row.id for row in rows if not row.rev and _STAGES[row.state] is stage]
            ended = {"state": State.FAILED.value, "stage": stage.value, "report": dict(report), "updated_at": now}
            _end(conn, mine, ended)
            failed |= dict.fromkeys(mine, stage)
    return failed


def _end(conn: Connection, versions: Sequence[int], values: Mapping[str, Any]) -> None:
    if versions:
        conn.execute(update(version).where(version.c.id.in_(versions)).values(**values))


def entomb_edges(conn: Connection, version_n: int, stone: Mapping[str, Any]) -> None:
    conn.execute(
        update(relationship).where(relationship.c.source == version_n).values(source=None, source_tombstone=dict(stone))
    )
    conn.execute(
        update(relationship).where(relationship.c.target == version_n).values(target=None, target_tombstone=dict(stone))
    )


def delete_uploads(conn: Connection, version_n: int, now: datetime) -> None:
    """Detach the version's uploads; expired at once, so that the sweep removes rows and bytes in the right order.

    Their contents are let go here: what was uploaded is no reason to keep bytes that nobody can ask for any more.
    """
    conn.execute(
        update(upload)
        .where(upload.c.version == version_n)
        .values(version=None, state="aborted", content=None, expires_at=now)
    )


def delete_ingests(conn: Connection, version_n: int) -> None:
    conn.execute(delete(ingest).where(ingest.c.version == version_n))
