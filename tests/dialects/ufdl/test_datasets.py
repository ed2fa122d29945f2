"""Dataset records, endpoint by endpoint: what is sent, what is answered, and what happens to the version behind."""

from __future__ import annotations

import re
from typing import Any

import pytest

from entrepot.depot import versions
from entrepot.depot.versions import NewVersion, VersionChanges
from entrepot.model.access import Actor
from entrepot.model.values import Kind, Scope, Visibility
from tests.support.identity import ADMIN_PASSWORD
from tests.support.ufdl import Lab

UNIQUE = {"non_field_errors": ["The fields name, version, project must make a unique set."]}
FIELDS = {
    "pk", "name", "version", "previous_version", "description", "project", "licence", "is_public", "domain", "tags",
    "creator", "creation_time", "deletion_time", "files",
}  # fmt: skip


def staff(lab: Lab) -> Actor:
    return lab.site.world.login("admin", ADMIN_PASSWORD)


# Create


def test_a_new_dataset_is_version_1(lab: Lab) -> None:
    made = lab.writer.dataset("penguins", tags="a, b", description="Some\nbirds", is_public=True)
    assert set(made) == FIELDS
    me = lab.writer.ok("GET", "/users/writer")[0]["pk"]
    expected = {
        "name": "penguins",
        "version": 1,
        "previous_version": -1,
        "description": "Some\nbirds",
        "project": lab.project,
        "licence": lab.licence,
        "is_public": True,
        "domain": None,
        "tags": "a, b",
        "creator": me,
        "deletion_time": None,
        "files": {},
    }
    assert {name: made[name] for name in expected} == expected
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", made["creation_time"])
    assert lab.writer.record(made["pk"]) == made


def test_only_what_is_required_is_required(lab: Lab) -> None:
    made = lab.writer.dataset("bare")
    assert (made["description"], made["is_public"], made["tags"]) == ("", False, "")


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"name": None}, {"name": ["This field may not be null."]}),
        ({"name": "  "}, {"name": ["This field may not be blank."]}),
        ({"name": "n" * 201}, {"name": ["Ensure this field has no more than 200 characters."]}),
        ({"name": ["x"]}, {"name": ["Not a valid string."]}),
        ({"name": ...}, {"name": ["This field is required."]}),
        ({"project": ...}, {"project": ["This field is required."]}),
        ({"project": 999}, {"project": ['Invalid pk "999" - object does not exist.']}),
        ({"project": 10**30}, {"project": [f'Invalid pk "{str(10**30)[:20]}" - object does not exist.']}),
        ({"project": "x"}, {"project": ["Incorrect type. Expected pk value, received str."]}),
        ({"project": True}, {"project": ["Incorrect type. Expected pk value, received bool."]}),
        ({"licence": 999}, {"licence": ['Invalid pk "999" - object does not exist.']}),
        ({"licence": {}}, {"licence": ["Incorrect type. Expected pk value, received dict."]}),
        ({"tags": ...}, {"tags": ["This field is required."]}),
        ({"tags": None}, {"tags": ["This field may not be null."]}),
        ({"is_public": "maybe"}, {"is_public": ["Must be a valid boolean."]}),
        (
            {"name": ..., "tags": ...},
            {"name": ["This field is required."], "tags": ["This field is required."]},
        ),
    ],
)
def test_wrong_fields_are_named(shared_lab: Lab, change: dict[str, Any], answer: Any) -> None:
    body = {"name": shared_lab.name(), "project": shared_lab.project, "licence": shared_lab.licence, "tags": ""}
    body |= change
    sent = {name: value for name, value in body.items() if value is not ...}
    got = shared_lab.writer("POST", "/datasets/create", sent)
    assert (got.status_code, got.json()) == (400, answer)
    assert shared_lab.outsider("POST", "/datasets/create", sent).status_code == 400, "the body goes before permission"


def test_numbers_and_booleans_may_be_texts_and_what_is_unknown_is_ignored(lab: Lab) -> None:
    made = lab.writer.dataset(
        "texts", project=str(lab.project), licence=str(lab.licence), is_public="true", pk=77, version=9, unknown=[]
    )
    assert (made["is_public"], made["version"]) == (True, 1)
    form = {"name": "form", "project": str(lab.project), "licence": str(lab.licence), "tags": "a", "is_public": "False"}
    by_form = lab.writer.ok("POST", "/datasets/create", data=form, status=201)
    assert (by_form["name"], by_form["is_public"], by_form["tags"]) == ("form", False, "a")


