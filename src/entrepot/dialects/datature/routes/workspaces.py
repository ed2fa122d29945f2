"""The workspace, which is this installation, and its projects."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from entrepot.depot import installation, projects
from entrepot.depot.context import Depot
from entrepot.depot.lookup import FoundProject
from entrepot.dialects.datature import assets_of, encode
from entrepot.dialects.datature.context import Asked
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.ids import Noun

#: Read at once.
_PAGE = 1000


async def workspace(asked: Asked) -> None:
    """This installation."""

    def work(depot: Depot, _actor: Actor) -> dict[str, Any]:
        uid = installation.uid(depot)
        return {
            "id": ids.encode(Noun.WORKSPACE, uid),
            "object": "workspace",
            "name": "Entrepot",
            "owner": "operator",
            "tier": "self-hosted",
            "createDate": encode.millis(_made(uid)),
        }

    await asked.answer(work)


def _made(uid: UUID) -> datetime:
    """When a uid was made: its first 48 bits are milliseconds."""
    return datetime.fromtimestamp((uid.int >> 80) / 1000, UTC)


async def list_projects(asked: Asked) -> None:
    """Every project that the key may read: a bare list, without pages."""

    def work(depot: Depot, actor: Actor) -> list[dict[str, Any]]:
        at = ids.encode(Noun.WORKSPACE, installation.uid(depot))
        return [_shown(depot, actor, one, at) for one in _all(depot, actor)]

    await asked.answer(work)


def _all(depot: Depot, actor: Actor) -> Iterator[FoundProject]:
    cursor: str | None = None
    while True:
        page = projects.list_projects(depot, actor, cursor=cursor, limit=_PAGE)
        yield from page.rows
        cursor = page.cursor
        if cursor is None:
            return


async def get_project(asked: Asked) -> None:
    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        found = projects.get(depot, actor, asked.project, trashed=False)
        return _shown(depot, actor, found, ids.encode(Noun.WORKSPACE, installation.uid(depot)))

    await asked.answer(work)


def _shown(depot: Depot, actor: Actor, found: FoundProject, workspace: str) -> dict[str, Any]:
    n = found.project.n
    folders = projects.list_collections(depot, actor, n, limit=_PAGE).rows
    home = assets_of.find(depot, actor, n)
    return encode.project(
        found.project,
        workspace=workspace,
        tags=projects.tags_in_use(depot, actor, n, limit=_PAGE),
        groups=[one.path for one in folders if not one.is_root],
        assets=0 if home is None else home.n_entries,
    )
