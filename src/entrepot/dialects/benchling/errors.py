"""What becomes of each error at this door: a status by a total table, and an object under `error`.

Observed with the Python clients 1.9.0 and 1.25.0: on 400, 403 and 404 the body has to be a JSON object whose `error` is
an object (a text or null crashes them); other statuses take any body. 429 and 502 to 504 are repeated five times within
fifteen seconds, nothing else is.
"""

from __future__ import annotations

import json
import re
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
    {errors.Hidden: 404, errors.RateLimited: 429},
)

_TYPES: Final = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error"}
_ID: Final = re.compile(r"/([a-z]+_[A-Za-z0-9_-]+)$")


def encode(failure: Failure) -> Answer:
    error = failure.error
    message = error.message or "The request failed."
    body: dict[str, Any] = {
        "type": _TYPES.get(failure.status, "invalid_request_error" if failure.status < 500 else "server_error"),
        "message": message,
        "userMessage": message,
    }
    named = _ID.search(failure.path)
    if failure.status in (403, 404) and named is not None:
        body["invalidId"] = named[1]
    invalid = error.details.get("invalid_ids")
    if isinstance(invalid, list):
        body["invalidIds"] = invalid
    elif error.errors:
        body["errors"] = error.errors
    text = json.dumps({"error": body}, ensure_ascii=False, default=str).encode("utf-8", "replace")
    headers = {"cache-control": "no-store"}
    if failure.status == 401:
        headers["www-authenticate"] = 'Basic realm="benchling", charset="UTF-8"'
    return Answer(failure.status, text, "application/json", headers)
