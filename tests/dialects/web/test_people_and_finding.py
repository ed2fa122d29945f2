"""One's account, teams and projects; search, activity, tasks and the trash."""

from __future__ import annotations

import re

from tests.support.browsing import Premises, Visitor, plain


def someone(premises: Premises, name: str) -> Visitor:
    """A person of this test alone."""
    premises.site.world.user(name)
    return Visitor(premises.site).sign_in(name)


def test_a_token_is_shown_once_and_works_until_it_is_revoked(premises: Premises) -> None:
    ada = someone(premises, "ada")
    page = ada.send("/ui/me/new-token", name="<b>mine</b>", scope="read", days="30").text
    text = re.search(r'class="secret"[^>]*>([^<]+)<', page)
    assert text is not None
    assert "&lt;b&gt;mine" in page
    who = {"Authorization": f"Bearer {text[1]}"}
    assert premises.site.http.get("/api/v1/whoami", headers=who).json()["user"]["name"] == "ada"
    again = ada.page("/ui/me")
    assert text[1] not in again
    named = re.search(r'name="token" value="(tok_[0-9a-f]+)"', again)
    assert named is not None
    assert premises.outsider.send("/ui/me/revoke-token", token=named[1]).status_code == 404
    assert ada.done("/ui/me/revoke-token", token=named[1]) == "/ui/me"
    assert premises.site.http.get("/api/v1/whoami", headers=who).status_code == 401
    assert ada.send("/ui/me/new-token", scope="everything", days="30").status_code == 422


def test_a_session_of_another_place_can_be_ended(premises: Premises) -> None:
    bea = someone(premises, "bea")
    elsewhere = Visitor(premises.site).sign_in("bea")
    ids = set(re.findall(r'name="session" value="([^"]+)"', bea.page("/ui/me")))
    assert len(ids) == 2
    for one in ids:
        if bea.get("/ui/me").status_code == 200 and elsewhere.get("/ui/me").status_code == 200:
            bea.done("/ui/me/end-session", session=one)
    assert {bea.get("/ui/me").status_code, elsewhere.get("/ui/me").status_code} == {200, 303}


def test_a_new_password_ends_every_session(premises: Premises) -> None:
    cyd = someone(premises, "cyd")
    wrong = cyd.send("/ui/me/password", old="no", new="another good one", again="another good one")
    assert (wrong.status_code, "Nothing was changed" in wrong.text) == (422, True)
    assert cyd.send("/ui/me/password", old="correct horse", new="another good one", again="x").status_code == 422
    led = cyd.done("/ui/me/password", old="correct horse", new="another good one", again="another good one")
    assert led.startswith("/ui/sign-in")
    assert "Your password is changed" in cyd.text(led)
    Visitor(premises.site).sign_in("cyd", "another good one")


def test_changing_what_is_known_of_oneself(premises: Premises) -> None:
    dot = someone(premises, "dot")
    dot.done("/ui/me", first_name="<i>Dot", last_name="Dash", email="dot@example.org")
    assert "&lt;i&gt;Dot Dash" in dot.page("/ui/me")
    assert dot.send("/ui/me", first_name="", last_name="", email="no address").status_code == 422


def test_a_teams_admin_chooses_its_members(premises: Premises) -> None:
    someone(premises, "eve")
    team = "/ui/team?name=ornithology"
    assert "Add a member" not in premises.reader.text(team)
    chief = premises.chief
    chief.done("/ui/team/member", team="ornithology", user="eve", role="write")
    assert "eve write" in chief.text(team)
    chief.done("/ui/team/member", team="ornithology", user="eve", role="remove")
    assert "eve write" not in chief.text(team)
    assert premises.writer.send("/ui/team/member", team="ornithology", user="eve", role="read").status_code == 403
    assert premises.outsider.get(team).status_code == 404
    assert premises.outsider.send("/ui/teams", name="mine").status_code == 403
    assert premises.staff.done("/ui/teams", name="a/b & c") == "/ui/team?name=a%2Fb%20%26%20c"
    assert "a/b &amp; c" in premises.staff.page("/ui/team?name=a%2Fb%20%26%20c")


def test_a_new_project_is_empty_and_says_what_to_do(premises: Premises) -> None:
    led = premises.writer.done("/ui/new-project", name="Nests", team="ornithology", description="Where **they** are")
    assert led == "/ui/projects/nests"
    page = premises.writer.page(led)
    assert "<strong>they</strong>" in page
    assert "entrepot push FOLDER nests/NAME" in page
    assert "Upload files" not in premises.reader.text(led)
    assert premises.outsider.get(led).status_code == 404
    assert premises.writer.send("/ui/new-project", name="Nests", team="ornithology").status_code == 409


