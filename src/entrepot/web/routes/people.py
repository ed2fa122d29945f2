"""One's own account, with its tokens and sessions, and the first project."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from entrepot.depot import passwords, projects, sessions, teams, tokens, users
from entrepot.depot.context import Depot
from entrepot.depot.users import UserChanges
from entrepot.http import browser
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import BadCredentials, Invalid
from entrepot.model.ids import Noun
from entrepot.model.values import Role, Scope
from entrepot.web import links
from entrepot.web.context import Asked, Form

_DAYS: Final = {"7": 7, "30": 30, "90": 90, "365": 365}


async def show_me(asked: Asked) -> None:
    await asked.page("me.html", lambda depot, actor: _me(asked, depot, actor))


def _me(asked: Asked, depot: Depot, actor: Actor) -> dict[str, Any]:
    return {
        "user": users.self_of(depot, actor),
        "tokens": tokens.list_tokens(depot, actor, limit=200).rows,
        "sessions": sessions.list_sessions(depot, actor),
        "projects": projects.list_projects(depot, actor, least=Role.WRITE, limit=1000).rows,
        "base_url": asked.base_url,
        "fresh": None,
    }


async def change_me(asked: Asked) -> None:
    """Name, address, and where data goes that names no project."""
    form = await asked.form()
    changes = UserChanges(
        email=form.optional("email"),
        first_name=form.text("first_name"),
        last_name=form.text("last_name"),
        default_project=form.optional("default_project"),
    )

    def work(depot: Depot, actor: Actor) -> None:
        me = users.self_of(depot, actor)
        users.update(depot, actor, me.n, changes)

    await asked.call(work)
    await asked.go("/ui/me", notice="saved")


async def change_password(asked: Asked) -> None:
    """A new password ends every session, this one too: whoever knew the old one is out."""
    form = await asked.form()
    old, new = form.text("old"), form.text("new")
    if new != form.text("again"):
        raise Invalid("The new password and its repetition differ. Nothing was changed.")

    def work(depot: Depot, actor: Actor) -> None:
        try:
            passwords.set_password(depot, actor, users.self_of(depot, actor).n, new, old=old)
        except BadCredentials as wrong:
            raise Invalid("The password you have is another one. Nothing was changed.") from wrong

    await asked.call(work)
    gone = asked.set_cookie(browser.SESSION_COOKIE, "", age=0)
    await asked.go("/ui/sign-in?next=%2Fui%2Fme", notice="password", cookies=(gone,))


async def new_token(asked: Asked) -> None:
    """A token, shown this once."""
    form = await asked.form()
    scope, days = form.text("scope"), form.text("days")
    if scope not in {one.value for one in Scope} or days not in (*_DAYS, "never"):
        raise Invalid("Say what the token may do, and for how long.")
    limited = form.all("project")

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        end = None if days == "never" else depot.now() + timedelta(days=_DAYS[days])
        made = tokens.create(
            depot,
            actor,
            scope=Scope(scope),
            name=form.text("name"),
            projects=limited or None,
            expires_at=end,
            never=days == "never",
        )
        return _me(asked, depot, actor) | {"fresh": made}

    await asked.page("me.html", work)


async def revoke_token(asked: Asked) -> None:
    form = await asked.form()
    wanted = ids.decode(Noun.TOKEN, form.text("token"))
    await asked.call(lambda depot, actor: tokens.revoke(depot, actor, wanted))
    await asked.go("/ui/me", notice="revoked")


async def end_session(asked: Asked) -> None:
    form = await asked.form()
    wanted = form.text("session")
    await asked.call(lambda depot, actor: sessions.end_session(depot, actor, wanted))
    await asked.go("/ui/me", notice="ended")


# Projects


async def new_project_form(asked: Asked) -> None:
    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        found = teams.list_teams(depot, actor, limit=1000).rows
        return {
            "teams": [
                one.team for one in found if one.team.personal_of is None and (actor.staff or one.role >= Role.WRITE)
            ]
        }

    await asked.page("new_project.html", work)


async def new_project(asked: Asked) -> None:
    form: Form = await asked.form()

    def work(depot: Depot, actor: Actor) -> str:
        made = projects.create(
            depot,
            actor,
            form.text("name"),
            team=form.optional("team"),
            description=form.lines("description"),
            slug=form.optional("slug"),
        )
        return made.slug

    await asked.go(links.project(await asked.call(work)), notice="created")
