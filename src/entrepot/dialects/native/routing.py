"""What surrounds every JSON route of this door, once.

    request ─► who asks, before the body is read ─► body, bounded ─► idempotency key ─► route ─► answer
                                                                        any error ─► problem, here only

With a key, what the route does settles the key in the transaction that does it; see `depot.idempotency`.

The framework parses parameters, fills in the models and writes the OpenAPI document. Its own reading of bodies is not
used: it has no bound, and takes `NaN` for a number.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import cached_property
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, compile_path
from starlette.types import Receive, Scope, Send

from entrepot.depot import idempotency
from entrepot.depot.context import Depot
from entrepot.depot.idempotency import Claim, Deed, Done, Replay
from entrepot.dialects.native import again, errors
from entrepot.dialects.native.context import Asked, Context
from entrepot.http.body import ClientGone, parse_json, read_all
from entrepot.http.doors import ErrorBoundary
from entrepot.http.threads import in_thread
from entrepot.model.access import Actor
from entrepot.model.errors import EntrepotError, Unsupported
from entrepot.wire.messages.base import Request as Message
from entrepot.wire.problem import status_of

PREFIX = "/api/v1"
KEY_HEADER = "idempotency-key"
#: Marks routes that know no keys: they are asked with a password, which is no matter for a record of requests.
TAKES_SECRET = "x-takes-secret"  # noqa: S105
#: Marks routes whose answers must not be kept: they hold a secret that is told once.
TELLS_SECRET = "x-tells-secret"  # noqa: S105

#: Marks routes that are asked something and do nothing, and that may answer with many bytes, or with an address that is
#: good for minutes: a repeat is asked anew.
STREAMS = "x-streams"

#: Bytes from which a body is worth a thread.
_LONG = 32 << 10

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
        form = _typed_form(self)
        marks = self.openapi_extra or {}
        keyed = "POST" in (self.methods or ()) and not marks.get(TAKES_SECRET) and not marks.get(STREAMS)
        once = _Once(inner, self)

        async def handle(request: Request) -> Response:
            context: Context = request.app.state.context
            asking = Asked(context, request.scope)
            request.state.asked = asking
            try:
                if takes_body:
                    await _take_body(request, asking, form)
                if keyed and KEY_HEADER in asking.headers:
                    return await once(request, asking)
                return await inner(request)
            except ClientGone:
                raise
            except Exception as error:
                return _refuse(request, error)

        return handle


class LateRoute(BaseRoute):
    """A route that the framework takes apart when the first request comes for it, or somebody wants it described.

    That takes milliseconds each: done for all of them they were a sixth of the start of a process that answers.
    """

    def __init__(self, path: str, methods: frozenset[str], make: Callable[[], APIRoute]) -> None:
        self._path = path
        self._begins = path.partition("{")[0]
        self._methods = methods
        self._make = make

    @cached_property
    def _match(self) -> Callable[[str], object]:
        return compile_path(self._path)[0].match

    @cached_property
    def route(self) -> APIRoute:
        return self._make()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        # Most routes begin otherwise, which is said in a fraction of what an expression takes.
        if scope["type"] != "http" or not scope["path"].startswith(self._begins) or self._match(scope["path"]) is None:
            return Match.NONE, {}
        return self.route.matches(scope) if scope["method"] in self._methods else (Match.PARTIAL, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.route.handle(scope, receive, send)


class _Router(APIRouter):
    """Makes late routes."""

    def add_api_route(
        self, path: str, endpoint: Callable[..., Any], *, methods: set[str] | list[str] | None = None, **more: Any
    ) -> None:
        def make() -> APIRoute:
            own = APIRouter(prefix=self.prefix, tags=self.tags, route_class=NativeRoute)
            own.add_api_route(path, endpoint, methods=methods, **more)
            (route,) = own.routes
            assert isinstance(route, APIRoute)
            return route

        self.routes.append(LateRoute(self.prefix + path, frozenset(methods or ("GET",)), make))


def router(tag: str) -> APIRouter:
    """The routes of one noun."""
    return _Router(prefix=PREFIX, tags=[tag])


def _typed_form(route: APIRoute) -> type[Message] | None:
    """What a route takes, if that may be read straight from bytes."""
    form = None if route.body_field is None else route.body_field.field_info.annotation
    return form if isinstance(form, type) and issubclass(form, Message) and form.TYPED_THROUGHOUT else None


def _read_typed(form: type[Message], body: bytes) -> Message | None:
    try:
        return form.model_validate_json(body)
    except ValidationError:
        # Whatever is wrong is told by those who read all other bodies.
        return None


async def _take_body(request: Request, asking: Asked, form: type[Message] | None) -> None:
    """Read the body for the framework, which finds it where it would have put it itself.

    Args:
        form: What a long body is read as at once, and not on the event loop: ten thousand changes, taken apart there
            value by value, kept everybody else waiting for a tenth of a second.
    """
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
    if form is not None and len(body) >= _LONG:
        request._json = await in_thread(context.executor, _read_typed, form, body)
        if request._json is not None:
            return
    request._json = parse_json(body, depth=context.json_depth)


class _Once:
    """A route under idempotency keys."""

    def __init__(self, inner: Handler, route: APIRoute) -> None:
        self._inner = inner
        self._form = route.response_model
        self._status = route.status_code or 200
        self._keeps = not (route.openapi_extra or {}).get(TELLS_SECRET)

    async def __call__(self, request: Request, asking: Asked) -> Response:
        """Carry the request out unless its key was used; keep what is answered."""
        depot, executor = asking.context.depot, asking.context.executor
        actor = await asking.actor()
        if actor.is_anonymous:
            return await self._inner(request)
        scope = request.scope
        what = idempotency.fingerprint(
            scope["method"].encode(), scope["path"].encode(), scope["query_string"], await request.body()
        )
        found = await in_thread(executor, idempotency.claim, depot, actor, asking.headers[KEY_HEADER], what)
        if isinstance(found, Replay):
            return _again(Response(found.body, found.status, dict(found.headers)))
        if isinstance(found, Done):
            return _again(await self._answer_done(asking, actor, found))
        try:
            async with _alive(asking.context, found):
                return await self._carry_out(request, asking.context, found)
        except BaseException:
            await in_thread(executor, idempotency.release, depot, found)
            raise

    async def _carry_out(self, request: Request, context: Context, mine: Claim) -> Response:
        try:
            with idempotency.carrying_out(context.depot, mine):
                response = await self._inner(request)
        except (EntrepotError, RequestValidationError) as error:
            if isinstance(error, EntrepotError) and (error.retryable or status_of(error) >= 500):
                raise
            response = _refuse(request, error)
        if self._keeps or response.status_code >= 400:
            await in_thread(context.executor, _keep, context.depot, mine, response)
        else:
            await in_thread(context.executor, idempotency.release, context.depot, mine)
        return response

    async def _answer_done(self, asking: Asked, actor: Actor, done: Done) -> Response:
        def work(depot: Depot, deeds: Sequence[Deed]) -> Response:
            made = again.answer(depot, actor, deeds, self._form, self._status, asking.base_url)
            _keep(depot, done.claim, made)
            return made

        return await in_thread(asking.context.executor, work, asking.context.depot, done.deeds)


def _again(response: Response) -> Response:
    response.headers["idempotency-replayed"] = "true"
    return response


def _keep(depot: Depot, mine: Claim, response: Response) -> None:
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    idempotency.keep(depot, mine, status=response.status_code, headers=headers, body=bytes(response.body))


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
