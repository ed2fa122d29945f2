"""What a route of this door works with: the depot, the threads it is called in, who is asking, and how it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

from starlette.types import Receive, Scope, Send

from entrepot.depot import credentials, judging
from entrepot.depot.context import Depot
from entrepot.depot.credentials import Bearer
from entrepot.http.body import read_json
from entrepot.http.credentials import Via, find
from entrepot.http.doors import send_answer
from entrepot.http.errors import Answer
from entrepot.http.hosts import Hosts
from entrepot.http.threads import in_thread
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid, Malformed
from entrepot.model.ids import Noun

DOOR = "datature"
JSON = "application/json"

#: Rows of a page where the client does not say; it always does.
PAGE = 100

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
        self._query: list[tuple[str, str]] | None = None

    @property
    def base_url(self) -> str:
        """The address by which this client reaches the server, without a slash at the end."""
        return self.context.hosts.base_url(self.scope)

    @property
    def project(self) -> UUID:
        """The project that the path names.

        Raises:
            NotFound: It is no id of a project.
        """
        return ids.decode(Noun.PROJECT, self.found["project"])

    # The query is put together by hand in the client: it ends in `&`, lists are `key[]=a&key[]=b`, nothing is escaped.

    def texts(self, name: str) -> list[str]:
        """Every value of a parameter, a list's too."""
        if self._query is None:
            raw: bytes = self.scope["query_string"]
            try:
                self._query = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict")
            except ValueError as wrong:
                raise Malformed("The query is not percent-encoded UTF-8.") from wrong
        return [value for key, value in self._query if key in (name, f"{name}[]")]

    def text(self, name: str) -> str | None:
        """A parameter; one without a value is not given."""
        found = self.texts(name)
        return found[-1] or None if found else None

    def number(self, name: str) -> int | None:
        """A parameter that is a whole number.

        Raises:
            Invalid
        """
        text = self.text(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) <= 18):
            raise Invalid(f"{name} is a whole number, not {text[:40]!r}.")
        return int(text)

    def limit(self) -> int:
        """The rows of the page that is asked for."""
        found = self.number("limit")
        return PAGE if found is None else found

    def _authenticate(self) -> Actor:
        """Who asks. Blocks: for worker threads.

        Raises:
            Unauthenticated: Nobody who can be known. This wire has nothing that is for strangers.
        """
        if self._actor is None:
            shown = find(self.scope, (Via.KEY,))
            credential = None if shown is None else Bearer(shown.token)
            address = self.context.hosts.client(self.scope)
            actor = credentials.authenticate(self.context.depot, credential, door=DOOR, address=address)
            judging.logged_in(actor)
            self._actor = actor
        return self._actor

    async def call(self, use_case: Callable[[Depot, Actor], T]) -> T:
        """Run a use case in a worker thread, for whoever asks."""
        return await in_thread(self.context.executor, lambda: use_case(self.context.depot, self._authenticate()))

    async def body(self) -> Any:
        """What was sent, as a JSON value, None for no body; whoever asks is authenticated before it is read.

        Raises:
            Malformed, TooLarge
        """
        await in_thread(self.context.executor, self._authenticate)
        return await read_json(self.receive, self.context.json_body, depth=self.context.json_depth, empty=True)

    async def answer(self, use_case: Callable[[Depot, Actor], Any], *, status: int = 200) -> None:
        """Run a use case that ends in a value, and answer with that as JSON, written in the same thread.

        There is always a body: the client crashes without one, whatever the status.
        """

        def work(depot: Depot, actor: Actor) -> bytes:
            return json.dumps(use_case(depot, actor), ensure_ascii=False).encode()

        await send_answer(self.send, Answer(status, await self.call(work), JSON, {"cache-control": "no-store"}))