def test_a_name_with_a_version_1_is_taken_until_it_is_deleted(lab: Lab) -> None:
    first = lab.writer.dataset("penguins")
    body = {"name": "penguins", "project": lab.project, "licence": lab.licence, "tags": ""}
    got = lab.writer("POST", "/datasets/create", body)
    assert (got.status_code, got.json()) == (400, UNIQUE)
    assert lab.writer("DELETE", f"/datasets/{first['pk']}").status_code == 204
    assert lab.writer.dataset("penguins")["version"] == 1


def test_a_bad_name_or_tag_is_told_with_its_field(lab: Lab) -> None:
    body = {"name": "a\x07b", "project": lab.project, "licence": lab.licence, "tags": ""}
    assert set(lab.writer("POST", "/datasets/create", body).json()) == {"name"}
    body |= {"name": "x", "tags": "t" * 101}
    assert set(lab.writer("POST", "/datasets/create", body).json()) == {"tags"}


# Retrieve, update


@pytest.mark.parametrize("key", ["999", "0", "x", "1x", "9" * 30, "-1", "1.0"])
def test_what_is_not_there_is_404(shared_lab: Lab, key: str) -> None:
    for who in ("writer", "staff", "anonymous"):
        assert shared_lab.people[who]("GET", f"/datasets/{key}").status_code == 404
    assert shared_lab.writer("PUT", f"/datasets/{key}", {}).status_code == 404
    assert shared_lab.writer("POST", f"/datasets/{key}/copy", {}).status_code == 404


def test_existence_goes_before_permission(lab: Lab) -> None:
    pk = lab.writer.dataset()["pk"]
    got = lab.outsider("GET", f"/datasets/{pk}")
    assert (got.status_code, got.json()) == (
        403,
        {"detail": "You do not have permission to perform this action."},
    )
    assert lab.anonymous("GET", f"/datasets/{pk}").status_code == 401


def test_a_record_is_replaced_or_changed_in_part(lab: Lab) -> None:
    made = lab.writer.dataset("old", tags="a,b", description="d", is_public=True)
    pk = made["pk"]
    assert lab.writer.ok("PATCH", f"/datasets/{pk}", {}) == made
    changed = lab.writer.ok("PATCH", f"/datasets/{pk}/", {"tags": "x,y"})
    assert changed == {**made, "tags": "x,y"}
    body = {"name": "new", "project": lab.project, "licence": 2, "tags": "z", "description": "", "is_public": False}
    whole = lab.writer.ok("PUT", f"/datasets/{pk}", body)
    assert whole == {**made, **body}
    lacking = lab.writer("PUT", f"/datasets/{pk}", {"name": "n"})
    assert lacking.status_code == 400
    assert set(lacking.json()) == {"project", "licence", "tags"}
    assert lab.reader("PUT", f"/datasets/{pk}", {}).status_code == 403, "permission goes before the body"


def test_a_taken_name_is_refused_on_change_too(lab: Lab) -> None:
    lab.writer.dataset("one")
    two = lab.writer.dataset("two")["pk"]
    for method, body in (
        ("PATCH", {"name": "one"}),
        ("PUT", {"name": "one", "project": lab.project, "licence": lab.licence, "tags": ""}),
    ):
        got = lab.writer(method, f"/datasets/{two}", body)
        assert (got.status_code, got.json()) == (400, UNIQUE)
    assert lab.writer.record(two)["name"] == "two"


def test_renaming_one_version_moves_it_alone(lab: Lab) -> None:
    first = lab.writer.dataset("line")["pk"]
    second = lab.writer.ok("POST", f"/datasets/{first}/copy")["pk"]
    moved = lab.writer.ok("PATCH", f"/datasets/{second}", {"name": "other"})
    assert (moved["name"], moved["version"], moved["previous_version"]) == ("other", 2, 1)
    assert lab.writer.record(first)["name"] == "line"
    assert lab.writer.ok("POST", f"/datasets/{first}/copy")["version"] == 2, "its number is free again"


