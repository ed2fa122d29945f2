"""Long work that somebody may wait for."""

from __future__ import annotations

from pydantic import Field

from entrepot.model.values import TaskState
from entrepot.wire.messages.base import Answer, Instant, Json


class Task(Answer):
    id: str
    kind: str
    state: TaskState
    progress: Json | None
    result: Json | None
    error: Json | None
    cancel_requested: bool
    version: str | None
    attempt: int = Field(description="1 at the first try.")
    created_at: Instant
    started_at: Instant | None
    ended_at: Instant | None


class TaskPage(Answer):
    rows: list[Task]
    next: str | None = None
