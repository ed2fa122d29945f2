"""Who did what, when, through which door."""

from __future__ import annotations

from entrepot.wire.messages.base import Answer, Instant, Json


class Event(Answer):
    n: int
    at: Instant
    verb: str
    actor: str | None
    door: str
    token: str | None
    project: str | None
    version: str | None
    revision: int | None
    subject: str | None
    before: Json | None
    after: Json | None
    detail: Json | None


class EventPage(Answer):
    """Newest first."""

    rows: list[Event]
    next: str | None = None
