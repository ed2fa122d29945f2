"""One schema for SQLite and PostgreSQL. The full-text index is the one thing each has of its own (`catalog.search`)."""

from __future__ import annotations

from entrepot.catalog.schema.content import content, extent, job, live, object_, past, revision, strand, upload, word
from entrepot.catalog.schema.people import (
    idempotency,
    installation,
    licence,
    login_failure,
    membership,
    node,
    session,
    team,
    token,
    user,
)
from entrepot.catalog.schema.records import (
    collection,
    dataset,
    event,
    ingest,
    old_slug,
    project,
    relationship,
    version,
    version_tag,
)
from entrepot.catalog.schema.types import metadata

__all__ = [
    "collection",
    "content",
    "dataset",
    "event",
    "extent",
    "idempotency",
    "ingest",
    "installation",
    "job",
    "licence",
    "live",
    "login_failure",
    "membership",
    "metadata",
    "node",
    "object_",
    "old_slug",
    "past",
    "project",
    "relationship",
    "revision",
    "session",
    "strand",
    "team",
    "token",
    "upload",
    "user",
    "version",
    "version_tag",
    "word",
]
