"""Signing in and out, and how pages look."""

from __future__ import annotations

import math

from entrepot.depot import sessions
from entrepot.http import browser
from entrepot.http.fields import field
from entrepot.http.threads import in_thread
from entrepot.model.errors import BadCredentials, Forbidden, RateLimited
from entrepot.web import context as contexts
from entrepot.web.context import FORM_COOKIE, PREFIX, THEME_COOKIE, Asked
from entrepot.web.links import local

_YEAR_S = 365 * 24 * 3600


async def sign_in_form(asked: Asked) -> None:
    """Where somebody says who they are; whoever is signed in already goes on."""
    onward = local(asked.text("next"))
    signed_in = await asked.call(lambda _depot, actor: not actor.is_anonymous) if asked.session is not None else False
    if signed_in:
        await asked.go(onward)
        return
    cookies: tuple[str, ...] = ()
    if asked.session is not None:
        # It is over. While the browser shows it, forms would be judged by it.
        cookies = (asked.set_cookie(browser.SESSION_COOKIE, "", age=0),)
    await _show(asked, onward, over=bool(asked.text("over")), cookies=cookies)


async def sign_in(asked: Asked) -> None:
    """Check name and password; a cookie names the session from then on."""
    try:
        form = await asked.form(stranger=True)
    except Forbidden:
        if not browser.comes_from_here(asked.scope, asked.context.hosts):
            raise
        await _show(asked, local(asked.text("next")), stale=True, status=403)
        return
    onward, name = local(form.text("next")), form.text("user").strip()
    agent = field(asked.scope, b"user-agent") or ""
    depot, before = asked.context.depot, asked.session
    try:
        opened = await in_thread(
            asked.context.executor,
            lambda: sessions.open_session(depot, name, form.text("password"), address=asked.address, agent=agent),
        )
    except (BadCredentials, RateLimited) as refused:
        wait = refused.details.get("retry_after_s")
        await _show(
            asked,
            onward,
            user=name,
            refused="" if wait is not None else "There is no active account with this name and password. Check both.",
            wait=None if wait is None else max(1, math.ceil(float(wait) / 60)),
            status=401 if wait is None else 429,
        )
        return
    if before is not None:
        await in_thread(asked.context.executor, sessions.close_session, depot, before)
    age = int((opened.session.expires_at - depot.now()).total_seconds())
    cookies = (
        asked.set_cookie(browser.SESSION_COOKIE, opened.cookie, age=age),
        asked.set_cookie(FORM_COOKIE, "", age=0, path=PREFIX),
    )
    await asked.go(onward, cookies=cookies)


async def sign_out(asked: Asked) -> None:
    """End the session. Its cookie is worth nothing from now on, wherever it was copied to."""
    await asked.form()
    cookie = asked.session
    if cookie is not None:
        await in_thread(asked.context.executor, sessions.close_session, asked.context.depot, cookie)
    gone = asked.set_cookie(browser.SESSION_COOKIE, "", age=0)
    await asked.go("/ui/sign-in", notice="signed-out", cookies=(gone,))


async def choose_theme(asked: Asked) -> None:
    """Light, dark, or as the system has it. It is only the look of the next pages, so strangers may too."""
    asked.require_here()
    theme = (await _theme(asked)) or "auto"
    kept = asked.set_cookie(THEME_COOKIE, theme, age=_YEAR_S if theme != "auto" else 0)
    await asked.go(local(asked.text("next")), cookies=(kept,))


async def _theme(asked: Asked) -> str | None:
    chosen = asked.query.get("theme")
    return chosen if chosen in ("light", "dark") else None


async def _show(
    asked: Asked,
    onward: str,
    *,
    user: str = "",
    refused: str = "",
    wait: int | None = None,
    over: bool = False,
    stale: bool = False,
    status: int = 200,
    cookies: tuple[str, ...] = (),
) -> None:
    token = asked.cookie(FORM_COOKIE) or contexts.new_form_cookie()
    kept = asked.set_cookie(FORM_COOKIE, token, age=24 * 3600, path=PREFIX)
    given = {
        "csrf": token,
        "next": onward,
        "user": user,
        "refused": refused,
        "wait": wait,
        "over": over,
        "stale": stale,
    }
    await asked.send_html(asked.render("sign_in.html", given), status=status, cookies=(*cookies, kept))
