"""The routes of bytes: files of a version, archives, uploads. Plain ASGI, past the framework.

With them goes the record of a version, which programs ask for more than for anything else: the framework takes as long
to find its route and to look for parameters as the catalogue takes to answer. It has its place there all the same, for
the document that describes the API and for all other methods.

A request is matched by its decoded path: `%2F` in a file's name is a slash like any other, because no entry has a slash
inside a name.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from entrepot.dialects.native import archives, files, one_shot, packs
from entrepot.dialects.native.context import Asked, Context
from entrepot.dialects.native.routes.versions import answer_record
from entrepot.dialects.native.routing import PREFIX
from entrepot.dialects.native.tus import Tus
from entrepot.http.paths import require_utf8

Call = Callable[[Asked, Mapping[str, str], Receive, Send], Awaitable[None]]

_FILES: Final = re.compile(rf"{PREFIX}/versions/(?P<version>[^/]+)/files/(?P<path>.+)", re.DOTALL)
_ARCHIVE: Final = re.compile(rf"{PREFIX}/versions/(?P<version>[^/]+)/archive")
_RECORD: Final = re.compile(rf"{PREFIX}/versions/(?P<version>[^/]+)")
_UPLOADS: Final = f"{PREFIX}/uploads"
_PACKS: Final = f"{PREFIX}/packs"


class ByteRoutes:
    """Finds the route of a request, or None where JSON answers."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tus = Tus(context)
        self._of_files: Mapping[str, Call] = {
            "GET": files.get,
            "HEAD": files.get,
            "PUT": files.put,
            "DELETE": files.delete,
        }
        self._of_archives: Mapping[str, Call] = {"GET": archives.get, "HEAD": archives.get}

    def find(self, scope: Scope) -> ASGIApp | None:
        if scope["type"] != "http":
            return None
        path: str = scope["path"]
        if "\ufffd" in path:
            require_utf8(scope)
        if path.startswith(_UPLOADS):
            return self._find_upload(scope, path)
        if path == _PACKS:
            return self._route({"PUT": packs.put}, {})
        # Looked for before the expressions are tried: most requests are none of these.
        if "/files/" in path and (match := _FILES.fullmatch(path)):
            return self._route(self._of_files, match.groupdict())
        if path.endswith("/archive") and (match := _ARCHIVE.fullmatch(path)):
            return self._route(self._of_archives, match.groupdict())
        if scope["method"] == "GET" and (match := _RECORD.fullmatch(path)):
            return self._route({"GET": _record}, match.groupdict())
        return None

    def _find_upload(self, scope: Scope, path: str) -> ASGIApp | None:
        rest = path.removeprefix(_UPLOADS)
        if rest not in ("", "/") and (rest[0] != "/" or "/" in rest[1:]):
            return None
        if scope["method"] == "GET" or rest == "/direct":
            return None
        if scope["method"] == "PUT" and rest == "":
            return self._route({"PUT": one_shot.put}, {})
        return self._tus if rest != "/" else None

    def _route(self, calls: Mapping[str, Call], found: Mapping[str, str]) -> ASGIApp:
        async def route(scope: Scope, receive: Receive, send: Send) -> None:
            call = calls.get(scope["method"])
            if call is None:
                raise allowed(calls)
            await call(Asked(self._context, scope), found, receive, send)

        return route


async def _record(asking: Asked, found: Mapping[str, str], receive: Receive, send: Send) -> None:
    response = await answer_record(asking, found["version"])
    await response(asking.scope, receive, send)


def allowed(calls: Mapping[str, object]) -> HTTPException:
    """405, with what there is instead."""
    return HTTPException(405, headers={"allow": ", ".join(sorted(calls))})
