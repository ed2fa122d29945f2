"""The door at /flow/api as one application: its table of routes.

Plain ASGI. It never redirects, since its client does not follow, so every path works with and without a slash at its
end.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from entrepot.dialects.flow import errors
from entrepot.dialects.flow.context import DOOR, PREFIX, Asked, Context
from entrepot.dialects.flow.routes import data, imports, listing, people, samples, session, uploads, vocabulary
from entrepot.http.doors import ErrorBoundary
from entrepot.http.paths import require_utf8

__all__ = ["ROUTES", "Context", "create_app"]

Call: TypeAlias = Callable[[Asked], Awaitable[None]]

#: Path below the prefix → method → what answers. The first that fits; `{name…}` takes slashes too.
ROUTES: Final[Mapping[str, Mapping[str, Call]]] = {
    "login": {"POST": session.login},
    "logout": {"POST": session.logout, "GET": session.logout},
    "token": {"GET": session.token},
    "me": {"GET": people.me},
    "upload": {"POST": uploads.upload},
    "upload/sample": {"POST": samples.upload_sample},
    "upload/annotation": {"POST": samples.upload_annotation},
    "upload/multiplexed": {"POST": samples.upload_multiplexed},
    "annotation/{type}": {"GET": samples.annotation_template},
    "data/types": {"GET": listing.list_types},
    "data/search": {"GET": listing.search_data},
    "data/{id}": {"GET": data.get},
    "data/{id}/contents": {"GET": data.contents},
    "projects/owned": {"GET": listing.owned_projects},
    "projects/search": {"GET": listing.search_projects},
    "projects/{id}": {"GET": listing.get_project},
    "projects/{id}/samples": {"GET": listing.project_samples},
    "users/search": {"GET": listing.search_users},
    "organisms": {"GET": vocabulary.list_organisms},
    "samples/types": {"GET": vocabulary.list_types},
    "samples/metadata": {"GET": vocabulary.list_attributes},
    "samples/metadata/{identifier}/options": {"GET": vocabulary.list_options},
    "samples/search": {"GET": listing.search_samples},
    "samples/owned": {"GET": listing.owned_samples},
    "samples/{id}": {"GET": listing.get_sample},
    "v2/sample-imports": {"POST": imports.start},
    "v2/sample-imports/{id}": {"GET": imports.get},
    "downloads/{id}/{filename…}": {"GET": data.download, "HEAD": data.download},
}

#: Where the original takes credentials that are no good for none at all.
_LENIENT: Final[frozenset[Call]] = frozenset(
    {listing.search_data, listing.list_types, listing.search_projects, listing.search_samples}
)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)(…?)\}", path)
    text, slash = re.escape(parts[0]), "/?"
    for name, long, rest in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        text += f"(?P<{name}>.+)" if long else f"(?P<{name}>[^/]+)"
        text += re.escape(rest)
        slash = "" if long else "/?"
    return re.compile(f"{PREFIX}/{text}{slash}", re.DOTALL)


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
            require_utf8(scope)
        other: set[str] = set()
        for pattern, calls in _TABLE:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            call = calls.get(scope["method"])
            if call is not None:
                asked = Asked(self._context, scope, receive, send, found.groupdict(), lenient=call in _LENIENT)
                await call(asked)
                return
            other |= set(calls)
        if other:
            raise HTTPException(405, headers={"allow": ", ".join(sorted(other))})
        raise HTTPException(404)
