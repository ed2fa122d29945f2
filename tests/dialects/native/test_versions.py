"""Versions: the record, lists of them, and what is done with one as a whole."""

from __future__ import annotations

import pytest

from tests.support.site import Client, Site


@pytest.fixture
def alice(site: Site) -> Client:
    return site.person("alice")


def test_a_version_is_made_with_everything_it_may_begin_with(alice: Client) -> None:
    made = alice.made(
        "/versions",
        name="Penguins of 2026",
        description="Adélie",
        licence="MIT",
        visibility="listed",
        tags=["b", "a"],
        custom={"deep": {"er": [1, None, "x"]}},
        alias="latest",
        collection="raw/2026",
        expires_at="2027-01-01T00:00:00+02:00",
        slug="penguins",
    )
    assert (made["number"], made["revision"], made["state"], made["kind"]) == (1, 0, "ready", "files")
    assert (made["slug"], made["label"], made["alias"]) == ("penguins", "penguins@1.0", "latest")
    assert (made["tags"], made["custom"]) == (["b", "a"], {"deep": {"er": [1, None, "x"]}})
    assert (made["collection_path"], made["expires_at"]) == ("raw/2026", "2026-12-31T22:00:00Z")
    assert made["slots"] == []
    read = alice.read(f"/versions/{made['id']}")
    assert read["role"] == "admin"
    assert {key: value for key, value in made.items() if key not in ("slots", "role")} == {
        key: value for key, value in read.items() if key != "role"
    }


def test_a_name_in_use_is_refused_unless_the_next_version_is_wanted(alice: Client) -> None:
    alice.version("penguins")
    refused = alice.post("/versions", json={"name": "penguins"})
    assert (refused.status_code, refused.json()["code"]) == (409, "name_taken")
    assert alice.made("/versions", name="penguins", numbering="next")["number"] == 2


def test_a_record_is_edited_under_a_condition(alice: Client) -> None:
    version = alice.version()
    seen = alice.get(f"/versions/{version}").headers["etag"]
    edited = alice.patch(f"/versions/{version}", json={"description": "One"}, headers={"If-Match": seen})
    assert (edited.status_code, edited.json()["description"]) == (200, "One")
    assert edited.headers["etag"] != seen
    stale = alice.patch(f"/versions/{version}", json={"description": "Two"}, headers={"If-Match": seen})
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert alice.read(f"/versions/{version}")["description"] == "One"
    assert alice.get(f"/versions/{version}").headers["etag"] == edited.headers["etag"]


def test_null_clears_and_what_is_left_out_stays(alice: Client) -> None:
    version = alice.version(alias="one", expires_at="2030-01-01T00:00:00Z", tags=["a"])
    after = alice.patch(f"/versions/{version}", json={"alias": None}).json()
    assert (after["alias"], after["expires_at"], after["tags"]) == (None, "2030-01-01T00:00:00Z", ["a"])
    assert alice.patch(f"/versions/{version}", json={"description": None}).status_code == 422


def test_a_version_moves_to_another_name_and_project(alice: Client) -> None:
    alice.made("/projects", name="Birds")
    version = alice.version()
    moved = alice.patch(f"/versions/{version}", json={"project": "birds", "name": "Herons"}).json()
    assert (moved["id"], moved["project_slug"], moved["name"], moved["number"]) == (version, "birds", "Herons", 1)
    renamed = alice.put(f"/versions/{version}/slug", json={"slug": "h"}).json()
    assert renamed["slug"] == "h"


