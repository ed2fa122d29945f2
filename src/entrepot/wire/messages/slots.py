"""Slots: the files that a table or records version waits for, each with a signed URL to put its bytes to."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from entrepot.model.values import Stage, State
from entrepot.wire.messages.base import Answer, Count, Crc32c, Instant, Json, Request


class NewSlot(Request):
    file_name: str
    length: Count | None = None
    crc32c: Crc32c | None = None
    upload: str | None = Field(
        default=None, description="`up_…`, finished and the caller's own: the slot has this file from the start."
    )


SlotState = Literal["waiting", "full"]


class Slot(Answer):
    """`url` is null for callers who may not write, and once the slot takes no more bytes."""

    file_name: str
    method: str
    url: str | None
    headers: dict[str, str] = Field(description="To be sent with the bytes.")
    expires_at: Instant
    state: SlotState
    length: int | None
    received: int


class SlotList(Answer):
    rows: list[Slot]


class Ingest(Answer):
    """One attempt to give a version content that must be checked first."""

    id: str
    task: str | None
    state: State
    stage: Stage | None
    report: Json | None
    created_at: Instant
    started_at: Instant | None
    ended_at: Instant | None


class IngestList(Answer):
    rows: list[Ingest]