def test_a_form_sent_after_the_session_ended_says_so(premises: Premises) -> None:
    visitor = Visitor(premises.site).sign_in("reader")
    copied, token = dict(visitor.cookies), visitor.token()
    visitor.done("/ui/sign-out")
    answer = Visitor(premises.site, copied).request("POST", "/ui/new-project", data={"csrf": token, "name": "x"})
    assert (answer.status_code, "You are signed out" in answer.text) == (401, True)


def test_search_finds_what_one_may_see_and_narrows_it(premises: Premises) -> None:
    one = premises.version({"a.csv": b"a,b\n1,2\n"}, name="Zebra finch songs", tags=["song", "zebra"])
    premises.version({"a.txt": b"zebra"}, name="Zebra crossing", tags=["road"])
    page = premises.reader.text("/ui/search?q=zebra")
    assert "Zebra finch songs" in page
    assert "Zebra crossing" in page
    narrowed = premises.reader.page("/ui/search?q=zebra&tag=song")
    assert one in narrowed
    assert "Zebra crossing" not in narrowed
    assert "Remove the filter Tag song" in narrowed
    assert "Zebra finch" in premises.reader.text("/ui/search?tag=zebra")
    assert "Zebra" not in premises.outsider.text("/ui/search?q=finch").replace("zebra", "")
    assert "Nothing was found" in premises.stranger.text("/ui/search?q=finch")
    assert "Nothing was found" in premises.reader.text("/ui/search?kind=none")
    hostile = premises.reader.page('/ui/search?q="><script>alert(1)</script>&tag=<b>')
    assert "<script>alert" not in hostile
    assert "<b>&" not in hostile


def test_the_trash_gives_back(premises: Premises) -> None:
    made = premises.version({"a.txt": b"x"}, name="Thrown away")
    premises.writer.done(f"/ui/versions/{made}/trash", reason="by mistake")
    assert "Thrown away" in premises.writer.text("/ui/trash")
    assert "by mistake" in premises.writer.text("/ui/trash")
    assert "Thrown away" not in premises.outsider.text("/ui/trash")
    premises.writer.done(f"/ui/versions/{made}/reinstate")
    assert "Thrown away" not in premises.writer.text("/ui/trash")


def test_activity_tells_members_what_happened(premises: Premises) -> None:
    made = premises.version({"a.txt": b"x"}, name="Much ado")
    page = premises.reader.page("/ui/activity?project=birds")
    assert "published" in page
    assert made in page
    assert "Much ado" not in premises.outsider.text("/ui/activity")
    assert premises.outsider.get("/ui/activity?project=birds").status_code == 404


def test_tasks_can_be_looked_at_and_stopped(premises: Premises) -> None:
    made = premises.version({"a.txt": b"x"}, name="To examine")
    task = premises.api.made(f"/versions/{made}/check")["id"]
    assert "To examine" in premises.writer.text("/ui/tasks")
    page = premises.writer.text(f"/ui/tasks/{task}")
    assert "waiting" in page
    assert premises.outsider.get(f"/ui/tasks/{task}").status_code == 404
    assert premises.reader.send(f"/ui/tasks/{task}/cancel").status_code == 403
    assert premises.writer.done(f"/ui/tasks/{task}/cancel") == f"/ui/tasks/{task}"
    assert "cancelled" in premises.writer.text(f"/ui/tasks/{task}")


def test_strangers_are_asked_to_sign_in_where_there_is_nothing_for_them(premises: Premises) -> None:
    pages = ("me", "teams", "team?name=x", "tasks", "trash", "activity", "upload", "new-project", "projects")
    for page in pages:
        assert premises.stranger.get(f"/ui/{page}").headers["location"].startswith("/ui/sign-in?next="), page
    assert "Sign in" in plain(premises.stranger.page("/ui/"))


def test_a_collection_narrows_its_project(premises: Premises) -> None:
    premises.version({"a.txt": b"x"}, name="In the drawer", collection="drawer/left")
    premises.version({"a.txt": b"x"}, name="On the table")
    page = premises.reader.page("/ui/projects/birds?collection=drawer%2Fleft")
    assert re.findall(r'class="row-name"[^>]*>([^<]*)<', page) == ["In the drawer"]
