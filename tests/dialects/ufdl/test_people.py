"""Users, teams, projects, licences and nodes on this wire."""

from __future__ import annotations

from typing import Any

import pytest

from entrepot.depot import nodes
from tests.support.identity import ADMIN_PASSWORD, PASSWORD
from tests.support.ufdl import Lab, Person

NAMES = {"username": "grace", "password": "long enough", "email": "g@example.org", "first_name": "G", "last_name": "H"}


# Users


def test_an_account_is_made_shown_changed_and_closed(fresh_lab: Lab) -> None:
    lab = fresh_lab
    made = lab.staff.ok("POST", "/users/create", NAMES, status=201)
    assert set(made) == {
        "username", "pk", "last_login", "is_superuser", "first_name", "last_name", "email", "is_staff", "is_active",
        "date_joined",
    }  # fmt: skip
    assert (made["email"], made["is_staff"], made["is_active"], made["last_login"]) == (
        "g@example.org",
        False,
        True,
        None,
    )
    pair = {"username": "grace", "password": "long enough"}
    grace = Person(lab, lab.anonymous.ok("POST", "/auth/obtain", pair)["access"])
    assert grace.ok("GET", "/users/grace/")[0]["pk"] == made["pk"]
    assert lab.staff.ok("GET", f"/users/{made['pk']}")["last_login"] is not None
    changed = lab.staff.ok("PATCH", f"/users/{made['pk']}", {"last_name": "Hopper", "is_staff": True})
    assert (changed["first_name"], changed["last_name"], changed["is_staff"]) == ("G", "Hopper", True)
    whole = lab.staff.ok("PUT", f"/users/{made['pk']}", {"username": "grace2", "password": "another one"})
    assert (whole["username"], whole["first_name"], whole["is_staff"]) == ("grace2", "", False)
    assert lab.anonymous("POST", "/auth/obtain", pair).status_code == 401
    assert lab.staff("DELETE", f"/users/{made['pk']}").status_code == 204
    assert lab.staff("DELETE", f"/users/{made['pk']}").status_code == 204
    after = {"username": "grace2", "password": "another one"}
    assert lab.anonymous("POST", "/auth/obtain", after).status_code == 401
    active = [one["username"] for one in lab.staff.ok("POST", "/users/list")]
    everybody = [one["username"] for one in lab.staff.ok("POST", "/users/list", {"include_inactive": True})]
    assert ("grace2" in active, "grace2" in everybody) == (False, True)


def test_an_account_may_begin_inactive(lab: Lab) -> None:
    body = {"username": lab.name().replace(" ", ""), "password": PASSWORD, "is_active": False, "is_staff": "true"}
    made = lab.staff.ok("POST", "/users/create", body, status=201)
    assert (made["is_active"], made["is_staff"]) == (False, True)
    assert lab.anonymous("POST", "/auth/obtain", body).status_code == 401


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"username", "password"}),
        ({"username": "writer", "password": PASSWORD}, {"username"}),
        ({"username": "a b", "password": PASSWORD}, {"username"}),
        ({"username": "x" * 151, "password": PASSWORD}, {"username"}),
        ({"username": "new", "password": "short"}, {"password"}),
        ({"username": "new", "password": PASSWORD, "email": "nowhere"}, {"email"}),
        ({"username": "new", "password": PASSWORD, "is_staff": "perhaps"}, {"is_staff"}),
        ({"username": "new", "password": PASSWORD, "first_name": "x" * 151}, {"first_name"}),
    ],
)
def test_an_account_is_refused_by_field(shared_lab: Lab, body: Any, fields: set[str]) -> None:
    got = shared_lab.staff("POST", "/users/create", body)
    assert (got.status_code, set(got.json())) == (400, fields)
    if body.get("username") == "writer":
        assert got.json() == {"username": ["A user with that username already exists."]}


def test_the_password_is_never_told(lab: Lab) -> None:
    name = lab.name().replace(" ", "")
    got = lab.staff("POST", "/users/create", {"username": name, "password": "very secret 1"})
    assert "very secret" not in got.text


def test_nobody_of_that_number_or_name(shared_lab: Lab) -> None:
    for method, path in (("GET", "/users/999"), ("PATCH", "/users/999"), ("DELETE", "/users/999"), ("PUT", "/users/x")):
        assert shared_lab.staff(method, path, None if method == "GET" else {}).status_code == 404, path
    assert shared_lab.staff.ok("GET", "/users/nobody") == []


