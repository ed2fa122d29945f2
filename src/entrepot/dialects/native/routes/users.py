"""People and their accounts."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path as PathParameter
from fastapi import Query
from starlette.responses import Response

from entrepot.depot import naming, passwords, people, sessions, users
from entrepot.depot.context import Depot
from entrepot.depot.people import UserKey
from entrepot.depot.users import UserChanges
from entrepot.dialects.native import decode, encode
from entrepot.dialects.native.decode import Cursor, Limit, UserName
from entrepot.dialects.native.routing import TAKES_SECRET, Ask, router
from entrepot.model.access import Actor
from entrepot.model.errors import Forbidden
from entrepot.model.values import User
from entrepot.wire.messages import users as m

routes = router("users")


def _key(actor: Actor, name: str) -> UserKey:
    return people.logged_in(actor) if name == "me" else name


def _whole(depot: Depot, found: User) -> m.User:
    return encode.user(found, naming.of_user(depot, found))


@routes.get("/users", response_model=m.UserPage | m.PersonPage, summary="People; whole accounts for staff")
async def list_users(
    ask: Ask,
    q: Annotated[str | None, Query(description="Part of a name; for staff also of the address.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    def work(depot: Depot, actor: Actor) -> m.UserPage | m.PersonPage:
        page = users.list_users(depot, actor, text=q, cursor=cursor, limit=limit)
        whole = [one for one in page.rows if isinstance(one, User)]
        if len(whole) == len(page.rows) and actor.staff:
            names = naming.of_users(depot, whole)
            return m.UserPage(rows=[encode.user(one, names) for one in whole], next=page.cursor)
        return m.PersonPage(rows=[encode.person(one) for one in page.rows], next=page.cursor)

    return await ask.answer(work)


@routes.post("/users", response_model=m.User, status_code=201, summary="Make an account (staff)")
async def create_user(ask: Ask, new: m.NewUser) -> Response:
    def work(depot: Depot, actor: Actor) -> m.User:
        made = users.create(
            depot,
            actor,
            new.name,
            password=new.password,
            email=new.email,
            first_name=new.first_name,
            last_name=new.last_name,
            is_staff=new.staff,
        )
        return _whole(depot, made)

    return await ask.answer(work, status=201)


@routes.get("/users/{user}", response_model=m.User, summary="An account: one's own, or any for staff")
async def get_user(ask: Ask, user: UserName) -> Response:
    def work(depot: Depot, actor: Actor) -> m.User:
        found = users.get(depot, actor, _key(actor, user))
        if not isinstance(found, User):
            raise Forbidden(f"You may not see the account of {found.name}; ask for /users/{found.name}/person.")
        return _whole(depot, found)

    return await ask.answer(work)


@routes.get("/users/{user}/person", response_model=m.Person, summary="What everybody may know of somebody")
async def get_person(ask: Ask, user: UserName) -> Response:
    return await ask.answer(lambda depot, actor: encode.person(users.get(depot, actor, _key(actor, user))))


@routes.patch("/users/{user}", response_model=m.User, summary="Change an account")
async def update_user(ask: Ask, user: UserName, changes: m.UserChanges) -> Response:
    given = changes.given()

    def work(depot: Depot, actor: Actor) -> m.User:
        wanted = given.get("default_project")
        after = users.update(
            depot,
            actor,
            _key(actor, user),
            UserChanges(
                email=given.get("email"),
                first_name=given.get("first_name"),
                last_name=given.get("last_name"),
                is_staff=given.get("staff"),
                default_project=decode.optional_project(wanted),
            ),
        )
        return _whole(depot, after)

    return await ask.answer(work)


@routes.post("/users/{user}/password", status_code=204, openapi_extra={TAKES_SECRET: True}, summary="Set a password")
async def set_password(ask: Ask, user: UserName, wanted: m.NewPassword) -> Response:
    return await ask.nothing(
        lambda depot, actor: passwords.set_password(depot, actor, _key(actor, user), wanted.new, old=wanted.old)
    )


@routes.post("/users/{user}/deactivate", response_model=m.User, summary="End everything the user can do (staff)")
async def deactivate(ask: Ask, user: UserName) -> Response:
    return await ask.answer(lambda depot, actor: _whole(depot, users.deactivate(depot, actor, _key(actor, user))))


@routes.post("/users/{user}/reactivate", response_model=m.User, summary="Let the user in again (staff)")
async def reactivate(ask: Ask, user: UserName) -> Response:
    return await ask.answer(lambda depot, actor: _whole(depot, users.reactivate(depot, actor, _key(actor, user))))


@routes.get("/users/{user}/sessions", response_model=m.SessionList, summary="Browsers that somebody is logged in with")
async def list_sessions(ask: Ask, user: UserName) -> Response:
    def work(depot: Depot, actor: Actor) -> m.SessionList:
        found = sessions.list_sessions(depot, actor, user=_key(actor, user))
        return m.SessionList(rows=[encode.session(one) for one in found])

    return await ask.answer(work)


@routes.delete("/users/{user}/sessions/{session}", status_code=204, summary="Log one browser out")
async def end_session(ask: Ask, user: UserName, session: Annotated[str, PathParameter(max_length=64)]) -> Response:
    return await ask.nothing(lambda depot, actor: sessions.end_session(depot, actor, session, user=_key(actor, user)))


@routes.delete(
    "/users/{user}/sessions",
    status_code=204,
    summary="End every session and every signed token of a door; API tokens stay",
)
async def end_sessions(ask: Ask, user: UserName) -> Response:
    return await ask.nothing(lambda depot, actor: sessions.end_all(depot, actor, user=_key(actor, user)))
