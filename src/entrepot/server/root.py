"""The root of the host: every path belongs to a door, to operations, or to nobody yet.

Two foreign clients insist on the root of the host, so who owns which prefix is fixed. A prefix whose door is closed,
or that is kept for one to come, answers 404 like any unknown path.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from entrepot.dialects.native import errors
from entrepot.http.doors import ErrorBoundary, send_answer
from entrepot.http.errors import Answer
from entrepot.model.errors import NotFound
from entrepot.server.operations import PATHS, Operations

#: First one or two segments of a path → who answers. Longer ones are looked for first.
PREFIXES: Mapping[str, str] = {
    "/api/v1": "native",
    "/api/v2": "benchling",
    "/api/v2-beta": "benchling",
    "/workspace": "datature",
    "/workspaces": "datature",
    "/projects": "datature",
    "/flow/api": "flow",
    "/v1": "ufdl",
    "/objects": "objects",
    "/ui": "web",
}

_POINTER = b"This is an Entrepot server. Its API is at /api/v1/, described by /api/v1/openapi.json.\n"


class Root:
    """The application behind the edge.

    Args:
        doors: Those that are open, by name.
    """

    def __init__(self, doors: Mapping[str, ASGIApp], operations: Operations) -> None:
        self._doors = doors
        self._operations = operations
        self._nobody = ErrorBoundary(_nothing_here, name="none", table=errors.TABLE, encode=errors.encode)

    def door_of(self, path: str) -> str:
        """The name of the open door that a path belongs to; `operations`, `root` or `none` otherwise."""
        first, _, rest = path[1:].partition("/")
        owner = PREFIXES.get(f"/{first}/{rest.partition('/')[0]}") or PREFIXES.get(f"/{first}")
        if owner is not None:
            return owner if owner in self._doors else "none"
        if path in PATHS:
            return "operations"
        return "root" if path == "/" else "none"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1003})
            return
        owner = self.door_of(scope["path"])
        if owner == "root":
            await self._root(scope, receive, send)
        elif owner == "operations":
            await self._operations(scope, receive, send)
        else:
            await self._doors.get(owner, self._nobody)(scope, receive, send)

    async def _root(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await self._nobody(scope, receive, send)
        elif "web" in self._doors:
            await send_answer(send, Answer(307, headers={"location": "/ui/"}))
        else:
            await send_answer(send, Answer(200, _POINTER, "text/plain; charset=utf-8"))


async def _live(receive: Receive, send: Send) -> None:
    """Nothing is opened or closed here: whoever made the house does both."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _nothing_here(scope: Scope, _receive: Receive, _send: Send) -> None:
    raise NotFound(f"This server has nothing at {scope['path'][:200]}.")