def test_what_one_may_not_see_is_not_there(site: Site, alice: Client) -> None:
    secret, listed, public = (alice.version(v, visibility=v) for v in ("private", "listed", "public"))
    for version in (secret, listed, public):
        alice.file(version, "a.txt")
    bob = site.person("bob")
    for caller in (bob, site.anonymous):
        assert caller.get(f"/versions/{secret}").status_code == 404
        assert caller.read(f"/versions/{listed}")["role"] == "none"
        assert caller.get(f"/versions/{listed}/entries").status_code in (401, 403)
        assert caller.get(f"/versions/{public}/files/a.txt").content == b"bytes"
        assert [row["id"] for row in caller.read("/versions")["rows"]] == [public, listed]
    assert bob.patch(f"/versions/{public}", json={"description": "mine"}).status_code == 403
    assert site.anonymous.patch(f"/versions/{public}", json={"description": "mine"}).status_code == 401
    missing, hidden = "ver_" + "0" * 32, secret
    answers = [bob.get(f"/versions/{one}").json() for one in (missing, hidden)]
    for answer, one in zip(answers, (missing, hidden), strict=True):
        answer["detail"] = answer["detail"].replace(one, "it")
        answer.pop("request_id")
    assert answers[0] == answers[1], "hidden and missing must look alike"


def test_versions_are_listed_by_what_they_are(alice: Client) -> None:
    a = alice.version("a", tags=["x", "y"], alias="first", collection="c/d")
    b = alice.version("b", tags=["x"], kind="table")
    c = alice.version("c", visibility="public")

    def found(**wanted: object) -> list[str]:
        return [row["id"] for row in alice.read("/versions", **wanted)["rows"]]

    assert found() == [c, b, a]
    assert found(order="oldest") == [a, b, c]
    assert found(tag="x") == [b, a]
    assert found(tag=["x", "y"]) == [a]
    assert found(name="b") == found(kind="table") == found(state="empty") == [b]
    assert found(ready="true") == [c, a]
    assert found(visibility="public") == [c]
    assert found(alias="first") == [a]
    assert found(creator="alice") == [c, b, a]
    assert found(project="alice") == [c, b, a]
    collection = alice.read(f"/versions/{a}")["collection"]
    assert found(collection=collection) == [a]
    assert found(dataset=alice.read(f"/versions/{b}")["dataset"]) == [b]
    for nobody in ({"creator": "nobody"}, {"project": "none"}, {"tag": "z"}, {"name": "\x00"}, {"proposals": "true"}):
        assert found(**nobody) == []
    assert alice.get("/versions", params={"dataset": "ds_1"}).status_code == 404
    assert alice.get("/versions", params={"kind": "box"}).status_code == 422
    page = alice.read("/versions", limit=2)
    assert [row["id"] for row in page["rows"]] == [c, b]
    assert [row["id"] for row in alice.read("/versions", limit=2, cursor=page["next"])["rows"]] == [a]
    other = alice.get("/versions", params={"limit": 2, "cursor": page["next"], "tag": "x"})
    assert (other.status_code, other.json()["code"]) == (422, "bad_cursor")


def test_an_answer_to_a_write_says_what_the_caller_may_there(site: Site, alice: Client) -> None:
    team = site.admin.made("/teams", name="lab")["id"]
    for name, role in (("alice", "write"), ("bob", "admin")):
        site.person(name)
        assert site.admin.put(f"/teams/{team}/members/{name}", json={"role": role}).status_code == 200
    project = alice.made("/projects", name="Birds", team="lab")
    assert project["role"] == "write"
    version = alice.made("/versions", name="penguins", project=project["id"])
    other = alice.version("other", project=project["id"])
    assert version["role"] == "write"
    key = version["id"]
    put = alice.put(f"/versions/{key}/files/a", content=b"x").json()
    assert put["version"]["role"] == "write"
    commit = alice.made(f"/versions/{key}/commits", changes=[{"op": "rename", "source": "a", "target": "b"}])
    assert commit["version"]["role"] == "write"
    for path in ("freeze", "trash", "reinstate", "copy"):
        assert alice.made(f"/versions/{key}/{path}")["role"] == "write", path
    for path, body in (("restore", {"revision": 0}), ("merge", {"source": key}), ("clear", {})):
        assert alice.made(f"/versions/{other}/{path}", **body)["version"]["role"] == "write", path
    bob = site.person("bob")
    assert bob.made(f"/versions/{key}/unfreeze")["role"] == "admin"
    assert bob.patch(f"/versions/{key}", json={"description": "x"}).json()["role"] == "admin"
    assert bob.put(f"/versions/{key}/slug", json={"slug": "gulls"}).json()["role"] == "admin"
    assert bob.delete(f"/versions/{other}/files/b").json()["version"]["role"] == "admin"
    assert bob.made(f"/versions/{other}/purge")["role"] == "admin"
    assert bob.patch(f"/projects/{project['id']}", json={"name": "Gulls"}).json()["role"] == "admin"
    assert bob.delete(f"/projects/{project['id']}").json()["role"] == "admin"
    assert bob.made(f"/projects/{project['id']}/reinstate")["role"] == "admin"


