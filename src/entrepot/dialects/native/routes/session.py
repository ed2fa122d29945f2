"""Logging in and out, and asking who one is."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response

from entrepot.depot import naming, projects, sessions, tokens, users
from entrepot.depot.context import Depot
from entrepot.dialects.native import encode
from entrepot.dialects.native.context import DOOR, Message
from entrepot.dialects.native.routing import TAKES_SECRET, Ask, router
from entrepot.http.threads import in_thread
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid
from entrepot.model.ids import Noun
from entrepot.wire.messages import tokens as m

routes = router("session")


@routes.post(
    "/login",
    response_model=m.TokenCreated,
    status_code=201,
    openapi_extra={TAKES_SECRET: True, "security": []},
    summary="Make a token by user name and password",
)
async def login(ask: Ask, wanted: m.Login) -> Response:
    context = ask.context

    def work() -> Response:
        depot = context.depot
        actor = sessions.login(depot, wanted.username, wanted.password, door=DOOR, address=ask.address)
        lifetime = None if wanted.expires_in_s is None else depot.now() + timedelta(seconds=wanted.expires_in_s)
        made = tokens.create(depot, actor, scope=wanted.scope, name=wanted.token_name, expires_at=lifetime)
        return Message(encode.token_created(made, naming.of_tokens(depot, [made.token])), 201)

    return await in_thread(context.executor, work)


@routes.post("/logout", status_code=204, summary="Revoke the token that this request shows")
async def logout(ask: Ask) -> Response:
    def work(depot: Depot, actor: Actor) -> None:
        if actor.token is None:
            raise Invalid("This request shows no API token, so there is none to revoke.")
        tokens.revoke(depot, actor, actor.token)

    return await ask.nothing(work)


@routes.get("/whoami", response_model=m.WhoAmI, summary="Who the caller is, and how far the credential reaches")
async def whoami(ask: Ask) -> Response:
    def work(depot: Depot, actor: Actor) -> m.WhoAmI:
        node = naming.of_actor(depot, actor).nodes.get(actor.node or 0)
        node_id = None if node is None else ids.encode(Noun.NODE, node)
        if actor.is_anonymous:
            return m.WhoAmI(user=None, token=None, scope=actor.scope, staff=False, default_project=None, node=node_id)
        me = users.self_of(depot, actor)
        shown = tokens.get(depot, actor, actor.token) if actor.token is not None else None
        home = projects.default(depot, actor)
        return m.WhoAmI(
            user=encode.user(me, naming.of_user(depot, me)),
            token=None if shown is None else encode.token(shown, naming.of_tokens(depot, [shown])),
            scope=actor.scope,
            staff=actor.staff,
            default_project=ids.encode(Noun.PROJECT, home.uid),
            node=node_id,
        )

    return await ask.answer(work)
