"""From what a request says to what the depot takes: ids to uids, names of things to keys."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query
from pydantic import BeforeValidator, WithJsonSchema

from entrepot.model import ids
from entrepot.model.digests import parse_crc32c_base64, parse_sha256
from entrepot.model.errors import NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Role
from entrepot.wire.messages.base import parse_instant

VersionId = Annotated[str, Path(description="`ver_…`")]
ProjectId = Annotated[str, Path(description="`proj_…` or the slug")]
UserName = Annotated[str, Path(description="`user_…`, the user name, or `me`")]
TeamName = Annotated[str, Path(description="`team_…` or the name")]
NodeName = Annotated[str, Path(description="`node_…` or the name")]
LicenceName = Annotated[str, Path(description="`lic_…` or the name")]

Limit = Annotated[int, Query(ge=1, le=100_000, description="Rows of the page; the server may give fewer.")]
Cursor = Annotated[str | None, Query(description="`next` of the page before.")]
RevisionQuery = Annotated[int | None, Query(ge=0, le=ids.MAX_REVISION, description="Left out: the newest.")]
Since = Annotated[
    datetime | None,
    BeforeValidator(lambda given: None if given is None else parse_instant(given)),
    WithJsonSchema({"type": "string", "format": "date-time"}),
    Query(description="RFC 3339."),
]

_ROLES = {"read": Role.READ, "execute": Role.EXECUTE, "write": Role.WRITE, "admin": Role.ADMIN}


def version(text: str) -> UUID:
    """The uid in `ver_…`.

    Raises:
        NotFound: It is none.
    """
    return ids.decode(Noun.VERSION, text)


def project(text: str) -> UUID | str:
    """A project's uid, or its slug: no slug looks like an id, because ids have an underscore in the right place."""
    try:
        return ids.decode(Noun.PROJECT, text)
    except NotFound:
        return text


def optional_project(text: str | None) -> UUID | str | None:
    return None if text is None else project(text)


def collection(text: str) -> UUID | str:
    """A collection's uid, or a path."""
    try:
        return ids.decode(Noun.COLLECTION, text)
    except NotFound:
        return text


def seconds(given: int | None) -> timedelta | None:
    return None if given is None else timedelta(seconds=given)


def digest(text: str) -> bytes:
    return parse_sha256(text)


def role(name: str) -> Role:
    return _ROLES[name]


def sha256(text: str | None) -> bytes | None:
    return None if text is None else parse_sha256(text)


def crc32c(text: str | None) -> int | None:
    return None if text is None else parse_crc32c_base64(text)