def test_moving_takes_rights_on_both_sides(lab: Lab) -> None:
    pk = lab.writer.dataset()["pk"]
    team = lab.staff.ok("POST", "/teams/create", {"name": lab.name()}, status=201)["pk"]
    elsewhere = lab.staff.ok("POST", "/projects/create", {"name": "there", "team": team}, status=201)["pk"]
    assert lab.writer("PATCH", f"/datasets/{pk}", {"project": elsewhere}).status_code == 403
    join = {"method": "add", "username": "writer", "permissions": "W"}
    lab.staff.ok("PATCH", f"/teams/{team}/memberships", join)
    assert lab.writer.ok("PATCH", f"/datasets/{pk}", {"project": elsewhere})["project"] == elsewhere
    assert lab.reader("GET", f"/datasets/{pk}").status_code == 403, "permission follows the project's team"
    assert lab.writer("PATCH", f"/datasets/{pk}", {"project": 999}).json() == {
        "project": ['Invalid pk "999" - object does not exist.']
    }


def test_public_natively_stays_public(lab: Lab) -> None:
    pk = lab.writer.dataset()["pk"]
    versions.update(lab.site.depot, staff(lab), pk, VersionChanges(visibility=Visibility.PUBLIC))
    assert lab.writer.ok("PATCH", f"/datasets/{pk}", {"is_public": True})["is_public"] is True
    assert versions.get(lab.site.depot, staff(lab), pk).version.visibility is Visibility.PUBLIC
    lab.writer.ok("PATCH", f"/datasets/{pk}", {"is_public": False})
    lab.writer.ok("PATCH", f"/datasets/{pk}", {"is_public": True})
    assert versions.get(lab.site.depot, staff(lab), pk).version.visibility is Visibility.LISTED


def test_tags_are_shown_as_they_were_written_until_they_change_elsewhere(lab: Lab) -> None:
    pk = lab.writer.dataset(tags=" a,,b ,a")["pk"]
    assert lab.writer.record(pk)["tags"] == " a,,b ,a"
    assert versions.get(lab.site.depot, staff(lab), pk).version.tags == ("a", "b")
    assert lab.writer.ok("POST", f"/datasets/{pk}/copy")["tags"] == " a,,b ,a"
    versions.update(lab.site.depot, staff(lab), pk, VersionChanges(tags=("b", "c")))
    assert lab.writer.record(pk)["tags"] == "b, c"


def test_a_version_that_was_never_ready_is_not_there(lab: Lab) -> None:
    pk = versions.create(lab.site.depot, staff(lab), lab.project, NewVersion("a table", kind=Kind.TABLE)).n
    assert lab.staff("GET", f"/datasets/{pk}").status_code == 404
    assert lab.staff("PATCH", f"/datasets/{pk}", {"tags": ""}).status_code == 404


# Destroy, hard, reinstate, clear


def test_destroy_hides_and_may_be_repeated(lab: Lab) -> None:
    pk = lab.writer.dataset("gone", {"a.txt": b"a"})["pk"]
    for _ in range(2):
        got = lab.writer("DELETE", f"/datasets/{pk}/")
        assert (got.status_code, got.content) == (204, b"")
    assert lab.writer.record(pk)["deletion_time"] is not None
    assert lab.writer.listed() == []
    assert [one["pk"] for one in lab.writer.listed(include_inactive=True)] == [pk]
    assert lab.writer("GET", f"/datasets/{pk}/files/a.txt").content == b"a"
    for method, path, body in (
        ("PATCH", "", {"tags": "x"}),
        ("POST", "/files/b.txt", None),
        ("DELETE", "/files/a.txt", None),
        ("POST", "/metadata/a.txt", {"metadata": "x"}),
        ("DELETE", "/clear", None),
    ):
        got = lab.writer(method, f"/datasets/{pk}{path}", body)
        assert (got.status_code, "reinstate it first" in got.json()["detail"]) == (400, True), path
    assert lab.writer.ok("POST", f"/datasets/{pk}/copy")["version"] == 1, "its number is free"


def test_hard_answers_the_last_record_and_then_there_is_none(lab: Lab) -> None:
    record = lab.writer.dataset("gone", {"a.txt": b"a"})
    assert lab.chief("DELETE", f"/datasets/{record['pk']}/hard").status_code == 403
    assert lab.staff.ok("DELETE", f"/datasets/{record['pk']}/hard") == record
    assert lab.staff("GET", f"/datasets/{record['pk']}").status_code == 404
    assert lab.staff("DELETE", f"/datasets/{record['pk']}/hard").status_code == 404


