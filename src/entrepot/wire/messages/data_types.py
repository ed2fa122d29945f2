"""Data types, and what was found out about the bytes of an entry."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from entrepot.wire.messages.base import Answer, Instant, Json, Request
from entrepot.wire.messages.entries import Entry


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
    versions: dict[str, int] = Field(
        default={}, description="By type: versions that the caller may know of and whose entries all share it."
    )


class Finding(Answer):
    code: str = Field(description="Stable: `truncated`, `ragged_row`, ...")
    message: str
    line: int | None = Field(default=None, description="From 1, in text.")
    record: int | None = Field(default=None, description="From 1: a read, a row, a page, a member.")
    offset: int | None = Field(default=None, description="In bytes of the file as it is stored.")


class Report(Answer):
    standing: Literal["good", "bad", "unfinished", "unchecked"]
    recognised: str | None = Field(description="What the bytes are, whatever the entry says.")
    examined_as: str | None = Field(description="The type whose rules were applied.")
    compression: str | None = Field(description="`gzip` or `bgzf`.")
    found: int = Field(description="How many things are wrong; `findings` has the first of them.")
    findings: list[Finding]
    facts: Json = Field(description="What was read out: reads, columns, dimensions, samples, ...")
    checked_with: list[str]
    examined_at: Instant


class EntryReport(Answer):
    entry: Entry
    report: Report | None = Field(description="Null until the bytes were examined.")


class EntryReportDetail(EntryReport):
    version: str
    revision: int


class EntryReportPage(Answer):
    """In path order; a page may be short, or empty, and still have another one behind it."""

    version: str
    revision: int
    rows: list[EntryReport]
    next: str | None = None


class Declared(Request):
    types: dict[str, str] = Field(min_length=1, description="Data types by path.")
    expected: int | None = Field(default=None, description="The revision that the caller saw.")
    message: str = ""
