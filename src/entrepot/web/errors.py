"""What becomes of each error at this door: a status by a total table, and a page that says what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from entrepot.http import browser
from entrepot.http.errors import Answer, ErrorTable, Failure
from entrepot.model import errors
from entrepot.model.access import ANONYMOUS
from entrepot.model.errors import Unauthenticated
from entrepot.web import rendering
from entrepot.web.context import Asked, asking

__all__ = ["TABLE", "encode"]

TABLE: Final = ErrorTable(
    {
        errors.Invalid: 422,
        errors.Unauthenticated: 401,
        errors.Forbidden: 403,
        errors.NotFound: 404,
        errors.Gone: 410,
        errors.Conflict: 409,
        errors.TooLarge: 413,
        errors.Unsupported: 415,
        errors.Corrupt: 500,
        errors.Unavailable: 503,
    },
    {errors.Malformed: 400, errors.Hidden: 404, errors.RateLimited: 429, errors.PreconditionFailed: 412},
)


@dataclass(frozen=True, slots=True)
class _Words:
    title: str
    advice: str


_WORDS: Final = {
    400: _Words("That address cannot be read", "Check it, or begin again from the first page."),
    401: _Words("You are signed out", "Sign in and repeat what you did."),
    403: _Words("You may not do that", "Ask an administrator of the team that owns it, or go back."),
    404: _Words(
        "There is nothing here, or you may not see it",
        "It may have been moved or removed, or its owners may not have given you access. Search for it, or ask them.",
    ),
    405: _Words("That cannot be done here", "Go back and use the buttons of the page."),
    409: _Words("That does not fit what is there now", "Go back, load the page again and look at what has changed."),
    410: _Words("It is gone", "It was removed for good."),
    412: _Words("Somebody else was faster", "Go back, load the page again and look at what has changed."),
    413: _Words("That is too large", "Send less at once, or use the command line, which has no such limit."),
    415: _Words("That is of a kind this server does not take", "Check what you sent."),
    422: _Words("Something in the form is not right", "Go back, mend it and send it again."),
    429: _Words("Too many failed attempts", "Wait a moment, then try again."),
    503: _Words("The server cannot do this right now", "Try again in a moment."),
}
_OURS: Final = _Words("Something went wrong on our side", "Try again. If it stays so, tell whoever runs this server.")


def encode(failure: Failure) -> Answer:
    """The page; for somebody who has to sign in to read one, the way to it."""
    asked = asking.get()
    needs_person = isinstance(failure.error, Unauthenticated) and failure.status == 401
    if needs_person and asked is not None and asked.scope["method"] in ("GET", "HEAD"):
        return Answer(303, headers=_sign_in(asked))
    said = _WORDS.get(failure.status, _OURS)
    body = rendering.render(
        "error.html",
        {
            "actor": ANONYMOUS if asked is None else asked.actor,
            "theme": "auto" if asked is None else asked.theme,
            "csrf": "" if asked is None else asked.form_token(),
            "here": "/ui/" if asked is None else asked.path,
            "doors": () if asked is None else asked.context.doors,
            "notice": None,
            "provider": None,
            "status": failure.status,
            "title": said.title,
            "advice": said.advice,
            "message": failure.error.message,
            "faults": failure.error.errors[:50],
            "request_id": failure.request_id if failure.status >= 500 else None,
            "needs_person": needs_person,
        },
    )
    # A challenge would open the browser's own form, which asks for something else.
    headers = dict(rendering.PAGE_FIELDS)
    return Answer(failure.status, body, rendering.HTML, headers)


def _sign_in(asked: Asked) -> dict[str, str]:
    over = "&over=1" if asked.over else ""
    headers = {
        "location": f"/ui/sign-in?next={quote(asked.path, safe='')}{over}",
        "cache-control": "no-store",
    }
    if asked.over:
        headers["set-cookie"] = asked.set_cookie(browser.SESSION_COOKIE, "", age=0)
    return headers
