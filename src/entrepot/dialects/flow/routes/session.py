"""Logging in: an access token in the body, a refresh token in a cookie that only this door's `/token` reads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from entrepot.depot import sessions
from entrepot.dialects.flow.context import COOKIE, DOOR, PREFIX, Asked, dumped, invalid
from entrepot.http.credentials import Via, find
from entrepot.http.threads import in_thread
from entrepot.model.errors import BadCredentials, Invalid, Unauthenticated

REFRESH: Final = timedelta(days=30)


async def login(asked: Asked) -> None:
    """A name and a password. Wrong ones are 400 here: to the client 401 is a token that it should refresh.

    Raises:
        Invalid, RateLimited
    """
    body = await asked.json()
    name, password = body.get("username"), body.get("password")
    wrong = {
        field: ["This field is required."]
        for field, value in (("username", name), ("password", password))
        if not isinstance(value, str) or not value
    }
    if wrong:
        raise invalid(wrong)
    context, address = asked.context, asked.address

    def work() -> tuple[bytes, str]:
        try:
            made = sessions.obtain(context.depot, str(name), str(password), door=DOOR, address=address, refresh=REFRESH)
        except BadCredentials as refused:
            raise Invalid("Invalid credentials: there is no active account with this name and password.") from refused
        return dumped({"token": made.access.text}), made.refresh.text

    answer, refresh = await in_thread(context.executor, work)
    await asked.send_json(answer, headers={"set-cookie": _cookie(asked, refresh)})


def _cookie(asked: Asked, token: str) -> str:
    # Not Secure over plain HTTP: cookie jars drop those.
    secure = "; Secure" if asked.context.hosts.origin(asked.scope).scheme == "https" else ""
    age = int(REFRESH.total_seconds())
    return f"{COOKIE}={token}; Path={PREFIX}; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"


async def token(asked: Asked) -> None:
    """Another access token, for the cookie of the login. The Authorization that comes along is the old one."""

    def work() -> dict[str, Any]:
        shown = find(asked.scope, (Via.COOKIE,), cookie=COOKIE)
        if shown is None:
            raise Invalid("Refresh token not valid: there is none. Log in first.")
        try:
            return {"token": sessions.refresh(asked.context.depot, shown.token, door=DOOR).text}
        except Unauthenticated as refused:
            raise Invalid("Refresh token not valid. Log in again.") from refused

    await asked.send_json(dumped(await in_thread(asked.context.executor, work)))


async def logout(asked: Asked) -> None:
    """Forget the cookie. Signed tokens end by themselves, or with a new password."""
    gone = f"{COOKIE}=; Path={PREFIX}; Max-Age=0; HttpOnly; SameSite=Lax"
    await asked.send_json(dumped({}), headers={"set-cookie": gone})
