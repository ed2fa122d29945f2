"""Signed links: what was signed comes back, and any change at all is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.model.errors import BadSignature, Invalid
from entrepot.wire.signing import PREFIX, Grant, sign, verify

KEY = bytes(range(32))
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=12)
URL_SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~%/"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.text(), json_values, max_size=4)


def a_grant(method: str = "GET", expires_at: datetime = LATER) -> Grant:
    return Grant(method, {"version": 12, "revision": 3, "entry": 99}, {"user": 7, "token": 41}, expires_at, {"size": 5})


@given(
    st.sampled_from(["GET", "PUT"]),
    objects,
    objects,
    objects,
    st.integers(1, 10**9).map(lambda seconds: NOW + timedelta(seconds=seconds)),
    st.none() | st.text(),
)
def test_what_was_signed_comes_back(method, target, issuer, constraints, expires_at, name) -> None:
    grant = Grant(method, target, issuer, expires_at, constraints)
    path = sign(KEY, grant, name)
    assert set(path) <= set(URL_SAFE)
    assert verify(KEY, path, method, NOW) == grant


def refuses(path: str) -> bool:
    try:
        verify(KEY, path, "GET", NOW)
    except BadSignature:
        return True
    return False


def test_every_change_of_a_single_character_is_refused() -> None:
    path = sign(KEY, a_grant(), "a~b-c_d 100%.csv")
    for at, character in enumerate(path):
        accepted = [other for other in URL_SAFE if not refuses(path[:at] + other + path[at + 1 :])]
        assert accepted == [character], f"at {at}"
        assert refuses(path[:at] + path[at + 1 :]), f"without the one at {at}"


@given(st.data())
def test_inserted_and_appended_text_is_refused(data: st.DataObject) -> None:
    path = sign(KEY, a_grant(), "reads.csv")
    at = data.draw(st.integers(0, len(path)))
    extra = data.draw(st.text(st.characters(max_codepoint=0x17F), min_size=1, max_size=3))
    with pytest.raises(BadSignature):
        verify(KEY, path[:at] + extra + path[at:], "GET", NOW)


CHANGES: dict[str, Callable[[str], str]] = {
    "query": lambda path: path + "?x=1",
    "empty query": lambda path: path + "?",
    "trailing slash": lambda path: path + "/",
    "name dropped": lambda path: path.rpartition("/")[0],
    "other name": lambda path: path.rpartition("/")[0] + "/other.csv",
    "decoded": unquote,
    "lower-case escapes": lambda path: path.replace("%C3%B1", "%c3%b1"),
    "unreserved character escaped": lambda path: path.replace("o%20", "%6F%20"),
    "separator escaped": lambda path: PREFIX + path.removeprefix(PREFIX).replace("/", "%2F"),
    "padding": lambda path: path.replace("/a%C3", "=/a%C3"),
    "everything escaped twice": lambda path: PREFIX + quote(path.removeprefix(PREFIX)),
    "case of the whole": str.swapcase,
    "prefix doubled": lambda path: PREFIX + path,
    "prefix missing": lambda path: path.removeprefix(PREFIX),
    "dot segment": lambda path: path.replace(PREFIX, PREFIX + "./"),
    "empty": lambda path: "",
    "huge": lambda path: path + "a" * 10_000,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_another_spelling_of_a_link_is_refused(change: Callable[[str], str]) -> None:
    path = sign(KEY, a_grant(), "año 100%.csv")
    assert change(path) != path
    with pytest.raises(BadSignature, match="changed or does not come from this server"):
        verify(KEY, change(path), "GET", NOW)


def test_the_unused_bits_of_the_last_character_of_the_mac_count() -> None:
    """43 base64 characters hold 258 bits, a MAC 256: decoders accept four spellings of each MAC, we one."""
    opaque = sign(KEY, a_grant())
    position = URL_SAFE[:64].index(opaque[-1])
    for bits in range(1, 4):
        with pytest.raises(BadSignature):
            verify(KEY, opaque[:-1] + URL_SAFE[:64][position ^ bits], "GET", NOW)


@pytest.mark.parametrize(
    ("signed", "used", "passes"),
    [
        ("GET", "GET", True),
        ("GET", "HEAD", True),
        ("GET", "PUT", False),
        ("GET", "get", False),
        ("PUT", "PUT", True),
        ("PUT", "GET", False),
        ("PUT", "HEAD", False),
        ("PUT", "POST", False),
        ("GET", "DELETE", False),
    ],
)
def test_a_link_serves_its_own_method_only(signed: str, used: str, passes: bool) -> None:
    path = sign(KEY, a_grant(signed))
    if passes:
        assert verify(KEY, path, used, NOW).method == signed
    else:
        with pytest.raises(BadSignature, match=f"is for {signed}, not for {used}"):
            verify(KEY, path, used, NOW)


def test_a_link_really_expires() -> None:
    path = sign(KEY, a_grant())
    assert verify(KEY, path, "GET", LATER - timedelta(microseconds=1))
    for instant in (LATER, LATER + timedelta(days=1)):
        with pytest.raises(BadSignature, match="good until 2026-03-02T00:00:00Z"):
            verify(KEY, path, "GET", instant)


def test_a_link_of_another_key_is_refused() -> None:
    with pytest.raises(BadSignature):
        verify(KEY[::-1], sign(KEY, a_grant()), "GET", NOW)


def test_the_same_right_gives_the_same_link() -> None:
    shuffled = Grant("GET", {"entry": 99, "revision": 3, "version": 12}, {"token": 41, "user": 7}, LATER, {"size": 5})
    assert sign(KEY, a_grant(), "x") == sign(KEY, shuffled, "x")


@pytest.mark.parametrize(("name", "shown"), [("a/b/c.csv", "/c.csv"), ("", ""), (".", ""), ("x/..", ""), ("a/", "")])
def test_only_the_last_segment_of_a_name_is_shown(name: str, shown: str) -> None:
    path = sign(KEY, a_grant(), name)
    assert path.removeprefix(sign(KEY, a_grant()).rpartition(".")[0]).partition("/")[1:] == (shown[:1], shown[1:])
    assert verify(KEY, path, "GET", NOW)


def test_no_message_holds_the_link() -> None:
    path = sign(KEY, a_grant(expires_at=NOW), "secret-name.csv")
    for attempt in (path, path + "x"):
        with pytest.raises(BadSignature) as caught:
            verify(KEY, attempt, "GET", NOW)
        assert path[20:40] not in str(caught.value)
        assert "secret-name" not in str(caught.value)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(Invalid, match="31 bytes"):
        sign(KEY[:31], a_grant())
    with pytest.raises(Invalid, match="31 bytes"):
        verify(KEY[:31], sign(KEY, a_grant()), "GET", NOW)


@pytest.mark.parametrize("method", ["POST", "HEAD", "get", ""])
def test_links_are_made_for_get_and_put_only(method: str) -> None:
    with pytest.raises(Invalid, match="GET or PUT"):
        a_grant(method)


def test_the_end_of_a_link_needs_a_time_zone() -> None:
    with pytest.raises(Invalid, match="time zone"):
        a_grant(expires_at=LATER.replace(tzinfo=None))
