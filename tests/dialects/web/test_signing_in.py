"""Who is let in, what a form must show, and where nobody is led."""

from __future__ import annotations

import pytest

from tests.support.browsing import Premises, Visitor, plain

HOME = "/ui/"


def test_a_stranger_is_asked_to_sign_in_and_led_back(premises: Premises) -> None:
    answer = premises.stranger.get("/ui/projects?cursor=x")
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/sign-in?next=%2Fui%2Fprojects%3Fcursor%3Dx")
    visitor = Visitor(premises.site)
    form = {"csrf": visitor.token("/ui/sign-in"), "user": "reader", "password": "correct horse", "next": "/ui/projects"}
    assert visitor.request("POST", "/ui/sign-in", data=form).headers["location"] == "/ui/projects"
    assert "reader" in visitor.text("/ui/projects")


def test_the_cookie_of_a_session_is_for_the_browser_alone(premises: Premises) -> None:
    visitor = Visitor(premises.site).sign_in("reader")
    (cookie,) = [line for line in visitor.set_cookies if line.startswith("entrepot_session=")]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie


def test_a_wrong_password_tells_nothing_and_keeps_the_name(premises: Premises) -> None:
    visitor = Visitor(premises.site)
    said = []
    for name in ("writer", "nobody-of-that-name"):
        form = {"csrf": visitor.token("/ui/sign-in"), "user": name, "password": "wrong"}
        answer = visitor.request("POST", "/ui/sign-in", data=form)
        assert (answer.status_code, f'value="{name}"' in answer.text) == (401, True)
        said.append(plain(answer.text))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    "next_",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/ui\\..//evil.example",
        "/ui/\t//evil.example",
        "javascript:alert(1)",
        "/uilike",
        "/projects/x",
        "http:/ui/",
    ],
)
def test_signing_in_leads_nowhere_else(premises: Premises, next_: str) -> None:
    visitor = Visitor(premises.site)
    form = {"csrf": visitor.token("/ui/sign-in"), "user": "reader", "password": "correct horse", "next": next_}
    assert visitor.request("POST", "/ui/sign-in", data=form).headers["location"] == HOME
    assert visitor.get("/ui/sign-in", params={"next": next_}).headers["location"] == HOME


def test_a_form_without_its_token_does_nothing(premises: Premises) -> None:
    visitor = Visitor(premises.site).sign_in("reader")
    for form in ({"other": "x"}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": premises.writer.token()}):
        assert visitor.request("POST", "/ui/sign-out", data=form).status_code == 403
    assert "reader" in visitor.text(HOME)


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_form_of_another_site_does_nothing(premises: Premises, headers: dict[str, str]) -> None:
    visitor = Visitor(premises.site).sign_in("reader")
    form = {"csrf": visitor.token()}
    assert visitor.request("POST", "/ui/sign-out", data=form, headers=headers).status_code == 403
    assert visitor.request("POST", "/ui/theme?theme=dark", headers=headers).status_code == 403
    assert "reader" in visitor.text(HOME)


def test_signing_out_ends_the_session_itself(premises: Premises) -> None:
    visitor = Visitor(premises.site).sign_in("reader")
    copied = dict(visitor.cookies)
    assert visitor.done("/ui/sign-out") == "/ui/sign-in"
    assert "entrepot_session" not in visitor.cookies
    assert "You are signed out." in visitor.text("/ui/sign-in")
    assert "You are signed out." not in visitor.text("/ui/sign-in")
    thief = Visitor(premises.site, copied)
    answer = thief.get("/ui/projects")
    assert answer.headers["location"].endswith("&over=1")
    assert "entrepot_session" not in thief.cookies


def test_pages_run_nothing_load_nothing_and_stand_in_no_frame(premises: Premises) -> None:
    for answer in (premises.reader.get(HOME), premises.reader.get("/ui/nothing"), premises.stranger.get("/ui/sign-in")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        for inline in ("style=", "<style", "onclick", "<script>", "javascript:"):
            assert inline not in answer.text


def test_what_is_not_there_is_a_page_too(premises: Premises) -> None:
    answer = premises.reader.get("/ui/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "reader" in plain(answer.text)
    assert premises.reader.request("DELETE", HOME).status_code == 405


def test_an_address_that_names_nothing_still_knows_who_is_signed_in(premises: Premises) -> None:
    answer = premises.reader.get("/ui/versions/ver_nothing")
    assert answer.status_code == 404
    assert 'href="/ui/sign-in' not in answer.text


def test_colours_are_kept_in_a_cookie(premises: Premises) -> None:
    visitor = Visitor(premises.site)
    answer = visitor.request("POST", "/ui/theme?theme=dark&next=%2Fui%2Fsign-in")
    assert answer.headers["location"] == "/ui/sign-in"
    assert 'data-theme="dark"' in visitor.page("/ui/sign-in")
    visitor.request("POST", "/ui/theme?theme=auto")
    assert 'data-theme="auto"' in visitor.page("/ui/sign-in")


def test_files_of_the_pages_are_named_by_their_content(premises: Premises) -> None:
    page = premises.stranger.page("/ui/sign-in")
    at = page.index("/ui/static/entrepot.css?v=")
    address = page[at : page.index('"', at)]
    answer = premises.stranger.get(address)
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    assert "immutable" not in premises.stranger.get("/ui/static/entrepot.css?v=0").headers["cache-control"]
    again = premises.stranger.get(address, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for missing in ("../app.py", "%2e%2e/app.py", "built/none.js", "", "templates/base.html"):
        assert premises.stranger.get(f"/ui/static/{missing}").status_code == 404


def test_a_script_of_a_page_may_use_the_api_with_the_session(premises: Premises) -> None:
    visitor = Visitor(premises.site).sign_in("reader")
    page = visitor.page(HOME)
    at = page.index('name="form-token" content="') + len('name="form-token" content="')
    token = page[at : page.index('"', at)]
    assert visitor.get("/api/v1/whoami").json()["user"] is None
    assert visitor.get("/api/v1/whoami", headers={"Entrepot-Form-Token": token}).json()["user"]["name"] == "reader"
    for headers in (
        {"Entrepot-Form-Token": "0" * 64},
        {"Entrepot-Form-Token": token, "Origin": "https://evil.example"},
    ):
        assert visitor.get("/api/v1/whoami", headers=headers).status_code == 401
