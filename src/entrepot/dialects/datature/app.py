"""The door at the root of the host as one application: its table of routes.

Plain ASGI. It never redirects and knows no slash at the end: its client writes every path itself.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from entrepot.dialects.datature import errors
from entrepot.dialects.datature.context import DOOR, Asked, Context
from entrepot.dialects.datature.routes import assets, custom, datasets, jobs, sessions, webhooks, workspaces
from entrepot.http.doors import ErrorBoundary
from entrepot.model.errors import Malformed

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
    "/projects/{project}/operations/{id}": {"GET": sessions.operation},
}


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)(…?)\}", path)
    text = re.escape(parts[0])
    for name, long, rest in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        text += f"(?P<{name}>.+)" if long else f"(?P<{name}>[^/:]+)"
        text += re.escape(rest)
    return re.compile(text, re.DOTALL)


_TABLE: Final = tuple((_pattern(path), calls) for path, calls in ROUTES.items())


def create_app(context: Context) -> ASGIApp:
    """The door."""
    return ErrorBoundary(_Routes(context), name=DOOR, table=errors.TABLE, encode=errors.encode)


class _Routes:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if "\ufffd" in path:
            _require_utf8(scope)
        other: set[str] = set()
        for pattern, calls in _TABLE:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            call = calls.get(scope["method"])
            if call is not None:
                await call(Asked(self._context, scope, receive, send, found.groupdict()))
                return
            other |= set(calls)
        if other:
            raise HTTPException(405, headers={"allow": ", ".join(sorted(other))})
        raise HTTPException(404)


def _require_utf8(scope: Scope) -> None:
    """Servers put U+FFFD where a path is not UTF-8; taken for the name, two different paths would be one.

    Raises:
        Malformed
    """
    raw: bytes = scope.get("raw_path") or b""
    try:
        unquote_to_bytes(raw.partition(b"?")[0]).decode()
    except UnicodeDecodeError as wrong:
        raise Malformed("The path is not percent-encoded UTF-8.") from wrong
