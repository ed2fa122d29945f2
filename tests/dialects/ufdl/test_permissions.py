"""The permission table of this door, call by call, for everybody who can ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.ufdl import EVERYBODY, Lab, zipped

ALL = set(EVERYBODY)
PERSONS = ALL - {"anonymous"}
MEMBERS = PERSONS - {"outsider"}
EDITORS = {"runner+node", "writer", "chief", "staff"}
WRITERS = {"writer", "chief", "staff"}
CHIEFS = {"chief", "staff"}
STAFF = {"staff"}

Call = tuple[str, str, Any]


@pytest.fixture(scope="module")
def things(shared_lab: Lab) -> dict[str, int]:
    """Numbers of what the calls of this module speak of; none of the calls that are denied changes any of it."""
    lab = shared_lab
    return {
        "private": lab.writer.dataset("private", {"a.txt": b"a"})["pk"],
        "public": lab.writer.dataset("public", {"a.txt": b"a"}, is_public=True)["pk"],
        "source": lab.writer.dataset("source", {"s.txt": b"s"})["pk"],
        "team": lab.team,
        "project": lab.project,
        "licence": lab.licence,
        "user": lab.staff.ok("GET", "/users/outsider")[0]["pk"],
        "node": lab.node,
    }


def denied(who: str) -> int:
    return 401 if who == "anonymous" else 403


def check(lab: Lab, allowed: set[str], call: Callable[[str], Call], *, success: set[int]) -> None:
    """Everybody makes the call; those who may succeed, the others are told 401 or 403."""
    for who in EVERYBODY:
        method, path, body = call(who)
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        got = lab.people[who](method, path, **sent)
        expected = success if who in allowed else {denied(who)}
        assert got.status_code in expected, f"{who}: {method} {path} → {got.status_code} {got.text[:200]}"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "", MEMBERS),
        ("GET", "/files/a.txt", MEMBERS),
        ("GET", "/metadata/a.txt", MEMBERS),
        ("GET", "/metadata", MEMBERS),
        ("POST", "/download", MEMBERS),
        ("POST", "/copy", MEMBERS),
    ],
)
def test_reading_a_private_dataset(
    shared_lab: Lab, things: dict[str, int], method: str, path: str, allowed: set[str]
) -> None:
    check(shared_lab, allowed, lambda _: (method, f"/datasets/{things['private']}{path}", None), success={200})


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "", ALL),
        ("GET", "/files/a.txt", MEMBERS),
        ("GET", "/metadata/a.txt", MEMBERS),
        ("GET", "/metadata", MEMBERS),
        ("POST", "/download", MEMBERS),
        ("POST", "/copy", MEMBERS),
        ("GET", f"/file-handles/{'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb'}", MEMBERS),
    ],
)
def test_a_public_dataset_shows_its_record_and_nothing_else(
    shared_lab: Lab, things: dict[str, int], method: str, path: str, allowed: set[str]
) -> None:
    check(shared_lab, allowed, lambda _: (method, f"/datasets/{things['public']}{path}", None), success={200})


def test_the_files_of_a_public_record_are_for_members(shared_lab: Lab, things: dict[str, int]) -> None:
    for who in EVERYBODY:
        shown = shared_lab.people[who].ok("GET", f"/datasets/{things['public']}")["files"]
        assert set(shown) == ({"a.txt"} if who in MEMBERS else set()), who


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "", {"name": "private", "tags": "", "project": "project", "licence": "licence"}),
        ("PATCH", "", {"description": "d"}),
        ("DELETE", "/clear", None),
        ("POST", "/metadata/a.txt", {"metadata": "m"}),
        ("POST", "/merge/{source}", {"delete": False}),
        ("POST", "/files/{who}", b"x"),
        ("POST", "/files-multi", zipped({})),
    ],
)
def test_changing_a_dataset(shared_lab: Lab, things: dict[str, int], method: str, path: str, body: Any) -> None:
    if isinstance(body, dict):
        body = {name: things.get(value, value) if isinstance(value, str) else value for name, value in body.items()}

    def call(who: str) -> Call:
        return method, f"/datasets/{things['private']}{path.format(who=who, **things)}", body

    check(shared_lab, EDITORS, call, success={200})


def test_deleting_a_file(shared_lab: Lab) -> None:
    pk = shared_lab.writer.dataset(files=dict.fromkeys(EVERYBODY, b"x"))["pk"]
    check(shared_lab, EDITORS, lambda who: ("DELETE", f"/datasets/{pk}/files/{who}", None), success={200})


def test_creating_and_destroying(shared_lab: Lab) -> None:
    body = {"project": shared_lab.project, "licence": shared_lab.licence, "tags": ""}
    check(
        shared_lab,
        WRITERS,
        lambda who: ("POST", "/datasets/create", {**body, "name": f"created by {who}"}),
        success={201},
    )
    gone = {who: shared_lab.writer.dataset()["pk"] for who in EVERYBODY}
    check(shared_lab, WRITERS, lambda who: ("DELETE", f"/datasets/{gone[who]}", None), success={204})


@pytest.mark.parametrize("path", ["hard", "reinstate"])
def test_hard_delete_and_reinstate_are_for_staff(shared_lab: Lab, path: str) -> None:
    pk = shared_lab.writer.dataset()["pk"]
    check(shared_lab, STAFF, lambda _: ("DELETE", f"/datasets/{pk}/{path}", None), success={200})


def test_a_merge_asks_the_same_of_both_sides(lab: Lab) -> None:
    """The reader of one team who writes in another may bring nothing over."""
    team = lab.staff.ok("POST", "/teams/create", {"name": lab.name()}, status=201)["pk"]
    for who in ("reader", "writer"):
        wish = {"method": "add", "username": who, "permissions": "W"}
        lab.staff.ok("PATCH", f"/teams/{team}/memberships", wish)
    there = lab.staff.ok("POST", "/projects/create", {"name": "there", "team": team}, status=201)["pk"]
    target = lab.writer.dataset(project=there)["pk"]
    source = lab.writer.dataset(files={"s": b"s"})["pk"]
    assert lab.reader("POST", f"/datasets/{target}/merge/{source}", {"delete": False}).status_code == 403
    assert lab.writer("POST", f"/datasets/{target}/merge/{source}", {"delete": False}).status_code == 200


def test_lists_show_what_the_caller_may_see(shared_lab: Lab, things: dict[str, int]) -> None:
    for who in EVERYBODY:
        seen = {one["pk"] for one in shared_lab.people[who].ok("POST", "/datasets/list")}
        assert things["public"] in seen, who
        assert (things["private"] in seen) == (who in MEMBERS), who


def test_a_node_counts_for_those_who_may_execute_and_only_if_there_is_one(shared_lab: Lab) -> None:
    pk = shared_lab.writer.dataset()["pk"]
    node = {"Node-Id": str(shared_lab.node)}
    assert shared_lab.reader("PATCH", f"/datasets/{pk}", {"tags": "x"}, headers=node).status_code == 403
    assert shared_lab.runner("PATCH", f"/datasets/{pk}", {"tags": "x"}, headers=node).status_code == 200
    assert shared_lab.runner("DELETE", f"/datasets/{pk}", headers=node).status_code == 403
    for bad in ("x", "999", "-1", "1.5", "9" * 30):
        got = shared_lab.runner("PATCH", f"/datasets/{pk}", {"tags": "x"}, headers={"Node-Id": bad})
        assert got.status_code == 400
        assert got.json()["detail"].startswith("Bad Node-Id header")
        assert shared_lab.runner("GET", f"/datasets/{pk}", headers={"Node-Id": bad}).status_code == 200


def test_a_membership_counts_from_the_next_request_on(lab: Lab) -> None:
    pk = lab.writer.dataset(files={"a": b"a"})["pk"]
    memberships = f"/teams/{lab.team}/memberships"
    assert lab.outsider("GET", f"/datasets/{pk}/files/a").status_code == 403
    lab.chief.ok("PATCH", memberships, {"method": "add", "username": "outsider"})
    assert lab.outsider("GET", f"/datasets/{pk}/files/a").status_code == 200
    assert lab.outsider("DELETE", f"/datasets/{pk}/files/a").status_code == 403
    lab.chief.ok("PATCH", memberships, {"method": "update", "username": "outsider", "permissions": "W"})
    assert lab.outsider("DELETE", f"/datasets/{pk}/files/a").status_code == 200
    lab.chief.ok("PATCH", memberships, {"method": "remove", "username": "outsider"})
    assert lab.outsider("GET", f"/datasets/{pk}").status_code == 403


# Teams, projects, licences, users, nodes


def test_teams(shared_lab: Lab, things: dict[str, int]) -> None:
    team = things["team"]
    check(shared_lab, PERSONS, lambda _: ("POST", "/teams/list", None), success={200})
    assert shared_lab.team not in [one["pk"] for one in shared_lab.outsider.ok("POST", "/teams/list")]
    check(shared_lab, MEMBERS, lambda _: ("GET", f"/teams/{team}", None), success={200})
    check(shared_lab, CHIEFS, lambda _: ("PUT", f"/teams/{team}", {"name": "lab"}), success={200})
    check(shared_lab, CHIEFS, lambda _: ("PATCH", f"/teams/{team}/", {}), success={200})
    check(shared_lab, CHIEFS, lambda _: ("GET", f"/teams/{team}/permissions/writer", None), success={200})
    update = {"method": "update", "username": "reader", "permissions": "R"}
    check(shared_lab, CHIEFS, lambda _: ("PATCH", f"/teams/{team}/memberships", update), success={200})
    check(shared_lab, STAFF, lambda who: ("POST", "/teams/create", {"name": f"of {who}"}), success={201})
    check(shared_lab, STAFF, lambda _: ("DELETE", f"/teams/{team}/reinstate", None), success={200})
    check(shared_lab, STAFF, lambda _: ("DELETE", f"/teams/{team}/hard", None), success={400})


def test_a_team_is_destroyed_by_its_admins(shared_lab: Lab) -> None:
    team = shared_lab.staff.ok("POST", "/teams/create", {"name": shared_lab.name()}, status=201)["pk"]
    for who, letter in (("reader", "R"), ("runner", "X"), ("writer", "W"), ("chief", "A")):
        wish = {"method": "add", "username": who, "permissions": letter}
        shared_lab.staff.ok("PATCH", f"/teams/{team}/memberships", wish)
    # Whoever comes after the one who destroyed it is no member any more.
    check(shared_lab, CHIEFS, lambda _: ("DELETE", f"/teams/{team}", None), success={204})


def test_projects(shared_lab: Lab, things: dict[str, int]) -> None:
    project, team = things["project"], things["team"]
    check(shared_lab, PERSONS, lambda _: ("POST", "/projects/list", None), success={200})
    assert project not in [one["pk"] for one in shared_lab.outsider.ok("POST", "/projects/list")]
    check(shared_lab, MEMBERS, lambda _: ("GET", f"/projects/{project}", None), success={200})
    check(shared_lab, WRITERS, lambda _: ("PATCH", f"/projects/{project}", {}), success={200})
    body = {"name": "birds", "team": team}
    check(shared_lab, WRITERS, lambda _: ("PUT", f"/projects/{project}", body), success={200})
    made: dict[str, int] = {}
    for who in EVERYBODY:
        got = shared_lab.people[who]("POST", "/projects/create", {"name": f"by {who}", "team": team})
        assert got.status_code == (201 if who in WRITERS else denied(who)), who
        if who in WRITERS:
            made[who] = got.json()["pk"]
    check(shared_lab, WRITERS, lambda who: ("DELETE", f"/projects/{made.get(who, project)}", None), success={204})
    check(shared_lab, STAFF, lambda _: ("DELETE", f"/projects/{made['writer']}/reinstate", None), success={200})
    check(shared_lab, STAFF, lambda _: ("DELETE", f"/projects/{made['writer']}/hard", None), success={200})


def test_licences(shared_lab: Lab, things: dict[str, int]) -> None:
    licence = things["licence"]
    check(shared_lab, PERSONS, lambda _: ("POST", "/licences/list", None), success={200})
    check(shared_lab, PERSONS, lambda _: ("GET", f"/licenses/{licence}", None), success={200})
    check(shared_lab, STAFF, lambda who: ("POST", "/licences/create", {"name": f"of {who}", "url": ""}), success={201})
    check(shared_lab, STAFF, lambda _: ("PATCH", f"/licences/{licence}", {}), success={200})
    words = {"method": "add", "type": "domains", "names": ["birds"]}
    check(shared_lab, STAFF, lambda _: ("PATCH", f"/licences/{licence}/subdescriptors", words), success={200})
    check(shared_lab, STAFF, lambda _: ("DELETE", f"/licences/{licence}", None), success={400})


def test_users(shared_lab: Lab, things: dict[str, int]) -> None:
    user = things["user"]
    check(shared_lab, STAFF, lambda _: ("POST", "/users/list", None), success={200})
    check(shared_lab, STAFF, lambda _: ("GET", f"/users/{user}", None), success={200})
    check(shared_lab, STAFF, lambda _: ("PATCH", f"/users/{user}", {}), success={200})
    check(shared_lab, STAFF, lambda _: ("PUT", f"/users/{user}", {}), success={400})
    check(shared_lab, STAFF, lambda _: ("POST", "/users/create", {}), success={400})
    check(shared_lab, {"outsider", "staff"}, lambda _: ("GET", "/users/outsider", None), success={200})
    check(shared_lab, STAFF, lambda _: ("GET", "/users/nobody", None), success={200})
    for who in PERSONS - STAFF:
        assert shared_lab.people[who]("DELETE", f"/users/{user}").status_code == 403


def test_nodes(shared_lab: Lab, things: dict[str, int]) -> None:
    check(shared_lab, STAFF, lambda _: ("POST", "/nodes/list", None), success={200})
    check(shared_lab, STAFF, lambda _: ("GET", f"/nodes/{things['node']}", None), success={200})


def test_anybody_may_ask_where_lists_are(shared_lab: Lab) -> None:
    for who in EVERYBODY:
        found = shared_lab.people[who].ok("GET", "/")
        assert found["datasets"] == "http://localhost/v1/datasets/list"
    assert shared_lab.anonymous("GET", "").status_code == 200
