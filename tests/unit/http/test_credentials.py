"""Credentials: found where a door looks, refused when they cannot be read, never shown."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.http.credentials import Credentials, Via, find, shows_none
from entrepot.model.errors import BadCredentials
from tests.support.asgi import request

TOKEN = "ent_" + "A-z_9" * 8
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2ln"
EVERYWHERE = tuple(Via)


def basic(text: str | bytes) -> str:
    return "Basic " + base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


@pytest.mark.parametrize(
    ("fields", "query", "via", "token"),
    [
        ({"authorization": f"Bearer {TOKEN}"}, b"", Via.BEARER, TOKEN),
        ({"authorization": f"bearer  {JWT} "}, b"", Via.BEARER, JWT),
        ({"authorization": basic(f"{TOKEN}:")}, b"", Via.BASIC, TOKEN),
        ({"authorization": basic(f"anybody:{TOKEN}")}, b"", Via.BASIC, TOKEN),
        ({"secret_key": TOKEN}, b"", Via.KEY, TOKEN),
        ({"cookie": f"a=b; entrepot_session={TOKEN}; c=d"}, b"", Via.COOKIE, TOKEN),
        ({"cookie": f'entrepot_session="{TOKEN}"'}, b"", Via.COOKIE, TOKEN),
        ({}, f"x=1&token={TOKEN}&y".encode(), Via.QUERY, TOKEN),
        ({}, f"token={JWT}".encode(), Via.QUERY, JWT),
    ],
)
def test_each_place(fields: dict[str, str], query: bytes, via: Via, token: str) -> None:
    scope = request(query=query, **fields)
    found = find(scope, EVERYWHERE)
    assert found is not None
    assert (found.via, found.token) == (via, token)
    # A door that does not look there does not see it.
    others = [place for place in EVERYWHERE if place is not via]
    if via in (Via.BEARER, Via.BASIC):
        with pytest.raises(BadCredentials, match="scheme is not known"):
            find(scope, others)
    else:
        assert find(scope, others) is None


def test_user_and_password_are_kept_apart() -> None:
    found = find(request(authorization=basic("ada:with:colons")), [Via.BASIC])
    assert found == Credentials(Via.BASIC, "with:colons", "ada")


def test_nothing_is_a_stranger() -> None:
    assert find(request(), EVERYWHERE) is None
    assert find(request(cookie="other=1", accept="*/*"), EVERYWHERE, cookie="mine") is None
    assert find(request(query=b"tokens=1&atoken=2"), EVERYWHERE) is None
    assert find(request(secret_key="", authorization=""), EVERYWHERE) is None
    assert find(request(query=b"x&" * 2000), EVERYWHERE) is None


def test_the_order_of_places_is_the_door_s() -> None:
    scope = request(
        query=b"token=from-query", authorization="Bearer from-header", cookie="entrepot_session=from-cookie"
    )
    assert find(scope, [Via.BEARER, Via.QUERY]).secret == "from-header"  # type: ignore[union-attr]
    assert find(scope, [Via.QUERY, Via.BEARER]).secret == "from-query"  # type: ignore[union-attr]
    assert find(scope, [Via.COOKIE]).secret == "from-cookie"  # type: ignore[union-attr]


def test_a_scheme_for_a_proxy_in_front_does_not_hide_a_token_elsewhere() -> None:
    scope = request(authorization=basic("lab:door"), query=f"token={TOKEN}".encode())
    assert find(scope, [Via.BEARER, Via.QUERY]).token == TOKEN  # type: ignore[union-attr]
    assert find(scope, [Via.COOKIE]) is None


@pytest.mark.parametrize(
    ("fields", "query"),
    [
        ({"authorization": "Bearer"}, b""),
        ({"authorization": "Bearer "}, b""),
        ({"authorization": "Bearer a b"}, b""),
        ({"authorization": f"Bearer {TOKEN}, Bearer {TOKEN}"}, b""),
        ({"authorization": "Bearer é"}, b""),
        ({"authorization": "Bearer " + "a" * 9000}, b""),
        ({"authorization": "Digest x=y"}, b""),
        ({"authorization": TOKEN}, b""),
        ({"authorization": "Basic"}, b""),
        ({"authorization": "Basic !!!"}, b""),
        ({"authorization": basic("no colon")}, b""),
        ({"authorization": basic(":")}, b""),
        ({"authorization": basic(b"\xff:\xff")}, b""),
        ({"authorization": basic("a" * 9000 + ":")}, b""),
        ({"secret_key": "a b"}, b""),
        ({}, b"token=a%20b"),
    ],
)
def test_what_cannot_be_read_is_refused_and_not_repeated(fields: dict[str, str], query: bytes) -> None:
    with pytest.raises(BadCredentials) as caught:
        find(request(query=query, **fields), EVERYWHERE)
    shown = [value.partition(" ")[2] for value in fields.values()]
    assert not any(len(secret) > 3 and secret in str(caught.value) for secret in shown)


def test_a_damaged_cookie_is_none() -> None:
    assert find(request(cookie="entrepot_session=a b; entrepot_session"), [Via.COOKIE]) is None


def test_of_two_cookies_the_first_counts() -> None:
    scope = request()
    scope["headers"] = [(b"cookie", b"entrepot_session=first"), (b"cookie", b"entrepot_session=second")]
    assert find(scope, [Via.COOKIE]).secret == "first"  # type: ignore[union-attr]


@given(st.sampled_from(list(Via)), st.text(min_size=5), st.text(min_size=5))
def test_secrets_are_not_printed(via: Via, secret: str, user: str) -> None:
    found = Credentials(via, secret, user)
    for text in (repr(found), str(found), f"{found}", repr([found])):
        assert text.strip("[]") == f"Credentials(via={via!r})"


@given(st.binary(max_size=60), st.sampled_from(["authorization", "secret-key", "cookie"]), st.binary(max_size=40))
def test_no_field_and_no_query_breaks_the_reader(value: bytes, name: str, query: bytes) -> None:
    scope: Any = request(query=b"token=" + query)
    scope["headers"] = [(name.encode(), value)]
    with contextlib.suppress(BadCredentials):
        find(scope, EVERYWHERE)


def test_who_shows_nothing() -> None:
    assert shows_none(request(accept="x"))
    for name in ("authorization", "secret_key", "cookie"):
        assert not shows_none(request(**{name: "x"}))
