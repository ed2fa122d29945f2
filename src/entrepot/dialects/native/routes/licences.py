"""Licences."""

from __future__ import annotations

from starlette.responses import Response

from entrepot.depot import licences
from entrepot.depot.context import Depot
from entrepot.dialects.native import encode
from entrepot.dialects.native.decode import Cursor, LicenceName, Limit
from entrepot.dialects.native.routing import Ask, router
from entrepot.model.access import Actor
from entrepot.wire.messages import licences as m

routes = router("licences")


@routes.get("/licences", response_model=m.LicencePage, summary="All licences")
async def list_licences(ask: Ask, limit: Limit = 100, cursor: Cursor = None) -> Response:
    def work(depot: Depot, actor: Actor) -> m.LicencePage:
        page = licences.list_licences(depot, actor, cursor=cursor, limit=limit)
        return m.LicencePage(rows=[encode.licence(one) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.post("/licences", response_model=m.Licence, status_code=201, summary="Add a licence (staff)")
async def create_licence(ask: Ask, new: m.NewLicence) -> Response:
    def work(depot: Depot, actor: Actor) -> m.Licence:
        made = licences.create(
            depot,
            actor,
            new.name,
            url=new.url,
            permissions=new.permissions,
            conditions=new.conditions,
            limitations=new.limitations,
            domains=new.domains,
        )
        return encode.licence(made)

    return await ask.answer(work, status=201)


@routes.get("/licences/{licence:path}", response_model=m.Licence, summary="One licence")
async def get_licence(ask: Ask, licence: LicenceName) -> Response:
    return await ask.answer(lambda depot, actor: encode.licence(licences.get(depot, actor, licence)))


@routes.patch("/licences/{licence:path}", response_model=m.Licence, summary="Change a licence (staff)")
async def update_licence(ask: Ask, licence: LicenceName, changes: m.LicenceChanges) -> Response:
    return await ask.answer(
        lambda depot, actor: encode.licence(licences.update(depot, actor, licence, **changes.given()))
    )


@routes.delete("/licences/{licence:path}", status_code=204, summary="Remove a licence that nothing names (staff)")
async def delete_licence(ask: Ask, licence: LicenceName) -> Response:
    return await ask.nothing(lambda depot, actor: licences.delete(depot, actor, licence))
