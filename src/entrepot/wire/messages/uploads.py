"""Restartable transfers as JSON; the bytes themselves travel by tus."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from entrepot.wire.messages.base import Answer, Instant

UploadState = Literal["open", "finished", "aborted"]


class Upload(Answer):
    id: str
    state: UploadState
    offset: int = Field(description="Where the sender goes on.")
    length: int | None
    file_name: str | None
    media_type: str | None
    sha256: str | None = Field(description="Of the received bytes once it is finished; before that the announced one.")
    purpose: str
    created_at: Instant
    expires_at: Instant


class UploadPage(Answer):
    rows: list[Upload]
    next: str | None = None
