"""What `DaemonClient` gives back: plain values without a way to the daemon, so that they can be kept and pickled."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = [
    "AssetMetadata",
    "AuthStatus",
    "DownloadResult",
    "DownloadedFile",
    "ProgressEvent",
    "Project",
    "Relationship",
    "UploadResult",
    "moment",
]


@dataclass
class ProgressEvent:
    """A moment of a transfer. `bytes_done` never falls from one event to the next.

    Args:
        chunk_index: The chunk that is under way, from 0; `chunk_count` follows from the size of a chunk.
        rate_bps: Bytes a second over the last few seconds.
        file_index: The file that is under way, from 0.
        file_name: Its base name.
    """

    transfer_id: str
    bytes_done: int
    bytes_total: int
    chunk_index: int
    chunk_count: int
    rate_bps: float
    file_index: int
    file_name: str

    @property
    def percent(self) -> float:
        """0 to 100; a transfer without a byte is always at its end."""
        return 100.0 * self.bytes_done / self.bytes_total if self.bytes_total else 100.0

    @property
    def rate_mbps(self) -> float:
        """Millions of bytes a second."""
        return self.rate_bps / 1e6


@dataclass
class AuthStatus:
    """Who is logged in. `expires_at` is None for a token without end."""

    user_email: str
    expires_at: datetime | None
    user_id: str
    user_name: str
    scope: str
    server: str


@dataclass
class Project:
    """A project that was made. `allocation` is in bytes, None for no limit."""

    project_id: str
    name: str
    description: str
    slug: str
    root_collection_id: str
    allocation: int | None


@dataclass
class UploadResult:
    """What an upload became. `content_id` names the revision, which never changes."""

    asset_id: str
    content_id: str
    transfer_id: str
    size: int
    file_count: int


@dataclass
class DownloadedFile:
    """A file that is in place, its bytes compared. `path` is its path in the asset, `sha256` is `sha256:<hex>`."""

    local_path: str
    size: int
    path: str
    sha256: str


@dataclass
class DownloadResult:
    asset_id: str
    content_id: str
    transfer_id: str
    files: list[DownloadedFile] = field(default_factory=list)


@dataclass
class AssetMetadata:
    """The record of an asset, which is one version of a dataset. `metadata` is whatever was given as such."""

    asset_id: str
    content_id: str
    title: str
    description: str
    alias: str | None
    tags: list[str]
    metadata: dict[str, Any]
    version: int
    project_id: str
    collection_id: str
    size: int
    file_count: int
    created_at: datetime
    updated_at: datetime


@dataclass
class Relationship:
    """An edge between two assets. `related_asset` is None when the caller may not see the other end."""

    relationship_id: str
    type: str
    from_asset_id: str
    to_asset_id: str
    analysis_mode: str | None
    qualifier_note: str | None
    qualifier_time: datetime | None
    qualifiers: dict[str, Any]
    created_at: datetime
    related_asset: dict[str, Any] | None


def moment(text: str | None) -> datetime | None:
    """A time of the protocol, aware and in UTC."""
    return None if text is None else datetime.fromisoformat(text)