def test_reinstate_brings_back_unless_the_number_is_taken(lab: Lab) -> None:
    record = lab.writer.dataset("back")
    pk = record["pk"]
    assert lab.staff.ok("DELETE", f"/datasets/{pk}/reinstate") == record, "an active one too"
    lab.writer("DELETE", f"/datasets/{pk}")
    assert lab.staff.ok("DELETE", f"/datasets/{pk}/reinstate") == record
    lab.writer("DELETE", f"/datasets/{pk}")
    lab.writer.dataset("back")
    got = lab.staff("DELETE", f"/datasets/{pk}/reinstate")
    assert (got.status_code, got.json()) == (400, UNIQUE)


def test_clear_empties_texts_and_nothing_else(lab: Lab) -> None:
    record = lab.writer.dataset("noted", {"a.txt": b"a", "b.txt": b"b"}, tags="t", description="d")
    pk = record["pk"]
    lab.writer.ok("POST", f"/datasets/{pk}/metadata/a.txt", {"metadata": "x"})
    assert lab.writer.ok("DELETE", f"/datasets/{pk}/clear") == record
    assert lab.writer.ok("GET", f"/datasets/{pk}/metadata") == {"a.txt": "", "b.txt": ""}


# Copy


def test_a_copy_is_the_next_version_and_says_what_it_was_taken_from(lab: Lab) -> None:
    first = lab.writer.dataset("line", {"a.txt": b"a"}, tags="t", description="d", is_public=True)
    lab.writer.ok("POST", f"/datasets/{first['pk']}/metadata/a.txt", {"metadata": "m"})
    second = lab.writer.ok("POST", f"/datasets/{first['pk']}/copy/", {})
    third = lab.writer.ok("POST", f"/datasets/{first['pk']}/copy", {"new_name": None})
    assert [(one["version"], one["previous_version"]) for one in (second, third)] == [(2, 1), (3, 1)]
    kept = ("name", "description", "project", "licence", "tags", "is_public", "files")
    assert {name: second[name] for name in kept} == {name: first[name] for name in kept}
    assert lab.writer.ok("GET", f"/datasets/{second['pk']}/metadata") == {"a.txt": "m"}


def test_later_edits_of_one_version_never_show_in_another(lab: Lab) -> None:
    first = lab.writer.dataset("line", {"a.txt": b"a"})["pk"]
    second = lab.writer.ok("POST", f"/datasets/{first}/copy")["pk"]
    lab.writer.ok("POST", f"/datasets/{second}/metadata/a.txt", {"metadata": "second"})
    lab.writer.ok("DELETE", f"/datasets/{first}/files/a.txt")
    lab.writer.ok("POST", f"/datasets/{first}/files/b.txt", content=b"b")
    assert (lab.writer.content(first), lab.writer.content(second)) == ({"b.txt": b"b"}, {"a.txt": b"a"})
    assert lab.writer.ok("GET", f"/datasets/{second}/metadata") == {"a.txt": "second"}


def test_a_copy_under_a_new_name_is_version_1_of_it(lab: Lab) -> None:
    first = lab.writer.dataset("line", {"a.txt": b"a", "b.txt": b"b"})["pk"]
    made = lab.writer.ok("POST", f"/datasets/{first}/copy", {"new_name": "new", "only_files": ["b.txt", "nope"]})
    assert (made["name"], made["version"], made["previous_version"], list(made["files"])) == ("new", 1, -1, ["b.txt"])
    got = lab.writer("POST", f"/datasets/{first}/copy", {"new_name": "new"})
    assert (got.status_code, got.json()) == (400, {"detail": "Bad name 'new': New dataset name is already taken"})
    assert lab.writer.ok("POST", f"/datasets/{first}/copy", {"only_files": []})["files"] == {}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"new_name": 5}, 400),
        ({"new_name": ""}, 400),
        ({"new_name": "n" * 201}, 400),
        ({"only_files": 5}, 400),
        ({"only_files": [1]}, 400),
        ({"other": 1}, 422),
    ],
)
def test_a_copy_is_refused(shared_lab: Lab, body: Any, status: int) -> None:
    pk = shared_lab.writer.dataset()["pk"]
    assert shared_lab.writer("POST", f"/datasets/{pk}/copy", body).status_code == status


def test_a_reader_adds_a_version_that_bare_names_skip(lab: Lab) -> None:
    first = lab.writer.dataset("line")["pk"]
    made = lab.reader.ok("POST", f"/datasets/{first}/copy")
    assert (made["version"], made["creator"]) == (2, lab.reader.ok("GET", "/users/reader")[0]["pk"])
    assert versions.get(lab.site.depot, staff(lab), made["pk"]).version.is_proposal
    assert lab.reader("PATCH", f"/datasets/{made['pk']}", {"tags": "x"}).status_code == 403


