"""The door at /v1 as one application: its table of routes, and leave for pages of any origin to ask.

Plain ASGI. Every route works with and without a slash at its end, without a redirect (a client that is redirected loses
its body); only behind `files/`, `file-handles/` and `metadata/` everything is a name, slashes too.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entrepot.dialects.ufdl import errors
from entrepot.dialects.ufdl.context import DOOR, JSON, PREFIX, Asked, Context, dumped
from entrepot.dialects.ufdl.routes import auth, datasets, files, licences, people, projects
from entrepot.http.doors import ErrorBoundary, send_answer
from entrepot.http.errors import Answer
from entrepot.http.middleware import shown_path
from entrepot.http.paths import PathTable
from entrepot.model.errors import NotFound

__all__ = ["KINDS", "ROUTES", "Context", "create_app"]

Call: TypeAlias = Callable[[Asked, Mapping[str, str]], Awaitable[None]]

#: What there are lists of, for `GET /v1/`.
KINDS: Final = ("users", "teams", "projects", "licences", "datasets", "nodes")


async def index(asked: Asked, _found: Mapping[str, str]) -> None:
    """Where the lists of each kind are."""
    found = {kind: f"{asked.base_url}{PREFIX}/{kind}/list" for kind in KINDS}
    await send_answer(asked.send, Answer(200, dumped(found), JSON))


def _crud(retrieve: Call, update: Call, partial_update: Call, destroy: Call) -> dict[str, Call]:
    return {"GET": retrieve, "PUT": update, "PATCH": partial_update, "DELETE": destroy}


_LICENCES: Final[Mapping[str, Mapping[str, Call]]] = {
    "list": {"POST": licences.list_},
    "create": {"POST": licences.create},
    "{pk}": _crud(licences.retrieve, licences.update, licences.partial_update, licences.destroy),
    "{pk}/subdescriptors": {"PATCH": licences.subdescriptors},
}

#: Path below the prefix → method → what answers. The first that fits; `{name…}` takes slashes too. What is asked for by
#: the thousand stands first.
ROUTES: Final[Mapping[str, Mapping[str, Call]]] = {
    "datasets/{pk}/files/{name…}": {"POST": files.add, "GET": files.get, "DELETE": files.delete},
    "": {"GET": index},
    "auth/obtain": {"POST": auth.obtain},
    "auth/refresh": {"POST": auth.refresh},
    "auth/verify": {"POST": auth.verify},
    "datasets/list": {"POST": datasets.list_},
    "datasets/create": {"POST": datasets.create},
    "datasets/{pk}": _crud(datasets.retrieve, datasets.update, datasets.partial_update, datasets.destroy),
    "datasets/{pk}/hard": {"DELETE": datasets.hard_delete},
    "datasets/{pk}/reinstate": {"DELETE": datasets.reinstate},
    "datasets/{pk}/clear": {"DELETE": datasets.clear},
    "datasets/{pk}/merge/{other}": {"POST": datasets.merge},
    "datasets/{pk}/download": {"POST": files.download, "GET": files.download_by_query},
    "datasets/{pk}/copy": {"POST": datasets.copy},
    "datasets/{pk}/files-multi": {"POST": files.add_many},
    "datasets/{pk}/file-handles/{name…}": {"GET": files.get_by_handle},
    "datasets/{pk}/metadata": {"GET": files.all_metadata},
    "datasets/{pk}/metadata/{name…}": {"POST": files.set_metadata, "GET": files.get_metadata},
    "users/list": {"POST": people.list_users},
    "users/create": {"POST": people.create_user},
    "users/{pk}": _crud(people.get_user, people.update_user, people.partial_update_user, people.destroy_user),
    "teams/list": {"POST": people.list_teams},
    "teams/create": {"POST": people.create_team},
    "teams/{pk}": _crud(people.retrieve_team, people.update_team, people.partial_update_team, people.destroy_team),
    "teams/{pk}/hard": {"DELETE": people.hard_delete_team},
    "teams/{pk}/reinstate": {"DELETE": people.reinstate_team},
    "teams/{pk}/memberships": {"PATCH": people.memberships},
    "teams/{pk}/permissions/{username}": {"GET": people.permissions},
    "projects/list": {"POST": projects.list_},
    "projects/create": {"POST": projects.create},
    "projects/{pk}": _crud(projects.retrieve, projects.update, projects.partial_update, projects.destroy),
    "projects/{pk}/hard": {"DELETE": projects.hard_delete},
    "projects/{pk}/reinstate": {"DELETE": projects.reinstate},
    **{f"{spelled}/{path}": calls for spelled in ("licences", "licenses") for path, calls in _LICENCES.items()},
    "nodes/list": {"POST": licences.list_nodes},
    "nodes/{pk}": {"GET": licences.retrieve_node},
}

#: What a member with execute permission may do for a node: there the header counts.
_AS_NODE: Final[frozenset[Call]] = frozenset(
    {
        datasets.update,
        datasets.partial_update,
        datasets.clear,
        datasets.merge,
        files.add,
        files.add_many,
        files.delete,
        files.set_metadata,
    }
)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)(…?)\}", path)
    text, slash = re.escape(parts[0]), "/?"
    for name, long, rest in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        text += f"(?P<{name}>.*)" if long else f"(?P<{name}>[^/]+)"
        text += re.escape(rest)
        slash = "" if long else "/?"
    return re.compile(f"{PREFIX}/{text}{slash}" if path else f"{PREFIX}/?", re.DOTALL)


_TABLE: Final = PathTable(ROUTES, _pattern)

_CORS: Final = ((b"access-control-allow-origin", b"*"),)
_MAY_ASK: Final[Mapping[str, str]] = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
    "access-control-allow-headers": "Authorization, Content-Type, Content-Disposition, Node-Id",
    "access-control-max-age": "86400",
}


def create_app(context: Context) -> ASGIApp:
    """The door."""
    bounded = ErrorBoundary(
        _Routes(context), name=DOOR, table=errors.TABLE, encode=errors.encode, anonymous=errors.is_stranger
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def open_to_all(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_CORS]}
            await send(message)

        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            # Asked by browsers, without credentials, before they ask anything else.
            await send_answer(send, Answer(200, headers=_MAY_ASK))
            return
        await bounded(scope, receive, open_to_all)

    return app


class _Routes:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _TABLE.find(scope)
        if found is None:
            raise NotFound(f"This server has nothing at {shown_path(scope)}.", details={"reason": "address"})
        call, names = found
        asked = Asked(self._context, scope, receive, send, as_node=call in _AS_NODE)
        await call(asked, names)
