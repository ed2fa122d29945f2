"""Rows that hang on a version and must be closed, told or removed when it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

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


def close_slots(conn: Connection, version_n: int, now: datetime) -> None:
    """Open uploads into the version end now; the sweep removes their bytes."""
    conn.execute(
        update(upload)
        .where(upload.c.version == version_n, upload.c.state == "open")
        .values(state="aborted", expires_at=now, touched_at=now)
    )


def fail_attempts(conn: Connection, version_n: int, now: datetime, report: Mapping[str, Any]) -> Stage | None:
    """End what was under way to give the version content; one that was ready before is ready again.

    Answers where a version failed that was never ready.
    """
    under_way = ingest.c.ended_at.is_(None)
    conn.execute(
        update(ingest)
        .where(ingest.c.version == version_n, under_way)
        .values(state=State.FAILED.value, stage=Stage.CONTENT.value, report=dict(report), ended_at=now)
    )
    mine = version.c.id == version_n
    row = conn.execute(select(version.c.state, version.c.rev).where(mine)).one()
    stage = _STAGES.get(row.state)
    if stage is None:
        return None
    if row.rev:
        conn.execute(update(version).where(mine).values(state=State.READY.value, updated_at=now))
        return None
    failed = {"state": State.FAILED.value, "stage": stage.value, "report": dict(report), "updated_at": now}
    conn.execute(update(version).where(mine).values(**failed))
    return stage


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
