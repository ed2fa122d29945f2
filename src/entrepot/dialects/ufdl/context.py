"""What a route of this door works with: the depot, the threads it is called in, who is asking, and how it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from starlette.types import Receive, Scope, Send

from entrepot.depot import credentials, nodes
from entrepot.depot.context import Depot
from entrepot.depot.credentials import Bearer
from entrepot.dialects.ufdl import bodies
from entrepot.http.content import Representation, send_stream
from entrepot.http.credentials import Via, find
from entrepot.http.doors import send_answer
from entrepot.http.errors import Answer
from entrepot.http.fields import field
from entrepot.http.hosts import Hosts
from entrepot.http.threads import in_thread
from entrepot.model.access import RULES, STAFF_ONLY, Action, Actor, Rule
from entrepot.model.errors import Invalid
from entrepot.model.values import Role

DOOR = "ufdl"
PREFIX = "/v1"
JSON = "application/json"

#: What this door's documents allow less than the product does. Both tables have to say yes.
NARROW: Final[Mapping[Action, Rule]] = {
    # A public dataset shows its record; its files are for members.
    Action.READ_CONTENT: Rule(Role.READ),
    # Merging asks the same of both sides, whether the source stays or not.
    Action.MERGE_SOURCE: RULES[Action.EDIT],
    Action.REINSTATE: STAFF_ONLY,
    Action.PURGE: STAFF_ONLY,
    Action.REINSTATE_PROJECT: STAFF_ONLY,
    Action.PURGE_PROJECT: STAFF_ONLY,
    # Names of other people.
    Action.VIEW_PEOPLE: STAFF_ONLY,
}

#: A longer answer is sent while it is made, without a length.
_WHOLE: Final = 256 << 10

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
        as_node: Whether acting for a node matters to what is asked; only then the header is looked at.
    """

    __slots__ = ("_actor", "_as_node", "context", "receive", "scope", "send")

    def __init__(self, context: Context, scope: Scope, receive: Receive, send: Send, *, as_node: bool) -> None:
        self.context = context
        self.scope = scope
        self.receive = receive
        self.send = send
        self._as_node = as_node
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
        """Who asks. Blocks: for worker threads."""
        if self._actor is None:
            depot = self.context.depot
            shown = find(self.scope, (Via.BEARER,))
            credential = None if shown is None else Bearer(shown.token)
            actor = credentials.authenticate(depot, credential, door=DOOR, address=self.address, narrow=NARROW)
            node = field(self.scope, b"node-id") if self._as_node else None
            self._actor = actor if node is None else _acting_for(depot, actor, node)
        return self._actor

    async def authenticate(self) -> None:
        """Find out who asks before anything of a body is read."""
        if self._actor is None:
            await in_thread(self.context.executor, self._authenticate)

    async def call(self, use_case: Callable[[Depot, Actor], T]) -> T:
        """Run a use case in a worker thread, for whoever asks."""
        return await in_thread(self.context.executor, lambda: use_case(self.context.depot, self._authenticate()))

    async def call_at_once(self, use_case: Callable[[Depot, Actor], T]) -> T:
        """As `call`, and who asks is looked up in the same read of the catalogue as the first thing that is asked.

        For short use cases that are called by the thousand.
        """

        def work() -> T:
            with self.context.depot.one_moment():
                return use_case(self.context.depot, self._authenticate())

        return await in_thread(self.context.executor, work)

    async def body(self) -> bodies.Body:
        """What was sent, as names and values; whoever asks is authenticated first.

        Raises:
            Malformed, Invalid: It cannot be read, or is no object.
            Unsupported: It is of another type.
        """
        await self.authenticate()
        return await self.body_of_anybody()

    async def body_of_anybody(self) -> bodies.Body:
        """As `body`, from somebody who may still have to log in."""
        return await bodies.read(self.scope, self.receive, self.context.json_body, self.context.json_depth)

    async def json(self) -> Any:
        """A JSON value of any kind, None for no body; whoever asks is authenticated first."""
        await self.authenticate()
        return await bodies.read_value(self.receive, self.context.json_body, self.context.json_depth)

    async def answer(self, use_case: Callable[[Depot, Actor], Any], *, status: int = 200) -> None:
        """Run a use case that ends in a value, and answer with that as JSON, written in the same thread."""

        def work(depot: Depot, actor: Actor) -> bytes:
            return dumped(use_case(depot, actor))

        await send_answer(self.send, Answer(status, await self.call(work), JSON, _PRIVATE))

    async def nothing(self, use_case: Callable[[Depot, Actor], object]) -> None:
        """Run a use case that has nothing to tell: 204."""
        await self.call(use_case)
        await send_answer(self.send, Answer(204))

    async def stream(self, use_case: Callable[[Depot, Actor], Iterator[bytes]], *, status: int = 200) -> None:
        """Run a use case that gives JSON piece by piece: sent whole if it is short, else while it is made.

        Args:
            status: Of a short answer; what is long is only ever read.
        """

        def begin(depot: Depot, actor: Actor) -> tuple[bytes, Iterator[bytes] | None]:
            pieces = use_case(depot, actor)
            parts, gathered = [], 0
            for piece in pieces:
                parts.append(piece)
                gathered += len(piece)
                if gathered >= _WHOLE:
                    return b"".join(parts), pieces
            return b"".join(parts), None

        first, rest = await self.call(begin)
        if rest is None or status != 200:
            whole = first if rest is None else first + await in_thread(self.context.executor, b"".join, rest)
            await send_answer(self.send, Answer(status, whole, JSON, _PRIVATE))
            return
        await send_stream(
            self.scope,
            self.receive,
            self.send,
            _joined(first, rest),
            Representation(media_type=JSON, headers=(("cache-control", "no-store"),)),
            executor=self.context.executor,
        )


_PRIVATE: Final = {"cache-control": "no-store"}


def _joined(first: bytes, rest: Iterator[bytes]) -> Generator[bytes, None, None]:
    yield first
    yield from rest


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _acting_for(depot: Depot, actor: Actor, shown: str) -> Actor:
    """The actor on behalf of the node that the header names by its number.

    Raises:
        Invalid: There is no such node.
        Forbidden: The token is bound to another one.
    """
    if not (shown.isascii() and shown.isdigit() and len(shown) < 20):
        raise Invalid(f"Bad Node-Id header {shown[:60]!r}: it is not the number of a node.")
    try:
        return nodes.acting_for(depot, actor, int(shown))
    except Invalid as error:
        raise Invalid(f"Bad Node-Id header {shown!r}: {error.message}") from error
