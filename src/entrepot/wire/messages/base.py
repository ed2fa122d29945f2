"""What all messages of the native API share: how strict they are, and how times and digests are written.

Requests are strict: an unknown field, a number in quotes or a `1` for `true` is refused, because a typing error that
is ignored becomes data. Answers are tolerant: a client that is older than its server ignores fields it does not know.

Times are RFC 3339 with an offset and come out in UTC with `Z`. Digests are `sha256:<64 lower-case hex digits>`. Ids are
texts and are not checked here: an id that this server cannot have made is the id of nothing, which is for the server
to say.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StrictStr, WithJsonSchema

_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})")


def parse_instant(value: object) -> datetime:
    """An aware UTC time from RFC 3339 text (or from an aware datetime); digits beyond microseconds are dropped.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str) and _RFC3339.fullmatch(value):
        moment = datetime.fromisoformat(value.upper())
    else:
        raise ValueError("is not a time such as 2026-03-01T12:00:00Z")
    if moment.tzinfo is None:
        raise ValueError("has no offset from UTC; write it as in 2026-03-01T12:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside the years 1 to 9999 in UTC") from None


def format_instant(moment: datetime) -> str:
    """RFC 3339 in UTC with `Z`; fractions only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


Instant: TypeAlias = Annotated[
    datetime,
    BeforeValidator(parse_instant),
    PlainSerializer(format_instant, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A point in time."""

Sha256: TypeAlias = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", examples=["sha256:" + "0" * 64])]
"""A digest of content."""

Crc32c: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{6}==$", examples=["AAAAAA=="])]
"""CRC-32C as base64 of its four bytes, most significant first."""

Text: TypeAlias = StrictStr
Count: TypeAlias = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""A number of things or bytes."""

Seconds: TypeAlias = Annotated[int, Field(ge=1, le=100 * 366 * 86400)]
"""A lifetime; at most a hundred years."""

RevisionNumber: TypeAlias = Annotated[int, Field(ge=0, le=2**31 - 1)]

RoleName: TypeAlias = Literal["none", "read", "execute", "write", "admin"]
"""What somebody may do in a thing; each includes those before it."""

GivenRole: TypeAlias = Literal["read", "execute", "write", "admin"]

Json: TypeAlias = dict[str, Any]
"""A JSON object whose keys are the user's own."""


class Request(BaseModel):
    """What a client sends. A field that may be given as `null` clears what it names; one that is left out keeps it."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    #: Whether every value in it has a type of its own, with nothing free in it such as an object of the user's: then a
    #: long one may be read from its bytes in one go, and no rule for JSON in general is left out by that.
    TYPED_THROUGHOUT: ClassVar[bool] = False

    def dump(self) -> bytes:
        """As JSON, with only what was given: a field that nobody set says nothing on the wire."""
        return self.model_dump_json(exclude_unset=True).encode()


def _without_defaults(schema: dict[str, Any]) -> None:
    for described in schema.get("properties", {}).values():
        described.pop("default", None)


class Changes(Request):
    """A partial edit: only the fields that are given count, so their defaults mean nothing and are not documented."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    def given(self) -> dict[str, Any]:
        """The fields that the sender named, with their values."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Answer(BaseModel):
    """What the server says."""

    # Checkers are built when they are first used: a hundred of them would take long at every start.
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class Trash(Answer):
    """That a thing is in the trash."""

    at: Instant
    reason: str = Field(description="`deleted`, `archived: …`, `expired` or `project`.")


class Problem(Answer):
    """What went wrong (RFC 9457). `code` is the stable name of the situation."""

    type: str
    title: str
    status: int
    detail: str = Field(description="What, which one, and what to do.")
    code: str
    retryable: bool = False
    errors: list[Json] = Field(default=[], description="One object per bad field, row or path.")
    details: Json = Field(default={}, description="Facts of the situation, such as `offset` or `revision`.")
