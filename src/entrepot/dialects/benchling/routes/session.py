"""OAuth2 client credentials: a signed token of an hour for an API token, which is shown with its id."""

from __future__ import annotations

import math
from typing import Any, Final
from urllib.parse import parse_qsl

from entrepot.depot import sessions
from entrepot.dialects.benchling.context import DOOR, Asked, dumped
from entrepot.http.body import read_all
from entrepot.http.credentials import Via, find
from entrepot.http.threads import in_thread
from entrepot.model.errors import Invalid, Malformed, Unauthenticated

_MOST: Final = 64 << 10


async def token(asked: Asked) -> None:
    """Client id and secret come by Basic or in the form; the id is a token's id, the secret its text.

    Raises:
        Invalid: Another grant.
        BadCredentials
    """
    form = _form(await read_all(asked.receive, _MOST))
    if form.get("grant_type") != "client_credentials":
        raise Invalid("grant_type can only be client_credentials.")
    shown = find(asked.scope, (Via.BASIC,))
    if shown is not None:
        client, secret = shown.user or "", shown.secret
    else:
        client, secret = form.get("client_id", ""), form.get("client_secret", "")
    if not client or not secret:
        raise Unauthenticated("Show a client id (the id of a token) and a client secret (its text).")
    depot = asked.context.depot

    def work() -> dict[str, Any]:
        made = sessions.exchange(depot, client, secret, door=DOOR)
        left = math.floor((made.expires_at - depot.now()).total_seconds())
        return {"access_token": made.text, "token_type": "Bearer", "expires_in": max(left, 1)}

    await asked.send_json(dumped(await in_thread(asked.context.executor, work)))


def _form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20))
    except ValueError as wrong:
        raise Malformed("The body is no form (application/x-www-form-urlencoded).") from wrong
