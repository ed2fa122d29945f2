"""The native API as one application: JSON routes by FastAPI, routes of bytes as plain ASGI callables before it.

Bytes go past the framework because each of its layers costs every message of a large body a call, and because its
own answers with files are slower and wrong in conditional requests.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from entrepot._version import __version__
from entrepot.dialects.native import errors, openapi
from entrepot.dialects.native.byte_routes import ByteRoutes
from entrepot.dialects.native.context import DOOR, Context
from entrepot.dialects.native.routes import (
    batches,
    data_types,
    entries,
    finding,
    history,
    licences,
    nodes,
    notes,
    packs,
    projects,
    records,
    relationships,
    server,
    session,
    slots,
    tables,
    tasks,
    teams,
    tokens,
    unpacking,
    uploads,
    users,
    versions,
    webhooks,
)
from entrepot.http.doors import ErrorBoundary
from entrepot.model.errors import EntrepotError

_NOUNS = (
    server,
    session,
    users,
    tokens,
    teams,
    nodes,
    licences,
    projects,
    versions,
    history,
    entries,
    slots,
    uploads,
    unpacking,
    packs,
    tasks,
    records,
    tables,
    relationships,
    notes,
    finding,
    webhooks,
    batches,
    data_types,
)


def create_app(context: Context) -> ASGIApp:
    """The door at /api/v1."""
    return ErrorBoundary(_Door(context), name=DOOR, table=errors.TABLE, encode=errors.encode)


class _Door:
    """Bytes here, JSON there."""

    def __init__(self, context: Context) -> None:
        self._bytes = ByteRoutes(context)
        self._json = json_app(context)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._bytes.find(scope)
        await (self._json if route is None else route)(scope, receive, send)


def json_app(context: Context) -> FastAPI:
    """The JSON routes and their OpenAPI document."""
    app = FastAPI(
        title="Entrepot",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.context = context
    app.state.boundary = ErrorBoundary(app, name=DOOR, table=errors.TABLE, encode=errors.encode)
    # As they are, and not by `include_router`, which makes each of them anew for this application, checkers and all,
    # while the first request waits for it. They share nothing with the application that a context would have to tell.
    for noun in _NOUNS:
        app.router.routes.extend(noun.routes.routes)
    openapi.add_to(app)

    async def refuse(request: Request, error: Exception) -> Response:
        answer = app.state.boundary.answer(request.scope, error)
        return Response(answer.body, answer.status, dict(answer.headers), answer.media_type)

    # No such route, wrong method; and lines whose first row cannot be read.
    app.add_exception_handler(HTTPException, refuse)
    app.add_exception_handler(EntrepotError, refuse)
    return app
