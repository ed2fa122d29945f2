"""What becomes of each error at this door: a status by a total table, and a problem document (RFC 9457).

The table is `wire.problem.STATUS`, which the SDK reads too; making an `ErrorTable` of it proves that it is total.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from fastapi.exceptions import RequestValidationError

from entrepot.http.errors import Answer, ErrorTable, Failure
from entrepot.model.errors import EntrepotError, Invalid, Malformed
from entrepot.wire import problem

TABLE: Final = ErrorTable(problem.STATUS)

#: Every status that a JSON route may answer with instead of its own, for the OpenAPI document.
STATUSES: Final = tuple(sorted({*TABLE.rows().values(), 405}))

#: So many faults of one body are told; the rest is counted.
_MAX_FAULTS: Final = 100


def encode(failure: Failure) -> Answer:
    """The problem document of a request that failed."""
    document = problem.to_problem(failure.error, status=failure.status, request_id=failure.request_id)
    body = json.dumps(document, ensure_ascii=False, default=str).encode("utf-8", "replace")
    return Answer(failure.status, body, problem.MEDIA_TYPE, {"cache-control": "no-store"})


def from_validation(error: RequestValidationError) -> EntrepotError:
    """What is wrong with parameters or a body, all of it, without repeating what was sent: it may be a secret."""
    faults = error.errors()
    told = [{"at": _place(one["loc"]), "detail": str(one["msg"])} for one in faults[:_MAX_FAULTS]]
    if not told:
        return Malformed("The request cannot be read.")
    more = f" ({len(faults) - 1} more, see errors)" if len(faults) > 1 else ""
    first = told[0]
    return Invalid(f"{first['at']}: {_lower(first['detail'])}.{more}", errors=told)


def _place(path: Sequence[Any]) -> str:
    """`body.slots[0].length` for ("body", "slots", 0, "length")."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text[:200]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")
