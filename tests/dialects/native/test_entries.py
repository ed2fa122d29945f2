"""Commits, listings, history and differences, as the wire shows them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from entrepot.wire.messages.entries import EntryPage
from tests.support.site import Client, Site


@pytest.fixture
def alice(site: Site) -> Client:
    return site.person("alice")


def commit(who: Client, version: str, *changes: dict[str, Any], **more: Any) -> Any:
    answer = who.post(f"/versions/{version}/commits", json={"changes": list(changes), **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def digest(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


def uploaded(who: Client, body: bytes) -> str:
    answer = who.put("/uploads", content=body)
    assert answer.status_code == 201, answer.text
    made: str = answer.json()["id"]
    return made


def test_a_commit_adds_removes_renames_and_describes_as_one_revision(alice: Client) -> None:
    version = alice.version()
    for name in ("keep", "go", "move", "d/e"):
        alice.file(version, name, name.encode())
    done = commit(
        alice,
        version,
        {"op": "add", "path": "new", "upload": uploaded(alice, b"new"), "media_type": "text/plain", "metadata": "m"},
        {"op": "remove", "path": "go"},
        {"op": "rename", "source": "move", "target": "moved"},
        {"op": "describe", "path": "keep", "metadata": "kept"},
        message="All at once",
    )
    assert (done["revision"]["number"], done["revision"]["message"]) == (5, "All at once")
    rows = {row["path"]: row for row in alice.read(f"/versions/{version}/entries")["rows"]}
    assert sorted(rows) == ["d/e", "keep", "moved", "new"]
    assert (rows["new"]["media_type"], rows["new"]["metadata"]) == ("text/plain", "m")
    assert (rows["keep"]["metadata"], rows["moved"]["sha256"]) == ("kept", digest(b"move"))


def test_a_commit_is_refused_as_a_whole_with_every_fault_named(alice: Client) -> None:
    version = alice.version()
    changes = [
        {"op": "add", "path": "../a", "upload": uploaded(alice, b"a")},
        {"op": "add", "path": "b"},
        {"op": "add", "path": "good", "upload": uploaded(alice, b"g")},
    ]
    refused = alice.post(f"/versions/{version}/commits", json={"changes": changes})
    assert refused.status_code == 422
    assert [fault["index"] for fault in refused.json()["errors"]] == [0, 1]
    assert alice.read(f"/versions/{version}/entries")["rows"] == []


def test_faults_of_many_files_in_one_change_are_named_with_the_place_of_that_change(alice: Client) -> None:
    version = alice.version()
    known, unknown = digest(b"known"), digest(b"unknown")
    alice.file(version, "known", b"known")
    changes = [
        {"op": "add_files", "files": [("a", known), ("b", known)]},
        {"op": "add_files", "files": [("c", known), ("../d", known), ("e", known), ("f/", known)]},
        {"op": "add", "path": "g//", "sha256": known},
    ]
    refused = alice.post(f"/versions/{version}/commits", json={"changes": changes})
    assert refused.status_code == 422
    assert [(one["index"], one["path"]) for one in refused.json()["errors"]] == [(1, "../d"), (1, "f/"), (2, "g//")]
    changes[1:] = [{"op": "remove", "path": "known"}, {"op": "add_files", "files": [("c", known), ("d", unknown)]}]
    refused = alice.post(f"/versions/{version}/commits", json={"changes": changes})
    assert [(fault["index"], fault["path"]) for fault in refused.json()["errors"]] == [(2, "d")]
    twice = {"op": "add_files", "files": [("c", known), ("c", known)]}
    assert alice.post(f"/versions/{version}/commits", json={"changes": [twice]}).status_code == 422
    there = {"op": "add_files", "files": [("c", known), ("known", known)], "condition": "absent"}
    refused = alice.post(f"/versions/{version}/commits", json={"changes": [there]})
    assert (refused.json()["code"], [fault["path"] for fault in refused.json()["errors"]]) == ("path_taken", ["known"])
    for wrong in ([], [("c", "known")], [("c", known, known)], [("c",)], [(3, known)], [{"c": known}], {"c": known}):
        refused = alice.post(f"/versions/{version}/commits", json={"changes": [{"op": "add_files", "files": wrong}]})
        assert refused.status_code == 422, wrong
    assert [row["path"] for row in alice.read(f"/versions/{version}/entries")["rows"]] == ["known"]


def test_a_stale_commit_is_told_the_newest_revision(alice: Client) -> None:
    version = alice.version()
    alice.file(version, "a")
    change = {"op": "remove", "path": "a"}
    refused = alice.post(f"/versions/{version}/commits", json={"changes": [change], "expected": 0})
    assert (refused.status_code, refused.json()["code"]) == (409, "stale_revision")
    assert refused.json()["details"]["revision"] == 1
    commit(alice, version, change, expected=1)


def test_conditions_hold_path_by_path(alice: Client) -> None:
    version = alice.version()
    alice.file(version, "a")
    add = {"op": "add", "path": "a", "upload": uploaded(alice, b"x"), "condition": "absent"}
    refused = alice.post(f"/versions/{version}/commits", json={"changes": [add]})
    assert (refused.status_code, refused.json()["code"]) == (409, "path_taken")
    commit(alice, version, add | {"condition": "present"})


def test_content_one_may_read_needs_not_be_sent_again(site: Site, alice: Client) -> None:
    body = b"the same bytes"
    version = alice.version()
    alice.file(version, "a", body)
    ask = {"sha256": [digest(body), digest(b"unknown")]}
    assert alice.made("/contents/known", **ask) == {"known": [digest(body)]}
    commit(alice, version, {"op": "add", "path": "b", "sha256": digest(body)})
    source = {"version": version, "revision": 1, "path": "a"}
    commit(alice, version, {"op": "add", "path": "c", "source": source})
    assert alice.get(f"/versions/{version}/files/c").content == body
    bob = site.person("bob")
    assert bob.made("/contents/known", **ask) == {"known": []}, "a stranger cannot learn that content exists"
    mine = bob.version()
    for change in ({"sha256": digest(body)}, {"source": source}):
        refused = bob.post(f"/versions/{mine}/commits", json={"changes": [{"op": "add", "path": "a", **change}]})
        assert refused.status_code == 422


def test_somebody_elses_upload_is_no_upload(site: Site, alice: Client) -> None:
    theirs = uploaded(alice, b"x")
    bob = site.person("bob")
    version = bob.version()
    refused = bob.post(f"/versions/{version}/commits", json={"changes": [{"op": "add", "path": "a", "upload": theirs}]})
    assert refused.status_code == 422
    assert bob.get(f"/uploads/{theirs}").status_code == 404


def test_pages_stay_with_the_revision_of_the_first(alice: Client) -> None:
    version = alice.version()
    changes = [{"op": "add", "path": f"f{i}", "upload": uploaded(alice, b"x")} for i in range(5)]
    commit(alice, version, *changes)
    first = alice.read(f"/versions/{version}/entries", limit=2)
    assert ([row["path"] for row in first["rows"]], first["revision"]) == (["f0", "f1"], 1)
    alice.delete(f"/versions/{version}/files/f3")
    rest = alice.read(f"/versions/{version}/entries", limit=10, cursor=first["next"])
    assert ([row["path"] for row in rest["rows"]], rest["revision"], rest["next"]) == (["f2", "f3", "f4"], 1, None)
    assert len(alice.read(f"/versions/{version}/entries")["rows"]) == 4
    assert len(alice.read(f"/versions/{version}/entries", revision=1)["rows"]) == 5
    assert alice.get(f"/versions/{version}/entries", params={"revision": 9}).status_code == 404


def test_all_entries_come_as_lines_when_asked_for(alice: Client) -> None:
    version = alice.version()
    for name in ("a", "b/c", "b/d"):
        alice.file(version, name, name.encode())
    answer = alice.get(f"/versions/{version}/entries", headers={"Accept": "application/x-ndjson"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert (answer.headers["entrepot-revision"], answer.headers["entrepot-version"]) == ("3", version)
    assert [json.loads(line)["path"] for line in answer.text.splitlines()] == ["a", "b/c", "b/d"]
    below = alice.get(f"/versions/{version}/entries?prefix=b", headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line)["path"] for line in below.text.splitlines()] == ["b/c", "b/d"]
    assert alice.get("/versions/ver_1/entries", headers={"Accept": "application/x-ndjson"}).status_code == 404


def test_a_tree_is_walked_level_by_level(alice: Client) -> None:
    version = alice.version()
    for name in ("a.txt", "d/b.txt", "d/e/c.txt", "f/g"):
        alice.file(version, name)
    top = alice.read(f"/versions/{version}/folder")
    assert [(row["name"], row["folder"]) for row in top["rows"]] == [("a.txt", False), ("d", True), ("f", True)]
    assert top["rows"][0]["entry"]["path"] == "a.txt"
    page = alice.read(f"/versions/{version}/folder", limit=1)
    assert alice.read(f"/versions/{version}/folder", limit=1, cursor=page["next"])["rows"][0]["name"] == "d"
    below = alice.read(f"/versions/{version}/folder", path="d")
    assert [(row["name"], row["folder"]) for row in below["rows"]] == [("b.txt", False), ("e", True)]
    one = alice.read(f"/versions/{version}/entry", path="d/b.txt")
    assert (one["path"], one["revision"], one["version"]) == ("d/b.txt", 4, version)
    assert alice.get(f"/versions/{version}/entry", params={"path": "d"}).json()["code"] == "entry_not_found"


def test_revisions_are_listed_compared_and_restored(alice: Client) -> None:
    version = alice.version()
    alice.file(version, "a", b"1")
    alice.file(version, "b", b"2")
    commit(alice, version, {"op": "rename", "source": "a", "target": "c"}, {"op": "remove", "path": "b"})
    rows = alice.read(f"/versions/{version}/revisions")["rows"]
    assert [row["number"] for row in rows] == [3, 2, 1, 0]
    assert rows[0]["id"] == f"rev_{version.removeprefix('ver_')}_3"
    page = alice.read(f"/versions/{version}/revisions", limit=2)
    assert [row["number"] for row in alice.read(f"/versions/{version}/revisions", cursor=page["next"])["rows"]] == [
        1,
        0,
    ]
    assert alice.read(f"/versions/{version}/revisions/2")["entries"] == 2
    assert alice.get(f"/versions/{version}/revisions/7").status_code == 404
    changes = alice.read(f"/versions/{version}/diff", **{"from": 2})["rows"]
    assert [(row["change"], row["path"], row["old_path"]) for row in changes] == [
        ("removed", "b", None),
        ("renamed", "c", "a"),
    ]
    lines = alice.get(f"/versions/{version}/diff?from=0&to=2", headers={"Accept": "application/x-ndjson"}).text
    assert [json.loads(line)["path"] for line in lines.splitlines()] == ["a", "b"]
    first = alice.read(f"/versions/{version}/diff", **{"from": 0, "to": 2, "limit": 1})
    second = alice.read(f"/versions/{version}/diff", **{"from": 0, "to": 2, "limit": 1, "cursor": first["next"]})
    assert [row["path"] for row in first["rows"] + second["rows"]] == ["a", "b"]
    assert second["next"] is None
    restored = alice.made(f"/versions/{version}/restore", revision=2, expected=3)
    assert (restored["revision"]["number"], restored["version"]["entries"]) == (4, 2)
    assert alice.read(f"/versions/{version}/diff", **{"from": 2})["rows"] == []


def test_texts_are_cleared_as_one_revision(alice: Client) -> None:
    version = alice.version()
    for name in ("a", "b"):
        alice.file(version, name)
        commit(alice, version, {"op": "describe", "path": name, "metadata": "text"})
    done = alice.made(f"/versions/{version}/clear")
    assert done["revision"]["number"] == 5
    assert [row["metadata"] for row in alice.read(f"/versions/{version}/entries")["rows"]] == ["", ""]


def test_what_happened_is_told_to_members(site: Site, alice: Client) -> None:
    version = alice.version(visibility="public")
    alice.file(version, "a")
    alice.patch(f"/versions/{version}", json={"description": "x"})
    events = alice.read(f"/versions/{version}/events")["rows"]
    assert [event["verb"] for event in events] == [
        "version.updated", "version.ready", "revision.created", "version.created",
    ]  # fmt: skip
    assert (events[0]["before"], events[0]["after"]) == ({"description": ""}, {"description": "x"})
    assert {event["actor"] for event in events} == {"alice"}
    assert {event["version"] for event in events} == {version}
    assert site.person("bob").get(f"/versions/{version}/events").status_code == 403
    mine = alice.read("/events", verb="version.updated")["rows"]
    assert [event["version"] for event in mine] == [version]
    assert site.person("bob").read("/events", verb="version.updated")["rows"] == []
    assert site.admin.read("/events", verb="version.updated", actor="alice")["rows"] == mine
    assert site.anonymous.get("/events").status_code == 401
    since = site.clock.move(hours=1).isoformat()
    assert alice.read("/events", since=since)["rows"] == []


def test_a_long_commit_is_read_and_refused_in_the_same_words_as_a_short_one(alice: Client) -> None:
    version = alice.version()
    upload = uploaded(alice, b"same")
    many = [{"op": "add", "path": f"d/{i:04}", "upload": upload} for i in range(600)]
    done = commit(alice, version, *many, {"op": "add", "path": "é", "upload": upload}, message="🌊")
    assert (done["version"]["entries"], done["revision"]["message"]) == (601, "🌊")

    def refusal(changes: list[Any]) -> Any:
        body = json.dumps({"changes": changes}).encode()
        answer = alice.post(f"/versions/{version}/commits", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422)
        found = answer.json()
        return found["code"], found["detail"], found.get("errors")

    wrong: list[Any] = [
        {"op": "add", "path": 7},
        {"op": "add", "path": "a", "colour": "red"},
        {"op": "paint"},
        {"op": "add", "path": "\ud800"},
    ]
    for one in wrong:
        # In front, so that its place is the same.
        assert refusal([one, *many]) == refusal([one])


def test_a_page_of_entries_is_what_its_model_would_say(alice: Client) -> None:
    version = alice.version()
    add = {"op": "add", "path": 'é"🌊/\u00a0a', "upload": uploaded(alice, b"x"), "metadata": '"\t\x01ü\u2028'}
    commit(alice, version, add, {"op": "add", "path": "b", "upload": uploaded(alice, b"y"), "media_type": "text/plain"})
    body = alice.get(f"/versions/{version}/entries").content
    page = EntryPage.model_validate_json(body, strict=False)
    assert [row.metadata for row in page.rows] == ["", '"\t\x01ü\u2028']
    assert json.loads(page.model_dump_json()) == json.loads(body)
