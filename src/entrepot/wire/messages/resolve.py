"""What an id of any door, or a reference, means."""

from __future__ import annotations

from pydantic import Field

from entrepot.wire.messages.base import Answer
from entrepot.wire.messages.projects import Project
from entrepot.wire.messages.versions import Version


class Resolved(Answer):
    """`ids` has the id by which each door knows the thing."""

    thing: str = Field(description="`version`, `project`, `dataset`, `collection`, `task`, `user` and so on.")
    id: str
    revision: int | None = None
    path: str | None = None
    ids: dict[str, str]
    version: Version | None = None
    project: Project | None = None
