"""Projects and collections, as the wire shows them."""

from __future__ import annotations

from tests.support.site import Site


def test_a_project_is_found_by_id_and_by_slug(site: Site) -> None:
    alice = site.person("alice")
    made = alice.made("/projects", name="Birds of 2026", description="All of them")
    assert (made["slug"], made["team"], made["default_licence"]) == ("birds-of-2026", "~alice", "Proprietary")
    by_slug = alice.read("/projects/birds-of-2026")
    assert by_slug == alice.read(f"/projects/{made['id']}")
    assert (by_slug["role"], by_slug["used_bytes"]) == ("admin", 0)
    assert site.person("bob").get("/projects/birds-of-2026").status_code == 404
    assert site.anonymous.get("/projects/birds-of-2026").status_code == 404
    for nothing in ("proj_1", "proj_" + "0" * 32, "%00", "a" * 300, "no-such"):
        assert alice.get(f"/projects/{nothing}").status_code == 404


def test_a_team_owns_projects_for_its_members(site: Site) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    site.admin.made("/teams", name="lab")
    site.admin.put("/teams/lab/members/alice", json={"role": "write"})
    site.admin.put("/teams/lab/members/bob", json={"role": "read"})
    made = alice.made("/projects", name="Shared", team="lab", default_licence="MIT")
    assert (made["team"], made["default_licence"]) == ("lab", "MIT")
    assert bob.read("/projects/shared")["role"] == "read"
    assert bob.post("/projects", json={"name": "More", "team": "lab"}).status_code == 403
    assert bob.post("/projects", json={"name": "More", "team": "other"}).status_code == 404
    assert [row["slug"] for row in bob.read("/projects")["rows"]] == ["bob", "shared"]
    assert [row["slug"] for row in bob.read("/projects", writable="true")["rows"]] == ["bob"]
    assert [row["slug"] for row in bob.read("/projects", name="Shared")["rows"]] == ["shared"]


def test_a_project_is_changed_field_by_field(site: Site) -> None:
    alice = site.person("alice")
    alice.made("/projects", name="Birds")
    after = alice.patch("/projects/birds", json={"name": "Fish", "slug": "fish", "settings": {"a": 1}}).json()
    assert (after["name"], after["slug"], after["settings"]) == ("Fish", "fish", {"a": 1})
    assert alice.read("/projects/birds")["slug"] == "fish", "an old slug keeps leading here"
    assert alice.patch("/projects/fish", json={"allocation": 10}).status_code == 403
    assert site.admin.patch("/projects/fish", json={"allocation": 10}).json()["allocation"] == 10
    assert site.admin.patch("/projects/fish", json={"allocation": None}).json()["allocation"] is None
    assert alice.patch("/projects/fish", json={"name": None}).status_code == 422


def test_a_project_goes_to_the_trash_and_comes_back(site: Site) -> None:
    alice = site.person("alice")
    alice.made("/projects", name="Birds")
    version = alice.version(project="birds")
    assert alice.delete("/projects/birds").json()["trash"]["reason"] == "deleted"
    assert alice.read("/projects", trashed="true")["rows"][0]["slug"] == "birds"
    assert alice.post("/versions", json={"name": "x", "project": "birds"}).json()["code"] == "trashed"
    assert alice.made("/projects/birds/reinstate")["trash"] is None
    assert alice.read(f"/versions/{version}")["trash"]["reason"] == "project"
    assert alice.post("/projects/birds/purge").status_code == 409
    alice.made(f"/versions/{version}/purge")
    assert alice.made("/projects/birds/purge")["slug"] == "birds"
    assert alice.get("/projects/birds").status_code == 404


def test_collections_are_a_tree(site: Site) -> None:
    alice = site.person("alice")
    project = alice.made("/projects", name="Birds")["id"]
    made = alice.made("/projects/birds/collections", path="a/b/c")
    assert (made["path"], made["project"]) == ("a/b/c", project)
    paths = [row["path"] for row in alice.read("/projects/birds/collections")["rows"]]
    assert paths == ["", "a", "a/b", "a/b/c"]
    page = alice.read("/projects/birds/collections", limit=3)
    assert [row["path"] for row in alice.read("/projects/birds/collections", cursor=page["next"])["rows"]] == ["a/b/c"]
    version = alice.version(collection=made["id"], project="birds")
    assert alice.read(f"/versions/{version}")["collection_path"] == "a/b/c"
    assert alice.delete(f"/collections/{made['id']}").status_code == 409
    moved = alice.patch(f"/collections/{made['id']}", json={"path": "z"}).json()
    assert moved["path"] == alice.read(f"/collections/{made['id']}")["path"] == "z"
    assert alice.patch(f"/versions/{version}", json={"collection": ""}).json()["collection_path"] == ""
    assert alice.delete(f"/collections/{made['id']}").status_code == 204
    assert alice.get(f"/collections/{made['id']}").status_code == 404


def test_a_project_tells_its_tags_and_its_datasets(site: Site) -> None:
    alice = site.person("alice")
    alice.made("/projects", name="Birds")
    first = alice.version("penguins", project="birds", tags=["cold", "bird"])
    second = alice.version("penguins", project="birds", numbering="next")
    other = alice.version("herons", project="birds", tags=["bird"])
    assert alice.read("/projects/birds/tags") == {"rows": ["bird", "cold"]}
    heads = alice.read("/projects/birds/datasets", limit=1)
    assert [row["id"] for row in heads["rows"]] == [second]
    heads = alice.read("/projects/birds/datasets", limit=1, cursor=heads["next"])
    assert ([row["id"] for row in heads["rows"]], heads["next"]) == ([other], None)
    dataset = alice.read(f"/versions/{first}")["dataset"]
    assert [row["id"] for row in alice.read(f"/datasets/{dataset}")["versions"]] == [first, second]
    assert site.person("bob").get(f"/datasets/{dataset}").status_code == 404
