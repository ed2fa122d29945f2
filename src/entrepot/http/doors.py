"""One door as an ASGI application: its routes, and every error answered once, in the door's own shape.

An error passes through the routes untouched. It is turned into a body here, by the door's table and its function, also
when the route does not exist, the method is wrong, or the cause is a fault of ours: clients of a dialect understand
nothing but their dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entrepot.http.credentials import shows_none
from entrepot.http.errors import Answer, Encode, ErrorTable, Failure
from entrepot.http.fields import encode_fields
from entrepot.http.middleware import request_id, shown_path
from entrepot.model.errors import EntrepotError, NotFound, Unavailable, Unsupported
from entrepot.wire import problem

__all__ = ["ErrorBoundary", "door", "send_answer"]

_log = structlog.get_logger("entrepot.http")


def door(
    name: str,
    routes: Sequence[BaseRoute],
    *,
    table: ErrorTable,
    encode: Encode,
    anonymous: Callable[[Scope], bool] = shows_none,
) -> ASGIApp:
    """A door of these routes. It never redirects: a path with a slash too many is another path.

    Args:
        anonymous: Whether a request shows no credentials, for tables that treat strangers differently.
    """
    return ErrorBoundary(_Routes(routes), name=name, table=table, encode=encode, anonymous=anonymous)


class _Routes:
    """A router that raises for what it does not have, so that the door answers in its own shape."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._router = Router(routes, redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Routes raise where there is an application and write text where there is none.
        scope["app"] = self._router
        await self._router(scope, receive, send)


class ErrorBoundary:
    """Answers what an application raises, by a door's table.

    - An error of the tree gets the status of the table.
    - An exception of the framework (no such route, wrong method) gets the status that HTTP has for it.
    - Anything else is our fault: logged with its traceback, answered as 500 with the request's id and nothing else.
    - After the first byte of an answer there is no other answer: the exception goes on and breaks the connection.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        name: str,
        table: ErrorTable,
        encode: Encode,
        anonymous: Callable[[Scope], bool] = shows_none,
    ) -> None:
        self._app = app
        self._name = name
        self._table = table
        self._encode = encode
        self._anonymous = anonymous

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = complete = False

        async def watched(message: Message) -> None:
            nonlocal started, complete
            started = True
            complete = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            raise
        except Exception as error:
            answer = self.answer(scope, error, broken=started)
            if complete:
                return
            if started:
                raise
            await send_answer(send, answer)

    def answer(self, scope: Scope, error: Exception, *, broken: bool = False) -> Answer:
        """What the door answers to an exception; faults of ours are logged.

        For frameworks that insist on handling exceptions themselves, too.

        Args:
            broken: The answer is not going to be sent, because another one had begun.
        """
        failure = self._failure(scope, error)
        about = {"door": self._name, "method": failure.method[:20], "path": shown_path(scope), "status": failure.status}
        if failure.error is not error and not isinstance(error, HTTPException):
            _log.error("fault", exc_info=error, **about)
        elif failure.status >= 500 and not isinstance(error, Unavailable):
            _log.error("failed", exc_info=error, **about)
        elif failure.status >= 500 or broken:
            _log.warning("failed", code=failure.error.code, message=failure.error.message, broken=broken, **about)
        try:
            answer = self._encode(failure)
        except Exception:
            _log.exception("the door could not write its error", **about)
            answer = Answer(500)
        return Answer(answer.status, answer.body, answer.media_type, {**failure.headers, **_lower(answer.headers)})

    def _failure(self, scope: Scope, error: Exception) -> Failure:
        headers: Mapping[str, str] = {}
        found: EntrepotError
        if isinstance(error, EntrepotError):
            found, status = error, self._table.status(error, anonymous=self._anonymous(scope))
        elif isinstance(error, HTTPException):
            status, headers = error.status_code, _lower(error.headers or {})
            found = _of_the_framework(scope, error)
        else:
            status = 500
            found = EntrepotError(
                f"Something is wrong in this server. Its operator finds it in the log under {request_id(scope)}."
            )
        headers = {**problem.headers(found), **headers}
        return Failure(found, status, scope["method"], shown_path(scope), request_id(scope), headers)


def _of_the_framework(scope: Scope, error: HTTPException) -> EntrepotError:
    if error.status_code == 404:
        return NotFound(f"This server has nothing at {shown_path(scope)}.")
    if error.status_code == 405:
        return Unsupported(f"{scope['method'][:20]} is nothing that can be done at {shown_path(scope)}.")
    return problem.from_problem({"detail": str(error.detail)}, status=error.status_code)


def _lower(fields: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in fields.items()}


async def send_answer(send: Send, answer: Answer) -> None:
    """Send a small answer as a whole."""
    fields = {"content-length": str(len(answer.body))}
    if answer.media_type is not None:
        fields["content-type"] = answer.media_type
    fields |= _lower(answer.headers)
    if answer.status in (204, 304):
        del fields["content-length"]
    await send({"type": "http.response.start", "status": answer.status, "headers": encode_fields(fields.items())})
    await send({"type": "http.response.body", "body": answer.body})
