"""What becomes of each error at this door: a status by a total table, and a JSON object with a text `message`.

Observed with the Python client 1.12.2: it makes its exception of the status and of `message`, and hands the whole body
on as `detail`; a body that is an array or null crashes it. 5xx is repeated four times, POSTs too.
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
        errors.Conflict: 409,
        errors.TooLarge: 413,
        errors.Unsupported: 400,
        errors.Corrupt: 500,
        errors.Unavailable: 503,
    },
    {errors.Hidden: 404, errors.PreconditionFailed: 412, errors.RateLimited: 429},
)


def encode(failure: Failure) -> Answer:
    error = failure.error
    # What may not be known of is missing, to the last word of the answer.
    code = errors.NotFound.code if isinstance(error, errors.Hidden) else error.code
    body: dict[str, Any] = {"message": error.message or "The request failed.", "code": code}
    if error.errors:
        body["errors"] = error.errors
    if failure.request_id is not None:
        body["requestId"] = failure.request_id
    text = json.dumps(body, ensure_ascii=False, default=str).encode("utf-8", "replace")
    return Answer(failure.status, text, "application/json", {"cache-control": "no-store"})
