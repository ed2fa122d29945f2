"""What a file is: the nouns of the registry of data types, of recognising and of checking.

    DataType     one line of the registry               Recognition   what a file was taken for, and by what
    Finding      one thing that a check found wrong      Report        everything that was found out about one content

A declared type is kept whatever the bytes are; what the bytes really are stands beside it in the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["DataType", "Finding", "Magic", "Means", "Recognition", "Report", "Standing"]


@dataclass(frozen=True, slots=True)
class Magic:
    """Bytes that a file of a type has at a fixed place.

    Args:
        offset: In bytes from the beginning of the file, or of what is compressed in it.
    """

    data: bytes
    offset: int = 0


@dataclass(frozen=True, slots=True)
class DataType:
    """One line of the registry.

    Args:
        identifier: What entries carry; lower case, never changed.
        suffixes: Endings of file names without the leading dot, in lower case.
        media_type: Of the plain bytes; None where nothing is registered or usual.
        is_text: Whether the bytes are text: such a file can be shown in part.
        magic: Any of these makes a file one of this type. Types of our own are recognised by code instead.
        is_own: Whether it comes with the program; others are from this server's settings.
    """

    identifier: str
    name: str
    description: str
    suffixes: tuple[str, ...] = ()
    media_type: str | None = None
    is_text: bool = False
    magic: tuple[Magic, ...] = ()
    is_own: bool = True


class Means(StrEnum):
    """By what a file was recognised."""

    CONTENT = "content"
    SUFFIX = "suffix"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a file was taken for.

    Args:
        data_type: An identifier of the registry; None when neither content nor name say anything.
        compression: `gzip` or `bgzf` when the type is that of what is inside.
    """

    data_type: str | None
    means: Means = Means.NOTHING
    compression: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a file.

    Args:
        code: Stable, for programs: `ragged_row`, `truncated`, ...
        message: What, and where, for people.
        line: Counted from 1, in text.
        record: Counted from 1: a read, an image of a file, a member of an archive.
        offset: In bytes from the beginning of the file as it is stored.
    """

    code: str
    message: str
    line: int | None = None
    record: int | None = None
    offset: int | None = None


class Standing(StrEnum):
    """How the check of a content went."""

    GOOD = "good"
    BAD = "bad"
    #: The check itself was ended: too long, too much memory, or it died.
    UNFINISHED = "unfinished"
    #: There is no check for this type here.
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found out about one content, taken for one type.

    Args:
        recognised: What the bytes are; None when they say nothing.
        examined_as: The type whose rules were applied: the declared one if there is one, else the recognised.
        found: How many things are wrong, all of them counted.
        findings: The first of them.
        facts: What was read out of it: reads, columns, dimensions, ...
        checked_with: Programs and versions, such as `entrepot 0.1` or `pysam 0.23`.
    """

    standing: Standing
    recognised: str | None
    examined_as: str | None
    compression: str | None = None
    found: int = 0
    findings: tuple[Finding, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    checked_with: tuple[str, ...] = ()
