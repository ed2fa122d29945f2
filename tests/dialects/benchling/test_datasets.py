"""Datasets of the current client: things in folders, each the version that its frame is."""

from __future__ import annotations

from typing import Any

import pytest

from entrepot.model import ids
from entrepot.model.ids import Noun
from tests.support.benchling import CSV, EVERYBODY, Lab

V2 = "/api/v2"


def unplaced(lab: Lab, data: bytes | None = CSV, who: str = "writer") -> str:
    """A frame that no dataset was made of yet."""
    person = lab.people[who]
    made = person.ok("POST", f"{V2}/data-frames", {"name": lab.name(), "manifest": [{"fileName": "a.csv"}]})
    if data is not None:
        assert lab.put(made, data).status_code == 200
        person.ok("PATCH", f"{V2}/data-frames/{made['id']}", {"uploadStatus": "IN_PROGRESS"})
        lab.work()
    found: str = made["id"]
    return found


def placed(lab: Lab, name: str | None = None, folder: str | None = None, **more: Any) -> dict[str, Any]:
    """A dataset in the lab's project."""
    body = {"dataFrameId": unplaced(lab), "folderId": folder or lab.project, "name": name or lab.name(), **more}
    made: dict[str, Any] = lab.writer.ok("POST", f"{V2}/datasets", body)
    return made


def in_lab(lab: Lab, name: str | None = None) -> str:
    """A dataset of another door, without a file: the quickest that there is."""
    version = lab.site.by_token("writer").version(name or lab.name(), project=lab.project)
    return ids.benchling_dataset(ids.decode(Noun.VERSION, version))


def names(lab: Lab, query: str = "", who: str = "writer") -> list[str]:
    found = lab.people[who].ok("GET", f"{V2}/datasets?folderId={lab.project}&{query}")
    return [one["name"] for one in found["datasets"]]


def test_a_dataset_and_its_frame_are_one_version(lab: Lab) -> None:
    frame = unplaced(lab)
    body = {"dataFrameId": frame, "folderId": lab.project, "name": "birds", "study_ids": ["std_1"]}
    made = lab.writer.ok("POST", f"{V2}/datasets", body)
    version = ids.parse_benchling_frame(frame)
    assert made["id"] == ids.benchling_dataset(version)
    assert set(made) == {
        "id",
        "name",
        "displayId",
        "dataFrameId",
        "folderId",
        "createdAt",
        "modifiedAt",
        "creator",
        "customFields",
        "archiveRecord",
    }
    assert (made["dataFrameId"], made["folderId"], made["displayId"]) == (frame, lab.project, "birds.v1")
    assert (made["createdAt"][-6:], made["creator"]["handle"]) == ("+00:00", "writer")
    native = lab.site.by_token("writer").read(f"/versions/{ids.encode(Noun.VERSION, version)}")
    assert native["name"] == "birds"
    assert lab.writer.get(frame)["name"] == "birds"


def test_the_body_and_the_id_say_which_of_the_two_is_meant(lab: Lab) -> None:
    made = placed(lab)
    for prefix in ("/api/v2", "/api/v2-beta"):
        assert lab.writer.ok("GET", f"{prefix}/datasets/{made['id']}") == made
        assert "uploadStatus" in lab.writer.ok("GET", f"{prefix}/datasets/{made['dataFrameId']}")
        # The routes of frames take both.
        assert lab.writer.ok("GET", f"{prefix}/data-frames/{made['id']}")["id"] == made["dataFrameId"]
        assert "taskId" in lab.writer.ok("PATCH", f"{prefix}/datasets/{made['id']}", {"uploadStatus": "IN_PROGRESS"})
        assert lab.writer.ok("PATCH", f"{prefix}/datasets/{made['id']}", {})["id"] == made["id"]
        assert "uploadStatus" in lab.writer.ok("POST", f"{prefix}/datasets", {"name": "x", "folderId": lab.project})
        assert lab.writer.ok("GET", f"{prefix}/datasets?ids={made['id']}")["datasets"] == [made]


def test_a_dataset_can_be_made_before_its_check_and_not_of_what_failed(lab: Lab) -> None:
    waiting = unplaced(lab, None)
    made = lab.writer.ok("POST", f"{V2}/datasets", {"dataFrameId": waiting, "folderId": lab.project, "name": "early"})
    assert made["displayId"] == "early"
    failed = unplaced(lab, b"")
    refused = lab.writer("POST", f"{V2}/datasets", {"dataFrameId": failed, "folderId": lab.project, "name": "x"})
    assert refused.status_code == 400
    assert "failed" in refused.json()["error"]["message"]


