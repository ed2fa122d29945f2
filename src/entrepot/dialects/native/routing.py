"""What surrounds every JSON route of this door, once.

    request ─► who asks, before the body is read ─► body, bounded ─► idempotency key ─► route ─► answer
                                                                        any error ─► problem, here only

The framework parses parameters, fills in the models and writes the OpenAPI document. Its own reading of bodies is not
used: it has no bound, and takes `NaN` for a number.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import Response

from entrepot.depot import idempotency
from entrepot.depot.idempotency import Claim, Replay
from entrepot.dialects.native import errors
from entrepot.dialects.native.context import Asked, Context
from entrepot.http.body import ClientGone, parse_json, read_all
from entrepot.http.doors import ErrorBoundary
from entrepot.http.threads import in_thread
from entrepot.model.errors import EntrepotError, Unsupported
from entrepot.wire.problem import status_of

PREFIX = "/api/v1"
KEY_HEADER = "idempotency-key"
#: Marks routes whose answers must not be kept: they hold a secret that is told once.
TELLS_SECRET = "x-tells-secret"  # noqa: S105

#: Of an answer, what a repeat gets again.
_KEPT_HEADERS = ("content-type", "etag", "location")

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def asked(request: Request) -> Asked:
    found: Asked = request.state.asked
    return found


Ask = Annotated[Asked, Depends(asked)]
"""The parameter by which a route gets at the depot and the caller."""


class NativeRoute(APIRoute):
    """A JSON route with everything around it."""

    def get_route_handler(self) -> Handler:
        inner = super().get_route_handler()
        takes_body = self.body_field is not None
        keyed = "POST" in (self.methods or ()) and not (self.openapi_extra or {}).get(TELLS_SECRET)

        async def handle(request: Request) -> Response:
            context: Context = request.app.state.context
            asking = Asked(context, request.scope)
            request.state.asked = asking
            try:
                if takes_body:
                    await _take_body(request, asking)
                if keyed and KEY_HEADER in asking.headers:
                    return await _once(inner, request, asking)
                return await inner(request)
            except ClientGone:
                raise
            except Exception as error:
                return _refuse(request, error)

        return handle


def router(tag: str) -> APIRouter:
    """The routes of one noun."""
    return APIRouter(prefix=PREFIX, tags=[tag], route_class=NativeRoute)


async def _take_body(request: Request, asking: Asked) -> None:
    """Read the body for the framework, which finds it where it would have put it itself."""
    await asking.actor()
    context = asking.context
    body = await read_all(request.receive, context.json_body)
    request._body = body
    if not body.strip():
        request._body = b""
        return
    media_type = asking.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not (
        media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))
    ):
        said = f"is {media_type[:80]!r}" if media_type else "has no Content-Type"
        raise Unsupported(f"The body {said}. Send JSON, as application/json.")
    request._json = parse_json(body, depth=context.json_depth)


async def _once(inner: Handler, request: Request, asking: Asked) -> Response:
    """Carry the request out unless its key was used; keep what is answered."""
    depot, executor = asking.context.depot, asking.context.executor
    actor = await asking.actor()
    if actor.is_anonymous:
        return await inner(request)
    scope = request.scope
    what = idempotency.fingerprint(
        scope["method"].encode(), scope["path"].encode(), scope["query_string"], await request.body()
    )
    found = await in_thread(executor, idempotency.claim, depot, actor, asking.headers[KEY_HEADER], what)
    if isinstance(found, Replay):
        return Response(found.body, found.status, {**found.headers, "idempotency-replayed": "true"})
    try:
        async with _alive(asking.context, found):
            try:
                response = await inner(request)
            except (EntrepotError, RequestValidationError) as error:
                if isinstance(error, EntrepotError) and (error.retryable or status_of(error) >= 500):
                    raise
                response = _refuse(request, error)
            headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
            await in_thread(
                executor,
                idempotency.keep,
                depot,
                found,
                status=response.status_code,
                headers=headers,
                body=bytes(response.body),
            )
            return response
    except BaseException:
        await in_thread(executor, idempotency.release, depot, found)
        raise


@contextlib.asynccontextmanager
async def _alive(context: Context, mine: Claim) -> AsyncIterator[None]:
    """Renew the claim while the work takes long."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(idempotency.RENEW_EVERY_S)
            with contextlib.suppress(EntrepotError):
                await in_thread(context.executor, idempotency.renew, context.depot, mine)

    task = asyncio.create_task(renew())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _refuse(request: Request, error: Exception) -> Response:
    """The answer to whatever went wrong, as this door tells it."""
    boundary: ErrorBoundary = request.app.state.boundary
    if isinstance(error, RequestValidationError):
        error = errors.from_validation(error)
    answer = boundary.answer(request.scope, error)
    return Response(answer.body, answer.status, dict(answer.headers), answer.media_type)
