"""The door at the root of the host as one application: its table of routes.

Plain ASGI. It never redirects and knows no slash at the end: its client writes every path itself.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from entrepot.dialects.datature import errors
from entrepot.dialects.datature.context import DOOR, Asked, Context
from entrepot.dialects.datature.routes import assets, custom, datasets, jobs, sessions, tags, webhooks, workspaces
from entrepot.http.doors import ErrorBoundary
from entrepot.http.paths import PathTable

__all__ = ["ROUTES", "Context", "create_app"]

Call: TypeAlias = Callable[[Asked], Awaitable[None]]

#: Path → method → what answers. A name in braces is one part of the path, up to the next slash or colon; with an
#: ellipsis it takes slashes too.
ROUTES: Final[Mapping[str, Mapping[str, Call]]] = {
    "/workspace": {"GET": workspaces.workspace},
    "/workspace/projects": {"GET": workspaces.list_projects},
    "/projects/{project}": {"GET": workspaces.get_project},
    "/projects/{project}/batch/datasets": {"GET": datasets.list_, "POST": datasets.create},
    "/projects/{project}/batch/datasets/{id}": {"GET": datasets.get, "DELETE": datasets.delete},
    "/projects/{project}/batch/webhooks": {"GET": webhooks.list_, "POST": webhooks.create},
    "/projects/{project}/batch/webhooks/{id}": {
        "GET": webhooks.get,
        "PATCH": webhooks.update,
        "DELETE": webhooks.delete,
    },
    "/projects/{project}/batch/webhooks/{id}/secret": {"PUT": webhooks.update_secret},
    "/projects/{project}/batch/webhooks/{id}:test": {"POST": webhooks.test},
    "/projects/{project}/batch/jobs": {"GET": jobs.list_, "POST": jobs.create},
    "/projects/{project}/batch/jobs/{id}": {"GET": jobs.get, "PATCH": jobs.update, "DELETE": jobs.delete},
    "/projects/{project}/batch/jobs/{id}/logs": {"GET": jobs.logs},
    "/projects/{project}/assets": {"GET": assets.list_},
    "/projects/{project}/assets/{id…}/customMetadatas": {"GET": custom.list_, "PUT": custom.add},
    "/projects/{project}/assets/{id…}/customMetadatas/{custom}": {"DELETE": custom.delete},
    "/projects/{project}/customMetadataBulkUpdates": {"POST": custom.add_many},
    "/projects/{project}/customMetadataBulkUpdates/delete": {"POST": custom.delete_many},
    "/projects/{project}/assets/{id…}": {"GET": assets.get, "PATCH": assets.update, "DELETE": assets.delete},
    "/projects/{project}/assetgroups": {"GET": assets.list_groups},
    "/projects/{project}/assetuploadsessions": {"POST": sessions.create},
    "/projects/{project}/assetuploadsessions/{id}:cancel": {"POST": sessions.cancel},
    "/projects/{project}/assetuploadsessions/{id}/multipart": {"POST": sessions.split},
    "/projects/{project}/multipartassetuploads/{id}": {"DELETE": sessions.abort},
    "/projects/{project}/multipartassetuploads/{id}/complete": {"POST": sessions.complete},
    "/projects/{project}/multipartassetuploads/{id}/parts/{number}": {"PUT": sessions.piece_address},
    "/projects/{project}/multipartassetuploads/{id}/parts/{number}/complete": {"POST": sessions.complete_piece},
    "/projects/{project}/tags": {"GET": tags.list_, "POST": tags.create},
    "/projects/{project}/tags/{index}": {"PATCH": tags.update, "DELETE": tags.delete},
    "/projects/{project}/tags/{pair}:merge": {"POST": tags.merge},
    "/projects/{project}/operations/{id}": {"GET": sessions.operation},
}


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)(…?)\}", path)
    text = re.escape(parts[0])
    for name, long, rest in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        text += f"(?P<{name}>.+)" if long else f"(?P<{name}>[^/:]+)"
        text += re.escape(rest)
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
