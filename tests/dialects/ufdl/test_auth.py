"""Logging in, tokens, and what is said when there is none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.identity import PASSWORD
from tests.support.ufdl import Lab, Person


def obtained(lab: Lab, name: str = "writer", password: str = PASSWORD) -> dict[str, str]:
    found: dict[str, str] = lab.anonymous.ok("POST", "/auth/obtain", {"username": name, "password": password})
    return found


def test_a_pair_of_tokens_for_a_name_and_a_password(lab: Lab) -> None:
    pair = obtained(lab)
    assert set(pair) == {"refresh", "access"}
    assert Person(lab, pair["access"]).ok("GET", "/users/writer")[0]["username"] == "writer"
    assert lab.anonymous.ok("POST", "/auth/verify/", {"token": pair["access"]}) == {}
    assert lab.anonymous.ok("POST", "/auth/verify", {"token": pair["refresh"]}) == {}
    fresh = lab.anonymous.ok("POST", "/auth/refresh/", {"refresh": pair["refresh"]})
    assert set(fresh) == {"access"}
    assert Person(lab, fresh["access"]).ok("POST", "/projects/list")


def test_a_form_does_as_well_as_json(lab: Lab) -> None:
    form = {"username": "writer", "password": PASSWORD}
    assert lab.anonymous("POST", "/auth/obtain", data=form).status_code == 200
    parts = {name: (None, value) for name, value in form.items()}
    assert lab.anonymous("POST", "/auth/obtain", files=parts).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "answer"),
    [
        (
            "obtain",
            {"username": "writer", "password": "wrong"},
            401,
            {"detail": "No active account found with the given credentials"},
        ),
        ("obtain", {"username": "writer"}, 400, {"password": ["This field is required."]}),
        (
            "obtain",
            {},
            400,
            {"username": ["This field is required."], "password": ["This field is required."]},
        ),
        (
            "refresh",
            {"refresh": "a.b.c"},
            401,
            {"detail": "Token is invalid or expired", "code": "token_not_valid"},
        ),
        ("verify", {"token": "nonsense"}, 401, {"detail": "Token is invalid or expired", "code": "token_not_valid"}),
        ("verify", {}, 400, {"token": ["This field is required."]}),
    ],
)
def test_what_is_no_good_is_said_in_the_known_words(
    shared_lab: Lab, path: str, body: Any, status: int, answer: Any
) -> None:
    got = shared_lab.anonymous("POST", f"/auth/{path}", body)
    assert (got.status_code, got.json()) == (status, answer)


def test_an_access_token_refreshes_nothing(lab: Lab) -> None:
    got = lab.anonymous("POST", "/auth/refresh", {"refresh": obtained(lab)["access"]})
    assert got.status_code == 401
    assert got.json() == {"detail": "Token has wrong type", "code": "token_not_valid"}


def test_tokens_end_after_an_hour_and_after_eight(fresh_lab: Lab) -> None:
    lab = fresh_lab
    pair = obtained(lab)
    lab.site.clock.move(minutes=59)
    assert Person(lab, pair["access"])("POST", "/datasets/list").status_code == 200
    lab.site.clock.move(minutes=2)
    assert Person(lab, pair["access"])("POST", "/datasets/list").status_code == 401
    assert lab.anonymous("POST", "/auth/refresh", {"refresh": pair["refresh"]}).status_code == 200
    lab.site.clock.move(hours=8)
    assert lab.anonymous("POST", "/auth/refresh", {"refresh": pair["refresh"]}).status_code == 401


@pytest.mark.parametrize("token", ["x", "a.b.c", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "x" * 5000])
def test_a_token_of_somebody_else_is_401_on_open_actions_too(shared_lab: Lab, token: str) -> None:
    got = Person(shared_lab, token)("POST", "/datasets/list")
    assert got.status_code == 401
    said = got.json()
    assert (said["detail"], said["code"]) == ("Given token not valid for any token type", "token_not_valid")
    assert set(said["messages"][0]) == {"token_class", "token_type", "message"}
    assert got.headers["www-authenticate"].startswith("Bearer")


def test_a_deactivated_user_is_told_so(fresh_lab: Lab) -> None:
    lab = fresh_lab
    pair = obtained(lab)
    pk = lab.staff.ok("GET", "/users/writer")[0]["pk"]
    assert lab.staff("DELETE", f"/users/{pk}").status_code == 204
    got = Person(lab, pair["access"])("POST", "/datasets/list")
    assert (got.status_code, got.json()) == (401, {"detail": "User is inactive", "code": "user_inactive"})
    again = lab.anonymous("POST", "/auth/obtain", {"username": "writer", "password": PASSWORD})
    assert again.status_code == 401


def test_nothing_where_something_is_needed(shared_lab: Lab) -> None:
    got = shared_lab.anonymous("POST", "/teams/list")
    assert (got.status_code, got.json()) == (401, {"detail": "Authentication credentials were not provided."})


def test_guessing_is_slowed_down(fresh_lab: Lab) -> None:
    lab = fresh_lab
    for _ in range(10):
        lab.anonymous("POST", "/auth/obtain", {"username": "writer", "password": "wrong"})
    got = lab.anonymous("POST", "/auth/obtain", {"username": "writer", "password": PASSWORD})
    assert got.status_code == 429
    assert int(got.headers["retry-after"]) > 0


def test_credentials_are_judged_before_a_body_is_read(shared_lab: Lab) -> None:
    """The client repeats an upload after a 401, an open file from its end: it must hear of it at once."""
    got = Person(shared_lab, "x")("POST", "/datasets/999/files/a.bin", content=b"bytes")
    assert got.status_code == 401
