"""Logging in at the Flow door: tokens that work here and nowhere else, and a cookie that gets the next one."""

from __future__ import annotations

import pytest

from tests.support.flow import PASSWORD, Lab, error_of


def test_a_login_gives_a_token_and_a_cookie(lab: Lab) -> None:
    answer = lab.anonymous("POST", "/login", {"username": "writer", "password": PASSWORD})
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("flow_refresh_token=")
    attributes = {one.strip().lower() for one in cookie.split(";")[1:]}
    assert {"path=/flow/api", "httponly", "samesite=lax"} <= attributes
    assert "secure" not in attributes
    token = answer.json()["token"]
    me = lab.anonymous("GET", "/me", headers={"Authorization": f"Bearer {token}"})
    assert me.json()["username"] == "writer"
    # At its own door only.
    assert lab.site.http.get("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    kept = {"Cookie": cookie.partition(";")[0], "Authorization": "Bearer x.y.z"}
    refreshed = lab.anonymous("GET", "/token", headers=kept)
    assert refreshed.status_code == 200
    assert isinstance(refreshed.json()["token"], str)


@pytest.mark.parametrize("body", [{"username": "writer", "password": "wrong"}, {"username": "nobody", "password": "x"}])
def test_wrong_credentials_are_a_bad_request(lab: Lab, body: dict[str, str]) -> None:
    answer = lab.anonymous("POST", "/login", body)
    assert answer.status_code == 400
    assert "nvalid" in error_of(answer)
    assert "set-cookie" not in answer.headers


def test_what_is_missing_of_a_login_is_named(lab: Lab) -> None:
    answer = lab.anonymous("POST", "/login", {"password": 5})
    assert answer.status_code == 400
    assert set(error_of(answer)) == {"username", "password"}


@pytest.mark.parametrize("cookie", ["", "flow_refresh_token=x", "flow_refresh_token=a.b.c"])
def test_a_refresh_without_a_good_cookie_fails_cleanly(lab: Lab, cookie: str) -> None:
    answer = lab.writer("GET", "/token", headers={"Cookie": cookie} if cookie else {})
    assert answer.status_code == 400
    assert error_of(answer).startswith("Refresh token not valid")


def test_an_access_token_ends_and_the_refresh_token_outlives_it(fresh_lab: Lab) -> None:
    lab = fresh_lab
    answer = lab.anonymous("POST", "/login", {"username": "writer", "password": PASSWORD})
    token, cookie = answer.json()["token"], answer.headers["set-cookie"].partition(";")[0]
    lab.site.clock.move(hours=2)
    bearer = {"Authorization": f"Bearer {token}"}
    assert lab.anonymous("GET", "/me", headers=bearer).status_code == 401
    # An access token is no refresh token, and the other way round.
    refresh = cookie.partition("=")[2]
    assert lab.anonymous("GET", "/me", headers={"Authorization": f"Bearer {refresh}"}).status_code == 401
    again = lab.anonymous("GET", "/token", headers={"Cookie": cookie}).json()["token"]
    assert lab.anonymous("GET", "/me", headers={"Authorization": f"Bearer {again}"}).status_code == 200
    lab.site.clock.move(days=31)
    assert lab.anonymous("GET", "/token", headers={"Cookie": cookie}).status_code == 400


def test_me_is_for_somebody(lab: Lab) -> None:
    assert lab.anonymous("GET", "/me").status_code == 401
    assert lab.anonymous("GET", "/me", headers={"Authorization": "Bearer nothing"}).status_code == 401
    me = lab.writer.ok("GET", "/me")
    assert me["id"].isdecimal()
    assert me["memberships"] == [{"name": "lab", "slug": "lab", "is_admin": False}]
    assert me["notifications"] == {"count": 0, "unread_count": 0, "notifications": []}
    assert lab.chief.ok("GET", "/me")["memberships"][0]["is_admin"] is True
    assert lab.reading.ok("GET", "/me/")["username"] == "writer"
