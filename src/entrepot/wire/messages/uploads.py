"""Restartable transfers as JSON; the bytes themselves travel by tus."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from entrepot.wire.messages.base import Answer, Instant, Request, Sha256

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


class NewDirectUpload(Request):
    """Bytes that will be sent to the store itself. What is announced here is compared when they are there."""

    length: Annotated[int, Field(ge=1, le=2**63 - 1)]
    sha256: Sha256
    file_name: str | None = None
    media_type: str | None = None
    project: str | None = Field(default=None, description="Where they are meant for; its allocation is looked at.")


class DirectUpload(Answer):
    upload: Upload
    url: str = Field(description="PUT the whole here, with no credentials and no other header. It is a secret.")
    expires_at: Instant = Field(description="Until then a PUT may begin; after that ask for another address.")


class UploadPage(Answer):
    rows: list[Upload]
    next: str | None = None
