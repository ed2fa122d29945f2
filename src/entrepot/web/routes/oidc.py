"""Signing in by a provider of identities, and linking one to an account.

What a sign-in that is under way must remember lies sealed in a cookie of the browser that began it: nobody else can
end it there, and no row waits for people who never come back.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Final, TypeAlias

import structlog
from starlette.exceptions import HTTPException

from entrepot.depot import identities, sealing, sessions
from entrepot.depot.context import Depot
from entrepot.http import browser
from entrepot.http.fields import field
from entrepot.http.threads import in_thread
from entrepot.model.access import Actor
from entrepot.model.errors import BadCredentials, Corrupt, EntrepotError, Forbidden, Unavailable
from entrepot.model.sign_in import Proven
from entrepot.web.context import Asked
from entrepot.web.links import HOME, local
from entrepot.web.oidc import Provider

__all__ = ["ROUTES"]

Call: TypeAlias = Callable[[Asked], Awaitable[None]]

log = structlog.get_logger(__name__)

COOKIE: Final = "entrepot_oidc"
_PATH: Final = "/ui/oidc"
_OWNER: Final = "oidc sign-in"
_LASTS: Final = timedelta(minutes=10)


def _provider(asked: Asked) -> Provider:
    if asked.context.oidc is None:
        raise HTTPException(404)
    return asked.context.oidc


def _redirect_uri(asked: Asked) -> str:
    return f"{(asked.context.depot.public_url or asked.base_url).rstrip('/')}{_PATH}/callback"


async def _begin(asked: Asked, onward: str, *, link: str = "") -> tuple[str, str]:
    """Where the browser goes, and the cookie that it comes back with.

    Args:
        link: The form token of the session to whose account the provider is linked; empty signs in.
    """
    depot = asked.context.depot
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    url = await _provider(asked).begin(redirect_uri=_redirect_uri(asked), state=state, nonce=nonce, verifier=verifier)
    kept = {
        "state": state,
        "nonce": nonce,
        "verifier": verifier,
        # A cookie of more than 4 KiB is dropped by browsers.
        "next": onward if len(onward) <= 1500 else HOME,
        "link": link,
        "until": (depot.now() + _LASTS).timestamp(),
    }
    sealed = await in_thread(asked.context.executor, sealing.seal, depot, _OWNER, json.dumps(kept).encode())
    return url, asked.set_cookie(COOKIE, sealed, age=int(_LASTS.total_seconds()), path=_PATH)


async def start(asked: Asked) -> None:
    """Off to the provider; whoever is signed in already goes on."""
    onward = local(asked.text("next"))
    if asked.session is not None and await asked.call(lambda _depot, actor: not actor.is_anonymous):
        await asked.go(onward)
        return
    url, cookie = await _begin(asked, onward)
    await asked.leave(url, (cookie,))


async def callback(asked: Asked) -> None:
    """Back from the provider: check what it said, and open a session or link the account."""
    provider, depot = _provider(asked), asked.context.depot
    gone = asked.set_cookie(COOKIE, "", age=0, path=_PATH)
    try:
        kept = await in_thread(asked.context.executor, _kept, asked)
        if asked.text("error") is not None:
            raise BadCredentials("The provider did not let you in, or you went back.", details={"reason": "oidc"})
        code = asked.text("code")
        if code is None or len(code) > 4096:
            raise BadCredentials("The provider sent no code. Begin again.", details={"reason": "oidc"})
        proven = await provider.finish(
            code=code,
            said_issuer=asked.text("iss"),
            redirect_uri=_redirect_uri(asked),
            nonce=kept["nonce"],
            verifier=kept["verifier"],
        )
        if kept["link"]:
            await _link(asked, kept["link"], proven)
            await asked.go(f"{_PATH}/accounts", notice="linked", cookies=(gone,))
            return
        opened = await in_thread(
            asked.context.executor,
            lambda: identities.open_session(
                depot,
                proven,
                create=provider.settings.create_accounts,
                address=asked.address,
                agent=field(asked.scope, b"user-agent") or "",
            ),
        )
    except EntrepotError as refused:
        log.warning("signing in by the provider was refused", reason=refused.message)
        status = 503 if isinstance(refused, Unavailable) else 403
        if asked.session is not None:
            # Who only wanted to link an account is still signed in, and the page says so.
            await asked.call(lambda _depot, _actor: None)
        await asked.send_html(
            asked.render("oidc_refused.html", {"refused": refused.message}), status=status, cookies=(gone,)
        )
        return
    if (before := asked.session) is not None:
        await in_thread(asked.context.executor, sessions.close_session, depot, before)
    age = int((opened.session.expires_at - depot.now()).total_seconds())
    await asked.go(
        local(kept["next"]), cookies=(gone, asked.set_cookie(browser.SESSION_COOKIE, opened.cookie, age=age))
    )


def _kept(asked: Asked) -> Mapping[str, Any]:
    """What this browser was told to remember, if this is the way back of the same sign-in.

    Raises:
        BadCredentials
    """
    again = BadCredentials(
        "This sign-in was begun in another window or too long ago. Begin again.", details={"reason": "state"}
    )
    sealed, state = asked.cookie(COOKIE), asked.text("state") or ""
    if sealed is None:
        raise again
    try:
        kept: Mapping[str, Any] = json.loads(sealing.unseal(asked.context.depot, _OWNER, sealed))
    except (Corrupt, ValueError):
        raise again from None
    if not hmac.compare_digest(state.encode(), kept["state"].encode()):
        raise again
    if asked.context.depot.now().timestamp() > kept["until"]:
        raise again
    return kept


async def _link(asked: Asked, token: str, proven: Proven) -> None:
    """Only to the account of the very session whose page asked for it."""
    if asked.session is None or not browser.is_form_token(token, asked.session):
        raise Forbidden("Somebody else is signed in here by now, so nothing was linked. Begin again.")

    def work(depot: Depot, actor: Actor) -> None:
        identities.link(depot, actor, proven)

    await asked.call(work)


# Accounts


async def accounts(asked: Asked) -> None:
    """The ways in that are linked to one's account."""
    provider = _provider(asked)

    def work(depot: Depot, actor: Actor) -> dict[str, Any]:
        return {"linked": identities.list_identities(depot, actor), "issuer": provider.issuer}

    await asked.page("oidc_accounts.html", work)


async def link(asked: Asked) -> None:
    """Off to the provider, to link it. The page in between is there because a form may lead to nowhere but here."""
    await asked.form()
    _provider(asked)
    await asked.call(lambda _depot, _actor: asked.signed_in())
    assert asked.session is not None, "somebody is signed in"
    url, cookie = await _begin(asked, _PATH, link=browser.form_token(asked.session))
    await asked.page("oidc_onward.html", lambda _depot, _actor: {"url": url}, cookies=(cookie,))


async def unlink(asked: Asked) -> None:
    form = await asked.form()
    _provider(asked)

    def work(depot: Depot, actor: Actor) -> None:
        asked.signed_in()
        identities.unlink(depot, actor, form.text("issuer"), form.text("subject"))

    await asked.call(work)
    await asked.go(f"{_PATH}/accounts", notice="removed")


ROUTES: Final[Mapping[str, Mapping[str, Call]]] = {
    "/oidc/start": {"GET": start},
    "/oidc/callback": {"GET": callback},
    "/oidc/accounts": {"GET": accounts},
    "/oidc/link": {"POST": link},
    "/oidc/unlink": {"POST": unlink},
}
