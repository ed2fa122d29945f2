"""What this server is and allows."""

from __future__ import annotations

from pydantic import Field

from entrepot.wire.messages.base import Answer


class Limits(Answer):
    """Null is no limit."""

    upload_size: int | None
    entries_per_commit: int
    metadata_text: int
    custom_metadata: int
    slots_per_version: int
    page: int
    known_digests: int


class Server(Answer):
    name: str
    version: str
    installation: str
    doors: list[str]
    anonymous: bool
    features: list[str] = Field(description="What a client may rely on, such as `tus` or `archive:zip`.")
    limits: Limits
