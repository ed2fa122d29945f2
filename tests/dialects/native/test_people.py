"""Accounts, tokens, teams, nodes and licences, as the wire shows them."""

from __future__ import annotations

import re

from entrepot.depot import sessions
from entrepot.model.values import Scope
from tests.support.identity import ADMIN_PASSWORD
from tests.support.site import Client, Site


def test_a_login_gives_a_token_that_works_until_the_logout(site: Site) -> None:
    answer = site.anonymous.post(
        "/login", json={"username": "admin", "password": ADMIN_PASSWORD, "token_name": "laptop", "expires_in_s": 60}
    )
    assert answer.status_code == 201
    made = answer.json()
    assert (made["user"], made["name"], made["scope"]) == ("admin", "laptop", "admin")
    assert re.fullmatch(r"[A-Za-z0-9_-]{40,}", made["token"])
    me = Client(site.http, made["token"])
    assert me.read("/whoami")["token"]["id"] == made["id"]
    assert me.post("/logout").status_code == 204
    assert me.get("/whoami").status_code == 401


def test_a_token_runs_out(site: Site) -> None:
    made = site.admin.made("/tokens", scope="read", expires_in_s=60)
    me = Client(site.http, made["token"])
    assert me.get("/whoami").status_code == 200
    site.clock.move(seconds=61)
    refused = me.get("/whoami")
    assert (refused.status_code, refused.json()["code"]) == (401, "expired")
    assert refused.headers["www-authenticate"].startswith("Bearer")


def test_wrong_passwords_are_counted_and_then_told_to_wait(site: Site) -> None:
    for _ in range(10):
        refused = site.anonymous.post("/login", json={"username": "admin", "password": "wrong"})
        assert (refused.status_code, refused.json()["code"]) == (401, "bad_credentials")
    refused = site.anonymous.post("/login", json={"username": "admin", "password": ADMIN_PASSWORD})
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0


def test_anonymous_callers_are_nobody(site: Site) -> None:
    assert site.anonymous.read("/whoami") == {
        "user": None, "token": None, "scope": "read", "staff": False, "default_project": None, "node": None,
    }  # fmt: skip


def test_credentials_that_cannot_be_read_are_refused_and_not_ignored(site: Site) -> None:
    for shown in ("Basic abc", "Bearer", "Bearer a b", "nonsense"):
        assert site.anonymous.get("/whoami", headers={"Authorization": shown}).status_code == 401


def test_staff_makes_accounts_and_others_see_only_who_there_is(site: Site) -> None:
    made = site.admin.made("/users", name="alice", password="correct horse", first_name="Alice")
    assert (made["email"], made["staff"], made["active"]) == ("alice@localhost", False, True)
    alice = site.by_token("alice")
    assert (
        alice.read("/users/me")
        == alice.read("/users/alice")
        == site.admin.read(f"/users/{made['id']}") | {"last_login_at": alice.read("/users/me")["last_login_at"]}
    )
    assert alice.get("/users/admin").status_code == 403
    assert alice.read("/users/admin/person")["name"] == "admin"
    assert set(alice.read("/users")["rows"][0]) == {"id", "name", "first_name", "last_name"}
    assert "email" in site.admin.read("/users")["rows"][0]
    assert alice.post("/users", json={"name": "bob"}).status_code == 403
    assert site.admin.post("/users", json={"name": "alice"}).json()["code"] == "name_taken"


def test_an_account_is_changed_field_by_field(site: Site) -> None:
    alice = site.person("alice")
    project = alice.made("/projects", name="Birds")
    after = alice.patch("/users/me", json={"first_name": "Alice", "default_project": "birds"}).json()
    assert (after["first_name"], after["default_project"]) == ("Alice", project["id"])
    assert alice.patch("/users/me", json={"staff": True}).status_code == 403
    assert alice.patch("/users/me", json={"shoe_size": 39}).status_code == 422
    assert alice.read("/whoami")["default_project"] == project["id"]


