"""API tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from entrepot.depot import naming, tokens
from entrepot.depot.context import Depot
from entrepot.dialects.native import decode, encode
from entrepot.dialects.native.decode import Cursor, Limit
from entrepot.dialects.native.routing import TELLS_SECRET, Ask, router
from entrepot.model.access import Actor
from entrepot.wire.messages import tokens as m

routes = router("tokens")


@routes.get("/tokens", response_model=m.TokenPage, summary="Tokens of the caller, or of anybody for staff")
async def list_tokens(
    ask: Ask,
    user: Annotated[str | None, Query(description="Id or name.")] = None,
    revoked: Annotated[bool, Query(description="Also those that work no more.")] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    def work(depot: Depot, actor: Actor) -> m.TokenPage:
        page = tokens.list_tokens(depot, actor, user=user, revoked=revoked, cursor=cursor, limit=limit)
        names = naming.of_tokens(depot, page.rows)
        return m.TokenPage(rows=[encode.token(one, names) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.post(
    "/tokens",
    response_model=m.TokenCreated,
    status_code=201,
    openapi_extra={TELLS_SECRET: True},
    summary="Make a token; its text is told this once",
)
async def create_token(ask: Ask, new: m.NewToken) -> Response:
    def work(depot: Depot, actor: Actor) -> m.TokenCreated:
        made = tokens.create(
            depot,
            actor,
            scope=new.scope,
            name=new.name,
            user=new.user,
            projects=None if new.projects is None else [decode.project(one) for one in new.projects],
            node=new.node,
            expires_at=None if new.expires_in_s is None else depot.now() + timedelta(seconds=new.expires_in_s),
            never=new.never,
        )
        return encode.token_created(made, naming.of_tokens(depot, [made.token]))

    return await ask.answer(work, status=201)


@routes.get("/tokens/{token}", response_model=m.Token, summary="One token")
async def get_token(ask: Ask, token: str) -> Response:
    def work(depot: Depot, actor: Actor) -> m.Token:
        found = tokens.get(depot, actor, token)
        return encode.token(found, naming.of_tokens(depot, [found]))

    return await ask.answer(work)


@routes.patch("/tokens/{token}", response_model=m.Token, summary="Give a token another name")
async def rename_token(ask: Ask, token: str, changes: m.TokenChanges) -> Response:
    def work(depot: Depot, actor: Actor) -> m.Token:
        found = tokens.rename(depot, actor, token, changes.name)
        return encode.token(found, naming.of_tokens(depot, [found]))

    return await ask.answer(work)


@routes.delete("/tokens/{token}", status_code=204, summary="Revoke a token; repeating it is a success")
async def revoke_token(ask: Ask, token: str) -> Response:
    return await ask.nothing(lambda depot, actor: tokens.revoke(depot, actor, token))
