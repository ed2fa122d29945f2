"""Batches of small files: what came in one, and what is asked for in one. The bytes themselves travel in frames."""

from __future__ import annotations

from pydantic import Field

from entrepot.wire.messages.base import Answer, Request, RevisionNumber
from entrepot.wire.messages.uploads import Upload


class PackedFile(Answer):
    name: str
    size: int
    sha256: str


class Packed(Answer):
    """Commits refer to a file of it by the id of the upload and the file's digest."""

    upload: Upload
    files: list[PackedFile] = Field(
        description="In the order in which they came. None of them for who sends `Prefer: return=minimal`: each was "
        "compared with its announced digest, so whoever knows what was sent learns nothing from them."
    )


class BatchRequest(Request):
    """Small files of one revision, as one body of frames."""

    TYPED_THROUGHOUT = True

    paths: list[str] = Field(min_length=1, description="The frames come in this order.")
    revision: RevisionNumber | None = Field(default=None, description="Left out: the newest.")
