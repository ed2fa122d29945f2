"""Errors of the native API on the wire: RFC 9457 problem documents, there and back.

    {"type": "urn:entrepot:error:offset_mismatch",   what kind of problem; as stable as `code`
     "title": "Offset mismatch",                     the same for every problem of this type
     "status": 409,
     "detail": "Upload up_7f3a is at offset …",      what, which one, what to do
     "code": "offset_mismatch",                      names the class in `entrepot.model.errors`
     "retryable": true,
     "details": {"offset": 67108864},                facts for programs; left out when empty
     "errors": [{"row": 1041, …}],                   one for each bad row, field or path; left out when empty
     "request_id": "…"}                              what to quote to the operator; left out when unknown

The server writes it, the SDK reads it and raises the same class again. Whatever a proxy or a newer server answers
instead still becomes an error of the tree, by its code if that is known, else by its status.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from entrepot.model import errors
from entrepot.model.errors import EntrepotError

__all__ = ["FOREIGN", "MEDIA_TYPE", "STATUS", "from_answer", "from_problem", "headers", "status_of", "to_problem"]

MEDIA_TYPE: Final = "application/problem+json"

#: The ten kinds, and those leaves whose status differs from their kind's.
STATUS: Final[Mapping[type[EntrepotError], int]] = MappingProxyType(
    {
        errors.Invalid: 422,
        errors.Malformed: 400,
        errors.UnknownDataType: 400,
        errors.Unauthenticated: 401,
        errors.Forbidden: 403,
        errors.Hidden: 404,
        errors.RateLimited: 429,
        errors.NotFound: 404,
        errors.Gone: 410,
        errors.Conflict: 409,
        errors.PreconditionFailed: 412,
        errors.TooLarge: 413,
        errors.Unsupported: 415,
        errors.Corrupt: 500,
        errors.Unavailable: 503,
    }
)

#: What an answer without a known code means, by its status: our own leaves first, then what proxies say.
_BY_STATUS: Final[Mapping[int, type[EntrepotError]]] = MappingProxyType(
    {
        400: errors.Malformed,
        401: errors.Unauthenticated,
        403: errors.Forbidden,
        404: errors.NotFound,
        405: errors.Unsupported,
        408: errors.Unavailable,
        409: errors.Conflict,
        410: errors.Gone,
        412: errors.PreconditionFailed,
        413: errors.TooLarge,
        415: errors.Unsupported,
        416: errors.Invalid,
        422: errors.Invalid,
        425: errors.Unavailable,
        429: errors.RateLimited,
        501: errors.Unsupported,
        502: errors.Unavailable,
        503: errors.Unavailable,
        504: errors.Unavailable,
        507: errors.DiskFull,
    }
)

#: Facts of an error that somebody on the way answered with: a proxy without its server, a portal that wants a login.
FOREIGN: Final[Mapping[str, Any]] = MappingProxyType({"foreign": True})

_URN: Final = "urn:entrepot:error:"
#: How much of somebody else's error page is worth showing.
_MAX_EXCERPT: Final = 500


def status_of(error: EntrepotError) -> int:
    """The native status of an error: that of the nearest class in `STATUS`; 500 for the bare root."""
    return next((STATUS[cls] for cls in type(error).__mro__ if cls in STATUS), 500)


def to_problem(error: EntrepotError, *, status: int | None = None, request_id: str | None = None) -> dict[str, Any]:
    """The problem document of an error.

    `Hidden` comes out as a `NotFound` without details, so that nothing but its message could tell the two apart.

    Args:
        status: What the answer really has, if that is not the error's native status.
    """
    if isinstance(error, errors.Hidden):
        error = errors.NotFound(error.message)
    problem: dict[str, Any] = {
        "type": _URN + error.code,
        "title": error.code.replace("_", " ").capitalize(),
        "status": status_of(error) if status is None else status,
        "detail": error.message,
        "code": error.code,
        "retryable": error.retryable,
    }
    if error.details:
        problem["details"] = error.details
    if error.errors:
        problem["errors"] = error.errors
    if request_id is not None:
        problem["request_id"] = request_id
    return problem


def headers(error: EntrepotError) -> dict[str, str]:
    """The header fields that belong to an error whatever its body: when to come back, how to authenticate.

    Every 401 names a scheme because RFC 9110 asks for one, and never Basic, for which browsers open a window.
    """
    found = {}
    wait = error.details.get("retry_after_s")
    if isinstance(wait, int | float) and not isinstance(wait, bool) and 0 <= wait < math.inf:
        found["retry-after"] = str(math.ceil(wait))
    if isinstance(error, errors.Unauthenticated):
        found["www-authenticate"] = 'Bearer realm="entrepot"'
    return found


def from_problem(document: object, *, status: int | None = None, retry_after: str | None = None) -> EntrepotError:
    """The error that a parsed error body means: the very class that was raised, if both sides know it.

    Never raises. A member of a wrong type counts as missing. The request's id is kept in `details["request_id"]`.

    Args:
        document: Any JSON value.
        status: The status of the answer; without it the document's own is believed.
        retry_after: The header field, for answers whose body does not say it.
    """
    given: Mapping[str, Any] = document if isinstance(document, dict) else {}
    said = given.get("status")
    status = said if status is None and isinstance(said, int) else status or 500
    code = given.get("code")
    cls = errors.from_code(code) if isinstance(code, str) else EntrepotError
    if cls is EntrepotError:
        cls = _BY_STATUS.get(status, EntrepotError)
    message = given.get("detail") or given.get("title")
    details = given.get("details")
    details = dict(details) if isinstance(details, dict) else {}
    if isinstance(given.get("request_id"), str):
        details["request_id"] = given["request_id"]
    if retry_after is not None and retry_after.strip().isdecimal() and len(retry_after) < 10:
        details.setdefault("retry_after_s", int(retry_after))
    rows = given.get("errors")
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    text = message if isinstance(message, str) else f"The server answered {status} and did not say why."
    return cls(text, details=details, errors=rows)


def from_answer(status: int, body: bytes, *, retry_after: str | None = None) -> EntrepotError:
    """The error that an answer means, whatever its body is: a problem document, a proxy's page, nothing.

    Never raises.
    """
    try:
        return from_problem(json.loads(body), status=status, retry_after=retry_after)
    except (ValueError, RecursionError):
        excerpt = " ".join(body[: 4 * _MAX_EXCERPT].decode(errors="replace").split())[:_MAX_EXCERPT]
        said = f"The server answered {status}: {excerpt}" if excerpt else None
        facts = dict(FOREIGN) if excerpt else {}
        return from_problem({"detail": said, "details": facts}, status=status, retry_after=retry_after)
