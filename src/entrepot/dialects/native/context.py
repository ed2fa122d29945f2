"""What a route of this door works with: the depot, the threads it is called in, and who is asking.

A route makes one call into a worker thread. Whoever asks is found out in that same call, so that a small read costs
one hand-over; requests with a body are authenticated before the body is read, which costs a second one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from entrepot.depot import credentials, nodes
from entrepot.depot.context import Depot
from entrepot.depot.credentials import Bearer, Cookie, Credential
from entrepot.http import browser
from entrepot.http.credentials import Via, find
from entrepot.http.fields import field as header
from entrepot.http.hosts import Hosts
from entrepot.http.threads import in_thread
from entrepot.model.access import Actor
from entrepot.model.errors import BadCredentials
from entrepot.wire.messages.base import Answer

DOOR = "native"

T = TypeVar("T")


@dataclass(slots=True)
class Context:
    """One per process.

    Args:
        executor: Worker threads for the depot; bounded, because each holds a connection.
        draining: Set when the server is about to end: whoever waits on behalf of a client stops.
        json_body: The largest JSON body, in bytes.
    """

    depot: Depot
    executor: Executor
    hosts: Hosts
    doors: tuple[str, ...] = (DOOR,)
    json_body: int = 64 << 20
    json_depth: int = 64
    draining: asyncio.Event = field(default_factory=asyncio.Event)


class Asked:
    """One request on its way through a route."""

    __slots__ = ("_actor", "context", "headers", "scope")

    def __init__(self, context: Context, scope: Scope) -> None:
        self.context = context
        self.scope = scope
        self.headers = Headers(scope=scope)
        self._actor: Actor | None = None

    @property
    def base_url(self) -> str:
        """The address by which this client reaches the server, without a slash at the end."""
        return self.context.hosts.base_url(self.scope)

    @property
    def address(self) -> str | None:
        """Where the request comes from, proxies looked through."""
        return self.context.hosts.client(self.scope)

    def _authenticate(self) -> Actor:
        """Who asks. Blocks: for worker threads.

        Raises:
            Unauthenticated, BadCredentials, Expired: By `depot.credentials`.
            Invalid: `Node-Id` names no active node.
        """
        if self._actor is None:
            context = self.context
            actor = credentials.authenticate(context.depot, self._credential(), door=DOOR, address=self.address)
            node = self.headers.get("node-id")
            self._actor = actor if node is None else nodes.acting_for(context.depot, actor, node)
        return self._actor

    def _credential(self) -> Credential | None:
        """A token; or the session of a browser, if a script of our pages shows that it is one of them.

        Raises:
            BadCredentials: The script's page is of another session than the cookie.
        """
        shown = find(self.scope, (Via.BEARER,))
        if shown is not None:
            return Bearer(shown.token)
        token = header(self.scope, browser.TOKEN_FIELD)
        if token is None:
            return None
        cookie = find(self.scope, (Via.COOKIE,), cookie=browser.SESSION_COOKIE)
        if (
            cookie is None
            or not browser.is_form_token(token, cookie.secret)
            or not browser.comes_from_here(self.scope, self.context.hosts)
        ):
            raise BadCredentials("This page belongs to a session that is over. Load it again.")
        return Cookie(cookie.secret)

    async def actor(self) -> Actor:
        if self._actor is None:
            return await in_thread(self.context.executor, self._authenticate)
        return self._actor

    async def call(self, use_case: Callable[[Depot, Actor], T]) -> T:
        """Run one use case in a worker thread, for whoever asks."""
        return await in_thread(self.context.executor, self._call, use_case)

    def _call(self, use_case: Callable[[Depot, Actor], T]) -> T:
        return use_case(self.context.depot, self._authenticate())

    async def answer(
        self,
        use_case: Callable[[Depot, Actor], Answer | bytes],
        *,
        status: int = 200,
        headers: Callable[[Any], dict[str, str]] | None = None,
    ) -> Response:
        """Run a use case that ends in a message, and answer with that message as JSON, written in the same thread.

        Args:
            headers: Further fields, from the message.
        """

        def work(depot: Depot, actor: Actor) -> Response:
            message = use_case(depot, actor)
            return Message(message, status, headers(message) if headers is not None else None)

        return await self.call(work)

    async def nothing(self, use_case: Callable[[Depot, Actor], object]) -> Response:
        """Run a use case that has nothing to tell: 204."""
        await self.call(use_case)
        return Response(status_code=204)


class Message(Response):
    """A message of the API as JSON; bytes are one that is written already."""

    media_type = "application/json"

    def __init__(self, message: Answer | bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        super().__init__(message if isinstance(message, bytes) else message.model_dump_json().encode(), status, headers)
        self.headers.setdefault("cache-control", "no-store")
