"""What becomes of each error at this door: a status by a total table, and `{"detail": …}` or lists by field.

Nothing reads these bodies but people; the Python client attaches their text to its exception. Where the original has
words of its own that its users know, they stand here, with ours beside them as `reason`; elsewhere ours stand alone.
Ours say which thing it is about and what to do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.types import Scope

from entrepot.http.errors import Answer, ErrorTable, Failure
from entrepot.http.fields import field
from entrepot.model import errors
from entrepot.model.errors import EntrepotError

TABLE: Final = ErrorTable(
    {
        errors.Invalid: 400,
        errors.Unauthenticated: 401,
        errors.Forbidden: 403,
        errors.NotFound: 404,
        errors.Gone: 404,
        errors.Conflict: 400,
        errors.TooLarge: 413,
        errors.Unsupported: 415,
        errors.Corrupt: 500,
        errors.Unavailable: 503,
    },
    # Keys are counters: that a thing exists is no secret here, and people are told so. A missing file of an existing
    # dataset is a bad name in a request, not a bad address.
    {errors.EntryNotFound: 400, errors.RateLimited: 429},
    anonymous={errors.Hidden: 401},
)

_DENIED: Final = "You do not have permission to perform this action."
_NOBODY: Final = "Authentication credentials were not provided."

#: What a thing is called in the original's words for one that is not there, by the first segment of its address.
_NOUNS: Final[Mapping[str, str]] = {
    "datasets": "Dataset",
    "projects": "Project",
    "teams": "Team",
    "users": "User",
    "licences": "Licence",
    "licenses": "Licence",
    "nodes": "Node",
}

#: What the gate for strings calls a value, and what it is called on this wire.
_FIELDS: Final[Mapping[str, str]] = {
    "Dataset name": "name",
    "Project name": "name",
    "Team name": "name",
    "Licence name": "name",
    "Licence address": "url",
    "url": "url",
    "User name": "username",
    "First name": "first_name",
    "Last name": "last_name",
    "E-mail address": "email",
    "email": "email",
    "password": "password",
    "old": "password",
    "Description": "description",
    "Tag": "tags",
    "Tags": "tags",
    "Metadata text": "metadata",
}


def is_stranger(scope: Scope) -> bool:
    """Whether the request shows no credentials; cookies are none here."""
    return field(scope, b"authorization") is None


def encode(failure: Failure) -> Answer:
    body = json.dumps(_body(failure), ensure_ascii=False, default=str).encode("utf-8", "replace")
    return Answer(failure.status, body, "application/json", {"cache-control": "no-store"})


def _body(failure: Failure) -> dict[str, Any]:
    error = failure.error
    if isinstance(error, errors.Hidden):
        return {"detail": _NOBODY if failure.status == 401 else _DENIED}
    if isinstance(error, errors.Unauthenticated):
        return _refused(error, at_auth=failure.path.startswith("/v1/auth/"))
    if isinstance(error, errors.Invalid):
        fields = error.details.get("fields")
        if isinstance(fields, dict):
            return fields
        named = _FIELDS.get(str(error.details.get("field")))
        if named is not None:
            return {named: [error.message]}
    if failure.status == 403:
        # A key more harms no client, and people need to know what they lack.
        return {"detail": _DENIED, "reason": error.message}
    noun = _NOUNS.get(failure.path.removeprefix("/v1/").partition("/")[0])
    if failure.status == 404 and noun is not None and error.details.get("reason") != "address":
        return {"detail": f"No {noun} matches the given query.", "reason": error.message}
    if error.errors:
        return {"detail": error.message, "errors": error.errors}
    return {"detail": error.message}


def _refused(error: EntrepotError, *, at_auth: bool) -> dict[str, Any]:
    """The words for credentials that are missing or no good; programs look at `code`."""
    reason = error.details.get("reason")
    if not isinstance(error, errors.BadCredentials | errors.Expired):
        return {"detail": _NOBODY}
    if reason == "login":
        return {"detail": "No active account found with the given credentials"}
    if reason == "inactive":
        return {"detail": "User is inactive", "code": "user_inactive"}
    if at_auth:
        said = "Token has wrong type" if reason == "kind" else "Token is invalid or expired"
        return {"detail": said, "code": "token_not_valid"}
    return {
        "detail": "Given token not valid for any token type",
        "code": "token_not_valid",
        "messages": [{"token_class": "AccessToken", "token_type": "access", "message": error.message}],
    }
