"""Notes about versions, and those that a version inherits from what it came from."""

from __future__ import annotations

from pydantic import Field

from entrepot.wire.messages.base import Answer, Instant, Request


class NewNote(Request):
    text: str = Field(description="At most 2,000 characters.")


class Note(Answer):
    id: str
    text: str
    version: str = Field(description="The version it was written at.")
    label: str = Field(description="`project/slug@number` of that version.")
    revision: int = Field(description="The newest one when it was written.")
    author: str | None
    written_at: Instant
    distance: int = Field(description="Steps along the edges; 0 for a note of the version itself.")


class NoteList(Answer):
    """Its own first, then those of nearer origins before those further away."""

    rows: list[Note]
    truncated: bool = Field(description="The walk to its origins ended at the server's limit.")