def test_a_password_is_changed_by_its_owner_and_set_by_staff(site: Site) -> None:
    alice = site.person("alice")
    assert alice.post("/users/me/password", json={"new": "another horse"}).status_code in (401, 403, 422)
    assert alice.post("/users/me/password", json={"new": "another horse", "old": "correct horse"}).status_code == 204
    login = {"username": "alice", "password": "another horse"}
    assert site.anonymous.post("/login", json=login).status_code == 201
    assert site.admin.post("/users/alice/password", json={"new": "third horse"}).status_code == 204
    refused = site.admin.post("/users/alice/password", json={"new": "1234567"})
    assert refused.status_code == 422
    assert "1234567" not in refused.text


def test_a_deactivated_account_can_do_nothing_until_it_is_reactivated(site: Site) -> None:
    alice = site.person("alice")
    assert site.admin.made("/users/alice/deactivate")["active"] is False
    assert alice.get("/whoami").status_code == 401
    assert site.admin.made("/users/alice/reactivate")["active"] is True
    assert alice.get("/whoami").status_code == 200


def test_tokens_are_listed_limited_and_revoked(site: Site) -> None:
    alice = site.person("alice")
    project = alice.made("/projects", name="Birds")["id"]
    made = alice.made("/tokens", name="robot", scope="write", projects=["birds"], never=True)
    assert (made["projects"], made["expires_at"]) == ([project], None)
    assert made["id"] in [row["id"] for row in alice.read("/tokens")["rows"]]
    assert "token" not in alice.read(f"/tokens/{made['id']}")
    robot = Client(site.http, made["token"])
    assert robot.post("/projects", json={"name": "Fish"}).status_code == 403
    assert robot.version(project="birds")
    assert alice.delete(f"/tokens/{made['id']}").status_code == 204
    assert alice.delete(f"/tokens/{made['id']}").status_code == 204
    assert robot.get("/whoami").status_code == 401
    assert site.person("bob").get(f"/tokens/{made['id']}").status_code == 404


def test_a_token_gets_another_name_and_stays_what_it_is(site: Site) -> None:
    alice = site.person("alice")
    made = alice.made("/tokens", name="robot", scope="read")
    renamed = alice.patch(f"/tokens/{made['id']}", json={"name": "arm 2"})
    assert (renamed.status_code, renamed.json()["name"], renamed.json()["scope"]) == (200, "arm 2", "read")
    robot = Client(site.http, made["token"])
    assert robot.read("/whoami")["token"]["name"] == "arm 2"
    assert robot.patch(f"/tokens/{made['id']}", json={"name": "arm 3"}).status_code == 403, "it needs scope admin"
    assert site.person("bob").patch(f"/tokens/{made['id']}", json={"name": "mine"}).status_code == 404
    for wrong in ({}, {"name": None}, {"name": "x", "scope": "admin"}, {"name": "a\x00b"}):
        assert alice.patch(f"/tokens/{made['id']}", json=wrong).status_code == 422, wrong
    told = site.admin.read("/events", verb="token.updated")["rows"]
    assert [(one["subject"], one["after"]) for one in told] == [(made["id"], {"name": "arm 2"})]


def test_a_token_never_reaches_further_than_the_one_it_was_made_with(site: Site) -> None:
    writer = site.by_token("admin", Scope.WRITE)
    assert writer.post("/tokens", json={"scope": "admin"}).status_code == 403


