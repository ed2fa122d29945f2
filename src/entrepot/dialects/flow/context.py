"""What a route of this door works with: the depot, the threads it is called in, who is asking, and how it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from starlette.types import Message, Receive, Scope, Send

from entrepot.depot import credentials, judging
from entrepot.depot.context import Depot
from entrepot.depot.credentials import Bearer
from entrepot.http.body import read_json
from entrepot.http.credentials import Via, find
from entrepot.http.doors import send_answer
from entrepot.http.errors import Answer
from entrepot.http.hosts import Hosts
from entrepot.http.threads import in_thread
from entrepot.model.access import Actor
from entrepot.model.errors import BadCredentials, Expired, Invalid, Malformed

DOOR: Final = "flow"
PREFIX: Final = "/flow/api"
JSON: Final = "application/json"
#: The name that the client knows. Its path covers `/token` and `/downloads`, which are all that look at it.
COOKIE: Final = "flow_refresh_token"

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
        lenient: Whether credentials that are no good count as none, as the original's searches have it.
    """

    __slots__ = ("_actor", "_lenient", "_query", "_source", "context", "found", "heard", "scope", "send")

    def __init__(
        self,
        context: Context,
        scope: Scope,
        receive: Receive,
        send: Send,
        found: Mapping[str, str],
        *,
        lenient: bool = False,
    ) -> None:
        self.context = context
        self.scope = scope
        self._source = receive
        #: Whether the body has been read to its end.
        self.heard = False
        self.send = send
        self.found = found
        self._lenient = lenient
        self._actor: Actor | None = None
        self._query: dict[str, str] | None = None

    async def receive(self) -> Message:
        message = await self._source()
        self.heard = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    @property
    def address(self) -> str | None:
        """Where the request comes from, proxies looked through."""
        return self.context.hosts.client(self.scope)

    # The query

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters; of one that is there twice, the last.

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
        return self._query

    def text(self, name: str) -> str | None:
        """A parameter; one without a value is not given."""
        return self.query.get(name) or None

    def number(self, name: str, default: int | None = None, *, least: int = -(2**62), most: int = 2**62) -> int | None:
        """A parameter that is a whole number.

        Raises:
            Invalid
        """
        text = self.text(name)
        if text is None:
            return default
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdecimal() and len(digits) <= 18 and least <= int(text) <= most):
            bounds = f" from {least}" if least > -(2**62) else ""
            bounds += f" to {most}" if most < 2**62 else ""
            raise invalid({name: [f"{text[:40]!r} is not a whole number{bounds}."]})
        return int(text)

    def flag(self, name: str) -> bool:
        """A parameter that is on: anything but nothing, `0`, `no`, `false`."""
        return (self.text(name) or "no").lower() not in ("0", "no", "false", "off", "n")

    # Who asks

    def _authenticate(self) -> Actor:
        """Who asks. Blocks: for worker threads."""
        if self._actor is None:
            depot = self.context.depot
            try:
                shown = find(self.scope, (Via.BEARER,))
                credential = None if shown is None else Bearer(shown.token)
                self._actor = credentials.authenticate(depot, credential, door=DOOR, address=self.address)
            except Expired:
                # Never taken for a stranger: whoever gets a 401 refreshes and asks again, and sees what is theirs.
                raise
            except BadCredentials:
                if not self._lenient:
                    raise
                self._actor = credentials.authenticate(depot, None, door=DOOR, address=self.address)
        return self._actor

    def _login(self) -> Actor:
        actor = self._authenticate()
        judging.logged_in(actor)
        return actor

    async def authenticate(self) -> Actor:
        """Whoever asks, who has to be somebody, before anything of a body is read.

        Raises:
            Unauthenticated
        """
        return await in_thread(self.context.executor, self._login)

    async def call(self, use_case: Callable[[Depot, Actor], T]) -> T:
        """Run a use case in a worker thread, for whoever asks."""
        return await in_thread(self.context.executor, lambda: use_case(self.context.depot, self._authenticate()))

    # Bodies and answers

    async def json(self) -> Mapping[str, Any]:
        """What was sent, as a JSON object.

        Raises:
            Malformed, TooLarge, Invalid
        """
        body = await read_json(self.receive, self.context.json_body, depth=self.context.json_depth)
        if not isinstance(body, dict):
            raise Invalid("The body is JSON, but no object.")
        return body

    async def answer(self, use_case: Callable[[Depot, Actor], Any], *, status: int = 200) -> None:
        """Run a use case that ends in a value, and answer with that as JSON, written in the same thread."""

        def work(depot: Depot, actor: Actor) -> bytes:
            return dumped(use_case(depot, actor))

        await self.send_json(await self.call(work), status=status)

    async def send_json(self, body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        fields = {"cache-control": "no-store", **(headers or {})}
        await send_answer(self.send, Answer(status, body, JSON, fields))


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def invalid(fields: Mapping[str, list[str]]) -> Invalid:
    """What is wrong with which field: the client shows it as it is."""
    said = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in fields.items())
    return Invalid(said, details={"fields": dict(fields)})
