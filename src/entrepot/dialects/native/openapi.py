"""The OpenAPI document: what the framework knows of the JSON routes, and what only we know of the routes of bytes."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response
from starlette.routing import Route

from entrepot.dialects.native import errors
from entrepot.dialects.native.byte_docs import BYTE_PATHS
from entrepot.dialects.native.routing import PREFIX, STREAMS, TAKES_SECRET, TELLS_SECRET, LateRoute
from entrepot.wire import problem
from entrepot.wire.messages.base import Problem
from entrepot.wire.messages.packs import Packed

PATH = f"{PREFIX}/openapi.json"

_MEANINGS = {
    400: "The request cannot be read, or names a data type that is not known",
    401: "Who is asking is not known",
    403: "Known, but not allowed",
    404: "There is no such thing, or the caller may not know of it",
    405: "Not with this method",
    409: "The thing is in a state that does not allow this",
    410: "There was such a thing",
    412: "A condition of the request does not hold",
    413: "Beyond a limit",
    415: "Understood, but not something this server does",
    422: "The request is wrong as it stands",
    429: "Too many failed attempts",
    500: "Stored bytes or facts are damaged, or the server has a fault",
    503: "Try again later",
}

_DESCRIPTION = """\
Everything that any door of this server can do can be done here.

Lists have `rows` and `next`; give `next` as `cursor` to get the following page. Errors are problem documents (RFC 9457)
with a stable `code`. Times are RFC 3339 in UTC. Digests are `sha256:<hex>`. Send `Idempotency-Key` with a POST to be
able to repeat it after a lost answer.
"""


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document."""
    found: dict[str, Any] = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        description=_DESCRIPTION,
        routes=[route.route if isinstance(route, LateRoute) else route for route in app.routes],
    )
    components = found.setdefault("components", {})
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "An API token; without one a caller is anonymous."}
    }
    found["security"] = [{"token": []}, {}]
    _share_problems(found)
    for path, item in BYTE_PATHS.items():
        found["paths"].setdefault(path, {}).update(item)
    for path, item in found["paths"].items():
        for method, operation in item.items():
            if isinstance(operation, dict) and "responses" in operation:
                _finish(path, method, operation)
    return found


def _share_problems(found: dict[str, Any]) -> None:
    """Each status once, instead of once a route."""
    shared = found["components"].setdefault("responses", {})
    for status in errors.STATUSES:
        shared[f"problem{status}"] = {
            "description": _MEANINGS[status],
            "content": {problem.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    schemas = found["components"].setdefault("schemas", {})
    # Not told to the framework: it would make a checker of each status for each route, at the first request a second.
    schemas["Problem"] = Problem.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    # Answered by a route of bytes only.
    packed = Packed.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    schemas.update(packed.pop("$defs"))
    schemas["Packed"] = packed
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)


def _finish(path: str, method: str, operation: dict[str, Any]) -> None:
    for status in errors.STATUSES:
        given = operation["responses"].get(str(status))
        # What the framework says of its own checks is not what is answered. What a route of bytes says itself stays.
        if (
            given is None
            or problem.MEDIA_TYPE in given.get("content", {})
            or "application/json" in given.get("content", {})
        ):
            operation["responses"][str(status)] = {"$ref": f"#/components/responses/problem{status}"}
    tells_secret, takes_secret, streams = (operation.pop(one, False) for one in (TELLS_SECRET, TAKES_SECRET, STREAMS))
    if method == "post" and not takes_secret and not streams and not path.startswith(f"{PREFIX}/uploads"):
        operation.setdefault("parameters", []).append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "The same request with the same key is carried out once"
                + (
                    ", for a day; its answer tells a secret and is not told again: 409 `carried_out`."
                    if tells_secret
                    else " and gets the same answer, for a day."
                ),
                "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
            }
        )
    operation.setdefault("operationId", f"{method}_{path}")


def add_to(app: FastAPI) -> None:
    """Serve the document. It is made once, at the first request for it."""
    made: list[bytes] = []

    async def serve(_request: Any) -> Response:
        if not made:
            made.append(json.dumps(document(app), ensure_ascii=False).encode())
        return Response(made[0], media_type="application/json", headers={"cache-control": "no-cache"})

    app.router.routes.append(Route(PATH, serve, methods=["GET"]))