def test_teams_have_members_with_roles(site: Site) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    team = site.admin.made("/teams", name="lab")
    assert site.admin.put("/teams/lab/members/alice", json={"role": "admin"}).json()["role"] == "admin"
    assert alice.put(f"/teams/{team['id']}/members/bob", json={"role": "read"}).json()["user"] == "bob"
    assert alice.put("/teams/lab/members/bob", json={"role": "write"}).json()["role"] == "write"
    assert bob.read("/teams/lab")["role"] == "write"
    assert [row["user"] for row in bob.read("/teams/lab/members")["rows"]] == ["alice", "bob"]
    assert bob.put("/teams/lab/members/alice", json={"role": "read"}).status_code == 403
    assert alice.delete("/teams/lab/members/bob").status_code == 204
    assert bob.get("/teams/lab").status_code == 404
    assert alice.patch("/teams/lab", json={"name": "Lab 2"}).json()["name"] == "Lab 2"
    assert alice.delete("/teams/Lab%202").json()["trash"]["reason"] == "deleted"
    assert site.admin.made(f"/teams/{team['id']}/reinstate")["trash"] is None
    assert site.admin.made(f"/teams/{team['id']}/purge")["id"] == team["id"]
    assert site.admin.get(f"/teams/{team['id']}").status_code == 404


def test_somebody_acts_for_a_node_by_a_header(site: Site) -> None:
    node = site.admin.made("/nodes", name="worker one")
    alice = site.person("alice")
    assert alice.get("/whoami", headers={"Node-Id": node["id"]}).json()["node"] == node["id"]
    assert alice.get("/whoami", headers={"Node-Id": "worker one"}).json()["node"] == node["id"]
    assert alice.get("/whoami", headers={"Node-Id": "node_" + "0" * 32}).status_code == 422
    assert site.admin.patch("/nodes/worker%20one", json={"active": False}).json()["active"] is False
    assert alice.get("/whoami", headers={"Node-Id": node["id"]}).status_code == 422
    assert alice.get("/nodes").status_code == 403


def test_licences_are_there_from_the_start_and_kept_by_staff(site: Site) -> None:
    names = [row["name"] for row in site.person("alice").read("/licences")["rows"]]
    assert len(names) == 14
    assert "Proprietary" in names
    made = site.admin.made("/licences", name="House rules 1/2", permissions=["use"])
    path = "/licences/House%20rules%201%2F2"
    assert site.admin.read(path)["id"] == made["id"]
    after = site.admin.patch(path, json={"url": "https://example.org/", "permissions": ["use", "share"]}).json()
    assert (after["url"], after["permissions"], after["name"]) == (
        "https://example.org/", ["use", "share"], "House rules 1/2",
    )  # fmt: skip
    assert site.admin.delete(f"/licences/{made['id']}").status_code == 204
    assert site.admin.get(path).status_code == 404
    assert site.person("alice").post("/licences", json={"name": "Mine"}).status_code == 403


def test_sessions_are_listed_and_ended_by_their_owner_and_by_staff(site: Site) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    opened = [
        sessions.open_session(site.depot, "alice", "correct horse", address="192.0.2.7", agent=f"browser {n}")
        for n in range(3)
    ]
    rows = alice.read("/users/me/sessions")["rows"]
    assert sorted(row["agent"] for row in rows) == ["browser 0", "browser 1", "browser 2"]
    assert {row["id"] for row in rows} == {one.session.id for one in opened}
    assert {row["address"] for row in rows} == {"192.0.2.7"}
    assert not any(one.cookie in row.values() for one in opened for row in rows)
    assert bob.get("/users/alice/sessions").status_code in (403, 404)
    assert bob.delete(f"/users/alice/sessions/{rows[0]['id']}").status_code in (403, 404)
    assert bob.delete("/users/alice/sessions").status_code in (403, 404)
    assert alice.delete(f"/users/me/sessions/{rows[0]['id']}").status_code == 204
    assert alice.delete(f"/users/me/sessions/{rows[0]['id']}").status_code == 404
    assert len(site.admin.read("/users/alice/sessions")["rows"]) == 2
    assert site.admin.delete("/users/alice/sessions").status_code == 204
    assert site.admin.delete("/users/alice/sessions").status_code == 204
    assert alice.read("/users/me/sessions") == {"rows": []}, "her token is none of them, and still good"
