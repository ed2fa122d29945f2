"""Search, resolve and relationships, as the wire shows them."""

from __future__ import annotations

import pytest

from tests.support.site import Client, Site


@pytest.fixture
def alice(site: Site) -> Client:
    return site.person("alice")


def test_words_find_versions_that_one_may_see(site: Site, alice: Client) -> None:
    secret = alice.version("Adélie penguins", tags=["antarctic"])
    public = alice.version("Gentoo penguins", visibility="public", custom={"site": "Biscoe"})
    assert {row["version"]["id"] for row in alice.read("/search", q="penguin")["rows"]} == {secret, public}
    assert [row["version"]["id"] for row in site.anonymous.read("/search", q="penguin")["rows"]] == [public]
    assert [row["version"]["id"] for row in alice.read("/search", q="antarc")["rows"]] == [secret]
    assert [row["version"]["id"] for row in alice.read("/search", q="biscoe", project="alice")["rows"]] == [public]
    assert [row["version"]["id"] for row in alice.read("/search", q="penguin", tag="antarctic")["rows"]] == [secret]
    assert alice.read("/search", q="penguin", kind="table")["rows"] == []
    assert [row["version"]["id"] for row in alice.read("/search", q="kind:files tag:antarctic")["rows"]] == [secret]
    assert alice.get("/search", params={"q": "facts.reads:>many"}).status_code == 422
    page = alice.read("/search", q="penguin", limit=1)
    assert len(alice.read("/search", q="penguin", limit=1, cursor=page["next"])["rows"]) == 1
    for odd in ("", '"', 'a-b"(', "*", "\x00", "AND OR NOT"):
        assert alice.get("/search", params={"q": odd}).status_code in (200, 422)


def test_any_id_of_any_door_leads_to_the_thing_and_its_other_ids(alice: Client) -> None:
    version = alice.version()
    alice.file(version, "a.txt")
    ids = alice.read("/resolve", id=version)["ids"]
    assert ids["native"] == version
    assert {"benchling", "datature", "flow", "ufdl", "daemon", "hub", "revision"} <= set(ids)
    for door, name in ids.items():
        asked = f"{door}:{name}" if door in ("flow", "ufdl") else name
        found = alice.read("/resolve", id=asked)
        assert found["version"]["id"] == version, door
        assert (found["revision"], found["version"]["role"]) == (1, "admin")
    by_reference = alice.read("/resolve", id="alice/penguins@1.1/a.txt")
    assert (by_reference["thing"], by_reference["path"], by_reference["revision"]) == ("entry", "a.txt", 1)
    project = alice.read("/resolve", id="alice")
    assert (project["thing"], project["project"]["slug"], project["project"]["role"]) == ("project", "alice", "admin")
    dataset = alice.read(f"/versions/{version}")["dataset"]
    assert alice.read("/resolve", id=dataset)["id"] == dataset


def test_what_names_nothing_is_nothing(site: Site, alice: Client) -> None:
    version = alice.version()
    for text in ("ver_1", "nobody/nothing", "alice/penguins@9", "alice/penguins@1.9", "ufdl:999", "", "@", "\x00/a"):
        assert alice.get("/resolve", params={"id": text}).status_code == 404, text
    assert site.person("bob").get("/resolve", params={"id": version}).status_code == 404


def test_a_name_of_what_was_never_ready_is_told_to_whom_may_see_it(site: Site, alice: Client) -> None:
    made = alice.made("/versions", name="table", kind="table")
    name = f"{made['project_slug']}/table"
    for text in (name, f"{name}/a/path"):
        missing = alice.get("/resolve", params={"id": text})
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
        assert missing.json()["details"] == {"unready": made["id"], "state": "empty", "kind": "table"}
    hidden = site.person("bob").get("/resolve", params={"id": name})
    nothing = site.person("bob").get("/resolve", params={"id": f"{made['project_slug']}/nobody"})
    assert "details" not in {**hidden.json(), **nothing.json()}
    assert hidden.json()["detail"] == nothing.json()["detail"].replace("nobody", "table")
    assert alice.get("/resolve", params={"id": f"{name}@1"}).json().keys() == nothing.json().keys()
    alice.made(f"/versions/{made['id']}/trash")
    assert alice.get("/resolve", params={"id": name}).json().keys() == nothing.json().keys()


def test_versions_are_linked_and_walked(site: Site, alice: Client) -> None:
    raw, clean, model = (alice.version(name) for name in ("raw", "clean", "model"))
    first = alice.made(
        "/relationships", source=clean, target=raw, verb="derived_from", note="by hand", qualifiers={"tool": "x"}
    )
    assert (first["source"]["version"], first["target"]["version"], first["target"]["revision"]) == (clean, raw, 0)
    same = {"source": clean, "target": raw, "verb": "derived_from", "note": "by hand", "qualifiers": {"tool": "x"}}
    again = alice.post("/relationships", json=same)
    assert (again.status_code, again.json()["id"]) == (200, first["id"]), "an identical edge is the same edge"
    assert alice.post("/relationships", json={**same, "note": "by machine"}).status_code == 201
    assert alice.delete(f"/relationships/{alice.read('/relationships', version=clean)['rows'][1]['id']}").is_success
    alice.made("/relationships", source=model, target=clean, verb="derived_from", at="2026-01-01T00:00:00Z")
    assert [row["id"] for row in alice.read("/relationships", version=clean, direction="out")["rows"]] == [first["id"]]
    assert len(alice.read("/relationships", version=clean)["rows"]) == 2
    up = alice.read(f"/versions/{model}/graph")
    assert [one["name"] for one in up["versions"]] == ["raw", "clean", "model"]
    assert (len(up["edges"]), up["truncated"]) == (2, False)
    assert len(alice.read(f"/versions/{model}/graph", depth=1)["versions"]) == 2
    assert {one["role"] for one in up["versions"]} == {"admin"}
    assert len(alice.read(f"/versions/{raw}/graph", direction="down")["versions"]) == 3
    assert alice.post("/relationships", json={"source": raw, "target": raw, "verb": "is"}).status_code == 422
    assert site.person("bob").get(f"/relationships/{first['id']}").status_code == 404
    alice.made(f"/versions/{raw}/purge")
    stone = alice.read(f"/relationships/{first['id']}")["target"]
    assert (stone["version"], stone["name"], stone["purged"]) == (raw, "raw", True)
    assert alice.delete(f"/relationships/{first['id']}").status_code == 204
    assert alice.get(f"/relationships/{first['id']}").status_code == 404