def test_what_is_in_a_folder_is_copied_to_another(lab: Lab) -> None:
    made, below = placed(lab, "one", customFields={"a": {"value": "1"}}), lab.new_folder("raw")
    body = {"dataFrameId": made["dataFrameId"], "folderId": below, "name": "one", "customFields": {"b": {"value": 2}}}
    other = lab.writer.ok("POST", f"{V2}/datasets", body)
    assert (other["id"] != made["id"], other["folderId"], other["displayId"]) == (True, below, "one.v2")
    assert other["customFields"] == {"a": {"value": "1"}, "b": {"value": 2}}
    assert lab.writer.ok("GET", f"{V2}/datasets/{made['id']}")["customFields"] == {"a": {"value": "1"}}
    same = lab.writer.ok("POST", f"{V2}/datasets", {**body, "folderId": lab.project, "customFields": None})
    assert same["id"] == made["id"]
    assert lab.read(lab.writer.get(other["dataFrameId"])) == {"a.csv": CSV}


def test_custom_fields_are_the_top_of_the_custom_metadata(lab: Lab) -> None:
    name = in_lab(lab)
    native, version = lab.site.by_token("writer"), ids.encode(Noun.VERSION, ids.parse_benchling_dataset(name))
    assert native.patch(f"/versions/{version}", json={"custom": {"a": {"deep": [1]}, "b": 2}}).status_code == 200
    shown = lab.writer.ok("GET", f"{V2}/datasets/{name}")
    assert shown["customFields"] == {"a": {"value": {"deep": [1]}}, "b": {"value": 2}}
    changed = lab.writer.ok("PATCH", f"{V2}/datasets/{name}", {"customFields": {"b": None, "c": {"value": "x"}}})
    assert changed["customFields"] == {"a": {"value": {"deep": [1]}}, "c": {"value": "x"}}
    for wrong in ({"a": "bare"}, {"a": {"worth": 1}}, "a", [1]):
        assert lab.writer("PATCH", f"{V2}/datasets/{name}", {"customFields": wrong}).status_code == 400
    assert native.read(f"/versions/{version}")["custom"] == {"a": {"deep": [1]}, "c": "x"}


def test_a_move_to_a_taken_name_takes_the_next_number(lab: Lab) -> None:
    first, second = in_lab(lab, "taken"), in_lab(lab, "free")
    moved = lab.writer.ok("PATCH", f"{V2}/datasets/{second}", {"name": "taken"})
    assert (moved["displayId"], names(lab, "name=taken&sort=createdAt:asc")) == ("taken.v2", ["taken", "taken"])
    assert lab.writer.ok("GET", f"{V2}/datasets/{first}")["displayId"] == "taken.v1"
    elsewhere = lab.new_project()
    there = lab.writer.ok("PATCH", f"{V2}/datasets/{second}", {"folderId": elsewhere})
    assert (there["folderId"], there["id"], there["displayId"]) == (elsewhere, second, "taken.v2")


@pytest.mark.parametrize(
    "wrong",
    [{"name": ""}, {"name": 3}, {"folderId": 3}, {"dataFrameId": 3}, {"name": None}],
    ids=lambda one: str(one),
)
def test_a_wrong_creation_places_nothing(lab: Lab, wrong: dict[str, Any]) -> None:
    frame = unplaced(lab, None)
    body = {"dataFrameId": frame, "folderId": lab.project, "name": "x", **wrong}
    assert lab.writer("POST", f"{V2}/datasets", body).status_code == 400
    assert names(lab) == []


# The trash


def test_reasons_of_other_doors_are_other(lab: Lab) -> None:
    native = lab.site.by_token("writer")
    deleted, kept = in_lab(lab, "deleted"), in_lab(lab, "kept")
    in_error = in_lab(lab, "in error")
    version = ids.encode(Noun.VERSION, ids.parse_benchling_dataset(deleted))
    native.made(f"/versions/{version}/trash")
    archived = lab.writer.ok("POST", f"{V2}/datasets:archive", {"datasetIds": [in_error], "reason": "Made in error"})
    assert archived == {"datasetIds": [in_error]}
    shown = lab.writer.ok("GET", f"{V2}/datasets/{deleted}")
    assert shown["archiveRecord"] == {"reason": "Other"}
    assert names(lab, "archiveReason=OTHER") == ["deleted"]
    assert names(lab, "archiveReason=Made in error") == ["in error"]
    assert names(lab, "archiveReason=Other,MADE_IN_ERROR&sort=name") == ["deleted", "in error"]
    assert names(lab, "archiveReason=NOT_ARCHIVED") == ["kept"]
    assert lab.writer("PATCH", f"{V2}/datasets/{deleted}", {"name": "no"}).status_code == 400
    assert lab.writer("GET", f"{V2}/datasets?archiveReason=lost").status_code == 400
    assert lab.writer.ok("POST", f"{V2}/datasets:unarchive", {"datasetIds": [deleted, kept]})
    assert names(lab, "sort=name") == ["deleted", "kept"]


