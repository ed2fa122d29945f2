"""The door for people with a browser, as one application: its table of pages.

Everything is below `/ui`. Pages are read with GET; forms are sent with POST, which ends in a redirect to a page, so
that loading a page again never repeats anything.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from entrepot.http.doors import ErrorBoundary
from entrepot.http.paths import PathTable
from entrepot.model.errors import EntrepotError
from entrepot.web import errors
from entrepot.web.context import DOOR, PREFIX, Asked, Context, asking
from entrepot.web.routes import (
    account,
    admin,
    admin_log,
    admin_people,
    admin_storage,
    editing,
    files,
    finding,
    home,
    merging,
    oidc,
    people,
    project_settings,
    projects,
    proposals,
    provenance,
    records,
    row_diffs,
    static,
    tables,
    teams,
    uploading,
    versions,
    webhooks,
)

__all__ = ["ROUTES", "Context", "create_app"]

Call: TypeAlias = Callable[[Asked], Awaitable[None]]

#: Path below `/ui` → method → what answers. A name in braces is one part of the path; with an ellipsis it takes
#: slashes too. HEAD is answered like GET.
ROUTES: Final[Mapping[str, Mapping[str, Call]]] = {
    "/": {"GET": home.show},
    "": {"GET": home.slash},
    "/static/{name…}": {"GET": static.show},
    "/sign-in": {"GET": account.sign_in_form, "POST": account.sign_in},
    "/sign-out": {"POST": account.sign_out},
    "/theme": {"POST": account.choose_theme},
    "/projects": {"GET": projects.list_},
    "/projects/{project}": {"GET": projects.show},
    "/projects/{project}/{dataset}": {"GET": versions.by_name},
    "/versions/{version}": {"GET": versions.show},
    "/versions/{version}/files": {"GET": files.show_folder},
    "/versions/{version}/file": {"GET": files.show_file},
    "/versions/{version}/raw": {"GET": files.raw},
    "/versions/{version}/archive": {"GET": files.archive},
    "/versions/{version}/history": {"GET": versions.show_history},
    "/versions/{version}/diff": {"GET": versions.show_diff},
    "/versions/{version}/use": {"GET": versions.show_use},
    "/versions/{version}/edit": {"GET": editing.edit_form, "POST": editing.edit},
    "/versions/{version}/freeze": {"POST": editing.freeze},
    "/versions/{version}/unfreeze": {"POST": editing.unfreeze},
    "/versions/{version}/accept": {"POST": editing.accept},
    "/versions/{version}/copy": {"GET": editing.copy_form, "POST": editing.copy},
    "/versions/{version}/restore": {"GET": editing.restore_form, "POST": editing.restore},
    "/versions/{version}/trash": {"GET": editing.trash_form, "POST": editing.throw},
    "/versions/{version}/reinstate": {"POST": editing.reinstate},
    "/versions/{version}/purge": {"GET": editing.purge_form, "POST": editing.purge},
    "/versions/{version}/frees": {"GET": editing.frees},
    "/versions/{version}/upload": {"GET": uploading.add_form, "POST": uploading.add},
    "/new-project": {"GET": people.new_project_form, "POST": people.new_project},
    "/search": {"GET": finding.show_search},
    "/suggest": {"GET": finding.suggest},
    "/activity": {"GET": finding.show_activity},
    "/tasks": {"GET": finding.show_tasks},
    "/tasks/{task}": {"GET": finding.show_task},
    "/tasks/{task}/cancel": {"POST": finding.cancel_task},
    "/trash": {"GET": finding.show_trash},
    "/me": {"GET": people.show_me, "POST": people.change_me},
    "/me/password": {"POST": people.change_password},
    "/me/new-token": {"POST": people.new_token},
    "/me/revoke-token": {"POST": people.revoke_token},
    "/me/end-session": {"POST": people.end_session},
    "/upload": {"GET": uploading.new_form, "POST": uploading.new},
    "/upload/look": {"POST": uploading.look},
    **teams.ROUTES,
    **project_settings.ROUTES,
    **proposals.ROUTES,
    **merging.ROUTES,
    **row_diffs.ROUTES,
    **webhooks.ROUTES,
    **oidc.ROUTES,
    **admin.ROUTES,
    **admin_people.ROUTES,
    **admin_storage.ROUTES,
    **admin_log.ROUTES,
    **tables.ROUTES,
    **records.ROUTES,
    **provenance.ROUTES,
}


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)(…?)\}", path)
    text = re.escape(PREFIX + parts[0])
    for name, long, rest in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        text += f"(?P<{name}>.+)" if long else f"(?P<{name}>[^/]+)"
        text += re.escape(rest)
    return re.compile(text, re.DOTALL)


_TABLE: Final = PathTable(
    {path: {**calls, **({"HEAD": calls["GET"]} if "GET" in calls else {})} for path, calls in ROUTES.items()}, _pattern
)


def create_app(context: Context) -> ASGIApp:
    """The door."""
    return ErrorBoundary(_Routes(context), name=DOOR, table=errors.TABLE, encode=errors.encode)


class _Routes:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Before anything else: also a page that is not there says who is signed in.
        asked = Asked(self._context, scope, receive, send, {})
        asking.set(asked)
        found = _TABLE.find(scope)
        if found is None:
            if asked.session is not None:
                await asked.call(lambda _depot, _actor: None)
            raise HTTPException(404)
        call, asked.found = found
        try:
            await call(asked)
        except EntrepotError:
            await self._recognise(asked)
            raise

    @staticmethod
    async def _recognise(asked: Asked) -> None:
        """Find out who asks for a page that failed before anybody looked, so that it does not offer to sign in."""
        if asked.session is not None and asked.actor.is_anonymous and not asked.over:
            await asked.call(lambda _depot, _actor: None)
