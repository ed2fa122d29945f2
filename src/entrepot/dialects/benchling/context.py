"""What a route of this door works with: the depot, the threads it is called in, who is asking, and how it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from entrepot.depot import credentials, judging
from entrepot.depot.context import Depot
from entrepot.depot.credentials import Bearer
from entrepot.dialects.benchling.decode import Fields
from entrepot.http.body import read_json
from entrepot.http.credentials import Via, find
from entrepot.http.doors import send_answer
from entrepot.http.errors import Answer
from entrepot.http.hosts import Hosts
from entrepot.http.threads import in_thread
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid, Malformed

DOOR: Final = "benchling"
JSON: Final = "application/json"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Context:
    """One per process.

    Args:
        executor: Worker threads for the depot; bounded, because each holds a connection.
        json_body: The largest JSON body, in bytes.
    """

    depot: Depot
    executor: Executor
    hosts: Hosts
    json_body: int = 64 << 20
    json_depth: int = 64


class Asked:
    """One request on its way through a route.

    Args:
        found: The parts of the path that are names, percent-decoded.
    """

    __slots__ = ("_actor", "_query", "context", "found", "receive", "scope", "send")

    def __init__(self, context: Context, scope: Scope, receive: Receive, send: Send, found: Mapping[str, str]) -> None:
        self.context = context
        self.scope = scope
        self.receive = receive
        self.send = send
        self.found = found
        self._actor: Actor | None = None
        self._query: dict[str, str] | None = None

    @property
    def base_url(self) -> str:
        """The address by which this client reaches the server, without a slash at the end."""
        return self.context.hosts.base_url(self.scope)

    @property
    def address(self) -> str | None:
        """Where the request comes from, proxies looked through."""
        return self.context.hosts.client(self.scope)

    def text(self, name: str) -> str | None:
        """A parameter of the query; one without a value is not given.

        Raises:
            Malformed
        """
        if self._query is None:
            raw: bytes = self.scope["query_string"]
            try:
                pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
            except ValueError as wrong:
                raise Malformed("The query is not percent-encoded UTF-8, or has too many parameters.") from wrong
            self._query = dict(pairs)
        return self._query.get(name) or None

    def texts(self, name: str, *, most: int = 1000) -> tuple[str, ...] | None:
        """A parameter that is a list with commas, None where it is not given.

        Raises:
            Malformed, Invalid
        """
        text = self.text(name)
        if text is None:
            return None
        found = tuple(one for one in (one.strip() for one in text.split(",")) if one)
        if len(found) > most:
            raise Invalid(f"{name} names {len(found)} things; {most} at a time are taken.")
        return found

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        """
        Raises:
            Malformed, Invalid
        """
        text = self.text(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdecimal() and len(text) <= 9 and least <= int(text) <= most):
            raise Invalid(f"{name} is a whole number from {least} to {most}, not {text[:40]!r}.")
        return int(text)

    def _authenticate(self) -> Actor:
        """Who asks. Blocks: for worker threads.

        Raises:
            Unauthenticated: Nobody who can be known. This wire has nothing that is for strangers.
        """
        if self._actor is None:
            shown = find(self.scope, (Via.BASIC, Via.BEARER))
            credential = None if shown is None else Bearer(shown.token)
            actor = credentials.authenticate(self.context.depot, credential, door=DOOR, address=self.address)
            judging.logged_in(actor)
            self._actor = actor
        return self._actor

    async def call(self, use_case: Callable[[Depot, Actor], T]) -> T:
        """Run a use case in a worker thread, for whoever asks."""
        return await in_thread(self.context.executor, lambda: use_case(self.context.depot, self._authenticate()))

    async def body(self) -> Fields:
        """What was sent, as an object; whoever asks is authenticated before it is read.

        Raises:
            Malformed, TooLarge, Invalid
        """
        await in_thread(self.context.executor, self._authenticate)
        return Fields(await read_json(self.receive, self.context.json_body, depth=self.context.json_depth))

    async def answer(self, use_case: Callable[[Depot, Actor], Any], *, status: int = 200) -> None:
        """Run a use case that ends in a value, and answer with that as JSON, written in the same thread."""

        def work(depot: Depot, actor: Actor) -> bytes:
            return dumped(use_case(depot, actor))

        await self.send_json(await self.call(work), status=status)

    async def send_json(self, body: bytes, *, status: int = 200) -> None:
        await send_answer(self.send, Answer(status, body, JSON, {"cache-control": "no-store"}))


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