def test_the_last_staff_stays(shared_lab: Lab) -> None:
    pk = shared_lab.staff.ok("GET", "/users/admin")[0]["pk"]
    assert shared_lab.staff("DELETE", f"/users/{pk}").status_code == 400


# Teams


def test_a_team_and_its_members(lab: Lab) -> None:
    name = lab.name()
    team = lab.staff.ok("POST", "/teams/create", {"name": name}, status=201)
    assert set(team) == {"pk", "name", "members", "creator", "creation_time", "deletion_time"}
    assert (team["members"], team["deletion_time"]) == ([], None)
    path = f"/teams/{team['pk']}"
    writer = lab.staff.ok("GET", "/users/writer")[0]["pk"]
    added = lab.staff.ok("PATCH", f"{path}/memberships", {"method": "add", "username": "writer"})
    assert set(added) == {"user", "team", "permissions", "creator", "creation_time", "deletion_time"}
    assert (added["user"], added["team"], added["permissions"]) == (writer, team["pk"], "R")
    changed = {"method": "update", "username": "writer", "permissions": "A"}
    assert lab.staff.ok("PATCH", f"{path}/memberships/", changed)["permissions"] == "A"
    assert lab.staff.ok("GET", f"{path}/permissions/writer/") == "A"
    assert lab.writer.ok("GET", path)["members"] == [{"pk": writer, "username": "writer"}]
    renamed = lab.writer.ok("PATCH", path, {"name": name + " 2"})
    assert renamed["name"] == name + " 2"
    ended = lab.staff.ok("PATCH", f"{path}/memberships", {"method": "remove", "username": "writer"})
    assert ended["deletion_time"] is not None
    assert lab.writer("GET", path).status_code == 403
    assert lab.staff("DELETE", path).status_code == 204
    assert lab.staff.ok("GET", path)["deletion_time"] is not None
    assert lab.staff.ok("DELETE", f"{path}/reinstate")["deletion_time"] is None
    assert lab.staff.ok("DELETE", f"{path}/hard")["pk"] == team["pk"]
    assert lab.staff("GET", path).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"method": "add"},
        {"method": "invite", "username": "writer"},
        {"method": "add", "username": "nobody"},
        {"method": "add", "username": "writer"},
        {"method": "add", "username": "outsider", "permissions": "Q"},
        {"method": "update", "username": "outsider", "permissions": "W"},
        {"method": "remove", "username": "outsider"},
        {"method": "add", "username": "a\x00b"},
    ],
)
def test_a_membership_is_refused(shared_lab: Lab, body: Any) -> None:
    got = shared_lab.staff("PATCH", f"/teams/{shared_lab.team}/memberships", body)
    assert got.status_code == 400
    if set(body) >= {"method", "username"} and body["method"] != "invite" and body.get("permissions") != "Q":
        assert got.json()["detail"].startswith(f"Bad name {body['username']!r}: ")
    assert shared_lab.staff("GET", f"/teams/{shared_lab.team}/permissions/outsider").status_code == 400


def test_names_of_teams_are_unique(shared_lab: Lab) -> None:
    got = shared_lab.staff("POST", "/teams/create", {"name": "lab"})
    assert (got.status_code, set(got.json())) == (400, {"name"})
    assert set(shared_lab.staff("POST", "/teams/create", {"name": "~x"}).json()) == {"name"}


# Projects


