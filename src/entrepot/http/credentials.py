"""What a request shows of its caller: read here, judged in the depot, never logged.

A door names the places it looks at, in order. What is found is a secret and says so: it is not part of any `repr`, so
it reaches no log, message or traceback by accident. Somebody who shows credentials that cannot be read is refused and
never taken for a stranger: what a stranger may see is less, and the client would go on with that.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from urllib.parse import parse_qsl

from starlette.types import Scope

from entrepot.http import fields
from entrepot.model.errors import BadCredentials

__all__ = ["Credentials", "Via", "find", "shows_none"]


class Via(Enum):
    """Where credentials can be."""

    BEARER = "Authorization: Bearer"
    BASIC = "Authorization: Basic"
    KEY = "Secret-Key"
    COOKIE = "a cookie"
    QUERY = "the query"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What was shown. Only `via` may be printed.

    Args:
        secret: The token; of Basic the password.
        user: Of Basic only.
    """

    via: Via
    secret: str = field(repr=False)
    user: str | None = field(default=None, repr=False)

    @property
    def token(self) -> str:
        """The token, wherever it stands: clients of Basic send it as the user, with no password, or as the password."""
        return self.secret or self.user or ""


#: A token of ours, a JWT, or whatever else RFC 6750 allows.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,8192}=*", re.ASCII)
_MAX_BASIC: Final = 8192


def find(
    scope: Scope, accept: Sequence[Via], *, cookie: str = "entrepot_session", query: str = "token"
) -> Credentials | None:
    """The first credentials in the places that count, or None if there are none at all.

    Args:
        accept: The places, in the order in which they are looked at.
        cookie, query: The names under which the last two kinds are found.

    Raises:
        BadCredentials: There are some in a place that counts, and they cannot be read; or there is an Authorization
            of another scheme and nothing else.
    """
    scheme, _, value = (fields.field(scope, b"authorization") or "").strip().partition(" ")
    scheme, value = scheme.lower(), value.strip()
    for via in accept:
        found: Credentials | None = None
        if via is Via.BEARER and scheme == "bearer":
            found = Credentials(via, _checked(value, via))
        elif via is Via.BASIC and scheme == "basic":
            found = _basic(value)
        elif via is Via.KEY and (key := fields.field(scope, b"secret-key")):
            found = Credentials(via, _checked(key.strip(), via))
        elif via is Via.COOKIE and (crumb := _cookie(scope, cookie)):
            found = Credentials(via, crumb)
        elif via is Via.QUERY and (token := _from_query(scope, query)):
            found = Credentials(via, _checked(token, via))
        if found is not None:
            return found
    if scheme and {Via.BEARER, Via.BASIC} & set(accept):
        raise BadCredentials(
            f"Show a token in {' or in '.join(via.value for via in accept)}; this scheme is not known."
        )
    return None


def shows_none(scope: Scope) -> bool:
    """Whether a request has none of the header fields that carry credentials; its caller is a stranger."""
    return not any(name in (b"authorization", b"secret-key", b"cookie") for name, _ in scope["headers"])


def _checked(token: str, via: Via) -> str:
    if _TOKEN.fullmatch(token) is None:
        raise BadCredentials(f"What {via.value} shows is not a token.")
    return token


def _basic(value: str) -> Credentials:
    if len(value) > _MAX_BASIC:
        raise BadCredentials("What Authorization: Basic shows is too long.")
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadCredentials("What Authorization: Basic shows is not base64 of user:password in UTF-8.") from error
    if not colon or not (user or password):
        raise BadCredentials("What Authorization: Basic shows is not base64 of user:password in UTF-8.")
    return Credentials(Via.BASIC, password, user)


def _cookie(scope: Scope, name: str) -> str | None:
    # Of several the first is that of the longest path (RFC 6265 §5.4). One that no server of ours made is none: people
    # cannot repair their cookies, so a page that refused them would never open again.
    for pair in ("; ".join(value.decode("latin-1") for key, value in scope["headers"] if key == b"cookie")).split(";"):
        key, equals, value = pair.strip().partition("=")
        if equals and key == name and _TOKEN.fullmatch(value := value.strip('"')):
            return value
    return None


def _from_query(scope: Scope, name: str) -> str | None:
    query = scope["query_string"]
    if name.encode() not in query:
        return None
    found = [value for key, value in parse_qsl(query.decode("latin-1")) if key == name]
    return found[0] if found else None
