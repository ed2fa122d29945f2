"""Administration of accounts: who there is, and everything that only operators may do to an account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from entrepot.depot import passwords, projects, sessions, users
from entrepot.depot.context import Depot
from entrepot.depot.users import UserChanges
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import Conflict, Invalid, NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import User
from entrepot.web.context import Asked, Form
from entrepot.web.routes.admin import Call, operator

__all__ = ["ROUTES"]

_PAGE: Final = 50
_PROJECTS: Final = 12


async def list_users(asked: Asked) -> None:
    """Everybody with an account, by part of a name or address."""

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        text = (asked.text("who") or "").strip() or None
        page = users.list_users(depot, actor, text=text, cursor=asked.text("cursor"), limit=_PAGE)
        return {"tab": "users", "page": page, "who": text}

    await asked.page("admin/users.html", operator(work))


async def new_user(asked: Asked) -> None:
    await asked.page("admin/new_user.html", operator(lambda _depot, _actor: _empty()))


def _empty(wrong: str = "", form: Form | None = None) -> dict[str, Any]:
    given = form or Form([])
    fields = {name: given.text(name) for name in ("name", "email", "first_name", "last_name")}
    return {"tab": "users", "wrong": wrong, "given": {**fields, "staff": given.flag("staff")}}


async def create_user(asked: Asked) -> None:
    """Make an account; what is wrong with the form is told on it, with everything that was typed but the password."""
    form = await asked.form()

    def work(depot: Depot, actor: Actor) -> User:
        return users.create(
            depot,
            actor,
            form.text("name").strip(),
            password=form.text("password") or None,
            email=form.optional("email"),
            first_name=form.text("first_name"),
            last_name=form.text("last_name"),
            is_staff=form.flag("staff"),
        )

    try:
        made = await asked.call(operator(work))
    except (Invalid, Conflict) as wrong:
        said, status = wrong.message, 409 if isinstance(wrong, Conflict) else 422
        await asked.page("admin/new_user.html", operator(lambda _depot, _actor: _empty(said, form)), status=status)
        return
    await asked.go(_path(made), notice="created")


async def show_user(asked: Asked) -> None:
    await _show(asked)


async def _show(asked: Asked, wrong: str = "", status: int = 200) -> None:
    uid = ids.decode(Noun.USER, asked.found["user"])

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        user = _whole(depot, actor, uid)
        return {
            "tab": "users",
            "user": user,
            "is_me": user.n == actor.user,
            "sessions": sessions.list_sessions(depot, actor, user=user.n),
            "home": None if user.default_project is None else projects.get(depot, actor, user.default_project).project,
            "wrong": wrong,
        }

    await asked.page("admin/user.html", operator(work), status=status)


def _whole(depot: Depot, actor: Actor, uid: Any) -> User:
    found = users.get(depot, actor, uid)
    if not isinstance(found, User):
        raise NotFound("There is no such account, or you may not see it.")
    return found


async def _change(
    asked: Asked, act: Callable[[Depot, Actor, User, Form], object], notice: str, *, told: bool = True
) -> None:
    """Do what a form of the account's page asks for, and lead back to that page.

    Args:
        told: What is refused is told on the page itself.
    """
    form = await asked.form()
    uid = ids.decode(Noun.USER, asked.found["user"])

    def work(depot: Depot, actor: Actor) -> User:
        user = _whole(depot, actor, uid)
        act(depot, actor, user, form)
        return user

    try:
        user = await asked.call(operator(work))
    except (Invalid, Conflict) as wrong:
        if not told:
            raise
        await _show(asked, wrong.message, 409 if isinstance(wrong, Conflict) else 422)
        return
    await asked.go(_path(user), notice=notice)


async def update_user(asked: Asked) -> None:
    """Name, address and standing."""

    def act(depot: Depot, actor: Actor, user: User, form: Form) -> None:
        users.update(
            depot,
            actor,
            user.n,
            UserChanges(
                email=form.text("email").strip(),
                first_name=form.text("first_name"),
                last_name=form.text("last_name"),
                is_staff=form.flag("staff"),
            ),
        )

    await _change(asked, act, "user")


async def set_password(asked: Asked) -> None:
    """Another password for somebody else; one's own is changed where the old one is asked for."""

    def act(depot: Depot, actor: Actor, user: User, form: Form) -> None:
        passwords.set_password(depot, actor, user.n, form.text("password"))

    await _change(asked, act, "user-password")


async def switch(asked: Asked) -> None:
    """Close an account or open it again."""

    def act(depot: Depot, actor: Actor, user: User, form: Form) -> None:
        (users.reactivate if form.flag("active") else users.deactivate)(depot, actor, user.n)

    await _change(asked, act, "user")


async def end_sessions(asked: Asked) -> None:
    """End one session of somebody, or all of them."""

    def act(depot: Depot, actor: Actor, user: User, form: Form) -> None:
        one = form.optional("session")
        if one is None:
            sessions.end_all(depot, actor, user=user.n)
        else:
            sessions.end_session(depot, actor, one, user=user.n)

    await _change(asked, act, "user-sessions", told=False)


def _path(user: User) -> str:
    return f"/ui/admin/users/{ids.encode(Noun.USER, user.uid)}"


ROUTES: Final[Mapping[str, Mapping[str, Call]]] = {
    "/admin/users": {"GET": list_users, "POST": create_user},
    "/admin/new-user": {"GET": new_user},
    "/admin/users/{user}": {"GET": show_user, "POST": update_user},
    "/admin/users/{user}/password": {"POST": set_password},
    "/admin/users/{user}/active": {"POST": switch},
    "/admin/users/{user}/sessions": {"POST": end_sessions},
}