def test_what_cannot_be_archived_is_named_and_nothing_is(lab: Lab) -> None:
    mine, missing = in_lab(lab), "dataset_" + "0" * 32
    theirs = ids.benchling_dataset(ids.decode(Noun.VERSION, lab.site.by_token("outsider").version(lab.name())))
    body = {"datasetIds": [missing, mine, theirs], "reason": "Other"}
    refused = lab.writer("POST", f"{V2}/datasets:archive", body)
    assert (refused.status_code, refused.json()["error"]["invalidIds"]) == (400, [missing, theirs])
    body["datasetIds"] = ["nonsense", mine, theirs]
    refused = lab.writer("POST", f"{V2}/datasets:archive", body)
    assert (refused.status_code, refused.json()["error"]["invalidIds"]) == (400, ["nonsense", theirs])
    assert lab.writer.ok("GET", f"{V2}/datasets/{mine}")["archiveRecord"] is None
    for wrong in ({"reason": "Bored"}, {"reason": None}, {"datasetIds": mine}, {"datasetIds": [3]}):
        assert lab.writer("POST", f"{V2}/datasets:archive", {**body, **wrong}).status_code == 400


# Lists


def test_the_last_page_has_an_empty_token(lab: Lab) -> None:
    for name in "abc":
        in_lab(lab, name)
    first = lab.writer.ok("GET", f"{V2}/datasets?folderId={lab.project}&pageSize=2&nextToken=&sort=name")
    assert [one["name"] for one in first["datasets"]] == ["a", "b"]
    token = first["nextToken"]
    last = lab.writer.ok("GET", f"{V2}/datasets?folderId={lab.project}&pageSize=2&nextToken={token}&sort=name")
    assert ([one["name"] for one in last["datasets"]], last["nextToken"]) == (["c"], "")
    assert lab.writer("GET", f"{V2}/datasets?pageSize=2&nextToken={token}&sort=name").status_code == 400
    for wrong in ("pageSize=0", "pageSize=x", "sort=size", "nextToken=nonsense", "createdAt=soon", "modifiedAt=>"):
        assert lab.writer("GET", f"{V2}/datasets?{wrong}").status_code == 400, wrong


def test_pages_in_an_order_with_ties_show_each_once(lab: Lab) -> None:
    # The clock of tests stands still: all have one time.
    made = {in_lab(lab) for _ in range(5)}
    for sort in ("modifiedAt", "modifiedAt:asc", "createdAt:desc", "name", "name:desc"):
        seen: list[str] = []
        token = ""
        while True:
            query = f"folderId={lab.project}&pageSize=2&sort={sort}&nextToken={token}"
            found = lab.writer.ok("GET", f"{V2}/datasets?{query}")
            seen += [one["id"] for one in found["datasets"]]
            token = found["nextToken"]
            if not token:
                break
        assert (len(seen), set(seen)) == (5, made), sort


def test_a_folder_is_itself_and_not_what_is_below(lab: Lab) -> None:
    below = lab.new_folder("raw")
    here, there = in_lab(lab, "here"), in_lab(lab, "there")
    lab.writer.ok("PATCH", f"{V2}/datasets/{there}", {"folderId": below})
    assert names(lab) == ["here"]
    assert [one["id"] for one in lab.writer.ok("GET", f"{V2}/datasets?folderId={below}")["datasets"]] == [there]
    assert lab.writer.ok("GET", f"{V2}/datasets?folderId=lib_1&ids={here}") == {"datasets": [], "nextToken": ""}


