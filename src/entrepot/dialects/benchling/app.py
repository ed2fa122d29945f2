"""The door at /api/v2 and /api/v2-beta as one application: its table of routes.

Plain ASGI. It never redirects: its clients do not follow. Both prefixes lead to the same routes, since the old client
has its datasets at the second and its tasks at the first.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from entrepot.dialects.benchling import errors
from entrepot.dialects.benchling.context import DOOR, Asked, Context
from entrepot.dialects.benchling.routes import datasets, frames, session, shared, tasks
from entrepot.http.doors import ErrorBoundary
from entrepot.http.paths import PathTable

__all__ = ["ROUTES", "Context", "create_app"]

Call: TypeAlias = Callable[[Asked], Awaitable[None]]

#: Path below either prefix → method → what answers. A name in braces is one part of the path.
ROUTES: Final[Mapping[str, Mapping[str, Call]]] = {
    "/token": {"POST": session.token},
    "/tasks/{id}": {"GET": tasks.get},
    "/data-frames": {"POST": frames.create_unplaced},
    "/data-frames/{id}": {"GET": frames.get, "PATCH": frames.update},
    "/datasets": {"GET": datasets.list_, "POST": shared.create},
    "/datasets:archive": {"POST": datasets.archive},
    "/datasets:unarchive": {"POST": datasets.unarchive},
    "/datasets/{id}": {"GET": shared.get, "PATCH": shared.update},
}


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    text = "/api/v2(?:-beta)?" + re.escape(parts[0])
    for name, rest in zip(parts[1::2], parts[2::2], strict=True):
        text += f"(?P<{name}>[^/]+)" + re.escape(rest)
    return re.compile(text, re.DOTALL)


_TABLE: Final = PathTable(ROUTES, _pattern)


def create_app(context: Context) -> ASGIApp:
    """The door."""
    return ErrorBoundary(_Routes(context), name=DOOR, table=errors.TABLE, encode=errors.encode)


class _Routes:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _TABLE.find(scope)
        if found is None:
            raise HTTPException(404)
        call, names = found
        await call(Asked(self._context, scope, receive, send, names))
