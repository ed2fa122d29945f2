"""What becomes of each error at this door: a status by a total table, and a JSON object under `error`.

Observed with the Python client 0.14.1: 400, 401, 404 and 422 have exceptions of their own; `error` is their message,
a text or lists of texts by field; a body that is an array crashes it. Only 401 makes it refresh its token, only
502 to 504 make it send a chunk again.
"""

from __future__ import annotations

import json
from typing import Any, Final

from entrepot.http.errors import Answer, ErrorTable, Failure
from entrepot.model import errors

__all__ = ["TABLE", "encode"]

TABLE: Final = ErrorTable(
    {
        errors.Invalid: 400,
        errors.Unauthenticated: 401,
        errors.Forbidden: 403,
        errors.NotFound: 404,
        errors.Gone: 404,
        errors.Conflict: 400,
        errors.TooLarge: 413,
        errors.Unsupported: 400,
        errors.Corrupt: 500,
        errors.Unavailable: 503,
    },
    # What is being carried out already is tried again by whoever gets a 503, and by nobody who gets a 400.
    {errors.Hidden: 404, errors.RateLimited: 429, errors.InProgress: 503},
)


def encode(failure: Failure) -> Answer:
    if failure.path.startswith("/flow/api/downloads/"):
        # Refusals of bytes have no words: whether there is something is nobody's business who may not have it.
        return Answer(404 if failure.status < 500 else failure.status)
    text = json.dumps(_body(failure), ensure_ascii=False, default=str).encode("utf-8", "replace")
    return Answer(failure.status, text, "application/json", {"cache-control": "no-store"})


def _body(failure: Failure) -> dict[str, Any]:
    error = failure.error
    fields = error.details.get("fields")
    if isinstance(fields, dict):
        # Bare, not under `error`: so the original answers for fields, and so its users look for them.
        return fields
    if failure.status == 404 and failure.method in ("GET", "HEAD") and _is_thing(failure.path):
        return {"error": "Not found"}
    message = error.message or "The request failed."
    if error.errors:
        return {"error": {"message": message, "details": error.errors}}
    return {"error": message}


def _is_thing(path: str) -> bool:
    """Whether the path names one thing, for which the original says the same two words whatever the reason."""
    return path.startswith(("/flow/api/data/", "/flow/api/projects/", "/flow/api/samples/"))
