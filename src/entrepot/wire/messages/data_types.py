"""Data types, and what was found out about the bytes of an entry."""

from __future__ import annotations

from pydantic import Field

from entrepot.wire.messages.base import Answer


class DataType(Answer):
    identifier: str = Field(description="What entries carry.")
    name: str
    description: str
    suffixes: list[str] = Field(description="Endings of file names, without the leading dot.")
    media_type: str | None
    is_text: bool
    is_own: bool = Field(description="Whether it comes with the program; others are from this server's settings.")


class DataTypeList(Answer):
    rows: list[DataType]
