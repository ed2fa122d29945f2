"""Archives whose files become a version's, in the background."""

from __future__ import annotations

from pydantic import Field

from entrepot.wire.messages.base import Answer, Request
from entrepot.wire.messages.tasks import Task
from entrepot.wire.messages.versions import NewVersion, Version


class Unpack(Request):
    """An archive that was uploaded: zip, tar, or tar wrapped in gzip, bzip2, xz or Zstandard."""

    upload: str = Field(description="`up_…`, finished.")
    file_name: str | None = Field(
        default=None, description="Of the archive; its end tells the kind. Left out: what the upload was told."
    )


class UnpackNew(Unpack):
    """The same, for a version that is made of it and is not ready before."""

    version: NewVersion


class Unpacking(Answer):
    version: Version
    task: Task = Field(description="Done when all files are there, in one revision; failed with what is wrong.")