def test_letters_of_every_alphabet_are_small_or_capital(lab: Lab) -> None:
    in_lab(lab, "éclairs Ωμεγα")
    in_lab(lab, "b")
    assert names(lab, "names.anyOf=ÉCLAIRS ΩΜΕΓΑ,B&sort=name") == ["b", "éclairs Ωμεγα"]
    assert names(lab, "names.anyOf.caseSensitive=Éclairs Ωμεγα") == []
    assert names(lab, "nameIncludes=Éclairs ω") == ["éclairs Ωμεγα"]


def test_times_are_bounds_and_days(lab: Lab) -> None:
    in_lab(lab, "old")
    lab.site.clock.move(days=2)
    in_lab(lab, "new")
    now = lab.site.clock.at
    asked = {
        f"> {now.date()}": ["new"],
        f">= {now.isoformat()}": ["new"],
        f"<{now.isoformat()}": ["old"],
        f"{now.date()}": ["new"],
        f"= {now.isoformat()}": ["new"],
        f"> {now.date()}, < {now.date()}": [],
        "> 2000-01-01T00:00:00Z": ["new", "old"],
    }
    for bound, found in asked.items():
        query = bound.replace("+", "%2B")
        assert names(lab, f"createdAt={query}&sort=createdAt") == found, bound
        assert names(lab, f"modifiedAt={query}&sort=modifiedAt") == found, bound


def test_names_that_no_column_can_hold_are_nobodys(lab: Lab) -> None:
    in_lab(lab)
    for field in ("name", "nameIncludes", "names.anyOf", "names.anyOf.caseSensitive", "displayIds"):
        assert names(lab, f"{field}=a%00b") == []
        assert names(lab, f"{field}=%25") == []


# Who may do what

MEMBERS = {"reader", "runner", "reading key", "writer", "chief", "staff"}
WRITERS = {"writer", "chief", "staff"}


def test_a_frame_is_placed_and_copied_by_who_may_write_it(lab: Lab) -> None:
    frame = unplaced(lab)
    body = {"dataFrameId": frame, "name": "taken"}
    home = lab.site.by_token("outsider").read("/users/me")["default_project"]
    native, version = lab.site.by_token("writer"), ids.encode(Noun.VERSION, ids.parse_benchling_frame(frame))
    assert lab.outsider("POST", f"{V2}/datasets", {**body, "folderId": home}).status_code == 404
    assert native.patch(f"/versions/{version}", json={"visibility": "public"}).status_code == 200
    for folder, status in ((home, 403), (lab.project, 404)):
        refused = lab.outsider("POST", f"{V2}/datasets", {**body, "folderId": folder})
        assert (refused.status_code, refused.json()["error"]["message"] != "") == (status, True), folder
    lab.writer.ok("POST", f"{V2}/datasets", {**body, "folderId": lab.project, "name": "ours"})
    assert lab.outsider("POST", f"{V2}/datasets", {**body, "folderId": home}).status_code == 403
    # Into a folder where one may only look.
    mine = unplaced(lab, None, who="reader")
    refused = lab.reader("POST", f"{V2}/datasets", {"dataFrameId": mine, "folderId": lab.project, "name": "x"})
    assert refused.status_code == 403


@pytest.mark.parametrize("what", ["get", "list", "update", "archive", "unarchive", "place"])
def test_who_may_do_what(lab: Lab, what: str) -> None:
    for who in EVERYBODY:
        made = in_lab(lab)
        frame = made.replace("dataset_", "dset_")
        some = {"datasetIds": [made], "reason": "Other"}
        path, body = {
            "get": (("GET", f"{V2}/datasets/{made}"), None),
            "list": (("GET", f"{V2}/datasets?ids={made}"), None),
            "update": (("PATCH", f"{V2}/datasets/{made}"), {"name": lab.name()}),
            "archive": (("POST", f"{V2}/datasets:archive"), some),
            "unarchive": (("POST", f"{V2}/datasets:unarchive"), some),
            "place": (
                ("POST", f"{V2}/datasets"),
                {"dataFrameId": frame, "folderId": lab.project, "name": lab.name()},
            ),
        }[what]
        answer = lab.people[who](*path, body)
        allowed = who in (MEMBERS if what in ("get", "list") else WRITERS)
        if who == "anonymous":
            assert answer.status_code == 401
        elif what == "list":
            assert len(answer.json()["datasets"]) == int(allowed), who
        elif allowed:
            assert answer.status_code == 200, (who, answer.text)
        elif what in ("archive", "unarchive"):
            assert (answer.status_code, answer.json()["error"]["invalidIds"]) == (400, [made]), who
        else:
            assert answer.status_code == (404 if who == "outsider" else 403), (who, answer.text)
