"""What proves that a request of a browser was meant: its session, and that a page of ours sent it.

A browser shows its cookie with every request, whoever caused it. So a request that changes something must show two
things that another site's page cannot make it show: where it comes from (Origin), and a text that only our pages hold,
made of the cookie itself. Nobody who does not have the cookie can compute it, and it tells nothing of the cookie.

    form token = HMAC-SHA-256(cookie of the session, "form")
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final
from urllib.parse import urlsplit

from starlette.types import Scope

from entrepot.http.fields import field
from entrepot.http.hosts import Hosts

__all__ = ["SESSION_COOKIE", "TOKEN_FIELD", "comes_from_here", "form_token", "is_form_token"]

SESSION_COOKIE: Final = "entrepot_session"
#: Requests of scripts show the form token in this field, which no form of another site can set.
TOKEN_FIELD: Final = b"entrepot-form-token"


def form_token(cookie: str) -> str:
    """What the forms of whoever holds this cookie must send along."""
    return hmac.new(cookie.encode(), b"form", hashlib.sha256).hexdigest()


def is_form_token(shown: str, cookie: str) -> bool:
    return hmac.compare_digest(shown.encode(), form_token(cookie).encode())


def comes_from_here(scope: Scope, hosts: Hosts) -> bool:
    """Whether nothing says that a page of another site caused this request.

    Browsers send Origin with each request that changes something; programs need not. Only the host is compared: a
    proxy in front may speak another protocol than we do.
    """
    origin = field(scope, b"origin")
    if origin is not None:
        host = urlsplit(origin).netloc.lower()
        return bool(host) and host == hosts.origin(scope).host
    return (field(scope, b"sec-fetch-site") or "none") in ("same-origin", "none")