def test_trash_reinstate_and_purge(alice: Client) -> None:
    version = alice.version()
    alice.file(version, "a.bin", b"x" * 1000)
    gone = alice.made(f"/versions/{version}/trash", reason="archived: old")
    assert gone["trash"]["reason"] == "archived: old"
    assert alice.read("/versions")["rows"] == []
    assert [row["id"] for row in alice.read("/versions", trashed="only")["rows"]] == [version]
    refused = alice.put(f"/versions/{version}/files/b.bin", content=b"y")
    assert (refused.status_code, refused.json()["code"]) == (409, "trashed")
    assert alice.made(f"/versions/{version}/reinstate")["trash"] is None
    assert alice.read(f"/versions/{version}/purge") == {"frees": 1000}
    copy = alice.made(f"/versions/{version}/copy", name="other")["id"]
    assert alice.read(f"/versions/{version}/purge") == {"frees": 0}
    assert alice.made(f"/versions/{version}/purge")["id"] == version
    assert alice.get(f"/versions/{version}").status_code == 404
    assert alice.get(f"/versions/{copy}/files/a.bin").content == b"x" * 1000


def test_a_frozen_version_takes_no_content_and_any_edit_of_its_record(alice: Client) -> None:
    version = alice.version()
    assert alice.made(f"/versions/{version}/freeze")["frozen_at"] is not None
    refused = alice.put(f"/versions/{version}/files/a", content=b"x")
    assert (refused.status_code, refused.json()["code"]) == (409, "frozen")
    assert alice.patch(f"/versions/{version}", json={"description": "x"}).status_code == 200
    assert alice.made(f"/versions/{version}/unfreeze")["frozen_at"] is None
    assert alice.put(f"/versions/{version}/files/a", content=b"x").status_code == 201


def test_a_readers_copy_is_a_proposal_until_it_is_accepted(site: Site, alice: Client) -> None:
    site.admin.made("/teams", name="lab")
    site.admin.put("/teams/lab/members/alice", json={"role": "write"})
    site.person("bob")
    site.admin.put("/teams/lab/members/bob", json={"role": "read"})
    alice.made("/projects", name="Shared", team="lab")
    version = alice.version(project="shared")
    alice.file(version, "a")
    copy = site.person("bob").made(f"/versions/{version}/copy")
    assert (copy["proposal"], copy["number"], copy["previous_version"]) == (True, 2, 1)
    assert alice.read("/resolve", id="shared/penguins")["version"]["id"] == version
    assert alice.made(f"/versions/{copy['id']}/accept")["proposal"] is False
    assert alice.read("/resolve", id="shared/penguins")["version"]["id"] == copy["id"]


def test_one_version_is_merged_into_another(alice: Client) -> None:
    one, two = alice.version("one"), alice.version("two")
    alice.file(one, "same.txt", b"1")
    alice.file(two, "same.txt", b"2")
    alice.file(two, "new.txt", b"3")
    done = alice.made(f"/versions/{one}/merge", source=two, delete=True)
    assert done["version"]["entries"] == 3
    assert [row["path"] for row in alice.read(f"/versions/{one}/entries")["rows"]] == [
        "new.txt", "same-0001.txt", "same.txt",
    ]  # fmt: skip
    assert alice.read(f"/versions/{two}")["trash"]["reason"] == "deleted"
