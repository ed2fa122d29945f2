"""What the daemon answers about things of the server: the SDK's values as the socket protocol shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from entrepot.daemon.counter import Snapshot
    from entrepot.daemon.journal import Transfer
    from entrepot.wire.messages.projects import Project
    from entrepot.wire.messages.relationships import End, Relationship
    from entrepot.wire.messages.versions import Version

__all__ = ["asset", "content_id", "project", "relationship", "transfer", "when"]


def content_id(version: str, revision: int) -> str:
    """`rev_<32 hex>_<number>`."""
    # Here and below: a daemon starts without what only its first answers need.
    from entrepot.model import ids
    from entrepot.model.ids import Noun

    return ids.revision_id(ids.decode(Noun.VERSION, version), revision)


def when(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def project(one: Project) -> dict[str, Any]:
    from entrepot.model import ids
    from entrepot.model.ids import Noun

    return {
        "project_id": one.id,
        "name": one.name,
        "slug": one.slug,
        "description": one.description,
        # The root collection has its project's own number.
        "root_collection_id": ids.encode(Noun.COLLECTION, ids.decode(Noun.PROJECT, one.id)),
        "allocation": one.allocation,
    }


def asset(one: Version) -> dict[str, Any]:
    return {
        "asset_id": one.id,
        "content_id": content_id(one.id, one.revision),
        "title": one.name,
        "version": one.number,
        "description": one.description,
        "alias": one.alias,
        "tags": list(one.tags),
        "metadata": one.custom,
        "project_id": one.project,
        "collection_id": one.collection,
        "size": one.size,
        "files": one.entries,
        "created_at": when(one.created_at),
        "updated_at": when(one.updated_at),
    }


def relationship(one: Relationship, source: str, target: str) -> dict[str, Any]:
    return {
        "relationship_id": one.id,
        "type": one.verb,
        "from_asset_id": source,
        "to_asset_id": target,
        "analysis_mode": one.mode,
        "qualifier_note": one.note,
        "qualifier_time": when(one.at),
        "qualifiers": one.qualifiers,
        "created_at": when(one.created_at),
        "related_asset": _end(one.target),
    }


def _end(end: End | None) -> dict[str, Any] | None:
    if end is None:
        return None
    return {
        "id": end.version,
        "content_id": content_id(end.version, end.revision),
        "title": end.name,
        "version": end.number,
    }


def transfer(one: Transfer, now: Snapshot | None = None) -> dict[str, Any]:
    """A row of the status.

    Args:
        now: How far it is, if it runs.
    """
    shown: dict[str, Any] = {
        "transfer_id": one.id,
        "kind": one.kind,
        "file_name": one.file_name if now is None else now.file_name,
        "state": one.state,
        "bytes_done": one.bytes_done if now is None else now.bytes_done,
        "bytes_total": one.bytes_total if now is None else now.bytes_total,
        "priority": one.priority,
        "paused": one.paused,
        "attempts": one.attempts,
        "rate_bps": 0.0 if now is None else now.rate_bps,
        "accepted_at": when(datetime.fromtimestamp(one.accepted_at, UTC)),
    }
    asset_id = (one.result or {}).get("asset_id") or one.facts.get("version") or one.params.get("asset_id")
    if asset_id is not None:
        shown["asset_id"] = asset_id
    if one.error is not None:
        shown["error"] = {"code": one.error.get("code"), "message": one.error.get("message")}
    if one.kind == "upload":
        shown["title"] = one.params["title"]
    else:
        shown["dest_dir"] = one.params["into"]
    return shown
