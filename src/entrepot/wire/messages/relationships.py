"""Directed, typed edges between versions, pinned to revisions."""

from __future__ import annotations

from pydantic import Field

from entrepot.wire.messages.base import Answer, Instant, Json, Request, RevisionNumber
from entrepot.wire.messages.versions import Version


class NewRelationship(Request):
    """`source` was made with the help of `target`: "derived_from" points from result to origin."""

    source: str
    target: str
    verb: str
    mode: str | None = None
    note: str | None = None
    at: Instant | None = None
    qualifiers: Json = {}
    source_revision: RevisionNumber | None = Field(default=None, description="Left out: the newest.")
    target_revision: RevisionNumber | None = None


class End(Answer):
    """One end of an edge; a tombstone once its version was purged."""

    version: str
    revision: int
    name: str
    number: int | None
    purged: bool


class Relationship(Answer):
    """An end that the caller may not see is null."""

    id: str
    source: End | None
    target: End | None
    verb: str
    mode: str | None
    note: str | None
    at: Instant | None
    qualifiers: Json
    created_at: Instant


class RelationshipPage(Answer):
    rows: list[Relationship]
    next: str | None = None


class Graph(Answer):
    """What is reachable from a version."""

    versions: list[Version]
    edges: list[Relationship]
    truncated: bool = Field(description="The walk ended at the server's limit.")