# Merge


def test_merge_adds_new_names_keeps_equal_ones_and_renames_others(lab: Lab) -> None:
    target = lab.writer.dataset("target", {"same": b"1", "d/e.tar.gz": b"old", "own": b"o"})["pk"]
    source = lab.writer.dataset("source", {"same": b"1", "d/e.tar.gz": b"new", "fresh": b"f"}, tags="s")["pk"]
    for name in ("same", "d/e.tar.gz", "fresh"):
        lab.writer.ok("POST", f"/datasets/{source}/metadata/{name}", {"metadata": f"of {name}"})
    merged = lab.writer.ok("POST", f"/datasets/{target}/merge/{source}", {"delete": False})
    assert set(merged["files"]) == {"same", "d/e.tar.gz", "d/e.tar-0001.gz", "own", "fresh"}
    assert lab.writer.content(target)["d/e.tar-0001.gz"] == b"new"
    texts = lab.writer.ok("GET", f"/datasets/{target}/metadata")
    assert (texts["same"], texts["d/e.tar-0001.gz"], texts["fresh"]) == ("", "of d/e.tar.gz", "of fresh")
    assert (merged["tags"], merged["name"]) == ("", "target")
    again = lab.writer.ok("POST", f"/datasets/{target}/merge/{source}/", {"delete": False})
    assert "d/e.tar-0002.gz" in again["files"]
    assert lab.writer.ok("POST", f"/datasets/{target}/merge/{target}", {"delete": False}) == again


def test_the_source_of_a_merge_goes_softly_or_for_good(lab: Lab) -> None:
    target = lab.writer.dataset("target")["pk"]
    soft = lab.writer.dataset("soft", {"a": b"a"})["pk"]
    hard = lab.writer.dataset("hard", {"b": b"b"})["pk"]
    kept = lab.writer.dataset("kept", {"c": b"c"})["pk"]
    lab.writer.ok("POST", f"/datasets/{target}/merge/{soft}", {"delete": True})
    lab.writer.ok("POST", f"/datasets/{target}/merge/{hard}", {"delete": True, "hard": True})
    lab.writer.ok("POST", f"/datasets/{target}/merge/{kept}", {"delete": False, "hard": True})
    assert lab.writer.record(soft)["deletion_time"] is not None
    assert lab.writer("GET", f"/datasets/{hard}").status_code == 404
    assert lab.writer.record(kept)["deletion_time"] is None
    assert lab.writer.content(target) == {"a": b"a", "b": b"b", "c": b"c"}


def test_a_merge_is_refused(lab: Lab) -> None:
    target, source = lab.writer.dataset("t")["pk"], lab.writer.dataset("s")["pk"]
    for body in ({}, {"delete": "perhaps"}, {"delete": True, "hard": 7}, {"delete": False, "other": 1}, []):
        assert lab.writer("POST", f"/datasets/{target}/merge/{source}", body).status_code == 400, body
    assert lab.writer("POST", f"/datasets/{target}/merge/999", {"delete": False}).status_code == 404
    assert lab.writer("POST", f"/datasets/{target}/merge/x", {"delete": False}).status_code == 404


def test_every_content_edit_is_a_revision_and_every_record_edit_an_event(lab: Lab) -> None:
    pk = lab.writer.dataset("line", {"a": b"a"})["pk"]
    lab.writer.ok("POST", f"/datasets/{pk}/metadata/a", {"metadata": "m"})
    lab.writer.ok("DELETE", f"/datasets/{pk}/files/a")
    assert versions.get(lab.site.depot, staff(lab), pk).version.revision == 3
    lab.writer.ok("PATCH", f"/datasets/{pk}", {"description": "new"})
    assert versions.get(lab.site.depot, staff(lab), pk).version.revision == 3
    told = lab.site.world.events("version.updated")[0]
    assert (told.door, told.before, told.after) == ("ufdl", {"description": ""}, {"description": "new"})


def test_a_token_that_may_only_read_writes_nothing(lab: Lab) -> None:
    pk = lab.writer.dataset()["pk"]
    token = lab.site.by_token("writer", Scope.READ).token
    got = lab.writer("PATCH", f"/datasets/{pk}", {"tags": "x"}, headers={"Authorization": f"Bearer {token}"})
    assert got.status_code == 403