def test_a_project_and_its_datasets(lab: Lab) -> None:
    name = lab.name()
    made = lab.writer.ok("POST", "/projects/create", {"name": name, "team": lab.team}, status=201)
    assert set(made) == {"pk", "name", "team", "creator", "creation_time", "deletion_time"}
    path = f"/projects/{made['pk']}"
    got = lab.writer("POST", "/projects/create", {"name": name, "team": lab.team})
    assert (got.status_code, set(got.json())) == (400, {"non_field_errors"})
    got = lab.writer("POST", "/projects/create", {"name": name, "team": 999})
    assert (got.status_code, got.json()) == (400, {"team": ['Invalid pk "999" - object does not exist.']})
    assert lab.writer.ok("PUT", path, {"name": name + "!", "team": str(lab.team)})["name"] == name + "!"
    dataset = lab.writer.dataset(project=made["pk"])["pk"]
    assert lab.staff("DELETE", f"{path}/hard").status_code == 400
    assert lab.writer("DELETE", path).status_code == 204
    assert lab.writer.record(dataset)["deletion_time"] is not None
    body = {"name": "x", "project": made["pk"], "licence": lab.licence, "tags": ""}
    assert lab.writer("POST", "/datasets/create", body).status_code == 400
    assert lab.staff("DELETE", f"/datasets/{dataset}/reinstate").status_code == 400
    assert lab.staff.ok("DELETE", f"{path}/reinstate")["deletion_time"] is None
    assert lab.writer.record(dataset)["deletion_time"] is not None, "its datasets come back one by one"
    lab.staff.ok("DELETE", f"/datasets/{dataset}/hard")
    assert lab.staff.ok("DELETE", f"{path}/hard")["pk"] == made["pk"]
    assert lab.staff("GET", path).status_code == 404


def test_a_project_of_a_person_shows_their_own_team(lab: Lab) -> None:
    found = {one["name"]: one["team"] for one in lab.outsider.ok("POST", "/projects/list")}
    teams = {one["pk"]: one["name"] for one in lab.outsider.ok("POST", "/teams/list")}
    assert teams[found["outsider"]] == "~outsider"


# Licences


def test_fourteen_licences_are_there(shared_lab: Lab) -> None:
    found = shared_lab.writer.ok("POST", "/licenses/list/")
    assert {"AGPL3", "Apache 2.0", "MIT", "CC0", "Proprietary", "Unlicense"} <= {one["name"] for one in found}
    assert set(found[0]) == {"pk", "name", "url", "permissions", "conditions", "limitations", "domains"}


def test_a_licence_and_its_words(lab: Lab) -> None:
    made = lab.staff.ok("POST", "/licences/create/", {"name": lab.name(), "url": "https://example.org/l"}, status=201)
    path = f"/licences/{made['pk']}"
    for _ in range(2):
        words = {"method": "add", "type": "permissions", "names": ["use", "share"]}
        assert lab.staff.ok("PATCH", f"{path}/subdescriptors/", words)["permissions"] == ["use", "share"]
    for _ in range(2):
        words = {"method": "remove", "type": "permissions", "names": ["use"]}
        assert lab.staff.ok("PATCH", f"/licenses/{made['pk']}/subdescriptors", words)["permissions"] == ["share"]
    assert lab.staff.ok("PATCH", path, {"url": ""})["url"] == ""
    assert lab.staff("DELETE", path).status_code == 204
    assert lab.staff("GET", path).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"method": "add", "type": "colours", "names": ["x"]},
        {"method": "set", "type": "domains", "names": ["x"]},
        {"method": "add", "type": "domains"},
        {"method": "add", "type": "domains", "names": [5]},
        {"method": "add", "type": "domains", "names": [""]},
    ],
)
def test_words_are_refused(shared_lab: Lab, body: Any) -> None:
    assert shared_lab.staff("PATCH", f"/licences/{shared_lab.licence}/subdescriptors", body).status_code == 400


def test_a_licence_that_is_used_or_named_twice(shared_lab: Lab) -> None:
    shared_lab.writer.dataset()
    assert shared_lab.staff("DELETE", f"/licences/{shared_lab.licence}").status_code == 400
    assert set(shared_lab.staff("POST", "/licences/create", {"name": "MIT", "url": ""}).json()) == {"name"}
    assert set(shared_lab.staff("POST", "/licences/create", {"name": "x", "url": "javascript:x"}).json()) == {"url"}


# Nodes


def test_nodes_that_are_registered_natively(lab: Lab) -> None:
    staff = lab.site.world.login("admin", ADMIN_PASSWORD)
    retired = nodes.create(lab.site.depot, staff, lab.name())
    nodes.deactivate(lab.site.depot, staff, retired.n)
    names = [one["name"] for one in lab.staff.ok("POST", "/nodes/list")]
    assert ("worker" in names, retired.name in names) == (True, False)
    assert lab.staff.ok("GET", f"/nodes/{retired.n}")["is_active"] is False
    pk = lab.writer.dataset()["pk"]
    got = lab.runner("PATCH", f"/datasets/{pk}", {"tags": "x"}, headers={"Node-Id": str(retired.n)})
    assert got.status_code == 400
